/** Refinement without a server: the page's side of it. An experiment. */

import { api, type StyleInfo } from "./api";
import type { Step } from "./engine/messages";
import { PAINTED } from "./lib/grain";
import { cropped, pixelsOf, squares, type Picture } from "./lib/pictures";
import { cropOf, sha256, type About, type RefinementSettings } from "./lib/refining";
import type { Effort, Studio } from "./studio.svelte";
import { text } from "./text";

/** How long nothing is painted in between, in times of the painting before. */
const RESTS = 3;

/** What is known about a style of a painting, for its file. */
interface Known {
  painting: Picture;
  curve: About["curve"];
  size?: number;
}

export interface Progress {
  id: string;
  name: string;
  steps: number;
  last: Step | null;
  secondsLeft: number | null;
}

export class Refining {
  settings = $state.raw<RefinementSettings | null>(null);
  progress = $state.raw<Progress | null>(null);
  stopping = $state(false);
  private readonly known = new Map<string, Known>();

  constructor(private readonly studio: Studio) {}

  /** A painting was turned into this style. */
  described(id: string, painting: Picture): void {
    this.known.set(id, { painting, curve: [] });
  }

  /** Whether the page can adapt this style further. */
  can(id: string | undefined): boolean {
    return !!this.settings && !this.progress && !!id && this.known.has(id);
  }

  stop(): void {
    this.stopping = true;
  }

  /** Adapt further: what was only described becomes a style of its own, others are adapted in place. */
  async start(from: string, effort: Effort): Promise<void> {
    const { settings, studio } = this;
    const before = this.known.get(from);
    const style = studio.styles.find(from);
    if (!settings || !before || !style || !studio.photo || this.progress) return;
    const fresh = !before.curve.length;
    const id = fresh ? studio.styles.newId() : from;
    const steps = settings.steps[effort];
    const name = fresh ? text.refine.name(style.name) : style.name;
    this.stopping = false;
    this.progress = { id, name, steps, last: null, secondsLeft: null };
    const known: Known = { ...before, curve: [...before.curve], size: settings.size };
    try {
      await studio.engine.refine(from, id, settings, await this.contents(studio.photo, steps));
      const began = performance.now();
      let shown = began;
      let painting = 0;
      for (let step = 1; step <= steps && !this.stopping; step++) {
        const last = await studio.engine.step(steps);
        const { content, style: loss } = last;
        known.curve.push([known.curve.length + 1, content + loss, content, loss]);
        const taken = (performance.now() - began) / 1000;
        this.progress = { ...this.progress, last, secondsLeft: (taken / step) * (steps - step) };
        if (step === 1) {
          if (fresh) this.add({ ...style, id, name, note: text.refine.note });
          this.known.set(id, known);
        }
        const now = performance.now();
        const seen = document.visibilityState === "visible";
        if (seen && studio.shows(id) && now - shown > RESTS * painting) {
          await studio.painter.rendered();
          shown = performance.now();
          painting = shown - now;
        }
      }
    } catch (error) {
      studio.tell(error);
    } finally {
      this.progress = null;
      await studio.engine.refined().catch((error: unknown) => studio.tell(error));
      const refined = studio.styles.find(id);
      if (refined) await this.keep(refined);
      studio.thumbnails.forget(id);
      studio.painter.render();
    }
  }

  /** Keep a style of a painting as it is now. */
  async keep(style: StyleInfo): Promise<void> {
    const known = this.known.get(style.id);
    if (!known) return;
    try {
      const { data } = pixelsOf(known.painting, 512);
      const settings = {
        grain: style.grain / PAINTED, // what it was adapted with
        steps: known.curve.length,
        ...(known.size ? { size: known.size } : {}),
      };
      const about = {
        painting: style.name,
        sha256: await sha256(data),
        settings,
        curve: known.curve,
      };
      await this.studio.styles.keep(style, await this.studio.engine.file(style.id, about));
    } catch (error) {
      this.studio.tell(error);
    }
  }

  private add(info: StyleInfo): void {
    const { studio } = this;
    studio.styles.add(info);
    studio.useStyle(info.id);
  }

  /** Squares of the photograph, and of what comes with the page, as many as the steps can see. */
  private async contents(photo: Picture, steps: number) {
    const { size, pool } = this.settings!;
    const drawn = await squares(await api.contents());
    const count = Math.max(1, Math.min(pool, steps) - drawn.length);
    const crops = Array.from({ length: count }, () =>
      cropped(photo, cropOf(photo.width, photo.height, size), size),
    );
    return [...crops, ...drawn];
  }
}
