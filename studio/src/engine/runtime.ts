/** onnxruntime: WebAssembly at once, WebGPU where the browser has it and it has proved to be faster. */

import * as forProcessors from "onnxruntime-web/wasm";
import wasmGlue from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmBinary from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import jspiGlue from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import jspiBinary from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";
import { threadsFor } from "../lib/rate";
import type { Backend } from "./messages";

type Runtime = typeof forProcessors;
type Session = forProcessors.InferenceSession;
export type Inputs = Record<string, [Float32Array, number[]]>;
export type Outputs = Record<string, Float32Array>;
/** A graph that is run for a while, and then let go of. */
export interface Large {
  run(inputs: Inputs): Promise<Outputs>;
  release(): Promise<void>;
}
/** The graph that there is one form of: it is run once for a picture, on processors. */
const ONE_FORM = "content";

/** Whether WebGPU can be tried: onnxruntime waits for the GPU by JavaScript promise integration. */
async function hasGpu(): Promise<boolean> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
  if (!gpu || !("Suspending" in WebAssembly)) return false;
  return (await gpu.requestAdapter().catch(() => null)) !== null;
}

/** Answers of the studio, or an Error with its own line. */
export async function fetched(address: URL): Promise<ArrayBuffer> {
  const answer = await fetch(address);
  if (answer.ok) return answer.arrayBuffer();
  const text = await answer.text();
  let line = `${address.pathname}: ${answer.status}`;
  try {
    line = JSON.parse(text).error ?? line;
  } catch {
    // not one of the studio's own answers
  }
  throw new Error(line);
}

const feeds = (runtime: Runtime, inputs: Inputs) =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, [data, shape]]) => [
      name,
      new runtime.Tensor("float32", data, shape),
    ]),
  );

export class Renderer {
  readonly threads = self.crossOriginIsolated ? threadsFor(navigator.hardwareConcurrency) : 1;
  backend: Backend = "wasm";
  private runtime: Runtime = forProcessors;
  private readonly sessions = new Map<string, Promise<Session>>();

  constructor(private readonly base: string) {
    this.prepare(forProcessors, wasmGlue, wasmBinary);
  }

  /** A session of the backend in use, opened when it is first needed. */
  session(name: string): Promise<Session> {
    let opened = this.sessions.get(name);
    if (!opened) {
      opened = this.open(this.runtime, name, this.backend);
      opened.catch(() => this.sessions.delete(name));
      this.sessions.set(name, opened);
    }
    return opened;
  }

  async run(name: string, inputs: Inputs): Promise<Float32Array> {
    return this.runOn(this.runtime, await this.session(name), inputs);
  }

  /** A large graph; where it always works, on processors, unless told. */
  async large(name: string, where: Backend = "wasm"): Promise<Large> {
    const runtime = this.runtime;
    const session = await this.open(runtime, name, where);
    return {
      run: async (inputs) => {
        const outputs = await session.run(feeds(runtime, inputs));
        const copied: Outputs = {};
        for (const [key, tensor] of Object.entries(outputs)) {
          copied[key] = ((await tensor.getData()) as Float32Array).slice();
          tensor.dispose();
        }
        return copied;
      },
      release: () => session.release(),
    };
  }

  /**
   * Take WebGPU, if there is one and it paints faster, or without comparison; whether there is one.
   *
   * sizes: inputs of a small and of a usual picture. A GPU that needs longer for the small one than the
   * processor for the usual one is not asked for more.
   */
  async tryGpu(sizes: [Inputs, Inputs], compare: boolean): Promise<boolean> {
    if (this.backend === "webgpu" || !(await hasGpu())) return false;
    const [small, usual] = sizes;
    try {
      const other: Runtime = await import("onnxruntime-web/jspi");
      this.prepare(other, jspiGlue, jspiBinary);
      const session = await this.open(other, "stylize", "webgpu");
      if (compare) {
        const own = await this.session("stylize");
        const limit = await this.seconds(this.runtime, own, usual);
        if ((await this.seconds(other, session, small)) > limit) return true;
        if ((await this.seconds(other, session, usual)) > limit) return true;
      }
      const before = [...this.sessions.values()];
      this.sessions.clear();
      this.sessions.set("stylize", Promise.resolve(session));
      this.runtime = other;
      this.backend = "webgpu";
      for (const opened of before) void opened.then((one) => one.release());
    } catch {
      // a GPU that cannot run the graph is no faster
    }
    return true;
  }

  private prepare(runtime: Runtime, mjs: string, wasm: string): void {
    runtime.env.logLevel = "error";
    runtime.env.wasm.numThreads = this.threads;
    runtime.env.wasm.wasmPaths = {
      mjs: new URL(mjs, self.location.href).href,
      wasm: new URL(wasm, self.location.href).href,
    };
  }

  private async open(runtime: Runtime, name: string, where: Backend): Promise<Session> {
    // Plain convolutions suit GPUs; processors have graphs with fewer multiplications.
    const file = where === "wasm" && name !== ONE_FORM ? `quick-${name}` : name;
    const graph = new Uint8Array(await fetched(new URL(`model/${file}.onnx`, this.base)));
    return runtime.InferenceSession.create(graph, {
      executionProviders: [where],
      logSeverityLevel: 3,
      // Threads that wait in a loop take the cores from the page and from an adaptation.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
  }

  private async runOn(runtime: Runtime, session: Session, inputs: Inputs): Promise<Float32Array> {
    const outputs = await session.run(feeds(runtime, inputs));
    const first = outputs[session.outputNames[0]!]!;
    const data = (await first.getData()) as Float32Array;
    first.dispose();
    return data;
  }

  /** What a picture takes, after a first one. */
  private async seconds(runtime: Runtime, session: Session, inputs: Inputs): Promise<number> {
    await this.runOn(runtime, session, inputs);
    const began = performance.now();
    await this.runOn(runtime, session, inputs);
    return (performance.now() - began) / 1000;
  }
}
