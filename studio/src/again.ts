/** A job of the server, begun again in the page: with its pictures or its clip, and its look, to be changed. */

import { api, Refusal } from "./api";
import type { ClipInfo, FilmRequest, JobState, LookRequest, PaintRequest } from "./api";
import type { Weighted } from "./lib/styles";
import type { Effort, Studio } from "./studio.svelte";
import { text } from "./text";

/** Raises what is to be told if the page cannot begin with the same again. */
export async function again(studio: Studio, job: JobState): Promise<void> {
  const { request } = job;
  if (job.kind === "film" || job.kind === "preview") {
    const wanted = request as unknown as FilmRequest & { name: string };
    const clip = await clipOf(wanted);
    studio.filming.reopen(clip, wanted);
    useLook(studio, wanted);
    studio.view = "film";
    return;
  }
  if (job.kind === "adapt") {
    const id = String(request.painting);
    studio.painting = await studio.uploads.kept(id, String(request.name));
    studio.effort = request.effort as Effort;
    const style = studio.styles.find(job.result?.style);
    if (style) studio.useStyle(style.id);
  } else {
    const wanted = request as unknown as PaintRequest;
    const photo = await studio.uploads.kept(wanted.photo);
    const regions = await studio.regions.painted(wanted.regions, photo);
    studio.showPhoto(photo, wanted.photo);
    useLook(studio, wanted, wanted.regions);
    studio.regions.set(regions);
  }
  studio.view = "paint";
}

async function clipOf({ clip, name }: { clip: string; name: string }): Promise<ClipInfo> {
  try {
    return await api.clip(clip);
  } catch (error) {
    const gone = error instanceof Refusal && error.status === 404;
    throw gone ? new Error(text.film.gone(name), { cause: error }) : error;
  }
}

function useLook(studio: Studio, look: LookRequest, regions: PaintRequest["regions"] = []): void {
  studio.remember();
  const known = ({ style }: Weighted) => studio.styles.find(style);
  const styles = look.styles.filter(known);
  const all = [...look.styles, ...regions.flatMap((region) => region.styles)];
  if (!all.every(known)) studio.tell(text.work.styleGone);
  if (styles.length) studio.mix = styles;
  studio.strength = look.strength;
  studio.brush = look.brush ?? studio.brush;
  studio.grain = look.grain;
  studio.keepColor = look.keep_color;
  studio.painter.render();
}
