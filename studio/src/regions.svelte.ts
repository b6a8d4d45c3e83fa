/** Parts of the photograph with a style of their own: brushed, and kept for as long as the photograph is. */

import { api, type PaintRequest } from "./api";
import { keepRegions, keptRegions, type KeptRegion } from "./kept";
import type { Picture } from "./lib/pictures";
import { whiteAsAlpha } from "./lib/pixels";
import type { Weighted } from "./lib/styles";
import type { Studio } from "./studio.svelte";
import { text } from "./text";

export interface Region {
  id: number;
  /** White where the region is; transparent elsewhere. */
  mask: OffscreenCanvas;
  mix: Weighted[];
  /** Counts strokes, so that changes are noticed. */
  strokes: number;
}

const MASK_EDGE = 1024;
/** As many as the server paints at full size. */
export const MOST_REGIONS = 8;
/** Of all masks in the browser's storage: brushed ones are a hundredth of it. */
export const MOST_BYTES = 8 << 20;

export class Regions {
  all = $state.raw<Region[]>([]);
  /** The region that is being brushed. */
  editing = $state<number | null>(null);
  private count = 0;
  /** Masks as files: a stroke changes one of them. */
  private readonly files = new WeakMap<OffscreenCanvas, { strokes: number; file: Blob }>();
  private changed = false;
  private keeping = false;
  private refused = false;

  constructor(private readonly studio: Studio) {}

  /** Show these from now on, and after a reload. */
  set(regions: Region[]): void {
    this.all = regions;
    if (!regions.some((region) => region.id === this.editing)) this.editing = null;
    void this.keep();
  }

  add(): void {
    const { photo, styles, mix } = this.studio;
    if (!photo || this.all.length >= MOST_REGIONS) return;
    this.studio.remember();
    const mask = new OffscreenCanvas(...sizeOf(photo));
    mask.getContext("2d"); // so that it can be drawn although nothing has been brushed
    const other = styles.all.find((style) => !mix.some((one) => one.style === style.id));
    const own = other ? [{ style: other.id, weight: 1 }] : [];
    const region = { id: ++this.count, mask, mix: own, strokes: 0 };
    this.set([...this.all, region]);
    this.editing = region.id;
  }

  /** Before a stroke: the mask as it is now stays what Undo goes back to. */
  beginStroke(id: number): void {
    this.studio.remember();
    this.all = this.all.map((one) => {
      if (one.id !== id) return one;
      const mask = new OffscreenCanvas(one.mask.width, one.mask.height);
      mask.getContext("2d")!.drawImage(one.mask, 0, 0);
      return { ...one, mask };
    });
  }

  change(id: number, change: Partial<Region>): void {
    this.set(this.all.map((one) => (one.id === id ? { ...one, ...change } : one)));
    this.studio.painter.render();
  }

  /** Paint a region with a style, or, with none, leave it as photographed. */
  useStyle(id: number, style: string): void {
    this.studio.remember();
    this.change(id, { mix: style ? [{ style, weight: 1 }] : [] });
  }

  remove(id: number): void {
    this.studio.remember();
    this.set(this.all.filter((one) => one.id !== id));
    this.studio.painter.render();
  }

  /** A style is gone: its regions show the photograph as it is. */
  forgetStyle(id: string): void {
    if (!this.all.some((one) => one.mix.some(({ style }) => style === id))) return;
    const without = (mix: Weighted[]) => mix.filter(({ style }) => style !== id);
    this.set(this.all.map((one) => ({ ...one, mix: without(one.mix) })));
    this.studio.painter.render();
  }

  /** What was brushed on this photograph before a reload. */
  async kept(photo: Picture): Promise<Region[]> {
    try {
      const kept = await keptRegions();
      if (!kept || kept.photo !== identity(photo)) return [];
      return await Promise.all(kept.regions.map((region) => this.restored(region, photo)));
    } catch {
      return []; // as for the photograph: the browser keeps nothing
    }
  }

  /** What the server has painted beside the rest of this photograph; raises its refusal if a mask is gone. */
  async painted(wanted: PaintRequest["regions"], photo: Picture): Promise<Region[]> {
    return Promise.all(
      wanted.map(async ({ mask, styles }) => {
        const bitmap = await createImageBitmap(await api.preview(mask));
        return this.region(bitmap, styles, photo, whiteAsAlpha);
      }),
    );
  }

  private async restored({ mask, mix }: KeptRegion, photo: Picture): Promise<Region> {
    return this.region(await createImageBitmap(mask), mix, photo);
  }

  private region(
    bitmap: ImageBitmap,
    styles: Weighted[],
    photo: Picture,
    change?: (pixels: ImageData) => void,
  ): Region {
    const mask = new OffscreenCanvas(...sizeOf(photo));
    const context = mask.getContext("2d")!;
    context.drawImage(bitmap, 0, 0, mask.width, mask.height);
    if (change) {
      const pixels = context.getImageData(0, 0, mask.width, mask.height);
      change(pixels);
      context.putImageData(pixels, 0, 0);
    }
    const mix = styles.filter(({ style }) => this.studio.styles.find(style));
    return { id: ++this.count, mask, mix, strokes: 0 };
  }

  /** One after another, so that the last change is what stays. */
  private async keep(): Promise<void> {
    this.changed = true;
    if (this.keeping) return;
    this.keeping = true;
    try {
      while (this.changed) {
        this.changed = false;
        await this.write();
      }
    } catch {
      if (!this.refused) this.studio.tell(text.masks.notKept);
      this.refused = true;
    } finally {
      this.keeping = false;
    }
  }

  private async write(): Promise<void> {
    const { all } = this;
    const photo = this.studio.photo && identity(this.studio.photo);
    if (!photo) return; // it does not outlast a reload itself
    const masks = await Promise.all(all.map((region) => this.fileOf(region)));
    if (masks.reduce((sum, { size }) => sum + size, 0) > MOST_BYTES)
      throw new Error(text.masks.notKept);
    const regions = all.map(({ mix }, index) => ({ mask: masks[index]!, mix }));
    await keepRegions({ photo, regions });
  }

  private async fileOf({ mask, strokes }: Region): Promise<Blob> {
    const known = this.files.get(mask);
    if (known?.strokes === strokes) return known.file;
    const file = await mask.convertToBlob({ type: "image/png" });
    this.files.set(mask, { strokes, file });
    return file;
  }
}

/** Width and height of the masks of a photograph, in pixels. */
function sizeOf({ width, height }: Picture): [number, number] {
  const scale = MASK_EDGE / Math.max(width, height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** What tells a photograph that outlasts a reload from others; null of one that does not. */
function identity({ file, id, sample }: Picture): string | null {
  if (sample) return "sample";
  if (id) return `server/${id}`;
  return file instanceof File ? `${file.name}/${file.size}/${file.lastModified}` : null;
}
