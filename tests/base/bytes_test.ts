import assert from "node:assert/strict";
import fc from "fast-check";
import {
  compare,
  concat,
  copy,
  EMPTY,
  equal,
  equalSecret,
  erase,
  fromHex,
  fromUtf8,
  hex,
  u16,
  u32,
  u64,
  u8,
  utf8,
} from "../../src/base/bytes.ts";

const anyBytes = fc.uint8Array({ maxLength: 20 });

Deno.test("concat() joins its parts in order", () => {
  assert.deepEqual(concat(Uint8Array.of(1, 2), EMPTY, Uint8Array.of(3)), Uint8Array.of(1, 2, 3));
  assert.deepEqual(concat(), EMPTY);
});

Deno.test("equal(), equalSecret() and compare() agree on what is equal", () => {
  fc.assert(fc.property(anyBytes, anyBytes, (a, b) => {
    const same = a.length === b.length && a.every((byte, i) => byte === b[i]);
    assert.equal(equal(a, b), same);
    assert.equal(equalSecret(a, b), same);
    assert.equal(compare(a, b) === 0, same);
    assert.ok(Math.sign(compare(a, b)) + Math.sign(compare(b, a)) === 0);
    assert.ok(equal(a, a.slice()) && equalSecret(a, a.slice()));
  }));
});

Deno.test("equalSecret() sees a difference in every position", () => {
  const bytes = new Uint8Array(40).fill(7);
  for (let at = 0; at < bytes.length; at++) {
    assert.equal(equalSecret(bytes, bytes.map((byte, i) => i === at ? byte ^ 0x80 : byte)), false);
  }
});

Deno.test("compare() orders lexicographically, shorter first", () => {
  const ordered = [[], [0], [0, 0], [0, 255], [1], [255]].map((bytes) => Uint8Array.from(bytes));
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries()) assert.equal(Math.sign(compare(a, b)), Math.sign(i - j));
  }
});

Deno.test("u8(), u16(), u32() and u64() are big-endian and refuse what does not fit", () => {
  assert.deepEqual(u8(255), Uint8Array.of(255));
  assert.deepEqual(u16(0x0102), Uint8Array.of(1, 2));
  assert.deepEqual(u32(0xfffefdfc), Uint8Array.of(255, 254, 253, 252));
  assert.deepEqual(u64(0x0102030405060708n), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  for (const bad of [-1, 256, 1.5, NaN]) assert.throws(() => u8(bad), RangeError);
  assert.throws(() => u16(65536), RangeError);
  assert.throws(() => u32(2 ** 32), RangeError);
  for (const bad of [-1n, 1n << 64n]) assert.throws(() => u64(bad), RangeError);
});

Deno.test("utf8() normalises, and fromUtf8() reads only what utf8() writes", () => {
  assert.deepEqual(utf8("e\u0301"), Uint8Array.of(0xc3, 0xa9));
  assert.equal(fromUtf8(Uint8Array.of(0xc3, 0xa9)), "\u00e9");
  for (const bad of ["65cc81", "ff", "c3", "eda080", "c080"]) {
    assert.equal(fromUtf8(Uint8Array.fromHex(bad)), undefined, bad);
  }
  assert.equal(fromUtf8(Uint8Array.fromHex("efbbbf61")), "\ufeffa");
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    assert.equal(fromUtf8(utf8(text)), text.normalize("NFC"));
  }));
});

Deno.test("hex() and fromHex() are inverse, and fromHex() refuses other text", () => {
  fc.assert(fc.property(anyBytes, (bytes) => {
    assert.deepEqual(fromHex(hex(bytes)), bytes);
    assert.deepEqual(fromHex(hex(bytes).toUpperCase()), bytes);
  }));
  for (const bad of ["0", "zz", " 00", "0x00", "00 "]) assert.equal(fromHex(bad), undefined);
});

Deno.test("erase() overwrites, and copy() shares nothing", () => {
  const original = Uint8Array.of(1, 2, 3);
  const copied = copy(original);
  erase(original, undefined);
  assert.deepEqual(original, new Uint8Array(3));
  assert.deepEqual(copied, Uint8Array.of(1, 2, 3));
});
