import { expect, it } from "vitest";
import { around, corners, pointFor } from "../src/lib/pad";
import { Meter, rated, threadsFor } from "../src/lib/rate";

it("finds the point for the parts of styles", () => {
  for (const count of [2, 3, 4]) {
    const places = corners(count);
    for (const index of places.keys())
      expect(
        pointFor(
          places.map((_, i) => (i === index ? 1 : 0)),
          places,
        ),
      ).toEqual(places[index]);
    const parts = around(count === 2 ? [0.3, 0.5] : [0.3, 0.6], places);
    around(pointFor(parts, places), places).forEach((part, i) =>
      expect(part).toBeCloseTo(parts[i]!, 2),
    );
  }
});

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
  // Whatever a machine can do, it comes to rest, and not far below what is possible.
  for (const pixels of [0.4e6, 1.2e6, 3e6]) {
    let edge = 224;
    const speed = (e: number) => pixels / (0.75 * e * e);
    for (let step = 0; step < 12; step++) edge = rated(edge, speed(edge));
    expect(rated(edge, speed(edge))).toBe(edge);
    expect(speed(edge)).toBeGreaterThanOrEqual(12);
    expect(speed(edge)).toBeLessThan(19);
  }
});

it("measures the rate over a window, without the frame that a change has slowed", () => {
  const meter = new Meter();
  let now = 0;
  meter.frame((now += 2000));
  let decisions = 0;
  for (let i = 0; i < 20; i++) if (meter.frame((now += 50))) decisions++;
  expect(meter.rate).toBeCloseTo(20);
  expect(decisions).toBe(2);
});

it("does not wait for eight frames that take seconds", () => {
  const meter = new Meter();
  let now = 0;
  const decisions = [1, 2, 3, 4, 5].map(() => meter.frame((now += 1500)));
  expect(decisions).toEqual([false, false, true, false, true]);
  expect(meter.rate).toBeCloseTo(1 / 1.5);
});

it("leaves a core to the page where there are more than two", () => {
  expect([1, 2, 4, 8, 32].map(threadsFor)).toEqual([1, 2, 3, 7, 8]);
  expect(threadsFor(NaN)).toBe(1);
});
