/**
 * The mathematics of refresh and reshare, as pure functions (SPEC 2.8, 2.10).
 *
 * | symbol | |
 * |---|---|
 * | K_i | what dealer i must deal, times G: the identity in a refresh, c_i·X_i in a reshare |
 * | C_i | dealer i's commitments; the constant one is K_i |
 * | x_i, X_l | share and public shares of the epoch that is dealt on |
 * | x'_i, X'_l | those of the new one |
 *
 * @module
 */

import type { PartyId, SessionId } from "../../base/brands.ts";
import { type Bytes, u16 } from "../../base/bytes.ts";
import { CheaterError, invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { Secret } from "../../base/secret.ts";
import { bytesToBigint, type Point, type Scalar } from "../../math/curve.ts";
import { multiScalarVartime } from "../../math/multi_scalar.ts";
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
import { type KeyShare, type Member, type PublicKeyRecord, quorumOf } from "../key_share.ts";
import { committedBytes, type Opening } from "./messages.ts";

/** What all steps of one run have in common. */
export interface DealContext {
  /** A refresh adds dealings of zero to the shares; a reshare replaces them. */
  readonly kind: "refresh" | "reshare";
  /** The session. */
  readonly sid: SessionId;
  /** The epoch that is dealt on. */
  readonly base: PublicKeyRecord;
  /** Number of the new epoch. */
  readonly epoch: number;
  /** Who may sign together in it. */
  readonly policy: AccessTree;
  /** Its members, ascending by index. */
  readonly members: readonly Member[];
  /** K_i of every dealer, ascending. */
  readonly constants: ReadonlyMap<PartyId, Point>;
  /** This party. */
  readonly self: PartyId;
}

/** One dealer's message of round 2, and its secret shares. */
export interface OwnDealing {
  /** For all, in round 2. */
  readonly opening: Opening;
  /** s_{i→j} for every member of the new epoch. */
  readonly shares: ReadonlyMap<PartyId, Scalar>;
}

/** What a dealer sent in the first two rounds. */
export interface Dealt {
  /** com_i of round 1. */
  readonly commitment: Bytes;
  /** What it opened in round 2. */
  readonly opening: Opening;
  /** s_{i→j} for this party; none where this party is no member of the new epoch. */
  readonly share: Scalar | undefined;
}

/** Who deals in a reshare, with which coefficients, and what each must deal: c_i·X_i. Variable time: all of it is public. */
export function dealersOf(
  base: PublicKeyRecord,
  holders: readonly PartyId[],
):
  | { readonly coefficients: ReadonlyMap<PartyId, Scalar>; readonly constants: ReadonlyMap<PartyId, Point> }
  | undefined {
  const quorum = quorumOf(base, holders);
  if (quorum === undefined) return undefined;
  const constants = new Map<PartyId, Point>();
  for (const [party, c_i] of quorum.coefficients) {
    constants.set(party, base.curve.mulVartime(base.publicShares.get(party) as Point, c_i));
  }
  return { coefficients: quorum.coefficients, constants };
}

/** y_i = c_i·x_i: what this party deals in a reshare. */
export function weighted({ record, share }: KeyShare, c_i: Scalar): Scalar {
  const { curve } = record;
  return curve.mul(c_i, curve.scalar(bytesToBigint(share.expose())));
}

/** Round 1: deals `secret` (0 in a refresh) and prepares the opening. */
export function dealOwn(context: DealContext, secret: Scalar, rng: Rng): OwnDealing {
  const { kind, sid, base: { curve }, policy, members, self } = context;
  const dealing = deal(policy, secret, curve, rng);
  const from = kind === "refresh" ? 1 : 0;
  const coefficients = curve.normalize(dealing.commitments.slice(from));
  const statement: pok.Statement = { sid, use: `${kind}/coeff`, prover: self, curve, points: coefficients };
  return {
    opening: {
      coefficients,
      proof: coefficients.length === 0
        ? undefined
        : pok.prove(statement, dealing.coefficients.slice(from), rng),
      salt: rng.bytes(COMMITMENT_BYTES),
    },
    shares: new Map(members.map((member) => [member.index, dealing.shares.get(member.name) as Scalar])),
  };
}

/** Round 1: com_i = Com(sid, i, (list C_i, PoK_i); s_i). */
export function commitTo(context: DealContext, party: PartyId, opening: Opening): Bytes {
  return commit(commitmentOf(context, party, opening));
}

/** Round 2: every check of what a dealer dealt. @returns what is wrong in words, or undefined. */
export function dealingFault(
  input: { readonly context: DealContext; readonly dealer: PartyId; readonly dealt: Dealt },
): string | undefined {
  const { context, dealer, dealt: { commitment, opening, share } } = input;
  const { kind, sid, base: { curve }, policy, self } = context;
  if (!opens(commitment, commitmentOf(context, dealer, opening))) {
    return "its opening is not what it committed to";
  }
  const commitments = allCommitments(context, opening);
  const fault = commitmentsFault(policy, commitments);
  if (fault !== undefined) return `its dealing does not fit the policy: ${fault}`;
  if (!(commitments[0] as Point).equals(context.constants.get(dealer) as Point)) {
    return "it deals another secret than its share of the key";
  }
  const { coefficients, proof } = opening;
  const statement: pok.Statement = { sid, use: `${kind}/coeff`, prover: dealer, curve, points: coefficients };
  const proves = coefficients.length === 0
    ? proof === undefined
    : proof !== undefined && pok.verify(statement, proof);
  if (!proves) return "it does not prove that it knows what it dealt";
  const leaf = memberOf(context, self)?.name;
  if (leaf === undefined) return undefined;
  return share !== undefined && isShareOf({ tree: policy, commitments, curve }, leaf, share)
    ? undefined
    : "the share that it dealt to this party does not match its commitments";
}

/**
 * After round 2: the new epoch, from what all dealers dealt.
 *
 * @param openings of all dealers, self included.
 * @param own this party's present share (for a refresh), and what all dealers dealt to it; none where it is no member.
 * @throws CheaterError UNATTRIBUTABLE where the sum is degenerate; it cannot happen by chance.
 */
export function combine(
  context: DealContext,
  openings: ReadonlyMap<PartyId, Opening>,
  own: { readonly present: Secret | undefined; readonly dealt: ReadonlyMap<PartyId, Scalar> } | undefined,
): { readonly record: PublicKeyRecord; readonly share: Secret | undefined } {
  const { kind, base, epoch, policy, members, constants, self } = context;
  const { curve } = base;
  const dealt = [...constants.keys()].map((dealer) =>
    allCommitments(context, openings.get(dealer) as Opening)
  );
  const sum = sumCommitments(dealt);
  const byName = publicSharesVartime(policy, sum);
  const sums = members.map(({ index, name }) => {
    const delta = byName.get(name) as Point;
    return kind === "refresh" ? delta.add(base.publicShares.get(index) as Point) : delta;
  });
  if (commitmentsFault(policy, sum) !== undefined || sums.some((X) => X.is0())) {
    throw new CheaterError({
      code: "UNATTRIBUTABLE",
      round: 2,
      culprits: [],
      what: "the dealings add up to a degenerate key",
    });
  }
  const X = curve.normalize(sums);
  const publicShares = new Map(members.map((member, k) => [member.index, X[k] as Point]));
  const record: PublicKeyRecord = { ...base, epoch, policy, members, publicShares };
  requireSameKey(base, record);
  if (own === undefined) return { record, share: undefined };
  invariant(own.dealt.size === constants.size, "every dealer's share is added");
  let x = curve.scalar(kind === "refresh" ? bytesToBigint((own.present as Secret).expose()) : 0n);
  for (const share of own.dealt.values()) x = curve.add(x, share); // x'_i = x_i + Σ s_{j→i}
  invariant(
    curve.mulBase(x).equals(publicShares.get(self) as Point),
    "the new share is not the logarithm of its public share",
  );
  return { record, share: new Secret(curve.encodeScalar(x)) };
}

/**
 * Recomputes the public key from the new public shares, through one quorum, before anything is stored (FAULTS.md, incident 11:
 * shares that were replaced by a sharing of zero).
 *
 * That, and everybody's proof that it knows its new share (round 3), stands in the place of a test signature: it shows the
 * same of all members instead of one quorum, and makes no signature. A test signature would be a real one under the key, on a
 * digest that nobody asked to be signed, given by an epoch that may yet be abandoned.
 *
 * @throws InvariantError
 */
export function requireSameKey(base: PublicKeyRecord, next: PublicKeyRecord): void {
  const quorum = quorumOf(next, next.members.map((member) => member.index));
  invariant(quorum !== undefined, "all members together satisfy the policy");
  const points = quorum.active.map((party) => next.publicShares.get(party) as Point);
  const Q = multiScalarVartime(next.curve, points, [...quorum.coefficients.values()]);
  invariant(Q.equals(base.publicKey), "the new shares are not shares of the key");
}

/** `H("reshare/transcript"; sid, u16 n, round 1 of all, round 2 of all)`: what was broadcast, ascending by index. */
export function transcriptOf(sid: SessionId, first: readonly Bytes[], second: readonly Bytes[]): Bytes {
  return hash(Tag.reshareTranscript, sid, u16(first.length), ...first, ...second);
}

/** The member of the new epoch that a party is. */
export function memberOf({ members }: Pick<DealContext, "members">, party: PartyId): Member | undefined {
  return members.find((member) => member.index === party);
}

/** C_i with its constant term. */
function allCommitments({ kind, base: { curve } }: DealContext, { coefficients }: Opening): readonly Point[] {
  return kind === "refresh" ? [curve.zero, ...coefficients] : coefficients;
}

function commitmentOf({ sid, base: { curve } }: DealContext, party: PartyId, opening: Opening) {
  return {
    tag: Tag.reshareCommit,
    sid,
    party,
    message: committedBytes(curve, opening),
    salt: opening.salt,
  } as const;
}
