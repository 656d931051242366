/**
 * A party's SQLite file with two promises that SQLite does not make: a row that was edited, deleted or taken from another
 * copy is noticed when the file is opened, and so is a whole older copy (high_water.ts).
 *
 * Every row counts in one authenticated sum, so that a change costs the rows it touches and not the whole file.
 *
 * @module
 */

import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { type Bytes, copy, equal, u64, utf8 } from "../base/bytes.ts";
import { BOOL, type Codec, decode, DecodeError, encode, list, U8 } from "../base/codec.ts";
import { invariant, QuorateError, UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import {
  createPrivateFile,
  isThere,
  reasonOf,
  requirePrivateDirectory,
  requirePrivateFile,
} from "./files.ts";
import { type HighWater, HighWaterFile } from "./high_water.ts";
import {
  newSealingParameters,
  Sealer,
  type SealingParameters,
  type SealingSource,
  type SealOwner,
} from "./sealing.ts";
import { createStatement, keyOf, rowCodec, SCHEMA_VERSION, type Table, TABLES } from "./tables.ts";

/** What opens a store. */
export interface LedgerOptions {
  /** The party's data directory: 0700, made by `quorate init`. */
  readonly directory: string;
  /** Whose store it is. */
  readonly owner: SealOwner;
  /** Where the keys come from. */
  readonly sealing: SealingSource;
  /** Salts and nonces. */
  readonly rng: Rng;
  /** Cost of a new store's passphrase, as log2 of scrypt's N. */
  readonly scryptLogN?: number;
}

/** Which of many rows are meant, in the order of their keys. */
export interface Page {
  /** Only rows whose last key column is above this. */
  readonly above?: number;
  /** At most so many. */
  readonly limit?: number;
  /** From the end. */
  readonly last?: boolean;
}

/** Reads and changes within one transaction. */
export interface Transaction {
  /** Rows whose columns have the given values, in the order of their keys. */
  find<R extends object>(table: Table<R>, where: Partial<R>, page?: Page): R[];
  /** Writes a row in the place of the one with the same key. */
  put<R extends object>(table: Table<R>, row: R): void;
  /** Removes a row that is there. */
  remove<R extends object>(table: Table<R>, row: R): void;
}

/** A party's SQLite file. One process has it open at a time (lock.ts). */
export class Ledger implements Disposable {
  readonly #database: DatabaseSync;
  readonly #highWater: HighWaterFile;
  readonly #highWaterPath: string;
  readonly #sealer: Sealer;
  #state: State;
  /** Set when a write failed half-way: the next one looks at the file and the database first. */
  #uncertain = false;

  private constructor(database: DatabaseSync, highWater: string, sealer: Sealer, state: State) {
    this.#database = database;
    this.#highWaterPath = highWater;
    this.#highWater = new HighWaterFile(highWater, sealer);
    this.#sealer = sealer;
    this.#state = state;
  }

  /**
   * Opens the store, or makes it where there is none, and checks all of it.
   *
   * @throws UsageError LOOSE_PERMISSIONS, STORE_CORRUPT, SHARE_ROLLBACK, STORE_UNWRITABLE or IDENTITY_INVALID
   */
  static open(options: LedgerOptions): Ledger {
    const database = `${options.directory}/quorate.sqlite`;
    const highWater = `${options.directory}/high-water`;
    requirePrivateDirectory(options.directory);
    refuseLostDatabase(database, highWater);
    if (!isThere(database)) createPrivateFile(database);
    for (const suffix of ["", "-wal", "-shm"]) requirePrivateFile(database + suffix);

    const handle = guarded(database, () => new DatabaseSync(database));
    try {
      const { sealer, tag, generation } = guarded(database, () => prepare(handle, database, options));
      const state = { generation, sum: sumOfRows(handle, sealer) };
      if (!equal(tagOf(state, sealer), tag)) throw doesNotAuthenticate(database);
      const ledger = new Ledger(handle, highWater, sealer, state);
      ledger.#compareWithHighWater();
      return ledger;
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  /** Seals secrets of rows. */
  get sealer(): Sealer {
    return this.#sealer;
  }

  /**
   * Runs `work` and makes its changes durable, all or none.
   *
   * @param erases whether rows are replaced that held secrets: nothing of earlier changes is left beside the database then.
   * @throws UsageError STORE_UNWRITABLE; and whatever `work` throws, with nothing changed.
   */
  transact<T>(work: (transaction: Transaction) => T, erases: boolean = false): T {
    if (this.#uncertain) this.#settle();
    return this.#commit(work, erases);
  }

  /** Rows whose columns have the given values, in the order of their keys. */
  find<R extends object>(table: Table<R>, where: Partial<R>, page?: Page): R[] {
    return select(this.#database, table, where, page);
  }

  /** Has the log of earlier changes overwritten too, where erased rows would stay until the file is closed. */
  overwriteErased(): void {
    guarded("the store", () => this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)"));
  }

  /** Closes the file and erases the keys. */
  [Symbol.dispose](): void {
    this.#sealer[Symbol.dispose]();
    this.#database.close();
  }

  #commit<T>(work: (transaction: Transaction) => T, erases: boolean): T {
    const before = this.#state;
    const run = new Run(this.#database, this.#sealer, before.sum);
    guarded("the store", () => this.#database.exec("BEGIN IMMEDIATE"));
    let ended = false;
    try {
      const result = work(run);
      if (run.changes.length === 0) return result;
      const after = { generation: before.generation + 1, sum: run.sum };
      writeState(this.#database, after, this.#sealer);
      // The file comes first: a database without it would be a database that could be taken back unnoticed.
      this.#uncertain = true;
      this.#highWater.write({
        generation: after.generation,
        before: tagOf(before, this.#sealer),
        after: tagOf(after, this.#sealer),
        change: encode(CHANGES, run.changes),
      }, erases);
      guarded("the store", () => this.#database.exec("COMMIT"));
      ended = true;
      this.#uncertain = false;
      this.#state = after;
      return result;
    } finally {
      if (!ended) rollBack(this.#database);
    }
  }

  /** After a failed write: what was committed is read again, and a change that only the file has is carried out. */
  #settle(): void {
    const meta = readMeta(this.#database, "the store");
    this.#state = { generation: meta.generation, sum: sumOfRows(this.#database, this.#sealer) };
    if (!equal(tagOf(this.#state, this.#sealer), meta.tag)) throw doesNotAuthenticate("the store");
    this.#compareWithHighWater();
    this.#uncertain = false;
  }

  #compareWithHighWater(): void {
    const mark = this.#highWater.read();
    const { generation } = this.#state;
    const tag = tagOf(this.#state, this.#sealer);
    if (mark === undefined) {
      // An empty store is complete before its file exists, and has nothing that could be taken back.
      if (generation === 0) return this.#writeFirstMark(tag);
      throw rolledBack(`its high-water mark ${this.#highWaterPath} is gone`);
    }
    if (mark.generation === generation && equal(mark.after, tag)) return;
    if (mark.generation === generation + 1 && equal(mark.before, tag)) return this.#carryOut(mark);
    throw rolledBack(
      mark.generation > generation
        ? `it is at change ${generation}, and ${this.#highWaterPath} has seen change ${mark.generation}`
        : `it is not the one that ${this.#highWaterPath} belongs to`,
    );
  }

  #writeFirstMark(tag: Bytes): void {
    this.#highWater.write({
      generation: 0,
      before: tag,
      after: tag,
      change: encode(CHANGES, []),
    });
  }

  #carryOut(mark: HighWater): void {
    this.#commit((transaction) => {
      for (const { remove, table, row } of decodeStored(CHANGES, mark.change)) {
        if (remove) transaction.remove(tableAt(table), row);
        else transaction.put(tableAt(table), row);
      }
    }, true);
    invariant(
      equal(tagOf(this.#state, this.#sealer), mark.after),
      "a change that was carried out again gave another state",
    );
  }
}

/** Where the database is: its generation, and the authenticated sum of its rows, which never leaves the process. */
interface State {
  readonly generation: number;
  readonly sum: Bytes;
}

interface Meta {
  readonly parameters: SealingParameters;
  readonly generation: number;
  readonly tag: Bytes;
}

interface Change {
  readonly remove: boolean;
  readonly table: number;
  readonly row: object;
}

const CHANGES: Codec<readonly Change[]> = list({
  sizeMax: 2 + 3 * 1024 * 1024,
  write(out, { remove, table, row }) {
    BOOL.write(out, remove);
    U8.write(out, table);
    rowCodec(tableAt(table)).write(out, row);
  },
  read(input) {
    const remove = BOOL.read(input);
    const table = U8.read(input);
    return { remove, table, row: rowCodec(tableAt(table)).read(input) };
  },
}, 1024);

function tableAt(place: number): Table<object> {
  const table = TABLES[place];
  if (table === undefined) throw new DecodeError(`there is no table ${place}`);
  return table;
}

/** One transaction's changes and the sum that they lead to. */
class Run implements Transaction {
  readonly changes: Change[] = [];
  readonly sum: Bytes;
  readonly #database: DatabaseSync;
  readonly #sealer: Sealer;

  constructor(database: DatabaseSync, sealer: Sealer, sum: Bytes) {
    this.#database = database;
    this.#sealer = sealer;
    this.sum = copy(sum);
  }

  find<R extends object>(table: Table<R>, where: Partial<R>, page?: Page): R[] {
    return select(this.#database, table, where, page);
  }

  put<R extends object>(table: Table<R>, row: R): void {
    this.#change(table, row, false);
  }

  remove<R extends object>(table: Table<R>, row: R): void {
    this.#change(table, row, true);
  }

  #change<R extends object>(table: Table<R>, row: R, remove: boolean): void {
    const key = Object.fromEntries(keyOf(table).map((name) => [name, row[name]])) as Partial<R>;
    const [former] = this.find(table, key);
    if (former !== undefined) addTo(this.sum, memberOf(table, former, this.#sealer));
    if (!remove) addTo(this.sum, memberOf(table, row, this.#sealer));
    if (remove) deleteRow(this.#database, table, key);
    else replaceRow(this.#database, table, row);
    this.changes.push({ remove, table: TABLES.indexOf(table), row });
  }
}

function refuseLostDatabase(database: string, highWater: string): void {
  if (!isThere(highWater)) return;
  if (!isThere(database)) throw rolledBack(`${database} is gone, and ${highWater} is there`);
  // The database would take an empty file for a new one, and fill it.
  if (Deno.statSync(database).size === 0) throw rolledBack(`${database} is empty, and ${highWater} is there`);
}

/** Makes the tables of an empty file, or checks that they are ones that this program knows. */
function prepare(
  handle: DatabaseSync,
  path: string,
  options: LedgerOptions,
): { sealer: Sealer } & Omit<Meta, "parameters"> {
  const { owner, sealing, rng } = options;
  // Erased rows are overwritten, and a schema from elsewhere runs no code.
  handle.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF",
  );
  const version = Number(handle.prepare("PRAGMA user_version").get()?.user_version);
  if (version >= 1 && version <= SCHEMA_VERSION) {
    if (version < SCHEMA_VERSION) addTables(handle);
    const { parameters, generation, tag } = readMeta(handle, path);
    return { sealer: new Sealer(sealing, parameters, owner, rng), generation, tag };
  }
  if (version !== 0) {
    throw new UsageError(
      "STORE_CORRUPT",
      `${path} has format ${version}, and this program knows format ${SCHEMA_VERSION}: use the version that wrote it`,
    );
  }
  const parameters = newSealingParameters(sealing.kind, rng, options.scryptLogN);
  const sealer = new Sealer(sealing, parameters, owner, rng);
  const tag = tagOf({ generation: 0, sum: new Uint8Array(32) }, sealer);
  handle.exec("BEGIN IMMEDIATE");
  for (const table of TABLES) handle.exec(createStatement(table));
  handle.exec(
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), sealing TEXT NOT NULL, salt BLOB NOT NULL, " +
      "scryptLogN INTEGER NOT NULL, generation INTEGER NOT NULL, tag BLOB NOT NULL) STRICT",
  );
  handle.prepare("INSERT INTO meta VALUES (1, ?, ?, ?, 0, ?)")
    .run(parameters.kind, parameters.salt, parameters.scryptLogN, tag);
  handle.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  handle.exec("COMMIT");
  return { sealer, generation: 0, tag };
}

/** Brings an older file to this version: tables were only ever added, and an empty one counts nothing in the sum of rows. */
function addTables(handle: DatabaseSync): void {
  handle.exec("BEGIN IMMEDIATE");
  for (const table of TABLES) handle.exec(createStatement(table));
  handle.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  handle.exec("COMMIT");
}

function readMeta(handle: DatabaseSync, path: string): Meta {
  const row = guarded(path, () => handle.prepare("SELECT * FROM meta").get());
  if (row === undefined || (row.sealing !== "key" && row.sealing !== "passphrase")) {
    throw doesNotAuthenticate(path);
  }
  return {
    parameters: { kind: row.sealing, salt: row.salt as Bytes, scryptLogN: Number(row.scryptLogN) },
    generation: Number(row.generation),
    tag: row.tag as Bytes,
  };
}

function writeState(handle: DatabaseSync, state: State, sealer: Sealer): void {
  guarded("the store", () => {
    prepared(handle, "UPDATE meta SET generation = ?, tag = ?").run(state.generation, tagOf(state, sealer));
  });
}

function select<R extends object>(
  handle: DatabaseSync,
  table: Table<R>,
  where: Partial<R>,
  { above, limit, last }: Page = {},
): R[] {
  const keys = keyOf(table);
  const conditions = [
    ...Object.keys(where).map((name) => `${name} = ?`),
    ...(above === undefined ? [] : [`${keys.at(-1)} > ?`]),
  ];
  const statement = [
    `SELECT ${Object.keys(table.columns).join(", ")} FROM ${table.name}`,
    conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`,
    `ORDER BY ${keys.map((name) => last === true ? `${name} DESC` : name).join(", ")}`,
    limit === undefined ? "" : "LIMIT ?",
  ].join(" ");
  const values = [...valuesOf(where), ...[above, limit].filter((value) => value !== undefined)];
  return guarded(
    table.name,
    () => prepared(handle, statement).all(...values).map((row) => ({ ...row }) as R),
  );
}

function replaceRow<R extends object>(handle: DatabaseSync, table: Table<R>, row: R): void {
  const names = Object.keys(table.columns);
  const statement = `INSERT OR REPLACE INTO ${table.name} (${names.join(", ")}) VALUES (${
    names.map(() => "?").join(", ")
  })`;
  guarded(table.name, () => {
    prepared(handle, statement).run(...names.map((name) => row[name as keyof R] as SQLInputValue));
  });
}

function deleteRow<R extends object>(handle: DatabaseSync, table: Table<R>, key: Partial<R>): void {
  const statement = `DELETE FROM ${table.name} WHERE ${
    keyOf(table).map((name) => `${String(name)} = ?`).join(" AND ")
  }`;
  guarded(table.name, () => {
    prepared(handle, statement).run(...valuesOf(key));
  });
}

/** Statements of a database that is open: there are few, and each is prepared once. */
const STATEMENTS = new WeakMap<DatabaseSync, Map<string, StatementSync>>();

function prepared(handle: DatabaseSync, text: string): StatementSync {
  const known = STATEMENTS.get(handle) ?? new Map<string, StatementSync>();
  STATEMENTS.set(handle, known);
  const statement = known.get(text) ?? handle.prepare(text);
  known.set(text, statement);
  return statement;
}

function valuesOf(row: object): SQLInputValue[] {
  return Object.values(row) as SQLInputValue[];
}

function rollBack(handle: DatabaseSync): void {
  try {
    if (handle.isTransaction) handle.exec("ROLLBACK");
  } catch {
    // SQLite rolls a failed transaction back itself; what counts is read again before the next write.
  }
}

/** The exclusive or of all rows' authenticators: a set hash, secret because nobody without the key can make one. */
function sumOfRows(handle: DatabaseSync, sealer: Sealer): Bytes {
  const sum = new Uint8Array(32);
  for (const table of TABLES) {
    for (const row of select(handle, table, {})) addTo(sum, memberOf(table, row, sealer));
  }
  return sum;
}

function memberOf<R extends object>(table: Table<R>, row: R, sealer: Sealer): Bytes {
  return sealer.authenticate(hash(Tag.storeRow, utf8(table.name), encode(rowCodec(table), row)));
}

function addTo(sum: Bytes, member: Bytes): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) ^ (member[i] as number);
}

function tagOf({ generation, sum }: State, sealer: Sealer): Bytes {
  return sealer.authenticate(hash(Tag.storeState, u64(BigInt(generation)), sum));
}

/** Runs a database action and says in one sentence what went wrong with what. */
function guarded<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof QuorateError) throw cause;
    const reason = reasonOf(cause);
    const damaged = /not a database|malformed|no such (table|column)|encod|UTF-8/i.test(reason);
    throw new UsageError(
      damaged ? "STORE_CORRUPT" : "STORE_UNWRITABLE",
      damaged ? `${what} is damaged: ${reason}` : `cannot use ${what}: ${reason}`,
      { cause },
    );
  }
}

function decodeStored<T>(codec: Codec<T>, content: Bytes): T {
  try {
    return decode(codec, content);
  } catch (cause) {
    if (cause instanceof DecodeError) {
      throw new UsageError("STORE_CORRUPT", `the high-water mark does not decode: ${cause.message}`, {
        cause,
      });
    }
    throw cause;
  }
}

function doesNotAuthenticate(path: string): UsageError {
  return new UsageError(
    "STORE_CORRUPT",
    `${path} does not authenticate: it was made with another sealing key or passphrase, by another party or under another cluster name, or it was changed; put back what belongs to it`,
  );
}

function rolledBack(why: string): UsageError {
  return new UsageError(
    "SHARE_ROLLBACK",
    `the store is not the newest one and must not be used: ${why}; put back the newest copy of both files`,
  );
}
