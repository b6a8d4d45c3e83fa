/** Every style on the photograph, small: painted when somebody sees it and there is nothing else to do. */

import type { Pixels } from "./lib/pixels";
import { idle, visible } from "./lib/visible";

/** While the processors have other work: how long nothing is painted, in times of the painting before. */
const RESTS = 10;
const LONGEST_REST = 10_000;

interface Known {
  pixels: Pixels;
  /** The photograph that is seen, counted. */
  run: number;
}

export class Thumbnails {
  private pictures = $state.raw<ReadonlyMap<string, Known>>(new Map());
  /** Long edges in which styles are seen just now, by style. */
  private readonly seen = new Map<string, number[]>();
  private painting = false;
  /** Of the photograph: what was begun for another one is dropped. */
  private run = $state(0);

  /**
   * paint: a style on the photograph with a long edge; null where there is no photograph.
   * free: whether nothing more urgent is to be done.
   * shared: whether the processors have other work, too.
   */
  constructor(
    private readonly paint: (style: string, edge: number) => Promise<Pixels | null>,
    private readonly free: () => boolean,
    private readonly shared: () => boolean,
  ) {}

  get(style: string): Pixels | undefined {
    return this.pictures.get(style)?.pixels;
  }

  /** Whether the style is seen on the photograph of now, not on one before. */
  current(style: string): boolean {
    return this.pictures.get(style)?.run === this.run;
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

  /** Another photograph: what is seen of the one before stays until it is painted again. */
  clear(): void {
    this.run++;
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
        const began = performance.now();
        const pixels = await this.paint(...next);
        if (!pixels) return;
        if (run === this.run) this.pictures = new Map(this.pictures).set(next[0], { pixels, run });
        if (!this.shared()) continue;
        const rest = Math.min(LONGEST_REST, RESTS * (performance.now() - began));
        await new Promise((resolve) => setTimeout(resolve, rest));
      }
    } finally {
      this.painting = false;
    }
  }

  private missing(): [string, number] | undefined {
    for (const [style, edges] of this.seen) {
      const known = this.pictures.get(style);
      const edge = Math.max(...edges);
      if (known?.run !== this.run || Math.max(known.pixels.width, known.pixels.height) < edge)
        return [style, edge];
    }
    return undefined;
  }
}
