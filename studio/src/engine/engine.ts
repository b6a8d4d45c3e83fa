/** The page's side of the rendering worker. */

import type { Pixels } from "../lib/pixels";
import type { About } from "../lib/refining";
import type { Weighted } from "../lib/styles";
import type {
  Blended,
  EngineInfo,
  Look,
  Order,
  Refine,
  RefinementState,
  Reply,
  Step,
} from "./messages";

const CHOICE = "backend";

/** What this browser was found to be fastest with. */
function remembered(): string | null {
  const [backend, ...agent] = (localStorage.getItem(CHOICE) ?? "").split(" ");
  return backend && agent.join(" ") === navigator.userAgent ? backend : null;
}

type Waiting = { resolve: (value: unknown) => void; reject: (reason: Error) => void };

export class Engine {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, Waiting>();
  private number = 0;
  readonly ready: Promise<EngineInfo>;

  constructor() {
    this.worker.addEventListener("message", (event: MessageEvent<Reply>) => {
      const { number, value, error } = event.data;
      const waiting = this.waiting.get(number);
      this.waiting.delete(number);
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new Error(error));
    });
    this.worker.addEventListener("error", (event) => {
      for (const waiting of this.waiting.values())
        waiting.reject(new Error(event.message || "rendering has failed"));
      this.waiting.clear();
    });
    const wanted = new URLSearchParams(location.search).get("backend") ?? remembered();
    this.ready = this.ask({ kind: "start", base: document.baseURI, wanted }) as Promise<EngineInfo>;
  }

  /** Find out, once for each browser, whether WebGPU is faster; a second or two where there is one. */
  async faster(): Promise<EngineInfo> {
    const info = (await this.ask({ kind: "faster" })) as EngineInfo;
    if (info.compared) localStorage.setItem(CHOICE, `${info.backend} ${navigator.userAgent}`);
    return info;
  }

  /** Make a style file known; the amount of grain that it was adapted with comes back. */
  async addStyle(id: string, file: ArrayBuffer): Promise<number> {
    return (await this.ask({ kind: "style", id, file }, [file])) as number;
  }

  /** Make all parameters of a style known, float16 in the network's order. */
  async addParameters(id: string, halves: ArrayBuffer): Promise<void> {
    await this.ask({ kind: "parameters", id, halves }, [halves]);
  }

  /** Predict the parameters of a style from its painting, without any steps. */
  async describe(id: string, painting: Pixels): Promise<void> {
    await this.ask({ kind: "describe", id, painting });
  }

  /** Have the painting of a style known that is to be adapted further. */
  async study(id: string, painting: Pixels): Promise<void> {
    await this.ask({ kind: "study", id, painting });
  }

  /** Begin to adapt a style of a painting further. */
  async refine(wanted: Refine): Promise<void> {
    await this.ask({ kind: "refine", ...wanted });
  }

  /** Where the refinement is. */
  async state(): Promise<RefinementState> {
    return (await this.ask({ kind: "state" })) as RefinementState;
  }

  /** The next of so many steps. */
  async step(steps: number): Promise<Step> {
    return (await this.ask({ kind: "step", steps })) as Step;
  }

  /** The last step has been taken. */
  async refined(): Promise<void> {
    await this.ask({ kind: "refined" });
  }

  /** A style as a file. */
  async file(id: string, about: About): Promise<ArrayBuffer> {
    return (await this.ask({ kind: "file", id, about })) as ArrayBuffer;
  }

  /** Mix styles to a new one: its file, what it was mixed of, and its grain. */
  async blend(id: string, mix: Weighted[]): Promise<Blended> {
    return (await this.ask({ kind: "blend", id, mix })) as Blended;
  }

  async forget(id: string): Promise<void> {
    await this.ask({ kind: "forget", id });
  }

  async paint(look: Look, photo: Pixels): Promise<Pixels> {
    return (await this.ask({ kind: "paint", look, photo })) as Pixels;
  }

  async frame(look: Look, photo: Pixels, fresh: boolean): Promise<Pixels> {
    return (await this.ask({ kind: "frame", look, photo, fresh }, [photo.data.buffer])) as Pixels;
  }

  private ask(order: Order, moved: Transferable[] = []): Promise<unknown> {
    const number = ++this.number;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.worker.postMessage({ ...order, number }, moved);
    });
  }
}
