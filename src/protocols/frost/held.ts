/**
 * What the parties of a FROST key have of its epochs, and what follows from it: complete an epoch, or deal a new one. The rules
 * are those of ECDSA keys (../reshare/held.ts): every attempt takes the epoch number after the highest that any party has
 * seen, so that no number has two certificates, and nothing PENDING is given up before a later epoch is certified.
 *
 * @module
 */

import { type KeyId, keyId, type PartyId } from "../../base/brands.ts";
import { type Bytes, equal } from "../../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  struct,
  U32,
  U8,
} from "../../base/codec.ts";
import { CheaterError, UsageError } from "../../base/errors.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import type { KeyState } from "../dkg/stored_key.ts";
import { encodeFrostRecord, type FrostKeyRecord, nameOf } from "./key.ts";
import type { FrostStoredKey } from "./stored_key.ts";

/** One epoch of a key as a party has it stored. */
export interface FrostHeldEpoch {
  /** How far it is. */
  readonly state: KeyState;
  /** What is stored. The secret in it stays the caller's. */
  readonly key: FrostStoredKey;
}

/** One epoch in an offer. */
export interface FrostOfferedEpoch {
  /** How far it is. */
  readonly state: KeyState;
  /** Its number. */
  readonly epoch: number;
  /** {@linkcode frostEpochDigest}. */
  readonly digest: Bytes;
}

/** What a party says in round 0 about a key. */
export interface FrostHeldOffer {
  /** Which key it is. */
  readonly keyId: KeyId;
  /** Ascending by epoch, at least one. */
  readonly epochs: readonly FrostOfferedEpoch[];
}

/** What the offers say is to be done. */
export type FrostWay =
  /** All parties have this epoch: exchange its endorsements. */
  | { readonly kind: "complete"; readonly digest: Bytes }
  /** Deal on from the ACTIVE epoch of this digest. */
  | { readonly kind: "deal"; readonly digest: Bytes; readonly epoch: number };

/** So many attempts in a row may end without a certificate: a liar cannot use the numbers up. */
export const FROST_EPOCH_GAP_MAX = 1000;

/** `H("frost/epoch"; record, sid, transcript)`: equal iff two parties mean the same attempt. */
export function frostEpochDigest({ share, sid, transcript }: FrostStoredKey): Bytes {
  return hash(Tag.frostEpoch, encodeFrostRecord(share.record), sid, transcript);
}

/** What a party offers: the newest epochs that it has, ascending, at least one. */
export function encodeFrostHeld(held: readonly FrostHeldEpoch[]): Bytes {
  const newest = held.slice(-OFFERED_MAX);
  const [first] = newest;
  if (first === undefined) throw new UsageError("KEY_UNKNOWN", "no epoch of this key is stored here");
  const epochs = newest.map(({ state, key }) => ({
    state,
    epoch: key.share.record.epoch,
    digest: frostEpochDigest(key),
  }));
  return encode(offerCodec, { keyId: first.key.share.record.keyId, epochs });
}

/** Reads an offer. @throws CheaterError INVALID_MESSAGE */
export function readFrostHeld(party: PartyId, bytes: Bytes): FrostHeldOffer {
  try {
    return decode(offerCodec, bytes);
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

/**
 * What is to be done, seen from the offers that have arrived. Every party that sees the same offers finds the same way.
 *
 * @returns undefined while offers are missing.
 * @throws UsageError EPOCH_MISMATCH where a party lacks the newest ACTIVE epoch.
 */
export function frostWayOf(
  record: Pick<FrostKeyRecord, "keyId" | "members">,
  keyName: string,
  offers: ReadonlyMap<PartyId, Bytes>,
): FrostWay | undefined {
  const held = new Map<PartyId, readonly FrostOfferedEpoch[]>();
  for (const { index, name } of record.members) {
    const bytes = offers.get(index);
    if (bytes === undefined) return undefined;
    const offer = readFrostHeld(index, bytes);
    if (!equal(offer.keyId, record.keyId)) {
      throw mismatch(keyName, name, "has another key under that name: refresh its own with its own parties");
    }
    held.set(index, offer.epochs);
  }
  const all = [...held].flatMap(([party, epochs]) => epochs.map((epoch) => ({ ...epoch, party })));
  const active = all.filter(({ state }) => state === "active");
  const base = active.reduce<typeof active[number] | undefined>(
    (best, epoch) => best === undefined || epoch.epoch > best.epoch ? epoch : best,
    undefined,
  );
  if (base === undefined) {
    throw new UsageError("KEY_PENDING", `no party has an active epoch of the key ${keyName}`);
  }

  const has = (party: PartyId, digest: Bytes) =>
    held.get(party)?.find((epoch) => equal(epoch.digest, digest));
  const common = all.filter(({ epoch, digest }) =>
    epoch >= base.epoch && record.members.every(({ index }) => has(index, digest) !== undefined)
  ).sort((a, b) => a.epoch - b.epoch).at(-1);
  if (
    common !== undefined && record.members.some(({ index }) => has(index, common.digest)?.state === "pending")
  ) {
    return { kind: "complete", digest: common.digest };
  }
  for (const { index, name } of record.members) {
    if (has(index, base.digest)?.state === "active") continue;
    throw mismatch(
      keyName,
      name,
      `has no active share of epoch ${base.epoch}, which ${nameOf(record, base.party)} has: repair its share`,
    );
  }
  const highest = Math.max(...all.map(({ epoch }) => epoch));
  if (highest > base.epoch + FROST_EPOCH_GAP_MAX) {
    const liar = all.find(({ epoch }) => epoch === highest)?.party as PartyId;
    throw mismatch(keyName, nameOf(record, liar), `says that it has epoch ${highest}, which cannot be`);
  }
  return { kind: "deal", digest: base.digest, epoch: highest + 1 };
}

function mismatch(keyName: string, party: string, what: string): UsageError {
  return new UsageError("EPOCH_MISMATCH", `the key ${keyName} cannot be refreshed: ${party} ${what}`, {
    party,
  });
}

/** More attempts than this are never open at once, and an offer stays below 1 KB. */
const OFFERED_MAX = 16;
const STATES = ["pending", "active"] as const;

const stateCodec: Codec<KeyState> = map(U8, (state: KeyState) => STATES.indexOf(state) + 1, (number) => {
  const state = STATES[number - 1];
  if (state === undefined) throw new DecodeError("an epoch state of an unknown number");
  return state;
});

const offerCodec: Codec<FrostHeldOffer> = map(
  struct({
    keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
    epochs: list(struct({ state: stateCodec, epoch: U32, digest: fixed(32) }), OFFERED_MAX),
  }),
  (offer: FrostHeldOffer) => offer,
  (offer) => {
    const ascending = offer.epochs.every(({ epoch }, k) => epoch > (offer.epochs[k - 1]?.epoch ?? -1));
    if (offer.epochs.length === 0 || !ascending) {
      throw new DecodeError("epochs are offered ascending, at least one");
    }
    return offer;
  },
);
