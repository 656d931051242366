/**
 * Records in PostgreSQL (VOTING 10). One statement per append, a function that takes a lock on the stream's position; a statement
 * whose answer is lost is `unknown`, and repeating the append is safe.
 *
 * @module
 */

import postgres from "postgres";
import { copy } from "../base/bytes.ts";
import { QuorateError, TransportError, UsageError } from "../base/errors.ts";
import type { Outcome } from "./coordination.ts";
import { MIGRATIONS, migrationStatement } from "./postgres_migrations.ts";
import {
  type Head,
  recordConflict,
  recordGap,
  type Records,
  requireConsecutive,
  type Row,
} from "./records.ts";

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
      await migrate(sql);
    });
  }

  /** See {@linkcode Records.append}. */
  async append(stream: string, rows: readonly Row[]): Promise<Outcome<{ readonly head: bigint }>> {
    requireConsecutive(stream, rows);
    const added = jsonOf(rows);
    for (let tries = 0;; tries++) {
      try {
        // One statement is one transaction: the client library cannot be trusted with a connection that ends between two.
        const [row] = await this.#within(
          this.#sql`SELECT append_records(${stream}, ${added}::text::jsonb) AS head`,
        );
        return { ok: true, value: { head: (row as unknown as { head: bigint }).head } };
      } catch (cause) {
        const refused = refusal(cause, stream, rows);
        if (refused !== undefined) throw refused;
        if (cause instanceof TimeoutError || LOST.has(stateOf(cause))) {
          return { ok: false, reason: "unknown" };
        }
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
/** The connection ended after the statement may have been sent. */
const LOST: ReadonlySet<string> = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "ECONNRESET",
  "EPIPE",
  "08003",
  "08006",
]);
/** What the database's function raises. */
const GAP = "QR001";
const CONFLICT = "QR002";

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

/** Applies what is missing of {@linkcode MIGRATIONS}. */
async function migrate(sql: Sql): Promise<void> {
  await sql.unsafe(migrationStatement());
  const [latest] = await sql`SELECT max(version) AS version FROM quorate_migrations`;
  const version = Number(latest?.version);
  if (version <= MIGRATIONS.length) return;
  throw new UsageError(
    "STORE_UNSAFE",
    `the database has tables of version ${version}, this program knows ${MIGRATIONS.length}: use a newer one`,
  );
}

/** Rows as the database's function takes them. */
function jsonOf(rows: readonly Row[]): string {
  return JSON.stringify(rows.map(({ seq, id, kind, key, body }) => ({
    seq: String(seq),
    id: id.toHex(),
    kind,
    key,
    body: body.toHex(),
  })));
}

/** What the database's function refuses. */
function refusal(error: unknown, stream: string, rows: readonly Row[]): UsageError | undefined {
  const { code, message } = error as { readonly code?: unknown; readonly message?: string };
  const seq = /^\d+$/.test(message ?? "") ? BigInt(message as string) : 0n;
  if (code === GAP) return recordGap(stream, seq, rows[0]?.seq ?? 0n);
  const row = rows.find((one) => one.seq === seq);
  return code === CONFLICT && row !== undefined ? recordConflict(row) : undefined;
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
