/**
 * What the parties of a key have of its epochs, and what follows from it: complete an epoch, or deal a new one (SPEC 2.8).
 *
 * Three rules make a crash or a lie harmless, whoever is hit and whenever:
 * - A party endorses an epoch only after its share of it is on disk, and at most one attempt per epoch number: every attempt
 *   takes the number after the highest that any participant has seen. So no number has two certificates.
 * - A share is erased only upon a certificate of a higher epoch, whose shares all its members then have. So the members of the
 *   highest certified epoch always hold it.
 * - A PENDING share is never given up because somebody says that it has none: it could hold the certificate and lie. It is kept
 *   beside the next attempt until that one is certified.
 *
 * @module
 */

import { type KeyId, keyId, type PartyId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../../base/bytes.ts";
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
import type { Curve } from "../../math/curve.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type Endorsed, lineageCodec } from "../dkg/certificate.ts";
import type { StoredDeparture, StoredKey } from "../dkg/stored_key.ts";
import { curveCodec, encodeRecord, type PublicKeyRecord } from "../key_share.ts";

/** `left`: the epoch is certified, and this party has no share of it. */
export type EpochState = "pending" | "active" | "left";

/** One epoch of a key as a party has it stored. */
export interface HeldEpoch {
  /** How far it is. */
  readonly state: EpochState;
  /** What is stored. The secret in it stays the caller's. */
  readonly key: StoredKey | StoredDeparture;
}

/** One epoch in an offer. */
export interface OfferedEpoch {
  /** How far it is. */
  readonly state: EpochState;
  /** Its number. */
  readonly epoch: number;
  /** {@linkcode epochDigest}. */
  readonly digest: Bytes;
}

/** What a party says in round 0 about a key. */
export interface HeldOffer {
  /** Which key it is. */
  readonly keyId: KeyId;
  /** Its curve. */
  readonly curve: Curve;
  /** Ascending by epoch. */
  readonly epochs: readonly OfferedEpoch[];
}

/** What the offers say is to be done. */
export type Way =
  /** All participants have this epoch: exchange its endorsements. */
  | { readonly kind: "complete"; readonly epoch: number; readonly digest: Bytes }
  /** Deal on from an ACTIVE epoch. */
  | {
    readonly kind: "deal";
    /** Which key. */
    readonly keyId: KeyId;
    /** Its curve. */
    readonly curve: Curve;
    /** The epoch that is dealt on. */
    readonly base: number;
    /** Its digest. */
    readonly digest: Bytes;
    /** Who has a share of it, ascending. */
    readonly holders: readonly PartyId[];
    /** The number of the new epoch. */
    readonly epoch: number;
  };

/** So many attempts in a row may end without a certificate: a liar cannot use the numbers up. */
export const EPOCH_GAP_MAX = 1000;

/** The public record of what is stored. */
export function recordOfStored(key: StoredKey | StoredDeparture): PublicKeyRecord {
  return "share" in key ? key.share.record : key.record;
}

/** What is endorsed of an epoch that is stored. */
export function endorsedOf(key: StoredKey | StoredDeparture): Endorsed {
  const { sid, transcript, lineage } = key;
  return { record: recordOfStored(key), sid, transcript, ...(lineage === undefined ? {} : { lineage }) };
}

/** `H("reshare/epoch"; record, sid, transcript, lineage)`: equal iff two parties mean the same attempt. */
export function epochDigest({ record, sid, transcript, lineage }: Endorsed): Bytes {
  const encoded = lineage === undefined ? EMPTY : encode(lineageCodec, lineage);
  return hash(Tag.epochDigest, encodeRecord(record), sid, transcript, encoded);
}

/** The epoch of that digest among those that are stored. */
export function findHeld(held: readonly HeldEpoch[], digest: Bytes): HeldEpoch | undefined {
  return held.find(({ key }) => equal(epochDigest(endorsedOf(key)), digest));
}

/** The share of the epoch that is ACTIVE here. */
export function activeShare(held: readonly HeldEpoch[]): StoredKey | undefined {
  const active = held.find(({ state }) => state === "active")?.key;
  return active !== undefined && "share" in active ? active : undefined;
}

/** What a party offers: the newest epochs that it has of one key. */
export function encodeHeld(held: readonly HeldEpoch[]): Bytes {
  const [last] = held.slice(-1);
  if (last === undefined) return EMPTY;
  const { keyId, curve } = recordOfStored(last.key);
  const epochs = held.slice(-OFFERED_MAX).map(({ state, key }) => ({
    state,
    epoch: recordOfStored(key).epoch,
    digest: epochDigest(endorsedOf(key)),
  }));
  return encode(heldOfferCodec, { keyId, curve, epochs });
}

/** Reads an offer; undefined for a party that has nothing of the key. @throws CheaterError INVALID_MESSAGE */
export function readHeld(party: PartyId, bytes: Bytes): HeldOffer | undefined {
  if (bytes.length === 0) return undefined;
  try {
    return decode(heldOfferCodec, bytes);
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
 * @param input `isWanted`: whether the epoch of this digest is what this session is to make; false for one that is not stored
 * here. `joins`: whether a participant may have no share of the epoch that is dealt on.
 * @returns undefined while offers are missing.
 * @throws UsageError EPOCH_MISMATCH, KEY_EXISTS or KEY_UNKNOWN where the offers show that the session cannot run.
 */
export function wayOf(
  input: {
    readonly keyName: string;
    readonly participants: readonly PartyId[];
    readonly offers: ReadonlyMap<PartyId, Bytes>;
    readonly isWanted: (digest: Bytes) => boolean;
    readonly joins: (party: PartyId) => boolean;
    readonly nameOf: (party: PartyId) => string;
  },
): Way | undefined {
  const { keyName, participants, nameOf } = input;
  const held = new Map<PartyId, HeldOffer | undefined>();
  for (const party of participants) {
    const offer = input.offers.get(party);
    if (offer === undefined) return undefined;
    held.set(party, readHeld(party, offer));
  }
  const base = newest(held, "active");
  if (base === undefined) {
    throw new UsageError(
      "KEY_UNKNOWN",
      `none of ${participants.map(nameOf).join(", ")} has an active share of the key ${keyName}`,
    );
  }
  refuseOtherKeys(keyName, held, base, nameOf);
  const common = commonEpochs(held).filter(({ epoch, digest }) =>
    epoch >= base.epoch && input.isWanted(digest)
  );
  const candidate = common.at(-1);
  if (candidate !== undefined) {
    const { epoch, digest } = candidate;
    const states = [...held.values()].map((offer) => find(offer, epoch)?.state);
    // Where everybody has it certified there is nothing to complete; but who has left cannot deal again.
    if (states.includes("pending") || states.includes("left")) return { kind: "complete", epoch, digest };
  }
  const holders = participants.filter((party) => {
    const own = find(held.get(party), base.epoch);
    return own?.state === "active" && equal(own.digest, base.digest);
  });
  for (const party of participants) {
    if (holders.includes(party) || input.joins(party)) continue;
    const pending = find(held.get(party), base.epoch)?.state === "pending";
    throw new UsageError(
      "EPOCH_MISMATCH",
      `the key ${keyName} is in epoch ${base.epoch} at ${nameOf(base.party)}, but ${nameOf(party)} has ${
        pending
          ? "no certificate of that epoch: run the command that made it again, or key sync, at both"
          : "no share of that epoch: run key repair for it, or recover it from a backup"
      }`,
      { party: nameOf(party) },
    );
  }
  return {
    kind: "deal",
    keyId: base.keyId,
    curve: base.curve,
    base: base.epoch,
    digest: base.digest,
    holders,
    epoch: nextEpoch(held, base.epoch, nameOf),
  };
}

/** The newest epoch of a state that anybody offers. */
function newest(
  held: ReadonlyMap<PartyId, HeldOffer | undefined>,
  state: EpochState,
): (OfferedEpoch & { readonly party: PartyId; readonly keyId: KeyId; readonly curve: Curve }) | undefined {
  let best: ReturnType<typeof newest>;
  for (const [party, offer] of held) {
    for (const epoch of offer?.epochs ?? []) {
      if (offer === undefined || epoch.state !== state || epoch.epoch <= (best?.epoch ?? -1)) continue;
      best = { ...epoch, party, keyId: offer.keyId, curve: offer.curve };
    }
  }
  return best;
}

/** A name may be taken here by another key, or by another epoch of the same number: nothing of that can be dealt on. */
function refuseOtherKeys(
  keyName: string,
  held: ReadonlyMap<PartyId, HeldOffer | undefined>,
  base: OfferedEpoch & { readonly party: PartyId; readonly keyId: KeyId; readonly curve: Curve },
  nameOf: (party: PartyId) => string,
): void {
  for (const [party, offer] of held) {
    const active = offer?.epochs.find(({ state }) => state === "active");
    if (offer === undefined || active === undefined) continue;
    if (!equal(offer.keyId, base.keyId) || offer.curve.id !== base.curve.id) {
      throw new UsageError(
        "KEY_EXISTS",
        `${nameOf(party)} and ${nameOf(base.party)} have different keys under the name ${keyName}`,
        { party: nameOf(party) },
      );
    }
    if (active.epoch === base.epoch && !equal(active.digest, base.digest)) {
      throw new UsageError(
        "EPOCH_MISMATCH",
        `${nameOf(party)} and ${
          nameOf(base.party)
        } have different shares of ${keyName} in epoch ${base.epoch}: ${"its members were changed twice, by others"}`,
        { party: nameOf(party) },
      );
    }
  }
}

/** Epochs that every participant has in the same form, ascending. */
function commonEpochs(held: ReadonlyMap<PartyId, HeldOffer | undefined>): OfferedEpoch[] {
  const [first, ...others] = held.values();
  return (first?.epochs ?? []).filter(({ epoch, digest }) =>
    others.every((offer) => {
      const other = find(offer, epoch);
      return other !== undefined && equal(other.digest, digest);
    })
  );
}

function find(offer: HeldOffer | undefined, epoch: number): OfferedEpoch | undefined {
  return offer?.epochs.find((offered) => offered.epoch === epoch);
}

/** One more than the highest epoch that anybody has seen. */
function nextEpoch(
  held: ReadonlyMap<PartyId, HeldOffer | undefined>,
  base: number,
  nameOf: (party: PartyId) => string,
): number {
  let highest = base;
  for (const [party, offer] of held) {
    const epoch = offer?.epochs.at(-1)?.epoch ?? 0;
    if (epoch > base + EPOCH_GAP_MAX) {
      throw new UsageError(
        "EPOCH_MISMATCH",
        `${
          nameOf(party)
        } says that it has epoch ${epoch}, and the key is in epoch ${base}: so many attempts cannot have been made`,
        { party: nameOf(party) },
      );
    }
    highest = Math.max(highest, epoch);
  }
  return highest + 1;
}

/** More attempts than this are never open at once, and an offer stays below 1 KB. */
const OFFERED_MAX = 16;
const STATES = ["pending", "active", "left"] as const;

const heldOfferCodec: Codec<HeldOffer> = map(
  struct({
    keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
    curve: curveCodec,
    epochs: list(
      struct({
        state: map(U8, (state: EpochState) => STATES.indexOf(state) + 1, (number) => {
          const state = STATES[number - 1];
          if (state === undefined) throw new DecodeError("an epoch state of an unknown number");
          return state;
        }),
        epoch: U32,
        digest: fixed(32),
      }),
      OFFERED_MAX,
    ),
  }),
  (offer) => offer,
  (offer) => {
    if (
      offer.epochs.length === 0 ||
      offer.epochs.some(({ epoch }, k) => epoch <= (offer.epochs[k - 1]?.epoch ?? -1))
    ) {
      throw new DecodeError("epochs are offered ascending, at least one");
    }
    return offer;
  },
);
