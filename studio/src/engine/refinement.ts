/** Adaptation in the page: one step after another, on processors, or on a GPU where that is faster. */

import { addGrain } from "../lib/grain";
import { toPlanes, type Pixels } from "../lib/pixels";
import { rateAt, sameStep, shuffled, type RefinementSettings } from "../lib/refining";
import type { RefinementState, Step } from "./messages";
import type { Inputs, Large, Outputs, Renderer } from "./runtime";

export class Refinement {
  private readonly order: Generator<number>;
  /** Of contents that have been seen. */
  private readonly features = new Map<number, Float32Array>();

  private constructor(
    private refine: Large,
    /** The same on a GPU, until it is known which is faster. */
    private rival: Large | null,
    private readonly content: Large,
    /** After the last step. */
    public state: RefinementState,
    private readonly grams: Float32Array[],
    private readonly contents: Pixels[],
    private readonly settings: RefinementSettings,
  ) {
    this.order = shuffled(contents.length);
  }

  /** grams: the painting's Gram matrices.  contents: squares of the settings' size.  before: its state, if it goes on. */
  static async begin(
    renderer: Renderer,
    parameters: Float32Array,
    grams: Float32Array[],
    contents: Pixels[],
    settings: RefinementSettings,
    before?: RefinementState,
  ): Promise<Refinement> {
    const state = before ?? {
      step: 0,
      parameters,
      momenta: new Float32Array(settings.momenta),
      squares: new Float32Array(settings.squares),
    };
    const content = await renderer.large("content");
    try {
      const refine = await renderer.large("refine");
      const rival =
        renderer.backend === "webgpu"
          ? await renderer.large("refine", "webgpu").catch(() => null)
          : null;
      return new Refinement(refine, rival, content, state, grams, contents, settings);
    } catch (error) {
      await content.release();
      throw error;
    }
  }

  async next(steps: number): Promise<Step> {
    const { size, grain } = this.settings;
    const index = this.order.next().value as number;
    const { data } = toPlanes(this.contents[index]!);
    const shape = [1, 3, size, size];
    let features = this.features.get(index);
    if (!features) {
      features = (await this.content.run({ picture: [data, shape] })).features!;
      this.features.set(index, features);
    }
    const step = this.state.step + 1;
    addGrain(data, size, size, grain, step);
    const vector = (numbers: Float32Array): [Float32Array, number[]] => [numbers, [numbers.length]];
    const inputs: Inputs = {
      parameters: vector(this.state.parameters),
      momenta: vector(this.state.momenta),
      squares: vector(this.state.squares),
      picture: [data, shape],
      features: [features, [1, (4 * features.length) / (size * size), size / 2, size / 2]],
      step: vector(Float32Array.of(step)),
      rate: vector(Float32Array.of(rateAt(step, steps, this.settings))),
      ...Object.fromEntries(
        this.grams.map((gram, i) => {
          const side = Math.sqrt(gram.length);
          return [`gram${i + 1}`, [gram, [side, side]]];
        }),
      ),
    };
    const after = await (this.rival ? this.decide(inputs, this.rival) : this.refine.run(inputs));
    const [content, style] = after.losses as unknown as [number, number];
    if (!Number.isFinite(content + style)) throw new Error(`the loss became ${content + style}`);
    this.state = {
      step,
      parameters: after.next_parameters!,
      momenta: after.next_momenta!,
      squares: after.next_squares!,
    };
    return { step, content, style };
  }

  /** A step on both: the GPU goes on if it is faster, after it has compiled, and has taken the same step. */
  private async decide(inputs: Inputs, rival: Large): Promise<Outputs> {
    this.rival = null;
    const seconds = async (graph: Large): Promise<[number, Outputs]> => {
      const began = performance.now();
      const after = await graph.run(inputs);
      return [performance.now() - began, after];
    };
    const [limit, after] = await seconds(this.refine);
    let slower = rival;
    try {
      await rival.run(inputs);
      const [taken, its] = await seconds(rival);
      const same = sameStep(this.state.parameters, after.next_parameters!, its.next_parameters!);
      if (taken < limit && same) [this.refine, slower] = [rival, this.refine];
    } catch {
      // a GPU that cannot take the step is no faster
    }
    await slower.release().catch(() => undefined);
    return after;
  }

  async release(): Promise<void> {
    const graphs = [this.refine, this.content, ...(this.rival ? [this.rival] : [])];
    await Promise.all(graphs.map((graph) => graph.release()));
  }
}
