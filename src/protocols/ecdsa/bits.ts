/**
 * Bit matrices and GF(2^128), on 32-bit words: bit i of a string is bit i mod 32, least significant first, of word ⌊i/32⌋
 * (SPEC 0.2). Nothing here branches on, or indexes by, the data; only the public challenge selects what is read.
 *
 * @module
 */

import { invariant } from "../../base/errors.ts";

invariant(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, "this program needs a little-endian machine");

/** The words of a byte string whose length is a multiple of 4; a view where the memory allows it. */
export function words(bytes: Uint8Array): Uint32Array {
  return bytes.byteOffset % 4 === 0
    ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : new Uint32Array(bytes.slice().buffer);
}

/** The bytes of words: a view, not a copy. */
export function bytesOf(value: Uint32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** A matrix of bits, row after row. */
export interface BitMatrix {
  /** The rows, one after the other. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** Words from one row to the next. */
  readonly stride: number;
}

/**
 * The transpose of the first `columns` columns of a matrix.
 *
 * @param shape both multiples of 32.
 * @returns row j holds column j: bit i is the bit of row i.
 */
export function transpose(
  matrix: BitMatrix,
  shape: { readonly rows: number; readonly columns: number },
): BitMatrix {
  const stride = shape.rows / 32;
  const out = new Uint32Array(shape.columns * stride);
  const block = new Uint32Array(32);
  for (let rowBlock = 0; rowBlock < stride; rowBlock++) {
    for (let columnBlock = 0; columnBlock < shape.columns / 32; columnBlock++) {
      for (let i = 0, at = 32 * rowBlock * matrix.stride + columnBlock; i < 32; i++, at += matrix.stride) {
        block[i] = matrix.words[at] as number;
      }
      transpose32(block);
      for (let i = 0, at = 32 * columnBlock * stride + rowBlock; i < 32; i++, at += stride) {
        out[at] = block[i] as number;
      }
    }
  }
  return { words: out, stride };
}

/** Swaps ever smaller off-diagonal squares (Warren, Hacker's Delight, 7-3, for the least significant bit first). */
function transpose32(block: Uint32Array): void {
  for (let width = 16, mask = 0x0000ffff; width !== 0; width >>= 1, mask ^= mask << width) {
    for (let k = 0; k < 32; k = (k + width + 1) & ~width) {
      const high = block[k] as number, low = block[k + width] as number;
      const swap = ((high >>> width) ^ low) & mask;
      block[k] = high ^ (swap << width);
      block[k + width] = low ^ swap;
    }
  }
}

/**
 * Multiplies an element of GF(2^128) = GF(2)[x]/(x^128 + x^7 + x^2 + x + 1) by x, in place.
 *
 * @param at where its four words start.
 */
export function mulX(element: Uint32Array, at: number): void {
  const w0 = element[at] as number, w1 = element[at + 1] as number;
  const w2 = element[at + 2] as number, w3 = element[at + 3] as number;
  element[at] = (w0 << 1) ^ (0x87 & -(w3 >>> 31));
  element[at + 1] = (w1 << 1) | (w0 >>> 31);
  element[at + 2] = (w2 << 1) | (w1 >>> 31);
  element[at + 3] = (w3 << 1) | (w2 >>> 31);
}

/**
 * Applies a public linear map to secret columns: output k is the sum of the columns i with bit i of row k of `map` set. Eight
 * columns at a time through a table of their 256 sums; the index into the table is public.
 *
 * @param map outputs × inputs, public; its stride is a whole number of bytes per row of inputs.
 * @param columns inputs × 128 bits, secret.
 * @returns outputs × 128 bits.
 */
export function mapColumns(map: BitMatrix, columns: BitMatrix, inputs: number): BitMatrix {
  invariant(columns.stride === 4 && inputs % 8 === 0, "columns of 128 bits, in groups of eight");
  const mapBytes = bytesOf(map.words);
  const mapStride = map.stride * 4;
  const outputs = mapBytes.length / mapStride;
  const out = new Uint32Array(outputs * 4);
  const table = new Uint32Array(256 * 4);
  for (let group = 0; group < inputs / 8; group++) {
    sumTable(table, columns.words.subarray(32 * group, 32 * (group + 1)));
    for (let k = 0, at = group; k < out.length; k += 4, at += mapStride) {
      const entry = (mapBytes[at] as number) << 2;
      out[k] = (out[k] as number) ^ (table[entry] as number);
      out[k + 1] = (out[k + 1] as number) ^ (table[entry + 1] as number);
      out[k + 2] = (out[k + 2] as number) ^ (table[entry + 2] as number);
      out[k + 3] = (out[k + 3] as number) ^ (table[entry + 3] as number);
    }
  }
  table.fill(0);
  return { words: out, stride: 4 };
}

/** All sums of eight columns of four words: entry i is the sum of those whose bit is set in i. Entry 0 stays zero. */
function sumTable(table: Uint32Array, columns: Uint32Array): void {
  for (let bit = 0; bit < 8; bit++) {
    const size = 4 << bit;
    const c0 = columns[4 * bit] as number, c1 = columns[4 * bit + 1] as number;
    const c2 = columns[4 * bit + 2] as number, c3 = columns[4 * bit + 3] as number;
    for (let i = 0; i < size; i += 4) {
      table[size + i] = (table[i] as number) ^ c0;
      table[size + i + 1] = (table[i + 1] as number) ^ c1;
      table[size + i + 2] = (table[i + 2] as number) ^ c2;
      table[size + i + 3] = (table[i + 3] as number) ^ c3;
    }
  }
}
