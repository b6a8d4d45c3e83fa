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
