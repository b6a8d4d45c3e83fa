/** What the page knows and does; views only show it. Its rooms have a file each. */

import { Adaptation } from "./adaptation.svelte";
import { api } from "./api";
import { Engine } from "./engine/engine";
import type { EngineInfo, Look } from "./engine/messages";
import { Filming } from "./filming.svelte";
import { keepPhotograph, keptPhotograph } from "./kept";
import { decode, pixelsOf, type Picture } from "./lib/pictures";
import { SMALLEST } from "./lib/pixels";
import { shares, type Weighted } from "./lib/styles";
import { Painter } from "./painter.svelte";
import { Regions, type Region } from "./regions.svelte";
import { Refining } from "./refining.svelte";
import { Saving } from "./saving.svelte";
import { keptLook } from "./session";
import { Styles } from "./styles.svelte";
import { text } from "./text";
import { Thumbnails } from "./thumbnails.svelte";
import { Uploads } from "./uploads";

export type View = keyof typeof text.views;
export type Effort = "draft" | "normal" | "fine";

/** The styles that are mixed, and where the point is among them. */
interface Pad {
  chosen: string[];
  point: [number, number];
}

interface Settings {
  mix: Weighted[];
  pad: Pad;
  strength: number;
  brush: number;
  grain: number | null;
  keepColor: boolean;
  regions: Region[];
}

/** How many looks can be gone back to: each may hold masks. */
const MOST_UNDONE = 50;
const UNTOUCHED = { strength: 1, brush: 2, grain: null, keepColor: false };

export class Studio {
  readonly engine = new Engine();
  readonly uploads = new Uploads();
  readonly styles = new Styles(this);
  readonly regions = new Regions(this);
  readonly painter = new Painter(this);
  readonly adaptation = new Adaptation(this);
  readonly refining = new Refining(this);
  readonly saving = new Saving(this);
  readonly filming = new Filming(this);
  readonly thumbnails = new Thumbnails(
    (style, edge) => this.painter.preview(style, edge),
    () => !!this.info && this.painter.free,
    () => !!this.adaptation.job || !!this.refining.progress,
  );

  info = $state.raw<EngineInfo | null>(null);
  server = $state(false);
  films = $state(false);
  view = $state<View>("paint");
  notices = $state.raw<{ id: number; line: string }[]>([]);
  photo = $state.raw<Picture | null>(null);
  /** The photograph, as small as a preview. */
  readonly small = $derived(this.photo && pixelsOf(this.photo, 96));
  painting = $state.raw<Picture | null>(null);
  /** A film that was dropped, for the view that takes it. */
  clip = $state.raw<File | null>(null);

  mix = $state.raw<Weighted[]>([]);
  pad = $state.raw<Pad>({ chosen: [], point: [0.5, 0.5] });
  strength = $state(1);
  brush = $state(2);
  grain = $state<number | null>(null);
  keepColor = $state(false);
  effort = $state<Effort>("normal");
  undoable = $state(false);

  private readonly history: Settings[] = [];
  private count = 0;

  async start(): Promise<void> {
    try {
      const site = await api.site();
      this.server = site.server;
      this.films = site.films ?? false;
      if (!site.server) this.refining.settings = site.refinement ?? null;
      const [photo] = await Promise.all([this.firstPhoto(), this.styles.fetch()]);
      const first = this.styles.find("starry-night") ?? this.styles.all[0];
      if (first) this.mix = [{ style: first.id, weight: 1 }];
      Object.assign(
        this,
        keptLook((id) => !!this.styles.find(id)),
      );
      void this.styles.need(this.mix).catch(() => undefined); // while the painter gets ready
      const regions = await this.regions.kept(photo);
      if (!this.photo) {
        this.photo = photo;
        this.regions.all = regions;
      }
      this.info = await this.engine.ready;
      this.painter.render();
      if (this.server) {
        void this.adaptation.measure();
        await this.adaptation.resume();
      } else void this.refining.resume();
      await this.painter.rested();
      this.info = await this.engine.faster();
      void this.thumbnails.work();
    } catch (error) {
      this.tell(error);
    }
  }

  /** The photograph of the last time, or the sample. */
  private async firstPhoto(): Promise<Picture> {
    const kept = await keptPhotograph().catch(() => undefined);
    const own =
      typeof kept === "string"
        ? await this.uploads.kept(kept).catch(() => null) // the server may have removed it
        : kept && (await this.read(kept, kept.name));
    return own || { ...(await decode(await api.photograph(), "photograph")), sample: true };
  }

  tell(error: unknown): void {
    const said = error instanceof Error ? error.message : String(error);
    const line = said.charAt(0).toUpperCase() + said.slice(1);
    if (this.notices.some((notice) => notice.line === line)) return;
    this.notices = [...this.notices, { id: ++this.count, line }].slice(-3);
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  // Pictures

  /** Read a file, by the browser or else by the server. */
  async read(file: Blob, name: string): Promise<Picture | null> {
    const stem = name.replace(/\.[^.]*$/, "") || "picture";
    try {
      const picture = await decode(file, stem);
      const { width, height } = picture;
      if (Math.min(width, height) >= SMALLEST) return picture;
      this.tell(text.errors.small(name, width, height));
      return null;
    } catch {
      if (!this.server) {
        this.tell(text.errors.picture(name));
        return null;
      }
    }
    try {
      const info = await this.uploads.send(file, name);
      const picture = await decode(await api.preview(info.id), stem);
      return { ...picture, width: info.width, height: info.height, file };
    } catch (error) {
      this.tell(error);
      return null;
    }
  }

  async usePhoto(file: File): Promise<void> {
    const picture = await this.read(file, file.name);
    if (!picture) return;
    this.showPhoto(picture, file);
  }

  /** kept: its file, or its id where the server has it. */
  showPhoto(picture: Picture, kept: File | string): void {
    void keepPhotograph(kept).catch(() => undefined);
    this.photo = picture;
    this.painter.painted = null;
    this.regions.set([]);
    for (const look of this.history) look.regions = [];
    this.thumbnails.clear();
    this.painter.render();
  }

  async usePainting(file: Blob, name: string): Promise<void> {
    const picture = await this.read(file, name);
    if (!picture) return;
    this.painting = picture;
    this.view = "paint";
    await this.adaptation.start();
  }

  /** A film: for the server, or else frame by frame in the page. */
  useFilm(file: File): void {
    this.clip = file;
    if (this.view !== "camera") this.view = this.films ? "film" : "camera";
  }

  // Looks

  private settings(): Settings {
    return {
      mix: this.mix,
      pad: this.pad,
      strength: this.strength,
      brush: this.brush,
      grain: this.grain,
      keepColor: this.keepColor,
      regions: this.regions.all,
    };
  }

  /** Keep the look as it is now, to come back to. */
  remember(): void {
    const now = this.settings();
    if (JSON.stringify(this.history.at(-1)) === JSON.stringify(now)) return;
    this.history.push(now);
    if (this.history.length > MOST_UNDONE) this.history.shift();
    this.undoable = true;
  }

  undo(): void {
    const before = this.history.pop();
    this.undoable = this.history.length > 0;
    if (before) this.apply(before);
  }

  reset(): void {
    this.remember();
    this.apply({ ...this.settings(), ...UNTOUCHED });
  }

  private apply({ regions, ...look }: Settings): void {
    Object.assign(this, look);
    this.regions.set(regions);
    this.painter.render();
  }

  /** Paint with one style. */
  useStyle(id: string): void {
    this.remember();
    this.mix = [{ style: id, weight: 1 }];
    this.painter.render();
  }

  grainOf(mix: Weighted[]): number {
    if (this.grain !== null) return this.grain;
    const parts = shares(mix.map((one) => one.weight));
    return mix.reduce((sum, one, index) => {
      const known = this.styles.find(one.style)?.grain ?? this.adaptation.grain;
      return sum + parts[index]! * known;
    }, 0);
  }

  look(mix: Weighted[] = this.mix): Look {
    return {
      mix: mix.map((one) => ({ ...one })),
      strength: this.strength,
      grain: this.grainOf(mix),
      keepColor: this.keepColor,
    };
  }

  /** The same, as the server is asked for it. */
  lookRequest() {
    return {
      styles: this.mix.filter((one) => one.weight > 0),
      strength: this.strength,
      brush: this.brush,
      grain: this.grain,
      keep_color: this.keepColor,
    };
  }

  /** Whether the picture is painted with this style, among others. */
  shows(id: string): boolean {
    const all = [...this.mix, ...this.regions.all.flatMap((region) => region.mix)];
    return all.some((one) => one.style === id && one.weight > 0);
  }
}
