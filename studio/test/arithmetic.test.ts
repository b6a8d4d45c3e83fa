import { describe, expect, it } from "vitest";
import { keepColor } from "../src/lib/color";
import { addGrain, fractalNoise, USUAL } from "../src/lib/grain";
import { fromHalf } from "../src/lib/half";
import {
  blend,
  fromPlanes,
  SMALLEST,
  toPlanes,
  whiteAsAlpha,
  type Pixels,
} from "../src/lib/pixels";
import {
  expand,
  fold,
  mix,
  pairs,
  parseStyle,
  strengthen,
  withNorms,
  type Model,
} from "../src/lib/styles";
import cases from "./cases.json";

const rgba = (rgb: number[]): Uint8ClampedArray<ArrayBuffer> => {
  const data = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  rgb.forEach((value, i) => (data[Math.floor(i / 3) * 4 + (i % 3)] = value));
  return data;
};

it("makes a mask of the server transparent outside, as regions are", () => {
  const data = rgba([255, 255, 255, 90, 90, 90, 0, 0, 0]);
  whiteAsAlpha({ data });
  expect([...data]).toEqual([255, 255, 255, 255, 255, 255, 255, 90, 255, 255, 255, 0]);
});

describe("what Python computes", () => {
  it("is the same noise", () => {
    const noise = fractalNoise(70, 90);
    for (const [channel, y, x, value] of cases.noise)
      expect(noise[(channel! * 70 + y!) * 90 + x!]).toBeCloseTo(value!, 4);
  });

  it("has the library's usual amount of grain, and its smallest picture", () => {
    expect(USUAL).toBeCloseTo(cases.constants.usual, 9);
    expect(SMALLEST).toBe(cases.constants.smallest);
  });

  it("is the same grain in the same places", () => {
    const { height, width, amount, picture, grained } = cases.grain;
    const planes = Float32Array.from(picture);
    addGrain(planes, height, width, amount);
    const worst = Math.max(...planes.map((v, i) => Math.abs(v - grained[i]!)));
    expect(worst).toBeLessThan(1e-4);
  });

  it("keeps the same colors, within a level", () => {
    const painted = rgba(cases.color.painted);
    keepColor(rgba(cases.color.photo), painted);
    rgba(cases.color.kept).forEach((v, i) =>
      expect(Math.abs(v - painted[i]!)).toBeLessThanOrEqual(1),
    );
  });
});

const model: Model = {
  base: "b",
  segments: [
    ["down1.weight", [2, 1, 1, 2], 0],
    ["down1.bias", [2], 4],
    ["down1_norm.weight", [2], 6],
    ["down1_norm.bias", [2], 8],
    ["out.bias", [1], 10],
  ],
  norms: ["down1_norm.weight", "down1_norm.bias"],
  low_rank_scale: 4,
};

function safetensors(tensors: Record<string, [number[], number[]]>, metadata: object): ArrayBuffer {
  let at = 0;
  const header: Record<string, unknown> = { __metadata__: metadata };
  const numbers: number[] = [];
  for (const [name, [shape, values]] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, (at += 4 * values.length)] };
    numbers.push(...values);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const buffer = new ArrayBuffer(8 + text.length + at);
  new DataView(buffer).setBigUint64(0, BigInt(text.length), true);
  new Uint8Array(buffer, 8).set(text);
  const body = new DataView(buffer, 8 + text.length);
  numbers.forEach((v, i) => body.setFloat32(4 * i, v, true));
  return buffer;
}

const theta = Float32Array.from([1, 2, 3, 4, 0, 0, 1, 1, 0, 0, 9]);
const about = { format: "metastyle-style", base: "b" };

describe("styles", () => {
  it("of low rank are expanded on theta", () => {
    const file = safetensors(
      {
        "down1.weight.up": [
          [2, 1],
          [1, 2],
        ],
        "down1.weight.down": [
          [1, 2],
          [0.5, 1],
        ],
        "out.bias": [[1], [7]],
      },
      about,
    );
    const full = expand(parseStyle(file), model, theta);
    expect([...full]).toEqual([3, 6, 7, 12, 0, 0, 1, 1, 0, 0, 7]);
  });

  it("of another base, foreign and damaged files are refused", () => {
    const foreign = safetensors({}, { ...about, base: "other" });
    expect(() => expand(parseStyle(foreign), model, theta)).toThrow("another base model");
    expect(() => parseStyle(new ArrayBuffer(4))).toThrow("not a style file");
    expect(() => parseStyle(safetensors({}, {}))).toThrow("not a metastyle style");
    const cut = safetensors({ "out.bias": [[1], [7]] }, about).slice(0, -2);
    expect(() => parseStyle(cut)).toThrow("damaged");
    const wide = safetensors({ "out.bias": [[2], [7, 8]] }, about);
    expect(() => expand(parseStyle(wide), model, theta)).toThrow("damaged");
  });

  it("are mixed by their shares and go beyond themselves", () => {
    const [a, b] = [Float32Array.of(1, 0), Float32Array.of(0, 2)];
    expect([...mix([a, b], [3, 1])]).toEqual([0.75, 0.5]);
    expect([...mix([a, b], [0, 0])]).toEqual([0.5, 1]);
    expect([...strengthen(a, b, 1.5)]).toEqual([1.5, -1]);
    expect(strengthen(a, b, 0.5)).toBe(a);
  });

  it("start from predicted norms", () => {
    const full = withNorms(Float32Array.of(5, 6, 7, 8), model, theta);
    expect([...full]).toEqual([1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 9]);
  });

  it("take statistics over", () => {
    expect(pairs(model)).toEqual([["down1", "down1_norm"]]);
    const w = withNorms(Float32Array.of(2, 3, 10, 20), model, theta);
    const folded = fold(w, Float32Array.of(1, 2, 4 - 1e-5, 1 - 1e-5), model);
    expect([...folded].map((v) => Math.round(v * 1e4) / 1e4)).toEqual([
      1, 2, 9, 12, 9, 14, 2, 3, 10, 20, 9,
    ]);
  });
});

describe("pixels", () => {
  const photo: Pixels = {
    width: 5,
    height: 2,
    data: new Uint8ClampedArray(40).map((_, i) => i * 6),
  };

  it("are padded by reflection and come back", () => {
    const planes = toPlanes(photo);
    expect([planes.width, planes.height]).toEqual([8, 4]);
    expect(planes.data[5]).toBe(planes.data[3]);
    expect(planes.data[2 * 8]).toBeCloseTo(planes.data[0]!);
    expect([...fromPlanes(planes.data, planes.width, photo).data]).toEqual([...photo.data]);
  });

  it("are mixed with the photograph", () => {
    const painted = { ...photo, data: photo.data.map(() => 100) as Pixels["data"] };
    blend(photo, painted, 0.5);
    expect(painted.data[4]).toBe(Math.round((24 + 100) / 2));
  });
});

it("reads float16", () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x0000);
  expect([...fromHalf(bits.buffer)]).toEqual([1, -2, 2 ** -24, 65504, 0]);
});
