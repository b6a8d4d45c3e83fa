/** A job of the server, begun again in the page: with its pictures and its look, to be changed. */

import type { JobState, LookRequest } from "./api";
import type { Effort, Studio } from "./studio.svelte";

export async function again(studio: Studio, job: JobState): Promise<void> {
  const { request } = job;
  if (job.kind === "adapt") {
    const id = String(request.painting);
    studio.painting = await studio.uploads.kept(id, String(request.name));
    studio.effort = request.effort as Effort;
    const style = studio.styles.find(job.result?.style);
    if (style) studio.useStyle(style.id);
  } else {
    const look = request as unknown as LookRequest;
    const photo = await studio.uploads.kept(String(request.photo), "again");
    studio.showPhoto(photo);
    studio.remember();
    studio.mix = look.styles.filter((one) => studio.styles.find(one.style));
    studio.strength = look.strength;
    studio.brush = look.brush ?? studio.brush;
    studio.grain = look.grain;
    studio.keepColor = look.keep_color;
    studio.painter.render();
  }
  studio.view = "paint";
}
