/**
 * Distributed key generation for FROST (PedPop: Komlo and Goldberg, "FROST: Flexible Round-Optimized Schnorr Threshold
 * Signatures", SAC 2020, figure 1; SPEC 6), through noble's implementation.
 *
 * Everybody deals a random secret and the key is the sum: broadcast the commitments with a proof of knowledge of the secret,
 * then deal, then certify. The proof keeps anybody from choosing its part so that it takes back the others'. Whoever deals
 * last can still try several dealings and bias the key: Schnorr signatures tolerate that, and it is why ECDSA keys here are
 * made with another protocol.
 *
 * The proofs of noble are not bound to a session; what binds everything here is the envelope of each message, and the
 * certificate. A share is PENDING, on disk, before this party's signature leaves, and ACTIVE when the signatures of all are
 * there. A run that finds the same PENDING or ACTIVE key at every party exchanges the certificate's parts again instead of
 * making another key.
 *
 * @module
 */

import type { DKG_Round1, DKG_Secret, Identifier, Key } from "@noble/curves/abstract/frost.js";
import type { PartyId } from "../../base/brands.ts";
import { type Bytes, copy, EMPTY, equal, utf8 } from "../../base/bytes.ts";
import { decode, DecodeError, encode, fixed, struct, vector } from "../../base/codec.ts";
import { CheaterError, invariant, UsageError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { Point, Scalar } from "../../math/curve.ts";
import { type AccessTree, formatPolicy } from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { wayOf } from "../dkg/dkg.ts";
import { encodeOffer, KEY_NAME_BYTES_MAX, type KeyState } from "../dkg/stored_key.ts";
import { type KeyPurpose, purposeFacts } from "../key_purpose.ts";
import { checkMembers, type Member, policyHashOf } from "../key_share.ts";
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
import { type FrostKeyRecord, type FrostKeyShare, identifierOf, makeFrostKeyId, thresholdOf } from "./key.ts";
import type { FrostStoredKey } from "./stored_key.ts";
import { FROST_BYTES, FROST_SUITES, type FrostScheme, type FrostSuite, nobleRng } from "./suite.ts";

/** What a party must know to take part. Equal at all members but for `self` and `stored`. */
export interface FrostDkgInput {
  /** Under which name the key will be stored: compared in round 0. */
  readonly keyName: string;
  /** Which signatures the key will make. */
  readonly scheme: FrostScheme;
  /** Who may sign together: a threshold among parties. */
  readonly policy: AccessTree;
  /** One per leaf, ascending by index, with the identity keys of the roster. All of them take part. */
  readonly members: readonly Member[];
  /** What the key is for: compared in round 0, and part of its key id for ever. Default: `plain`. */
  readonly purpose?: KeyPurpose;
  /** This party. */
  readonly self: PartyId;
  /** The key that this party has under that name from an earlier run. It stays the caller's to dispose. */
  readonly stored?: { readonly state: KeyState; readonly key: FrostStoredKey };
}

/** An ACTIVE key. */
export interface FrostDkgResult {
  /** The caller owns the secret in it. */
  readonly share: FrostKeyShare;
  /** For `verifyFrostCertificate`. */
  readonly certificate: Bytes;
  /** Whether this run made the key, or completed one that it found at all parties. */
  readonly outcome: "generated" | "completed";
}

/** Round 1: one dealing in public. */
export interface FrostDealing {
  /** The t coefficients of the dealer's polynomial times the base point. */
  readonly commitments: readonly Point[];
  /** noble's proof of knowledge of the constant one, 64 bytes. */
  readonly proof: Bytes;
}

/** Round 2: a dealer's polynomial at the receiver's index. */
export interface FrostDealtShare {
  /** Secret: for the receiver only. */
  readonly share: Scalar;
}

/** The first two rounds. */
export interface FrostDkgRounds {
  /** Round 1. */
  readonly deal: Round<FrostDealing, never>;
  /** Round 2. */
  readonly share: Round<never, FrostDealtShare>;
}

/**
 * Key generation. Its rounds are deal, share, certify; a completion has the last one only.
 *
 * @source SPEC 6
 * @example
 * ```ts
 * import { partyId } from "../../base/brands.ts";
 * import { utf8 } from "../../base/bytes.ts";
 * import { ed25519Signer, ed25519Verifier } from "../../base/crypto.ts";
 * import { seededRng } from "../../base/rng.ts";
 * import { parsePolicy } from "../../primitives/access.ts";
 * import { runLocally } from "../local.ts";
 * import { frostDkg } from "./dkg.ts";
 * import { frostSign } from "./sign.ts";
 *
 * const rng = seededRng("example");
 * const seeds = [rng.bytes(32), rng.bytes(32), rng.bytes(32)];
 * const members = ["alice", "bob", "carol"].map((name, i) => ({
 *   index: partyId(i + 1),
 *   name,
 *   identity: ed25519Signer(seeds[i]!).publicKey,
 * }));
 * const policy = parsePolicy("2 of (alice, bob, carol)");
 * const keys = runLocally(
 *   members.map((member) => member.index),
 *   (s) => frostDkg.run(s, { keyName: "treasury", scheme: "ed25519", policy, members, self: s.self }),
 *   { rng, identities: new Map(members.map((member, i) => [member.index, seeds[i]!])) },
 * );
 * const shareOf = (party: number) => {
 *   const outcome = keys.get(partyId(party))!;
 *   if (!outcome.ok) throw outcome.error;
 *   return outcome.value.share;
 * };
 *
 * const message = utf8("pay alice 5"), signers = [partyId(1), partyId(3)];
 * const signed = runLocally(
 *   signers,
 *   (s) => frostSign.run(s, { share: shareOf(s.self), signers, message }),
 *   { rng },
 * );
 * const { suite, publicKey } = shareOf(1).record;
 * const verifier = ed25519Verifier(suite.publicKeyBytes(publicKey))!;
 * for (const outcome of signed.values()) {
 *   if (!outcome.ok || !verifier.verify(message, outcome.value!)) throw new Error("no signature");
 * }
 * ```
 */
export const frostDkg: Definition<FrostDkgInput, FrostDkgResult> = {
  name: "frost-dkg",
  version: 1,
  proposal,
  offer: ({ stored }) => encodeOffer(stored && { state: stored.state, keyId: stored.key.share.record.keyId }),
  unsettled(input, _self, offers) {
    wayOf(input, offers);
    return { mine: [], others: [] };
  },
  rounds(input) {
    const suite = FROST_SUITES[input.scheme];
    const { deal, share } = frostDkgRounds(suite, thresholdOf(input.policy).minSigners);
    return [deal, share, certifyRound(suite)] as Round[];
  },
  run,
};

/** The rounds with the secret material; the number of commitments is the threshold, and another one does not decode. */
export function frostDkgRounds({ group }: FrostSuite, minSigners: number): FrostDkgRounds {
  return {
    deal: {
      number: 1,
      name: "deal",
      broadcast: struct({
        commitments: vector(group.pointCodec, minSigners),
        proof: fixed(FROST_BYTES.proof),
      }),
      echo: "next",
    },
    share: { number: 2, name: "share", direct: struct({ share: group.scalarCodec }), echo: "none" },
  };
}

function* run(session: Session, input: FrostDkgInput): Protocol<FrostDkgResult> {
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

/** What the steps of one run have in common. */
interface Dealer {
  readonly session: Session;
  readonly input: FrostDkgInput;
  readonly suite: FrostSuite;
  readonly signers: { readonly min: number; readonly max: number };
  idOf(party: PartyId): Identifier;
}

/** Rounds 1 and 2: makes the share and stores it as PENDING. */
function* generate(session: Session, input: FrostDkgInput): Generator<Step, FrostStoredKey, unknown> {
  const suite = FROST_SUITES[input.scheme];
  const { group, frost } = suite;
  const signers = { min: thresholdOf(input.policy).minSigners, max: input.members.length };
  const idOf = (party: PartyId) => identifierOf({ suite, ...input }, party);
  const dealer: Dealer = { session, input, suite, signers, idOf };
  const { deal: R1, share: R2 } = frostDkgRounds(suite, signers.min);

  const own = yield* compute(
    () => frost.DKG.round1(idOf(session.self), signers, undefined, nobleRng(session.rng)),
    undefined,
  );
  try {
    const dealing: FrostDealing = {
      commitments: own.public.commitment.map((point) => group.decodePoint(point)),
      proof: copy(own.public.proofOfKnowledge),
    };
    const dealt = (yield* exchange(R1, { broadcast: dealing })).broadcast;
    const packages = new Map([...dealt].map(([party, m]) => [party, packageOf(dealer, party, m)]));
    const outgoing = yield* compute(
      () =>
        attribute(
          R1,
          () => frost.DKG.round2(own.secret, [...packages.values()]),
          packages,
          (m) => proofFault(dealer, m),
        ),
      undefined,
    );

    const direct = new Map([...packages].map(([party, { identifier }]) => {
      const { signingShare } = outgoing[identifier] as { readonly signingShare: Uint8Array };
      return [party, { share: decode(group.scalarCodec, signingShare) }] as const;
    }));
    const received = (yield* exchange(R2, { direct })).direct;
    const share = yield* compute(() => combine(dealer, own.secret, packages, received), undefined);
    const codec = R1.broadcast;
    invariant(codec !== undefined, "round 1 is a broadcast");
    const transcript = hash(
      Tag.frostTranscript,
      session.id,
      ...session.parties.map((party) => encode(codec, dealt.get(party) ?? dealing)),
    );
    return yield* storePending(session, { keyName: input.keyName, share, origin: session.id, transcript });
  } finally {
    frost.DKG.clean(own.secret);
  }
}

/** After round 2: checks every dealt share and adds them up. */
function combine(
  dealer: Dealer,
  secret: DKG_Secret,
  packages: ReadonlyMap<PartyId, DKG_Round1>,
  received: ReadonlyMap<PartyId, FrostDealtShare>,
): FrostKeyShare {
  const { suite: { frost, group }, signers, input, session } = dealer;
  const shares = new Map([...received].map(([party, { share }]) => [party, group.encodeScalar(share)]));
  const R2 = { number: 2 };
  const key = attribute(
    R2,
    () =>
      frost.DKG.round3(
        secret,
        [...packages.values()],
        [...shares].map(([party, signingShare]) => ({ identifier: dealer.idOf(party), signingShare })),
      ),
    shares,
    (signingShare, party) => {
      const { commitment } = packages.get(party) as DKG_Round1;
      const valid = accepts(() =>
        frost.validateSecret({ identifier: dealer.idOf(session.self), signingShare }, {
          signers,
          commitments: commitment,
          verifyingShares: {},
        })
      );
      return valid ? undefined : "the share that it dealt to this party does not match its commitments";
    },
  );
  for (const share of shares.values()) share.fill(0);
  const record = recordOf(dealer, key);
  invariant(
    group.mulBase(decode(group.scalarCodec, key.secret.signingShare)).equals(
      record.publicShares.get(input.self) as Point,
    ),
    "the own share is not the logarithm of its public share",
  );
  return { record, self: input.self, share: new Secret(key.secret.signingShare as Bytes) };
}

/** The public record of noble's result. @throws CheaterError UNATTRIBUTABLE where a sum of dealings is the identity. */
function recordOf({ suite, input, session, idOf }: Dealer, key: Key): FrostKeyRecord {
  const { policy, members, purpose = "plain" } = input;
  try {
    // The highest coefficient too: without it fewer parties than the policy says would be enough.
    const [publicKey] = key.public.commitments.map((point) => suite.group.decodePoint(point)) as [Point];
    const publicShares = new Map(members.map(({ index }) => {
      const X = key.public.verifyingShares[idOf(index)] as Uint8Array;
      return [index, suite.group.decodePoint(X)];
    }));
    const keyId = makeFrostKeyId({ suite, sid: session.id, publicKey, policy, members, purpose });
    return { keyId, purpose, epoch: 0, suite, policy, members, publicKey, publicShares };
  } catch (error) {
    throw error instanceof DecodeError ? degenerate(2) : error;
  }
}

/** Proofs are checked for all at once: of two parties only, noble's round 2 judges one proof alone. */
function proofFault({ suite: { frost }, session, idOf }: Dealer, given: DKG_Round1): string | undefined {
  const pair = frost.DKG.round1(idOf(session.self), { min: 2, max: 2 }, undefined, nobleRng(session.rng));
  const valid = accepts(() =>
    frost.DKG.round2(pair.secret, [{ ...given, commitment: given.commitment.slice(0, 2) }])
  );
  frost.DKG.clean(pair.secret);
  return valid ? undefined : "it does not prove that it knows what it dealt";
}

/**
 * noble judges the messages of all parties together and does not say whose is wrong: where it refuses, each is judged alone.
 *
 * @throws CheaterError that names all whose message fails; UNATTRIBUTABLE where only the sum does.
 */
function attribute<T, M>(
  round: Pick<Round, "number">,
  all: () => T,
  messages: ReadonlyMap<PartyId, M>,
  faultOf: (message: M, party: PartyId) => string | undefined,
): T {
  try {
    return all();
  } catch {
    const faults = new Map<PartyId, string>();
    for (const [party, message] of messages) {
      const fault = faultOf(message, party);
      if (fault !== undefined) faults.set(party, fault);
    }
    blameFaults(round, faults);
    throw degenerate(round.number);
  }
}

function accepts(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function degenerate(round: number): CheaterError {
  return new CheaterError({
    code: "UNATTRIBUTABLE",
    round,
    culprits: [],
    what: "the dealings add up to a degenerate key",
  });
}

function packageOf({ suite: { group }, idOf }: Dealer, party: PartyId, m: FrostDealing): DKG_Round1 {
  return {
    identifier: idOf(party),
    commitment: m.commitments.map((point) => group.encodePoint(point)),
    proofOfKnowledge: m.proof,
  };
}

/** Checks the input and says what must be equal at all members. */
function proposal(input: FrostDkgInput): Proposal {
  const { keyName, scheme, policy, members, purpose = "plain", self, stored } = input;
  const nameBytes = utf8(keyName).length;
  if (nameBytes === 0 || nameBytes > KEY_NAME_BYTES_MAX) {
    throw new UsageError(
      "USAGE",
      `the name of a key has 1 to ${KEY_NAME_BYTES_MAX} bytes: found ${nameBytes}`,
    );
  }
  thresholdOf(policy);
  checkMembers(policy, members);
  if (!members.some((member) => member.index === self)) {
    throw new UsageError(
      "NOT_A_MEMBER",
      `this party is not in the policy of ${keyName}: ${formatPolicy(policy)}`,
    );
  }
  const policyHash = policyHashOf(input);
  const record = stored?.key.share.record;
  if (record !== undefined && (record.suite.scheme !== scheme || !equal(policyHashOf(record), policyHash))) {
    throw new UsageError(
      "KEY_EXISTS",
      `a key ${keyName} exists here with another scheme or policy (${record.suite.scheme}, ${
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
      { name: "scheme", value: utf8(scheme) },
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
