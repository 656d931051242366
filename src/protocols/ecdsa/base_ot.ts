/**
 * Endemic oblivious transfer (Masny, Rindal, eprint 2019/706, Fig. 8; SPEC 2.3 (1)): 128 instances per direction. The points
 * that hide the choice are in ristretto255, the Diffie-Hellman is X25519 and so x-only: that leaves correctness and the
 * receiver's privacy as they are and costs the sender's privacy a factor of 2 in the reduction.
 *
 * The VOLE receiver is the OT sender; the VOLE sender is the OT receiver and chooses.
 *
 * @module
 */

import { type Bytes, concat, erase, u16, u8 } from "../../base/bytes.ts";
import { x25519, x25519PublicKey } from "../../base/crypto.ts";
import { invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import {
  decodeElement,
  type Element,
  elementFromUniform,
  hashToElement,
  isLargeOrderU,
  knownElement,
  montgomeryU,
} from "../../math/ristretto.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";

/** Bytes of one instance in either message: two points. */
export const OT_BYTES = 64;

/** What a choosing party keeps for one instance. */
export interface OtChoice {
  /** β, 0 or 1. */
  readonly choice: number;
  /** The exponent as an X25519 key. */
  readonly key: Bytes;
  /** r_0 ‖ r_1. */
  readonly points: Bytes;
}

/** The two keys of the OT sender. */
export type OtKeys = readonly [Bytes, Bytes];

/**
 * The receiver's message r_0 ‖ r_1 of instance l.
 *
 * @source SPEC 2.3 (1), "S: for l < 128"
 */
export function chooseOt(psid: Bytes, l: number, choice: number, rng: Rng): OtChoice {
  const other = elementFromUniform(rng.bytes(64)); // r_{1−β}: uniform
  const otherBytes = other.toBytes();
  const seed = rng.bytes(33);
  const { element: aG, key } = knownElement(seed.subarray(0, 32), (seed[32] as number) & 1);
  erase(seed);
  // r_β = a·G − Hg_β(r_{1−β})
  const mine = aG.subtract(branchHash(psid, l, choice, otherBytes)).toBytes();
  return { choice, key, points: selectOrder(choice, mine, otherBytes) };
}

/** Reads a receiver's r_0 and r_1; undefined where one is not canonical. */
export function decodeOtPoints(points: Uint8Array): readonly [Element, Element] | undefined {
  const r_0 = decodeElement(points.subarray(0, 32));
  const r_1 = decodeElement(points.subarray(32, 64));
  return r_0 === undefined || r_1 === undefined ? undefined : [r_0, r_1];
}

/**
 * The sender's answers B_0 ‖ B_1 and keys for consecutive instances.
 *
 * @param first number of the first instance.
 * @returns undefined where an A_c is the identity: the peer cheated.
 * @source SPEC 2.3 (1), "R: decode all"
 */
export function answerOts(
  psid: Bytes,
  first: number,
  instances: readonly { readonly points: Bytes; readonly decoded: readonly [Element, Element] }[],
  rng: Rng,
): readonly { readonly answer: Bytes; readonly keys: OtKeys }[] | undefined {
  const A: Element[] = [];
  for (const [i, { points, decoded: [r_0, r_1] }] of instances.entries()) {
    A.push(r_0.add(branchHash(psid, first + i, 0, points.subarray(32, 64))));
    A.push(r_1.add(branchHash(psid, first + i, 1, points.subarray(0, 32))));
  }
  if (A.some((element) => element.is0())) return undefined;
  const u = montgomeryU(A);
  return instances.map(({ points }, i) => {
    const branch = (c: 0 | 1) => {
      const b_c = rng.bytes(32);
      const B_c = x25519PublicKey(b_c);
      const shared = x25519(b_c, u[2 * i + c] as Bytes);
      invariant(shared !== undefined, "an element of prime order gives a shared secret");
      const key = otKey(psid, first + i, c, points, B_c, shared);
      erase(b_c, shared);
      return { B_c, key };
    };
    const [zero, one] = [branch(0), branch(1)];
    return { answer: concat(zero.B_c, one.B_c), keys: [zero.key, one.key] as const };
  });
}

/**
 * Whether both points of an answer may be used. Judged for all instances before any is used: a bad point in the branch that
 * was not chosen would otherwise show the choice.
 */
export function isOtAnswer(answer: Uint8Array): boolean {
  const first = isLargeOrderU(answer.subarray(0, 32)), second = isLargeOrderU(answer.subarray(32, 64));
  return first && second;
}

/** The chosen key m_β. Erases the exponent. @param answer accepted by {@linkcode isOtAnswer}. */
export function openOt(psid: Bytes, l: number, state: OtChoice, answer: Uint8Array): Bytes {
  const B = select(state.choice, answer.subarray(0, 32), answer.subarray(32, 64));
  const shared = x25519(state.key, B);
  invariant(shared !== undefined, "a point of large order gives a shared secret");
  const key = otKey(psid, l, state.choice, state.points, B, shared);
  erase(state.key, shared);
  return key;
}

/** Hg_{c,l}(P), a random oracle into the group. All parts have fixed widths. */
function branchHash(psid: Bytes, l: number, c: number, P: Uint8Array): Element {
  return hashToElement(`quorate/v1/${Tag.pairOtHash}`, concat(psid, u16(l), u8(c), P));
}

function otKey(psid: Bytes, l: number, c: number, points: Bytes, B_c: Bytes, shared: Bytes): Bytes {
  return hash(
    Tag.pairOtKey,
    psid,
    u16(l),
    u8(c),
    points.subarray(0, 32),
    points.subarray(32, 64),
    B_c,
    shared,
  );
}

/** `zero` or `one` as `bit` says, by masks. */
function select(bit: number, zero: Uint8Array, one: Uint8Array): Bytes {
  const mask = -bit;
  const out = new Uint8Array(zero.length);
  for (let i = 0; i < out.length; i++) {
    const a = zero[i] as number;
    out[i] = a ^ (mask & (a ^ (one[i] as number)));
  }
  return out;
}

/** The pair with `mine` at place `choice`. */
function selectOrder(choice: number, mine: Uint8Array, other: Uint8Array): Bytes {
  return concat(select(choice, mine, other), select(choice, other, mine));
}
