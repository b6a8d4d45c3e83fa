/** How large a moving picture may be so that it moves. */

export const SLOWEST = 12;
const COMFORTABLE = 20;
const SMALLEST = 96;
const LARGEST = 640;

/** The next long edge, a multiple of 16: smaller below twelve frames a second, larger above twenty. */
export function rated(edge: number, rate: number): number {
  const wanted =
    rate < SLOWEST ? edge * Math.max(0.6, Math.sqrt(rate / (SLOWEST + 2))) : edge * 1.15;
  if (rate >= SLOWEST && rate < COMFORTABLE) return edge;
  return Math.min(LARGEST, Math.max(SMALLEST, 16 * Math.floor(wanted / 16)));
}
