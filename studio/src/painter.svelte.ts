/** The photograph painted as it should look now: small at once, then larger. */

import { USUAL } from "./lib/grain";
import { imageData, pixelsOf, type Picture } from "./lib/pictures";
import type { Pixels } from "./lib/pixels";
import { visible } from "./lib/visible";
import { keepLook } from "./session";
import type { Studio } from "./studio.svelte";

/** Long edge on which strokes of brush 1 are as large as the network paints them. */
const WORKING_EDGE = 1024;
/** Of the very first picture, when nothing is compiled for speed yet and nobody knows how long it takes. */
const FIRST_EDGE = 160;
const QUICK_EDGE = 208;
/** A picture that would take longer is shown smaller first. */
const PATIENCE = 0.6;
/** The softness of a region's edge, as a share of the long edge. */
const FEATHER = 0.01;

export class Painter {
  painted = $state.raw<Pixels | null>(null);
  working = $state(false);
  /** Seconds that 256 x 192 pixels take, as long as anything has been painted. */
  pace = $state<number | null>(null);
  /** Moving pictures are being painted: still ones wait. */
  private live = false;
  private wanted = false;
  /** Somebody waits to see what has changed, even if it is small at first. */
  private quick = false;
  private looping = false;
  private dragging = false;
  private readonly settled: (() => void)[] = [];

  constructor(private readonly studio: Studio) {}

  /** Nothing is being painted. */
  get free(): boolean {
    return !this.looping && !this.live;
  }

  /** The long edge that is shown in the end: smaller with a broader brush. */
  get fullEdge(): number {
    return Math.round(WORKING_EDGE / this.studio.brush);
  }

  /** Show the picture as it should be now. */
  render(quick = true): void {
    this.wanted = true;
    this.quick ||= quick;
    if (this.studio.info) keepLook(this.studio);
    void this.loop();
  }

  /** The same, and wait until it is shown; unless quick, a sharp picture is not replaced by a small one first. */
  rendered(quick: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.settled.push(resolve);
      this.render(quick);
    });
  }

  /** Wait until the picture is shown as it should be, and somebody sees it. */
  async rested(): Promise<void> {
    if (this.looping) await new Promise<void>((resolve) => this.settled.push(resolve));
    await visible();
  }

  /** While something is dragged, pictures are small and quick. */
  drag(dragging: boolean): void {
    this.dragging = dragging;
    if (!dragging) this.render();
  }

  /** Moving pictures have the painter for themselves until they end. */
  setLive(live: boolean): void {
    if (this.live === live) return;
    this.live = live;
    if (!live) this.render();
  }

  private edges(): number[] {
    const full = this.fullEdge;
    const { quick: hurried } = this;
    this.quick = false;
    if (!hurried && this.painted) return [full];
    const { width, height } = this.studio.photo!;
    const short = Math.min(width, height) / Math.max(width, height);
    if (this.pace === null) return full <= FIRST_EDGE ? [full] : [FIRST_EDGE, full];
    const layers = 1 + this.studio.regions.all.length;
    const seconds = (layers * full * full * short * this.pace) / (256 * 192);
    const quick = Math.max(QUICK_EDGE, Math.round(full * Math.sqrt(PATIENCE / 2 / seconds)));
    if (seconds <= PATIENCE || quick >= 0.8 * full) return [full];
    return this.dragging ? [quick] : [quick, full];
  }

  private async loop(): Promise<void> {
    const { studio } = this;
    if (this.looping || !studio.photo || !studio.info) return;
    if (this.live) return this.settle();
    this.looping = true;
    this.working = true;
    try {
      while (this.wanted) {
        await visible();
        this.wanted = false;
        for (const edge of this.edges()) {
          const photo: Picture | null = studio.photo;
          const painted = await this.paint(edge);
          if (photo === studio.photo) this.painted = painted;
          if (this.wanted || this.live) break;
        }
      }
    } catch (error) {
      studio.tell(error);
    } finally {
      this.looping = false;
      this.working = false;
      this.settle();
    }
    void studio.thumbnails.work();
  }

  private settle(): void {
    for (const resolve of this.settled.splice(0)) resolve();
  }

  /** The photograph with its regions, its long edge so long. */
  async paint(edge: number): Promise<Pixels> {
    const { studio } = this;
    const photo = pixelsOf(studio.photo!, edge);
    const regions = studio.regions.all;
    await studio.styles.need([...studio.mix, ...regions.flatMap((region) => region.mix)]);
    const began = performance.now();
    const below = await studio.engine.paint(studio.look(), photo);
    const seconds = (performance.now() - began) / 1000;
    const taken = (seconds * 256 * 192) / (photo.width * photo.height);
    // The first pictures take longer: the browser is still compiling for speed.
    const slower = this.pace !== null && taken > this.pace;
    this.pace = slower ? 0.7 * this.pace! + 0.3 * taken : taken;
    if (!regions.length) return below;
    const canvas = new OffscreenCanvas(photo.width, photo.height);
    const context = canvas.getContext("2d")!;
    context.putImageData(imageData(below), 0, 0);
    for (const region of regions) {
      const above = region.mix.length
        ? await studio.engine.paint(studio.look(region.mix), photo)
        : photo;
      const layer = new OffscreenCanvas(photo.width, photo.height);
      const on = layer.getContext("2d")!;
      on.putImageData(imageData(above), 0, 0);
      on.globalCompositeOperation = "destination-in";
      on.filter = `blur(${FEATHER * Math.max(photo.width, photo.height)}px)`;
      on.drawImage(region.mask, 0, 0, photo.width, photo.height);
      context.drawImage(layer, 0, 0);
    }
    return context.getImageData(0, 0, photo.width, photo.height) as Pixels;
  }

  /** The photograph in one style, as it is without adjustments; as it was, if the style cannot be had. */
  async preview(style: string, edge: number): Promise<Pixels | null> {
    const { studio } = this;
    if (!studio.photo) return null;
    const photo = pixelsOf(studio.photo, edge);
    const mix = [{ style, weight: 1 }];
    try {
      await studio.styles.need(mix);
      const grain = studio.styles.find(style)?.grain ?? USUAL;
      return await studio.engine.paint({ mix, strength: 1, grain, keepColor: false }, photo);
    } catch {
      return photo;
    }
  }
}
