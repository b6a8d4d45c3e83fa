/** Own styles where there is no server: kept in the browser, until its data of this site are deleted. */

import type { StyleInfo } from "./api";

export interface Kept {
  info: StyleInfo;
  /** As the command line reads it. */
  file: Blob;
  /** Milliseconds since the epoch. */
  created: number;
}

const STYLES = "styles";

const answer = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });

let opened: Promise<IDBDatabase> | undefined;
function database(): Promise<IDBDatabase> {
  if (!opened) {
    const request = indexedDB.open("metastyle", 1);
    request.onupgradeneeded = () =>
      request.result.createObjectStore(STYLES, { keyPath: "info.id" });
    opened = answer(request);
  }
  return opened;
}

async function change(what: (store: IDBObjectStore) => IDBRequest): Promise<void> {
  const transaction = (await database()).transaction(STYLES, "readwrite");
  what(transaction.objectStore(STYLES));
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

export const keepStyle = (kept: Kept): Promise<void> => change((store) => store.put(kept));

export const forgetStyle = (id: string): Promise<void> => change((store) => store.delete(id));
