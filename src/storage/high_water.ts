/**
 * The second place (SPEC 2.7): a file beside the database that says how far the database has come, so that a restored old
 * copy is noticed. It also holds the last change itself: a copy that is exactly one change behind, which a crash between
 * the two writes leaves too, is brought forward, so that nothing has to be guessed.
 *
 * The file has two slots that are written in turn and in place, which costs a fraction of replacing it: a write that is cut off
 * leaves the other slot, and a database that has not got further than that. A change that no slot can hold replaces the file.
 *
 * @module
 */

import { type Bytes, concat, copy, EMPTY, equal, u32, utf8 } from "../base/bytes.ts";
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

/** Bytes of a slot. Changes of keys are larger, those of many votes at once are not. Earlier files have smaller slots. */
export const SLOT_BYTES: number = 64 * 1024;
const EARLIER_SLOT_BYTES = 16 * 1024;

const CHANGE_BYTES_MAX = 16 * 1024 * 1024;
const MAC_BYTES = 32;
const LENGTH_BYTES = 4;
/** Before the slots, on a page of its own. A file without it is a single mark. */
const MAGIC = utf8("quorate high-water 2\n");
const HEAD_BYTES = 4096;
const CONTENT = struct({
  generation: U64,
  before: fixed(32),
  after: fixed(32),
  change: bytes(CHANGE_BYTES_MAX),
});

/** The file of one store. */
export class HighWaterFile {
  readonly #path: string;
  readonly #sealer: Sealer;
  /** Bytes of a slot of the file that is there, 0 where it has none; undefined where nobody has looked yet. */
  #slotBytes: number | undefined;
  /** How much of each slot is not zero, at most; undefined where that is not known. */
  #used: [number?, number?] = [];

  /** Touches nothing yet. */
  constructor(path: string, sealer: Sealer) {
    this.#path = path;
    this.#sealer = sealer;
  }

  /**
   * Sets the mark, durably.
   *
   * @param alone nothing of the mark before it stays, which a slot would keep until the next change.
   * @throws UsageError STORE_UNWRITABLE
   */
  write(mark: HighWater, alone: boolean = false): void {
    const content = this.#authenticated(mark);
    const slotBytes = this.#slotBytes ??= isThere(this.#path) ? slotBytesOf(this.#content()) : 0;
    if (alone || content.length > slotBytes - LENGTH_BYTES) return this.#replace(mark, content);
    const index = slotIndex(mark);
    const used = LENGTH_BYTES + content.length;
    // Nothing of a longer mark before it stays.
    const written = slot(content, Math.max(used, this.#used[index] ?? slotBytes));
    this.#used[index] = undefined;
    try {
      using file = Deno.openSync(this.#path, { write: true });
      file.seekSync(HEAD_BYTES + index * slotBytes, Deno.SeekMode.Start);
      writeAll(file, written);
      file.syncDataSync();
      this.#used[index] = used;
    } catch (cause) {
      throw new UsageError("STORE_UNWRITABLE", `cannot write ${this.#path}: ${reasonOf(cause)}`, { cause });
    }
  }

  /**
   * Reads the newest mark.
   *
   * @returns undefined where there is no file.
   * @throws UsageError STORE_CORRUPT where it was damaged or made with another key.
   */
  read(): HighWater | undefined {
    if (!isThere(this.#path)) return undefined;
    requirePrivateFile(this.#path);
    const file = this.#content();
    this.#slotBytes = slotBytesOf(file);
    this.#used = [];
    const marks = (this.#slotBytes === 0 ? [file] : slotsOf(file, this.#slotBytes)).flatMap((content) =>
      this.#mark(content) ?? []
    );
    const newest = marks.toSorted((a, b) => b.generation - a.generation)[0];
    if (newest !== undefined) return newest;
    throw new UsageError(
      "STORE_CORRUPT",
      `the high-water mark ${this.#path} is damaged or belongs to another store: put back the file that belongs to this database`,
    );
  }

  #replace(mark: HighWater, content: Bytes): void {
    const hasSlots = content.length <= SLOT_BYTES - LENGTH_BYTES;
    writeWhole(this.#path, hasSlots ? slotted(mark, content) : content);
    this.#slotBytes = hasSlots ? SLOT_BYTES : 0;
    this.#used = [];
  }

  #authenticated(mark: HighWater): Bytes {
    const content = encode(CONTENT, { ...mark, generation: BigInt(mark.generation) });
    return concat(content, this.#sealer.authenticate(content));
  }

  #content(): Bytes {
    try {
      return Deno.readFileSync(this.#path);
    } catch (cause) {
      throw new UsageError("STORE_CORRUPT", `cannot read ${this.#path}: ${reasonOf(cause)}`, { cause });
    }
  }

  /** The mark in a slot; undefined for a slot that was never written, or half. */
  #mark(authenticated: Bytes): HighWater | undefined {
    const content = authenticated.slice(0, -MAC_BYTES);
    if (
      authenticated.length <= MAC_BYTES ||
      !this.#sealer.isAuthentic(content, authenticated.slice(-MAC_BYTES))
    ) return undefined;
    try {
      const mark = decode(CONTENT, content);
      return { ...mark, generation: Number(mark.generation) };
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  }
}

function slotIndex({ generation }: HighWater): number {
  return generation % 2;
}

/** What is written into a slot, from its beginning. */
function slot(content: Bytes, size: number): Bytes {
  const padded = new Uint8Array(size);
  padded.set(u32(content.length));
  padded.set(content, LENGTH_BYTES);
  return padded;
}

function slotted(mark: HighWater, content: Bytes): Bytes {
  const file = new Uint8Array(HEAD_BYTES + 2 * SLOT_BYTES);
  file.set(MAGIC);
  file.set(slot(content, SLOT_BYTES), HEAD_BYTES + slotIndex(mark) * SLOT_BYTES);
  return file;
}

/** Bytes of a slot of a file; 0 where it is a single mark. */
function slotBytesOf(file: Bytes): number {
  if (!equal(file.slice(0, MAGIC.length), MAGIC)) return 0;
  const sizes = [SLOT_BYTES, EARLIER_SLOT_BYTES];
  return sizes.find((size) => file.length === HEAD_BYTES + 2 * size) ?? 0;
}

/** The contents of both slots, empty for one that says nothing. */
function slotsOf(file: Bytes, slotBytes: number): Bytes[] {
  return [0, 1].map((index) => {
    const at = HEAD_BYTES + index * slotBytes;
    const length = new DataView(file.buffer, file.byteOffset).getUint32(at);
    if (length > slotBytes - LENGTH_BYTES) return EMPTY;
    return copy(file.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length));
  });
}

function writeAll(file: Deno.FsFile, content: Bytes): void {
  for (let at = 0; at < content.length;) at += file.writeSync(content.subarray(at));
}
