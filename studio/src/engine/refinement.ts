/** Adaptation in the page: one step after another, by onnxruntime on processors. */

import { addGrain } from "../lib/grain";
import { toPlanes, type Pixels } from "../lib/pixels";
import { rateAt, shuffled, type RefinementSettings } from "../lib/refining";
import type { RefinementState, Step } from "./messages";
import type { Outputs, Renderer } from "./runtime";

type Large = Awaited<ReturnType<Renderer["large"]>>;

export class Refinement {
  private readonly order: Generator<number>;
  /** Of contents that have been seen. */
  private readonly features = new Map<number, Float32Array>();

  private constructor(
    private readonly refine: Large,
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
      return new Refinement(refine, content, state, grams, contents, settings);
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
    const after: Outputs = await this.refine.run({
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
    });
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

  async release(): Promise<void> {
    await Promise.all([this.refine.release(), this.content.release()]);
  }
}
