/**
 * Prime-order groups for ECDSA, thin over noble-curves: points, scalars and their canonical encodings (SPEC 0.2).
 *
 * @module
 */

import { secp256k1 as nobleSecp256k1 } from "@noble/curves/secp256k1.js";
import { normalizeZ } from "@noble/curves/abstract/curve.js";
import { p256 as nobleP256 } from "@noble/curves/nist.js";
import type { Brand } from "../base/brands.ts";
import { type Bytes, concat, copy } from "../base/bytes.ts";
import { type Codec, DecodeError, fixed, map } from "../base/codec.ts";
import { cryptoBackendName, ecKey } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";

/** Names of the curves as they appear in proposals, files and options. */
export type CurveName = "secp256k1" | "p256";

/** An integer modulo the group order, 0 included. */
export type Scalar = Brand<bigint, "Scalar">;

/** A point, the identity included where a function says so. Immutable. */
export interface Point {
  /** The sum. */
  add(other: Point): Point;
  /** The difference. */
  subtract(other: Point): Point;
  /** The inverse. */
  negate(): Point;
  /** The sum with itself. */
  double(): Point;
  /** Whether both are the same point. */
  equals(other: Point): boolean;
  /** Whether it is the identity. */
  is0(): boolean;
  /** SEC1, compressed unless told otherwise. */
  toBytes(compressed?: boolean): Uint8Array;
  /** Affine x. */
  readonly x: bigint;
  /** Affine y. */
  readonly y: bigint;
}

/** A group of prime order: arithmetic, encodings, sampling. What dealings and proofs of knowledge need. */
export interface Group {
  /** As in options and files. */
  readonly name: string;
  /** Number of the group in encodings: 1 secp256k1, 2 P-256, 3 Ed25519. */
  readonly id: number;
  /** q, the number of points. */
  readonly order: bigint;
  /** G. */
  readonly base: Point;
  /** The identity. */
  readonly zero: Point;
  /** Integer modulo the order. */
  scalar(value: bigint): Scalar;
  /** a + b. */
  add(a: Scalar, b: Scalar): Scalar;
  /** a − b. */
  sub(a: Scalar, b: Scalar): Scalar;
  /** a·b. */
  mul(a: Scalar, b: Scalar): Scalar;
  /** −a. */
  neg(a: Scalar): Scalar;
  /** Inverse of a public scalar. @throws InvariantError for 0. */
  invertVartime(a: Scalar): Scalar;
  /** Scalar times base point; fixed sequence, blinded by noble. 0 gives the identity. */
  mulBase(a: Scalar): Point;
  /** Public scalar times public point. */
  mulVartime(point: Point, a: Scalar): Point;
  /** The same points, made ready to be encoded many times: one inversion for all. None is the identity. */
  normalize(points: readonly Point[]): readonly Point[];
  /** 48 random bytes modulo the order, 0 drawn again (SPEC 0.2). */
  randomScalar(rng: Rng): Scalar;
  /** Big-endian bytes modulo the order; at least 48 bytes, so that the bias is below 2^-128. */
  reduce(bytes: Uint8Array): Scalar;
  /** 32 bytes: big-endian, on Ed25519 little-endian. */
  encodeScalar(a: Scalar): Bytes;
  /** The group's standard encoding, compressed. @throws InvariantError for the identity. */
  encodePoint(point: Point): Bytes;
  /** Reads a point. @throws DecodeError unless it is the canonical encoding of one of the group, not the identity. */
  decodePoint(bytes: Uint8Array): Point;
  /** 32 bytes, below the order. */
  readonly scalarCodec: Codec<Scalar>;
  /** Canonical, of the group, not the identity. */
  readonly pointCodec: Codec<Point>;
}

/** A curve for ECDSA. Points are encoded as SEC1 says, compressed: 33 bytes. */
export interface Curve extends Group {
  /** As in options and files. */
  readonly name: CurveName;
  /**
   * The 32-byte x of a·P for each point; native and fixed sequence where the runtime has it. The sign of y is lost: SPEC 2.6
   * says when that may be used.
   *
   * @param points not the identity.
   * @param a not 0.
   */
  mulX(points: readonly Point[], a: Scalar): Bytes[];
  /** The 32-byte x of each point; zeros for the identity. */
  xOf(points: readonly Point[]): Bytes[];
  /** Scalar times point; fixed sequence. 0 gives the identity. */
  mul1(point: Point, a: Scalar): Point;
  /**
   * Verifies an ECDSA signature with the library's verifier.
   *
   * @param input `signature` is r ‖ s; with `lowS`, an s above half the order is refused.
   */
  verifyEcdsa(
    input: {
      readonly publicKey: Point;
      readonly digest: Uint8Array;
      readonly signature: Uint8Array;
      readonly lowS: boolean;
    },
  ): boolean;
  /** Consecutive 48-byte integers, each modulo the order. */
  reduce48(bytes: Uint8Array, endian: "big" | "little"): Scalar[];
  /** Consecutive 32-byte scalars. */
  encodeScalars(values: readonly Scalar[]): Bytes;
  /** Reads consecutive 32-byte scalars; undefined where one is not below the order. */
  decodeScalars(bytes: Uint8Array): Scalar[] | undefined;
}

/** secp256k1 (SEC 2, 2.4.1). */
export const secp256k1: Curve = makeCurve("secp256k1", 1, nobleSecp256k1);
/** P-256 (FIPS 186-5, NIST SP 800-186). */
export const p256: Curve = makeCurve("p256", 2, nobleP256);

/** All curves of threshold ECDSA by name. */
export const CURVES: Readonly<Record<CurveName, Curve>> = { secp256k1, p256 };

/** The integer of big-endian bytes. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  if (bytes.length === 32) return read32(view(bytes), 0);
  return bytes.length === 0 ? 0n : BigInt("0x" + bytes.toHex());
}

/** `length` big-endian bytes of an integer that fits. */
export function bigintToBytes(value: bigint, length: number): Bytes {
  invariant(value >= 0n && value >> BigInt(8 * length) === 0n, "an integer does not fit its bytes");
  if (length === 32) {
    const out = new Uint8Array(32);
    write32(view(out), 0, value);
    return out;
  }
  return Uint8Array.fromHex(value.toString(16).padStart(2 * length, "0"));
}

interface NoblePoint extends Point {
  multiply(scalar: bigint): NoblePoint;
  multiplyUnsafe(scalar: bigint): NoblePoint;
  assertValidity(): void;
  toAffine(): { x: bigint; y: bigint };
}

interface NoblePointClass {
  readonly BASE: NoblePoint;
  readonly ZERO: NoblePoint;
  readonly Fn: { readonly ORDER: bigint; inv(value: bigint): bigint };
  fromBytes(bytes: Uint8Array): NoblePoint;
  fromAffine(point: { x: bigint; y: bigint }): NoblePoint;
}

function makeCurve(name: CurveName, id: number, ecdsa: typeof nobleSecp256k1): Curve {
  const Point = ecdsa.Point as unknown as NoblePointClass;
  const q = Point.Fn.ORDER;
  const mod = (value: bigint): Scalar => {
    const rest = value % q;
    return (rest < 0n ? rest + q : rest) as Scalar;
  };
  // One inversion for all points.
  const affine = (points: readonly Point[]) =>
    normalizeZ(Point as never, points as never[]) as unknown as readonly NoblePoint[];
  // Measured: native multiplication of the base point wins on secp256k1 and loses on P-256.
  const nativeBase = name === "secp256k1" && cryptoBackendName === "node";
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
    mulBase(a) {
      if (a === 0n) return Point.ZERO;
      if (!nativeBase) return Point.BASE.multiply(a);
      const scalar = bigintToBytes(a, 32);
      const xy = view(ecKey(name, scalar).publicXy());
      scalar.fill(0);
      return Point.fromAffine({ x: read32(xy, 0), y: read32(xy, 32) });
    },
    xOf: (points) => affine(points).map((point) => bigintToBytes(point.toAffine().x, 32)),
    mulX(points, a) {
      invariant(a !== 0n, "an x-only multiplication by 0 has no result");
      const scalar = bigintToBytes(a, 32);
      const key = ecKey(name, scalar);
      const out = affine(points).map((point) => {
        const { x, y } = point.toAffine();
        const xy = new Uint8Array(64);
        write32(view(xy), 0, x);
        write32(view(xy), 32, y);
        return key.sharedX(xy);
      });
      scalar.fill(0);
      return out;
    },
    mul1: (point, a) => a === 0n ? Point.ZERO : (point as NoblePoint).multiply(a),
    mulVartime: (point, a) => (point as NoblePoint).multiplyUnsafe(a),
    verifyEcdsa({ publicKey, digest, signature, lowS }) {
      return ecdsa.verify(signature, digest, publicKey.toBytes(true), { prehash: false, lowS });
    },
    normalize: affine,
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
    reduce48(bytes, endian) {
      invariant(bytes.length % 48 === 0, "integers of 48 bytes");
      const data = view(bytes);
      const read = endian === "big" ? read48 : read48Little;
      const out = new Array<Scalar>(bytes.length / 48);
      for (let i = 0; i < out.length; i++) out[i] = (read(data, 48 * i) % q) as Scalar;
      return out;
    },
    encodeScalar: (a) => bigintToBytes(a, 32),
    encodeScalars(values) {
      const out = new Uint8Array(32 * values.length);
      const data = view(out);
      for (let i = 0; i < values.length; i++) write32(data, 32 * i, values[i] as Scalar);
      return out;
    },
    decodeScalars(bytes) {
      invariant(bytes.length % 32 === 0, "scalars of 32 bytes");
      const data = view(bytes);
      const out = new Array<Scalar>(bytes.length / 32);
      for (let i = 0; i < out.length; i++) {
        const value = read32(data, 32 * i);
        if (value >= q) return undefined;
        out[i] = value as Scalar;
      }
      return out;
    },
    encodePoint(point) {
      invariant(!point.is0(), "the identity has no encoding");
      return copy(point.toBytes(true));
    },
    decodePoint(bytes) {
      // noble takes 33 bytes as SEC1 compressed only; other lengths are other forms.
      if (bytes.length !== 33) throw new DecodeError("a point is 33 bytes, SEC1 compressed");
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

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// Eight bytes at a time: about six times as fast as through hexadecimal text.
function read32(data: DataView, at: number): bigint {
  return (data.getBigUint64(at) << 64n | data.getBigUint64(at + 8)) << 128n |
    (data.getBigUint64(at + 16) << 64n | data.getBigUint64(at + 24));
}

function read48(data: DataView, at: number): bigint {
  return (data.getBigUint64(at) << 64n | data.getBigUint64(at + 8)) << 256n | read32(data, at + 16);
}

function read48Little(data: DataView, at: number): bigint {
  const low = data.getBigUint64(at, true) | data.getBigUint64(at + 8, true) << 64n;
  const middle = data.getBigUint64(at + 16, true) | data.getBigUint64(at + 24, true) << 64n;
  const high = data.getBigUint64(at + 32, true) | data.getBigUint64(at + 40, true) << 64n;
  return (high << 128n | middle) << 128n | low;
}

function write32(data: DataView, at: number, value: bigint): void {
  data.setBigUint64(at, BigInt.asUintN(64, value >> 192n));
  data.setBigUint64(at + 8, BigInt.asUintN(64, value >> 128n));
  data.setBigUint64(at + 16, BigInt.asUintN(64, value >> 64n));
  data.setBigUint64(at + 24, BigInt.asUintN(64, value));
}

/** The hash input that names a group. */
export function encodeCurve(curve: Group): Bytes {
  return concat(new Uint8Array([curve.id]));
}
