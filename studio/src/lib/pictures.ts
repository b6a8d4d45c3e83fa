/** Pictures as the browser holds them. */

import { fitted, type Pixels } from "./pixels";
import type { Crop } from "./refining";

export interface Picture {
  name: string;
  bitmap: ImageBitmap;
  width: number;
  height: number;
  file: Blob;
  /** The server's, of a picture that is only there at its full size. */
  id?: string;
  /** Of the sample that comes with the page. */
  sample?: boolean;
}

/** Decode a file; raises what the browser raises. */
export async function decode(file: Blob, name: string): Promise<Picture> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  return { name, bitmap, width: bitmap.width, height: bitmap.height, file };
}

/** The picture's pixels with the given long edge. */
export function pixelsOf(picture: Picture, edge: number): Pixels {
  const [width, height] = fitted(picture.width, picture.height, edge);
  let source: CanvasImageSource = picture.bitmap;
  let [w, h] = [picture.width, picture.height];
  // Halved until it is near: one large step would skip pixels.
  while (w > 2 * width && h > 2 * height) {
    [w, h] = [Math.ceil(w / 2), Math.ceil(h / 2)];
    source = drawn(source, w, h);
  }
  return drawn(source, width, height).getContext("2d")!.getImageData(0, 0, width, height) as Pixels;
}

/** A square of the picture, so many pixels a side. */
export function cropped(picture: Picture, crop: Crop, size: number): Pixels {
  const scale = size / crop.side;
  const edge = Math.round(scale * Math.max(picture.width, picture.height));
  const whole = imageData(pixelsOf(picture, Math.max(edge, size)));
  const source = new OffscreenCanvas(whole.width, whole.height);
  source.getContext("2d")!.putImageData(whole, 0, 0);
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  if (crop.mirrored) context.setTransform(-1, 0, 0, 1, size, 0);
  const [left, top] = [scale * crop.left, scale * crop.top];
  const side = Math.min(size, whole.width - left, whole.height - top);
  context.drawImage(source, left, top, side, side, 0, 0, size, size);
  return context.getImageData(0, 0, size, size) as Pixels;
}

/** Squares that stand one below the other in a picture. */
export async function squares(sheet: Blob): Promise<Pixels[]> {
  const { bitmap, width, height } = await decode(sheet, "contents");
  const context = drawn(bitmap, width, height).getContext("2d")!;
  return Array.from(
    { length: Math.floor(height / width) },
    (_, i) => context.getImageData(0, i * width, width, width) as Pixels,
  );
}

function drawn(source: CanvasImageSource, width: number, height: number): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

export const imageData = (pixels: Pixels): ImageData =>
  new ImageData(pixels.data, pixels.width, pixels.height);

/** Pixels as a file. */
export async function encode(pixels: Pixels, type: string, quality = 0.95): Promise<Blob> {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext("2d")!.putImageData(imageData(pixels), 0, 0);
  return canvas.convertToBlob({ type, quality });
}

/** Let the browser save something under a name. */
export function save(address: string, name: string): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

/** Save bytes under a name. */
export function saveBlob(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
