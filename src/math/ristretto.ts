/**
 * The group of the base oblivious transfers: ristretto255 (RFC 9496), and its way to X25519.
 *
 * @module
 */

import { ed25519, ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { type Bytes, concat, copy, u16, u8, utf8 } from "../base/bytes.ts";
import { ed25519Signer, sha512 } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";

/** An element of ristretto255. */
export interface Element {
  /** The sum. */
  add(other: Element): Element;
  /** The difference. */
  subtract(other: Element): Element;
  /** Whether both are the same element. */
  equals(other: Element): boolean;
  /** Whether it is the identity. */
  is0(): boolean;
  /** The canonical 32 bytes. */
  toBytes(): Uint8Array;
}

/** An element with a known discrete logarithm ±8t, and the logarithm as X25519 takes it. */
export interface KnownElement {
  /** a·G. */
  readonly element: Element;
  /** 32 bytes; X25519 reads them as 8t with t in [2^251, 2^252). */
  readonly key: Bytes;
}

/**
 * A uniform element a·G with a = ±8t. The multiplication is that of an Ed25519 public key, native where the runtime has it:
 * its scalar is the first half of SHA-512 of the seed, clamped as X25519 clamps. Clamping reaches one of t and ℓ − t, so a
 * random sign makes a uniform but for 2^-124 of the values; x does not depend on the sign.
 *
 * @param seed 32 random bytes, used for nothing else.
 * @param negative a random bit.
 */
export function knownElement(seed: Uint8Array, negative: number): KnownElement {
  const digest = sha512(seed);
  const key = digest.slice(0, 32);
  digest.fill(0);
  const point = ed25519.Point.fromBytes(ed25519Signer(seed).publicKey);
  const Ristretto = ristretto255.Point as unknown as new (point: unknown) => Element;
  const both = [new Ristretto(point), new Ristretto(point.negate())];
  return { element: both[negative] as Element, key };
}

/** Reads a canonical encoding of 32 bytes; undefined where it is not one. The identity is one. */
export function decodeElement(bytes: Uint8Array): Element | undefined {
  try {
    return ristretto255.Point.fromBytes(bytes);
  } catch {
    return undefined;
  }
}

/** The one-way map of 64 uniform bytes to a uniform element (RFC 9496, 4.3.4): two evaluations of Elligator. */
export function elementFromUniform(bytes: Uint8Array): Element {
  invariant(bytes.length === 64, "the map takes 64 uniform bytes");
  invariant(ristretto255_hasher.deriveToCurve !== undefined, "noble has the one-way map");
  return ristretto255_hasher.deriveToCurve(bytes);
}

/**
 * hash_to_ristretto255 with SHA-512 (RFC 9380, appendix B).
 *
 * @param dst domain separation tag, 1 to 255 bytes.
 */
export function hashToElement(dst: string, message: Uint8Array): Element {
  const name = utf8(dst);
  const dstPrime = concat(name, u8(name.length));
  const b_0 = sha512(new Uint8Array(SHA512_BLOCK_BYTES), message, u16(64), u8(0), dstPrime);
  return elementFromUniform(sha512(b_0, u8(1), dstPrime)); // b_1 is all that expand_message_xmd gives for 64 bytes
}

/**
 * The Montgomery u = (Z + Y)/(Z − Y) of one representative of each element, as X25519 takes it. X25519 keys are multiples of
 * 8, so that the representative does not matter.
 *
 * @param elements none of them the identity.
 */
export function montgomeryU(elements: readonly Element[]): Bytes[] {
  const { Fp } = ed25519.Point;
  const points = elements.map((element) => (element as unknown as HasEdwardsPoint).ep);
  const denominators = points.map(({ Y, Z }) => Fp.sub(Z, Y));
  const inverses = Fp.invertBatch(denominators);
  return points.map(({ Y, Z }, i) => copy(Fp.toBytes(Fp.mul(Fp.add(Z, Y), inverses[i] as bigint))));
}

/**
 * True iff the bytes are the canonical u of a point whose order is not small, on the curve or its twist: then X25519 never
 * gives zero for it.
 */
export function isLargeOrderU(bytes: Uint8Array): boolean {
  if (bytes.length !== 32) return false;
  const u = BigInt("0x" + copy(bytes).reverse().toHex());
  return u < FIELD_PRIME && !SMALL_ORDER_U.includes(u);
}

interface HasEdwardsPoint {
  readonly ep: { readonly Y: bigint; readonly Z: bigint };
}

const SHA512_BLOCK_BYTES = 128;
const FIELD_PRIME = 2n ** 255n - 19n;
// Every u below the prime with 8·P = O: orders 1 and 2, 4 on the curve, 4 on the twist, and twice 8.
const SMALL_ORDER_U = [
  0n,
  1n,
  FIELD_PRIME - 1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
];
