/** The studio's interface, as the page uses it. */

import type { RefinementSettings } from "./lib/refining";
import type { Weighted } from "./lib/styles";
import { text } from "./text";

export interface StyleInfo {
  id: string;
  name: string;
  origin: "builtin" | "painting" | "mixture" | "imported";
  grain: number;
  note: string;
  painting: string | null;
}

export interface AboutStudio {
  /** How long an adaptation takes by effort, as the last one on this machine did; nothing before one. */
  adaptation_seconds: Partial<Record<"draft" | "normal" | "fine", number>>;
}

export interface PictureInfo {
  id: string;
  name: string;
  width: number;
  height: number;
}

export interface JobProgress {
  revision?: number;
  step?: number;
  steps?: number;
  total?: number;
  seconds_left?: number | null;
  share?: number | null;
  grain?: number;
  frames?: number;
}

export interface JobState {
  id: string;
  kind: "adapt" | "paint" | "film" | "preview";
  state: "queued" | "running" | "done" | "failed" | "canceled";
  created: number;
  request: Record<string, unknown>;
  progress: JobProgress | null;
  error?: string;
  result?: { style?: string; file?: string; width?: number; height?: number; bytes?: number };
}

export interface ClipInfo {
  id: string;
  name: string;
  width: number;
  height: number;
  seconds: number | null;
  rate: number;
}

export interface LookRequest {
  styles: Weighted[];
  strength: number;
  brush: number | null;
  grain: number | null;
  keep_color: boolean;
}

export interface PaintRequest extends LookRequest {
  photo: string;
  /** The id of a mask, white inside, and what is painted there. */
  regions: { mask: string; styles: Weighted[] }[];
  /** Long edge; null is the photograph's own. */
  size: number | null;
  format: string;
}

export interface FilmRequest extends LookRequest {
  clip: string;
  /** Seconds; null is the clip's own beginning or end. */
  begin: number | null;
  end: number | null;
  /** Long edge; null is the clip's own. */
  size: number | null;
  smoothing: number;
}

/** What the server has said instead of doing what it was asked for. */
export class Refusal extends Error {
  constructor(
    line: string,
    readonly status: number,
  ) {
    super(line);
  }
}

const address = (path: string): string => new URL(path, document.baseURI).href;

/** An answer, or a Refusal with the server's own line; an Error if nobody answers. */
async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address(path), options);
  } catch {
    throw new Error(text.errors.offline);
  }
  if (answer.ok) return answer;
  let line = `${path}: ${answer.status}`;
  try {
    line = (await answer.json()).error ?? line;
  } catch {
    // not JSON: the status has to do
  }
  throw new Refusal(line, answer.status);
}

const json = (document: unknown, method = "POST"): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(document),
});

export const api = {
  address,
  site: async (): Promise<{
    server: boolean;
    films?: boolean;
    /** Where there is no server, and the page can adapt by itself. */
    refinement?: RefinementSettings;
  }> => (await ask("model/site.json")).json(),
  about: async (): Promise<AboutStudio> => (await ask("api/studio")).json(),
  contents: async (): Promise<Blob> => (await ask("model/contents.jpg")).blob(),
  styles: async (server: boolean): Promise<StyleInfo[]> =>
    (await ask(server ? "api/styles" : "model/styles.json")).json(),
  styleFile: async (id: string, server: boolean): Promise<ArrayBuffer> =>
    (await ask(server ? `api/styles/${id}/file` : `model/styles/${id}.safetensors`)).arrayBuffer(),
  photograph: async (): Promise<Blob> => (await ask("model/photograph.jpg")).blob(),
  upload: async (file: Blob, name: string): Promise<PictureInfo> =>
    (
      await ask(`api/pictures?name=${encodeURIComponent(name)}`, { method: "POST", body: file })
    ).json(),
  picture: async (id: string): Promise<PictureInfo> => (await ask(`api/pictures/${id}`)).json(),
  previewAddress: (id: string): string => address(`api/pictures/${id}/preview`),
  preview: async (id: string): Promise<Blob> => (await ask(`api/pictures/${id}/preview`)).blob(),
  importStyle: async (file: Blob, name: string): Promise<StyleInfo> =>
    (
      await ask(`api/styles?name=${encodeURIComponent(name)}`, { method: "POST", body: file })
    ).json(),
  rename: async (id: string, name: string): Promise<StyleInfo> =>
    (await ask(`api/styles/${id}`, json({ name }, "PATCH"))).json(),
  removeStyle: async (id: string): Promise<void> =>
    void (await ask(`api/styles/${id}`, { method: "DELETE" })),
  keepMixture: async (styles: Weighted[], name: string): Promise<StyleInfo> =>
    (await ask("api/mixtures", json({ styles, name }))).json(),
  adapt: async (wanted: {
    painting: string;
    photos: string[];
    name: string;
    effort: string;
    start?: string;
  }): Promise<JobState> => (await ask("api/adaptations", json(wanted))).json(),
  paint: async (wanted: PaintRequest): Promise<JobState> =>
    (await ask("api/paintings", json(wanted))).json(),
  uploadClip: (file: Blob, name: string, told: (share: number) => void): Promise<ClipInfo> =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
      request.open("POST", address(`api/clips?name=${encodeURIComponent(name)}`));
      request.responseType = "json";
      request.upload.onprogress = (event) => told(event.loaded / event.total);
      request.onerror = () => reject(new Error(text.errors.offline));
      request.onload = () =>
        request.status === 201
          ? resolve(request.response)
          : reject(new Error(request.response?.error ?? `clips: ${request.status}`));
      request.send(file);
    }),
  clip: async (id: string): Promise<ClipInfo> => (await ask(`api/clips/${id}`)).json(),
  /** Remove a clip, if it is still there. */
  removeClip: async (id: string): Promise<void> => {
    try {
      await ask(`api/clips/${id}`, { method: "DELETE" });
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 404)) throw error;
    }
  },
  clipAddress: (id: string): string => address(`api/clips/${id}/file`),
  film: async (wanted: FilmRequest & { preview: boolean }): Promise<JobState> =>
    (await ask("api/films", json(wanted))).json(),
  jobs: async (): Promise<JobState[]> => (await ask("api/jobs")).json(),
  parameters: async (job: string): Promise<ArrayBuffer> =>
    (await ask(`api/jobs/${job}/parameters`)).arrayBuffer(),
  stop: async (job: string): Promise<void> =>
    void (await ask(`api/jobs/${job}/stop`, { method: "POST" })),
  removeJob: async (job: string): Promise<void> =>
    void (await ask(`api/jobs/${job}`, { method: "DELETE" })),
  result: async (job: string): Promise<Blob> => (await ask(`api/jobs/${job}/result`)).blob(),
  resultAddress: (job: string): string => address(`api/jobs/${job}/result`),

  /** Call `told` with every state of a job until it is finished; the function that comes back stops it. */
  follow(job: string, told: (state: JobState) => void): () => void {
    const source = new EventSource(address(`api/jobs/${job}/events`));
    source.addEventListener("state", (event) => {
      const state = JSON.parse((event as MessageEvent<string>).data) as JobState;
      if (["done", "failed", "canceled"].includes(state.state)) source.close();
      told(state);
    });
    return () => source.close();
  },
};
