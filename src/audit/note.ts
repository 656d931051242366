/**
 * Signed notes: text that people and programs can read, with signatures below it.
 *
 * @source C2SP signed-note v1.0.0
 * @module
 */

import { type Bytes, concat, equal, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { sha256 } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";

/** What a signature is of: the byte that goes into the key's id. */
export const SignatureType = {
  /** Ed25519 over the text. */
  ED25519: 1,
  /** Ed25519 over a time and the text (C2SP tlog-cosignature, `cosignature/v1`). */
  COSIGNATURE: 4,
} as const;

/** One of the types of signatures. */
export type SignatureType = typeof SignatureType[keyof typeof SignatureType];

/** One line below the text. */
export interface NoteSignature {
  /** Name of the key. */
  readonly name: string;
  /** First four bytes of the hash of name, type and key. */
  readonly keyId: Bytes;
  /** What the key made. */
  readonly signature: Bytes;
}

/** A text and what stands below it. Nothing in it is checked. */
export interface Note {
  /** Ends with a line end. */
  readonly text: string;
  /** In the order of the lines. */
  readonly signatures: readonly NoteSignature[];
}

/** A note that is larger is not read. */
export const NOTE_BYTES_MAX = 64 * 1024;
/** Signatures below one text. */
export const NOTE_SIGNATURES_MAX = 128;

/** The id of an Ed25519 key under a name: `SHA-256(name ‖ "\n" ‖ type ‖ key)[:4]`. */
export function noteKeyId(name: string, type: SignatureType, publicKey: Uint8Array): Bytes {
  return sha256(utf8(name), new Uint8Array([NEWLINE, type]), publicKey).slice(0, KEY_ID_BYTES);
}

/** Writes a note. */
export function formatNote({ text, signatures }: Note): string {
  invariant(text.endsWith("\n") && isPlain(text), "the text of a note is lines without control characters");
  return `${text}\n${signatures.map(formatSignature).join("")}`;
}

/** Writes one line of a signature. */
export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  invariant(NAME.test(name), "the name of a key has no space and no plus");
  return `${DASH} ${name} ${concat(keyId, signature).toBase64()}\n`;
}

/** Reads a note. @throws DecodeError */
export function parseNote(note: string): Note {
  if (note.length > NOTE_BYTES_MAX) throw new DecodeError("a note is too long");
  if (!isPlain(note)) throw new DecodeError("a note has no control characters");
  const at = note.lastIndexOf("\n\n");
  if (at < 0) throw new DecodeError("a note has an empty line above its signatures");
  const lines = note.slice(at + 2).split("\n");
  if (lines.pop() !== "") throw new DecodeError("a note ends with a line end");
  if (lines.length === 0 || lines.length > NOTE_SIGNATURES_MAX) {
    throw new DecodeError(`a note has 1 to ${NOTE_SIGNATURES_MAX} signatures`);
  }
  return { text: note.slice(0, at + 1), signatures: lines.map(parseSignatureLine) };
}

/** Reads one line of a signature, without its line end. @throws DecodeError */
export function parseSignatureLine(line: string): NoteSignature {
  const [dash, name, base64, ...rest] = line.split(" ");
  if (dash !== DASH || name === undefined || !NAME.test(name) || base64 === undefined || rest.length > 0) {
    throw new DecodeError("a line of a signature is a dash, a name and a signature");
  }
  const bytes = fromBase64(base64);
  if (bytes === undefined || bytes.length <= KEY_ID_BYTES) {
    throw new DecodeError("a signature is base64 of a key's id and what it made");
  }
  return { name, keyId: bytes.slice(0, KEY_ID_BYTES), signature: bytes.slice(KEY_ID_BYTES) };
}

/** The signatures of one key. @param keyId the id, which depends on the type: see {@linkcode noteKeyId}. */
export function signaturesBy(note: Note, name: string, keyId: Uint8Array): readonly NoteSignature[] {
  return note.signatures.filter((signature) => signature.name === name && equal(signature.keyId, keyId));
}

/** Strict base64: undefined for a second spelling of the same bytes. */
export function fromBase64(text: string): Bytes | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text);
    return bytes.toBase64() === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

const DASH = "\u2014";
const NEWLINE = 10;
const KEY_ID_BYTES = 4;
/** Unicode spaces and the plus, which separates the parts of a verifier's key, are in no name. */
const NAME = /^[^\s\u0085+]+$/u;

function isPlain(text: string): boolean {
  // deno-lint-ignore no-control-regex -- these are the characters that a note may not have.
  return text.isWellFormed() && !/[\x00-\x09\x0b-\x1f]/.test(text);
}
