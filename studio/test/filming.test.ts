import { expect, test, vi } from "vitest";
import { api } from "../src/api";
import { Filming } from "../src/filming.svelte";
import type { Studio } from "../src/studio.svelte";
import { text } from "../src/text";

const clip = new File(["film"], "clip.mp4");

test("a clip that comes while a film is made, or another is sent, is refused with the reason", async () => {
  const said: unknown[] = [];
  const filming = new Filming({ tell: (line: unknown) => said.push(line) } as unknown as Studio);
  const upload = vi.spyOn(api, "uploadClip");
  filming.sent = 0.5;
  await filming.choose(clip);
  filming.sent = null;
  filming.job = { state: "running" } as NonNullable<Filming["job"]>;
  await filming.choose(clip);
  expect(said).toEqual([text.film.sending, text.film.busy]);
  expect(upload).not.toHaveBeenCalled();
});
