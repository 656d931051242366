/**
 * Repair of one lost share by a set of helpers that could sign (SPEC 2.10; Laing and Stinson, "A Survey and Refinement of
 * Repairable Threshold Schemes", eprint 2017/1155, the enrollment protocol).
 *
 * | symbol | |
 * |---|---|
 * | e_i | coefficient of helper i: Σ e_i·x_i is the lost share x_r |
 * | p_ik | parts of e_i·x_i, random but for their sum; for helper k |
 * | P_ik | p_ik·G, in public |
 * | σ_k | Σ_i p_ik, for the party that lost its share |
 *
 * The helpers learn nothing of the lost share, and its owner nothing of theirs. The P_ik are added to the scheme: with them
 * every part has somebody to answer for it.
 *
 * The owner may have lost everything but its identity key and the configuration. It gets the public record with the certificate,
 * and believes it because its own signature is in it.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, concat, EMPTY, equal, u16, utf8 } from "../../base/bytes.ts";
import { bytes, DecodeError, encode, fixed, struct, vector } from "../../base/codec.ts";
import { CheaterError, invariant, TransportError, UsageError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { Group, Point, Scalar } from "../../math/curve.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type Endorsement, endorsementCodec } from "../dkg/messages.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import {
  blame,
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
import { type FrostCertificate, verifyFrostCertificate } from "./certificate.ts";
import {
  decodeFrostRecord,
  encodeFrostRecord,
  type FrostKeyRecord,
  type FrostKeyShare,
  nameOf,
  recordHash,
  shareScalar,
  thresholdOf,
} from "./key.ts";
import { encodeFrostStoredKey } from "./stored_key.ts";
import { FROST_SUITES, type FrostScheme, type FrostSuite } from "./suite.ts";

/** What a party must know to take part. Equal at all participants but for `self`, `holding`, `known` and `identityOf`. */
export interface FrostRepairInput {
  /** What people call the key. */
  readonly keyName: string;
  /** Its scheme. */
  readonly scheme: FrostScheme;
  /** Members that have their shares, ascending: at least as many as the threshold. */
  readonly helpers: readonly PartyId[];
  /** Whose share is lost. */
  readonly lost: PartyId;
  /** This party. */
  readonly self: PartyId;
  /** At a helper: the newest ACTIVE epoch. The secret in it stays the caller's. */
  readonly holding?: { readonly share: FrostKeyShare; readonly certificate: Bytes };
  /** At the party that lost its share: the newest ACTIVE epoch in its store, if an old copy of that came back. */
  readonly known?: FrostKeyRecord;
  /** The identity key that the roster has for a party. */
  readonly identityOf: (party: PartyId) => Bytes | undefined;
}

/** The share that is back. */
export interface FrostRepairResult {
  /** The caller owns the secret in it. */
  readonly share: FrostKeyShare;
  /** For `verifyFrostCertificate`. */
  readonly certificate: Bytes;
}

/** Round 1, from helpers to all. */
export interface FrostRepairAnnouncement {
  /** The canonical public record. */
  readonly record: Bytes;
  /** Its certificate. */
  readonly certificate: Bytes;
  /** P_ik for every helper k, ascending. */
  readonly parts: readonly Point[];
}

/** Round 2, from helper to helper: p_ik. */
export interface FrostRepairPart {
  /** Secret: for the receiver only. */
  readonly part: Scalar;
}

/** Round 3, from helpers to the owner. */
export interface FrostRepairSum {
  /** σ_k. Secret: for the owner only. */
  readonly sum: Scalar;
  /** Hash of all announcements of round 1. */
  readonly announced: Bytes;
}

/** The three rounds. */
export interface FrostRepairRounds {
  /** Round 1. */
  readonly announce: Round<FrostRepairAnnouncement, never>;
  /** Round 2. */
  readonly split: Round<never, FrostRepairPart>;
  /** Round 3. */
  readonly sum: Round<never, FrostRepairSum>;
}

/**
 * Repair. The result is the share at its owner, stored as ACTIVE, and undefined at the helpers.
 *
 * @source SPEC 2.10
 */
export const frostRepair: Definition<FrostRepairInput, FrostRepairResult | undefined> = {
  name: "frost-repair",
  version: 1,
  proposal,
  offer(input) {
    const record = recordOf(input);
    return record === undefined ? EMPTY : recordHash(record);
  },
  unsettled(input, _self, offers) {
    refuseOffers(input, offers);
    return { mine: [], others: [] };
  },
  rounds(input) {
    const { announce, split, sum } = frostRepairRounds(FROST_SUITES[input.scheme], input.helpers.length);
    return [announce, split, sum] as Round[];
  },
  run,
};

/** The rounds. The owner sends nothing; round 3 carries a hash of round 1 in the place of an echo. */
export function frostRepairRounds({ group }: FrostSuite, helpers: number): FrostRepairRounds {
  return {
    announce: {
      number: 1,
      name: "announce",
      broadcast: struct({
        record: bytes(RECORD_BYTES_MAX),
        certificate: bytes(CERTIFICATE_BYTES_MAX),
        parts: vector(group.pointCodec, helpers),
      }),
      echo: "none",
    },
    split: { number: 2, name: "split", direct: struct({ part: group.scalarCodec }), echo: "none" },
    sum: {
      number: 3,
      name: "combine",
      direct: struct({ sum: group.scalarCodec, announced: fixed(32) }),
      echo: "none",
    },
  };
}

function* run(session: Session, input: FrostRepairInput): Protocol<FrostRepairResult | undefined> {
  refuseOffers(input, session.offers);
  if (session.self === input.lost) return yield* receive(session, input);
  const { holding } = input;
  invariant(holding !== undefined, "a helper has its share");
  return yield* help(session, input, holding);
}

/** A helper's side. */
function* help(
  session: Session,
  input: FrostRepairInput,
  holding: { readonly share: FrostKeyShare; readonly certificate: Bytes },
): Generator<Step, undefined, unknown> {
  const { helpers, lost } = input;
  const { self } = session;
  const { record } = holding.share;
  const { group } = record.suite;
  const rounds = frostRepairRounds(record.suite, helpers.length);
  const peers = helpers.filter((party) => party !== self);
  const place = helpers.indexOf(self);

  const parts = yield* compute(() => splitShare(session, input, holding.share), undefined);
  const announcement: FrostRepairAnnouncement = {
    record: encodeFrostRecord(record),
    certificate: holding.certificate,
    parts: yield* compute(() => group.normalize(parts.map((part) => group.mulBase(part))), undefined),
  };
  const announced =
    (yield* exchange(rounds.announce, { broadcast: announcement }, { from: peers })).broadcast;
  const all = new Map(announced).set(self, announcement);
  checkAnnouncements(rounds.announce, input, record, announced);

  const direct = new Map(
    helpers.map((party, k) => [party, { part: parts[k] as Scalar }] as const).filter(([party]) =>
      party !== self
    ),
  );
  const received = (yield* exchange(rounds.split, { direct }, { from: peers })).direct;
  blame(
    rounds.split,
    received,
    "the part that it sends is not the one that it announced",
    (party, { part }) => !group.mulBase(part).equals(announced.get(party)?.parts[place] as Point),
  );
  let sum = parts[place] as Scalar; // σ_k = Σ_i p_ik
  for (const { part } of received.values()) sum = group.add(sum, part);

  const message: FrostRepairSum = { sum, announced: announcedHash(session, rounds.announce, input, all) };
  yield* exchange(rounds.sum, { direct: new Map([[lost, message]]) }, { from: [] });
  return undefined;
}

/** The side of the party that lost its share. */
function* receive(session: Session, input: FrostRepairInput): Generator<Step, FrostRepairResult, unknown> {
  const { helpers, self, keyName } = input;
  const suite = FROST_SUITES[input.scheme];
  const { group } = suite;
  const rounds = frostRepairRounds(suite, helpers.length);

  const announced = (yield* exchange(rounds.announce, {}, { from: helpers })).broadcast;
  const { record, certificate, raw } = yield* compute(() => believe(session, input, announced), undefined);
  checkAnnouncements(rounds.announce, input, record, announced);
  refuseOlder(input, record);

  const sums = (yield* exchange(rounds.sum, {}, { from: helpers })).direct;
  const own = announcedHash(session, rounds.announce, input, announced);
  if ([...sums.values()].some((message) => !equal(message.announced, own))) {
    throw unattributable(3, "the helpers did not receive the same announcements: one was equivocated");
  }
  blame(
    rounds.sum,
    sums,
    "its sum is not that of the announced parts",
    (party, { sum }) => {
      const k = helpers.indexOf(party);
      const expected = [...announced.values()].reduce((P, { parts }) => P.add(parts[k] as Point), group.zero);
      return !group.mulBase(sum).equals(expected);
    },
  );
  let x = group.scalar(0n); // x_r = Σ σ_k
  for (const { sum } of sums.values()) x = group.add(x, sum);
  invariant(
    group.mulBase(x).equals(record.publicShares.get(self) as Point),
    "the sums that fit the announcements make another share",
  );

  const share: FrostKeyShare = { record, self, share: new Secret(group.encodeScalar(x)) };
  const { keyId, epoch } = record;
  const place = record.members.findIndex(({ index }) => index === self);
  const endorsement = encode(endorsementCodec(group), certificate.endorsements[place] as Endorsement);
  const { sid, origin, transcript } = certificate;
  using key = encodeFrostStoredKey({ keyName, share, sid, origin, transcript, endorsement });
  yield* persist({ kind: "key-pending", keyId, epoch, name: keyName, key });
  yield* persist({ kind: "key-active", keyId, epoch, certificate: raw });
  return { share, certificate: raw };
}

/** The parts of e_i·x_i, one per helper. */
function splitShare(
  session: Session,
  { helpers, lost, self }: FrostRepairInput,
  share: FrostKeyShare,
): readonly Scalar[] {
  const { group } = share.record.suite;
  const rng = hedgedRng(session, share);
  const parts = helpers.slice(1).map(() => group.randomScalar(rng));
  let last = group.mul(coefficientOf(share.record, helpers, lost, self), shareScalar(share));
  for (const part of parts) last = group.sub(last, part);
  return [...parts, last];
}

/** e_i: Lagrange's coefficient of helper i at the index of the lost share. */
function coefficientOf(
  record: FrostKeyRecord,
  helpers: readonly PartyId[],
  lost: PartyId,
  helper: PartyId,
): Scalar {
  const { group } = record.suite;
  const { indices } = thresholdOf(record.policy);
  const indexOf = (party: PartyId) => BigInt(indices.get(nameOf(record, party)) as number);
  let numerator = group.scalar(1n), denominator = group.scalar(1n);
  for (const other of helpers) {
    if (other === helper) continue;
    numerator = group.mul(numerator, group.scalar(indexOf(lost) - indexOf(other)));
    denominator = group.mul(denominator, group.scalar(indexOf(helper) - indexOf(other)));
  }
  return group.mul(numerator, group.invertVartime(denominator));
}

/** The record that all helpers announce, once it is clear that it is the newest that this party signed with all others. */
function believe(
  session: Session,
  { helpers, self, identityOf }: FrostRepairInput,
  announced: ReadonlyMap<PartyId, FrostRepairAnnouncement>,
): { readonly record: FrostKeyRecord; readonly certificate: FrostCertificate; readonly raw: Bytes } {
  const R1 = { number: 1, name: "announce", echo: "none" } as const;
  const records = new Map<PartyId, FrostKeyRecord>(), certificates = new Map<PartyId, FrostCertificate>();
  blame(R1, announced, "the record that it announces is not the one that it offered", (party, message) => {
    const record = orUndefined(() => decodeFrostRecord(message.record));
    if (record === undefined) return true;
    records.set(party, record);
    return !equal(recordHash(record), session.offers.get(party) ?? EMPTY);
  });
  blame(
    R1,
    announced,
    "the certificate that it announces does not make its record valid",
    (party, message) => {
      const record = records.get(party) as FrostKeyRecord;
      const certificate = orUndefined(() => verifyFrostCertificate(record, message.certificate));
      if (certificate !== undefined) certificates.set(party, certificate);
      return certificate === undefined;
    },
  );
  blame(
    R1,
    announced,
    "the record that it announces is not one of the parties in the configuration",
    (party) => {
      const { members } = records.get(party) as FrostKeyRecord;
      const indices = new Set(members.map(({ index }) => index));
      return ![self, ...helpers].every((index) => indices.has(index)) ||
        members.some(({ index, identity }) => !equal(identity, identityOf(index) ?? EMPTY));
    },
  );
  const [first] = helpers as [PartyId];
  return {
    record: records.get(first) as FrostKeyRecord,
    certificate: certificates.get(first) as FrostCertificate,
    raw: (announced.get(first) as FrostRepairAnnouncement).certificate,
  };
}

/** Σ_k P_ik = e_i·X_i for every helper i. */
function checkAnnouncements(
  round: Round,
  { helpers, lost }: FrostRepairInput,
  record: FrostKeyRecord,
  announced: ReadonlyMap<PartyId, FrostRepairAnnouncement>,
): void {
  const { group } = record.suite;
  blame(round, announced, "the parts that it announces are not those of its share", (party, { parts }) => {
    const X = record.publicShares.get(party) as Point;
    const whole = group.mulVartime(X, coefficientOf(record, helpers, lost, party));
    return !sumOf(group, parts).equals(whole);
  });
}

/** `H("frost/repair/announced"; sid, announcement of each helper)`. */
function announcedHash(
  session: Session,
  round: FrostRepairRounds["announce"],
  { helpers }: FrostRepairInput,
  announced: ReadonlyMap<PartyId, FrostRepairAnnouncement>,
): Bytes {
  const codec = round.broadcast;
  invariant(codec !== undefined, "announcements are broadcast");
  const messages = helpers.map((party) => encode(codec, announced.get(party) as FrostRepairAnnouncement));
  return hash(Tag.frostRepairAnnounced, session.id, ...messages);
}

/** What is there must not be replaced by what is older, or of another key. @throws UsageError KEY_EXISTS or EPOCH_MISMATCH */
function refuseOlder({ keyName, known }: FrostRepairInput, { keyId, epoch }: FrostKeyRecord): void {
  if (known === undefined) return;
  if (!equal(known.keyId, keyId)) {
    throw new UsageError("KEY_EXISTS", `another key ${keyName} is stored here: nothing was restored`);
  }
  if (known.epoch <= epoch) return;
  throw new UsageError(
    "EPOCH_MISMATCH",
    `the helpers have epoch ${epoch} of the key ${keyName} and this party epoch ${known.epoch}: run key refresh again at all its members`,
  );
}

/**
 * @throws UsageError EPOCH_MISMATCH where two helpers have different epochs, KEY_EXISTS where nothing is lost; TransportError where
 * an offer is malformed.
 */
function refuseOffers(input: FrostRepairInput, offers: ReadonlyMap<PartyId, Bytes>): void {
  const { keyName, helpers, lost } = input;
  const [first, ...others] = helpers.flatMap((party) => offers.get(party) ?? []);
  for (const [party, offer] of offers) {
    if (offer.length === 32 || (offer.length === 0 && party === lost)) continue;
    throw new TransportError("PEER_REFUSED", `party ${party} opens the repair with a malformed offer`, {
      parties: [party],
    });
  }
  if (first === undefined) return;
  if (!others.every((offer) => equal(offer, first))) {
    throw new UsageError(
      "EPOCH_MISMATCH",
      `the helpers have the key ${keyName} in different epochs: complete the last refresh first`,
    );
  }
  const record = recordOf(input);
  if (record === undefined || !equal(first, offers.get(lost) ?? EMPTY)) return;
  throw new UsageError(
    "KEY_EXISTS",
    `${nameOf(record, lost)} has its share of the key ${keyName}: there is nothing to repair`,
  );
}

/** The epoch that this party has. */
function recordOf({ holding, known }: FrostRepairInput): FrostKeyRecord | undefined {
  return holding?.share.record ?? known;
}

/** Checks the input and says what must be equal. The key id and the epoch are in the offers: the owner may not know them. */
function proposal(input: FrostRepairInput): Proposal {
  const { keyName, scheme, helpers, lost, self, holding } = input;
  const record = recordOf(input);
  const members = new Set(record?.members.map(({ index }) => index));
  const wrong = helpers.includes(lost)
    ? "the party that lost its share is no helper"
    : !helpers.every((party, i) => i === 0 || party > (helpers[i - 1] as PartyId))
    ? "the helpers are listed ascending, each once"
    : helpers.length < 2
    ? "at least two helpers repair a share"
    : self !== lost && !helpers.includes(self)
    ? "this party takes no part in the repair"
    : (self === lost) !== (holding === undefined)
    ? "helpers bring their shares, and nobody else does"
    : record === undefined
    ? undefined
    : record.suite.scheme !== scheme
    ? `the key ${keyName} is one of ${record.suite.scheme}`
    : ![lost, ...helpers].every((party) => members.has(party))
    ? "the helpers and the party that lost its share are members of the key"
    : helpers.length < thresholdOf(record.policy).minSigners
    ? `${thresholdOf(record.policy).minSigners} helpers repair a share of this key: found ${helpers.length}`
    : undefined;
  if (wrong !== undefined) throw new UsageError("USAGE", wrong);
  return {
    params: [{ name: "scheme", value: utf8(scheme) }],
    policyHash: new Uint8Array(32),
    keyId: EMPTY,
    epoch: 0,
    participants: [...helpers, lost].sort((a, b) => a - b),
    payload: [
      { name: "key name", value: utf8(keyName) },
      { name: "purpose", value: utf8("repair") },
      { name: "lost share", value: u16(lost) },
      { name: "helpers", value: concat(...helpers.map(u16)) },
    ],
  };
}

function sumOf(group: Group, points: readonly Point[]): Point {
  return points.reduce((sum, point) => sum.add(point), group.zero);
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecodeError || error instanceof UsageError) return undefined;
    throw error;
  }
}

function unattributable(round: number, what: string): CheaterError {
  return new CheaterError({ code: "UNATTRIBUTABLE", round, culprits: [], what });
}

/** Records of 64 members are below 12 KB. */
const RECORD_BYTES_MAX = 24 * 1024;
const CERTIFICATE_BYTES_MAX = 12 * 1024;
