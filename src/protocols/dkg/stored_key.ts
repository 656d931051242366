/**
 * A key share on disk: the share, and what is needed to complete its certificate after a crash.
 *
 * @module
 */

import { type KeyId, keyId, type PartyId, type SessionId, sessionId } from "../../base/brands.ts";
import { type Bytes, EMPTY } from "../../base/bytes.ts";
import {
  bytes,
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  map,
  struct,
  text,
  U8,
} from "../../base/codec.ts";
import { invariant } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import {
  type KeyShare,
  keyShareCodec,
  partyCodec,
  type PublicKeyRecord,
  publicKeyRecordCodec,
} from "../key_share.ts";
import { type Lineage, lineageCodec, verifyCertificate } from "./certificate.ts";
import { type Endorsement, ENDORSEMENT_BYTES, endorsementCodec } from "./messages.ts";

/** What the journal record "key-pending" holds. */
export interface StoredKey {
  /** The name under which the parties generated the key. */
  readonly keyName: string;
  /** The share with its public record. */
  readonly share: KeyShare;
  /** The session that made this epoch. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** This party's endorsement, encoded: after a crash the same bytes are sent again. */
  readonly endorsement: Bytes;
  /** Of an epoch after the first. */
  readonly lineage?: Lineage;
}

/**
 * What a party stores in the place of a share when it leaves a key: the new epoch, in which it has none. With its certificate
 * the old share may be erased.
 */
export interface StoredDeparture {
  /** The name of the key. */
  readonly keyName: string;
  /** The epoch without this party. */
  readonly record: PublicKeyRecord;
  /** This party. */
  readonly self: PartyId;
  /** The session that made this epoch. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** This party's signature as a witness; none where it took no part. */
  readonly signature: Bytes;
  /** Where the epoch comes from. */
  readonly lineage: Lineage;
}

/** How far a stored key is. */
export type KeyState = "pending" | "active";

/** What a party says in round 0 about the key that it has stored under a name. */
export interface KeyOffer {
  /** How far it is. */
  readonly state: KeyState;
  /** Which key it is. */
  readonly keyId: KeyId;
}

/** Longest name of a key, in bytes of UTF-8. */
export const KEY_NAME_BYTES_MAX = 128;

/**
 * A share that came back from a backup or from the others, as its owner had it stored: the rest is in the certificate.
 *
 * @throws UsageError STORE_CORRUPT where the certificate is not one of the record.
 */
export function storedKeyOf(
  input: { readonly keyName: string; readonly share: KeyShare; readonly certificate: Bytes },
): StoredKey {
  const { keyName, share } = input;
  const { record, self } = share;
  const { sid, transcript, lineage, endorsements } = verifyCertificate(record, input.certificate);
  const place = record.members.findIndex(({ index }) => index === self);
  const endorsement = encode(endorsementCodec(record.curve), endorsements[place] as Endorsement);
  return { keyName, share, sid, transcript, endorsement, ...(lineage === undefined ? {} : { lineage }) };
}

/** The canonical bytes of a stored key: version 1 of epoch 0, version 2 of a later one. Secret. */
export function encodeStoredKey(key: StoredKey): Secret {
  return new Secret(encode(storedKeyCodec, key));
}

/** Reads a stored key. The caller owns the secret in it. @throws DecodeError */
export function decodeStoredKey(bytes: Uint8Array): StoredKey {
  return decode(storedKeyCodec, bytes);
}

/** The canonical bytes of a departure: version 3. */
export function encodeStoredDeparture(departure: StoredDeparture): Bytes {
  return encode(storedDepartureCodec, { version: VERSION_DEPARTURE, ...departure });
}

/** Reads a departure. @throws DecodeError */
export function decodeStoredDeparture(bytes: Uint8Array): StoredDeparture {
  const { version: _, ...departure } = decode(storedDepartureCodec, bytes);
  return departure;
}

/** True iff these are the bytes of a departure, not of a key. */
export function isStoredDeparture(bytes: Uint8Array): boolean {
  return bytes[0] === VERSION_DEPARTURE;
}

/** An offer as bytes; none for a party that has no such key. */
export function encodeOffer(offer: KeyOffer | undefined): Bytes {
  return offer === undefined ? EMPTY : encode(offerCodec, offer);
}

/** Reads an offer. @throws DecodeError */
export function decodeOffer(bytes: Uint8Array): KeyOffer | undefined {
  return bytes.length === 0 ? undefined : decode(offerCodec, bytes);
}

const VERSION_FIRST = 1;
const VERSION_LATER = 2;
const VERSION_DEPARTURE = 3;
const STATES = ["pending", "active"] as const;

const common = {
  keyName: text(KEY_NAME_BYTES_MAX),
  sid: map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId),
  transcript: fixed(32),
};
const first = struct({ ...common, endorsement: fixed(ENDORSEMENT_BYTES), share: keyShareCodec });
const later = struct({
  ...common,
  endorsement: fixed(ENDORSEMENT_BYTES),
  lineage: lineageCodec,
  share: keyShareCodec,
});

const storedKeyCodec: Codec<StoredKey> = {
  sizeMax: 1 + later.sizeMax,
  write(out, { lineage, ...key }) {
    invariant(
      (lineage === undefined) === (key.share.record.epoch === 0),
      "epoch 0 has no lineage, all others have one",
    );
    U8.write(out, lineage === undefined ? VERSION_FIRST : VERSION_LATER);
    if (lineage === undefined) first.write(out, key);
    else later.write(out, { ...key, lineage });
  },
  read(input) {
    const version = U8.read(input);
    if (version !== VERSION_FIRST && version !== VERSION_LATER) {
      throw new DecodeError("a stored key of an unknown version");
    }
    const key = version === VERSION_FIRST ? first.read(input) : later.read(input);
    if ((version === VERSION_FIRST) === (key.share.record.epoch === 0)) return key;
    key.share.share[Symbol.dispose]();
    throw new DecodeError("a stored key whose version does not fit its epoch");
  },
};

const storedDepartureCodec: Codec<StoredDeparture & { readonly version: number }> = struct({
  version: map(U8, (v: number) => v, (v) => {
    if (v !== VERSION_DEPARTURE) throw new DecodeError("a departure of an unknown version");
    return v;
  }),
  ...common,
  signature: bytes(64),
  lineage: lineageCodec,
  self: partyCodec,
  record: publicKeyRecordCodec,
});

const offerCodec: Codec<KeyOffer> = struct({
  state: map(U8, (state: KeyState) => STATES.indexOf(state) + 1, (number) => {
    const state = STATES[number - 1];
    if (state === undefined) throw new DecodeError("a key state of an unknown number");
    return state;
  }),
  keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
});
