/**
 * Prime-order groups for ECDSA, thin over noble-curves: points, scalars and their canonical encodings (SPEC 0.2).
 *
 * @module
 */

import { secp256k1 as nobleSecp256k1 } from "@noble/curves/secp256k1.js";
import { p256 as nobleP256 } from "@noble/curves/nist.js";
import type { Brand } from "../base/brands.ts";
import { type Bytes, concat, copy } from "../base/bytes.ts";
import { type Codec, DecodeError, fixed, map } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";

/** Names of the curves as they appear in proposals, files and options. */
export type CurveName = "secp256k1" | "p256";

/** An integer modulo the group order, 0 included. */
export type Scalar = Brand<bigint, "Scalar">;

/** A point, the identity included where a function says so. Immutable. */
export interface Point {
  add(other: Point): Point;
  subtract(other: Point): Point;
  negate(): Point;
  double(): Point;
  equals(other: Point): boolean;
  is0(): boolean;
  toBytes(compressed?: boolean): Uint8Array;
  readonly x: bigint;
  readonly y: bigint;
}

/** One group: arithmetic, encodings, sampling. */
export interface Curve {
  readonly name: CurveName;
  /** Number of the curve in encodings: 1 secp256k1, 2 P-256. */
  readonly id: number;
  readonly order: bigint;
  readonly base: Point;
  readonly zero: Point;
  /** Integer modulo the order. */
  scalar(value: bigint): Scalar;
  add(a: Scalar, b: Scalar): Scalar;
  sub(a: Scalar, b: Scalar): Scalar;
  mul(a: Scalar, b: Scalar): Scalar;
  neg(a: Scalar): Scalar;
  /** Inverse of a public scalar. @throws InvariantError for 0. */
  invertVartime(a: Scalar): Scalar;
  /** Scalar times base point; fixed sequence, blinded by noble. 0 gives the identity. */
  mulBase(a: Scalar): Point;
  /** Scalar times point; fixed sequence. 0 gives the identity. */
  mul1(point: Point, a: Scalar): Point;
  /** Public scalar times public point. */
  mulVartime(point: Point, a: Scalar): Point;
  /** 48 random bytes modulo the order, 0 drawn again (SPEC 0.2). */
  randomScalar(rng: Rng): Scalar;
  /** Big-endian bytes modulo the order; at least 48 bytes, so that the bias is below 2^-128. */
  reduce(bytes: Uint8Array): Scalar;
  /** 32 bytes big-endian. */
  encodeScalar(a: Scalar): Bytes;
  /** 33 bytes SEC1 compressed. @throws InvariantError for the identity. */
  encodePoint(point: Point): Bytes;
  /** @throws DecodeError unless 33 canonical bytes of a point other than the identity. */
  decodePoint(bytes: Uint8Array): Point;
  /** 32 bytes, below the order. */
  readonly scalarCodec: Codec<Scalar>;
  /** 33 bytes SEC1 compressed, on the curve, not the identity. */
  readonly pointCodec: Codec<Point>;
}

/** secp256k1 (SEC 2, 2.4.1). */
export const secp256k1: Curve = makeCurve("secp256k1", 1, nobleSecp256k1.Point as unknown as NoblePointClass);
/** P-256 (FIPS 186-5, NIST SP 800-186). */
export const p256: Curve = makeCurve("p256", 2, nobleP256.Point as unknown as NoblePointClass);

/** All curves of threshold ECDSA by name. */
export const CURVES: Readonly<Record<CurveName, Curve>> = { secp256k1, p256 };

/** The integer of big-endian bytes. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt("0x" + bytes.toHex());
}

/** `length` big-endian bytes of an integer that fits. */
export function bigintToBytes(value: bigint, length: number): Bytes {
  return Uint8Array.fromHex(value.toString(16).padStart(2 * length, "0"));
}

interface NoblePoint extends Point {
  multiply(scalar: bigint): NoblePoint;
  multiplyUnsafe(scalar: bigint): NoblePoint;
  assertValidity(): void;
}

interface NoblePointClass {
  readonly BASE: NoblePoint;
  readonly ZERO: NoblePoint;
  readonly Fn: { readonly ORDER: bigint; inv(value: bigint): bigint };
  fromBytes(bytes: Uint8Array): NoblePoint;
}

function makeCurve(name: CurveName, id: number, Point: NoblePointClass): Curve {
  const q = Point.Fn.ORDER;
  const mod = (value: bigint): Scalar => {
    const rest = value % q;
    return (rest < 0n ? rest + q : rest) as Scalar;
  };
  const curve: Omit<Curve, "scalarCodec" | "pointCodec"> = {
    name,
    id,
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
    mul1: (point, a) => a === 0n ? Point.ZERO : (point as NoblePoint).multiply(a),
    mulVartime: (point, a) => (point as NoblePoint).multiplyUnsafe(a),
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
    encodeScalar: (a) => bigintToBytes(a, 32),
    encodePoint(point) {
      invariant(!point.is0(), "the identity has no encoding");
      return copy(point.toBytes(true));
    },
    decodePoint(bytes) {
      if (bytes.length !== 33 || (bytes[0] !== 2 && bytes[0] !== 3)) {
        throw new DecodeError("a point is 33 bytes, SEC1 compressed");
      }
      try {
        const point = Point.fromBytes(bytes);
        point.assertValidity();
        return point;
      } catch {
        throw new DecodeError(`not a point of ${name}`);
      }
    },
  };
  return {
    ...curve,
    scalarCodec: map(fixed(32), curve.encodeScalar, (bytes) => {
      const value = bytesToBigint(bytes);
      if (value >= q) throw new DecodeError("a scalar is not below the group order");
      return value as Scalar;
    }),
    pointCodec: map(fixed(33), curve.encodePoint, curve.decodePoint),
  };
}

/** The hash input that names a curve. */
export function encodeCurve(curve: Curve): Bytes {
  return concat(new Uint8Array([curve.id]));
}
