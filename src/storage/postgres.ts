/**
 * Records in PostgreSQL (VOTING 10). One transaction per append, under a lock on the stream's position; a commit whose answer is
 * lost is `unknown`, and repeating the append is safe.
 *
 * @module
 */

import postgres from "postgres";
import { copy } from "../base/bytes.ts";
import { QuorateError, TransportError, UsageError } from "../base/errors.ts";
import type { Outcome } from "./coordination.ts";
import { MIGRATIONS } from "./postgres_migrations.ts";
import { type Head, recordGap, type Records, requireConsecutive, requireSame, type Row } from "./records.ts";

/** How PostgreSQL is reached. */
export interface PostgresOptions {
  /** Host name or address, as the server's certificate has it. */
  readonly host: string;
  /** Port. */
  readonly port: number;
  /** Name of the database. */
  readonly database: string;
  /** Role. */
  readonly user: string;
  /** PEM of the authorities of the server's certificate. */
  readonly ca: string;
  /** PEM of the own client certificate. */
  readonly cert: string;
  /** PEM of its private key. */
  readonly key: string;
  /** Deadline of a call. Default: 5 s. */
  readonly timeoutMs?: number;
  /** Most connections. Default: 2. */
  readonly connections?: number;
}

type Sql = postgres.Sql<{ bigint: bigint }>;
type Transaction = postgres.TransactionSql<{ bigint: bigint }>;

/** A client of a database of records. */
export class PostgresStore implements Records {
  readonly #options: PostgresOptions;
  readonly #timeoutMs: number;
  #sql: Sql;

  private constructor(options: PostgresOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#sql = connect(options, this.#timeoutMs);
  }

  /**
   * Makes a client without connecting: a database that is down at the start is like one that goes down later. {@linkcode
   * PostgresStore.prepare} comes before the first append.
   */
  static create(options: PostgresOptions): PostgresStore {
    return new PostgresStore(options);
  }

  /**
   * Brings the tables to this version, and refuses a server that would lose acknowledged rows.
   *
   * @throws UsageError STORE_UNSAFE; TransportError STORE_UNAVAILABLE
   */
  async prepare(): Promise<void> {
    await this.#query(async (sql) => {
      for (const setting of ["fsync", "synchronous_commit"]) {
        const [row] = await sql`SELECT current_setting(${setting}) AS value`;
        if (row?.value === "on") continue;
        throw new UsageError("STORE_UNSAFE", `PostgreSQL runs with ${setting} = ${row?.value}: set it to on`);
      }
      await sql.begin(migrate);
    });
  }

  /** See {@linkcode Records.append}. */
  async append(stream: string, rows: readonly Row[]): Promise<Outcome<{ readonly head: bigint }>> {
    requireConsecutive(stream, rows);
    const progress = { committing: false };
    for (let tries = 0;; tries++) {
      try {
        const sql = this.#sql;
        const head = await this.#within(sql.begin(async (transaction) => {
          const reached = await appended(transaction, stream, rows);
          progress.committing = true;
          return reached;
        }));
        return { ok: true, value: { head } };
      } catch (cause) {
        if (cause instanceof QuorateError) {
          if (!(cause instanceof TimeoutError)) throw cause;
          return { ok: false, reason: "unknown" };
        }
        if (progress.committing && !ROLLED_BACK.has(stateOf(cause))) return { ok: false, reason: "unknown" };
        progress.committing = false;
        if (tries < RETRIES && RETRIED.has(stateOf(cause))) continue;
        throw unavailable(cause);
      }
    }
  }

  /** See {@linkcode Records.head}. */
  async head(stream: string): Promise<Head | undefined> {
    const rows = await this.#query((sql) =>
      sql`SELECT seq, id FROM outbox_position WHERE stream = ${stream}`
    );
    return rows.map(({ seq, id }) => ({ seq, id: copy(id) }))[0];
  }

  /** See {@linkcode Records.read}. */
  async read(stream: string, after: bigint, limit: number): Promise<Row[]> {
    const rows = await this.#query((sql) =>
      sql`SELECT * FROM records WHERE stream = ${stream} AND seq > ${after} ORDER BY seq LIMIT ${limit}`
    );
    return rows.map(rowOf);
  }

  /** See {@linkcode Records.find}. */
  async find(kind: string, key: string): Promise<Row[]> {
    const rows = await this.#query((sql) =>
      sql`SELECT * FROM records WHERE kind = ${kind} AND key = ${key} ORDER BY stream, seq`
    );
    return rows.map(rowOf);
  }

  /** Closes the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sql.end({ timeout: 1 });
  }

  async #query<T>(call: (sql: Sql) => Promise<T>): Promise<T> {
    for (let tries = 0;; tries++) {
      try {
        return await this.#within(call(this.#sql));
      } catch (cause) {
        if (cause instanceof QuorateError && !(cause instanceof TimeoutError)) throw cause;
        if (tries < RETRIES && RETRIED.has(stateOf(cause))) continue;
        throw unavailable(cause);
      }
    }
  }

  /** Gives a call up at its deadline, and with it the connections: one of them is stuck. */
  async #within<T>(call: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const deadline = setTimeout(() => {
      reject(new TimeoutError());
      void this.#sql.end({ timeout: 0 }).catch(() => {});
      this.#sql = connect(this.#options, this.#timeoutMs);
    }, this.#timeoutMs);
    call.catch(() => {});
    try {
      return await Promise.race([call, promise]);
    } finally {
      clearTimeout(deadline);
    }
  }
}

/** Nothing came back in time. */
class TimeoutError extends TransportError {
  constructor() {
    super("STORE_UNAVAILABLE", "PostgreSQL gives no answer in time");
  }
}

const RETRIES = 5;
/** Serialization failure, deadlock, shutdown by the administrator: the same again may succeed. */
const RETRIED: ReadonlySet<string> = new Set(["40001", "40P01", "57P01"]);
/** Answers to COMMIT that say that it was rolled back. */
const ROLLED_BACK: ReadonlySet<string> = new Set(["40001", "40P01"]);

function connect(options: PostgresOptions, timeoutMs: number): Sql {
  const { host, port, database, user, ca, cert, key } = options;
  return postgres({
    host,
    port,
    database,
    user,
    ssl: { ca, cert, key, rejectUnauthorized: true, host },
    max: options.connections ?? 2,
    connect_timeout: Math.ceil(timeoutMs / 1000),
    connection: { application_name: "quorate", statement_timeout: timeoutMs },
    onnotice: () => {},
    types: { bigint: postgres.BigInt },
  });
}

/** Applies what is missing of {@linkcode MIGRATIONS}, one process at a time. */
async function migrate(sql: Transaction): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(hashtext('quorate'))`;
  await sql`CREATE TABLE IF NOT EXISTS quorate_migrations (
    version bigint PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now()
  )`;
  const [latest] = await sql`SELECT coalesce(max(version), 0) AS version FROM quorate_migrations`;
  const version = Number(latest?.version);
  if (version > MIGRATIONS.length) {
    throw new UsageError(
      "STORE_UNSAFE",
      `the database has tables of version ${version}, this program knows ${MIGRATIONS.length}: use a newer one`,
    );
  }
  for (const [i, migration] of MIGRATIONS.entries()) {
    if (i < version) continue;
    await sql.unsafe(migration);
    await sql`INSERT INTO quorate_migrations (version) VALUES (${i + 1})`;
  }
}

async function appended(sql: Transaction, stream: string, rows: readonly Row[]): Promise<bigint> {
  await sql`INSERT INTO outbox_position (stream, seq, id) VALUES (${stream}, 0, '') ON CONFLICT DO NOTHING`;
  const [position] = await sql`SELECT seq FROM outbox_position WHERE stream = ${stream} FOR UPDATE`;
  const head = (position as unknown as { seq: bigint }).seq;
  const first = rows[0];
  if (first !== undefined && first.seq > head + 1n) throw recordGap(stream, head, first.seq);
  await requireStored(sql, stream, rows.filter(({ seq }) => seq <= head));
  const added = rows.filter(({ seq }) => seq > head);
  const last = added.at(-1);
  if (last === undefined) return head;
  await sql`INSERT INTO records ${sql(added, ...COLUMNS)}`;
  await sql`UPDATE outbox_position SET seq = ${last.seq}, id = ${last.id} WHERE stream = ${stream}`;
  return last.seq;
}

const COLUMNS = ["stream", "seq", "id", "kind", "key", "body"] as const;

async function requireStored(sql: Transaction, stream: string, rows: readonly Row[]): Promise<void> {
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined) return;
  const stored = await sql`SELECT seq, id FROM records
    WHERE stream = ${stream} AND seq BETWEEN ${first.seq} AND ${last.seq}`;
  const ids = new Map(stored.map(({ seq, id }) => [seq as bigint, copy(id)]));
  for (const row of rows) requireSame(ids.get(row.seq), row);
}

function rowOf(stored: Record<string, unknown>): Row {
  const row = stored as unknown as Row;
  const { stream, seq, id, kind, key, body } = row;
  return { stream, seq, id: copy(id), kind, key, body: copy(body) };
}

function stateOf(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code);
}

function unavailable(cause: unknown): TransportError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TransportError("STORE_UNAVAILABLE", `PostgreSQL does not serve: ${reason} (${stateOf(cause)})`, {
    cause,
  });
}
