/**
 * Checkpoints in files: the newest one of a log, and the newest one that peers cosigned.
 *
 * @module
 */

import { fromUtf8, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { reasonOf, writeWhole } from "../storage/files.ts";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { NOTE_BYTES_MAX } from "./note.ts";

/** A checkpoint and the text it was read from. */
export interface StoredCheckpoint extends Checkpoint {
  /** The signed note. */
  readonly text: string;
}

/** The newest checkpoint that the party signed. */
export function newestPath(directory: string): string {
  return `${directory}/checkpoint`;
}

/** The newest checkpoint that enough peers cosigned. */
export function cosignedPath(directory: string): string {
  return `${directory}/checkpoint.cosigned`;
}

/** A checkpoint that a peer has of the log, that the party signed, and that is not of what the log is now. */
export function contradictionPath(directory: string, peer: string): string {
  return `${directory}/contradiction.${peer}.checkpoint`;
}

/** All files of {@linkcode contradictionPath}, in order. @throws UsageError AUDIT_UNREADABLE */
export function listContradictions(directory: string): string[] {
  try {
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
    return names.filter((name) => CONTRADICTION.test(name)).sort().map((name) => `${directory}/${name}`);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return [];
    throw new UsageError("AUDIT_UNREADABLE", `cannot read the directory ${directory}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/** Reads a checkpoint; undefined where there is no such file. @throws UsageError AUDIT_UNREADABLE */
export function readCheckpoint(path: string): StoredCheckpoint | undefined {
  let bytes: Uint8Array;
  try {
    if (Deno.statSync(path).size > 4 * NOTE_BYTES_MAX) throw new Error("it is too large for a checkpoint");
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new UsageError("AUDIT_UNREADABLE", `cannot read the checkpoint ${path}: ${reasonOf(cause)}`, {
      cause,
    });
  }
  return checkpointOf(fromUtf8(bytes) ?? "", path);
}

/** Reads the text of a checkpoint. @param what for the message. @throws UsageError AUDIT_UNREADABLE */
export function checkpointOf(text: string, what: string): StoredCheckpoint {
  try {
    return { ...parseCheckpoint(text), text };
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new UsageError("AUDIT_UNREADABLE", `${what} is no checkpoint of a log: ${cause.message}`, {
      cause,
    });
  }
}

/** Writes a checkpoint, durably. @throws UsageError AUDIT_UNWRITABLE */
export function writeCheckpoint(path: string, text: string): void {
  writeWhole(path, utf8(text), { code: "AUDIT_UNWRITABLE" });
}

const CONTRADICTION = /^contradiction\..+\.checkpoint$/;
