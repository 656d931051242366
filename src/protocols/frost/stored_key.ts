/**
 * A FROST key share on disk: the share, and what is needed to complete its certificate after a crash.
 *
 * @module
 */

import { type SessionId, sessionId } from "../../base/brands.ts";
import type { Bytes } from "../../base/bytes.ts";
import { type Codec, decode, DecodeError, encode, fixed, map, struct, text, U8 } from "../../base/codec.ts";
import { Secret } from "../../base/secret.ts";
import { KEY_NAME_BYTES_MAX } from "../dkg/stored_key.ts";
import { type Endorsement, endorsementCodec } from "../dkg/messages.ts";
import { verifyFrostCertificate } from "./certificate.ts";
import { type FrostKeyShare, frostShareCodec } from "./key.ts";

/** What the journal record "key-pending" holds for a FROST key. */
export interface FrostStoredKey {
  /** The name under which the parties generated the key. */
  readonly keyName: string;
  /** The share with its public record. */
  readonly share: FrostKeyShare;
  /** The session that made this epoch. */
  readonly sid: SessionId;
  /** The session that generated the key. */
  readonly origin: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** This party's endorsement, encoded: after a crash the same bytes are sent again. */
  readonly endorsement: Bytes;
}

/**
 * What is stored of a share that came back with its certificate, from a backup.
 *
 * @throws UsageError STORE_CORRUPT where the certificate is not one of the record.
 */
export function frostStoredKeyOf(
  input: { readonly keyName: string; readonly share: FrostKeyShare; readonly certificate: Bytes },
): FrostStoredKey {
  const { keyName, share } = input;
  const { record, self } = share;
  const { sid, origin, transcript, endorsements } = verifyFrostCertificate(record, input.certificate);
  const place = record.members.findIndex(({ index }) => index === self);
  const own = endorsements[place] as Endorsement;
  return {
    keyName,
    share,
    sid,
    origin,
    transcript,
    endorsement: encode(endorsementCodec(record.suite.group), own),
  };
}

/** The canonical bytes of a stored key: format 129. Secret. */
export function encodeFrostStoredKey(key: FrostStoredKey): Secret {
  return new Secret(encode(storedKeyCodec, { format: FORMAT, ...key }));
}

/** Reads a stored key. The caller owns the secret in it. @throws DecodeError */
export function decodeFrostStoredKey(bytes: Uint8Array): FrostStoredKey {
  const { format: _, ...key } = decode(storedKeyCodec, bytes);
  return key;
}

/** Whether stored bytes are those of a FROST key: the formats of other keys start with a lower number. */
export function isFrostStoredKey(bytes: Uint8Array): boolean {
  return (bytes[0] ?? 0) >= FIRST_FORMAT;
}

const FIRST_FORMAT = 128;
const FORMAT = 129;
/** A proof with the longer of the two point encodings, and a signature. */
const ENDORSEMENT_BYTES_MAX = 33 + 32 + 64;

const endorsementBytes: Codec<Bytes> = {
  sizeMax: 1 + ENDORSEMENT_BYTES_MAX,
  write(out, value) {
    U8.write(out, value.length);
    out.put(value);
  },
  read: (input) => input.take(U8.read(input), "endorsement"),
};

const sessionCodec: Codec<SessionId> = map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId);

const storedKeyCodec: Codec<FrostStoredKey & { readonly format: number }> = struct({
  format: map(U8, (v: number) => v, (v) => {
    if (v !== FORMAT) throw new DecodeError("a stored FROST key of an unknown format");
    return v;
  }),
  keyName: text(KEY_NAME_BYTES_MAX),
  sid: sessionCodec,
  origin: sessionCodec,
  transcript: fixed(32),
  endorsement: endorsementBytes,
  share: frostShareCodec,
});
