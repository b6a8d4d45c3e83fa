import { expect, test } from "vitest";
import { commandLine, type Painted } from "../src/lib/command";

const plain: Painted = {
  photo: "lake.png",
  mix: [{ style: "night", weight: 1 }],
  strength: 1,
  brush: 2,
  grain: null,
  keepColor: false,
  regions: [],
};
const nameOf = (style: string) => (style === "a1b2" ? "My garden’s.safetensors" : style);

test("one style needs no weight, and what is as usual is not said", () => {
  expect(commandLine(plain, nameOf)).toBe("metastyle stylize lake.png --style night --brush 2");
});

test("a mixture says the parts of the styles that take part", () => {
  const mix = [
    { style: "night", weight: 3 },
    { style: "mosaic", weight: 0 },
    { style: "fauve", weight: 1 },
  ];
  expect(commandLine({ ...plain, mix }, nameOf)).toContain(
    "--style night:0.75 --style fauve:0.25 --brush",
  );
});

test("names are quoted for a shell", () => {
  const mix = [{ style: "a1b2", weight: 1 }];
  const line = commandLine({ ...plain, photo: "it's.jpg", mix }, nameOf);
  expect(line).toContain("stylize 'it'\\''s.jpg' --style 'My garden’s.safetensors'");
});

test("regions name their mask, and a style or the photograph", () => {
  const regions = [[{ style: "mosaic", weight: 1 }], [], [{ style: "a1b2", weight: 1 }]];
  expect(commandLine({ ...plain, regions }, nameOf)).toContain(
    "--mask region-1.png=mosaic --mask region-2.png=photo --mask 'region-3.png=My garden’s.safetensors'",
  );
});

test("adjustments are said", () => {
  const look = { strength: 0.65, brush: 1.6817928, grain: 0, keepColor: true };
  expect(commandLine({ ...plain, ...look }, nameOf)).toContain(
    "--strength 0.65 --brush 1.682 --grain 0 --keep-color",
  );
});
