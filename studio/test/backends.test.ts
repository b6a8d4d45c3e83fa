import { expect, test } from "vitest";
import { Refinement } from "../src/engine/refinement";
import type { Inputs, Large, Outputs, Renderer } from "../src/engine/runtime";
import type { Pixels } from "../src/lib/pixels";

const SIZE = 4;
const settings = {
  size: SIZE,
  momenta: 3,
  squares: 2,
  rate: 0.1,
  warm_up: 0,
  grain: 0,
  pool: 1,
  steps: { draft: 1, normal: 2, fine: 3 },
};
const contents = [
  { width: SIZE, height: SIZE, data: new Uint8ClampedArray(4 * SIZE * SIZE) },
] as Pixels[];
const grams = [1, 2, 3, 4].map(() => new Float32Array(4));

/** A graph whose steps are as long and as slow as told; what is done to it is written down. */
function graph(name: string, log: string[], step: number, milliseconds: number): Large {
  return {
    run: async (inputs: Inputs): Promise<Outputs> => {
      log.push(name);
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      if (name === "content") return { features: new Float32Array((SIZE * SIZE) / 4) };
      if (Number.isNaN(step)) throw new Error("the device is lost");
      return {
        next_parameters: inputs.parameters![0].map((p) => p - step),
        next_momenta: new Float32Array(3),
        next_squares: new Float32Array(2),
        losses: Float32Array.of(1, 2),
      };
    },
    release: async () => {
      log.push(`${name} released`);
    },
  };
}

/** Three steps where processors take 40 ms each; the graph that takes the last of them, and what was released. */
async function after(gpu: { step: number; milliseconds: number } | null) {
  const log: string[] = [];
  const renderer = {
    backend: gpu ? "webgpu" : "wasm",
    large: async (name: string, where = "wasm") =>
      name === "content"
        ? graph(name, log, 0, 0)
        : where === "webgpu"
          ? graph("gpu", log, gpu!.step, gpu!.milliseconds)
          : graph("wasm", log, 0.5, 40),
  } as unknown as Renderer;
  const start = new Float32Array(6).fill(1);
  const refinement = await Refinement.begin(renderer, start, grams, contents, settings);
  for (let step = 0; step < 3; step++) await refinement.next(3);
  const last = log.filter((entry) => entry === "wasm" || entry === "gpu").at(-1);
  const released = log.filter((entry) => entry.endsWith("released"));
  await refinement.release();
  return { last, released, parameters: refinement.state.parameters[0], log };
}

test("without a GPU, nothing is compared", async () => {
  const { last, released, log } = await after(null);
  expect(last).toBe("wasm");
  expect(released).toEqual([]);
  expect(log.filter((entry) => entry === "wasm")).toHaveLength(3);
});

test("a faster GPU goes on, from the first step that has been taken once", async () => {
  const { last, released, parameters } = await after({ step: 0.501, milliseconds: 1 });
  expect(last).toBe("gpu");
  expect(released).toEqual(["wasm released"]);
  expect(parameters).toBeCloseTo(1 - 0.5 - 2 * 0.501);
});

test.each([
  ["slower", { step: 0.5, milliseconds: 120 }],
  ["wrong", { step: 0.7, milliseconds: 1 }],
  ["not a number", { step: Infinity, milliseconds: 1 }],
  ["broken", { step: NaN, milliseconds: 1 }],
])("a GPU that is %s is let go of", async (_, gpu) => {
  const { last, released, parameters, log } = await after(gpu);
  expect(last).toBe("wasm");
  expect(released).toEqual(["gpu released"]);
  expect(parameters).toBeCloseTo(1 - 3 * 0.5);
  expect(log.at(-1)).toMatch(/released/);
});
