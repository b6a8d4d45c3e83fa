/** A point among styles on a square, and what each style's part is there. */

type Point = [number, number];

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
