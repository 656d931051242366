/**
 * The mathematics of key generation, round by round, as pure functions (SPEC 2.4).
 *
 * @module
 */

import type { PartyId, SessionId } from "../../base/brands.ts";
import type { Bytes } from "../../base/bytes.ts";
import { encode } from "../../base/codec.ts";
import { CheaterError, invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { Secret } from "../../base/secret.ts";
import type { Curve, Point, Scalar } from "../../math/curve.ts";
import type { AccessTree } from "../../primitives/access.ts";
import { commit, COMMITMENT_BYTES, opens } from "../../primitives/commitment.ts";
import {
  commitmentsFault,
  deal,
  isShareOf,
  publicSharesVartime,
  sumCommitments,
} from "../../primitives/feldman.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import * as pok from "../../zk/schnorr_pok.ts";
import type { KeyPurpose } from "../key_purpose.ts";
import { type KeyShare, makeKeyId, type Member, policyHashOf } from "../key_share.ts";
import { committedBytes, type Opening, openingCodec } from "./messages.ts";

/** What all steps of one run have in common. */
export interface DkgContext {
  /** The session. */
  readonly sid: SessionId;
  /** The curve of the key. */
  readonly curve: Curve;
  /** Who may sign together. */
  readonly policy: AccessTree;
  /** Ascending by index. */
  readonly members: readonly Member[];
  /** What the key is for. */
  readonly purpose: KeyPurpose;
  /** This party. */
  readonly self: PartyId;
}

/** One dealer's message of round 2, and its secret shares. */
export interface OwnDealing {
  /** For all, in round 2. */
  readonly opening: Opening;
  /** s_{i→j} for every member, self included. */
  readonly shares: ReadonlyMap<PartyId, Scalar>;
}

/** What a peer sent in the first two rounds. */
export interface Dealt {
  /** com_j of round 1. */
  readonly commitment: Bytes;
  /** What it opened in round 2. */
  readonly opening: Opening;
  /** s_{j→i}, for this party. */
  readonly share: Scalar;
}

/** Round 1: deals a random secret and prepares the opening. */
export function dealOwn({ sid, curve, policy, members, self }: DkgContext, rng: Rng): OwnDealing {
  const dealing = deal(policy, curve.randomScalar(rng), curve, rng);
  const { coefficients, shares } = dealing;
  const commitments = curve.normalize(dealing.commitments);
  const proof = pok.prove(
    { sid, use: "dkg/coeff", prover: self, curve, points: commitments },
    coefficients,
    rng,
  );
  return {
    opening: {
      coefficients: commitments,
      proof,
      chainCode: rng.bytes(32),
      salt: rng.bytes(COMMITMENT_BYTES),
    },
    shares: new Map(members.map((member) => [member.index, shares.get(member.name) as Scalar])),
  };
}

/** Round 1: com_i = Com(sid, i, (list C_i, PoK_i, cc_i); s_i). */
export function commitTo(context: DkgContext, party: PartyId, opening: Opening): Bytes {
  return commit(commitmentOf(context, party, opening));
}

/** Round 2: every check of what party j dealt. @returns what is wrong in words, or undefined. */
export function dealingFault(
  input: { readonly context: DkgContext; readonly dealer: PartyId; readonly dealt: Dealt },
): string | undefined {
  const { context, dealer, dealt: { commitment, opening, share } } = input;
  const { sid, curve, policy, members, self } = context;
  const { coefficients, proof } = opening;
  if (!opens(commitment, commitmentOf(context, dealer, opening))) {
    return "its opening is not what it committed to";
  }
  const fault = commitmentsFault(policy, coefficients);
  if (fault !== undefined) return `its dealing does not fit the policy: ${fault}`;
  if (!pok.verify({ sid, use: "dkg/coeff", prover: dealer, curve, points: coefficients }, proof)) {
    return "it does not prove that it knows what it dealt";
  }
  const leaf = members.find((member) => member.index === self)?.name;
  invariant(leaf !== undefined, "this party is not a member");
  if (!isShareOf({ tree: policy, commitments: coefficients, curve }, leaf, share)) {
    return "the share that it dealt to this party does not match its commitments";
  }
  return undefined;
}

/**
 * After round 2: adds up what everybody dealt.
 *
 * @param openings of all members, self included.
 * @param shares dealt to this party by all members, self included.
 * @throws CheaterError UNATTRIBUTABLE where the sum is degenerate; it cannot happen by chance.
 */
export function combine(
  context: DkgContext,
  openings: ReadonlyMap<PartyId, Opening>,
  shares: ReadonlyMap<PartyId, Scalar>,
): KeyShare {
  const { sid, curve, policy, members, self, purpose } = context;
  const all = members.map((member) => openings.get(member.index) as Opening);
  const sum = sumCommitments(all.map((opening) => opening.coefficients));
  const byName = publicSharesVartime(policy, sum);
  const results = [sum[0] as Point, ...members.map((member) => byName.get(member.name) as Point)];
  if (commitmentsFault(policy, sum) !== undefined || results.some((point) => point.is0())) {
    throw new CheaterError({
      code: "UNATTRIBUTABLE",
      round: 2,
      culprits: [],
      what: "the dealings add up to a degenerate key",
    });
  }
  const [publicKey, ...X] = curve.normalize(results) as [Point, ...Point[]]; // Q = Σ C_{j,root,0}
  const publicShares = new Map(members.map((member, k) => [member.index, X[k] as Point]));
  let x = curve.scalar(0n); // x_i = Σ s_{j→i}
  for (const share of shares.values()) x = curve.add(x, share);
  invariant(
    curve.mulBase(x).equals(publicShares.get(self) as Point),
    "the own share is not the logarithm of its public share",
  );
  const keyId = makeKeyId({ curve, sid, publicKey, policyHash: policyHashOf(context), purpose });
  const chainCode = hash(Tag.chainCode, sid, ...all.map((opening) => opening.chainCode));
  return {
    record: { keyId, purpose, epoch: 0, curve, policy, members, publicKey, publicShares, chainCode },
    self,
    share: new Secret(curve.encodeScalar(x)),
  };
}

/** `H("dkg/transcript"; sid, com_1..com_n, open_1..open_n)`, ascending by index. */
export function transcriptOf(
  { sid, curve, members }: DkgContext,
  commitments: ReadonlyMap<PartyId, Bytes>,
  openings: ReadonlyMap<PartyId, Opening>,
): Bytes {
  const codec = openingCodec(curve);
  return hash(
    Tag.dkgTranscript,
    sid,
    ...members.map((member) => commitments.get(member.index) as Bytes),
    ...members.map((member) => encode(codec, openings.get(member.index) as Opening)),
  );
}

function commitmentOf({ sid, curve }: DkgContext, party: PartyId, opening: Opening) {
  return {
    tag: Tag.dkgCommit,
    sid,
    party,
    message: committedBytes(curve, opening),
    salt: opening.salt,
  } as const;
}
