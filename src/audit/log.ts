/**
 * A party's audit log: records in files, a Merkle tree over them, and checkpoints that the party signs and peers cosign.
 *
 * One process has it open at a time, the one that holds the party's lock.
 *
 * @module
 */

import { type Bytes, concat, utf8 } from "../base/bytes.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import { invariant, QuorateError, UsageError } from "../base/errors.ts";
import { DIRECTORY_MODE, FILE_MODE, reasonOf, requirePrivateDirectory } from "../storage/files.ts";
import { type NamedKey, signCheckpoint, verifyCheckpoint, withSignature } from "./checkpoint.ts";
import { type AuditEvent, encodeRecord } from "./events.ts";
import { type CompactRange, consistencyProof, inclusionProof, leafHash, rootAt } from "./merkle.ts";
import { OpenSegment } from "./open_segment.ts";
import { LogFault } from "./records.ts";
import { continuationOf } from "./recover.ts";
import { listSegments } from "./segments.ts";
import {
  cosignedPath,
  newestPath,
  readCheckpoint,
  type StoredCheckpoint,
  writeCheckpoint,
} from "./stored_checkpoints.ts";
import { TreeFile } from "./tree_file.ts";

/** How a log is opened. */
export interface AuditLogOptions {
  /** Where it is; made where it is not there. */
  readonly directory: string;
  /** Whose log it is. */
  readonly party: string;
  /** Verifies the party's own checkpoints; its name is the origin of the log. */
  readonly key: NamedKey;
  /** Signs checkpoints. Called when the first one is signed. */
  readonly signer: () => Ed25519Signer;
  /**
   * A file of records that has grown to so many bytes is followed by another one. The last one is read when the log is opened.
   * Default 1 MiB.
   */
  readonly segmentBytes?: number;
  /** How many peers must have cosigned a checkpoint for the log to count as cosigned. Default 1. */
  readonly witnesses?: number;
  /** How long an event may wait for others that are written with it. Default 50. */
  readonly batchMs?: number;
  /** Milliseconds of POSIX time. Default: the system's. */
  readonly now?: () => number;
}

/** How a log stands. */
export interface AuditStatus {
  /** Records on disk. */
  readonly size: number;
  /** Events that wait to be written. */
  readonly waiting: number;
  /** Records under the newest checkpoint. */
  readonly signed: number;
  /** Records under the newest checkpoint that enough peers cosigned. */
  readonly cosigned: number;
  /** Why the last write failed; undefined where it did not. */
  readonly failure: string | undefined;
}

/** An open audit log. */
export class AuditLog implements Disposable {
  /** Where it is. */
  readonly directory: string;
  /** Verifies the log's checkpoints; its name is the log's. */
  readonly key: NamedKey;
  readonly #options: AuditLogOptions;
  readonly #tree: TreeFile;
  readonly #range: CompactRange;
  #segment: OpenSegment;
  #waiting: Waiting[] = [];
  #lost = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #signed: StoredCheckpoint | undefined;
  #cosigned: StoredCheckpoint | undefined;
  #failure: string | undefined;

  private constructor(options: AuditLogOptions, parts: Parts) {
    this.directory = options.directory;
    this.key = options.key;
    this.#options = options;
    this.#tree = parts.tree;
    this.#range = parts.range;
    this.#segment = parts.segment;
    this.#signed = parts.signed;
    this.#cosigned = parts.cosigned;
  }

  /**
   * Opens a log and looks at its end. A last record that a crash left in part is cut off, and that is recorded.
   *
   * @throws UsageError AUDIT_CORRUPT for everything else that is wrong, AUDIT_UNREADABLE, AUDIT_UNWRITABLE or LOOSE_PERMISSIONS
   */
  static open(options: AuditLogOptions): AuditLog {
    const { directory, party, key } = options;
    const tree = writing(directory, () => {
      Deno.mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
      return TreeFile.open(treePath(directory));
    });
    try {
      requirePrivateDirectory(directory);
      const signed = ownCheckpoint(newestPath(directory), key);
      const cosigned = ownCheckpoint(cosignedPath(directory), key);
      const segments = listSegments(directory);
      const heads = [signed, cosigned].filter((head) => head !== undefined);
      const { range, length, torn } = continuationOf({ segments, tree, party, signed: heads });
      const segment = new OpenSegment(directory, segments.at(-1)?.first ?? 0, length);
      const log = new AuditLog(options, { tree, range, segment, signed, cosigned });
      if (torn > 0) log.#cutTorn(torn);
      return log;
    } catch (error) {
      tree[Symbol.dispose]();
      if (!(error instanceof LogFault)) throw error;
      throw new UsageError(
        "AUDIT_CORRUPT",
        `the audit log in ${directory} is not continued: ${error.message}; run audit verify`,
        { party },
      );
    }
  }

  /** Records on disk. */
  get size(): number {
    return this.#range.size;
  }

  /** How the log stands, for metrics and health. */
  status(): AuditStatus {
    return {
      size: this.size,
      waiting: this.#waiting.length,
      signed: this.#signed?.size ?? 0,
      cosigned: this.#cosigned?.size ?? 0,
      failure: this.#failure,
    };
  }

  /**
   * Takes note of something that happened. It is written within a moment, together with what happens then; while nothing can be
   * written it waits, and where too much waits, it is counted that events were lost.
   */
  append(event: AuditEvent): void {
    if (this.#isClosed) return;
    const waiting = this.#admitted(event);
    if (this.#waiting.length >= WAITING_MAX) {
      this.#lost++;
      return;
    }
    this.#waiting.push(waiting);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      try {
        this.flush();
      } catch {
        // The failure is kept; the next commit, or the health check, says it.
      }
    }, this.#options.batchMs ?? 50);
  }

  /**
   * Writes what is about to happen, and returns when it is on disk. This is the guard before a nonce is used: what cannot be
   * recorded is not done.
   *
   * @returns the index of the record.
   * @throws UsageError AUDIT_UNWRITABLE, and then the event is not in the log.
   */
  commit(event: AuditEvent): number {
    invariant(!this.#isClosed, "a log that is closed is not written");
    const intent = this.#admitted(event);
    this.#waiting.push(intent);
    try {
      this.flush();
    } catch (error) {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== intent);
      throw error;
    }
    return this.size - 1;
  }

  /** Writes what waits, and returns when it is on disk. @throws UsageError AUDIT_UNWRITABLE */
  flush(): void {
    const waiting = this.#lost === 0 ? this.#waiting : [...this.#waiting, this.#lossOf(this.#lost)];
    if (waiting.length === 0) return;
    const { party } = this.#options;
    const lines = waiting.map(({ event, time }, i) =>
      utf8(encodeRecord(event, { index: this.size + i, time, party }))
    );
    this.#writing(() => this.#write(lines));
    this.#waiting = [];
    this.#lost = 0;
  }

  /** Whether a record could be written now: tries it with a file beside the log. For health checks. */
  writable(): { readonly ok: true } | { readonly ok: false; readonly reason: string } {
    try {
      this.flush();
      this.#writing(() => probe(this.directory));
      return { ok: true };
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return { ok: false, reason: error.message };
    }
  }

  /** Begins a new file of records with the next one. @throws UsageError AUDIT_UNWRITABLE */
  rotate(): void {
    this.flush();
    this.#writing(() => this.#rotate());
  }

  /**
   * Signs the log as it is now, durably, before anybody sees the signature.
   *
   * @returns the signed note; the last one where nothing was added since; undefined for a log without records.
   * @throws UsageError AUDIT_UNWRITABLE
   */
  checkpoint(): string | undefined {
    this.flush();
    if (this.size === 0) return undefined;
    if (this.#signed?.size !== this.size) {
      this.#writing(() => this.#tree.sync());
      const head = { origin: this.key.name, size: this.size, root: this.#range.root() };
      this.#keepSigned(signCheckpoint(head, this.#options.signer()));
    }
    return this.#signed?.text;
  }

  /** The newest checkpoint, with the cosignatures that it has. */
  get signed(): StoredCheckpoint | undefined {
    return this.#signed;
  }

  /** The newest checkpoint that enough peers cosigned. */
  get cosigned(): StoredCheckpoint | undefined {
    return this.#cosigned;
  }

  /**
   * Adds cosignatures of peers, which the caller has verified, to the checkpoint that they are of. Those that come too late, for an
   * older checkpoint, are not kept.
   *
   * @throws UsageError AUDIT_UNWRITABLE
   */
  addCosignatures(checkpoint: { readonly size: number }, lines: readonly string[]): void {
    if (lines.length === 0 || this.#signed?.size !== checkpoint.size) return;
    const text = lines.reduce(withSignature, this.#signed.text);
    if (text === this.#signed.text) return;
    this.#keepSigned(text);
    const { note } = this.#signed;
    const cosigners = new Set(
      note.signatures.map(({ name }) => name).filter((name) => name !== this.key.name),
    );
    if (cosigners.size < Math.max(1, this.#options.witnesses ?? 1)) return;
    writeCheckpoint(cosignedPath(this.directory), text);
    this.#cosigned = this.#signed;
  }

  /** Proof that a record is in the tree of the first `size` records. */
  inclusionProof(index: number, size: number): Bytes[] {
    return this.#proof(() => inclusionProof(index, size, (...at) => this.#tree.node(...at)));
  }

  /** Proof that the tree of the first `from` records is the beginning of that of the first `to`. */
  consistencyProof(from: number, to: number): Bytes[] {
    return this.#proof(() => consistencyProof(from, to, (...at) => this.#tree.node(...at)));
  }

  /** Root of the tree of the first `size` records. */
  rootAt(size: number): Bytes {
    invariant(size >= 0 && size <= this.size, "the log has so many records");
    return this.#proof(() => rootAt(size, (...at) => this.#tree.node(...at)));
  }

  /** Writes what waits, signs a last checkpoint, and closes the files. @throws UsageError AUDIT_UNWRITABLE */
  close(): void {
    try {
      this.checkpoint();
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Closes the files without writing what waits. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#segment.close();
    this.#tree[Symbol.dispose]();
  }

  /** What cannot be written at all fails here, and not when others wait behind it. */
  #admitted(event: AuditEvent): Waiting {
    const time = this.#now();
    encodeRecord(event, { index: 0, time, party: this.#options.party });
    return { event, time };
  }

  #write(lines: readonly Bytes[]): void {
    if (this.#segment.length >= (this.#options.segmentBytes ?? SEGMENT_BYTES)) this.#rotate();
    this.#segment.append(concat(...lines.flatMap((line) => [line, LINE_END_BYTES])));
    const completed = lines.flatMap((line) => this.#range.append(leafHash(line)));
    try {
      this.#tree.append(completed);
    } catch {
      // The records are on disk; their hashes wait in memory, and are made again from the records when a process starts.
    }
  }

  #rotate(): void {
    if (this.#segment.length === 0) return;
    // When the log is opened again, only the last file is read: the hashes of the others must be there.
    this.#tree.sync();
    this.#segment.close();
    this.#segment = new OpenSegment(this.directory, this.size, 0);
  }

  #cutTorn(bytes: number): void {
    this.commit({ type: "audit_torn_tail", outcome: "ok", details: { code: "AUDIT_TORN_TAIL", bytes } });
  }

  #keepSigned(text: string): void {
    writeCheckpoint(newestPath(this.directory), text);
    this.#signed = readCheckpoint(newestPath(this.directory));
    invariant(this.#signed?.text === text, "a checkpoint that was written is read");
  }

  #lossOf(count: number): Waiting {
    return {
      event: { type: "audit_events_lost", outcome: "failed", details: { count } },
      time: this.#now(),
    };
  }

  #proof<T>(make: () => T): T {
    return this.#writing(() => {
      this.#tree.append([]);
      return make();
    });
  }

  #writing<T>(write: () => T): T {
    try {
      const result = writing(this.directory, write);
      this.#failure = undefined;
      return result;
    } catch (error) {
      this.#failure = reasonOf(error);
      throw error;
    }
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}

/** The file of the tree's hashes. */
export function treePath(directory: string): string {
  return `${directory}/tree`;
}

interface Waiting {
  readonly event: AuditEvent;
  readonly time: number;
}

interface Parts {
  readonly tree: TreeFile;
  readonly range: CompactRange;
  readonly segment: OpenSegment;
  readonly signed: StoredCheckpoint | undefined;
  readonly cosigned: StoredCheckpoint | undefined;
}

const SEGMENT_BYTES = 1024 * 1024;
const WAITING_MAX = 10_000;
const LINE_END_BYTES = new Uint8Array([10]);

function ownCheckpoint(path: string, key: NamedKey): StoredCheckpoint | undefined {
  const checkpoint = readCheckpoint(path);
  if (checkpoint === undefined || verifyCheckpoint(checkpoint, key)) return checkpoint;
  throw new LogFault(0, `the checkpoint in ${path} is not one that the party signed of this log`);
}

function probe(directory: string): void {
  const path = `${directory}/.probe`;
  using file = Deno.openSync(path, { write: true, create: true, truncate: true, mode: FILE_MODE });
  file.writeSync(new Uint8Array(4096));
  file.syncSync();
  Deno.removeSync(path);
}

function writing<T>(directory: string, write: () => T): T {
  try {
    return write();
  } catch (cause) {
    if (cause instanceof QuorateError) throw cause;
    throw new UsageError(
      "AUDIT_UNWRITABLE",
      `the audit log in ${directory} cannot be written (${reasonOf(cause)}): nothing is signed until it can`,
      { cause },
    );
  }
}
