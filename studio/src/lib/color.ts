/** Keeping the photograph's colors: its hue and chroma with the painted lightness, in OKLab. */

const toLinear = new Float64Array(256);
for (let level = 0; level < 256; level++) {
  const v = level / 255;
  toLinear[level] = v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

const curve = (linear: number): number =>
  linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;

function oklab(r: number, g: number, b: number): [number, number, number] {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.004072047 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function linear(L: number, a: number, b: number): [number, number, number] {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

const SLACK = 1e-5;
const fits = (rgb: number[]): boolean =>
  Math.min(...rgb) >= -SLACK && Math.max(...rgb) <= 1 + SLACK;

/** Give `painted` the photograph's hue and chroma, in place; both RGBA of one size. */
export function keepColor(photo: Uint8ClampedArray, painted: Uint8ClampedArray): void {
  for (let i = 0; i < painted.length; i += 4) {
    const [L] = oklab(
      toLinear[painted[i]!]!,
      toLinear[painted[i + 1]!]!,
      toLinear[painted[i + 2]!]!,
    );
    const [, a, b] = oklab(
      toLinear[photo[i]!]!,
      toLinear[photo[i + 1]!]!,
      toLinear[photo[i + 2]!]!,
    );
    let rgb = linear(L, a, b);
    if (!fits(rgb)) {
      let good = 0;
      let bad = 1;
      for (let halving = 0; halving < 10; halving++) {
        const middle = (good + bad) / 2;
        if (fits(linear(L, a * middle, b * middle))) good = middle;
        else bad = middle;
      }
      rgb = linear(L, a * good, b * good);
    }
    for (let c = 0; c < 3; c++)
      painted[i + c] = Math.round(255 * curve(Math.min(1, Math.max(0, rgb[c]!))));
  }
}
