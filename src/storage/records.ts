/**
 * Records: streams of rows that only grow (VOTING 10). One stream per node; every row has a place in it and an id that binds
 * cluster, stream, place and content.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { equal, u64, utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { Outcome } from "./coordination.ts";

/** One record. */
export interface Row {
  /** Whose it is: the node's name. */
  readonly stream: string;
  /** Place in the stream, from 1, without gaps. */
  readonly seq: bigint;
  /** {@linkcode rowId}. */
  readonly id: Bytes;
  /** What it is: `vote`, `decision`, ... */
  readonly kind: string;
  /** What it is about, for {@linkcode Records.find}. */
  readonly key: string;
  /** JSON in UTF-8, with bytes as hex and 64-bit integers as strings. */
  readonly body: Bytes;
}

/** End of a stream. */
export interface Head {
  /** Place of the last row. */
  readonly seq: bigint;
  /** Its id. */
  readonly id: Bytes;
}

/** Streams of records. Reads, and appends that were certainly not applied, throw TransportError STORE_UNAVAILABLE. */
export interface Records extends AsyncDisposable {
  /**
   * Adds rows, all or none. Rows that are stored already are left alone.
   *
   * @param rows of the stream, ascending without gaps.
   * @throws UsageError RECORD_GAP where they do not continue the stream, RECORD_CONFLICT where another row is stored in the
   * place of one; nothing is changed then.
   */
  append(stream: string, rows: readonly Row[]): Promise<Outcome<{ readonly head: bigint }>>;
  /** The last row's place and id. */
  head(stream: string): Promise<Head | undefined>;
  /** Rows after a place, ascending without gaps. */
  read(stream: string, after: bigint, limit: number): Promise<Row[]>;
  /** All rows of a kind about a key, by stream and place. For people: may lag, never invents. */
  find(kind: string, key: string): Promise<Row[]>;
}

/** H("row"; cluster, stream, seq, kind, key, body). */
export function rowId(cluster: string, row: Omit<Row, "id">): Bytes {
  return hash(
    Tag.storeRecord,
    utf8(cluster),
    utf8(row.stream),
    u64(row.seq),
    utf8(row.kind),
    utf8(row.key),
    row.body,
  );
}

/** @throws UsageError RECORD_GAP or RECORD_CONFLICT where rows are not of the stream, or do not follow each other. */
export function requireConsecutive(stream: string, rows: readonly Row[]): void {
  rows.forEach((row, i) => {
    const previous = rows[i - 1];
    if (row.stream !== stream) {
      throw new UsageError(
        "RECORD_CONFLICT",
        `a row of the stream ${row.stream} cannot be added to ${stream}`,
      );
    }
    if (row.seq < 1n || (previous !== undefined && row.seq !== previous.seq + 1n)) {
      throw recordGap(stream, previous?.seq ?? 0n, row.seq);
    }
  });
}

/** Rows that are missing in a stream. */
export function recordGap(stream: string, head: bigint, seq: bigint): UsageError {
  return new UsageError(
    "RECORD_GAP",
    `row ${seq} of ${stream} does not follow row ${head}: read the head and send again from there`,
  );
}

/** @throws UsageError RECORD_CONFLICT where the stored row is another one. */
export function requireSame(stored: Bytes | undefined, row: Row): void {
  if (stored === undefined || !equal(stored, row.id)) throw recordConflict(row);
}

/** A row in whose place another one is stored. */
export function recordConflict(row: Row): UsageError {
  return new UsageError(
    "RECORD_CONFLICT",
    `row ${row.seq} of ${row.stream} is stored with other content: two writers, or a copy of an old disk; stop the node and compare both`,
  );
}
