/** Between what a canvas holds and what the network takes. */

export interface Pixels {
  width: number;
  height: number;
  /** RGBA. */
  data: Uint8ClampedArray<ArrayBuffer>;
}

export interface Planes {
  /** Multiples of 4. */
  width: number;
  height: number;
  /** (3, height, width) in [0, 1]. */
  data: Float32Array<ArrayBuffer>;
}

const padded = (size: number): number => Math.ceil(size / 4) * 4;

/** RGBA -> planes, reflected at the right and at the bottom to multiples of 4. */
export function toPlanes(pixels: Pixels): Planes {
  const width = padded(pixels.width);
  const height = padded(pixels.height);
  const size = width * height;
  const data = new Float32Array(3 * size);
  for (let y = 0; y < height; y++) {
    const row = y < pixels.height ? y : 2 * (pixels.height - 1) - y;
    for (let x = 0; x < width; x++) {
      const column = x < pixels.width ? x : 2 * (pixels.width - 1) - x;
      const from = 4 * (row * pixels.width + column);
      const to = y * width + x;
      data[to] = pixels.data[from]! / 255;
      data[size + to] = pixels.data[from + 1]! / 255;
      data[2 * size + to] = pixels.data[from + 2]! / 255;
    }
  }
  return { width, height, data };
}

/** Planes, cropped -> RGBA with the alpha of the photograph. */
export function fromPlanes(planes: Float32Array, width: number, photo: Pixels): Pixels {
  const size = planes.length / 3;
  const data = new Uint8ClampedArray(photo.data.length);
  for (let y = 0; y < photo.height; y++)
    for (let x = 0; x < photo.width; x++) {
      const from = y * width + x;
      const to = 4 * (y * photo.width + x);
      for (let c = 0; c < 3; c++) data[to + c] = Math.floor(planes[c * size + from]! * 255 + 0.5);
      data[to + 3] = photo.data[to + 3]!;
    }
  return { width: photo.width, height: photo.height, data };
}

/** (1 - strength) photo + strength painted, in place in `painted`. */
export function blend(photo: Pixels, painted: Pixels, strength: number): void {
  if (strength >= 1) return;
  for (let i = 0; i < painted.data.length; i++) {
    const from = photo.data[i]!;
    painted.data[i] = Math.round(from + strength * (painted.data[i]! - from));
  }
}

/** The least side of a picture, as the library has it. */
export const SMALLEST = 16;

/** Size with the given long edge, and no side below the least. */
export function fitted(width: number, height: number, edge: number): [number, number] {
  const scale = edge / Math.max(width, height);
  const side = (length: number) => Math.max(SMALLEST, Math.round(length * scale));
  return [side(width), side(height)];
}

/** A mask that is white inside and black outside -> white, and transparent outside; in place. */
export function whiteAsAlpha({ data }: { data: Uint8ClampedArray }): void {
  for (let i = 0; i < data.length; i += 4) {
    data[i + 3] = data[i]!;
    data[i] = data[i + 1] = data[i + 2] = 255;
  }
}
