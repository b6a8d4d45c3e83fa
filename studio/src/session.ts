/** The look outlasts a reload of the page, for as long as its window is open. */

import type { Weighted } from "./lib/styles";

export interface KeptLook {
  mix: Weighted[];
  strength: number;
  brush: number;
  grain: number | null;
  keepColor: boolean;
}

const LOOK = "look";

export function keepLook({ mix, strength, brush, grain, keepColor }: KeptLook): void {
  sessionStorage.setItem(LOOK, JSON.stringify({ mix, strength, brush, grain, keepColor }));
}

/** known: whether a style is still there. */
export function keptLook(known: (style: string) => boolean): KeptLook | null {
  const look = JSON.parse(sessionStorage.getItem(LOOK) ?? "null") as KeptLook | null;
  return look?.mix.length && look.mix.every((one) => known(one.style)) ? look : null;
}
