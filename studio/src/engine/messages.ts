/** What the page and its rendering worker say to each other. */

import type { Pixels } from "../lib/pixels";
import type { About, RefinementSettings } from "../lib/refining";
import type { Weighted } from "../lib/styles";

export type Backend = "webgpu" | "wasm";

export interface EngineInfo {
  backend: Backend;
  threads: number;
  /** Whether another backend was there to be measured. */
  compared: boolean;
}

export interface Look {
  mix: Weighted[];
  strength: number;
  grain: number;
  keepColor: boolean;
}

export type Order =
  | { kind: "start"; base: string; wanted: string | null }
  | { kind: "faster" }
  | { kind: "style"; id: string; file: ArrayBuffer }
  | { kind: "parameters"; id: string; halves: ArrayBuffer }
  | { kind: "describe"; id: string; painting: Pixels }
  | { kind: "forget"; id: string }
  | { kind: "study"; id: string; painting: Pixels }
  | ({ kind: "refine" } & Refine)
  | { kind: "state" }
  | { kind: "step"; steps: number }
  | { kind: "refined" }
  | { kind: "file"; id: string; about: About }
  | { kind: "blend"; id: string; mix: Weighted[] }
  | { kind: "paint"; look: Look; photo: Pixels }
  | { kind: "frame"; look: Look; photo: Pixels; fresh: boolean };

/** A refinement to begin: of a style, as another one or in its place, or from where it was. */
export interface Refine {
  from: string;
  id: string;
  settings: RefinementSettings;
  contents: Pixels[];
  state?: RefinementState;
}

/** All that steps change. */
export interface RefinementState {
  step: number;
  parameters: Float32Array;
  momenta: Float32Array;
  squares: Float32Array;
}

/** After a step of refinement. */
export interface Step {
  step: number;
  content: number;
  style: number;
}

/** A mixture as a style of its own. */
export interface Blended {
  file: ArrayBuffer;
  recipe: string;
  grain: number;
}

export type Request = Order & { number: number };
export interface Reply {
  number: number;
  value?: unknown;
  error?: string;
}
