/**
 * What a party stores, table by table.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { bytes, type Codec, map, struct, text, U64 } from "../base/codec.ts";

/** How a column is stored and encoded. */
export type ColumnType = "integer" | "text" | "blob";

/** A table whose rows are `R`. The first `keyColumns` columns are its primary key. */
export interface Table<R extends object> {
  /** Name in SQL. */
  readonly name: string;
  /** Type of every column, in order. */
  readonly columns: { readonly [K in keyof R]: ColumnType };
  /** How many columns the primary key has. */
  readonly keyColumns: number;
}

/** One epoch of one key. */
export interface KeyRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** What people call the key. */
  readonly name: string;
  /** Name of the curve. */
  readonly curve: string;
  /** `pending` until the certificate of all parties is complete; `left`: it is, and this party has no share any more. */
  readonly state: "pending" | "active" | "left";
  /** 1 when every party is known to have the certificate. */
  readonly settled: number;
  /** The sealed encoding of record and share. */
  readonly sealed: Bytes;
  /** Empty while pending. */
  readonly certificate: Bytes;
  /** When the share was stored: milliseconds since 1970. */
  readonly time: number;
}

/** What is known of one pair in one epoch. */
export interface PairRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Index of the other party. */
  readonly peer: number;
  /** Whether the pair can be used. */
  readonly status: "absent" | "ok" | "burned";
  /** The sealed pair state; empty unless `ok`. */
  readonly sealed: Bytes;
  /** Crashes inside a check (SPEC 2.7). */
  readonly crashes: number;
  /** Set-ups that failed a check since the last good one. */
  readonly failures: number;
}

/** Why a pair was burned. Never removed. */
export interface BurnRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Index of the other party. */
  readonly peer: number;
  /** Session id. */
  readonly sid: Bytes;
  /** Hash of the peer's message that was checked; zeros where the ban comes from an earlier epoch. */
  readonly messageHash: Bytes;
  /** For people. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A check that has begun. */
export interface MarkRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Index of the other party. */
  readonly peer: number;
  /** Session id. */
  readonly sid: Bytes;
  /** Hash of the peer's message that is or was checked. */
  readonly messageHash: Bytes;
}

/** A signing session whose last round may have left. */
export interface ReleaseRow {
  /** Session id. */
  readonly sid: Bytes;
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Hash of what is signed. */
  readonly payloadHash: Bytes;
  /** Whether the signature is known. */
  readonly outcome: "unknown" | "signed";
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A backup that was made of a share. Never removed: it says of an old epoch that there was one. */
export interface BackupRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the share in it. */
  readonly epoch: number;
  /** Whose keys open it: the id of the custodian, or of the group. */
  readonly custodian: Bytes;
  /** When the newest one was made: milliseconds since 1970. */
  readonly time: number;
}

/** Signatures of one set of signers that failed a check for which nobody can be named. */
export interface FailureRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** u16 index of each signer, ascending. */
  readonly signers: Bytes;
  /** How many. */
  readonly count: number;
}

/** A party that failed a check in signing: with this key nothing is signed with it until an operator lifts that (SPEC 2.6). */
export interface BanRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Index of the party. */
  readonly party: number;
  /** Epoch of the key at that time. */
  readonly epoch: number;
  /** Class of the failure. */
  readonly code: string;
  /** What failed, for people. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** A record that is, or will be, in the store of records. */
export interface OutboxRow {
  /** Place in the node's stream, from 1, without gaps. */
  readonly seq: number;
  /** As in the store of records. */
  readonly id: Bytes;
  /** As in the store of records. */
  readonly kind: string;
  /** As in the store of records. */
  readonly key: string;
  /** As in the store of records. */
  readonly body: Bytes;
}

/** How far the store of records had got in an hour. */
export interface DeliveryRow {
  /** Beginning of an hour: milliseconds since 1970. */
  readonly time: number;
  /** The last place that it had at its end. */
  readonly seq: number;
}

/** What this party votes for in a transaction. Never changed and never removed. */
export interface VoteLockRow {
  /** Name of the transaction. */
  readonly txId: string;
  /** Epoch of the membership. */
  readonly epoch: number;
  /** Hash of what is voted for. */
  readonly ballot: Bytes;
  /** The value, encoded. */
  readonly value: Bytes;
}

/** A vote, a decision, an offence and the like, in the order in which they were stored. */
export interface VotingRow {
  /** Place, from 1. */
  readonly seq: number;
  /** What it is. */
  readonly kind: string;
  /** Its encoding. */
  readonly body: Bytes;
}

/** A decision that the store of coordination has. */
export interface HandOffRow {
  /** Name of the transaction. */
  readonly txId: string;
  /** Hash of what was decided. */
  readonly ballot: Bytes;
}

/** What a key may sign under a name, and how far that is (VOTING 8.3). Never removed. */
export interface SignLockRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Name of the transaction. */
  readonly txId: string;
  /** What alone may be signed under that name; empty where nothing may. */
  readonly core: Bytes;
  /** What approved it. */
  readonly ballot: Bytes;
  /** Hash of all fields of the approval. */
  readonly approvalHash: Bytes;
  /** How far it is. */
  readonly state: "prepared" | "failed" | "released" | "signed" | "superseded";
  /** Empty while none is known. */
  readonly signature: Bytes;
  /** Why it failed, for people. */
  readonly reason: string;
  /** The last moment of the approval: milliseconds since 1970. */
  readonly notAfter: number;
  /** When the lock was set: milliseconds since 1970. */
  readonly time: number;
}

/** How many locks of a key were set in an hour. */
export interface SignRateRow {
  /** Key id. */
  readonly keyId: Bytes;
  /** Beginning of the hour: milliseconds since 1970. */
  readonly hour: number;
  /** How many. */
  readonly count: number;
}

/** What holds for all signing of this party. */
export interface SigningRow {
  /** Since when nothing is signed (`paused`), and no vote is cast (`voting`). `clock`: the latest time that anybody was seen to have. */
  readonly name: "paused" | "voting" | "clock";
  /** Milliseconds since 1970. */
  readonly time: number;
}

const PAIR_KEY = { keyId: "blob", epoch: "integer", peer: "integer" } as const;

/** Keys. */
export const KEYS: Table<KeyRow> = {
  name: "keys",
  columns: {
    keyId: "blob",
    epoch: "integer",
    name: "text",
    curve: "text",
    state: "text",
    settled: "integer",
    sealed: "blob",
    certificate: "blob",
    time: "integer",
  },
  keyColumns: 2,
};

/** Pairs. */
export const PAIRS: Table<PairRow> = {
  name: "pairs",
  columns: { ...PAIR_KEY, status: "text", sealed: "blob", crashes: "integer", failures: "integer" },
  keyColumns: 3,
};

/** Burns. */
export const BURNS: Table<BurnRow> = {
  name: "burns",
  columns: { ...PAIR_KEY, sid: "blob", messageHash: "blob", reason: "text", time: "integer" },
  keyColumns: 4,
};

/** Marks of checks. */
export const MARKS: Table<MarkRow> = {
  name: "check_marks",
  columns: { ...PAIR_KEY, sid: "blob", messageHash: "blob" },
  keyColumns: 4,
};

/** Releases. */
export const RELEASES: Table<ReleaseRow> = {
  name: "releases",
  columns: {
    sid: "blob",
    keyId: "blob",
    epoch: "integer",
    payloadHash: "blob",
    outcome: "text",
    time: "integer",
  },
  keyColumns: 1,
};

/** Backups. */
export const BACKUPS: Table<BackupRow> = {
  name: "backups",
  columns: { keyId: "blob", epoch: "integer", custodian: "blob", time: "integer" },
  keyColumns: 3,
};

/** Outbox. */
export const OUTBOX: Table<OutboxRow> = {
  name: "outbox",
  columns: { seq: "integer", id: "blob", kind: "text", key: "text", body: "blob" },
  keyColumns: 1,
};

/** Deliveries. */
export const DELIVERIES: Table<DeliveryRow> = {
  name: "deliveries",
  columns: { time: "integer", seq: "integer" },
  keyColumns: 1,
};

/** Failures. */
export const FAILURES: Table<FailureRow> = {
  name: "failures",
  columns: { keyId: "blob", epoch: "integer", signers: "blob", count: "integer" },
  keyColumns: 3,
};

/** Bans. */
export const BANS: Table<BanRow> = {
  name: "bans",
  columns: {
    keyId: "blob",
    party: "integer",
    epoch: "integer",
    code: "text",
    reason: "text",
    time: "integer",
  },
  keyColumns: 2,
};

/** Vote locks. */
export const VOTE_LOCKS: Table<VoteLockRow> = {
  name: "vote_locks",
  columns: { txId: "text", epoch: "integer", ballot: "blob", value: "blob" },
  keyColumns: 1,
};

/** What a voting node stores beside its locks. */
export const VOTING: Table<VotingRow> = {
  name: "voting",
  columns: { seq: "integer", kind: "text", body: "blob" },
  keyColumns: 1,
};

/** Decisions that were handed off. */
export const HAND_OFFS: Table<HandOffRow> = {
  name: "hand_offs",
  columns: { txId: "text", ballot: "blob" },
  keyColumns: 1,
};

/** Sign locks. */
export const SIGN_LOCKS: Table<SignLockRow> = {
  name: "sign_locks",
  columns: {
    keyId: "blob",
    txId: "text",
    core: "blob",
    ballot: "blob",
    approvalHash: "blob",
    state: "text",
    signature: "blob",
    reason: "text",
    notAfter: "integer",
    time: "integer",
  },
  keyColumns: 2,
};

/** Rates. */
export const SIGN_RATES: Table<SignRateRow> = {
  name: "sign_rates",
  columns: { keyId: "blob", hour: "integer", count: "integer" },
  keyColumns: 2,
};

/** Signing. */
export const SIGNING: Table<SigningRow> = {
  name: "signing",
  columns: { name: "text", time: "integer" },
  keyColumns: 1,
};

/** All tables. The place in the list is part of the stored form of a change: new ones come last. */
export const TABLES: readonly Table<object>[] = [
  KEYS,
  PAIRS,
  BURNS,
  MARKS,
  RELEASES,
  BACKUPS,
  OUTBOX,
  DELIVERIES,
  FAILURES,
  VOTE_LOCKS,
  VOTING,
  HAND_OFFS,
  SIGN_LOCKS,
  SIGN_RATES,
  SIGNING,
  BANS,
];

/** Version of the tables. 1 had no backups, 2 no outbox and no failures, 3 no votes and no sign locks, 4 no bans. */
export const SCHEMA_VERSION = 5;

/** Names of the primary key's columns. */
export function keyOf<R extends object>({ columns, keyColumns }: Table<R>): readonly (keyof R & string)[] {
  return Object.keys(columns).slice(0, keyColumns) as (keyof R & string)[];
}

/** The statement that makes a table. */
export function createStatement(table: Table<object>): string {
  const columns = Object.entries(table.columns).map(([column, type]) => `${column} ${type} NOT NULL`);
  return `CREATE TABLE IF NOT EXISTS ${table.name} (${columns.join(", ")}, PRIMARY KEY (${
    keyOf(table).join(", ")
  })) STRICT`;
}

/** The canonical encoding of a table's rows. */
export function rowCodec<R extends object>(table: Table<R>): Codec<R> {
  const known = CODECS.get(table);
  if (known !== undefined) return known as unknown as Codec<R>;
  const fields = Object.entries<ColumnType>(table.columns).map(([name, type]) => [name, VALUES[type]]);
  const codec = struct(Object.fromEntries(fields)) as unknown as Codec<R>;
  CODECS.set(table, codec as unknown as Codec<object>);
  return codec;
}

/** Each is made once: all rows are encoded when a store is opened. */
const CODECS = new WeakMap<object, Codec<object>>();

const VALUES: Readonly<Record<ColumnType, Codec<never>>> = {
  integer: map(U64, (value: number) => BigInt(value), Number) as Codec<never>,
  text: text(1024) as Codec<never>,
  blob: bytes(1024 * 1024) as Codec<never>,
};
