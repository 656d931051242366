/**
 * Proofs that one record is in a party's log, which anybody can check with the party's public key alone.
 *
 * @source C2SP tlog-proof; its extra data is the record.
 * @module
 */

import { type Bytes, fromHex, fromUtf8, hex, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import type { JsonObject } from "./canonical.ts";
import { type Checkpoint, type NamedKey, parseCheckpoint, verifyCheckpoint } from "./checkpoint.ts";
import { type AuditRecord, decodeRecord } from "./events.ts";
import { HASH_BYTES, inclusionProof, leafHash, PROOF_HASHES_MAX, verifyInclusion } from "./merkle.ts";
import { fromBase64, NOTE_BYTES_MAX } from "./note.ts";
import { LogFault, readRecords } from "./records.ts";
import { listSegments } from "./segments.ts";
import { cosignedPath, newestPath, readCheckpoint, type StoredCheckpoint } from "./stored_checkpoints.ts";
import { TreeFile } from "./tree_file.ts";

/** A record, and what shows that it is in a log. */
export interface AuditProof {
  /** Its place. */
  readonly index: number;
  /** Its line. */
  readonly line: Bytes;
  /** Siblings, from the leaf upwards. */
  readonly hashes: readonly Bytes[];
  /** The signed note. */
  readonly checkpoint: string;
}

/** A proof that was checked. */
export interface ProvedRecord {
  /** The record. */
  readonly record: AuditRecord;
  /** The checkpoint that it is under. */
  readonly checkpoint: Checkpoint;
}

/**
 * Proves a record, under the checkpoint that peers cosigned if it covers it.
 *
 * @throws UsageError USAGE for a record that no checkpoint covers, AUDIT_UNREADABLE or AUDIT_CORRUPT
 */
export function proveRecord(
  { directory, party, index }: {
    readonly directory: string;
    readonly party: string;
    readonly index: number;
  },
): AuditProof {
  const checkpoint = coveringCheckpoint(directory, index);
  using tree = treeOf(directory, checkpoint.size);
  const hashes = inclusionProof(index, checkpoint.size, (level, place) => tree.node(level, place));
  const line = lineAt(directory, party, index);
  const { size, root, text } = checkpoint;
  if (!verifyInclusion({ index, size, leaf: leafHash(line), proof: hashes, root })) {
    throw new UsageError(
      "AUDIT_CORRUPT",
      `record ${index} or a hash of the log is not the one that was signed: run audit verify`,
      { party },
    );
  }
  return { index, line, hashes, checkpoint: text };
}

/** Writes a proof as text. */
export function formatProof({ index, line, hashes, checkpoint }: AuditProof): string {
  const lines = hashes.map((hash) => `${hash.toBase64()}\n`).join("");
  return `${HEADER}\nextra ${line.toBase64()}\nindex ${index}\n${lines}\n${checkpoint}`;
}

/** A proof as JSON. */
export function proofToJson({ index, line, hashes, checkpoint }: AuditProof): JsonObject {
  return { index, record: fromUtf8(line) ?? "", hashes: hashes.map(hex), checkpoint };
}

/** Reads a proof in either form. @throws UsageError AUDIT_PROOF_INVALID */
export function parseProof(text: string, what: string): AuditProof {
  try {
    if (text.length > PROOF_TEXT_MAX) throw new DecodeError("it is too long");
    return text.startsWith("{") ? fromJson(text) : fromText(text);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new UsageError("AUDIT_PROOF_INVALID", `${what} is no proof of a record: ${cause.message}`, {
      cause,
    });
  }
}

/**
 * Checks a proof with nothing but the log's public key.
 *
 * @throws UsageError AUDIT_PROOF_INVALID
 */
export function checkProof(proof: AuditProof, logOf: (origin: string) => NamedKey | undefined): ProvedRecord {
  const refuse = (why: string, cause?: unknown) =>
    new UsageError("AUDIT_PROOF_INVALID", `the proof does not hold: ${why}`, { cause });
  let proved: ProvedRecord;
  try {
    proved = { record: decodeRecord(proof.line), checkpoint: parseCheckpoint(proof.checkpoint) };
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw refuse(cause.message, cause);
  }
  const { record, checkpoint } = proved;
  const { size, root, origin } = checkpoint;
  const log = logOf(origin);
  if (log === undefined) throw refuse(`the checkpoint is of a log that nobody here keeps: ${origin}`);
  if (!verifyCheckpoint(checkpoint, log)) throw refuse("the checkpoint is not signed by the log's key");
  if (record.index !== proof.index) throw refuse(`the record says that its index is ${record.index}`);
  const leaf = leafHash(proof.line);
  if (!verifyInclusion({ index: proof.index, size, leaf, proof: proof.hashes, root })) {
    throw refuse("the hashes do not lead from the record to the signed root");
  }
  return proved;
}

const HEADER = "c2sp.org/tlog-proof@v1";
const PROOF_TEXT_MAX = 512 * 1024 + NOTE_BYTES_MAX;

function coveringCheckpoint(directory: string, index: number): StoredCheckpoint {
  const checkpoints = [cosignedPath(directory), newestPath(directory)].map(readCheckpoint);
  const covering = checkpoints.find((checkpoint) => checkpoint !== undefined && checkpoint.size > index);
  if (covering !== undefined) return covering;
  const size = Math.max(0, ...checkpoints.map((checkpoint) => checkpoint?.size ?? 0));
  throw new UsageError(
    "USAGE",
    `no checkpoint covers record ${index}: the newest one covers ${size} records, from 0 on`,
  );
}

function treeOf(directory: string, size: number): TreeFile {
  try {
    const tree = TreeFile.read(`${directory}/tree`);
    if (tree.leaves >= size) return tree;
    tree[Symbol.dispose]();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
  throw new UsageError(
    "AUDIT_UNREADABLE",
    `hashes are missing in ${directory}/tree: they are made again when the party's next command runs`,
  );
}

function lineAt(directory: string, party: string, index: number): Bytes {
  const segment = listSegments(directory).findLast(({ first }) => first <= index);
  try {
    for (const { record, line } of readRecords(segment === undefined ? [] : [segment], party)) {
      if (record.index === index) return line;
    }
  } catch (error) {
    if (!(error instanceof LogFault)) throw error;
    throw new UsageError("AUDIT_CORRUPT", `${error.message}: run audit verify`, { party });
  }
  throw new UsageError("AUDIT_CORRUPT", `record ${index} is missing: run audit verify`, { party });
}

function fromText(text: string): AuditProof {
  const [header, extra, index, ...rest] = text.split("\n");
  if (header !== HEADER) throw new DecodeError(`the first line is not ${HEADER}`);
  const line = extra?.startsWith("extra ") ? fromBase64(extra.slice(6)) : undefined;
  if (line === undefined) throw new DecodeError("the second line is not the record");
  const place = /^index (0|[1-9]\d{0,15})$/.exec(index ?? "")?.[1];
  if (place === undefined) throw new DecodeError("the third line is not the index");
  const end = rest.indexOf("");
  // The last line end gives an empty line too, with nothing behind it.
  if (end < 0 || end === rest.length - 1) throw new DecodeError("there is no checkpoint");
  const hashes = rest.slice(0, end).map((hash) => hashOf(fromBase64(hash)));
  return checked({ index: Number(place), line, hashes, checkpoint: rest.slice(end + 1).join("\n") });
}

function fromJson(text: string): AuditProof {
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(text);
  } catch {
    throw new DecodeError("it is not JSON");
  }
  const { index, record, hashes, checkpoint } = value;
  if (typeof index !== "number" || typeof record !== "string" || typeof checkpoint !== "string") {
    throw new DecodeError("index, record or checkpoint is missing");
  }
  if (!Array.isArray(hashes)) throw new DecodeError("hashes are missing");
  return checked({
    index,
    line: utf8(record),
    hashes: hashes.map((hash) => hashOf(fromHex(String(hash)))),
    checkpoint,
  });
}

function checked(proof: AuditProof): AuditProof {
  if (!Number.isSafeInteger(proof.index)) throw new DecodeError("the index is below 2^53");
  if (proof.hashes.length > PROOF_HASHES_MAX) throw new DecodeError("there are too many hashes");
  return proof;
}

function hashOf(hash: Bytes | undefined): Bytes {
  if (hash?.length === HASH_BYTES) return hash;
  throw new DecodeError(`a hash has ${HASH_BYTES} bytes`);
}
