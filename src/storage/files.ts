/**
 * Files and directories that hold secrets: their permissions, and writing them whole or not at all.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { type Code, UsageError } from "../base/errors.ts";

/** Permission bits of a secret file. */
export const FILE_MODE = 0o600;
/** Permission bits of a directory of secrets. */
export const DIRECTORY_MODE = 0o700;

/** Refuses a file that the group or others can reach. @throws UsageError LOOSE_PERMISSIONS */
export function requirePrivateFile(path: string): void {
  requireMode(path, FILE_MODE);
}

/** Refuses a directory that the group or others can reach. @throws UsageError LOOSE_PERMISSIONS */
export function requirePrivateDirectory(path: string): void {
  requireMode(path, DIRECTORY_MODE);
}

/**
 * Reads a file that only its owner may read.
 *
 * @param what for the message: "the sealing key of alice".
 * @param sizeMax in bytes; a larger file is refused before it is read.
 * @throws UsageError LOOSE_PERMISSIONS or IDENTITY_INVALID
 */
export function readSecretFile(path: string, what: string, sizeMax: number): Bytes {
  const info = statOf(path);
  if (info === undefined || !info.isFile) {
    throw new UsageError("IDENTITY_INVALID", `${what} is missing: there is no file ${path}`);
  }
  requirePrivateFile(path);
  if (info.size > sizeMax) {
    throw new UsageError(
      "IDENTITY_INVALID",
      `${what} in ${path} has ${info.size} bytes, where at most ${sizeMax} are expected`,
    );
  }
  try {
    return Deno.readFileSync(path);
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", `${what} cannot be read from ${path}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/** How {@linkcode writeWhole} writes. */
export interface WriteOptions {
  /** Permission bits of the new file. Default 0600. */
  readonly mode?: number;
  /** The code of the error when it fails. Default STORE_UNWRITABLE. */
  readonly code?: Code;
  /** Several processes may write this file at once: each takes a temporary file of its own. */
  readonly shared?: boolean;
}

/**
 * Writes a file so that a reader, and a crash at any moment, finds the old content or the new one and never a part: a
 * temporary file beside it, fsync, rename, fsync of the directory.
 *
 * @throws UsageError
 */
export function writeWhole(path: string, content: Uint8Array, options: WriteOptions = {}): void {
  const temporary = options.shared === true ? `${path}.${Deno.pid}.tmp` : `${path}.tmp`;
  try {
    writeAndSync(temporary, content, options.mode ?? FILE_MODE);
    Deno.renameSync(temporary, path);
    syncDirectory(directoryOf(path));
  } catch (cause) {
    removeQuietly(temporary);
    throw new UsageError(options.code ?? "STORE_UNWRITABLE", `cannot write ${path}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/**
 * Writes a file that was not there, whole or not at all.
 *
 * @throws UsageError FILE_EXISTS, with nothing changed; or as {@linkcode writeWhole}.
 */
export function writeNew(
  path: string,
  content: Uint8Array,
  { mode = FILE_MODE, code = "STORE_UNWRITABLE" }: Pick<WriteOptions, "mode" | "code"> = {},
): void {
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    writeAndSync(temporary, content, mode);
    // Unlike a rename, a link is refused where something is there.
    Deno.linkSync(temporary, path);
    syncDirectory(directoryOf(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) {
      throw new UsageError("FILE_EXISTS", `${path} is there already`, { cause });
    }
    throw new UsageError(code, `cannot write ${path}: ${reasonOf(cause)}`, { cause });
  } finally {
    removeQuietly(temporary);
  }
}

/** Makes an empty file for the owner alone. @throws UsageError STORE_UNWRITABLE */
export function createPrivateFile(path: string): void {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: FILE_MODE }).close();
    syncDirectory(directoryOf(path));
  } catch (cause) {
    throw new UsageError("STORE_UNWRITABLE", `cannot write ${path}: ${reasonOf(cause)}`, { cause });
  }
}

/** True iff something is there under that name. */
export function isThere(path: string): boolean {
  return statOf(path) !== undefined;
}

/** What the operating system said, on one line, without the number and the call that the runtime adds to it. */
export function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/\s+/g, " ").replace(/ \(os error \d+\).*$/, "").slice(0, 200);
}

/** The directory that a path is in. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, Math.max(slash, 1));
}

/** Makes a rename or a new name in the directory survive a crash. */
export function syncDirectory(path: string): void {
  using directory = Deno.openSync(path, { read: true });
  directory.syncSync();
}

function writeAndSync(path: string, content: Uint8Array, mode: number): void {
  // A leftover of a crash keeps its own permissions when it is opened again: it goes first.
  removeQuietly(path);
  using file = Deno.openSync(path, { write: true, createNew: true, mode });
  for (let at = 0; at < content.length;) at += file.writeSync(content.subarray(at));
  file.syncSync();
}

function requireMode(path: string, mode: number): void {
  const found = statOf(path)?.mode;
  // Windows has no mode bits; there the directory's access list is the operator's business.
  if (found === undefined || found === null) return;
  const bits = found & 0o777;
  if ((bits & ~mode) === 0) return;
  throw new UsageError(
    "LOOSE_PERMISSIONS",
    `${path} has permissions ${octal(bits)} and others could reach it: run chmod ${octal(mode)} ${path}`,
  );
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    throw new UsageError("FILE_UNREADABLE", `cannot look at ${path}: ${reasonOf(cause)}`, { cause });
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not there, or what follows fails with the reason.
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
