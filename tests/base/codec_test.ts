import assert from "node:assert/strict";
import fc from "fast-check";
import { type Bytes, concat } from "../../src/base/bytes.ts";
import {
  BOOL,
  bytes,
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  NOTHING,
  optional,
  Reader,
  struct,
  text,
  U16,
  U32,
  U64,
  U8,
  vector,
} from "../../src/base/codec.ts";

const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength }) as fc.Arbitrary<Bytes>;
const fixedBytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }) as fc.Arbitrary<Bytes>;
const normal = fc.string({ unit: "grapheme", maxLength: 4 }).map((s) => s.normalize("NFC"));

const everything = struct({
  byte: U8,
  short: U16,
  long: U32,
  huge: U64,
  flag: BOOL,
  nothing: NOTHING,
  exact: fixed(3),
  some: bytes(9),
  name: text(400),
  items: list(struct({ n: U8, s: bytes(2) }), 4),
  pair: vector(U16, 2),
  maybe: optional(U8),
});

const cases: [string, Codec<unknown>, fc.Arbitrary<unknown>][] = [
  ["U8", U8, fc.nat(255)],
  ["U16", U16, fc.nat(65535)],
  ["U32", U32, fc.nat(0xffffffff)],
  ["U64", U64, fc.bigInt(0n, (1n << 64n) - 1n)],
  ["BOOL", BOOL, fc.boolean()],
  ["NOTHING", NOTHING, fc.constant(null)],
  ["fixed()", fixed(5), fixedBytes(5)],
  ["bytes()", bytes(20), anyBytes(20)],
  ["text()", text(400), normal],
  ["list()", list(bytes(3), 6), fc.array(anyBytes(3), { maxLength: 6 })],
  ["vector()", vector(U16, 3), fc.array(fc.nat(65535), { minLength: 3, maxLength: 3 })],
  ["optional()", optional(U16), fc.option(fc.nat(65535), { nil: undefined })],
  ["map()", map(U8, (n: number) => n / 2, (n) => n * 2), fc.nat(255).map((n) => n * 2)],
  [
    "struct()",
    everything,
    fc.record({
      byte: fc.nat(255),
      short: fc.nat(65535),
      long: fc.nat(0xffffffff),
      huge: fc.bigInt(0n, (1n << 64n) - 1n),
      flag: fc.boolean(),
      nothing: fc.constant(null),
      exact: fixedBytes(3),
      some: anyBytes(9),
      name: normal,
      items: fc.array(fc.record({ n: fc.nat(255), s: anyBytes(2) }, { noNullPrototype: true }), {
        maxLength: 4,
      }),
      pair: fc.array(fc.nat(65535), { minLength: 2, maxLength: 2 }),
      maybe: fc.option(fc.nat(255), { nil: undefined }),
    }, { noNullPrototype: true }),
  ],
] as [string, Codec<unknown>, fc.Arbitrary<unknown>][];

for (const [name, codec, values] of cases) {
  Deno.test(`${name} reads what it wrote and refuses trailing and missing bytes`, () => {
    fc.assert(fc.property(values, (value) => {
      const encoded = encode(codec, value);
      assert.ok(encoded.length <= codec.sizeMax);
      assert.deepEqual(decode(codec, encoded), value);
      assert.throws(() => decode(codec, concat(encoded, Uint8Array.of(0))), DecodeError);
      if (encoded.length > 0) {
        assert.throws(() => decode(codec, encoded.subarray(0, encoded.length - 1)), DecodeError);
      }
    }));
  });

  Deno.test(`${name} gives any two values different bytes`, () => {
    fc.assert(fc.property(values, values, (a, b) => {
      if (encode(codec, a).toHex() === encode(codec, b).toHex()) assert.deepEqual(a, b);
    }));
  });

  Deno.test(`${name} reads nothing that it would write otherwise`, () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: Math.min(codec.sizeMax, 40) }), (input) => {
      let value: unknown;
      try {
        value = decode(codec, input);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
        return;
      }
      assert.deepEqual(encode(codec, value), input);
    }));
  });
}

Deno.test("decode() refuses more bytes than the cap before it reads any", () => {
  const codec: Codec<never> = {
    sizeMax: 4,
    write: () => {},
    read: () => {
      throw new Error("read");
    },
  };
  assert.throws(() => decode(codec, new Uint8Array(5)), DecodeError);
  assert.throws(() => decode(codec, new Uint8Array(4)), /read/);
});

Deno.test("encode() asserts the caps of what this program itself writes", () => {
  const refusals: [Codec<never>, unknown][] = [
    [fixed(3), new Uint8Array(4)],
    [bytes(3), new Uint8Array(4)],
    [text(3), "four"],
    [list(U8, 2), [1, 2, 3]],
    [vector(U8, 2), [1]],
  ] as [Codec<never>, unknown][];
  for (const [codec, value] of refusals) {
    assert.throws(() => encode(codec, value as never), { code: "INVARIANT" });
  }
  const lying: Codec<Bytes> = { ...fixed(5), sizeMax: 4 };
  assert.throws(() => encode(lying, new Uint8Array(5)), { code: "INVARIANT" });
});

Deno.test("lengths and counts above their caps are refused before anything is allocated", () => {
  assert.throws(() => decode(bytes(3), Uint8Array.of(0, 0, 0, 4, 0, 0, 0)), /more than the cap of 3/);
  assert.throws(() => decode(text(3), Uint8Array.of(0, 4, 97, 97, 97)), /longer than the cap of 3/);
  assert.throws(() => decode(list(NOTHING, 3), Uint8Array.of(255, 255)), /more than the cap of 3/);
});

Deno.test("BOOL, optional() and text() refuse a second encoding of one value", () => {
  assert.throws(() => decode(BOOL, Uint8Array.of(2)), DecodeError);
  assert.throws(() => decode(optional(U8), Uint8Array.of(2, 1)), DecodeError);
  assert.throws(() => decode(text(9), Uint8Array.of(0, 3, 0x65, 0xcc, 0x81)), /NFC/);
  assert.throws(() => decode(text(9), Uint8Array.of(0, 1, 0xff)), /NFC/);
});

Deno.test("struct() names the field that does not decode, and lets other errors pass", () => {
  const codec = struct({ first: U8, second: struct({ flag: BOOL }) });
  assert.throws(() => decode(codec, Uint8Array.of(1, 9)), { message: "second: flag: a boolean is 0 or 1" });
  const broken = struct({
    first: map(U8, (n: number) => n, () => {
      throw new TypeError("a bug");
    }),
  });
  assert.throws(() => decode(broken, Uint8Array.of(1)), TypeError);
});

Deno.test("Reader.take() gives copies, and no more than there is", () => {
  const source = Uint8Array.of(1, 2, 3);
  const reader = new Reader(source);
  const taken = reader.take(2);
  source.fill(9);
  assert.deepEqual(taken, Uint8Array.of(1, 2));
  assert.equal(reader.left, 1);
  assert.throws(() => reader.take(2), DecodeError);
});
