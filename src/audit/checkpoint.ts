/**
 * Checkpoints: the size and the root of a party's log, signed by the party, and cosigned by peers that saw it grow.
 *
 * @source C2SP tlog-checkpoint v1.0.0 and tlog-cosignature (`cosignature/v1`)
 * @module
 */

import { type Bytes, concat, equal, u64, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import type { Ed25519Signer, Ed25519Verifier } from "../base/crypto.ts";
import { HASH_BYTES } from "./merkle.ts";
import {
  formatNote,
  formatSignature,
  fromBase64,
  type Note,
  noteKeyId,
  type NoteSignature,
  parseNote,
  parseSignatureLine,
  signaturesBy,
  SignatureType,
} from "./note.ts";

/** What a checkpoint says of a log. */
export interface TreeHead {
  /** Which log: see {@linkcode originOf}. */
  readonly origin: string;
  /** How many records it has. */
  readonly size: number;
  /** Root of the Merkle tree over them. */
  readonly root: Bytes;
}

/** A checkpoint as it was read; nothing in it is checked. */
export interface Checkpoint extends TreeHead {
  /** The note that it stands in. */
  readonly note: Note;
}

/** A public key under the name that its signatures carry. */
export interface NamedKey {
  /** The origin of the party's own log: see {@linkcode originOf}. */
  readonly name: string;
  /** Its identity key. */
  readonly verifier: Ed25519Verifier;
}

/** A cosignature that verifies. */
export interface Cosigned {
  /** Whose. */
  readonly name: string;
  /** When, in seconds, by the cosigner's clock. */
  readonly timestamp: number;
}

/** The name of a party's log, and of its key: a party signs checkpoints of its own log and cosigns those of others. */
export function originOf(cluster: string, party: string): string {
  return `quorate/${cluster}/${party}`;
}

/** Signs the head of a log. @returns the note. */
export function signCheckpoint(head: TreeHead, signer: Ed25519Signer): string {
  const text = textOf(head);
  const keyId = noteKeyId(head.origin, SignatureType.ED25519, signer.publicKey);
  return formatNote({
    text,
    signatures: [{ name: head.origin, keyId, signature: signer.sign(utf8(text)) }],
  });
}

/** Reads a checkpoint. @throws DecodeError */
export function parseCheckpoint(text: string): Checkpoint {
  const note = parseNote(text);
  const [origin, size, root, ...rest] = note.text.split("\n");
  if (origin === undefined || origin === "") throw new DecodeError("a checkpoint names its log");
  if (size === undefined || !/^(?:0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) {
    throw new DecodeError("the second line of a checkpoint is a number of records");
  }
  const hash = fromBase64(root ?? "");
  if (hash?.length !== HASH_BYTES) throw new DecodeError("the third line of a checkpoint is a root");
  // Extension lines could say different things to different witnesses.
  if (rest.length !== 1 || rest[0] !== "") throw new DecodeError("a checkpoint has three lines");
  return { origin, size: Number(size), root: hash, note };
}

/** True iff the log's own key signed the checkpoint, in one line: a peer that sends many would have all of them verified. */
export function verifyCheckpoint({ origin, note }: Checkpoint, log: NamedKey): boolean {
  if (origin !== log.name) return false;
  const [own, ...more] = linesOfLog(note, log);
  return own !== undefined && more.length === 0 && log.verifier.verify(utf8(note.text), own.signature);
}

/** Cosigns a checkpoint. @returns the line of the signature. */
export function cosign(
  { note }: Checkpoint,
  { name, signer, seconds }: {
    readonly name: string;
    readonly signer: Ed25519Signer;
    /** POSIX time. */
    readonly seconds: number;
  },
): string {
  const timestamp = u64(BigInt(seconds));
  return formatSignature({
    name,
    keyId: noteKeyId(name, SignatureType.COSIGNATURE, signer.publicKey),
    signature: concat(timestamp, signer.sign(cosignedMessage(note.text, seconds))),
  });
}

/** The newest cosignature of a key; undefined where there is none, or one that does not verify. */
export function verifyCosignature({ note }: Checkpoint, cosigner: NamedKey): Cosigned | undefined {
  const keyId = noteKeyId(cosigner.name, SignatureType.COSIGNATURE, cosigner.verifier.publicKey);
  const times = signaturesBy(note, cosigner.name, keyId).map((line) =>
    cosignedAt(note.text, line, cosigner.verifier)
  );
  // A known key's signature that does not verify spoils the note (signed-note, "Signatures").
  if (times.length === 0 || times.includes(undefined)) return undefined;
  return { name: cosigner.name, timestamp: Math.max(...times as number[]) };
}

/**
 * Whether a line is a cosignature of a checkpoint by this key, and by no other: a line takes the place of an earlier one of its own
 * key, so that a witness that answers with another's name would spoil that other's signature.
 */
export function verifyCosignatureLine(
  { note }: Pick<Checkpoint, "note">,
  line: string,
  cosigner: NamedKey,
): Cosigned | undefined {
  const added = parseSignatureLine(line.replace(/\n$/, ""));
  const keyId = noteKeyId(cosigner.name, SignatureType.COSIGNATURE, cosigner.verifier.publicKey);
  if (added.name !== cosigner.name || !equal(added.keyId, keyId)) return undefined;
  const timestamp = cosignedAt(note.text, added, cosigner.verifier);
  return timestamp === undefined ? undefined : { name: cosigner.name, timestamp };
}

/** Who cosigned a checkpoint, and whose cosignature on it does not verify. */
export function cosignaturesOf(
  checkpoint: Checkpoint,
  cosigners: readonly NamedKey[],
): { readonly cosigned: readonly Cosigned[]; readonly invalid: readonly string[] } {
  const cosigned: Cosigned[] = [];
  const invalid: string[] = [];
  for (const cosigner of cosigners) {
    const keyId = noteKeyId(cosigner.name, SignatureType.COSIGNATURE, cosigner.verifier.publicKey);
    if (signaturesBy(checkpoint.note, cosigner.name, keyId).length === 0) continue;
    const found = verifyCosignature(checkpoint, cosigner);
    if (found === undefined) invalid.push(cosigner.name);
    else cosigned.push(found);
  }
  return { cosigned, invalid };
}

/** A checkpoint with one more line; it takes the place of an earlier line of the same key. @throws DecodeError */
export function withSignature(checkpoint: string, line: string): string {
  const { text, signatures } = parseNote(checkpoint);
  const added = parseSignatureLine(line.replace(/\n$/, ""));
  const others = signatures.filter(({ name, keyId }) =>
    name !== added.name || keyId.toHex() !== added.keyId.toHex()
  );
  return formatNote({ text, signatures: [...others, added] });
}

/** A checkpoint with the log's own signature alone. @throws DecodeError */
export function withoutOthers(checkpoint: string, log: NamedKey): string {
  const note = parseNote(checkpoint);
  return formatNote({ text: note.text, signatures: linesOfLog(note, log) });
}

const COSIGNATURE_BYTES = 8 + 64;
/** 9999-12-31T23:59:59Z. */
const SECONDS_MAX = 253_402_300_799;

function linesOfLog(note: Note, log: NamedKey): readonly NoteSignature[] {
  return signaturesBy(note, log.name, noteKeyId(log.name, SignatureType.ED25519, log.verifier.publicKey));
}

function textOf({ origin, size, root }: TreeHead): string {
  return `${origin}\n${size}\n${root.toBase64()}\n`;
}

function cosignedMessage(text: string, seconds: number): Bytes {
  return utf8(`cosignature/v1\ntime ${seconds}\n${text}`);
}

function cosignedAt(
  text: string,
  { signature }: NoteSignature,
  verifier: Ed25519Verifier,
): number | undefined {
  if (signature.length !== COSIGNATURE_BYTES) return undefined;
  const view = new DataView(signature.buffer, signature.byteOffset);
  const seconds = Number(view.getBigUint64(0));
  // A time that a number cannot hold would not be written again as it was signed, and one after the year 9999 cannot be shown.
  if (seconds > SECONDS_MAX) return undefined;
  return verifier.verify(cosignedMessage(text, seconds), signature.subarray(8)) ? seconds : undefined;
}
