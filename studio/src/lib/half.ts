/** float16 as the server and style files hold it. */

let table: Float32Array | undefined;

function halves(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

/** Little-endian float16 numbers as float32. */
export function fromHalf(buffer: ArrayBufferLike, offset = 0, count?: number): Float32Array {
  const bytes = new DataView(buffer, offset);
  const size = count ?? bytes.byteLength >> 1;
  const known = halves();
  const numbers = new Float32Array(size);
  for (let i = 0; i < size; i++) numbers[i] = known[bytes.getUint16(2 * i, true)]!;
  return numbers;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The nearest float16 numbers; raises an Error for one that is beyond their range. */
export function toHalf(numbers: Float32Array): Uint16Array<ArrayBuffer> {
  const result = new Uint16Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) {
    const size = Math.abs(numbers[i]!);
    if (!(size < 65520)) throw new Error("the style is beyond the range of its file");
    float[0] = numbers[i]!;
    const sign = (bits[0]! >>> 16) & 0x8000;
    float[0] = size;
    // Below the smallest normal number, the steps are all of one size.
    const exponent = Math.max(bits[0]! >>> 23, 113);
    const step = 2 ** (exponent - 137);
    const scaled = size / step;
    const low = Math.floor(scaled);
    const rest = scaled - low;
    const rounded = rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
    result[i] = sign | (((exponent - 113) << 10) + rounded);
  }
  return result;
}
