/** Refinement without a server: the page's side of it. It goes on after a reload. An experiment. */

import { api, type StyleInfo } from "./api";
import type { Step } from "./engine/messages";
import {
  forgetUnfinished,
  keepUnfinished,
  unfinished,
  type Adapted,
  type Unfinished,
} from "./kept";
import { PAINTED } from "./lib/grain";
import { cropped, pixelsOf, squares, type Picture } from "./lib/pictures";
import type { Pixels } from "./lib/pixels";
import { cropOf, sha256, type RefinementSettings } from "./lib/refining";
import type { Effort, Studio } from "./studio.svelte";
import { text } from "./text";

/** How long nothing is painted in between, in times of the painting before. */
const RESTS = 3;
/** Milliseconds of work that a reload may cost. */
const EVERY = 8000;
/** Where the time of a step in this browser is kept, in seconds. */
const PACE = "refinement";
const LOCK = "refinement";

export interface Progress {
  id: string;
  name: string;
  steps: number;
  last: Step | null;
  secondsLeft: number | null;
}

/** A refinement to be run. */
interface Run extends Omit<Unfinished, "state"> {
  from: string;
  state?: Unfinished["state"];
}

export class Refining {
  settings = $state.raw<RefinementSettings | null>(null);
  progress = $state.raw<Progress | null>(null);
  stopping = $state(false);
  /** Seconds of a step, as long as there has been one in this browser. */
  pace = $state(Number(localStorage.getItem(PACE)) || null);

  constructor(private readonly studio: Studio) {}

  /** Whether the page can adapt this style further. */
  can(id: string | undefined): boolean {
    return !!this.settings && !this.progress && !!id && !!this.studio.styles.adapted(id);
  }

  stop(): void {
    this.stopping = true;
  }

  /** Adapt further: what was only described becomes a style of its own, others are adapted in place. */
  async start(from: string, effort: Effort): Promise<void> {
    const { settings, studio } = this;
    const before = studio.styles.adapted(from);
    const style = studio.styles.find(from);
    if (!settings || !before || !style || !studio.photo || this.progress) return;
    const fresh = !before.curve.length;
    const info = fresh
      ? {
          ...style,
          id: studio.styles.newId(),
          name: text.refine.name(style.name),
          note: text.refine.note,
        }
      : style;
    const steps = settings.steps[effort];
    const adapted = { ...before, curve: [...before.curve], size: settings.size };
    this.begin(info, steps);
    try {
      await studio.styles.need([{ style: from, weight: 1 }]);
      const contents = await this.contents(studio.photo, steps);
      const go = () => this.run({ from, info, adapted, steps, contents });
      if ("locks" in navigator) await navigator.locks.request(LOCK, go);
      else await go();
    } catch (error) {
      this.progress = null;
      studio.tell(error);
    }
  }

  /** After a reload: what was under way goes on. */
  async resume(): Promise<void> {
    const left = this.settings ? await unfinished().catch(() => undefined) : undefined;
    if (!left || this.progress) return;
    const go = async () => {
      this.begin(left.info, left.steps);
      await this.run({ ...left, from: left.info.id });
    };
    // Perhaps it has not been interrupted: another window of the page is at it.
    if (!("locks" in navigator)) await go();
    else await navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => lock && go());
  }

  private begin({ id, name }: StyleInfo, steps: number): void {
    this.stopping = false;
    this.progress = { id, name, steps, last: null, secondsLeft: null };
  }

  private async run({ from, info, adapted, steps, contents, state }: Run): Promise<void> {
    const { studio } = this;
    const { engine } = studio;
    const { id } = info;
    const done = state?.step ?? 0;
    const { curve } = adapted;
    let known = false;
    const show = () => {
      if (known) return;
      known = true;
      if (studio.styles.find(id)) studio.styles.loaded(id);
      else studio.styles.add(info);
      studio.useStyle(id);
    };
    try {
      await engine.ready;
      await engine.study(from, adapted.painting);
      const settings = this.settings!;
      await engine.refine({ from, id, settings, contents, ...(state ? { state } : {}) });
      if (state) show();
      const began = performance.now();
      let [shown, saved, painting] = [began, began, 0];
      for (let step = done + 1; step <= steps && !this.stopping; step++) {
        const last = await engine.step(steps);
        const { content, style: loss } = last;
        curve.push([curve.length + 1, content + loss, content, loss]);
        const pace = (performance.now() - began) / 1000 / (step - done);
        this.progress = { ...this.progress!, last, secondsLeft: pace * (steps - step) };
        this.pace = pace;
        show();
        const now = performance.now();
        if (now - saved > EVERY || step === done + 1) {
          const state = await engine.state();
          await keepUnfinished({ info, adapted, steps, contents, state }).catch(() => undefined);
          saved = performance.now();
        }
        const seen = document.visibilityState === "visible";
        if (seen && studio.shows(id) && now - shown > RESTS * painting) {
          await studio.painter.rendered(false);
          shown = performance.now();
          painting = shown - now;
        }
      }
    } catch (error) {
      studio.tell(error);
    } finally {
      if (this.pace) localStorage.setItem(PACE, String(this.pace));
      await engine.refined().catch((error: unknown) => studio.tell(error));
      if (known) await this.keep(info, adapted);
      await forgetUnfinished().catch(() => undefined);
      this.progress = null; // now it can be left
      studio.thumbnails.forget(id);
      studio.painter.render();
    }
  }

  /** Keep a style of a painting as it is now. */
  async keep(style: StyleInfo, adapted: Adapted): Promise<void> {
    const { styles, engine } = this.studio;
    styles.adaptedTo(style.id, adapted);
    try {
      const { painting, curve, size } = adapted;
      const settings = {
        grain: style.grain / PAINTED, // what it was adapted with
        steps: curve.length,
        ...(size ? { size } : {}),
      };
      const about = {
        painting: style.name,
        sha256: await sha256(painting.data),
        settings,
        curve,
      };
      await styles.keep(style, await engine.file(style.id, about));
    } catch (error) {
      this.studio.tell(error);
    }
  }

  /** Squares of the photograph, and of what comes with the page, as many as the steps can see. */
  private async contents(photo: Picture, steps: number): Promise<Pixels[]> {
    const { size, pool } = this.settings!;
    const drawn = await squares(await api.contents());
    const count = Math.max(1, Math.min(pool, steps) - drawn.length);
    const crops = Array.from({ length: count }, () =>
      cropped(photo, cropOf(photo.width, photo.height, size), size),
    );
    return [...crops, ...drawn];
  }
}

/** A painting as it is described and kept. */
export const studied = (painting: Picture): Pixels => pixelsOf(painting, 512);
