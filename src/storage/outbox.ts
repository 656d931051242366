/**
 * Records on their way to the store of records (VOTING 10). A record enters the outbox in the transaction that caused it, and
 * leaves it some days after the store has it: a store that falls back to an older copy gets it again.
 *
 * @module
 */

import { setTimeout as pause } from "node:timers/promises";
import { copy, equal } from "../base/bytes.ts";
import { QuorateError, UsageError } from "../base/errors.ts";
import type { Ledger, Transaction } from "./ledger.ts";
import { type Head, recordGap, type Records, type Row, rowId } from "./records.ts";
import { DELIVERIES, OUTBOX, type OutboxRow } from "./tables.ts";

/** What an outbox is part of. */
export interface OutboxOptions {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the node: its stream. */
  readonly stream: string;
  /** Records that may wait. Default: 100,000. */
  readonly limit?: number;
  /** How long records are kept after the store had them. Default: 7 days. */
  readonly keepMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** What is written down. */
export type NewRecord = Pick<Row, "kind" | "key" | "body">;

/** A node's records that wait, and those that are kept. */
export class Outbox {
  readonly #ledger: Pick<Ledger, "find" | "transact">;
  readonly #options: Required<OutboxOptions>;
  #written: Promise<void>;
  #wake: () => void;
  /** The last place that was given out; a transaction that failed gives it out again. */
  #last: number;
  /** What the store was seen to have, which is written down later. */
  #delivered: number;
  /** Where the transaction that is being made has got to. */
  #open: { readonly transaction: Transaction; seq: number } | undefined;
  #notedAt = Number.NEGATIVE_INFINITY;

  /** The outbox in a party's store. */
  constructor(ledger: Pick<Ledger, "find" | "transact">, options: OutboxOptions) {
    this.#ledger = ledger;
    this.#options = { limit: 100_000, keepMs: 7 * 24 * 3600 * 1000, now: Date.now, ...options };
    ({ promise: this.#written, resolve: this.#wake } = Promise.withResolvers<void>());
    this.#last = lastSeq(ledger);
    this.#delivered = deliveredSeq(ledger);
  }

  /** The node's stream. */
  get stream(): string {
    return this.#options.stream;
  }

  /** The last place that was written. */
  get last(): bigint {
    return BigInt(lastSeq(this.#ledger));
  }

  /** How many records the store does not have yet. */
  get waiting(): number {
    return Math.max(0, this.#last - this.#delivered);
  }

  /** Ends when a record was written since the last call. */
  get written(): Promise<void> {
    return this.#written;
  }

  /** False where as many records wait as may. */
  get hasRoom(): boolean {
    return this.waiting < this.#options.limit;
  }

  /** Before anything is promised that must be recorded. @throws UsageError OUTBOX_FULL */
  requireRoom(): void {
    const { waiting } = this;
    if (waiting < this.#options.limit) return;
    throw new UsageError(
      "OUTBOX_FULL",
      `${waiting} records wait for the store of records: bring it back, or raise the limit of the outbox`,
    );
  }

  /** Adds a record, in the transaction that causes it. */
  push(transaction: Transaction, { kind, key, body }: NewRecord): void {
    if (this.#open?.transaction !== transaction) this.#open = { transaction, seq: lastSeq(transaction) };
    const seq = this.#last = ++this.#open.seq;
    const row = { stream: this.stream, seq: BigInt(seq), kind, key, body };
    transaction.put(OUTBOX, { seq, id: rowId(this.#options.cluster, row), kind, key, body });
    this.#wake();
    ({ promise: this.#written, resolve: this.#wake } = Promise.withResolvers<void>());
  }

  /** The record in a place, if it is kept. */
  at(seq: bigint): Row | undefined {
    return this.#ledger.find(OUTBOX, { seq: Number(seq) }).map((row) => this.#row(row))[0];
  }

  /** Records after a place, ascending. @throws UsageError RECORD_GAP where some are not kept any more. */
  after(seq: bigint, limit: number): Row[] {
    const rows = this.#ledger.find(OUTBOX, {}, { above: Number(seq), limit }).map((row) => this.#row(row));
    const first = rows[0]?.seq ?? this.last + 1n;
    if (first > seq + 1n) throw recordGap(this.stream, seq, first);
    return rows;
  }

  /**
   * The store was seen to have all records up to a place. Forgets those that it has had for long. The place is written down once
   * in a while: whoever does not know it asks the store.
   */
  delivered(seq: bigint): void {
    const { now } = this.#options;
    if (Math.abs(now() - this.#notedAt) >= NOTED_MS) this.#note(seq);
    this.#delivered = Math.max(this.#delivered, Number(seq));
  }

  #note(seq: bigint): void {
    const { now, keepMs } = this.#options;
    const hour = Math.floor(now() / HOUR) * HOUR;
    this.#ledger.transact((transaction) => {
      const [newest] = transaction.find(DELIVERIES, {}, { last: true, limit: 1 });
      if (newest !== undefined && newest.seq >= Number(seq)) return;
      // One row per hour says what the store had at its end; a clock that was set back does not reorder them.
      transaction.put(DELIVERIES, { time: Math.max(hour, newest?.time ?? 0), seq: Number(seq) });
      const old = transaction.find(DELIVERIES, {}).filter(({ time }) => time + HOUR < now() - keepMs);
      for (const row of transaction.find(OUTBOX, {}, { limit: PRUNED })) {
        if (row.seq <= (old.at(-1)?.seq ?? 0)) transaction.remove(OUTBOX, row);
      }
      for (const delivery of old.slice(0, -1)) transaction.remove(DELIVERIES, delivery);
    });
    this.#notedAt = now();
  }

  #row({ seq, id, kind, key, body }: OutboxRow): Row {
    return { stream: this.stream, seq: BigInt(seq), id: copy(id), kind, key, body: copy(body) };
  }
}

/** What {@linkcode sendOutbox} tells. */
export type OutboxEvent =
  /** The store has all up to here. */
  | { readonly kind: "delivered"; readonly seq: bigint }
  /** The store is down, the own file cannot be written, or an answer was lost: it is tried again. */
  | { readonly kind: "waiting"; readonly reason: string };

/** How {@linkcode sendOutbox} runs. */
export interface SendOptions {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told of what happens. */
  readonly on?: (event: OutboxEvent) => void;
  /** First and longest wait after a failure. Default: 200 ms and 10 s. */
  readonly retryMs?: { readonly first: number; readonly max: number };
  /** How long a record waits for company before it is sent. Default: 100 ms. */
  readonly gatherMs?: number;
  /** How often the store's place is looked at when nothing is new: it may have fallen back. Default: 60 s. */
  readonly lookMs?: number;
}

/**
 * Sends records as they come, one batch after the other, until the signal. What was sent counts as delivered only when a new
 * read of the store's place says so.
 *
 * @throws UsageError RECORD_CONFLICT or RECORD_GAP where the store holds something else than was written here: nothing can be sent
 * any more, and an operator has to look.
 */
export async function sendOutbox(outbox: Outbox, records: Records, options: SendOptions): Promise<void> {
  const { signal, on = () => {}, retryMs = { first: 200, max: 10_000 }, lookMs = 60_000 } = options;
  const { gatherMs = 100 } = options;
  let failures = 0;
  while (!signal.aborted) {
    const { written } = outbox;
    try {
      const more = await sendBatch(outbox, records, on);
      failures = 0;
      if (!more) {
        await Promise.race([written, sleep(lookMs, signal)]);
        await sleep(gatherMs, signal);
      }
    } catch (error) {
      // A full disk here is no more than a store that is down.
      const mayEnd = error instanceof QuorateError &&
        (error.code === "STORE_UNAVAILABLE" || error.code === "STORE_UNWRITABLE");
      if (!mayEnd) throw error;
      on({ kind: "waiting", reason: error.message });
      await sleep(Math.min(retryMs.max, retryMs.first * 2 ** Math.min(failures++, 20)), signal);
    }
  }
}

const HOUR = 3600 * 1000;
/** How often it is written down what the store has, at most. */
const NOTED_MS = 1000;
/** Most records of one append. */
const BATCH = 256;
/** Most records that are looked at when old ones are forgotten. */
const PRUNED = 512;

/** @returns whether there is more to do. */
async function sendBatch(
  outbox: Outbox,
  records: Records,
  on: (event: OutboxEvent) => void,
): Promise<boolean> {
  const head = await records.head(outbox.stream);
  if (head !== undefined) requireOwn(outbox, head);
  const seq = head?.seq ?? 0n;
  if (seq > 0n) {
    outbox.delivered(seq);
    on({ kind: "delivered", seq });
  }
  const rows = outbox.after(seq, BATCH);
  if (rows.length === 0) return false;
  const outcome = await records.append(outbox.stream, rows);
  if (!outcome.ok) {
    on({ kind: "waiting", reason: "the answer to an append was lost: reading what the store has" });
  }
  return true;
}

/** @throws UsageError RECORD_CONFLICT where the store's last row was not written here. */
function requireOwn(outbox: Outbox, head: Head): void {
  const own = outbox.at(head.seq);
  if (own === undefined ? head.seq <= outbox.last : equal(own.id, head.id)) return;
  throw new UsageError(
    "RECORD_CONFLICT",
    `row ${head.seq} of ${outbox.stream} in the store of records was not written here: ` +
      "two nodes of one name, or an old copy of this disk; stop the node and compare both",
  );
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}

function lastSeq(from: Pick<Transaction, "find">): number {
  // All rows may be forgotten: the deliveries remember how far the stream was.
  const row = from.find(OUTBOX, {}, { last: true, limit: 1 })[0];
  return Math.max(row?.seq ?? 0, deliveredSeq(from));
}

function deliveredSeq(from: Pick<Transaction, "find">): number {
  return from.find(DELIVERIES, {}, { last: true, limit: 1 })[0]?.seq ?? 0;
}
