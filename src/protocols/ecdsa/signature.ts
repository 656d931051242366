/**
 * An ECDSA signature in the forms that people need.
 *
 * @module
 */

import { type Bytes, concat, u8 } from "../../base/bytes.ts";
import type { Curve, Point, Scalar } from "../../math/curve.ts";

/** A verified ECDSA signature. */
export interface EcdsaSignature {
  /** 32 bytes big-endian. */
  readonly r: Bytes;
  /** 32 bytes big-endian. */
  readonly s: Bytes;
  /** 0 to 3: which of the points with that r is R; with it the public key follows from signature and digest. */
  readonly recoveryId: number;
  /** `SEQUENCE { r INTEGER, s INTEGER }`: what openssl takes. */
  readonly der: Bytes;
  /** r ‖ s, 64 bytes. */
  readonly compact: Bytes;
}

/**
 * Makes a signature from (R, s) and verifies it.
 *
 * @param input `lowS`: an s above half the order is replaced by its negative, as bitcoin and Ethereum demand.
 * @returns undefined where it does not verify under the public key.
 * @source SPEC 2.6, round 3
 */
export function finishSignature(
  input: {
    readonly curve: Curve;
    readonly publicKey: Point;
    readonly digest: Bytes;
    readonly R: Point;
    readonly s: Scalar;
    readonly lowS: boolean;
  },
): EcdsaSignature | undefined {
  const { curve, publicKey, digest, R, lowS } = input;
  const { x, y } = R;
  const flipped = lowS && 2n * input.s > curve.order;
  const r = curve.encodeScalar(curve.scalar(x));
  const s = curve.encodeScalar(flipped ? curve.neg(input.s) : input.s);
  const compact = concat(r, s);
  if (!curve.verifyEcdsa({ publicKey, digest, signature: compact, lowS })) return undefined;
  const odd = Number(y & 1n) ^ Number(flipped);
  return { r, s, recoveryId: odd | (x >= curve.order ? 2 : 0), der: encodeDer(r, s), compact };
}

/** `SEQUENCE { r INTEGER, s INTEGER }` of two 32-byte integers (RFC 3279, 2.2.3). */
export function encodeDer(r: Bytes, s: Bytes): Bytes {
  const body = concat(derInteger(r), derInteger(s));
  return concat(u8(0x30), u8(body.length), body);
}

/** A positive integer without needless zeros, and with one where the first bit would be a sign. */
function derInteger(value: Bytes): Bytes {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const digits = value.subarray(start);
  const padded = (digits[0] as number) >= 0x80 ? concat(u8(0), digits) : digits;
  return concat(u8(0x02), u8(padded.length), padded);
}
