/**
 * Opens the stores that a party's configuration names. The clients of servers are loaded only where they are used.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { Coordination } from "../storage/coordination.ts";
import { reasonOf } from "../storage/files.ts";
import type { Records } from "../storage/records.ts";
import { SqliteStore } from "../storage/sqlite_stores.ts";
import type { PartyConfig } from "./config.ts";
import type { CoordinationConfig, RecordsConfig, TlsFiles } from "./store_config.ts";

/** Where decisions and records go. */
export interface Stores extends AsyncDisposable {
  /** Where decisions are handed off. */
  readonly coordination: Coordination;
  /** Where records go. */
  readonly records: Records;
  /** Makes the tables of records, and checks the server: again and again until it succeeds. */
  prepare(): Promise<void>;
}

/**
 * Opens both stores without connecting to a server: one that is down does not keep a node from starting.
 *
 * @throws UsageError FILE_UNREADABLE where a file of TLS cannot be read, and what {@linkcode SqliteStore.open} throws.
 */
export async function openStores({ dataDirectory, stores }: PartyConfig): Promise<Stores> {
  const local = () => SqliteStore.open({ path: `${dataDirectory}/shared.sqlite` });
  const coordination = await openCoordination(stores.coordination, local);
  const { records, prepare } = await openRecords(stores.records, local);
  return {
    coordination,
    records,
    prepare,
    async [Symbol.asyncDispose]() {
      await coordination[Symbol.asyncDispose]();
      await records[Symbol.asyncDispose]();
    },
  };
}

async function openCoordination(config: CoordinationConfig, local: () => SqliteStore): Promise<Coordination> {
  if (config.kind === "sqlite") return local();
  const { EtcdStore } = await import("../storage/etcd.ts");
  return new EtcdStore({ endpoints: config.endpoints, ...credentials(config.tls) });
}

async function openRecords(
  config: RecordsConfig,
  local: () => SqliteStore,
): Promise<{ records: Records; prepare(): Promise<void> }> {
  if (config.kind === "sqlite") return { records: local(), prepare: () => Promise.resolve() };
  const { PostgresStore } = await import("../storage/postgres.ts");
  const { address, database, user, tls } = config;
  const records = PostgresStore.create({ ...address, database, user, ...credentials(tls) });
  return { records, prepare: () => records.prepare() };
}

function credentials(
  { authorityPath, certPath, keyPath }: TlsFiles,
): { ca: string; cert: string; key: string } {
  return { ca: read(authorityPath), cert: read(certPath), key: read(keyPath) };
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new UsageError("FILE_UNREADABLE", `cannot read ${path}: ${reasonOf(cause)}`, { cause });
  }
}
