/** Taking the result home: as shown, at full size by the server, or as the command line that does the same. */

import { api, type JobState } from "./api";
import { commandLine, maskName } from "./lib/command";
import { encode, saveBlob } from "./lib/pictures";
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
        studio.regions.all.map(async (region) => ({
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

  /** The command line that paints the same, with files for it: styles by their names, masks by numbers. */
  command(): string {
    const { photo, mix, strength, brush, grain, keepColor, regions, styles } = this.studio;
    const file = photo?.file instanceof File ? photo.file.name : `${photo?.name ?? "photo"}.jpg`;
    const painted = { photo: file, mix, strength, brush, grain, keepColor };
    return commandLine({ ...painted, regions: regions.all.map((region) => region.mix) }, (id) => {
      const known = styles.find(id);
      return known?.origin === "builtin" ? id : `${known?.name ?? "style"}.safetensors`;
    });
  }

  /** Save the masks that the command line needs. */
  async masks(): Promise<void> {
    for (const [index, region] of this.studio.regions.all.entries())
      saveBlob(await maskFile(region.mask), maskName(index));
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
