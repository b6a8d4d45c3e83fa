/** Every style on the photograph, small: painted when somebody sees it and there is nothing else to do. */

import type { Pixels } from "./lib/pixels";
import { idle, visible } from "./lib/visible";

export class Thumbnails {
  private pictures = $state.raw<ReadonlyMap<string, Pixels>>(new Map());
  /** Long edges in which styles are seen just now, by style. */
  private readonly seen = new Map<string, number[]>();
  private painting = false;
  /** Of the photograph: what was begun for another one is dropped. */
  private run = 0;

  /**
   * paint: a style on the photograph with a long edge; null where there is no photograph.
   * free: whether nothing more urgent is to be done.
   */
  constructor(
    private readonly paint: (style: string, edge: number) => Promise<Pixels | null>,
    private readonly free: () => boolean,
  ) {}

  get(style: string): Pixels | undefined {
    return this.pictures.get(style);
  }

  /** Somebody sees this style with that long edge, until the answer is called. */
  see(style: string, edge: number): () => void {
    this.seen.set(style, [...(this.seen.get(style) ?? []), edge]);
    void this.work();
    return () => {
      const edges = this.seen.get(style) ?? [];
      edges.splice(edges.indexOf(edge), 1);
      if (!edges.length) this.seen.delete(style);
    };
  }

  /** Another photograph. */
  clear(): void {
    this.run++;
    this.pictures = new Map();
  }

  /** A style has changed. */
  forget(style: string): void {
    const pictures = new Map(this.pictures);
    pictures.delete(style);
    this.pictures = pictures;
  }

  /** Paint what is missing, one after another, as long as nothing else is to be done. */
  async work(): Promise<void> {
    if (this.painting) return;
    this.painting = true;
    try {
      for (;;) {
        await visible();
        await idle();
        const next = this.missing();
        if (!next || !this.free()) return;
        const run = this.run;
        const pixels = await this.paint(...next);
        if (!pixels) return;
        if (run === this.run) this.pictures = new Map(this.pictures).set(next[0], pixels);
      }
    } finally {
      this.painting = false;
    }
  }

  private missing(): [string, number] | undefined {
    for (const [style, edges] of this.seen) {
      const known = this.pictures.get(style);
      const edge = Math.max(...edges);
      if (!known || Math.max(known.width, known.height) < edge) return [style, edge];
    }
    return undefined;
  }
}
