/** The command line that paints what the page shows. */

import { shares, type Weighted } from "./styles";

export interface Painted {
  /** The photograph's file. */
  photo: string;
  mix: Weighted[];
  strength: number;
  brush: number;
  grain: number | null;
  keepColor: boolean;
  /** What is painted in each region; nothing is the photograph as it is. */
  regions: Weighted[][];
}

/** The file of a region's mask, from 0. */
export const maskName = (index: number): string => `region-${index + 1}.png`;

const quoted = (word: string): string =>
  /^[\w.:=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** nameOf: what the command line knows a style as: a built-in one's name, or a file. */
export function commandLine(painted: Painted, nameOf: (style: string) => string): string {
  const used = painted.mix.filter((one) => one.weight > 0);
  const parts = shares(used.map((one) => one.weight));
  const words = ["metastyle", "stylize", quoted(painted.photo)];
  used.forEach(({ style }, index) => {
    const weight = used.length > 1 ? `:${+parts[index]!.toFixed(3)}` : "";
    words.push("--style", quoted(nameOf(style) + weight));
  });
  if (painted.strength !== 1) words.push("--strength", String(painted.strength));
  words.push("--brush", String(+painted.brush.toFixed(3)));
  if (painted.grain !== null) words.push("--grain", String(painted.grain));
  if (painted.keepColor) words.push("--keep-color");
  painted.regions.forEach((mix, index) => {
    const style = mix[0] ? nameOf(mix[0].style) : "photo";
    words.push("--mask", quoted(`${maskName(index)}=${style}`));
  });
  return words.join(" ");
}
