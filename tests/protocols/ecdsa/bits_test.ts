import assert from "node:assert/strict";
import { seededRng } from "../../../src/base/rng.ts";
import { bytesOf, mapColumns, mulX, transpose, words } from "../../../src/protocols/ecdsa/bits.ts";
import { fromLittleEndian, littleEndian, multiply } from "./reference.ts";

const bitOf = (matrix: Uint32Array, stride: number, row: number, column: number) =>
  (matrix[row * stride + (column >> 5)] as number) >>> (column & 31) & 1;

Deno.test("transpose() moves every bit to its place, whatever the stride", () => {
  const source = words(seededRng("transpose").bytes(64 * 5 * 4)).slice();
  const { words: out, stride } = transpose({ words: source, stride: 5 }, { rows: 64, columns: 96 });
  for (let i = 0; i < 64; i++) {
    for (let j = 0; j < 96; j++) assert.equal(bitOf(out, stride, j, i), bitOf(source, 5, i, j));
  }
});

Deno.test("mulX() multiplies by x in GF(2^128)", () => {
  for (const value of [1n, 1n << 127n, (1n << 128n) - 1n, 0x80000000_80000000_80000000_80000000n]) {
    const element = words(littleEndian(value)).slice();
    mulX(element, 0);
    assert.equal(fromLittleEndian(bytesOf(element)), multiply(value, 2n));
  }
});

Deno.test("mapColumns() adds the columns that the map selects", () => {
  const rng = seededRng("map");
  const map = words(rng.bytes(32 * 4)).slice(), columns = words(rng.bytes(32 * 16)).slice();
  const { words: out } = mapColumns({ words: map, stride: 1 }, { words: columns, stride: 4 }, 32);
  for (let k = 0; k < 32; k++) {
    for (let w = 0; w < 4; w++) {
      let sum = 0;
      for (let i = 0; i < 32; i++) if (bitOf(map, 1, k, i) === 1) sum ^= columns[4 * i + w] as number;
      assert.equal(out[4 * k + w], sum >>> 0);
    }
  }
});

Deno.test("words() reads bytes that are not aligned", () => {
  const bytes = new Uint8Array([9, 1, 0, 0, 0, 2, 0, 0, 0]);
  assert.deepEqual([...words(bytes.subarray(1))], [1, 2]);
});
