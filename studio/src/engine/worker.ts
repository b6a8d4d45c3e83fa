/** Rendering, off the page's own thread: one network whose parameters are inputs. */

import { keepColor } from "../lib/color";
import { addGrain } from "../lib/grain";
import { fromHalf } from "../lib/half";
import { blend, fromPlanes, toPlanes, type Pixels } from "../lib/pixels";
import { blended, grainOf, writeStyle, type Origin } from "../lib/refining";
import {
  expand,
  fold,
  mix,
  parseStyle,
  shares,
  strengthen,
  withNorms,
  type Model,
  type StyleFile,
  type Weighted,
} from "../lib/styles";
import { Refinement } from "./refinement";
import { fetched, Renderer, type Inputs, type Outputs } from "./runtime";
import type { Backend, Blended, EngineInfo, Look, Order, Reply, Request } from "./messages";

const MOST_EXPANDED = 10;
/** Frames after which the statistics of a moving picture are measured again. */
const EVERY = 12;
const TOWARDS = 0.35;

let renderer: Renderer;
let decided = false;
let model: Model;
let theta: Float32Array;
const files = new Map<string, () => Float32Array>();
const expanded = new Map<string, Float32Array>();
/** Gram matrices of paintings that have been described, by style. */
const grams = new Map<string, Float32Array[]>();
/** Where styles come from, for the recipes of mixtures. */
const origins = new Map<string, Origin>();
let refinement: { id: string; running: Refinement } | undefined;
let mixture: { key: string; parameters: Float32Array } | undefined;
let frozen:
  { key: string; statistics: Float32Array; parameters: Float32Array; age: number } | undefined;

/** wanted: the backend that the page's address asks for. */
async function start(base: string, wanted: string | null): Promise<EngineInfo> {
  renderer = new Renderer(base);
  decided = wanted !== null;
  const opened = renderer.session("stylize"); // compiles while the numbers are fetched
  const [layout, numbers] = await Promise.all([
    fetched(new URL("model/model.json", base)),
    fetched(new URL("model/theta.f16", base)),
  ]);
  model = JSON.parse(new TextDecoder().decode(layout));
  theta = fromHalf(numbers);
  await opened;
  if (wanted === "webgpu") await renderer.tryGpu([picture(64, 48), picture(256, 192)], false);
  return info();
}

/** After the first pictures: measure once whether WebGPU is faster, and stay with it. */
async function faster(): Promise<EngineInfo> {
  const sizes: [Inputs, Inputs] = [picture(64, 48), picture(256, 192)];
  const compared = !decided && (await renderer.tryGpu(sizes, true));
  decided = true;
  return info(compared);
}

const info = (compared = false): EngineInfo => ({
  backend: renderer.backend,
  threads: renderer.threads,
  compared,
});

/** Grey, and painted with theta. */
function picture(width: number, height: number): Inputs {
  const grey = new Float32Array(3 * height * width).fill(0.5);
  return { parameters: [theta, [theta.length]], picture: [grey, [1, 3, height, width]] };
}

function styleOf(id: string): Float32Array {
  let known = expanded.get(id);
  if (known) expanded.delete(id);
  else {
    const make = files.get(id);
    if (!make) throw new Error(`there is no style ${id}`);
    known = make();
  }
  expanded.set(id, known);
  if (expanded.size > MOST_EXPANDED) expanded.delete(expanded.keys().next().value!);
  return known;
}

function keep(id: string, make: () => Float32Array): void {
  files.set(id, make);
  expanded.delete(id);
  if (mixture?.key.includes(id)) mixture = undefined;
  if (frozen?.key.includes(id)) frozen = undefined;
}

function parametersOf(look: Look): { key: string; parameters: Float32Array } {
  const used = look.mix.filter((one) => one.weight > 0);
  const key = JSON.stringify([used, Math.max(1, look.strength)]);
  if (mixture?.key !== key) {
    const styles = used.map((one) => styleOf(one.style));
    const mixed = mix(
      styles,
      used.map((one) => one.weight),
    );
    mixture = { key, parameters: strengthen(mixed, theta, look.strength) };
  }
  return mixture;
}

function finished(look: Look, photo: Pixels, planes: Float32Array, width: number): Pixels {
  const painted = fromPlanes(planes, width, photo);
  if (look.keepColor) keepColor(photo.data, painted.data);
  blend(photo, painted, look.strength);
  return painted;
}

async function paint(look: Look, photo: Pixels): Promise<Pixels> {
  if (!look.mix.some((one) => one.weight > 0) || look.strength === 0) return photo;
  const { parameters } = parametersOf(look);
  const planes = toPlanes(photo);
  const { width, height } = planes;
  addGrain(planes.data, height, width, look.grain);
  const output = await renderer.run("stylize", {
    parameters: [parameters, [parameters.length]],
    picture: [planes.data, [1, 3, height, width]],
  });
  return finished(look, photo, output, width);
}

/** One frame of a moving picture: statistics follow slowly, so that it does not flicker. */
async function frame(look: Look, photo: Pixels, fresh: boolean): Promise<Pixels> {
  const { key, parameters } = parametersOf(look);
  const planes = toPlanes(photo);
  const { width, height } = planes;
  addGrain(planes.data, height, width, look.grain);
  const picture: [Float32Array, number[]] = [planes.data, [1, 3, height, width]];
  const at = `${key} ${width}x${height}`;
  if (fresh || frozen?.key !== at || ++frozen.age >= EVERY) {
    const measured = (
      await renderer.run("measure", {
        parameters: [parameters, [parameters.length]],
        picture,
      })
    ).slice();
    const before = fresh || frozen?.key !== at ? undefined : frozen.statistics;
    if (before)
      for (let i = 0; i < measured.length; i++)
        measured[i] = before[i]! + TOWARDS * (measured[i]! - before[i]!);
    frozen = {
      key: at,
      statistics: measured,
      parameters: fold(parameters, measured, model),
      age: 0,
    };
  }
  const output = await renderer.run("frozen", {
    parameters: [frozen.parameters, [frozen.parameters.length]],
    picture,
  });
  return finished(look, photo, output, width);
}

async function describe(painting: Pixels): Promise<Outputs> {
  const planes = toPlanes(painting);
  const size = planes.width * planes.height;
  const data = new Float32Array(3 * painting.width * painting.height);
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < painting.height; y++)
      data.set(
        planes.data.subarray(
          c * size + y * planes.width,
          c * size + y * planes.width + painting.width,
        ),
        (c * painting.height + y) * painting.width,
      );
  const inputs: Inputs = { painting: [data, [1, 3, painting.height, painting.width]] };
  if (renderer.backend === "webgpu") {
    // VGG-16's activations may be too much for a GPU's memory; processors give the same numbers.
    const found = await runOnce("describe", inputs, "webgpu").catch(() => null);
    if (found) return found;
  }
  return runOnce("describe", inputs, "wasm");
}

async function runOnce(name: string, inputs: Inputs, where: Backend): Promise<Outputs> {
  const graph = await renderer.large(name, where);
  try {
    return await graph.run(inputs);
  } finally {
    await graph.release();
  }
}

function originOf({ metadata }: StyleFile): Origin {
  return {
    painting: metadata.painting ?? "",
    sha256: metadata.painting_sha256 ?? "",
    settings: JSON.parse(metadata.settings ?? "{}"),
  };
}

async function keepBlend(id: string, styles: Weighted[]): Promise<Blended> {
  const parts = shares(styles.map((one) => one.weight));
  const parameters = mix(
    styles.map((one) => styleOf(one.style)),
    parts,
  );
  const origin = await blended(styles.map((one, i) => [origins.get(one.style)!, parts[i]!]));
  keep(id, () => parameters);
  origins.set(id, origin);
  const file = await writeStyle(parameters, model, { ...origin, curve: [] });
  return { file, recipe: origin.painting, grain: grainOf(origin) };
}

async function endRefinement(): Promise<void> {
  await refinement?.running.release();
  refinement = undefined;
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "start":
      return start(order.base, order.wanted);
    case "faster":
      return faster();
    case "style": {
      const file = parseStyle(order.file);
      if (file.metadata.base !== model.base) expand(file, model, theta); // says what is wrong
      keep(order.id, () => expand(file, model, theta));
      const origin = originOf(file);
      origins.set(order.id, origin);
      return grainOf(origin);
    }
    case "parameters": {
      const numbers = fromHalf(order.halves);
      if (numbers.length !== theta.length) throw new Error("these are not a style's parameters");
      return keep(order.id, () => numbers);
    }
    case "describe": {
      const { norms, gram1, gram2, gram3, gram4 } = await describe(order.painting);
      grams.set(order.id, [gram1!, gram2!, gram3!, gram4!]);
      return keep(order.id, () => withNorms(norms!, model, theta));
    }
    case "study": {
      if (grams.has(order.id)) return undefined;
      const { gram1, gram2, gram3, gram4 } = await describe(order.painting);
      grams.set(order.id, [gram1!, gram2!, gram3!, gram4!]);
      return undefined;
    }
    case "refine": {
      await endRefinement();
      const known = grams.get(order.from);
      if (!known) throw new Error(`nothing is known about the painting of ${order.from}`);
      const { contents, settings, state } = order;
      const start = state?.parameters ?? styleOf(order.from);
      const running = await Refinement.begin(renderer, start, known, contents, settings, state);
      refinement = { id: order.id, running };
      grams.set(order.id, known);
      const origin = origins.get(order.from);
      if (origin) origins.set(order.id, origin);
      return keep(order.id, () => start);
    }
    case "step": {
      if (!refinement) throw new Error("no style is being refined");
      const { id, running } = refinement;
      const step = await running.next(order.steps);
      const { parameters } = running.state;
      keep(id, () => parameters);
      return step;
    }
    case "state":
      return refinement?.running.state;
    case "refined":
      return endRefinement();
    case "file":
      origins.set(order.id, order.about);
      return writeStyle(styleOf(order.id), model, order.about);
    case "blend":
      return keepBlend(order.id, order.mix);
    case "forget":
      origins.delete(order.id);
      grams.delete(order.id);
      files.delete(order.id);
      expanded.delete(order.id);
      return undefined;
    case "paint":
      return paint(order.look, order.photo);
    case "frame":
      return frame(order.look, order.photo, order.fresh);
  }
}

let last: Promise<void> = Promise.resolve();
self.addEventListener("message", (event: MessageEvent<Request>) => {
  const { number, ...order } = event.data;
  last = last.then(async () => {
    const reply: Reply = { number };
    const moved: Transferable[] = [];
    try {
      reply.value = await obey(order as Order);
      const data = (reply.value as Pixels | undefined)?.data;
      if (data instanceof Uint8ClampedArray) moved.push(data.buffer);
    } catch (error) {
      reply.error = error instanceof Error ? error.message : String(error);
    }
    self.postMessage(reply, { transfer: moved });
  });
});
