import assert from "node:assert/strict";
import { ed25519 as noble } from "@noble/curves/ed25519.js";
import { type Bytes, hex } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { InvariantError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import type { Scalar } from "../../src/math/curve.ts";
import { ed25519 } from "../../src/math/ed25519.ts";

const bytes = (text: string): Bytes => Uint8Array.fromHex(text);
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

Deno.test("ed25519 has the order, base point and arithmetic of RFC 8032", () => {
  assert.equal(ed25519.order, L);
  assert.equal(
    hex(ed25519.encodePoint(ed25519.base)),
    "5866666666666666666666666666666666666666666666666666666666666666",
  );
  const rng = seededRng("ed25519");
  const a = ed25519.randomScalar(rng), b = ed25519.randomScalar(rng);
  const P = ed25519.mulBase(b);
  assert.ok(ed25519.mulBase(ed25519.add(a, b)).equals(ed25519.mulBase(a).add(P)));
  assert.ok(ed25519.mulBase(ed25519.sub(a, b)).equals(ed25519.mulBase(a).subtract(P)));
  assert.ok(ed25519.mulBase(ed25519.mul(a, b)).equals(ed25519.mulVartime(P, a)));
  assert.ok(ed25519.mulBase(ed25519.neg(b)).equals(P.negate()));
  assert.equal(ed25519.mul(a, ed25519.invertVartime(a)), 1n);
  assert.throws(() => ed25519.invertVartime(0n as Scalar), InvariantError);
  assert.equal(ed25519.scalar(-1n), L - 1n);
  assert.ok(ed25519.mulBase(0n as Scalar).is0());
  const [Q] = ed25519.normalize([P.double()]);
  assert.ok(Q?.equals(P.add(P)));
});

Deno.test("ed25519 makes the public key of RFC 8032 from its scalar", () => {
  const seed = seededRng("seed").bytes(32);
  const { scalar } = noble.utils.getExtendedPublicKey(seed);
  assert.deepEqual(
    ed25519.encodePoint(ed25519.mulBase(ed25519.scalar(scalar))),
    ed25519Signer(seed).publicKey,
  );
});

Deno.test("ed25519.scalarCodec is little-endian and refuses the order and more", () => {
  assert.deepEqual(encode(ed25519.scalarCodec, 258n as Scalar).slice(0, 3), bytes("020100"));
  assert.equal(decode(ed25519.scalarCodec, encode(ed25519.scalarCodec, (L - 1n) as Scalar)), L - 1n);
  const order = bytes(L.toString(16).padStart(64, "0")).reverse();
  assert.throws(() => decode(ed25519.scalarCodec, order), DecodeError);
  assert.throws(() => decode(ed25519.scalarCodec, new Uint8Array(32).fill(255)), DecodeError);
});

Deno.test("ed25519.pointCodec refuses the identity, torsion, mixed order, and encodings that are not canonical", () => {
  const honest = ed25519.mulBase(5n as Scalar);
  assert.ok(decode(ed25519.pointCodec, encode(ed25519.pointCodec, honest)).equals(honest));
  const eight = bytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"); // of order 8
  const T = noble.Point.fromBytes(eight);
  let torsion = T;
  for (let k = 1; k <= 8; k++, torsion = torsion.add(T)) {
    assert.throws(() => ed25519.decodePoint(torsion.toBytes() as Bytes), DecodeError, `${k}·T`);
    if (k === 8) continue;
    const mixed = noble.Point.fromBytes(ed25519.encodePoint(honest)).add(torsion);
    assert.throws(() => ed25519.decodePoint(mixed.toBytes() as Bytes), DecodeError, `5·G + ${k}·T`);
  }
  for (
    const bad of [
      "0100000000000000000000000000000000000000000000000000000000000080", // the identity with a sign
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // the identity, y = p + 1
      "0200000000000000000000000000000000000000000000000000000000000000", // off the curve
      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
      "58666666666666666666666666666666666666666666666666666666666666", // 31 bytes
      "586666666666666666666666666666666666666666666666666666666666666600",
    ]
  ) {
    assert.throws(() => ed25519.decodePoint(bytes(bad)), DecodeError, bad);
  }
  assert.throws(() => ed25519.encodePoint(ed25519.zero), InvariantError);
});

Deno.test("ed25519.reduce() takes 48 big-endian bytes or more, and randomScalar() draws 0 again", () => {
  const value = bytes("01".padStart(96, "0"));
  assert.equal(ed25519.reduce(value), 1n);
  assert.throws(() => ed25519.reduce(new Uint8Array(47)), InvariantError);
  const order = bytes(L.toString(16).padStart(96, "0"));
  const draws = [order, new Uint8Array(48), value];
  assert.equal(ed25519.randomScalar({ bytes: () => draws.shift() as Bytes }), 1n);
});
