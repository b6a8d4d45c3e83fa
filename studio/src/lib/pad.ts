/** A point among styles on a square, and what each style's part is there. */

type Point = [number, number];

/** Steps along each side of the pad in the search for a point. */
const GRID = 40;

/** Where the styles are: two at the sides, three in a triangle, four in the corners. */
export function corners(count: number): Point[] {
  if (count === 2)
    return [
      [0, 0.5],
      [1, 0.5],
    ];
  if (count === 3)
    return [
      [0.5, 0],
      [1, 1],
      [0, 1],
    ];
  return (
    [
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ] as Point[]
  ).slice(0, count);
}

/** Parts that add up to 1: along the line between two, by inverse squared distance among more. */
export function around(point: Point, places: Point[]): number[] {
  if (places.length === 2) return [1 - point[0], point[0]];
  const distances = places.map(([x, y]) => (x - point[0]) ** 2 + (y - point[1]) ** 2);
  const nearest = distances.findIndex((d) => d < 4e-4);
  if (nearest >= 0) return places.map((_, index) => (index === nearest ? 1 : 0));
  const parts = distances.map((d) => 1 / d);
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / sum);
}

/** Where the point is for these parts of styles at `places`, at least nearly: the opposite of `around`. */
export function pointFor(parts: number[], places: Point[]): Point {
  const only = parts.findIndex((part) => part > 0.999);
  if (only >= 0) return places[only]!;
  if (places.length === 2) return [parts[1]!, 0.5];
  let best: Point = [0.5, 0.5];
  let least = Infinity;
  for (let y = 0; y <= GRID; y++)
    for (let x = 0; x <= GRID; x++) {
      const point: Point = [x / GRID, y / GRID];
      const found = around(point, places);
      const off = found.reduce((sum, part, index) => sum + (part - parts[index]!) ** 2, 0);
      if (off < least) [least, best] = [off, point];
    }
  return best;
}
