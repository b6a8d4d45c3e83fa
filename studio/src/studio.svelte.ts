/** What the page knows and does; views only show it. */

import { api, type JobState, type StyleInfo } from "./api";
import { Engine } from "./engine/engine";
import type { EngineInfo, Look } from "./engine/messages";
import { decode, encode, imageData, pixelsOf, saveBlob, type Picture } from "./lib/pictures";
import { shares, type Weighted } from "./lib/styles";
import type { Pixels } from "./lib/pixels";
import { visible } from "./lib/visible";
import { text } from "./text";
import { Refining } from "./refining.svelte";
import { Thumbnails } from "./thumbnails.svelte";

export type View = keyof typeof text.views;
export type Format = "png" | "jpg" | "webp";
export type Effort = "draft" | "normal" | "fine";

export interface Region {
  id: number;
  /** White where the region is; transparent elsewhere. */
  mask: OffscreenCanvas;
  mix: Weighted[];
  /** Counts strokes, so that changes are noticed. */
  strokes: number;
}

interface Settings {
  mix: Weighted[];
  strength: number;
  brush: number;
  grain: number | null;
  keepColor: boolean;
}

/** Long edge on which strokes of brush 1 are as large as the network paints them. */
export const WORKING_EDGE = 1024;
const MASK_EDGE = 1024;
const FEATHER = 0.01;
/** Of the very first picture, when nothing is compiled for speed yet and nobody knows how long it takes. */
const FIRST_EDGE = 160;
const QUICK_EDGE = 208;
/** A picture that would take longer is shown smaller first. */
const PATIENCE = 0.6;
const UNTOUCHED: Settings = { mix: [], strength: 1, brush: 2, grain: null, keepColor: false };

/** How long nothing is painted during an adaptation, in times of the painting before, and at most, in ms. */
const RESTS = 3;
const LONGEST_REST = 10_000;

export class Studio {
  readonly engine = new Engine();
  info = $state.raw<EngineInfo | null>(null);
  server = $state(false);
  films = $state(false);
  view = $state<View>("paint");
  notices = $state.raw<{ id: number; line: string }[]>([]);
  styles = $state.raw<StyleInfo[]>([]);
  photo = $state.raw<Picture | null>(null);
  painting = $state.raw<Picture | null>(null);

  mix = $state.raw<Weighted[]>([]);
  strength = $state(1);
  brush = $state(2);
  grain = $state<number | null>(null);
  keepColor = $state(false);
  effort = $state<Effort>("normal");
  format = $state<Format>("jpg");
  regions = $state.raw<Region[]>([]);
  /** The region that is being brushed. */
  editing = $state<number | null>(null);

  painted = $state.raw<Pixels | null>(null);
  working = $state(false);
  /** A painting that is being learned. */
  job = $state.raw<JobState | null>(null);
  learning = $state<string | null>(null);
  /** The state of its parameters that is shown. */
  revision = $state(0);
  fullSize = $state.raw<JobState | null>(null);
  readonly refining = new Refining(this);
  readonly thumbnails = new Thumbnails(
    (style, edge) => this.paintThumbnail(style, edge),
    () => !!this.info && !this.looping && !this.job && !this.live && !this.refining.progress,
  );
  /** Seconds that 256 x 192 pixels take, as long as anything has been painted. */
  pace = $state<number | null>(null);
  /** Moving pictures are being painted: still ones wait. */
  private live = false;
  undoable = $state(false);

  private readonly loaded = new Map<string, Promise<void>>();
  private readonly uploaded = new WeakMap<Blob, Promise<string>>();
  private readonly history: Settings[] = [];
  private wanted = false;
  private looping = false;
  private dragging = false;
  private following: (() => void) | null = null;
  private count = 0;

  async start(): Promise<void> {
    try {
      const site = await api.site();
      this.server = site.server;
      this.films = site.films ?? false;
      if (!site.server) this.refining.settings = site.refinement ?? null;
      const [styles, sample] = await Promise.all([api.styles(this.server), api.photograph()]);
      this.styles = styles;
      const first = styles.find((style) => style.id === "starry-night") ?? styles[0];
      if (first) this.mix = [{ style: first.id, weight: 1 }];
      void this.need(this.mix).catch(() => undefined); // while the painter gets ready
      if (!this.photo) this.photo = { ...(await decode(sample, "photograph")), sample: true };
      this.info = await this.engine.ready;
      this.render();
      if (this.server) await this.resume();
      await this.rested();
      this.info = await this.engine.faster();
      void this.thumbnails.work();
    } catch (error) {
      this.tell(error);
    }
  }

  tell(error: unknown): void {
    const line = error instanceof Error ? error.message : String(error);
    if (this.notices.some((notice) => notice.line === line)) return;
    this.notices = [...this.notices, { id: ++this.count, line }].slice(-3);
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  nameOf(id: string): string {
    return this.styles.find((style) => style.id === id)?.name ?? this.learning ?? id;
  }

  // Pictures

  /** Read a file, by the browser or else by the server. */
  async read(file: Blob, name: string): Promise<Picture | null> {
    const stem = name.replace(/\.[^.]*$/, "") || "picture";
    try {
      return await decode(file, stem);
    } catch {
      if (!this.server) {
        this.tell(text.errors.picture(name));
        return null;
      }
    }
    try {
      const info = await api.upload(file, name);
      this.uploaded.set(file, Promise.resolve(info.id));
      const picture = await decode(await api.preview(info.id), stem);
      return { ...picture, width: info.width, height: info.height, file };
    } catch (error) {
      this.tell(error);
      return null;
    }
  }

  async usePhoto(file: Blob, name: string): Promise<void> {
    const picture = await this.read(file, name);
    if (!picture) return;
    this.photo = picture;
    this.painted = null;
    this.regions = [];
    this.editing = null;
    this.thumbnails.clear();
    this.render();
  }

  async usePainting(file: Blob, name: string): Promise<void> {
    const picture = await this.read(file, name);
    if (!picture) return;
    this.painting = picture;
    this.view = "paint";
    await this.learn();
  }

  private upload(picture: Picture): Promise<string> {
    let id = this.uploaded.get(picture.file);
    if (!id) {
      id = api.upload(picture.file, `${picture.name}.picture`).then((info) => info.id);
      id.catch(() => this.uploaded.delete(picture.file));
      this.uploaded.set(picture.file, id);
    }
    return id;
  }

  // Learning

  /** Learn the painting: at once a first impression, then better every second. */
  async learn(start?: string): Promise<void> {
    if (!this.painting) return;
    const { name } = this.painting;
    this.remember();
    await this.cancelLearning();
    this.learning = name;
    try {
      if (!this.server) {
        const id = this.newId();
        const { painting } = this;
        await this.engine.ready;
        await this.engine.describe(id, pixelsOf(painting, 512));
        this.refining.described(id, painting);
        const info: StyleInfo = {
          id,
          name,
          origin: "painting",
          grain: 1,
          note: "",
          painting: null,
        };
        this.made(info);
        this.mix = [{ style: id, weight: 1 }];
        this.learning = null;
        this.render();
        return;
      }
      const painting = await this.upload(this.painting);
      const photos = this.photo && !this.photo.sample ? [await this.upload(this.photo)] : [];
      const wanted = { painting, photos, name, effort: this.effort, ...(start ? { start } : {}) };
      this.follow(await api.adapt(wanted));
    } catch (error) {
      this.learning = null;
      this.tell(error);
    }
  }

  newId(): string {
    return `own-${++this.count}`;
  }

  /** The engine knows a new style. */
  made(info: StyleInfo): void {
    this.loaded.set(info.id, Promise.resolve());
    this.styles = [info, ...this.styles];
  }

  /** Whether the picture is painted with this style, among others. */
  shows(id: string): boolean {
    const all = [...this.mix, ...this.regions.flatMap((region) => region.mix)];
    return all.some((one) => one.style === id && one.weight > 0);
  }

  private follow(job: JobState): void {
    this.following?.();
    this.job = job;
    this.revision = 0;
    let shown = 0;
    let fetching = false;
    const show = async (state: JobState) => {
      const revision = state.progress?.revision ?? 0;
      if (fetching || revision <= shown || state.state !== "running") return;
      fetching = true;
      const began = performance.now();
      try {
        await this.engine.ready;
        await this.engine.addParameters(job.id, await api.parameters(job.id));
        this.loaded.set(job.id, Promise.resolve());
        if (this.mix[0]?.style !== job.id || this.mix.length > 1)
          this.mix = [{ style: job.id, weight: 1 }];
        this.liveGrain = state.progress?.grain ?? 1;
        await this.rendered();
        shown = this.revision = revision;
      } catch {
        // the job has just ended: what is finished comes with its last state
      } finally {
        // Painting takes the processors from the adaptation, which has them most of the time.
        const rest = Math.min(LONGEST_REST, RESTS * (performance.now() - began));
        await new Promise((resolve) => setTimeout(resolve, rest));
        fetching = false;
        if (this.job?.id === job.id && this.job.state === "running") void show(this.job);
      }
    };
    this.following = api.follow(job.id, (state) => {
      this.job = state;
      if (state.state === "running") void show(state);
      else if (state.state === "done") void this.learned(state);
      else if (state.state !== "queued") {
        if (state.state === "failed") this.tell(state.error);
        this.job = null;
        this.learning = null;
        if (this.mix.some((one) => one.style === job.id)) this.undo();
      }
    });
  }

  private liveGrain = 1;

  private async learned(state: JobState): Promise<void> {
    this.styles = await api.styles(true).catch(() => this.styles);
    this.job = null;
    this.learning = null;
    const id = state.result?.style;
    if (!id) return;
    this.loaded.delete(id);
    this.mix = [{ style: id, weight: 1 }];
    this.render();
  }

  async stopLearning(): Promise<void> {
    if (this.job) await api.stop(this.job.id).catch((error: unknown) => this.tell(error));
  }

  async cancelLearning(): Promise<void> {
    if (!this.job) return;
    const { id } = this.job;
    this.following?.();
    this.job = null;
    this.learning = null;
    await api.removeJob(id).catch(() => undefined);
  }

  /** After a reload: what was being learned goes on in front of the user. */
  private async resume(): Promise<void> {
    const jobs = await api.jobs();
    const running = jobs.find(
      (job) => job.kind === "adapt" && ["queued", "running"].includes(job.state),
    );
    if (!running || this.job) return;
    this.learning = String(running.request.name);
    const id = String(running.request.painting);
    const file = await api.preview(id).catch(() => null);
    if (file) {
      this.painting = await decode(file, this.learning);
      this.uploaded.set(file, Promise.resolve(id));
    }
    this.follow(running);
  }

  // Looks

  private settings(): Settings {
    return {
      mix: this.mix,
      strength: this.strength,
      brush: this.brush,
      grain: this.grain,
      keepColor: this.keepColor,
    };
  }

  /** Keep the look as it is now, to come back to. */
  remember(): void {
    const now = this.settings();
    if (JSON.stringify(this.history.at(-1)) === JSON.stringify(now)) return;
    this.history.push(now);
    if (this.history.length > 100) this.history.shift();
    this.undoable = true;
  }

  undo(): void {
    const before = this.history.pop();
    this.undoable = this.history.length > 0;
    if (before) this.apply(before);
  }

  reset(): void {
    this.remember();
    this.apply({ ...UNTOUCHED, mix: this.mix });
  }

  private apply(settings: Settings): void {
    Object.assign(this, settings);
    this.render();
  }

  /** Paint with one style. */
  useStyle(id: string): void {
    this.remember();
    this.mix = [{ style: id, weight: 1 }];
    this.render();
  }

  /** While something is dragged, pictures are small and quick. */
  drag(dragging: boolean): void {
    this.dragging = dragging;
    if (!dragging) this.render();
  }

  grainOf(mix: Weighted[]): number {
    if (this.grain !== null) return this.grain;
    const parts = shares(mix.map((one) => one.weight));
    return mix.reduce((sum, one, index) => {
      const known = this.styles.find((style) => style.id === one.style)?.grain ?? this.liveGrain;
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

  /** Have the engine know all styles of a mixture. */
  async need(mix: Weighted[]): Promise<void> {
    await Promise.all([
      this.engine.ready,
      ...mix.map(({ style }) => {
        let known = this.loaded.get(style);
        if (!known) {
          known = api
            .styleFile(style, this.server)
            .then((file) => this.engine.addStyle(style, file))
            .then(() => undefined);
          known.catch(() => this.loaded.delete(style));
          this.loaded.set(style, known);
        }
        return known;
      }),
    ]);
  }

  async addStyleFile(file: File): Promise<void> {
    try {
      const name = file.name.replace(/\.safetensors$/, "");
      let info: StyleInfo;
      if (this.server) info = await api.importStyle(file, file.name);
      else {
        const id = this.newId();
        const grain = await this.engine.addStyle(id, await file.arrayBuffer());
        this.loaded.set(id, Promise.resolve());
        info = { id, name, origin: "imported", grain, note: "", painting: null };
      }
      this.styles = [info, ...this.styles];
      this.useStyle(info.id);
    } catch (error) {
      this.tell(error);
    }
  }

  async removeStyle(id: string): Promise<void> {
    try {
      if (this.server) await api.removeStyle(id);
      this.styles = this.styles.filter((style) => style.id !== id);
      this.loaded.delete(id);
      await this.engine.forget(id);
      if (this.mix.some((one) => one.style === id) && this.styles[0])
        this.useStyle(this.styles.at(-1)!.id);
    } catch (error) {
      this.tell(error);
    }
  }

  async renameStyle(id: string, name: string): Promise<void> {
    try {
      const known = this.styles.find((style) => style.id === id);
      const info = this.server ? await api.rename(id, name) : { ...known!, name };
      this.styles = this.styles.map((style) => (style.id === id ? info : style));
    } catch (error) {
      this.tell(error);
    }
  }

  async keepMixture(name: string): Promise<void> {
    try {
      const info = await api.keepMixture(
        this.mix.filter((one) => one.weight > 0),
        name,
      );
      this.styles = [info, ...this.styles];
    } catch (error) {
      this.tell(error);
    }
  }

  // Rendering

  private readonly settled: (() => void)[] = [];

  /** Show the picture as it should be now. */
  render(): void {
    this.wanted = true;
    void this.loop();
  }

  /** The same, and wait until it is shown. */
  rendered(): Promise<void> {
    return new Promise((resolve) => {
      this.settled.push(resolve);
      this.render();
    });
  }

  /** Wait until the picture is shown as it should be, and somebody sees it. */
  async rested(): Promise<void> {
    if (this.looping) await new Promise<void>((resolve) => this.settled.push(resolve));
    await visible();
  }

  /** Moving pictures have the painter for themselves until they end. */
  setLive(live: boolean): void {
    if (this.live === live) return;
    this.live = live;
    if (!live) this.render();
  }

  get fullEdge(): number {
    return Math.round(WORKING_EDGE / this.brush);
  }

  private edges(): number[] {
    const full = this.fullEdge;
    const { width, height } = this.photo!;
    const short = Math.min(width, height) / Math.max(width, height);
    if (this.pace === null) return full <= FIRST_EDGE ? [full] : [FIRST_EDGE, full];
    const layers = 1 + this.regions.length;
    const seconds = (layers * full * full * short * this.pace) / (256 * 192);
    const quick = Math.max(QUICK_EDGE, Math.round(full * Math.sqrt(PATIENCE / 2 / seconds)));
    if (seconds <= PATIENCE || quick >= 0.8 * full) return [full];
    return this.dragging ? [quick] : [quick, full];
  }

  private async loop(): Promise<void> {
    if (this.looping || !this.photo || !this.info) return;
    if (this.live) return this.settle();
    this.looping = true;
    this.working = true;
    try {
      while (this.wanted) {
        await visible();
        this.wanted = false;
        for (const edge of this.edges()) {
          const photo: Picture | null = this.photo;
          const painted = await this.paintAt(edge);
          if (photo === this.photo) this.painted = painted;
          if (this.wanted || this.live) break;
        }
      }
    } catch (error) {
      this.tell(error);
    } finally {
      this.looping = false;
      this.working = false;
      this.settle();
    }
    void this.thumbnails.work();
  }

  private settle(): void {
    for (const resolve of this.settled.splice(0)) resolve();
  }

  /** The photograph with its regions, its long edge so long. */
  async paintAt(edge: number): Promise<Pixels> {
    const photo = pixelsOf(this.photo!, edge);
    const regions = this.regions;
    await this.need([...this.mix, ...regions.flatMap((region) => region.mix)]);
    const began = performance.now();
    const below = await this.engine.paint(this.look(), photo);
    const seconds = (performance.now() - began) / 1000;
    const taken = (seconds * 256 * 192) / (photo.width * photo.height);
    // The first pictures take longer: the browser is still compiling for speed.
    const slower = this.pace !== null && taken > this.pace;
    this.pace = slower ? 0.7 * this.pace! + 0.3 * taken : taken;
    if (!regions.length) return below;
    const canvas = new OffscreenCanvas(photo.width, photo.height);
    const context = canvas.getContext("2d")!;
    context.putImageData(imageData(below), 0, 0);
    for (const region of regions) {
      const above = region.mix.length
        ? await this.engine.paint(this.look(region.mix), photo)
        : photo;
      const layer = new OffscreenCanvas(photo.width, photo.height);
      const on = layer.getContext("2d")!;
      on.putImageData(imageData(above), 0, 0);
      on.globalCompositeOperation = "destination-in";
      on.filter = `blur(${FEATHER * Math.max(photo.width, photo.height)}px)`;
      on.drawImage(region.mask, 0, 0, photo.width, photo.height);
      context.drawImage(layer, 0, 0);
    }
    return context.getImageData(0, 0, photo.width, photo.height) as Pixels;
  }

  private async paintThumbnail(style: string, edge: number): Promise<Pixels | null> {
    if (!this.photo) return null;
    const photo = pixelsOf(this.photo, edge);
    const mix = [{ style, weight: 1 }];
    const known = this.styles.find((one) => one.id === style);
    try {
      await this.need(mix);
      const look = { mix, strength: 1, grain: known?.grain ?? 1, keepColor: false };
      return await this.engine.paint(look, photo);
    } catch {
      return photo;
    }
  }

  // Regions

  addRegion(): void {
    if (!this.photo) return;
    const scale = MASK_EDGE / Math.max(this.photo.width, this.photo.height);
    const mask = new OffscreenCanvas(
      Math.max(1, Math.round(this.photo.width * scale)),
      Math.max(1, Math.round(this.photo.height * scale)),
    );
    mask.getContext("2d"); // so that it can be drawn although nothing has been brushed
    const other = this.styles.find((style) => !this.mix.some((one) => one.style === style.id));
    const mix = other ? [{ style: other.id, weight: 1 }] : [];
    const region = { id: ++this.count, mask, mix, strokes: 0 };
    this.regions = [...this.regions, region];
    this.editing = region.id;
  }

  changeRegion(id: number, change: Partial<Region>): void {
    this.regions = this.regions.map((one) => (one.id === id ? { ...one, ...change } : one));
    this.render();
  }

  removeRegion(id: number): void {
    this.regions = this.regions.filter((one) => one.id !== id);
    if (this.editing === id) this.editing = null;
    this.render();
  }

  // Taking it home

  fileName(kind: string): string {
    const name = this.mix.map((one) => this.nameOf(one.style)).join("-");
    return (
      `${this.photo?.name ?? "picture"}-${name}`.toLowerCase().replace(/[^a-z0-9]+/g, "-") +
      `.${kind}`
    );
  }

  async saveShown(format: Format): Promise<void> {
    const type = { png: "image/png", jpg: "image/jpeg", webp: "image/webp" }[format];
    try {
      saveBlob(await encode(await this.paintAt(this.fullEdge), type), this.fileName(format));
    } catch (error) {
      this.tell(error);
    }
  }

  async copy(): Promise<boolean> {
    try {
      const picture = this.paintAt(this.fullEdge).then((pixels) => encode(pixels, "image/png"));
      await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
      return true;
    } catch (error) {
      this.tell(error);
      return false;
    }
  }

  /** Have the server paint the photograph at full size, and save the result. */
  async saveFull(format: Format, size: number | null): Promise<void> {
    if (!this.photo) return;
    try {
      const photo = await this.upload(this.photo);
      const regions = await Promise.all(
        this.regions.map(async (region) => ({
          mask: (await api.upload(await maskFile(region.mask), "mask.png")).id,
          styles: region.mix,
        })),
      );
      const wanted = { ...this.lookRequest(), photo, regions, size, format };
      const name = this.fileName(format);
      this.fullSize = await api.paint(wanted);
      api.follow(this.fullSize.id, (state) => {
        this.fullSize = state;
        if (state.state === "queued" || state.state === "running") return;
        this.fullSize = null;
        if (state.state === "failed") this.tell(state.error);
        else if (state.state === "done")
          void fetch(api.resultAddress(state.id))
            .then((answer) => answer.blob())
            .then((blob) => saveBlob(blob, name));
      });
    } catch (error) {
      this.tell(error);
    }
  }

  lookRequest() {
    return {
      styles: this.mix.filter((one) => one.weight > 0),
      strength: this.strength,
      brush: this.brush,
      grain: this.grain,
      keep_color: this.keepColor,
    };
  }

  /** The command line that paints the same. */
  command(): string {
    const quoted = (word: string) =>
      /^[\w.:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
    const parts = shares(this.mix.map((one) => one.weight));
    const words = ["metastyle", "stylize", quoted(`${this.photo?.name ?? "photo"}.jpg`)];
    this.mix.forEach((one, index) => {
      const known = this.styles.find((style) => style.id === one.style);
      const style =
        known?.origin === "builtin" ? one.style : `${known?.name ?? "style"}.safetensors`;
      const weight = this.mix.length > 1 ? `:${+parts[index]!.toFixed(3)}` : "";
      words.push("--style", quoted(style + weight));
    });
    if (this.strength !== 1) words.push("--strength", String(this.strength));
    words.push("--brush", String(+this.brush.toFixed(3)));
    if (this.grain !== null) words.push("--grain", String(this.grain));
    if (this.keepColor) words.push("--keep-color");
    this.regions.forEach((region, index) => {
      const id = region.mix[0]?.style;
      if (id) words.push("--mask", quoted(`region-${index + 1}.png=${id}`));
    });
    return words.join(" ");
  }
}

/** A region as the library reads masks: white inside, black outside. */
async function maskFile(mask: OffscreenCanvas): Promise<Blob> {
  const canvas = new OffscreenCanvas(mask.width, mask.height);
  const context = canvas.getContext("2d")!;
  context.fillStyle = "black";
  context.fillRect(0, 0, mask.width, mask.height);
  context.drawImage(mask, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
