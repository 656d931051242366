/**
 * Brings parties to the newest epoch of a key that one of them has the certificate of. "Anyone can supply" it (SPEC 2.8): who
 * has the epoch PENDING makes it ACTIVE, and who has left the key erases its share.
 *
 * A refresh or reshare that ended between two parties' last writes is completed by running it again at all of them. This is for
 * when not all of them are there any more, and for old members that took no part in a reshare.
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal, utf8 } from "../../base/bytes.ts";
import { bytes, optional, struct } from "../../base/codec.ts";
import { invariant, QuorateError, UsageError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { type Endorsed, verifyCertificate } from "../dkg/certificate.ts";
import { encodeStoredDeparture } from "../dkg/stored_key.ts";
import { type Member, type PublicKeyRecord, quorumOf } from "../key_share.ts";
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
import { blameFaults } from "./certify.ts";
import {
  activeShare,
  encodeHeld,
  endorsedOf,
  epochDigest,
  findHeld,
  type HeldEpoch,
  type OfferedEpoch,
  readHeld,
} from "./held.ts";
import { endorsedCodec } from "./messages.ts";

/** What a party must know to take part. Equal at all participants but for `self`, `held` and `certificate`. */
export interface SyncInput {
  /** What people call the key. */
  readonly keyName: string;
  /** This party. */
  readonly self: PartyId;
  /** Who takes part, ascending by index. */
  readonly participants: readonly Member[];
  /** What this party has stored of the key, ascending by epoch. The secrets in it stay the caller's. */
  readonly held: readonly HeldEpoch[];
  /** The certificate of an epoch that is certified here. */
  readonly certificate: (epoch: number) => Bytes;
}

/** What came of it. */
export interface SyncResult {
  /** The newest certified epoch. */
  readonly record: PublicKeyRecord;
  /** Its certificate. */
  readonly certificate: Bytes;
  /** What this party has of it. */
  readonly state: "active" | "left";
  /** False where this party had it already. */
  readonly changed: boolean;
}

/** What somebody knows of the newest epoch. */
export interface Supply {
  /** Of those who have it certified. */
  readonly supply: { readonly endorsed: Endorsed; readonly certificate: Bytes } | undefined;
}

const CERTIFICATE_BYTES_MAX = 32 * 1024;

/** The only round. */
export const syncRound: Round<Supply, never> = {
  number: 1,
  name: "certificate",
  broadcast: struct({
    supply: optional(struct({ endorsed: endorsedCodec, certificate: bytes(CERTIFICATE_BYTES_MAX) })),
  }),
  echo: "none",
};

/** Hands the newest certificate to those who have not got it. @source SPEC 0.3, 2.8 */
export const sync: Definition<SyncInput, SyncResult> = {
  name: "sync",
  version: 1,
  auxiliary: true,
  proposal,
  offer: ({ held }) => encodeHeld(held),
  unsettled(input, _self, offers) {
    newestOf(input, offers);
    return { mine: [], others: [] };
  },
  rounds: () => [syncRound] as Round[],
  run,
};

function* run(session: Session, input: SyncInput): Protocol<SyncResult> {
  const newest = newestOf(input, session.offers);
  invariant(newest !== undefined, "a session has the offers of all");
  const own = findHeld(input.held, newest.digest);
  if (own !== undefined && own.state !== "pending") {
    const endorsed = endorsedOf(own.key);
    const certificate = input.certificate(newest.epoch);
    yield* exchange(syncRound, { broadcast: { supply: { endorsed, certificate } } });
    return { record: endorsed.record, certificate, state: own.state, changed: false };
  }
  const given = (yield* exchange(syncRound, { broadcast: { supply: undefined } })).broadcast;
  const faults = new Map<PartyId, string>();
  let chosen: NonNullable<Supply["supply"]> | undefined;
  for (const [party, { supply }] of given) {
    const holds = newest.holders.includes(party);
    const fault = supply === undefined
      ? holds ? "it does not give the certificate that it has" : undefined
      : yield* compute(() => supplyFault(newest, supply), undefined);
    if (fault !== undefined) faults.set(party, fault);
    else chosen ??= supply;
  }
  blameFaults(syncRound, faults);
  invariant(chosen !== undefined, "somebody has the newest epoch certified");
  return yield* take(input, own, chosen);
}

/** Makes the supplied epoch ACTIVE here, or leaves the key. */
function* take(
  input: SyncInput,
  own: HeldEpoch | undefined,
  { endorsed, certificate }: NonNullable<Supply["supply"]>,
): Generator<Step, SyncResult, unknown> {
  const { record, sid, transcript, lineage } = endorsed;
  const { keyId, epoch } = record;
  const isMember = record.members.some(({ index }) => index === input.self);
  if (own === undefined) {
    if (isMember) {
      throw new UsageError(
        "EPOCH_MISMATCH",
        `the share of ${input.keyName} in epoch ${epoch} is lost here: run key repair for it, or recover it from a backup`,
      );
    }
    const active = activeShare(input.held);
    if (active === undefined || lineage === undefined || !isSignedBy(endorsed, active.share.record)) {
      throw new UsageError(
        "EPOCH_MISMATCH",
        `that ${input.keyName} went on to epoch ${epoch} without this party cannot be checked here: nothing is erased`,
      );
    }
    const departure = { keyName: input.keyName, record, self: input.self, sid, transcript, lineage };
    using bytes = new Secret(encodeStoredDeparture({ ...departure, signature: EMPTY }));
    yield* persist({ kind: "key-pending", keyId, epoch, name: input.keyName, key: bytes });
  }
  yield* persist({ kind: "key-active", keyId, epoch, certificate });
  return { record, certificate, state: isMember ? "active" : "left", changed: true };
}

/** What is wrong with a supplied epoch in words, or undefined. */
function supplyFault(
  newest: OfferedEpoch,
  { endorsed, certificate }: NonNullable<Supply["supply"]>,
): string | undefined {
  if (!equal(epochDigest(endorsed), newest.digest)) return "it gives another epoch than it has offered";
  try {
    verifyCertificate(endorsed.record, certificate);
    return undefined;
  } catch (error) {
    if (error instanceof QuorateError) return error.message;
    throw error;
  }
}

/**
 * Whether those who signed the new epoch satisfy the policy of the present one: only they could give the key away. That the key id
 * is the one of the public key is part of the certificate.
 */
function isSignedBy({ record, lineage }: Endorsed, present: PublicKeyRecord): boolean {
  const signers = [...record.members, ...(lineage?.witnesses ?? [])];
  const known = present.members.filter(({ index, identity }) =>
    signers.some((signer) => signer.index === index && equal(signer.identity, identity))
  );
  return equal(record.keyId, present.keyId) &&
    quorumOf(present, known.map(({ index }) => index)) !== undefined;
}

/** The newest certified epoch, and who has it. @throws UsageError KEY_UNKNOWN or EPOCH_MISMATCH */
function newestOf(
  { keyName, participants }: SyncInput,
  offers: ReadonlyMap<PartyId, Bytes>,
): OfferedEpoch & { readonly holders: readonly PartyId[] } | undefined {
  let newest: OfferedEpoch | undefined;
  const certified = new Map<PartyId, OfferedEpoch>();
  for (const { index } of participants) {
    const offer = offers.get(index);
    if (offer === undefined) return undefined;
    const last = readHeld(index, offer)?.epochs.filter(({ state }) => state !== "pending").at(-1);
    if (last === undefined) continue;
    certified.set(index, last);
    if (last.epoch > (newest?.epoch ?? -1)) newest = last;
  }
  if (newest === undefined) {
    const names = participants.map(({ name }) => name).join(", ");
    throw new UsageError("KEY_UNKNOWN", `none of ${names} has a certificate of the key ${keyName}`);
  }
  const { epoch, digest } = newest;
  const holders = [...certified].filter(([, last]) => last.epoch === epoch);
  if (holders.some(([, last]) => !equal(last.digest, digest))) {
    throw new UsageError(
      "EPOCH_MISMATCH",
      `the parties have different shares of ${keyName} in epoch ${epoch}`,
    );
  }
  return { ...newest, holders: holders.map(([party]) => party) };
}

function proposal({ keyName, self, participants }: SyncInput): Proposal {
  const parties = participants.map(({ index }) => index);
  if (!parties.includes(self) || parties.length < 2) {
    throw new UsageError("USAGE", "this party and at least one other one are synchronised");
  }
  return {
    params: [],
    policyHash: new Uint8Array(32),
    keyId: EMPTY,
    epoch: 0,
    participants: parties,
    payload: [{ name: "key name", value: utf8(keyName) }, { name: "purpose", value: utf8("synchronise") }],
  };
}
