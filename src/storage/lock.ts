/**
 * One party is one process (WIRE.md 6): an exclusive lock on a file, held by the operating system, so that it ends with the
 * process whatever happens. Who holds it is written inside, for people.
 *
 * @module
 */

import { z } from "zod";
import { type Bytes, hex, utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { reasonOf, requirePrivateDirectory } from "./files.ts";

/** Who holds a lock. */
export interface LockHolder {
  /** Process id. */
  readonly pid: number;
  /** Random per process, in hexadecimal. */
  readonly bootId: string;
  /** What it was asked to do. */
  readonly command: string;
  /** Where it takes requests of other commands; a node that runs has such an address, a command has none. */
  readonly operator?: string | undefined;
}

/** How {@linkcode lockParty} waits. */
export interface LockOptions {
  /** The party's data directory. */
  readonly directory: string;
  /** For messages. */
  readonly party: string;
  /** Random per process. */
  readonly bootId: Bytes;
  /** What this process was asked to do. */
  readonly command: string;
  /** How long to wait for another process. 0: not at all. */
  readonly timeoutMs: number;
  /**
   * Called when there is somebody to wait for, and again when it is somebody else; undefined where the holder is not known. What
   * it throws ends the wait.
   */
  readonly onWait?: (holder: LockHolder | undefined) => void;
}

/** A held lock. Disposing it lets the next process in. */
export class PartyLock implements Disposable {
  readonly #party: string;
  readonly #holder: LockHolder;
  #file: Deno.FsFile | undefined;

  /** @ignore use {@linkcode lockParty} */
  constructor(file: Deno.FsFile, party: string, holder: LockHolder) {
    this.#file = file;
    this.#party = party;
    this.#holder = holder;
  }

  /** Says where requests of other commands are taken; undefined: nowhere any more. @throws UsageError STORE_UNWRITABLE */
  announce(operator: string | undefined): void {
    if (this.#file !== undefined) writeHolder(this.#file, { ...this.#holder, operator }, this.#party);
  }

  /** Gives the lock back. A second call does nothing. */
  [Symbol.dispose](): void {
    this.#file?.truncateSync(0);
    this.#file?.close();
    this.#file = undefined;
  }
}

const POLL_MS = 50;
const HOLDER = z.strictObject({
  pid: z.int(),
  bootId: z.string(),
  command: z.string(),
  operator: z.string().optional(),
});

/**
 * Takes the lock of a party, before its store or port is opened.
 *
 * @throws UsageError PARTY_BUSY that names the command which holds it; LOOSE_PERMISSIONS; STORE_UNWRITABLE.
 */
export async function lockParty(options: LockOptions): Promise<PartyLock> {
  const { directory, party, command } = options;
  requirePrivateDirectory(directory);
  const path = `${directory}/lock`;
  const file = openLock(path, party);
  try {
    const waitUntil = performance.now() + options.timeoutMs;
    for (let told: string | undefined; !file.tryLockSync(true);) {
      const holder = readHolder(path);
      const who = JSON.stringify(holder ?? {});
      // A record that is being written cannot be read, and says nothing new.
      if (told === undefined || (told !== who && holder !== undefined)) {
        told = who;
        options.onWait?.(holder);
      }
      if (performance.now() >= waitUntil) throw busy(party, readHolder(path));
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const holder = { pid: Deno.pid, bootId: hex(options.bootId), command };
    writeHolder(file, holder, party);
    return new PartyLock(file, party, holder);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Who the lock file says holds it. A leftover of a process that was killed looks the same: only the lock itself counts. */
export function readHolder(path: string): LockHolder | undefined {
  try {
    return HOLDER.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    return undefined;
  }
}

function openLock(path: string, party: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  } catch (cause) {
    const hint = cause instanceof Deno.errors.NotFound ? "; quorate init makes it" : "";
    throw unlockable(party, reasonOf(cause) + hint, cause);
  }
}

/** A disk that has no room for this has none for what the command would store: it ends before it begins. */
function writeHolder(file: Deno.FsFile, holder: LockHolder, party: string): void {
  try {
    file.truncateSync(0);
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(utf8(JSON.stringify(holder)));
  } catch (cause) {
    throw unlockable(party, reasonOf(cause), cause);
  }
}

function unlockable(party: string, reason: string, cause: unknown): UsageError {
  return new UsageError("STORE_UNWRITABLE", `cannot lock the data directory of ${party}: ${reason}`, {
    cause,
    party,
  });
}

function busy(party: string, holder: LockHolder | undefined): UsageError {
  const who = holder === undefined ? "another process" : `"${holder.command}" (process ${holder.pid})`;
  return new UsageError("PARTY_BUSY", `${party} is busy with ${who}: wait for it to end, or stop it`, {
    party,
  });
}
