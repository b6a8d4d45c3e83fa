import { describe, expect, it } from "vitest";
import { fractalNoise } from "../src/lib/grain";
import { fromHalf, toHalf } from "../src/lib/half";
import {
  cropOf,
  OWN_ZOOM,
  rateAt,
  shuffled,
  writeStyle,
  type RefinementSettings,
} from "../src/lib/refining";
import { expand, parseStyle, type Model } from "../src/lib/styles";
import cases from "./cases.json";

const settings: RefinementSettings = {
  size: 128,
  momenta: 1,
  squares: 1,
  rate: 1e-3,
  warm_up: 5,
  grain: 1,
  pool: 24,
  steps: { draft: 15, normal: 60, fine: 240 },
};

/** Numbers below 1 that are the same in every run. */
function chance(): () => number {
  let state = 1;
  return () => (state = (16807 * state) % 2147483647) / 2147483647;
}

describe("what Python computes", () => {
  it("is the same rate at every step", () => {
    cases.rates.forEach((rate, i) =>
      expect(rateAt(i + 1, cases.rates.length, settings)).toBeCloseTo(rate, 8),
    );
  });

  it("is the same noise with another seed", () => {
    const noise = fractalNoise(70, 90, 17);
    for (const [channel, y, x, value] of cases.other_noise)
      expect(noise[(channel! * 70 + y!) * 90 + x!]).toBeCloseTo(value!, 4);
  });

  it("is rounded to the same float16", () => {
    const { numbers, bits } = cases.halves;
    expect([...toHalf(Float32Array.from(numbers))]).toEqual(bits);
  });
});

it("writes every float16 number as it is, and nothing beyond them", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
    (i) => (i & 0x7c00) !== 0x7c00,
  );
  expect(toHalf(fromHalf(all.buffer))).toEqual(all);
  for (const beyond of [65520, -1e9, Infinity, NaN])
    expect(() => toHalf(Float32Array.of(beyond))).toThrow("beyond");
});

it("shows every content before any comes again", () => {
  const order = shuffled(7, chance());
  const rounds = [0, 1].map(() => Array.from({ length: 7 }, () => order.next().value as number));
  for (const round of rounds) expect([...round].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(rounds[0]).not.toEqual(rounds[1]);
});

it("takes crops as large as the library's", () => expect(OWN_ZOOM).toBe(cases.constants.zoom));

it.each([
  [1024, 680],
  [300, 900],
  [150, 128],
  [40, 60],
])("takes squares from a photograph of %i x %i", (width, height) => {
  const random = chance();
  const crops = Array.from({ length: 200 }, () => cropOf(width, height, 128, random));
  const shorter = Math.min(width, height);
  for (const { left, top, side } of crops) {
    expect(Math.min(left, top)).toBeGreaterThanOrEqual(0);
    expect(left + side).toBeLessThanOrEqual(width);
    expect(top + side).toBeLessThanOrEqual(height);
    expect(side).toBeGreaterThanOrEqual(Math.min(shorter, 127));
    expect(side).toBeGreaterThanOrEqual(Math.floor(shorter / OWN_ZOOM));
  }
  const mirrored = crops.filter((crop) => crop.mirrored).length;
  expect(mirrored).toBeGreaterThan(50);
  expect(mirrored).toBeLessThan(150);
});

it("writes style files that it and Python can read", async () => {
  const model: Model = {
    base: cases.file.base,
    segments: [
      ["out.weight", [3, 1, 1, 1], 0],
      ["out.bias", [3], 3],
    ],
    norms: [],
    low_rank_scale: 4,
  };
  const parameters = Float32Array.from(cases.file.parameters);
  const about = {
    painting: cases.file.painting,
    sha256: cases.file.painting_sha256,
    settings: { grain: 1 },
    curve: [[1, 3, 1, 2]] as [number, number, number, number][],
  };
  const file = parseStyle(await writeStyle(parameters, model, about));
  expect(expand(file, model, new Float32Array(6))).toEqual(parameters);
  expect(file.metadata.painting).toBe(about.painting);
  expect(file.metadata.checksum).toBe(cases.file.checksum);
  expect(JSON.parse(file.metadata.curve!)).toEqual(about.curve);
});
