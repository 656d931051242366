/**
 * Threshold signing with FROST (RFC 9591) without a coordinator: everybody broadcasts its nonce commitments, then its share of
 * the signature, and checks each share before it adds them up, so that an abort names its cause (SPEC 6).
 *
 * | here | RFC 9591 |
 * |---|---|
 * | D_i, E_i | hiding and binding nonce commitment |
 * | z_i | signature share |
 *
 * The message is signed as it is: an Ed25519 key signs any bytes, so whoever calls this separates its uses of one key by what
 * it puts into the messages. The message itself does not travel: every signer has it, and round 0 compares its hash.
 *
 * Nothing of round 2 leaves before all commitments are here; from then on a valid signature may exist whatever happens here, and
 * the engine calls every failure an unknown outcome.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, concat, copy, u16, utf8 } from "../../base/bytes.ts";
import { struct } from "../../base/codec.ts";
import { CheaterError, UsageError } from "../../base/errors.ts";
import type { Scalar } from "../../math/curve.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import {
  admitClocks,
  boundFacts,
  boundRelease,
  type BoundSigning,
  clockOffer,
  requireBound,
} from "../bound.ts";
import { policyHashOf } from "../key_share.ts";
import {
  compute,
  type Definition,
  exchange,
  payloadHash,
  peersOf,
  persist,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
  type Step,
} from "../protocol.ts";
import { blameFaults } from "./activate.ts";
import { type FrostKeyRecord, type FrostKeyShare, identifierOf, publicPackage, thresholdOf } from "./key.ts";
import { type CommitmentList, type NonceCommitment, nonceRng, SigningNonces } from "./nonces.ts";

/** What a party must know to sign. Equal at all signers but for `share`. */
export interface FrostSignInput {
  /** This party's share of the key. */
  readonly share: FrostKeyShare;
  /** Members, ascending: at least as many as the threshold. */
  readonly signers: readonly PartyId[];
  /** What is signed: for Ed25519 at most 48 KiB, for BIP340 a digest of 32 bytes. */
  readonly message: Bytes;
  /** Who gets the signature, ascending. Default: all signers. */
  readonly receivers?: readonly PartyId[];
  /** What approved or decided this, where the key has a purpose. */
  readonly bound?: BoundSigning;
}

/** Round 2. */
export interface SignatureShare {
  /** z_i. */
  readonly share: Scalar;
}

/** The two rounds. */
export interface FrostSignRounds {
  /** Round 1. */
  readonly commit: Round<NonceCommitment, never>;
  /** Round 2: to all, or to the receivers alone. */
  readonly respond: Round<SignatureShare, SignatureShare>;
}

/** Signing. The result is the 64-byte signature of RFC 8032 or BIP340 at its receivers, and undefined at the other signers. */
export const frostSign: Definition<FrostSignInput, Bytes | undefined> = {
  name: "frost-sign",
  version: 1,
  proposal: frostSignProposal,
  offer: ({ bound }) => concat(...clockOffer(bound)),
  unsettled(input, _self, offers) {
    admitClocks(input.bound, offers);
    return { mine: [], others: [] };
  },
  rounds(input) {
    const { commit, respond } = frostSignRounds(input);
    return [commit, respond] as Round[];
  },
  run,
};

/**
 * The rounds. A signature share is judged by the list of commitments, so everybody must have the same list: where all receive,
 * round 2 carries the echo of round 1; where only some do, the others wait for nobody in round 2, and round 1 has an echo of its
 * own.
 */
export function frostSignRounds(
  input: Pick<FrostSignInput, "share" | "signers" | "receivers">,
): FrostSignRounds {
  const { group } = input.share.record.suite;
  const share = struct({ share: group.scalarCodec });
  const toAll = receiversOf(input).length === input.signers.length;
  return {
    commit: {
      number: 1,
      name: "commit",
      broadcast: struct({ hiding: group.pointCodec, binding: group.pointCodec }),
      echo: toAll ? "next" : "own",
    },
    respond: {
      number: 2,
      name: "respond",
      ...(toAll ? { broadcast: share } : { direct: share }),
      echo: "none",
    },
  };
}

function* run(session: Session, input: FrostSignInput): Protocol<Bytes | undefined> {
  const { share: key, message } = input;
  const { record } = key;
  const { commit: R1, respond: R2 } = frostSignRounds(input);
  const payload = payloadHash(frostSignProposal(input).payload);

  // Round 1 [RFC 9591, 5.1].
  using nonces = yield* compute(
    () => new SigningNonces(key, nonceRng(session, key, payload)),
    undefined,
  );
  const committed = (yield* exchange(R1, { broadcast: nonces.commitment })).broadcast;
  const commitments = commitmentList(record, new Map(committed).set(session.self, nonces.commitment));

  // Round 2 [RFC 9591, 5.2]: the nonces are gone and the release is on disk before the share leaves.
  const own = yield* compute(() => nonces.respond(commitments, message), undefined);
  const { keyId, epoch } = record;
  yield* persist({
    kind: "release",
    keyId,
    epoch,
    sid: session.id,
    payloadHash: payload,
    ...boundRelease(input.bound),
  });
  const shares = yield* respond(session, input, R2, own);
  if (shares === undefined) return undefined;

  // Every share is checked before any is used [RFC 9591, 5.4].
  const faults = new Map<PartyId, string>();
  for (const [party, { share }] of shares) {
    const valid = yield* compute(
      () => isShareValid({ record, commitments, message, party, share }),
      undefined,
    );
    if (!valid) {
      faults.set(party, "its share of the signature does not fit its commitments and its key share");
    }
  }
  blameFaults(R2, faults);
  const all = new Map([...shares].map(([party, m]) => [party, m.share])).set(session.self, own);
  return yield* compute(() => aggregate(record, commitments, message, all), undefined);
}

/** Round 2. @returns the peers' shares; undefined where this party is no receiver. */
function* respond(
  session: Session,
  input: FrostSignInput,
  round: FrostSignRounds["respond"],
  share: Scalar,
): Generator<Step, ReadonlyMap<PartyId, SignatureShare> | undefined, unknown> {
  if (round.broadcast !== undefined) return (yield* exchange(round, { broadcast: { share } })).broadcast;
  const receivers = receiversOf(input);
  const isReceiver = receivers.includes(session.self);
  const others = receivers.filter((party) => party !== session.self);
  const inbox = yield* exchange(
    round,
    { direct: new Map(others.map((party) => [party, { share }])) },
    { from: isReceiver ? peersOf(session) : [] },
  );
  return isReceiver ? inbox.direct : undefined;
}

/** Everybody's commitments, ascending by identifier, in noble's form. */
function commitmentList(
  record: FrostKeyRecord,
  commitments: ReadonlyMap<PartyId, NonceCommitment>,
): CommitmentList {
  const { group } = record.suite;
  return [...commitments].sort(([a], [b]) => a - b).map(([party, { hiding, binding }]) => ({
    identifier: identifierOf(record, party),
    hiding: group.encodePoint(hiding),
    binding: group.encodePoint(binding),
  }));
}

function isShareValid(
  { record, commitments, message, party, share }: {
    readonly record: FrostKeyRecord;
    readonly commitments: CommitmentList;
    readonly message: Bytes;
    readonly party: PartyId;
    readonly share: Scalar;
  },
): boolean {
  const { frost, group } = record.suite;
  return frost.verifyShare(
    publicPackage(record),
    [...commitments],
    message,
    identifierOf(record, party),
    group.encodeScalar(share),
  );
}

/** z = Σ z_i [RFC 9591, 5.3], verified as any stranger would. */
function aggregate(
  record: FrostKeyRecord,
  commitments: CommitmentList,
  message: Bytes,
  shares: ReadonlyMap<PartyId, Scalar>,
): Bytes {
  const { frost, group, verify } = record.suite;
  const encoded = Object.fromEntries(
    [...shares].map(([party, share]) => [identifierOf(record, party), group.encodeScalar(share)]),
  );
  let signature: Bytes | undefined;
  try {
    signature = copy(frost.aggregate(publicPackage(record), [...commitments], message, encoded));
  } catch {
    // The shares of all peers were checked one by one: what is wrong is the sum, or this party's own share.
  }
  if (signature !== undefined && verify(record.publicKey, message, signature)) return signature;
  throw new CheaterError({
    code: "UNATTRIBUTABLE",
    round: 2,
    culprits: [],
    what: "the signature does not verify",
  });
}

/**
 * What is compared in round 0.
 *
 * @throws UsageError where the input cannot be signed with.
 */
export function frostSignProposal(input: FrostSignInput): Proposal {
  checkInput(input);
  const { share: { record }, signers, message } = input;
  return {
    params: [{ name: "scheme", value: utf8(record.suite.scheme) }],
    policyHash: policyHashOf(record),
    keyId: record.keyId,
    epoch: record.epoch,
    participants: signers,
    payload: [
      { name: "message hash", value: hash(Tag.frostMessage, message) },
      { name: "message bytes", value: utf8(String(message.length)) },
      { name: "signers", value: concat(...signers.map(u16)) },
      { name: "receivers", value: concat(...receiversOf(input).map(u16)) },
      ...boundFacts(input.bound),
    ],
  };
}

function receiversOf(input: Pick<FrostSignInput, "receivers" | "signers">): readonly PartyId[] {
  return input.receivers ?? input.signers;
}

function checkInput(input: FrostSignInput): void {
  const { share: { record, self }, signers, message } = input;
  const members = new Set(record.members.map(({ index }) => index));
  const receivers = receiversOf(input);
  const { minSigners } = thresholdOf(record.policy);
  const wrong = record.suite.messageFault(message) ??
    (signers.length < minSigners
      ? `${minSigners} parties sign with this key: found ${signers.length}`
      : !ascending(signers) || !signers.every((party) => members.has(party))
      ? "the signers are members of the key, ascending, each once"
      : !signers.includes(self)
      ? "this party is not among the signers"
      : receivers.length === 0 || !ascending(receivers) ||
          !receivers.every((party) => signers.includes(party))
      ? "the receivers are signers, ascending, each once, at least one"
      : undefined);
  if (wrong !== undefined) throw new UsageError("USAGE", wrong);
  requireBound(record, input.bound);
}

function ascending(parties: readonly PartyId[]): boolean {
  return parties.every((party, i) => i === 0 || party > (parties[i - 1] as PartyId));
}
