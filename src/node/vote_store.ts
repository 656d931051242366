/**
 * What a voting node must find again after a crash, in the party's own file: locks, votes, decisions and offences, each in one
 * transaction with the record of it that goes to the store of records (VOTING 2, 10).
 *
 * @module
 */

import { type Bytes, copy, equal } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import type { Ledger, Transaction } from "../storage/ledger.ts";
import type { NewRecord, Outbox } from "../storage/outbox.ts";
import { VOTE_LOCKS, VOTING } from "../storage/tables.ts";
import type { Membership } from "../voting/membership.ts";
import type { VoteLock, VoteRecord, VoteStore } from "../voting/store.ts";
import { decodeVoteRecord, encodeVoteRecord, outsideRecord, type StoredRecord } from "./vote_records.ts";

/** What a store is made of. */
export interface LedgerVoteStoreOptions {
  /** The party's file. */
  readonly ledger: Pick<Ledger, "find" | "transact">;
  /** Where records for others go. */
  readonly outbox: Outbox;
  /** Who votes in an epoch: names in records. */
  readonly membershipAt: (epoch: number) => Membership | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * A vote store that writes locks at once, and everything else when it is told to: what one message leads to is one transaction,
 * and nothing of it leaves before.
 */
export class LedgerVoteStore implements VoteStore {
  readonly #options: LedgerVoteStoreOptions;
  #waiting: VoteRecord[] = [];
  #last: number;
  #written = 0;

  /** The store in a party's file. */
  constructor(options: LedgerVoteStoreOptions) {
    this.#options = options;
    this.#last = options.ledger.find(VOTING, {}, { last: true, limit: 1 })[0]?.seq ?? 0;
  }

  *load(): Iterable<VoteRecord> {
    const { ledger } = this.#options;
    for (const { txId, epoch, ballot, value } of ledger.find(VOTE_LOCKS, {})) {
      yield { kind: "lock", lock: { txId, epoch, ballot: copy(ballot), value: copy(value) } };
    }
    for (const { seq, kind, body } of ledger.find(VOTING, {})) {
      try {
        yield decodeVoteRecord(kind, copy(body));
      } catch (cause) {
        if (!(cause instanceof DecodeError)) throw cause;
        throw new UsageError(
          "STORE_CORRUPT",
          `row ${seq} of the votes in the store cannot be read: ${cause.message}; put back the newest copy of the store`,
          { cause },
        );
      }
    }
  }

  /** @throws UsageError OUTBOX_FULL before a lock for which there is no room, or what the file throws, with nothing written. */
  commit(records: readonly VoteRecord[]): void {
    if (!records.some(({ kind }) => kind === "lock")) {
      this.#waiting.push(...records);
      return;
    }
    this.#options.outbox.requireRoom();
    const parts = this.#partsOf([...this.#waiting, ...records]);
    if (parts.length > 1) return this.#commitAfterFlush(records);
    for (const part of parts) this.#write(part);
    this.#waiting = [];
  }

  /** Whether something was committed that is not durable. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Makes durable what was committed since. When this throws, the node has to be made anew from the store. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const part of this.#partsOf(waiting)) this.#write(part);
  }

  /** How many transactions were written by this process. */
  get written(): number {
    return this.#written;
  }

  /** Writes nothing that stays: whether the file can be written. @throws UsageError STORE_UNWRITABLE */
  probe(): void {
    const row = { seq: this.#last + 1, kind: "probe", body: new Uint8Array() };
    this.#options.ledger.transact((transaction) => {
      transaction.put(VOTING, row);
      transaction.remove(VOTING, row);
    });
    this.#written++;
  }

  /** Forgets what was committed and is not durable. */
  discard(): void {
    this.#waiting = [];
  }

  #commitAfterFlush(records: readonly VoteRecord[]): void {
    this.flush();
    for (const part of this.#partsOf(records)) this.#write(part);
  }

  /** What goes into one transaction each: a change of the file has a largest size, and a peer may bring more than that at once. */
  #partsOf(records: readonly VoteRecord[]): Prepared[][] {
    const parts: Prepared[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const prepared of records.map((record) => this.#prepared(record))) {
      const part = parts.at(-1);
      const isFull = part === undefined || part.length >= PART_RECORDS || bytes + prepared.bytes > PART_BYTES;
      // The time at which a transaction was opened stays with what opened it.
      if (part === undefined || (isFull && prepared.record.kind !== "opened")) {
        parts.push([prepared]);
        bytes = prepared.bytes;
      } else {
        part.push(prepared);
        bytes += prepared.bytes;
      }
    }
    return parts;
  }

  #prepared(record: VoteRecord): Prepared {
    if (record.kind === "lock") return { record, bytes: record.lock.value.length };
    const { membershipAt, now } = this.#options;
    const body = encodeVoteRecord(record);
    const outside = outsideRecord(record, membershipAt, now());
    return { record, body, outside, bytes: body.length + (outside?.body.length ?? 0) };
  }

  #write(part: readonly Prepared[]): void {
    const { ledger } = this.#options;
    const before = this.#last;
    try {
      ledger.transact((transaction) => {
        for (const prepared of part) this.#put(transaction, prepared);
      });
      this.#written++;
    } catch (error) {
      this.#last = before;
      throw error;
    }
  }

  #put(transaction: Transaction, prepared: Prepared): void {
    const { outbox } = this.#options;
    if (prepared.body === undefined) return putLock(transaction, prepared.record.lock);
    const { record: { kind }, body, outside } = prepared;
    transaction.put(VOTING, { seq: ++this.#last, kind, body });
    // A decision holds its votes: they are left out where too much waits already.
    if (outside !== undefined && (outbox.hasRoom || kind !== "vote")) outbox.push(transaction, outside);
  }
}

/** A record with what is written of it. */
type Prepared =
  | {
    readonly record: Extract<VoteRecord, { readonly kind: "lock" }>;
    readonly body?: undefined;
    readonly bytes: number;
  }
  | {
    readonly record: StoredRecord;
    readonly body: Bytes;
    readonly outside: NewRecord | undefined;
    readonly bytes: number;
  };

/** Most records of one transaction, each of which may change two rows, and bytes of them. */
const PART_RECORDS = 500;
const PART_BYTES = 4 << 20;

/** A lock is set once, whatever asks for it. */
function putLock(transaction: Transaction, lock: VoteLock): void {
  const [former] = transaction.find(VOTE_LOCKS, { txId: lock.txId });
  if (former === undefined) return transaction.put(VOTE_LOCKS, lock);
  if (equal(former.ballot, lock.ballot) && former.epoch === lock.epoch) return;
  throw new UsageError(
    "ALREADY_VOTED",
    `this node has voted for another value in ${lock.txId}, and votes once`,
  );
}
