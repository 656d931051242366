/**
 * Proof of knowledge of discrete logarithms, batched (SPEC 0.4).
 *
 * Schnorr's proof for A_1..A_m at once, made non-interactive by Fiat and Shamir; the batching by powers of the challenge is
 * that of Gennaro, Leigh, Sundaram and Yerazunis ("Batching Schnorr identification scheme", ASIACRYPT 2004).
 *
 * | symbol | |
 * |---|---|
 * | A_κ, a_κ | statement and witness, A_κ = a_κ·G, κ = 1..m |
 * | r, T | commitment, T = r·G |
 * | e | challenge, HS("pok"; sid, ctx, u16 i, curve, T, A_1..A_m) |
 * | s | response, s = r + Σ e^κ·a_κ |
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { u16, utf8 } from "../base/bytes.ts";
import { type Codec, struct } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { encodeCurve, type Group, type Point, type Scalar } from "../math/curve.ts";
import { multiScalarVartime } from "../math/multi_scalar.ts";
import { hashToScalar } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";

/** Where a proof belongs. A proof made for one use does not verify for another. */
export type PokUse = "dkg/coeff" | "dkg/share" | "refresh/coeff" | "reshare/coeff";

/** Who proves what, where. */
export interface Statement {
  /** The session in which it is proved. */
  readonly sid: SessionId;
  /** What it is proved for. */
  readonly use: PokUse;
  /** i: the prover. */
  readonly prover: PartyId;
  /** The group. */
  readonly curve: Group;
  /** A_1..A_m, at least one. */
  readonly points: readonly Point[];
}

/** a_1..a_m. */
export type Witness = readonly Scalar[];

/** 65 bytes. */
export interface Proof {
  /** T = r·G. */
  readonly T: Point;
  /** s = r + Σ e^κ·a_κ. */
  readonly s: Scalar;
}

/** Proves knowledge of the discrete logarithms of all points. @source SPEC 0.4 */
export function prove(statement: Statement, witness: Witness, rng: Rng): Proof {
  const { curve, points } = statement;
  invariant(
    witness.length === points.length && witness.length > 0,
    "a proof needs a logarithm for every point",
  );
  const r = curve.randomScalar(rng);
  const T = curve.mulBase(r);
  const e = challenge(statement, T);
  let sum = curve.scalar(0n);
  for (let k = witness.length - 1; k >= 0; k--) sum = curve.mul(e, curve.add(sum, witness[k] as Scalar));
  return { T, s: curve.add(r, sum) }; // s = r + Σ e^κ·a_κ
}

/** True iff s·G = T + Σ e^κ·A_κ, and no point is the identity. @source SPEC 0.4 */
export function verify(statement: Statement, { T, s }: Proof): boolean {
  const { curve, points } = statement;
  if (points.length === 0 || T.is0() || points.some((A) => A.is0())) return false;
  const e = challenge(statement, T);
  const powers = [e];
  while (powers.length < points.length) powers.push(curve.mul(powers[powers.length - 1] as Scalar, e));
  return curve.mulVartime(curve.base, s).equals(T.add(multiScalarVartime(curve, points, powers)));
}

/** T, then s. */
export function proofCodec(curve: Group): Codec<Proof> {
  return struct({ T: curve.pointCodec, s: curve.scalarCodec });
}

function challenge({ sid, use, prover, curve, points }: Statement, T: Point): Scalar {
  return hashToScalar(
    curve,
    Tag.pok,
    sid,
    utf8(use),
    u16(prover),
    encodeCurve(curve),
    curve.encodePoint(T),
    ...points.map((A) => curve.encodePoint(A)),
  );
}
