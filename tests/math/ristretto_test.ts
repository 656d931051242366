import assert from "node:assert/strict";
import { ristretto255 } from "@noble/curves/ed25519.js";
import { x25519, x25519PublicKey } from "../../src/base/crypto.ts";
import { bigintToBytes, bytesToBigint } from "../../src/math/curve.ts";
import { seededRng } from "../../src/base/rng.ts";
import {
  decodeElement,
  type Element,
  elementFromUniform,
  hashToElement,
  isLargeOrderU,
  knownElement,
  montgomeryU,
} from "../../src/math/ristretto.ts";

const rng = seededRng("ristretto");
const PRIME = 2n ** 255n - 19n;

Deno.test("elementFromUniform() gives the elements of RFC 9496", () => {
  // RFC 9496, A.3, first vector.
  const uniform = Uint8Array.fromHex(
    "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1" +
      "4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6",
  );
  assert.equal(
    elementFromUniform(uniform).toBytes().toHex(),
    "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
  );
  assert.throws(() => elementFromUniform(uniform.subarray(1)), { code: "INVARIANT" });
});

Deno.test("hashToElement() depends on tag and message, and is an element other than the identity", () => {
  const message = rng.bytes(10);
  const elements = [
    hashToElement("quorate-a", message),
    hashToElement("quorate-b", message),
    hashToElement("quorate-a", rng.bytes(10)),
  ];
  assert.equal(new Set(elements.map((element) => element.toBytes().toHex())).size, 3);
  assert.ok(elements.every((element) => !element.is0()));
  assert.ok(hashToElement("quorate-a", message).equals(elements[0] as Element));
});

Deno.test("decodeElement() reads canonical encodings only", () => {
  const bytes = ristretto255.Point.BASE.toBytes();
  assert.ok(decodeElement(bytes)?.equals(ristretto255.Point.BASE));
  assert.ok(decodeElement(new Uint8Array(32))?.is0());
  // RFC 9496, A.2: not below the prime, negative, not a square, and other lengths.
  for (
    const bad of [
      "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
      "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
      "00",
    ]
  ) assert.equal(decodeElement(Uint8Array.fromHex(bad)), undefined, bad);
});

Deno.test("knownElement() knows the logarithm of its element up to sign, as X25519 takes it", () => {
  for (let i = 0; i < 6; i++) {
    const seed = rng.bytes(32);
    const both = [0, 1].map((negative) => knownElement(seed, negative));
    const [plus, minus] = both as [typeof both[0] & object, typeof both[0] & object];
    assert.ok(plus.element.add(minus.element).is0());
    for (const { element, key } of both) {
      assert.deepEqual(montgomeryU([element])[0], x25519PublicKey(key));
      const other = knownElement(rng.bytes(32), i & 1);
      const [uOther, uThis] = montgomeryU([other.element, element]) as [Uint8Array, Uint8Array];
      const shared = x25519(key, uOther);
      assert.ok(shared !== undefined);
      assert.deepEqual(shared, x25519(other.key, uThis));
    }
  }
});

Deno.test("isLargeOrderU() refuses exactly what gives X25519 nothing, and what is not canonical", () => {
  const little = (value: bigint) => bigintToBytes(value, 32).toReversed() as Uint8Array<ArrayBuffer>;
  const small = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ].map((text) => Uint8Array.fromHex(text));
  for (const u of small) {
    assert.equal(isLargeOrderU(u), false);
    assert.equal(x25519(rng.bytes(32), u), undefined);
  }
  for (let i = 0; i < 20; i++) {
    const u = little(bytesToBigint(rng.bytes(48)) % PRIME);
    assert.ok(isLargeOrderU(u));
    assert.ok(x25519(rng.bytes(32), u) !== undefined);
  }
  assert.ok(isLargeOrderU(little(9n)));
  assert.equal(isLargeOrderU(little(9n + PRIME)), false);
  assert.equal(isLargeOrderU(little(PRIME)), false);
  assert.equal(isLargeOrderU(little(9n + 2n ** 255n)), false);
  assert.equal(isLargeOrderU(new Uint8Array(31).fill(9)), false);
});
