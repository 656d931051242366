/**
 * A key share on disk: the share, and what is needed to complete its certificate after a crash.
 *
 * @module
 */

import { type KeyId, keyId, type SessionId, sessionId } from "../../base/brands.ts";
import { type Bytes, EMPTY } from "../../base/bytes.ts";
import { type Codec, decode, DecodeError, encode, fixed, map, struct, text, U8 } from "../../base/codec.ts";
import { Secret } from "../../base/secret.ts";
import { type KeyShare, keyShareCodec } from "../key_share.ts";
import { ENDORSEMENT_BYTES } from "./messages.ts";

/** What the journal record "key-pending" holds. */
export interface StoredKey {
  /** The name under which the parties generated the key. */
  readonly keyName: string;
  /** The share with its public record. */
  readonly share: KeyShare;
  /** The session that generated it. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** This party's endorsement, encoded: after a crash the same bytes are sent again. */
  readonly endorsement: Bytes;
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

/** The canonical bytes of a stored key: version 1. Secret. */
export function encodeStoredKey(key: StoredKey): Secret {
  return new Secret(encode(storedKeyCodec, { version: VERSION, ...key }));
}

/** Reads a stored key. The caller owns the secret in it. @throws DecodeError */
export function decodeStoredKey(bytes: Uint8Array): StoredKey {
  const { version: _, ...key } = decode(storedKeyCodec, bytes);
  return key;
}

/** An offer as bytes; none for a party that has no such key. */
export function encodeOffer(offer: KeyOffer | undefined): Bytes {
  return offer === undefined ? EMPTY : encode(offerCodec, offer);
}

/** Reads an offer. @throws DecodeError */
export function decodeOffer(bytes: Uint8Array): KeyOffer | undefined {
  return bytes.length === 0 ? undefined : decode(offerCodec, bytes);
}

const VERSION = 1;
const STATES = ["pending", "active"] as const;

const storedKeyCodec: Codec<StoredKey & { readonly version: number }> = struct({
  version: map(U8, (v: number) => v, (v) => {
    if (v !== VERSION) throw new DecodeError("a stored key of an unknown version");
    return v;
  }),
  keyName: text(KEY_NAME_BYTES_MAX),
  sid: map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId),
  transcript: fixed(32),
  endorsement: fixed(ENDORSEMENT_BYTES),
  share: keyShareCodec,
});

const offerCodec: Codec<KeyOffer> = struct({
  state: map(U8, (state: KeyState) => STATES.indexOf(state) + 1, (number) => {
    const state = STATES[number - 1];
    if (state === undefined) throw new DecodeError("a key state of an unknown number");
    return state;
  }),
  keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
});
