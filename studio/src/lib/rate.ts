/** How fast, and how many threads. */

export const SLOWEST = 12;
const AIM = 14;
const COMFORTABLE = 18;
const SMALLEST = 96;
const LARGEST = 640;
const MOST_THREADS = 8;
const WINDOW = 8;
/** Milliseconds after which fewer frames will do: nobody waits for eight slow ones. */
const PATIENCE = 1000;

/**
 * The next long edge of a moving picture, a multiple of 16: smaller below twelve frames a second, larger
 * where it will stay above them.
 */
export function rated(edge: number, rate: number): number {
  if (rate >= SLOWEST && rate < COMFORTABLE) return edge;
  const wanted = edge * Math.min(1.3, Math.max(0.5, Math.sqrt(rate / AIM)));
  return Math.min(LARGEST, Math.max(SMALLEST, 16 * Math.floor(wanted / 16)));
}

/** Threads to paint with: a core is left for the page, except that two cores paint together. */
export function threadsFor(cores: number): number {
  return Math.min(MOST_THREADS, cores > 2 ? cores - 1 : Math.max(1, cores || 1));
}

/** Frames a second, over as many frames as the next decision needs. */
export class Meter {
  rate = 0;
  private frames = 0;
  private began = 0;

  /** What follows is not comparable with what was before: another size, or nobody was looking. */
  restart(): void {
    this.frames = 0;
  }

  /** A frame is shown, at a time in milliseconds; whether the rate is known well enough to act on it. */
  frame(now: number): boolean {
    // The first frame after a change pays for the change.
    if (this.frames++ <= 1) this.began = now;
    else this.rate = (1000 * (this.frames - 2)) / (now - this.began);
    const few = this.frames < 3 || now - this.began < PATIENCE;
    if (this.frames < WINDOW + 2 && few) return false;
    this.frames = 1;
    this.began = now;
    return true;
  }
}
