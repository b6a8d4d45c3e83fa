/** Arithmetic of refinement: rates, the order of contents, crops, style files. */

import { PAINTED } from "./grain";
import { fromHalf, toHalf } from "./half";
import { count, type Model } from "./styles";

/** How the page adapts without a server, as the library does. */
export interface RefinementSettings {
  /** Side of the square contents, in pixels. */
  size: number;
  /** How many numbers the optimizers' state has. */
  momenta: number;
  squares: number;
  /** Adam's highest learning rate, and over how many steps it rises. */
  rate: number;
  warm_up: number;
  grain: number;
  /** Most contents. */
  pool: number;
  steps: Record<"draft" | "normal" | "fine", number>;
}

/** How much two changes may differ, as a share of their norm: rounding is made larger by the optimizers. */
const SAME = 0.05;

/** Whether two ways of taking a step from the same parameters have come to the same. */
export function sameStep(before: Float32Array, one: Float32Array, other: Float32Array): boolean {
  let [error, change] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    error += (one[i]! - other[i]!) ** 2;
    change += (one[i]! - before[i]!) ** 2;
  }
  return error <= SAME ** 2 * change; // not if there is a number that is none
}

/** The learning rate at a step, from 1: a linear rise, then a linear fall to zero. */
export function rateAt(step: number, steps: number, settings: RefinementSettings): number {
  const rise = settings.warm_up ? Math.min(1, step / settings.warm_up) : 1;
  return settings.rate * rise * (1 - (step - 1) / steps);
}

/** Numbers below `size` in random order, all of them before any comes again. */
export function* shuffled(size: number, random: () => number = Math.random): Generator<number> {
  for (;;) {
    const order = Array.from({ length: size }, (_, i) => i);
    for (let i = size - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    yield* order;
  }
}

export interface Crop {
  left: number;
  top: number;
  side: number;
  mirrored: boolean;
}

/** Largest scale of crops, relative to that at which the shorter side is seen whole. */
export const OWN_ZOOM = 1.5;

/** A random square of a photograph, from its shorter side down to two thirds of it, but not below `size`. */
export function cropOf(
  width: number,
  height: number,
  size: number,
  random: () => number = Math.random,
): Crop {
  const shorter = Math.min(width, height);
  const zoom = 1 + random() * Math.max(0, Math.min(OWN_ZOOM, shorter / size) - 1);
  const side = Math.max(1, Math.floor(shorter / zoom));
  const left = Math.floor(random() * (width - side + 1));
  const top = Math.floor(random() * (height - side + 1));
  return { left, top, side, mirrored: random() < 0.5 };
}

/** Where a style comes from. */
export interface Origin {
  painting: string;
  /** Hexadecimal, of the painting's pixels. */
  sha256: string;
  settings: Record<string, unknown>;
}

/** The amount of grain that a style was adapted with. */
export const adaptedGrain = ({ settings }: Origin): number => Number(settings.grain ?? 0);

/** The amount of grain that pictures are painted with by default. */
export const grainOf = (origin: Origin): number => PAINTED * adaptedGrain(origin);

/** Where a mixture comes from, as the library records it. */
export async function blended(parents: [Origin, number][]): Promise<Origin> {
  const blend = parents.map(([origin, weight]) => ({
    painting: origin.painting,
    painting_sha256: origin.sha256,
    settings: origin.settings,
    weight,
  }));
  const grain = parents.reduce((sum, [origin, weight]) => sum + weight * adaptedGrain(origin), 0);
  return {
    painting: blend.map((one) => `${+one.weight.toPrecision(2)} ${one.painting}`).join(" + "),
    sha256: await sha256(new TextEncoder().encode(JSON.stringify(blend))),
    settings: { blend, grain },
  };
}

export interface About extends Origin {
  /** Step, total, content and style loss. */
  curve: [number, number, number, number][];
}

/** A text as Python's json.dumps writes it. */
const quoted = (text: string): string =>
  JSON.stringify(text).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

export const hexadecimal = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export async function sha256(data: BufferSource): Promise<string> {
  // Browsers have it only on pages that nobody on the way can have changed.
  if (!crypto.subtle) throw new Error("styles can be kept only where the page comes by HTTPS");
  return hexadecimal(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
}

/** What weights/tensor_files.py checks a file with: its numbers, by name, and its metadata. */
async function checksum(
  halves: Uint16Array<ArrayBuffer>,
  model: Model,
  metadata: Record<string, string>,
): Promise<string> {
  const numbers = fromHalf(halves.buffer);
  const parts: Uint8Array[] = [];
  const encoder = new TextEncoder();
  for (const [name, shape, offset] of model.segments.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    parts.push(encoder.encode(`${name} [${shape.join(", ")}]\n`));
    parts.push(new Uint8Array(numbers.buffer, 4 * offset, 4 * count(shape)));
  }
  const digest = await sha256(new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()));
  const entries = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const text = entries.map(([key, value]) => `${quoted(key)}: ${quoted(value)}`).join(", ");
  return sha256(encoder.encode(`${digest}\n{${text}}`));
}

/** All parameters as a style file, in float16, as the command line reads it. */
export async function writeStyle(
  parameters: Float32Array,
  model: Model,
  about: About,
): Promise<ArrayBuffer> {
  const halves = toHalf(parameters);
  const metadata = {
    format: "metastyle-style",
    format_version: "1",
    kind: "all",
    base: model.base,
    painting: about.painting,
    painting_sha256: about.sha256,
    settings: JSON.stringify(about.settings),
    curve: JSON.stringify(about.curve),
  };
  const header: Record<string, unknown> = {
    __metadata__: { ...metadata, checksum: await checksum(halves, model, metadata) },
  };
  for (const [name, shape, offset] of model.segments)
    header[name] = {
      dtype: "F16",
      shape,
      data_offsets: [2 * offset, 2 * (offset + count(shape))],
    };
  const encoded = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(encoded.length / 8) * 8;
  const file = new Uint8Array(8 + length + 2 * halves.length).fill(0x20, 8, 8 + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(encoded, 8);
  file.set(new Uint8Array(halves.buffer), 8 + length);
  return file.buffer;
}
