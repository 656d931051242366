/**
 * Distributed key generation over any access structure (SPEC 2.4).
 *
 * Everybody deals a random secret along the policy's tree and the key is the sum: commit, then open and deal, then certify.
 * Commitments come first, so nobody can choose its part after seeing the others'; each opening proves knowledge, so nobody
 * can take back the others' parts. The party that opens last can still leave: that costs a new run and biases at most by the
 * choice to abort.
 *
 * A share is PENDING, on disk, before this party's signature leaves, and ACTIVE when the signatures of all are there. A run
 * that finds the same PENDING or ACTIVE key at every party exchanges the certificate's parts again instead of making
 * another key.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal, utf8 } from "../../base/bytes.ts";
import { decode, DecodeError, encode } from "../../base/codec.ts";
import { CheaterError, invariant, UsageError } from "../../base/errors.ts";
import type { Curve, Scalar } from "../../math/curve.ts";
import { type AccessTree, checkPolicy, formatPolicy } from "../../primitives/access.ts";
import { type KeyPurpose, purposeFacts } from "../key_purpose.ts";
import { checkMembers, type KeyShare, type Member, policyHashOf } from "../key_share.ts";
import {
  compute,
  type Definition,
  exchange,
  persist,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
  type Step,
} from "../protocol.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import { encodeCertificate, endorse, endorsementFault } from "./certificate.ts";
import { dkgRounds, type Endorsement, endorsementCodec } from "./messages.ts";
import { combine, commitTo, dealingFault, dealOwn, type DkgContext, transcriptOf } from "./steps.ts";
import {
  decodeOffer,
  encodeOffer,
  encodeStoredKey,
  KEY_NAME_BYTES_MAX,
  type KeyOffer,
  type KeyState,
  type StoredKey,
} from "./stored_key.ts";

/** What a party must know to take part. Equal at all members but for `self` and `stored`. */
export interface DkgInput {
  /** Under which name the key will be stored: compared in round 0. */
  readonly keyName: string;
  /** The curve of the key. */
  readonly curve: Curve;
  /** Who may sign together. */
  readonly policy: AccessTree;
  /**
   * One per leaf, ascending by index, with the identity keys of the roster: nobody could verify the certificate under others.
   * All of them take part.
   */
  readonly members: readonly Member[];
  /** What the key is for: compared in round 0, and part of its key id for ever. Default: `plain`. */
  readonly purpose?: KeyPurpose;
  /** This party. */
  readonly self: PartyId;
  /** Accepts a policy that one party alone satisfies. Default: refused. */
  readonly allowSingle?: boolean;
  /** The key that this party has under that name from an earlier run. It stays the caller's to dispose. */
  readonly stored?: { readonly state: KeyState; readonly key: StoredKey };
}

/** An ACTIVE key. */
export interface DkgResult {
  /** The caller owns the secret in it. */
  readonly share: KeyShare;
  /** For `verifyCertificate`. */
  readonly certificate: Bytes;
  /** Whether this run made the key, or completed one that it found at all parties. */
  readonly outcome: "generated" | "completed";
}

/**
 * Key generation. Its rounds are commit, open and deal, certify; a completion has the last one only.
 *
 * @source SPEC 2.4
 * @example
 * ```ts
 * import { partyId } from "../../base/brands.ts";
 * import { ed25519Signer } from "../../base/crypto.ts";
 * import { seededRng } from "../../base/rng.ts";
 * import { secp256k1 } from "../../math/curve.ts";
 * import { parsePolicy } from "../../primitives/access.ts";
 * import { runLocally } from "../local.ts";
 * import { verifyCertificate } from "./certificate.ts";
 * import { dkg } from "./dkg.ts";
 *
 * const rng = seededRng("example");
 * const seeds = [rng.bytes(32), rng.bytes(32), rng.bytes(32)];
 * const members = ["alice", "bob", "carol"].map((name, i) => ({
 *   index: partyId(i + 1),
 *   name,
 *   identity: ed25519Signer(seeds[i]!).publicKey,
 * }));
 * const policy = parsePolicy("2 of (alice, bob, carol)");
 * const outcomes = runLocally(
 *   members.map((member) => member.index),
 *   (s) => dkg.run(s, { keyName: "treasury", curve: secp256k1, policy, members, self: s.self }),
 *   { rng, identities: new Map(members.map((member, i) => [member.index, seeds[i]!])) },
 * );
 * for (const outcome of outcomes.values()) {
 *   if (!outcome.ok) throw outcome.error;
 *   using _share = outcome.value.share.share;
 *   verifyCertificate(outcome.value.share.record, outcome.value.certificate);
 * }
 * ```
 */
export const dkg: Definition<DkgInput, DkgResult> = {
  name: "dkg",
  version: 1,
  proposal,
  offer: ({ stored }) => encodeOffer(stored && { state: stored.state, keyId: stored.key.share.record.keyId }),
  unsettled(input, _self, offers) {
    wayOf(input, offers);
    return { mine: [], others: [] };
  },
  rounds({ curve }) {
    const { commit, open, certify } = dkgRounds(curve);
    return [commit, open, certify] as Round[];
  },
  run,
};

function* run(session: Session, input: DkgInput): Protocol<DkgResult> {
  invariant(
    session.self === input.self && input.members.length === session.parties.length &&
      input.members.every(({ index }, k) => index === session.parties[k] && session.offers.has(index)),
    "the session has other parties than the key",
  );
  if (wayOf(input, session.offers) === "complete") {
    invariant(input.stored !== undefined, "a key is completed that is not stored here");
    const { state, key } = input.stored;
    const certificate = yield* certify(session, key, state);
    return { share: { ...key.share, share: key.share.share.clone() }, certificate, outcome: "completed" };
  }
  const key = yield* generate(session, input);
  let done = false;
  try {
    const certificate = yield* certify(session, key, "pending");
    done = true;
    return { share: key.share, certificate, outcome: "generated" };
  } finally {
    if (!done) key.share.share[Symbol.dispose]();
  }
}

/** Rounds 1 and 2: makes the share and stores it as PENDING, together with the endorsement that nobody has seen yet. */
function* generate(session: Session, input: DkgInput): Generator<Step, StoredKey, unknown> {
  const { curve, policy, members, keyName, purpose = "plain" } = input;
  const { id: sid, self } = session;
  const context: DkgContext = { sid, curve, policy, members, purpose, self };
  const { commit: R1, open: R2 } = dkgRounds(curve);

  const own = yield* compute(() => dealOwn(context, session.rng), undefined);
  const ownCommitment = commitTo(context, self, own.opening);
  const committed = yield* exchange(R1, { broadcast: { commitment: ownCommitment } });

  const direct = new Map(
    [...own.shares].filter(([party]) => party !== self).map(([party, share]) => [party, { share }]),
  );
  const dealt = yield* exchange(R2, { broadcast: own.opening, direct });
  const faults = new Map<PartyId, string>();
  for (const [dealer, opening] of dealt.broadcast) {
    const fault = yield* compute(dealingFault, {
      context,
      dealer,
      dealt: {
        commitment: committed.broadcast.get(dealer)?.commitment ?? EMPTY,
        opening,
        share: dealt.direct.get(dealer)?.share as Scalar,
      },
    });
    if (fault !== undefined) faults.set(dealer, fault);
  }
  blameFaults(R2, faults);

  const openings = new Map(dealt.broadcast).set(self, own.opening);
  const shares = new Map([...dealt.direct].map(([party, m]) => [party, m.share]));
  const share = yield* compute(
    () => combine(context, openings, shares.set(self, own.shares.get(self) as Scalar)),
    undefined,
  );
  let done = false;
  try {
    const commitments = new Map([...committed.broadcast].map(([party, m]) => [party, m.commitment]));
    const transcript = transcriptOf(context, commitments.set(self, ownCommitment), openings);
    const endorsed = { record: share.record, sid, transcript };
    // The proof's nonce would give the share away if the generator failed: it is hedged with the share.
    const rng = hedgedRng(session, share);
    const endorsement = yield* compute(
      () => endorse(endorsed, share, (message) => session.sign(message), rng),
      undefined,
    );
    const key: StoredKey = {
      keyName,
      share,
      sid,
      transcript,
      endorsement: encode(endorsementCodec(curve), endorsement),
    };
    using bytes = encodeStoredKey(key);
    yield* persist({ kind: "key-pending", keyId: share.record.keyId, epoch: 0, name: keyName, key: bytes });
    done = true;
    return key;
  } finally {
    if (!done) share.share[Symbol.dispose]();
  }
}

/** Round 3, also of a later run: collects the endorsements of the key's own session and stores it as ACTIVE. */
function* certify(session: Session, key: StoredKey, state: KeyState): Generator<Step, Bytes, unknown> {
  const { share: { record }, sid, transcript } = key;
  const { certify: R3 } = dkgRounds(record.curve);
  const own = decode(endorsementCodec(record.curve), key.endorsement);

  const peers = yield* exchange(R3, { broadcast: own });
  const faults = new Map<PartyId, string>();
  for (const [party, endorsement] of peers.broadcast) {
    const fault = yield* compute(
      (given: Endorsement) =>
        endorsementFault(
          { record, sid, transcript },
          party,
          given,
          (message, signature) => session.verify(party, message, signature),
        ),
      endorsement,
    );
    if (fault !== undefined) faults.set(party, fault);
  }
  blameFaults(R3, faults);

  const endorsements = record.members.map((member) => peers.broadcast.get(member.index) ?? own);
  const certificate = encodeCertificate(record.curve, { sid, transcript, endorsements });
  if (state === "pending") {
    yield* persist({ kind: "key-active", keyId: record.keyId, epoch: record.epoch, certificate });
  }
  return certificate;
}

function blameFaults(round: { readonly number: number }, faults: ReadonlyMap<PartyId, string>): void {
  if (faults.size === 0) return;
  throw new CheaterError({
    code: "CHEATED",
    round: round.number,
    culprits: [...faults.keys()],
    what: [...new Set(faults.values())].join("; or "),
  });
}

/**
 * What the offers say is to be done: complete the key that all parties have, or make a new one. A new one is right also
 * where some have a PENDING share: a party that says that it has none never sent its part of that certificate. Unless it lies
 * or has lost its store: so a PENDING share that a new key takes the name of is to be kept, not erased.
 *
 * @throws UsageError KEY_EXISTS where one party has an ACTIVE key that another has not.
 */
export function wayOf(
  input: Pick<DkgInput, "keyName" | "members">,
  offers: ReadonlyMap<PartyId, Bytes>,
): "complete" | "generate" {
  const held = new Map<PartyId, KeyOffer | undefined>();
  for (const { index } of input.members) {
    const offer = offers.get(index);
    if (offer !== undefined) held.set(index, readOffer(index, offer));
  }
  const active = [...held].find(([, offer]) => offer?.state === "active");
  const reference = active ?? [...held][0];
  const differs = ([, offer]: readonly [PartyId, KeyOffer | undefined]) =>
    offer === undefined || reference?.[1] === undefined || !equal(offer.keyId, reference[1].keyId);
  const without = [...held].filter(differs);
  if (without.length === 0) return "complete";
  if (active === undefined) return "generate";
  const names = without.map(([party]) => nameOf(input, party));
  throw new UsageError(
    "KEY_EXISTS",
    `the key ${input.keyName} is active at ${nameOf(input, active[0])}, but ${names.join(", ")} ${
      names.length === 1 ? "has" : "have"
    } no share of it: restore the share, or choose another name`,
    { party: names[0] as string },
  );
}

function readOffer(party: PartyId, bytes: Bytes): KeyOffer | undefined {
  try {
    return decodeOffer(bytes);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new CheaterError({
      code: "INVALID_MESSAGE",
      round: 0,
      culprits: [party],
      what: "what it offers for this key does not decode",
      cause,
    });
  }
}

function nameOf({ members }: Pick<DkgInput, "members">, party: PartyId): string {
  return members.find((member) => member.index === party)?.name ?? `party ${party}`;
}

/** Checks the input and says what must be equal at all members. */
function proposal(input: DkgInput): Proposal {
  const { keyName, curve, policy, members, purpose = "plain", self, stored } = input;
  const nameBytes = utf8(keyName).length;
  if (nameBytes === 0 || nameBytes > KEY_NAME_BYTES_MAX) {
    throw new UsageError(
      "USAGE",
      `the name of a key has 1 to ${KEY_NAME_BYTES_MAX} bytes: found ${nameBytes}`,
    );
  }
  checkPolicy(policy, input.allowSingle === undefined ? {} : { allowSingle: input.allowSingle });
  checkMembers(policy, members);
  if (!members.some((member) => member.index === self)) {
    throw new UsageError(
      "NOT_A_MEMBER",
      `this party is not in the policy of ${keyName}: ${formatPolicy(policy)}`,
    );
  }
  const policyHash = policyHashOf(input);
  const record = stored?.key.share.record;
  if (record !== undefined && (record.curve.id !== curve.id || !equal(policyHashOf(record), policyHash))) {
    throw new UsageError(
      "KEY_EXISTS",
      `a key ${keyName} exists here with another curve or policy (${record.curve.name}, ${
        formatPolicy(record.policy)
      }): choose another name`,
    );
  }
  if (record !== undefined && record.purpose !== purpose) {
    throw new UsageError(
      "KEY_EXISTS",
      `a key ${keyName} exists here for another purpose (${record.purpose}): choose another name`,
    );
  }
  return {
    params: [
      { name: "curve", value: utf8(curve.name) },
      // For people: what is bound is policyHash.
      { name: "policy", value: utf8(formatPolicy(policy).slice(0, 200)) },
      ...purposeFacts(purpose),
    ],
    policyHash,
    keyId: EMPTY,
    epoch: 0,
    participants: members.map((member) => member.index),
    payload: [{ name: "key name", value: utf8(keyName) }, { name: "purpose", value: utf8("generate") }],
  };
}
