import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { concat, u16, u32, utf8 } from "../../src/base/bytes.ts";
import { CURVES } from "../../src/math/curve.ts";
import { hash, hashToScalar, preparedHash, xof } from "../../src/primitives/hash.ts";
import { Tag, type TagName } from "../../src/primitives/tags.ts";

const parts = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 5 });
const anyTag = fc.constantFrom(...Object.values(Tag));

Deno.test("hash() is SHA-256 over the framing of SPEC 0.2", () => {
  const tag = utf8("quorate/v1/pok");
  const framed = concat(u16(tag.length), tag, u16(2), u32(1), Uint8Array.of(7), u32(0));
  assert.equal(
    hash(Tag.pok, Uint8Array.of(7), new Uint8Array(0)).toHex(),
    createHash("sha256").update(framed).digest("hex"),
  );
});

Deno.test("hash() is injective on lists of parts: every split of the same bytes hashes otherwise", () => {
  const seen = new Map<string, string>();
  const bytes = utf8("abcdef");
  for (let cuts = 0; cuts < 1 << 5; cuts++) {
    const list: Uint8Array[] = [];
    let from = 0;
    for (let at = 1; at <= bytes.length; at++) {
      if (at < bytes.length && (cuts >> (at - 1) & 1) === 0) continue;
      list.push(bytes.subarray(from, at));
      from = at;
    }
    for (const padded of [list, [...list, new Uint8Array(0)], [new Uint8Array(0), ...list]]) {
      const key = JSON.stringify(padded.map((part) => [...part]));
      const value = hash(Tag.echo, ...padded).toHex();
      assert.equal(seen.get(value) ?? key, key);
      seen.set(value, key);
    }
  }
  assert.equal(seen.size, 3 * 32);
});

Deno.test("hash() differs wherever tag or parts differ", () => {
  fc.assert(fc.property(anyTag, parts, anyTag, parts, (tagA, a, tagB, b) => {
    const same = tagA === tagB &&
      JSON.stringify(a.map((x) => [...x])) === JSON.stringify(b.map((x) => [...x]));
    assert.equal(hash(tagA, ...a).toHex() === hash(tagB, ...b).toHex(), same);
  }));
});

Deno.test("hash() differs for parts that could be taken for frames of each other", () => {
  const inner = concat(u32(1), Uint8Array.of(1));
  const values = [
    hash(Tag.sid, Uint8Array.of(1), Uint8Array.of(1)),
    hash(Tag.sid, concat(Uint8Array.of(1), inner)),
    hash(Tag.sid, inner, Uint8Array.of(1)),
    hash(Tag.sid, concat(inner, inner)),
    hash(Tag.sid),
    hash(Tag.sid, new Uint8Array(0)),
  ];
  assert.equal(new Set(values.map((value) => value.toHex())).size, values.length);
});

Deno.test("xof() is the counter mode of SPEC 0.2, cut to its length", () => {
  const seed = hash(Tag.agreeOut, Uint8Array.of(3));
  const blocks = [0, 1, 2].map((i) => createHash("sha256").update(seed).update(u32(i)).digest());
  for (const length of [1, 31, 32, 33, 64, 96]) {
    assert.deepEqual(xof(length, Tag.agreeOut, Uint8Array.of(3)), concat(...blocks).slice(0, length));
  }
  assert.throws(() => xof(0, Tag.agreeOut), { code: "INVARIANT" });
});

Deno.test("hashToScalar() reduces 48 bytes modulo the order", () => {
  for (const curve of Object.values(CURVES)) {
    const expected = BigInt("0x" + xof(48, Tag.pok, Uint8Array.of(1)).toHex()) % curve.order;
    assert.equal(hashToScalar(curve, Tag.pok, Uint8Array.of(1)), expected);
  }
});

Deno.test("Tag holds each tag once, and each is plain text", () => {
  const tags: TagName[] = Object.values(Tag);
  assert.equal(new Set(tags).size, tags.length);
  for (const tag of tags) assert.match(tag, /^[a-z0-9]+(?:[/-][A-Za-z0-9]+)*$/);
});

Deno.test("preparedHash() gives the hash of its parts as they are", () => {
  const first = [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)];
  const prepared = preparedHash(Tag.message, ...first);
  assert.deepEqual(prepared.digest(), hash(Tag.message, ...first));
  prepared.parts[0]?.set([7, 8]);
  prepared.parts[2]?.fill(9);
  assert.deepEqual(
    prepared.digest(),
    hash(Tag.message, Uint8Array.of(7, 8), new Uint8Array(0), Uint8Array.of(9)),
  );
  assert.deepEqual(first[0], Uint8Array.of(1, 2), "the given parts are not touched");
});
