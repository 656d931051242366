/**
 * Refresh of a FROST key: the same key, the same parties, new shares (SPEC 2.8).
 *
 * Everybody deals zero and adds what it is dealt to its share: commit, then open and deal, then certify. The constant term is
 * not sent: it is the identity by definition, so that nobody can move the key. The old epoch stays usable until everybody's
 * signature on the new one is here; the caller erases it then. The endorsements hold, for every member, a proof that it knows
 * the logarithm of its new public share, and the new public shares are checked to interpolate to the old key: together that is
 * what a test signature would show.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, equal, utf8 } from "../../base/bytes.ts";
import { encode, fixed, struct, vector } from "../../base/codec.ts";
import { CheaterError, invariant, UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { Secret } from "../../base/secret.ts";
import type { Point, Scalar } from "../../math/curve.ts";
import { multiScalarVartime } from "../../math/multi_scalar.ts";
import { formatPolicy, solve } from "../../primitives/access.ts";
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
import { hedgedRng } from "../ecdsa/hedge.ts";
import { policyHashOf } from "../key_share.ts";
import {
  compute,
  type Definition,
  exchange,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
  type Step,
} from "../protocol.ts";
import { blameFaults, certify, certifyRound, storePending } from "./activate.ts";
import { encodeFrostHeld, frostEpochDigest, type FrostHeldEpoch, frostWayOf } from "./held.ts";
import { type FrostKeyRecord, type FrostKeyShare, nameOf, shareScalar, thresholdOf } from "./key.ts";
import type { FrostStoredKey } from "./stored_key.ts";
import type { FrostSuite } from "./suite.ts";

/** What a party must know to take part. Equal at all members but for `self` and `held`. */
export interface FrostRefreshInput {
  /** What people call the key. */
  readonly keyName: string;
  /** This party. */
  readonly self: PartyId;
  /** What this party has stored of the key, ascending by epoch; one is ACTIVE. The secrets in it stay the caller's. */
  readonly held: readonly FrostHeldEpoch[];
}

/** A new ACTIVE epoch. */
export interface FrostRefreshResult {
  /** The caller owns the secret in it. */
  readonly share: FrostKeyShare;
  /** For `verifyFrostCertificate`. */
  readonly certificate: Bytes;
  /** Whether this run made the epoch, or completed one that it found at all parties. */
  readonly outcome: "refreshed" | "completed";
}

/** Round 1. */
export interface FrostRefreshCommitment {
  /** 32 bytes. */
  readonly commitment: Bytes;
}

/** Round 2, to all: what the commitment hides. */
export interface FrostRefreshOpening {
  /** C_1..C_{t−1}; C_0 is the identity. */
  readonly coefficients: readonly Point[];
  /** Of the logarithms of all of them. */
  readonly proof: pok.Proof;
  /** s_i. */
  readonly salt: Bytes;
}

/** Round 2, to each: the dealt polynomial at its index. */
export interface FrostRefreshShare {
  /** Secret: for the receiver only. */
  readonly share: Scalar;
}

/** The first two rounds. */
export interface FrostRefreshRounds {
  /** Round 1. */
  readonly commit: Round<FrostRefreshCommitment, never>;
  /** Round 2. */
  readonly open: Round<FrostRefreshOpening, FrostRefreshShare>;
}

/**
 * Refresh. Its rounds are commit, open and deal, certify; a completion has the last one only.
 *
 * @source SPEC 2.8
 */
export const frostRefresh: Definition<FrostRefreshInput, FrostRefreshResult> = {
  name: "frost-refresh",
  version: 1,
  proposal,
  offer: ({ held }) => encodeFrostHeld(held),
  unsettled(input, _self, offers) {
    frostWayOf(recordOf(input), input.keyName, offers);
    return { mine: [], others: [] };
  },
  rounds(input) {
    const { suite, policy } = recordOf(input);
    const { commit, open } = frostRefreshRounds(suite, thresholdOf(policy).minSigners);
    return [commit, open, certifyRound(suite)] as Round[];
  },
  run,
};

/** The rounds of dealing; the number of coefficients is the threshold's, and another one does not decode. */
export function frostRefreshRounds({ group }: FrostSuite, minSigners: number): FrostRefreshRounds {
  return {
    commit: {
      number: 1,
      name: "commit",
      broadcast: struct({ commitment: fixed(COMMITMENT_BYTES) }),
      echo: "next",
    },
    open: {
      number: 2,
      name: "open and deal",
      broadcast: struct({
        coefficients: vector(group.pointCodec, minSigners - 1),
        proof: pok.proofCodec(group),
        salt: fixed(COMMITMENT_BYTES),
      }),
      direct: struct({ share: group.scalarCodec }),
      echo: "none",
    },
  };
}

function* run(session: Session, input: FrostRefreshInput): Protocol<FrostRefreshResult> {
  const record = recordOf(input);
  invariant(
    session.self === input.self && record.members.length === session.parties.length &&
      record.members.every(({ index }, k) => index === session.parties[k]),
    "the session has other parties than the key",
  );
  const way = frostWayOf(record, input.keyName, session.offers);
  invariant(way !== undefined, "a session has the offers of all");
  const epoch = input.held.find(({ key }) => equal(frostEpochDigest(key), way.digest));
  invariant(epoch !== undefined, "what all parties have is stored here too");
  if (way.kind === "complete") {
    const certificate = yield* certify(session, epoch.key, epoch.state);
    const { share } = epoch.key;
    return { share: { ...share, share: share.share.clone() }, certificate, outcome: "completed" };
  }
  const key = yield* dealOn(session, epoch.key, way.epoch);
  let done = false;
  try {
    const certificate = yield* certify(session, key, "pending");
    done = true;
    return { share: key.share, certificate, outcome: "refreshed" };
  } finally {
    if (!done) key.share.share[Symbol.dispose]();
  }
}

/** What the steps of one run have in common. */
interface Refreshing {
  readonly session: Session;
  /** Of the old epoch. */
  readonly old: FrostKeyShare;
}

/** Rounds 1 and 2: makes the new share and stores it as PENDING. */
function* dealOn(
  session: Session,
  former: FrostStoredKey,
  epoch: number,
): Generator<Step, FrostStoredKey, unknown> {
  const { record } = former.share;
  const context: Refreshing = { session, old: former.share };
  const { commit: R1, open: R2 } = frostRefreshRounds(record.suite, thresholdOf(record.policy).minSigners);

  const own = yield* compute(() => dealZero(context, hedgedRng(session, former.share)), undefined);
  const ownCommitment = commit(commitmentTo(context, session.self, own.opening));
  const committed = (yield* exchange(R1, { broadcast: { commitment: ownCommitment } })).broadcast;

  const direct = new Map(
    [...own.shares].filter(([party]) => party !== session.self).map(([party, share]) => [party, { share }]),
  );
  const dealt = yield* exchange(R2, { broadcast: own.opening, direct });
  const faults = new Map<PartyId, string>();
  for (const [dealer, opening] of dealt.broadcast) {
    const commitment = (committed.get(dealer) as FrostRefreshCommitment).commitment;
    const { share } = dealt.direct.get(dealer) as FrostRefreshShare;
    const fault = yield* compute(
      () => dealingFault(context, dealer, { commitment, opening, share }),
      undefined,
    );
    if (fault !== undefined) faults.set(dealer, fault);
  }
  blameFaults(R2, faults);

  const openings = new Map(dealt.broadcast).set(session.self, own.opening);
  const shares = [...dealt.direct.values()].map(({ share }) => share);
  shares.push(own.shares.get(session.self) as Scalar);
  const share = yield* compute(() => addUp(context, epoch, openings, shares), undefined);
  const codec = R2.broadcast;
  invariant(codec !== undefined, "openings are broadcast");
  const transcript = hash(
    Tag.frostRefreshTranscript,
    session.id,
    frostEpochDigest(former),
    ...session.parties.map((party) => committed.get(party)?.commitment ?? ownCommitment),
    ...session.parties.map((party) => encode(codec, openings.get(party) as FrostRefreshOpening)),
  );
  return yield* storePending(session, { keyName: former.keyName, share, origin: former.origin, transcript });
}

/** Deals 0. */
function dealZero({ session, old: { record } }: Refreshing, rng: Rng) {
  const { suite: { group }, policy, members } = record;
  const dealing = deal(policy, group.scalar(0n), group, rng);
  const coefficients = group.normalize(dealing.commitments.slice(1));
  const statement = statementOf({ session, old: { record } }, session.self, coefficients);
  const proof = pok.prove(statement, dealing.coefficients.slice(1), rng);
  const opening: FrostRefreshOpening = { coefficients, proof, salt: rng.bytes(COMMITMENT_BYTES) };
  const shares = new Map(members.map(({ index, name }) => [index, dealing.shares.get(name) as Scalar]));
  return { opening, shares };
}

/** Every check of what a party dealt. @returns what is wrong in words, or undefined. */
function dealingFault(
  context: Refreshing,
  dealer: PartyId,
  { commitment, opening, share }: FrostRefreshCommitment & FrostRefreshShare & {
    readonly opening: FrostRefreshOpening;
  },
): string | undefined {
  const { suite: { group }, policy } = context.old.record;
  if (!opens(commitment, commitmentTo(context, dealer, opening))) {
    return "its opening is not what it committed to";
  }
  if (!pok.verify(statementOf(context, dealer, opening.coefficients), opening.proof)) {
    return "it does not prove that it knows what it dealt";
  }
  const dealing = { tree: policy, commitments: [group.zero, ...opening.coefficients], curve: group };
  if (!isShareOf(dealing, nameOf(context.old.record, context.session.self), share)) {
    return "the share that it dealt to this party does not match its commitments";
  }
  return undefined;
}

/** x' = x + Σ s, X' = X + Σ C(index). */
function addUp(
  { session, old }: Refreshing,
  epoch: number,
  openings: ReadonlyMap<PartyId, FrostRefreshOpening>,
  shares: readonly Scalar[],
): FrostKeyShare {
  const { suite, policy, members } = old.record;
  const { group } = suite;
  const sum = sumCommitments([...openings.values()].map((opening) => [group.zero, ...opening.coefficients]));
  const deltas = publicSharesVartime(policy, sum);
  const points = members.map(({ index, name }) =>
    (old.record.publicShares.get(index) as Point).add(deltas.get(name) as Point)
  );
  if (commitmentsFault(policy, sum) !== undefined || points.some((point) => point.is0())) {
    throw new CheaterError({
      code: "UNATTRIBUTABLE",
      round: 2,
      culprits: [],
      what: "the dealings add up to a degenerate sharing",
    });
  }
  const X = group.normalize(points);
  const publicShares = new Map(members.map(({ index }, k) => [index, X[k] as Point]));
  const record: FrostKeyRecord = { ...old.record, epoch, publicShares };
  invariant(keepsKey(record), "the new public shares do not interpolate to the key");
  const x = shares.reduce((total, share) => group.add(total, share), shareScalar(old));
  invariant(
    group.mulBase(x).equals(publicShares.get(session.self) as Point),
    "the own share is not the logarithm of its public share",
  );
  return { record, self: session.self, share: new Secret(group.encodeScalar(x)) };
}

/** Σ λ_l·X_l = Q over one quorum; the others lie on the same polynomial because every dealing was one. */
function keepsKey({ suite: { group }, policy, members, publicKey, publicShares }: FrostKeyRecord): boolean {
  const solution = solve(policy, new Set(members.map((member) => member.name)), group);
  invariant(solution !== undefined, "all members together satisfy the policy");
  const active = members.filter((member) => solution.coefficients.has(member.name));
  const sum = multiScalarVartime(
    group,
    active.map(({ index }) => publicShares.get(index) as Point),
    active.map(({ name }) => solution.coefficients.get(name) as Scalar),
  );
  return sum.equals(publicKey);
}

function statementOf(
  { session, old }: { readonly session: Session; readonly old: Pick<FrostKeyShare, "record"> },
  prover: PartyId,
  points: readonly Point[],
): pok.Statement {
  return { sid: session.id, use: "refresh/coeff", prover, curve: old.record.suite.group, points };
}

function commitmentTo({ session, old }: Refreshing, party: PartyId, opening: FrostRefreshOpening) {
  const { group } = old.record.suite;
  const committed = struct({
    coefficients: vector(group.pointCodec, opening.coefficients.length),
    proof: pok.proofCodec(group),
  });
  return {
    tag: Tag.frostRefreshCommit,
    sid: session.id,
    party,
    message: encode(committed, opening),
    salt: opening.salt,
  } as const;
}

/** The record of the newest ACTIVE epoch that is stored here. */
function recordOf({ keyName, held }: FrostRefreshInput): FrostKeyRecord {
  const active = held.findLast(({ state }) => state === "active");
  if (active !== undefined) return active.key.share.record;
  throw new UsageError("KEY_PENDING", `no active epoch of the key ${keyName} is stored here`);
}

/** Checks the input and says what must be equal at all members; which epochs they have is in the offers. */
function proposal(input: FrostRefreshInput): Proposal {
  const record = recordOf(input);
  if (
    input.held.some(({ key }) =>
      key.share.self !== input.self || !equal(key.share.record.keyId, record.keyId)
    )
  ) {
    throw new UsageError("USAGE", `what is stored under ${input.keyName} belongs to another party or key`);
  }
  return {
    params: [
      { name: "scheme", value: utf8(record.suite.scheme) },
      // For people: what is bound is policyHash.
      { name: "policy", value: utf8(formatPolicy(record.policy).slice(0, 200)) },
    ],
    policyHash: policyHashOf(record),
    keyId: record.keyId,
    // The epochs travel in the offers: after a crash they may differ between honest parties.
    epoch: 0,
    participants: record.members.map((member) => member.index),
    payload: [{ name: "key name", value: utf8(input.keyName) }, { name: "purpose", value: utf8("refresh") }],
  };
}
