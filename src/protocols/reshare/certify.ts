/**
 * The end of a refresh and of a reshare: the new epoch is PENDING on disk before this party's part of the certificate leaves,
 * and ACTIVE when the parts of all are here (SPEC 0.3, 2.8).
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import type { Bytes } from "../../base/bytes.ts";
import { decode, encode } from "../../base/codec.ts";
import { CheaterError, invariant } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import {
  encodeCertificate,
  endorse,
  type Endorsed,
  endorsementFault,
  type Lineage,
  witness,
  witnessFault,
} from "../dkg/certificate.ts";
import { type Endorsement, endorsementCodec } from "../dkg/messages.ts";
import {
  encodeStoredDeparture,
  encodeStoredKey,
  type StoredDeparture,
  type StoredKey,
} from "../dkg/stored_key.ts";
import { hedgedRng } from "../ecdsa/hedge.ts";
import type { KeyShare, PublicKeyRecord } from "../key_share.ts";
import { compute, exchange, type Inbox, persist, type Round, type Session, type Step } from "../protocol.ts";
import type { EpochEndorsement } from "./messages.ts";
import { recordOfStored } from "./held.ts";

/** A certified epoch. */
export interface EpochResult {
  /** Its public record. */
  readonly record: PublicKeyRecord;
  /** This party's share; none where it left the key. The caller owns the secret in it. */
  readonly share: KeyShare | undefined;
  /** For `verifyCertificate`. */
  readonly certificate: Bytes;
  /** Whether this run dealt the shares, or completed an epoch that it found at all parties. */
  readonly outcome: "dealt" | "completed";
}

/** Endorses the new epoch and stores it as PENDING, with the endorsement that nobody has seen yet. */
export function* storePending(
  session: Session,
  made: {
    readonly keyName: string;
    readonly record: PublicKeyRecord;
    readonly share: Secret | undefined;
    readonly transcript: Bytes;
    readonly lineage: Lineage;
  },
): Generator<Step, StoredKey | StoredDeparture, unknown> {
  const { keyName, record, transcript, lineage } = made;
  const { id: sid, self } = session;
  const { keyId, epoch } = record;
  const endorsed = { record, sid, transcript, lineage };
  const sign = (message: Bytes) => session.sign(message);
  if (made.share === undefined) {
    const signature = witness(endorsed, self, sign);
    const departure: StoredDeparture = { keyName, self, signature, ...endorsed };
    using bytes = new Secret(encodeStoredDeparture(departure));
    yield* persist({ kind: "key-pending", keyId, epoch, name: keyName, key: bytes });
    return departure;
  }
  const share: KeyShare = { record, self, share: made.share };
  // The proof's nonce would give the share away if the generator failed: it is hedged with the share.
  const rng = hedgedRng(session, share);
  const endorsement = yield* compute(() => endorse(endorsed, share, sign, rng), undefined);
  const encoded = encode(endorsementCodec(record.curve), endorsement);
  const key: StoredKey = { keyName, share, sid, transcript, lineage, endorsement: encoded };
  using bytes = encodeStoredKey(key);
  yield* persist({ kind: "key-pending", keyId, epoch, name: keyName, key: bytes });
  return key;
}

/**
 * Round 3, also of a later run: collects the endorsements of the epoch's own session and stores it as ACTIVE.
 *
 * @param input `direct`: what goes to each party beside the endorsement; `then`: what is done with what came, once the
 * certificate is complete and before the epoch is ACTIVE.
 */
export function* certifyEpoch<D>(
  session: Session,
  input: {
    readonly key: StoredKey | StoredDeparture;
    /** True where the epoch is not certified here yet. */
    readonly pending: boolean;
    readonly round: Round<EpochEndorsement, D>;
    readonly direct?: ReadonlyMap<PartyId, D>;
    readonly then?: (inbox: Inbox<EpochEndorsement, D>) => Generator<Step, void, unknown>;
  },
): Generator<Step, Bytes, unknown> {
  const { key, round, direct } = input;
  const record = recordOfStored(key);
  const { sid, transcript, lineage } = key;
  invariant(lineage !== undefined, "an epoch that is certified here has a lineage");
  const endorsed: Endorsed = { record, sid, transcript, lineage };
  const own = ownEndorsement(key);
  const inbox = yield* exchange(round, { broadcast: own, ...(direct === undefined ? {} : { direct }) });
  const faults = new Map<PartyId, string>();
  for (const [party, given] of inbox.broadcast) {
    const fault = yield* compute(() => endorsementFaultOf(session, endorsed, party, given), undefined);
    if (fault !== undefined) faults.set(party, fault);
  }
  blameFaults(round, faults);
  const all = new Map(inbox.broadcast).set(session.self, own);
  const certificate = encodeCertificate(record.curve, {
    sid,
    transcript,
    lineage,
    endorsements: record.members.map(({ index }) => all.get(index) as Endorsement),
    witnessed: lineage.witnesses.map(({ index }) => (all.get(index) as EpochEndorsement).signature),
  });
  if (input.then !== undefined) yield* input.then(inbox);
  if (input.pending) {
    yield* persist({ kind: "key-active", keyId: record.keyId, epoch: record.epoch, certificate });
  }
  return certificate;
}

/** Blames all who have a fault. @throws CheaterError */
export function blameFaults(
  round: { readonly number: number },
  faults: ReadonlyMap<PartyId, string>,
): void {
  if (faults.size === 0) return;
  throw new CheaterError({
    code: "CHEATED",
    round: round.number,
    culprits: [...faults.keys()],
    what: [...new Set(faults.values())].join("; or "),
  });
}

function ownEndorsement(key: StoredKey | StoredDeparture): EpochEndorsement {
  if (!("share" in key)) return { proof: undefined, signature: key.signature };
  return decode(endorsementCodec(key.share.record.curve), key.endorsement);
}

/** A member proves that it knows its share; a witness has none, and only signs. */
function endorsementFaultOf(
  session: Session,
  endorsed: Endorsed,
  party: PartyId,
  { proof, signature }: EpochEndorsement,
): string | undefined {
  const verify = (message: Bytes, given: Bytes) => session.verify(party, message, given);
  const isMember = endorsed.record.members.some((member) => member.index === party);
  if (isMember !== (proof !== undefined)) return "its endorsement has another form than its part in the key";
  return proof === undefined
    ? witnessFault(endorsed, party, signature, verify)
    : endorsementFault(endorsed, party, { proof, signature }, verify);
}
