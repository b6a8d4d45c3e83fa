/** Grain: what flat areas are given to paint on. The very numbers of Python's core/grain.py. */

const AMPLITUDE = 0.15;
/** The amount with which pictures are painted by default, relative to that of the adaptation. */
export const PAINTED = 0.6;
/** The amount with which pictures are painted where the adaptation saw its default amount, 0.5. */
export const USUAL = PAINTED * 0.5;
const FLATNESS = 0.05;
const REACH = 7;
const OCTAVES = [4, 8, 16, 32, 64];
/** Spacing of the coarsest lattice whose three channels differ. */
const COLORED = 8;
const MARGIN = 2;
const INTERPOLATED = 6 / 7;
const BICUBIC = -0.75;

/** SplitMix64 on pairs of 32-bit halves. */
class Mixer {
  high = 0;
  low = 0;

  set(high: number, low: number): this {
    this.high = high >>> 0;
    this.low = low >>> 0;
    return this;
  }

  /** XOR with a whole number, extended to 64 bits. */
  xor(value: number): this {
    return this.set(this.high ^ (value < 0 ? -1 : 0), this.low ^ value);
  }

  mixed(): this {
    this.times(0x9e3779b9, 0x7f4a7c15).fold(30);
    this.times(0xbf58476d, 0x1ce4e5b9).fold(27);
    return this.times(0x94d049bb, 0x133111eb).fold(31);
  }

  private times(high: number, low: number): this {
    const a0 = this.low & 0xffff;
    const a1 = this.low >>> 16;
    const b0 = low & 0xffff;
    const b1 = low >>> 16;
    const p00 = a0 * b0;
    const p01 = a0 * b1;
    const p10 = a1 * b0;
    const middle = (p00 >>> 16) + (p01 & 0xffff) + (p10 & 0xffff);
    const carry = Math.floor(p01 / 65536) + Math.floor(p10 / 65536) + (middle >>> 16) + a1 * b1;
    const top = carry + Math.imul(this.low, high) + Math.imul(this.high, low);
    return this.set(top % 4294967296, ((middle & 0xffff) << 16) | (p00 & 0xffff));
  }

  private fold(bits: number): this {
    const low = (this.low >>> bits) | (this.high << (32 - bits));
    return this.set(this.high ^ (this.high >>> bits), this.low ^ low);
  }
}

function lattice(rows: number, columns: number, seed: number, channel: number): Float32Array {
  const numbers = new Float32Array(rows * columns);
  const ofChannel = new Mixer();
  const ofRow = new Mixer();
  const bits = new Mixer();
  ofChannel.set(0, channel + 3 * seed).mixed();
  for (let row = 0; row < rows; row++) {
    ofRow
      .set(ofChannel.high, ofChannel.low)
      .xor(row - MARGIN)
      .mixed();
    for (let column = 0; column < columns; column++) {
      bits
        .set(ofRow.high, ofRow.low)
        .xor(column - MARGIN)
        .mixed();
      const sum =
        (bits.low & 0xffff) + (bits.low >>> 16) + (bits.high & 0xffff) + (bits.high >>> 16);
      numbers[row * columns + column] = (sum / 65536 + (2 / 65536 - 2)) * Math.sqrt(3);
    }
  }
  return numbers;
}

/** The four weights of cubic convolution for every phase. */
function phases(spacing: number): Float64Array {
  const near = (t: number) => ((BICUBIC + 2) * t - (BICUBIC + 3)) * t * t + 1;
  const far = (t: number) => ((BICUBIC * t - 5 * BICUBIC) * t + 8 * BICUBIC) * t - 4 * BICUBIC;
  const weights = new Float64Array(4 * spacing);
  for (let phase = 0; phase < spacing; phase++) {
    const at = (phase + 0.5) / spacing - 0.5;
    const t = at - Math.floor(at);
    weights.set([far(t + 1), near(t), near(1 - t), far(2 - t)], 4 * phase);
  }
  return weights;
}

/** Fractal noise (3, height, width) of zero mean and unit deviation. */
export function fractalNoise(height: number, width: number, seed = 0): Float32Array {
  const noise = new Float32Array(3 * height * width);
  for (const spacing of OCTAVES) {
    const rows = Math.floor((height - 1) / spacing) + 2 * MARGIN + 1;
    const columns = Math.floor((width - 1) / spacing) + 2 * MARGIN + 1;
    const weights = phases(spacing);
    const line = new Float64Array(columns);
    const channels = spacing <= COLORED ? 3 : 1;
    for (let channel = 0; channel < channels; channel++) {
      const points = lattice(rows, columns, 128 * seed + spacing, channel);
      for (let y = 0; y < height; y++) {
        const phase = 4 * (y % spacing);
        const first = Math.floor((y + 0.5) / spacing - 0.5) + MARGIN - 1;
        for (let c = 0; c < columns; c++) {
          let sum = 0;
          for (let k = 0; k < 4; k++)
            sum += weights[phase + k]! * points[(first + k) * columns + c]!;
          line[c] = sum;
        }
        const to = (channel * height + y) * width;
        for (let x = 0; x < width; x++) {
          const own = 4 * (x % spacing);
          const left = Math.floor((x + 0.5) / spacing - 0.5) + MARGIN - 1;
          const value =
            weights[own]! * line[left]! +
            weights[own + 1]! * line[left + 1]! +
            weights[own + 2]! * line[left + 2]! +
            weights[own + 3]! * line[left + 3]!;
          for (let copy = 0; copy < 3 / channels; copy++)
            noise[to + copy * height * width + x]! += value;
        }
      }
    }
  }
  const scale = 1 / (INTERPOLATED * Math.sqrt(OCTAVES.length));
  for (let i = 0; i < noise.length; i++) noise[i]! *= scale;
  return noise;
}

const reflected = (index: number, size: number): number => {
  const once = index < 0 ? -index : index;
  return once < size ? once : 2 * (size - 1) - once;
};

/** A exp(-s / S): how much grain each pixel of (3, H, W) in [0, 1] gets. */
export function grainStrength(planes: Float32Array, height: number, width: number): Float32Array {
  const size = height * width;
  const side = 2 * REACH + 1;
  const wide = width + 2 * REACH;
  const sums = new Float64Array(wide);
  const squares = new Float64Array(wide);
  const strength = new Float32Array(size);
  const luminance = new Float64Array(size);
  for (let i = 0; i < size; i++)
    luminance[i] = (planes[i]! + planes[size + i]! + planes[2 * size + i]!) / 3 - 0.5;
  const source = new Int32Array(wide);
  for (let x = 0; x < wide; x++) source[x] = reflected(x - REACH, width);
  const add = (row: number, sign: number) => {
    const from = reflected(row, height) * width;
    for (let x = 0; x < wide; x++) {
      const value = luminance[from + source[x]!]!;
      sums[x]! += sign * value;
      squares[x]! += sign * value * value;
    }
  };
  for (let row = -REACH; row < REACH; row++) add(row, 1);
  for (let y = 0; y < height; y++) {
    add(y + REACH, 1);
    let sum = 0;
    let square = 0;
    for (let x = 0; x < side - 1; x++) {
      sum += sums[x]!;
      square += squares[x]!;
    }
    for (let x = 0; x < width; x++) {
      sum += sums[x + side - 1]!;
      square += squares[x + side - 1]!;
      const mean = sum / (side * side);
      const deviation = Math.sqrt(Math.max(0, square / (side * side) - mean * mean));
      strength[y * width + x] = AMPLITUDE * Math.exp(-deviation / FLATNESS);
      sum -= sums[x]!;
      square -= squares[x]!;
    }
    add(y - REACH, -1);
  }
  return strength;
}

let kept: { height: number; width: number; noise: Float32Array } | undefined;

/** Add grain to (3, H, W) in [0, 1], in place. */
export function addGrain(
  planes: Float32Array,
  height: number,
  width: number,
  amount: number,
  seed = 0,
): void {
  if (amount === 0) return;
  let noise: Float32Array;
  if (seed) noise = fractalNoise(height, width, seed);
  else {
    if (kept?.height !== height || kept.width !== width)
      kept = { height, width, noise: fractalNoise(height, width) };
    noise = kept.noise;
  }
  const strength = grainStrength(planes, height, width);
  const size = height * width;
  for (let channel = 0; channel < 3; channel++)
    for (let i = 0; i < size; i++)
      planes[channel * size + i]! += amount * strength[i]! * noise[channel * size + i]!;
}
