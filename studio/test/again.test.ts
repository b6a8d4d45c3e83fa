import { beforeEach, expect, test, vi } from "vitest";
import { again } from "../src/again";
import { Refusal, type FilmRequest, type JobState } from "../src/api";
import { Filming } from "../src/filming.svelte";
import type { Studio } from "../src/studio.svelte";

const clips = vi.hoisted(() => ({ answer: (): object => ({}) }));
vi.mock("../src/api", async (original) => ({
  ...(await original<object>()),
  api: { clip: async () => clips.answer(), clipAddress: (id: string) => `clips/${id}` },
}));

const clip = { id: "c1", name: "lake", width: 640, height: 480, seconds: 8, rate: 25 };
const asked: FilmRequest & { name: string } = {
  clip: "c1",
  name: "lake",
  styles: [
    { style: "night", weight: 3 },
    { style: "mosaic", weight: 1 },
  ],
  strength: 0.8,
  brush: 1.5,
  grain: 0.5,
  keep_color: true,
  smoothing: 0.7,
  begin: 1.5,
  end: 4,
  size: 320,
};

const picture: JobState = {
  id: "j2",
  kind: "paint",
  state: "done",
  created: 0,
  progress: null,
  request: {
    photo: "p1",
    styles: [{ style: "night", weight: 1 }],
    regions: [
      { mask: "m1", styles: [{ style: "mosaic", weight: 1 }] },
      { mask: "m2", styles: [] },
    ],
    strength: 0.8,
    brush: 1.5,
    grain: null,
    keep_color: true,
  },
};

function film(change: Partial<FilmRequest> = {}, kind: "film" | "preview" = "film"): JobState {
  const request = { ...asked, ...change };
  return { id: "j1", kind, state: "done", created: 0, request, progress: null };
}

/** The page, with the styles that it has. */
function opened(known = ["night", "mosaic", "fauve"]) {
  const told: unknown[] = [];
  const page = {
    view: "work",
    mix: [{ style: "fauve", weight: 1 }],
    strength: 1,
    brush: 2,
    grain: null as number | null,
    keepColor: false,
    styles: { find: (id: string) => (known.includes(id) ? { id } : undefined) },
    painter: { render: () => undefined },
    remember: () => undefined,
    tell: (line: unknown) => told.push(line),
  };
  const rooms = {
    filming: new Filming(page as unknown as Studio),
    uploads: { kept: async (id: string) => ({ id }) },
    regions: {
      all: [] as object[],
      painted: async (wanted: object[], photo: { id: string }) =>
        wanted.map((one) => ({ ...one, photo: photo.id })),
      set: (regions: object[]) => (rooms.regions.all = regions),
    },
    kept: "",
    showPhoto: (photo: { id: string }, kept: string) => {
      rooms.regions.all = [];
      Object.assign(page, { photo, kept });
    },
  };
  return { page: Object.assign(page, rooms), told };
}
const begin = (page: object, job: JobState) => again(page as Studio, job);

beforeEach(() => {
  clips.answer = () => clip;
});

test.each(["film", "preview"] as const)("a %s is begun again as it was asked for", async (kind) => {
  const { page, told } = opened();
  await begin(page, film({}, kind));
  expect(page).toMatchObject({ view: "film", strength: 0.8, brush: 1.5, grain: 0.5 });
  expect(page).toMatchObject({ keepColor: true, mix: asked.styles });
  const { filming } = page;
  expect(filming).toMatchObject({ clip, begin: 1.5, end: 4, size: 320, smoothing: 0.7 });
  expect(filming).toMatchObject({ source: "clips/c1", film: "", preview: "" });
  expect(told).toEqual([]);
});

test("what a film leaves to its clip stays with the clip", async () => {
  const { page } = opened();
  await begin(page, film({ begin: null, end: null, size: null, brush: null, grain: null }));
  expect(page.filming).toMatchObject({ begin: 0, end: 8, size: null });
  expect(page).toMatchObject({ brush: 2, grain: null });
});

test("a clip that is gone is named, and nothing changes", async () => {
  const { page } = opened();
  const before = { ...page };
  clips.answer = () => {
    throw new Refusal("there is no clip c1: upload it first", 404);
  };
  await expect(begin(page, film())).rejects.toThrow(/clip lake is no longer on the server/);
  expect(page).toEqual(before);
  expect(page.filming.clip).toBeNull();
});

test("other refusals are told as they are", async () => {
  clips.answer = () => {
    throw new Refusal("a token is required", 401);
  };
  await expect(begin(opened().page, film())).rejects.toThrow("a token is required");
});

test("a film that is being made keeps its clip", async () => {
  const { page } = opened();
  page.filming.job = { ...film(), state: "running" };
  await expect(begin(page, film())).rejects.toThrow(/being made/);
  expect(page).toMatchObject({ view: "work", strength: 1 });
});

test.each([
  [["mosaic"], [{ style: "mosaic", weight: 1 }]],
  [["fauve"], [{ style: "fauve", weight: 1 }]],
])("removed styles are reported; with %s, there is something to paint with", async (known, mix) => {
  const { page, told } = opened(known);
  await begin(page, film());
  expect(page.mix).toEqual(mix);
  expect(told).toEqual([expect.stringContaining("removed")]);
});

test("a picture is begun again with its regions, and outlasts a reload where the server has it", async () => {
  const { page, told } = opened();
  await begin(page, picture);
  expect(page).toMatchObject({ view: "paint", photo: { id: "p1" }, kept: "p1", strength: 0.8 });
  const { regions } = picture.request as { regions: object[] };
  expect(page.regions.all).toEqual(regions.map((one) => ({ ...one, photo: "p1" })));
  expect(told).toEqual([]);
});

test("a removed style of a region is reported, too", async () => {
  const { page, told } = opened(["night"]);
  await begin(page, picture);
  expect(told).toEqual([expect.stringContaining("removed")]);
});
