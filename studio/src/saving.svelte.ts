/** Taking the result home: as shown, at full size by the server, or as the command line that does the same. */

import { api, type JobState } from "./api";
import { encode, saveBlob } from "./lib/pictures";
import { shares } from "./lib/styles";
import type { Studio } from "./studio.svelte";

export type Format = "png" | "jpg" | "webp";

export class Saving {
  format = $state<Format>("jpg");
  /** The server's job of painting at full size. */
  job = $state.raw<JobState | null>(null);

  constructor(private readonly studio: Studio) {}

  fileName(kind: string): string {
    const { mix, photo, styles } = this.studio;
    const name = mix.map((one) => styles.nameOf(one.style)).join("-");
    return (
      `${photo?.name ?? "picture"}-${name}`.toLowerCase().replace(/[^a-z0-9]+/g, "-") + `.${kind}`
    );
  }

  async shown(): Promise<void> {
    const { painter } = this.studio;
    const type = { png: "image/png", jpg: "image/jpeg", webp: "image/webp" }[this.format];
    try {
      const pixels = await painter.paint(painter.fullEdge);
      saveBlob(await encode(pixels, type), this.fileName(this.format));
    } catch (error) {
      this.studio.tell(error);
    }
  }

  /** Copy the picture; the answer says whether it worked. */
  async copy(): Promise<boolean> {
    const { painter } = this.studio;
    try {
      const picture = painter.paint(painter.fullEdge).then((pixels) => encode(pixels, "image/png"));
      await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
      return true;
    } catch (error) {
      this.studio.tell(error);
      return false;
    }
  }

  /** Have the server paint the photograph at full size, or with this long edge, and save the result. */
  async full(size: number | null): Promise<void> {
    const { studio, format } = this;
    if (!studio.photo) return;
    try {
      const photo = await studio.uploads.idOf(studio.photo);
      const regions = await Promise.all(
        studio.regions.map(async (region) => ({
          mask: (await api.upload(await maskFile(region.mask), "mask.png")).id,
          styles: region.mix,
        })),
      );
      const wanted = { ...studio.lookRequest(), photo, regions, size, format };
      const name = this.fileName(format);
      this.job = await api.paint(wanted);
      api.follow(this.job.id, (state) => {
        this.job = state;
        if (state.state === "queued" || state.state === "running") return;
        this.job = null;
        if (state.state === "failed") studio.tell(state.error);
        else if (state.state === "done")
          api.result(state.id).then(
            (blob) => saveBlob(blob, name),
            (error: unknown) => studio.tell(error),
          );
      });
    } catch (error) {
      studio.tell(error);
    }
  }

  /** The picture at full size is no longer wanted. */
  async cancel(): Promise<void> {
    if (this.job)
      await api.removeJob(this.job.id).catch((error: unknown) => this.studio.tell(error));
  }

  /** The command line that paints the same. */
  command(): string {
    const { photo, mix, strength, brush, grain, keepColor, regions, styles } = this.studio;
    const quoted = (word: string) =>
      /^[\w.:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
    const parts = shares(mix.map((one) => one.weight));
    const words = ["metastyle", "stylize", quoted(`${photo?.name ?? "photo"}.jpg`)];
    mix.forEach((one, index) => {
      const known = styles.find(one.style);
      const style =
        known?.origin === "builtin" ? one.style : `${known?.name ?? "style"}.safetensors`;
      const weight = mix.length > 1 ? `:${+parts[index]!.toFixed(3)}` : "";
      words.push("--style", quoted(style + weight));
    });
    if (strength !== 1) words.push("--strength", String(strength));
    words.push("--brush", String(+brush.toFixed(3)));
    if (grain !== null) words.push("--grain", String(grain));
    if (keepColor) words.push("--keep-color");
    regions.forEach((region, index) => {
      const id = region.mix[0]?.style;
      if (id) words.push("--mask", quoted(`region-${index + 1}.png=${id}`));
    });
    return words.join(" ");
  }
}

/** A region as the library reads masks: white inside, black outside. */
async function maskFile(mask: OffscreenCanvas): Promise<Blob> {
  const canvas = new OffscreenCanvas(mask.width, mask.height);
  const context = canvas.getContext("2d")!;
  context.fillStyle = "black";
  context.fillRect(0, 0, mask.width, mask.height);
  context.drawImage(mask, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
