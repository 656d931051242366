/**
 * The second place (SPEC 2.7): a file beside the database that says how far the database has come, so that a restored old
 * copy is noticed. It also holds the last change itself: a copy that is exactly one change behind, which a crash between
 * the two writes leaves too, is brought forward, so that nothing has to be guessed.
 *
 * @module
 */

import { type Bytes, concat } from "../base/bytes.ts";
import { bytes, decode, DecodeError, encode, fixed, struct, U64 } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { isThere, reasonOf, requirePrivateFile, writeWhole } from "./files.ts";
import type { Sealer } from "./sealing.ts";

/** What the file says. */
export interface HighWater {
  /** Generation of the database, one more with every change. */
  readonly generation: number;
  /** Tag of the state before the last change. */
  readonly before: Bytes;
  /** Tag of the state after it. */
  readonly after: Bytes;
  /** The change itself. Its secrets are sealed. */
  readonly change: Bytes;
}

const CHANGE_BYTES_MAX = 16 * 1024 * 1024;
const MAC_BYTES = 32;
const CONTENT = struct({
  generation: U64,
  before: fixed(32),
  after: fixed(32),
  change: bytes(CHANGE_BYTES_MAX),
});

/** Replaces the file, durably. @throws UsageError STORE_UNWRITABLE */
export function writeHighWater(path: string, sealer: Sealer, mark: HighWater): void {
  const content = encode(CONTENT, { ...mark, generation: BigInt(mark.generation) });
  writeWhole(path, concat(content, sealer.authenticate(content)));
}

/**
 * Reads the file.
 *
 * @returns undefined where there is none.
 * @throws UsageError STORE_CORRUPT where it was damaged or made with another key.
 */
export function readHighWater(path: string, sealer: Sealer): HighWater | undefined {
  if (!isThere(path)) return undefined;
  requirePrivateFile(path);
  try {
    const file = Deno.readFileSync(path);
    const content = file.slice(0, -MAC_BYTES);
    if (file.length > MAC_BYTES && sealer.isAuthentic(content, file.slice(-MAC_BYTES))) {
      const mark = decode(CONTENT, content);
      return { ...mark, generation: Number(mark.generation) };
    }
  } catch (cause) {
    if (!(cause instanceof DecodeError)) {
      throw new UsageError("STORE_CORRUPT", `cannot read ${path}: ${reasonOf(cause)}`, { cause });
    }
  }
  throw new UsageError(
    "STORE_CORRUPT",
    `the high-water mark ${path} is damaged or belongs to another store: put back the file that belongs to this database`,
  );
}
