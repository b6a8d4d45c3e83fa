/** What the browser keeps until its data of this site are deleted: the photograph, its regions, own styles without a server. */

import type { StyleInfo } from "./api";
import type { RefinementState } from "./engine/messages";
import type { Pixels } from "./lib/pixels";
import type { About } from "./lib/refining";
import type { Weighted } from "./lib/styles";

/** What is known of a style of a painting, to adapt it further. */
export interface Adapted {
  /** The painting, its long edge 512 pixels. */
  painting: Pixels;
  curve: About["curve"];
  /** Of the contents, in pixels, if there have been steps. */
  size?: number;
}

export interface Kept {
  info: StyleInfo;
  /** As the command line reads it. */
  file: Blob;
  /** Milliseconds since the epoch. */
  created: number;
  adapted?: Adapted;
}

export interface KeptRegion {
  /** White where the region is; transparent elsewhere. */
  mask: Blob;
  mix: Weighted[];
}

/** The regions of one photograph. */
export interface KeptRegions {
  /** Which photograph they were brushed on. */
  photo: string;
  regions: KeptRegion[];
}

/** A refinement that has not ended. There is one at most. */
export interface Unfinished {
  info: StyleInfo;
  adapted: Adapted;
  steps: number;
  contents: Pixels[];
  state: RefinementState;
}

const STYLES = "styles";
/** One object of each kind. */
const STATE = "state";
const REFINEMENT = "refinement";
const PHOTOGRAPH = "photograph";
const REGIONS = "regions";

const answer = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });

let opened: Promise<IDBDatabase> | undefined;
function database(): Promise<IDBDatabase> {
  if (!opened) {
    const request = indexedDB.open("metastyle", 2);
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion < 1) request.result.createObjectStore(STYLES, { keyPath: "info.id" });
      request.result.createObjectStore(STATE);
    };
    opened = new Promise((resolve, reject) => {
      // Another window has the page of an older version: this one does without.
      request.onblocked = () => reject(new Error("IndexedDB"));
      answer(request).then((db) => {
        db.onversionchange = () => db.close();
        resolve(db);
      }, reject);
    });
  }
  return opened;
}

async function change(name: string, what: (store: IDBObjectStore) => IDBRequest): Promise<void> {
  const transaction = (await database()).transaction(name, "readwrite");
  what(transaction.objectStore(name));
  await new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB"));
  });
}

/** The newest first. */
export async function keptStyles(): Promise<Kept[]> {
  const store = (await database()).transaction(STYLES).objectStore(STYLES);
  const all = (await answer(store.getAll())) as Kept[];
  return all.sort((a, b) => b.created - a.created);
}

export const keepStyle = (kept: Kept): Promise<void> => change(STYLES, (store) => store.put(kept));

export const forgetStyle = (id: string): Promise<void> =>
  change(STYLES, (store) => store.delete(id));

async function kept<T>(key: string): Promise<T | undefined> {
  const store = (await database()).transaction(STATE).objectStore(STATE);
  return answer<T | undefined>(store.get(key));
}

const keep = (key: string, value: unknown): Promise<void> =>
  change(STATE, (store) => store.put(value, key));

export const unfinished = (): Promise<Unfinished | undefined> => kept(REFINEMENT);
export const keepUnfinished = (left: Unfinished): Promise<void> => keep(REFINEMENT, left);
export const forgetUnfinished = (): Promise<void> =>
  change(STATE, (store) => store.delete(REFINEMENT));

/** The user's photograph outlasts a reload: its file, or its id where the server has it. */
export const keptPhotograph = (): Promise<File | string | undefined> => kept(PHOTOGRAPH);
export const keepPhotograph = (photo: File | string): Promise<void> => keep(PHOTOGRAPH, photo);

export const keptRegions = (): Promise<KeptRegions | undefined> => kept(REGIONS);
export const keepRegions = (regions: KeptRegions): Promise<void> => keep(REGIONS, regions);
