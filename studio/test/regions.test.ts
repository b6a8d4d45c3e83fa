import { beforeEach, expect, test, vi } from "vitest";
import type { KeptRegions } from "../src/kept";
import { MOST_BYTES, MOST_REGIONS, Regions } from "../src/regions.svelte";
import type { Studio } from "../src/studio.svelte";

/** The browser's storage, and how long it takes to write. */
const storage: { regions: KeptRegions | undefined; refuses: boolean } = vi.hoisted(() => ({
  regions: undefined,
  refuses: false,
}));
vi.mock("../src/kept", () => ({
  keptRegions: async () => structuredClone(storage.regions),
  keepRegions: async (regions: KeptRegions) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (storage.refuses) throw new Error("QuotaExceededError");
    storage.regions = regions;
  },
}));

/** A canvas whose content is text. */
class FakeCanvas {
  content = "";
  /** Milliseconds that its file takes. */
  slow = 0;
  constructor(
    public width: number,
    public height: number,
  ) {}
  getContext() {
    return { drawImage: (other: { content: string }) => (this.content = other.content) };
  }
  async convertToBlob() {
    const { content } = this;
    await new Promise((resolve) => setTimeout(resolve, this.slow));
    return new Blob([content]);
  }
}
vi.stubGlobal("OffscreenCanvas", FakeCanvas);
vi.stubGlobal("createImageBitmap", async (file: Blob) => ({ content: await file.text() }));

const file = (name: string) => new File(["photograph"], name, { lastModified: 1 });
const picture = (name: string) => ({ name, file: file(name), width: 640, height: 480 });

/** The page around the regions, as long as it is open. */
function opened(photo: object = picture("lake.jpg"), styles = ["night", "mosaic"]) {
  const told: string[] = [];
  const studio = {
    photo,
    mix: [{ style: "night", weight: 1 }],
    styles: {
      all: styles.map((id) => ({ id })),
      find: (id: string) => (styles.includes(id) ? { id } : undefined),
    },
    painter: { render: () => undefined },
    remember: () => undefined,
    tell: (line: string) => told.push(line),
  };
  return { studio, told, regions: new Regions(studio as unknown as Studio) };
}
type Opened = ReturnType<typeof opened>;

function brush({ regions }: Opened, index: number, content: string, slow = 0): void {
  const { id, strokes } = regions.all[index]!;
  regions.beginStroke(id);
  Object.assign(regions.all[index]!.mask, { content, slow });
  regions.change(id, { strokes: strokes + 1 });
}

/** Everything that is to be written has been. */
const written = () => new Promise((resolve) => setTimeout(resolve, 60));

/** What is there after a reload with this photograph. */
async function reloaded(photo: object = picture("lake.jpg"), styles?: string[]) {
  const page = opened(photo, styles);
  const regions = await page.regions.kept(page.studio.photo as Studio["photo"] & object);
  return regions.map(({ mask, mix }) => [
    (mask as unknown as FakeCanvas).content,
    ...mix.map(({ style }) => style),
  ]);
}

beforeEach(() => {
  storage.regions = undefined;
  storage.refuses = false;
});

test("masks and their styles outlast a reload", async () => {
  const page = opened();
  page.regions.add();
  page.regions.add();
  brush(page, 0, "sky");
  brush(page, 1, "sea");
  page.regions.change(page.regions.all[1]!.id, { mix: [] });
  await written();
  expect(await reloaded()).toEqual([["sky", "mosaic"], ["sea"]]);
});

test("what was last seen is kept, however long the files of earlier strokes take", async () => {
  const page = opened();
  page.regions.add();
  brush(page, 0, "first", 30);
  const first = page.regions.all;
  brush(page, 0, "second");
  await written();
  expect(await reloaded()).toEqual([["second", "mosaic"]]);
  page.regions.set(first); // as Undo does
  await written();
  expect(await reloaded()).toEqual([["first", "mosaic"]]);
  page.regions.remove(page.regions.all[0]!.id);
  await written();
  expect(await reloaded()).toEqual([]);
});

test.each([
  ["its name", picture("wood.jpg")],
  [
    "its bytes",
    { ...picture("lake.jpg"), file: new File(["other"], "lake.jpg", { lastModified: 1 }) },
  ],
  ["being the sample", { ...picture("photograph"), file: new Blob(), sample: true }],
])("regions are not for another photograph, which differs by %s", async (_, other) => {
  const page = opened();
  page.regions.add();
  brush(page, 0, "sky");
  await written();
  expect(await reloaded(other)).toEqual([]);
  expect(await reloaded()).toHaveLength(1);
});

test("regions of the sample outlast a reload; those of a photograph that does not leave the others", async () => {
  const sample = { ...picture("photograph"), file: new Blob(), sample: true };
  const page = opened(sample);
  page.regions.add();
  brush(page, 0, "sky");
  await written();
  page.studio.photo = { ...picture("again"), file: new Blob() };
  page.regions.set([]);
  await written();
  expect(await reloaded(sample)).toEqual([["sky", "mosaic"]]);
});

test("a region whose style is gone shows the photograph, at once and after a reload", async () => {
  const page = opened();
  page.regions.add();
  brush(page, 0, "sky");
  await written();
  expect(await reloaded(picture("lake.jpg"), ["night"])).toEqual([["sky"]]);
  page.regions.forgetStyle("mosaic");
  expect(page.regions.all[0]!.mix).toEqual([]);
});

test("regions of a photograph that the server has are found by its id", async () => {
  const page = opened({ ...picture("again"), file: new Blob(), id: "p1" });
  page.regions.add();
  brush(page, 0, "sky");
  await written();
  expect(await reloaded({ ...picture("again"), file: new Blob(), id: "p1" })).toHaveLength(1);
  expect(await reloaded({ ...picture("again"), file: new Blob(), id: "p2" })).toEqual([]);
});

test("masks are as large as the photograph allows, and there are not too many of them", () => {
  const page = opened();
  for (let i = 0; i < MOST_REGIONS + 3; i++) page.regions.add();
  expect(page.regions.all).toHaveLength(MOST_REGIONS);
  expect([page.regions.all[0]!.mask.width, page.regions.all[0]!.mask.height]).toEqual([1024, 768]);
});

test.each(["too large", "refused"])("masks that are %s are reported, once", async (why) => {
  storage.refuses = why === "refused";
  const page = opened();
  page.regions.add();
  await written();
  const before = storage.regions;
  brush(page, 0, why === "refused" ? "sky" : "x".repeat(MOST_BYTES + 1));
  await written();
  brush(page, 0, why === "refused" ? "sea" : "y".repeat(MOST_BYTES + 1));
  await written();
  expect(page.told).toEqual([expect.stringContaining("does not keep")]);
  expect(storage.regions).toEqual(before);
});
