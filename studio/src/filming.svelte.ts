/** A clip and the film that is made of it: it goes on while other views are seen. */

import { api, type ClipInfo, type FilmRequest, type JobState } from "./api";
import type { Studio } from "./studio.svelte";
import { text } from "./text";

export class Filming {
  clip = $state.raw<ClipInfo | null>(null);
  /** Where the page has the clip, or the server. */
  source = $state("");
  /** How much of the clip has been sent, while it is. */
  sent = $state<number | null>(null);
  /** Seconds. */
  begin = $state(0);
  end = $state(0);
  /** Long edge of the film; null is the clip's own. */
  size = $state<number | null>(null);
  smoothing = $state(0.5);
  job = $state.raw<JobState | null>(null);
  /** Where the server has the three frames, and the film. */
  preview = $state("");
  film = $state("");
  /** Where the film begins in the clip, in seconds. */
  filmBegin = 0;
  readonly busy = $derived(this.job?.state === "queued" || this.job?.state === "running");

  constructor(private readonly studio: Studio) {}

  async choose(file: File): Promise<void> {
    if (this.busy || this.sent !== null) {
      this.studio.tell(this.busy ? text.film.busy : text.film.sending);
      return;
    }
    this.sent = 0;
    try {
      this.clip = await api.uploadClip(file, file.name, (share) => (this.sent = share));
      this.forget();
      this.source = URL.createObjectURL(file);
      this.begin = 0;
      this.end = this.clip.seconds ?? 0;
    } catch (error) {
      this.studio.tell(error);
    } finally {
      this.sent = null;
    }
  }

  /** A clip that the server has, with the range, size and smoothing of a film that was made of it. */
  reopen(clip: ClipInfo, { begin, end, size, smoothing }: FilmRequest): void {
    if (this.busy || this.sent !== null) throw new Error(text.film.busy);
    this.forget();
    this.clip = clip;
    this.source = api.clipAddress(clip.id);
    this.begin = begin ?? 0;
    this.end = end ?? clip.seconds ?? 0;
    this.size = size;
    this.smoothing = smoothing;
  }

  leave(): void {
    this.clip = null;
    this.forget();
  }

  /** Remove the clip from the studio's folder. */
  async remove(): Promise<void> {
    if (!this.clip || this.busy) return;
    try {
      await api.removeClip(this.clip.id);
      this.leave();
    } catch (error) {
      this.studio.tell(error);
    }
  }

  private forget(): void {
    if (this.source) URL.revokeObjectURL(this.source);
    this.source = this.preview = this.film = "";
  }

  async go(preview: boolean): Promise<void> {
    const { clip, studio, begin, end, size, smoothing } = this;
    if (!clip) return;
    const edge = size ?? Math.max(clip.width, clip.height);
    try {
      this.job = await api.film({
        ...studio.lookRequest(),
        clip: clip.id,
        brush: studio.painter.fullEdge < edge ? studio.brush : null, // small clips are painted at their own size
        begin: begin > 0 ? begin : null,
        end: clip.seconds !== null && end < clip.seconds ? end : null,
        size,
        smoothing,
        preview,
      });
      api.follow(this.job.id, (state) => {
        this.job = state;
        if (state.state === "failed") studio.tell(state.error);
        if (state.state !== "done") return;
        if (preview) this.preview = api.resultAddress(state.id);
        else {
          this.filmBegin = begin;
          this.film = api.resultAddress(state.id);
        }
      });
    } catch (error) {
      studio.tell(error);
    }
  }

  async cancel(): Promise<void> {
    if (this.job)
      await api.removeJob(this.job.id).catch((error: unknown) => this.studio.tell(error));
  }
}
