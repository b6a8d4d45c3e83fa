import { expect, it } from "vitest";
import { around, corners } from "../src/lib/pad";
import { rated } from "../src/lib/rate";

it("gives parts of styles around a point", () => {
  expect(around([0.25, 0.9], corners(2))).toEqual([0.75, 0.25]);
  for (const count of [3, 4]) {
    const places = corners(count);
    expect(places).toHaveLength(count);
    const parts = around([0.3, 0.4], places);
    expect(parts.reduce((a, b) => a + b)).toBeCloseTo(1);
    expect(around(places[1]!, places)).toEqual(places.map((_, i) => (i === 1 ? 1 : 0)));
  }
  expect(around([0.5, 0.5], corners(4))).toEqual([0.25, 0.25, 0.25, 0.25]);
});

it("keeps moving pictures moving", () => {
  expect(rated(224, 15)).toBe(224);
  expect(rated(224, 6)).toBeLessThan(160);
  expect(rated(224, 30)).toBeGreaterThan(224);
  expect(rated(96, 1)).toBe(96);
  expect(rated(640, 60)).toBe(640);
});
