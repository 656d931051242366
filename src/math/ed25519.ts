/**
 * The prime-order subgroup of Ed25519 (RFC 8032), thin over noble-curves, with the encodings of RFC 9591, 6.1: points are 32
 * bytes, and scalars are little-endian.
 *
 * @module
 */

import { normalizeZ } from "@noble/curves/abstract/curve.js";
import { ed25519 as noble } from "@noble/curves/ed25519.js";
import { copy } from "../base/bytes.ts";
import { DecodeError, fixed, map } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import { bigintToBytes, bytesToBigint, type Group, type Point, type Scalar } from "./curve.ts";

/** Ed25519 without its torsion: every decoded point is of prime order. */
export const ed25519: Group = makeGroup();

interface NoblePoint extends Point {
  multiply(scalar: bigint): NoblePoint;
  multiplyUnsafe(scalar: bigint): NoblePoint;
  isTorsionFree(): boolean;
}

interface NoblePointClass {
  readonly BASE: NoblePoint;
  readonly ZERO: NoblePoint;
  readonly Fn: { readonly ORDER: bigint; inv(value: bigint): bigint };
  fromBytes(bytes: Uint8Array, zip215: boolean): NoblePoint;
}

function makeGroup(): Group {
  const Point = noble.Point as unknown as NoblePointClass;
  const q = Point.Fn.ORDER;
  const mod = (value: bigint): Scalar => {
    const rest = value % q;
    return (rest < 0n ? rest + q : rest) as Scalar;
  };
  const group: Omit<Group, "scalarCodec" | "pointCodec"> = {
    name: "ed25519",
    id: 3,
    order: q,
    base: Point.BASE,
    zero: Point.ZERO,
    scalar: mod,
    add: (a, b) => mod(a + b),
    sub: (a, b) => mod(a - b),
    mul: (a, b) => mod(a * b),
    neg: (a) => mod(-a),
    invertVartime(a) {
      invariant(a !== 0n, "0 has no inverse");
      return Point.Fn.inv(a) as Scalar;
    },
    mulBase: (a) => a === 0n ? Point.ZERO : Point.BASE.multiply(a),
    mulVartime: (point, a) => (point as NoblePoint).multiplyUnsafe(a),
    normalize: (points) => normalizeZ(Point as never, points as never[]) as unknown as readonly NoblePoint[],
    randomScalar(rng) {
      for (;;) {
        const value = mod(bytesToBigint(rng.bytes(48)));
        if (value !== 0n) return value;
      }
    },
    reduce(bytes) {
      invariant(bytes.length >= 48, "a scalar is made from at least 48 bytes");
      return mod(bytesToBigint(bytes));
    },
    encodeScalar: (a) => bigintToBytes(a, 32).reverse(),
    encodePoint(point) {
      invariant(!point.is0(), "the identity has no encoding");
      return copy(point.toBytes());
    },
    decodePoint(bytes) {
      let point: NoblePoint;
      try {
        point = Point.fromBytes(bytes, false);
      } catch {
        throw new DecodeError("not a point of ed25519 in its canonical encoding");
      }
      // A point of small or mixed order would let a peer learn a scalar modulo 8, or make two verifiers disagree.
      if (point.is0() || !point.isTorsionFree()) {
        throw new DecodeError("not a point of the prime-order group of ed25519");
      }
      return point;
    },
  };
  return {
    ...group,
    scalarCodec: map(fixed(32), group.encodeScalar, (bytes) => {
      const value = bytesToBigint(bytes.reverse());
      if (value >= q) throw new DecodeError("a scalar is not below the group order");
      return value as Scalar;
    }),
    pointCodec: map(fixed(32), group.encodePoint, group.decodePoint),
  };
}
