import assert from "node:assert/strict";
import { ed25519, ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { utf8 } from "../../../src/base/bytes.ts";
import { x25519, x25519PublicKey } from "../../../src/base/crypto.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { bigintToBytes, CURVES } from "../../../src/math/curve.ts";
import { decodeElement, hashToElement, knownElement, montgomeryU } from "../../../src/math/ristretto.ts";

Deno.test("hashToElement() is hash_to_ristretto255 of RFC 9380", () => {
  for (const message of ["", "a", "x".repeat(300)]) {
    const DST = "quorate/v1/test";
    const expected = ristretto255_hasher.hashToCurve(utf8(message), { DST });
    assert.deepEqual(hashToElement(DST, utf8(message)).toBytes(), expected.toBytes());
  }
});

Deno.test("knownElement() gives the multiple of the base element that its key says, of either sign", () => {
  const rng = seededRng("known");
  for (const negative of [0, 1]) {
    const { element, key } = knownElement(rng.bytes(32), negative);
    const clamped = key.slice();
    clamped[0] = (clamped[0] as number) & 248;
    clamped[31] = (clamped[31] as number) & 127 | 64;
    const a = BigInt("0x" + clamped.reverse().toHex()) % ed25519.Point.Fn.ORDER;
    const expected = ristretto255.Point.BASE.multiply(a);
    assert.deepEqual(element.toBytes(), (negative === 1 ? expected.negate() : expected).toBytes());
  }
});

Deno.test("montgomeryU() fits X25519 whichever representative an element has", () => {
  const rng = seededRng("montgomery");
  const { element, key } = knownElement(rng.bytes(32), 0);
  const decoded = decodeElement(element.toBytes());
  assert(decoded !== undefined);
  const other = rng.bytes(32);
  const expected = x25519(key, x25519PublicKey(other));
  for (const u of montgomeryU([element, decoded])) assert.deepEqual(x25519(other, u), expected);
});

for (const curve of Object.values(CURVES)) {
  Deno.test(`xOf() and mulX() of ${curve.name} ignore the sign and handle the identity`, () => {
    const P = curve.mulBase(curve.scalar(77n));
    const a = curve.scalar(5n);
    const expected = bigintToBytes(curve.mul1(P, a).x, 32);
    assert.deepEqual(curve.mulX([P, P.negate()], a), [expected, expected]);
    assert.deepEqual(curve.xOf([curve.mul1(P, a), curve.zero]), [expected, new Uint8Array(32)]);
    assert.throws(() => curve.mulX([P], curve.scalar(0n)), { code: "INVARIANT" });
  });
}
