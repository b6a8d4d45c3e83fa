/** Adapting to the chosen painting: on the server step by step, without one at a glance. */

import { api, type AboutStudio, type JobState, type StyleInfo } from "./api";
import { USUAL } from "./lib/grain";
import type { Picture } from "./lib/pictures";
import { studied } from "./refining.svelte";
import type { Studio } from "./studio.svelte";

/** How long nothing is painted during an adaptation, in times of the painting before, and at most, in ms. */
const RESTS = 3;
const LONGEST_REST = 10_000;

export class Adaptation {
  /** The server's job. */
  job = $state.raw<JobState | null>(null);
  /** The painting's, as long as the page adapts to it. */
  name = $state<string | null>(null);
  /** The state of the parameters that is shown. */
  revision = $state(0);
  /** How long adaptations took here, by effort. */
  seconds = $state.raw<AboutStudio["adaptation_seconds"]>({});
  /** The grain that belongs to these parameters. */
  grain = USUAL;
  private unfollow: (() => void) | null = null;

  constructor(private readonly studio: Studio) {}

  /** Adapt to the painting, from a style if one is named: a first impression at once, then better every second. */
  async start(from?: string): Promise<void> {
    const { studio } = this;
    const { painting } = studio;
    if (!painting) return;
    studio.remember();
    await this.cancel();
    this.name = painting.name;
    try {
      if (studio.server) this.follow(await this.request(painting, from));
      else await this.describe(painting);
    } catch (error) {
      this.name = null;
      studio.tell(error);
    }
  }

  /** Take a style of a painting further, also one of another day. */
  async goOn(style: StyleInfo): Promise<void> {
    try {
      if (style.painting)
        this.studio.painting = await this.studio.uploads.kept(style.painting, style.name);
      await this.start(style.id);
    } catch (error) {
      this.studio.tell(error);
    }
  }

  /** Ask how long adaptations take. */
  async measure(): Promise<void> {
    const about = await api.about().catch(() => null);
    if (about) this.seconds = about.adaptation_seconds;
  }

  /** Keep the style as it is after the current step. */
  async stop(): Promise<void> {
    if (this.job) await api.stop(this.job.id).catch((error: unknown) => this.studio.tell(error));
  }

  async cancel(): Promise<void> {
    if (!this.job) return;
    const { id } = this.job;
    this.unfollow?.();
    this.job = null;
    this.name = null;
    await api.removeJob(id).catch(() => undefined);
  }

  /** After a reload: an adaptation that is still running goes on in front of the user. */
  async resume(): Promise<void> {
    const jobs = await api.jobs();
    const running = jobs.find(
      (job) => job.kind === "adapt" && ["queued", "running"].includes(job.state),
    );
    if (!running || this.job) return;
    this.name = String(running.request.name);
    const painting = this.studio.uploads.kept(String(running.request.painting), this.name);
    this.studio.painting = await painting.catch(() => null);
    this.follow(running);
  }

  private async request(painting: Picture, start?: string): Promise<JobState> {
    const { studio } = this;
    const { name } = painting;
    const id = await studio.uploads.idOf(painting);
    const photos =
      studio.photo && !studio.photo.sample ? [await studio.uploads.idOf(studio.photo)] : [];
    const { effort } = studio;
    return api.adapt({ painting: id, photos, name, effort, ...(start ? { start } : {}) });
  }

  /** Without a server: the style that the network predicts from the painting, without any steps. */
  private async describe(painting: Picture): Promise<void> {
    const { studio } = this;
    const id = studio.styles.newId();
    await studio.engine.ready;
    const pixels = studied(painting);
    await studio.engine.describe(id, pixels);
    const style: StyleInfo = {
      id,
      name: painting.name,
      origin: "painting",
      grain: USUAL,
      note: "",
      painting: null,
    };
    studio.styles.add(style);
    studio.mix = [{ style: id, weight: 1 }];
    this.name = null;
    studio.painter.render();
    await studio.refining.keep(style, { painting: pixels, curve: [] });
  }

  private follow(job: JobState): void {
    const { studio } = this;
    this.unfollow?.();
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
        await studio.engine.ready;
        await studio.engine.addParameters(job.id, await api.parameters(job.id));
        studio.styles.loaded(job.id);
        if (studio.mix[0]?.style !== job.id || studio.mix.length > 1)
          studio.mix = [{ style: job.id, weight: 1 }];
        this.grain = state.progress?.grain ?? USUAL;
        await studio.painter.rendered(shown === 0);
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
    this.unfollow = api.follow(job.id, (state) => {
      this.job = state;
      if (state.state === "running") void show(state);
      else if (state.state === "done") void this.finish(state);
      else if (state.state !== "queued") {
        if (state.state === "failed") studio.tell(state.error);
        this.job = null;
        this.name = null;
        if (studio.mix.some((one) => one.style === job.id)) studio.undo();
      }
    });
  }

  private async finish(state: JobState): Promise<void> {
    const { studio } = this;
    await studio.styles.fetch().catch(() => undefined);
    this.job = null;
    this.name = null;
    void this.measure();
    const id = state.result?.style;
    if (!id) return;
    studio.styles.outdated(id);
    studio.mix = [{ style: id, weight: 1 }];
    studio.painter.render();
  }
}
