/**
 * Coordination and records in one SQLite file: the embedded default (VOTING 10). Processes may share the file; each call is
 * one transaction that is on disk when it returns.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { type Bytes, copy } from "../base/bytes.ts";
import { InvariantError, QuorateError, TransportError, UsageError } from "../base/errors.ts";
import {
  type Coordination,
  type Entry,
  type Lease,
  type LeaseId,
  type Outcome,
  PAGE,
  prefixEnd,
  requireKey,
  requireValue,
  type Version,
  type WatchEvent,
} from "./coordination.ts";
import { createPrivateFile, isThere, reasonOf } from "./files.ts";
import { type Head, recordGap, type Records, requireConsecutive, requireSame, type Row } from "./records.ts";

/** How a file of stores is opened. */
export interface SqliteStoreOptions {
  /** Made with mode 0600 where it is missing. */
  readonly path: string;
  /** How long a call waits for other processes. Default: 5 s. */
  readonly busyMs?: number;
  /** Changes that are kept for those who watch. Default: 10,000. */
  readonly changesKept?: number;
  /** Time between two looks of a watch. Default: 50 ms. */
  readonly pollMs?: number;
  /** Milliseconds since 1970, for leases. */
  readonly now?: () => number;
}

const SCHEMA = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS entries (
  key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL, lease INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (version INTEGER PRIMARY KEY, key TEXT NOT NULL, deleted INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS leases (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl INTEGER NOT NULL, ends INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS revision (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO revision VALUES (1, 0);
CREATE TABLE IF NOT EXISTS records (
  stream TEXT NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_key ON records (kind, key);
`;

/** A file of both stores. */
export class SqliteStore implements Coordination, Records {
  readonly #database: DatabaseSync;
  readonly #options: Required<SqliteStoreOptions>;
  readonly #statements = new Map<string, StatementSync>();

  private constructor(database: DatabaseSync, options: Required<SqliteStoreOptions>) {
    this.#database = database;
    this.#options = options;
  }

  /** Opens or makes the file. @throws UsageError STORE_CORRUPT or STORE_UNWRITABLE; TransportError STORE_UNAVAILABLE. */
  static open(options: SqliteStoreOptions): SqliteStore {
    const all = { busyMs: 5000, changesKept: 10_000, pollMs: 50, now: Date.now, ...options };
    const { path } = all;
    if (!isThere(path)) createPrivateFile(path);
    const database = guarded(path, () => new DatabaseSync(path));
    try {
      guarded(path, () => database.exec(`PRAGMA busy_timeout = ${all.busyMs};${SCHEMA}`));
    } catch (error) {
      database.close();
      throw error;
    }
    return new SqliteStore(database, all);
  }

  /** See {@linkcode Coordination.get}. */
  get(key: string): Promise<Entry | undefined> {
    return this.#run(() => {
      requireKey(key);
      return this.#entry(key);
    });
  }

  /** See {@linkcode Coordination.list}. */
  list(
    prefix: string,
    after = "",
    limit: number = PAGE,
  ): Promise<{ readonly entries: readonly Entry[]; readonly at: Version }> {
    return this.#run(() => {
      if (prefix !== "") requireKey(prefix);
      const end = prefixEnd(prefix);
      const rows = this.#prepare(
        `SELECT * FROM entries WHERE key >= ? AND key > ? ${
          end === undefined ? "" : "AND key < ?"
        } ORDER BY key LIMIT ?`,
      ).all(...[prefix, after, ...(end === undefined ? [] : [end]), limit]);
      return { entries: rows.map((row) => entryOf(row as unknown as EntryRow)), at: this.#revision() };
    });
  }

  /** See {@linkcode Coordination.create}. */
  create(
    key: string,
    value: Bytes,
    lease?: LeaseId,
  ): Promise<Outcome<{ readonly created: boolean; readonly entry: Entry }>> {
    return this.#run(() => {
      requireKey(key);
      requireValue(value);
      const present = this.#entry(key);
      if (present !== undefined) return done({ created: false, entry: present });
      if (lease !== undefined && !this.#leaseLives(lease)) throw expired(lease);
      return done({ created: true, entry: this.#put(key, value, undefined, lease) });
    });
  }

  /** See {@linkcode Coordination.swap}. */
  swap(
    key: string,
    expected: Version,
    value: Bytes | null,
  ): Promise<Outcome<{ readonly swapped: boolean; readonly entry?: Entry }>> {
    return this.#run(() => {
      requireKey(key);
      if (value !== null) requireValue(value);
      const present = this.#entry(key);
      if (present === undefined) return done({ swapped: false });
      if (present.version !== expected) return done({ swapped: false, entry: present });
      if (value !== null) return done({ swapped: true, entry: this.#put(key, value, present.createdAt) });
      this.#remove(key);
      return done({ swapped: true });
    });
  }

  /** See {@linkcode Coordination.watch}: looks again every few milliseconds. */
  async *watch(prefix: string, from: Version, signal: AbortSignal): AsyncIterable<WatchEvent> {
    let seen = from;
    while (!signal.aborted) {
      const { events, to } = await this.#run(() => this.#changesSince(prefix, seen));
      for (const event of events) {
        if (signal.aborted) return;
        yield event;
        if ("gap" in event) return;
      }
      if (to === seen) await pause(this.#options.pollMs, undefined, { signal }).catch(() => {});
      seen = to;
    }
  }

  /** See {@linkcode Coordination.lease}. */
  async lease(ttlMs: number): Promise<Lease> {
    const id = await this.#run(() => {
      const { lastInsertRowid } = this.#prepare("INSERT INTO leases (ttl, ends) VALUES (?, ?)")
        .run(ttlMs, this.#options.now() + ttlMs);
      return BigInt(lastInsertRowid);
    });
    return {
      id,
      keepAlive: () =>
        this.#run(() => {
          if (!this.#leaseLives(id)) return false;
          this.#prepare("UPDATE leases SET ends = ? + ttl WHERE id = ?").run(this.#options.now(), id);
          return true;
        }),
      [Symbol.asyncDispose]: () => this.#run(() => this.#endLease(id)),
    };
  }

  /** See {@linkcode Records.append}. */
  append(stream: string, rows: readonly Row[]): Promise<Outcome<{ readonly head: bigint }>> {
    return this.#run(() => {
      requireConsecutive(stream, rows);
      const first = rows[0];
      let head = this.#head(stream)?.seq ?? 0n;
      if (first !== undefined && first.seq > head + 1n) throw recordGap(stream, head, first.seq);
      for (const row of rows) {
        if (row.seq <= head) requireSame(this.#rowId(stream, row.seq), row);
        else {
          this.#prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)")
            .run(stream, row.seq, row.id, row.kind, row.key, row.body);
          head = row.seq;
        }
      }
      return done({ head });
    });
  }

  /** See {@linkcode Records.head}. */
  head(stream: string): Promise<Head | undefined> {
    return this.#run(() => this.#head(stream));
  }

  /** See {@linkcode Records.read}. */
  read(stream: string, after: bigint, limit: number): Promise<Row[]> {
    return this.#rows("stream = ? AND seq > ? ORDER BY seq LIMIT ?", stream, after, limit);
  }

  /** See {@linkcode Records.find}. */
  find(kind: string, key: string): Promise<Row[]> {
    return this.#rows("kind = ? AND key = ? ORDER BY stream, seq", kind, key);
  }

  /** Closes the file. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }

  /** One call is one transaction. A failed COMMIT of SQLite leaves nothing, so there is no unknown outcome. */
  #run<T>(work: () => T): Promise<T> {
    return Promise.try(() =>
      guarded(this.#options.path, () => {
        this.#database.exec("BEGIN IMMEDIATE");
        try {
          this.#expire();
          const result = work();
          this.#database.exec("COMMIT");
          return result;
        } catch (error) {
          if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
          throw error;
        }
      })
    );
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #revision(): Version {
    return (this.#prepare("SELECT version FROM revision").get() as { version: bigint }).version;
  }

  #entry(key: string): Entry | undefined {
    const row = this.#prepare("SELECT * FROM entries WHERE key = ?").get(key);
    return row === undefined ? undefined : entryOf(row as unknown as EntryRow);
  }

  #put(key: string, value: Bytes, createdAt: Version | undefined, lease?: LeaseId): Entry {
    const version = this.#change(key, false);
    const created = createdAt ?? version;
    this.#prepare(
      `INSERT INTO entries VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version`,
    ).run(key, value, version, created, lease ?? null);
    return { key, value: copy(value), version, createdAt: created };
  }

  #remove(key: string): void {
    this.#change(key, true);
    this.#prepare("DELETE FROM entries WHERE key = ?").run(key);
  }

  #change(key: string, deleted: boolean): Version {
    const version = this.#revision() + 1n;
    this.#prepare("UPDATE revision SET version = ?").run(version);
    this.#prepare("INSERT INTO changes VALUES (?, ?, ?)").run(version, key, deleted ? 1 : 0);
    this.#prepare("DELETE FROM changes WHERE version <= ?")
      .run(version - BigInt(this.#options.changesKept));
    return version;
  }

  #changesSince(prefix: string, seen: Version): { events: WatchEvent[]; to: Version } {
    const oldest = this.#prepare("SELECT MIN(version) AS version FROM changes").get() as {
      version: bigint | null;
    };
    const now = this.#revision();
    const kept = seen === now || (seen < now && oldest.version !== null && oldest.version <= seen + 1n);
    if (!kept) return { events: [{ gap: true }], to: seen };
    const changes = this.#prepare("SELECT * FROM changes WHERE version > ? ORDER BY version LIMIT ?")
      .all(seen, PAGE) as unknown as ChangeRow[];
    const events = changes.filter(({ key }) => key.startsWith(prefix)).map((change) => this.#event(change));
    return { events: events.filter((event) => event !== undefined), to: changes.at(-1)?.version ?? seen };
  }

  /** What a change means now: nothing where a later one replaced it. */
  #event({ version, key, deleted }: ChangeRow): WatchEvent | undefined {
    if (deleted === 1n) return { key, deleted: true, version };
    const entry = this.#entry(key);
    return entry?.version === version ? entry : undefined;
  }

  #leaseLives(id: LeaseId): boolean {
    return this.#prepare("SELECT 1 FROM leases WHERE id = ?").get(id) !== undefined;
  }

  #endLease(id: LeaseId): void {
    const keys = this.#prepare("SELECT key FROM entries WHERE lease = ?").all(id) as {
      key: string;
    }[];
    for (const { key } of keys) this.#remove(key);
    this.#prepare("DELETE FROM leases WHERE id = ?").run(id);
  }

  #expire(): void {
    const ended = this.#prepare("SELECT id FROM leases WHERE ends <= ?").all(this.#options.now());
    for (const { id } of ended as { id: bigint }[]) this.#endLease(id);
  }

  #head(stream: string): Head | undefined {
    const row = this.#prepare("SELECT seq, id FROM records WHERE stream = ? ORDER BY seq DESC LIMIT 1")
      .get(stream) as { seq: bigint; id: Uint8Array } | undefined;
    return row === undefined ? undefined : { seq: row.seq, id: copy(row.id) };
  }

  #rowId(stream: string, seq: bigint): Bytes | undefined {
    const row = this.#prepare("SELECT id FROM records WHERE stream = ? AND seq = ?").get(stream, seq);
    return row === undefined ? undefined : copy((row as { id: Uint8Array }).id);
  }

  #rows(where: string, ...values: (string | bigint | number)[]): Promise<Row[]> {
    return this.#run(() =>
      this.#prepare(`SELECT * FROM records WHERE ${where}`).all(...values).map((stored) => {
        const row = stored as unknown as Row;
        return { ...row, id: copy(row.id), body: copy(row.body) };
      })
    );
  }
}

interface EntryRow {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: bigint;
  readonly created: bigint;
}

interface ChangeRow {
  readonly version: bigint;
  readonly key: string;
  readonly deleted: bigint;
}

function entryOf({ key, value, version, created }: EntryRow): Entry {
  return { key, value: copy(value), version, createdAt: created };
}

function done<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

function expired(lease: LeaseId): TransportError {
  return new TransportError("STORE_UNAVAILABLE", `the lease ${lease} has expired: ask for another one`);
}

function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof QuorateError) throw cause;
    throw failure(path, reasonOf(cause), cause);
  }
}

function failure(path: string, reason: string, cause: unknown): QuorateError {
  if (/locked|busy/i.test(reason)) {
    return new TransportError("STORE_UNAVAILABLE", `${path} is in use by another process: try again`, {
      cause,
    });
  }
  if (/not open|closed/i.test(reason)) return new InvariantError(`${path} was closed`);
  return /not a database|malformed|no such (table|column)/i.test(reason)
    ? new UsageError("STORE_CORRUPT", `${path} is damaged: ${reason}`, { cause })
    : new UsageError("STORE_UNWRITABLE", `cannot use ${path}: ${reason}`, { cause });
}
