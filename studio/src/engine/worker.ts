/** Rendering, off the page's own thread: one network whose parameters are inputs. */

import * as ort from "onnxruntime-web/webgpu";
import { keepColor } from "../lib/color";
import { addGrain } from "../lib/grain";
import { fromHalf } from "../lib/half";
import { blend, fromPlanes, toPlanes, type Pixels } from "../lib/pixels";
import { expand, fold, mix, parseStyle, strengthen, withNorms, type Model } from "../lib/styles";
import type { Backend, EngineInfo, Look, Order, Reply, Request } from "./messages";

const MOST_EXPANDED = 10;
/** Frames after which the statistics of a moving picture are measured again. */
const EVERY = 12;
const TOWARDS = 0.35;

let base = "";
let model: Model;
let theta: Float32Array;
let backend: Backend = "wasm";
const sessions = new Map<string, Promise<ort.InferenceSession>>();
const files = new Map<string, () => Float32Array>();
const expanded = new Map<string, Float32Array>();
let mixture: { key: string; parameters: Float32Array } | undefined;
let frozen:
  { key: string; statistics: Float32Array; parameters: Float32Array; age: number } | undefined;

async function fetched(path: string): Promise<ArrayBuffer> {
  const answer = await fetch(new URL(path, base));
  if (!answer.ok) {
    const text = await answer.text();
    let line = `${path}: ${answer.status}`;
    try {
      line = JSON.parse(text).error ?? line;
    } catch {
      // not one of the studio's own answers
    }
    throw new Error(line);
  }
  return answer.arrayBuffer();
}

async function open(name: string, where: Backend): Promise<ort.InferenceSession> {
  const graph = new Uint8Array(await fetched(`model/${name}.onnx`));
  return ort.InferenceSession.create(graph, { executionProviders: [where], logSeverityLevel: 3 });
}

function session(name: string): Promise<ort.InferenceSession> {
  let opened = sessions.get(name);
  if (!opened) {
    opened = open(name, backend);
    opened.catch(() => sessions.delete(name));
    sessions.set(name, opened);
  }
  return opened;
}

async function run(
  on: ort.InferenceSession,
  inputs: Record<string, [Float32Array, number[]]>,
): Promise<Float32Array> {
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, [data, shape]]) => [
      name,
      new ort.Tensor("float32", data, shape),
    ]),
  );
  const outputs = await on.run(feeds);
  const first = outputs[on.outputNames[0]!]!;
  const data = (await first.getData()) as Float32Array;
  first.dispose();
  return data;
}

async function start(page: string): Promise<EngineInfo> {
  base = page;
  const threads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = {
    mjs: new URL("ort/ort-wasm-simd-threaded.asyncify.mjs", base).href,
    wasm: new URL("ort/ort-wasm-simd-threaded.asyncify.wasm", base).href,
  };
  ort.env.logLevel = "error";
  const [layout, numbers] = await Promise.all([
    fetched("model/model.json"),
    fetched("model/theta.f16"),
  ]);
  model = JSON.parse(new TextDecoder().decode(layout));
  theta = fromHalf(numbers);

  const wasm = await open("stylize", "wasm");
  let best = { backend: "wasm" as Backend, session: wasm, seconds: await seconds(wasm) };
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
  if (gpu && (await gpu.requestAdapter().catch(() => null))) {
    try {
      const other = await open("stylize", "webgpu");
      const taken = await seconds(other);
      if (taken < best.seconds) best = { backend: "webgpu", session: other, seconds: taken };
    } catch {
      // a GPU that cannot run the graph is no faster
    }
  }
  backend = best.backend;
  sessions.set("stylize", Promise.resolve(best.session));
  return { backend, threads, seconds: best.seconds };
}

/** What one picture of 256 x 192 takes, after a first one. */
async function seconds(on: ort.InferenceSession): Promise<number> {
  const [height, width] = [192, 256];
  const picture = new Float32Array(3 * height * width).fill(0.5);
  const inputs: Record<string, [Float32Array, number[]]> = {
    parameters: [theta, [theta.length]],
    picture: [picture, [1, 3, height, width]],
  };
  await run(on, inputs);
  const began = performance.now();
  await run(on, inputs);
  return (performance.now() - began) / 1000;
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
  const output = await run(await session("stylize"), {
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
      await run(await session("measure"), {
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
  const output = await run(await session("frozen"), {
    parameters: [frozen.parameters, [frozen.parameters.length]],
    picture,
  });
  return finished(look, photo, output, width);
}

async function describe(painting: Pixels): Promise<Float32Array> {
  // Seldom used and 17 MB: run where it always works.
  const graph = await open("describe", "wasm");
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
  const norms = (
    await run(graph, { painting: [data, [1, 3, painting.height, painting.width]] })
  ).slice();
  await graph.release();
  return norms;
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "start":
      return start(order.base);
    case "style": {
      const file = parseStyle(order.file);
      if (file.metadata.base !== model.base) expand(file, model, theta); // says what is wrong
      keep(order.id, () => expand(file, model, theta));
      return JSON.parse(file.metadata.settings ?? "{}").grain ?? 0;
    }
    case "parameters": {
      const numbers = fromHalf(order.halves);
      if (numbers.length !== theta.length) throw new Error("these are not a style's parameters");
      return keep(order.id, () => numbers);
    }
    case "describe": {
      const norms = await describe(order.painting);
      return keep(order.id, () => withNorms(norms, model, theta));
    }
    case "forget":
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
