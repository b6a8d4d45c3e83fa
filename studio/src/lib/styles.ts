/** Arithmetic of parameters: style files, mixtures, strength, frozen statistics. */

import { fromHalf } from "./half";

export interface Model {
  /** Hash of the initialization that styles have to be made for. */
  base: string;
  /** Name, shape and offset of every parameter in the vector. */
  segments: [string, number[], number][];
  /** Names of the instance-norm parameters, in `describe`'s order. */
  norms: string[];
  low_rank_scale: number;
}

export interface Weighted {
  style: string;
  weight: number;
}

export const count = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

export interface StyleFile {
  metadata: Record<string, string>;
  tensors: Map<string, { shape: number[]; numbers: Float32Array }>;
}

/** Read a safetensors file; raises an Error that says what is wrong. */
export function parseStyle(buffer: ArrayBuffer): StyleFile {
  if (buffer.byteLength < 8) throw new Error("not a style file");
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (length > Math.min(1 << 20, buffer.byteLength - 8)) throw new Error("not a style file");
  type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };
  let header: Record<string, Entry>;
  try {
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  } catch {
    throw new Error("not a style file");
  }
  const metadata = (header.__metadata__ ?? {}) as unknown as Record<string, string>;
  if (metadata.format !== "metastyle-style") throw new Error("not a metastyle style");
  const tensors: StyleFile["tensors"] = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = entry.data_offsets;
    const size = count(entry.shape);
    const width = { F16: 2, F32: 4 }[entry.dtype];
    if (!width || end - begin !== size * width || 8 + length + end > buffer.byteLength)
      throw new Error("the style file is damaged");
    const at = 8 + length + begin;
    const numbers =
      width === 2 ? fromHalf(buffer, at, size) : new Float32Array(buffer.slice(at, at + 4 * size));
    tensors.set(name, { shape: entry.shape, numbers });
  }
  return { metadata, tensors };
}

/** All parameters that a style file stands for, in the model's order. */
export function expand(file: StyleFile, model: Model, theta: Float32Array): Float32Array {
  if (file.metadata.base !== model.base)
    throw new Error("this style was made for another base model: adapt to the painting again");
  const full = theta.slice();
  for (const [name, shape, offset] of model.segments) {
    const own = file.tensors.get(name);
    const up = file.tensors.get(`${name}.up`);
    const down = file.tensors.get(`${name}.down`);
    if (own) {
      if (own.numbers.length !== count(shape)) throw new Error("the style file is damaged");
      full.set(own.numbers, offset);
    } else if (up && down) {
      const [rows, rank] = [up.shape[0]!, up.shape[1]!];
      const columns = down.shape[1]!;
      if (rows * columns !== count(shape)) throw new Error("the style file is damaged");
      for (let row = 0; row < rows; row++)
        for (let r = 0; r < rank; r++) {
          const factor = model.low_rank_scale * up.numbers[row * rank + r]!;
          const to = offset + row * columns;
          const from = r * columns;
          for (let c = 0; c < columns; c++) full[to + c]! += factor * down.numbers[from + c]!;
        }
    }
  }
  return full;
}

/** theta with the instance-norm parameters that `describe` has predicted. */
export function withNorms(norms: Float32Array, model: Model, theta: Float32Array): Float32Array {
  const full = theta.slice();
  const places = new Map(
    model.segments.map(([name, shape, offset]) => [name, [offset, count(shape)]]),
  );
  let at = 0;
  for (const name of model.norms) {
    const [offset, size] = places.get(name)!;
    full.set(norms.subarray(at, at + size!), offset);
    at += size!;
  }
  return full;
}

/** Weights divided by their sum; equal parts where all are 0. */
export function shares(weights: number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => (sum > 0 ? w / sum : 1 / weights.length));
}

/** A convex combination of styles. */
export function mix(styles: Float32Array[], weights: number[]): Float32Array {
  const parts = shares(weights);
  if (styles.length === 1) return styles[0]!;
  const result = new Float32Array(styles[0]!.length);
  styles.forEach((style, index) => {
    const part = parts[index]!;
    if (part !== 0) for (let i = 0; i < result.length; i++) result[i]! += part * style[i]!;
  });
  return result;
}

/** theta + strength (w - theta); up to 1 the pictures are mixed instead. */
export function strengthen(w: Float32Array, theta: Float32Array, strength: number): Float32Array {
  if (strength <= 1) return w;
  const result = new Float32Array(w.length);
  for (let i = 0; i < w.length; i++) result[i] = theta[i]! + strength * (w[i]! - theta[i]!);
  return result;
}

/** Which convolution stands before each instance norm, in the network's order. */
export function pairs(model: Model): [string, string][] {
  const names = new Set(model.segments.map(([name]) => name.replace(/\.(weight|bias)$/, "")));
  return [...names]
    .filter((name) => names.has(`${name}_norm`) || /\.conv\d$/.test(name))
    .map((name) => [
      name,
      names.has(`${name}_norm`) ? `${name}_norm` : name.replace("conv", "norm"),
    ]);
}

/** Parameters whose convolutions have taken over the normalization by recorded statistics. */
export function fold(w: Float32Array, statistics: Float32Array, model: Model): Float32Array {
  const result = w.slice();
  const places = new Map(model.segments.map(([name, shape, offset]) => [name, { shape, offset }]));
  const half = statistics.length / 2;
  let at = 0;
  for (const [conv, norm] of pairs(model)) {
    const weight = places.get(`${conv}.weight`)!;
    const bias = places.get(`${conv}.bias`)!.offset;
    const gamma = places.get(`${norm}.weight`)!.offset;
    const beta = places.get(`${norm}.bias`)!.offset;
    const channels = weight.shape[0]!;
    const each = count(weight.shape) / channels;
    for (let c = 0; c < channels; c++, at++) {
      const scale = w[gamma + c]! / Math.sqrt(statistics[half + at]! + 1e-5);
      result[bias + c] = scale * (w[bias + c]! - statistics[at]!) + w[beta + c]!;
      const from = weight.offset + c * each;
      for (let i = from; i < from + each; i++) result[i] = w[i]! * scale;
    }
  }
  return result;
}
