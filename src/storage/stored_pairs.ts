/**
 * The pairs of a party's store: pair states, checks that have begun, and pairs that are banned (SPEC 2.3, 2.7).
 *
 * @module
 */

import { type Bytes, copy, EMPTY } from "../base/bytes.ts";
import { invariant, UsageError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import type { JournalRecord } from "../protocols/protocol.ts";
import type { Ledger, Transaction } from "./ledger.ts";
import { corrupt, type StoredKeys } from "./stored_keys.ts";
import { type BurnRow, BURNS, MARKS, type PairRow, PAIRS } from "./tables.ts";

/** Crashes inside a check that a pair survives in one epoch (SPEC 2.7). */
export const CHECK_CRASHES_MAX = 4;
/** Failed set-ups after which a pair is refused in one epoch (SPEC 2.3). */
export const PAIR_FAILURES_MAX = 3;
/** Epochs in which a pair may be burned and be set up anew in the next one (SPEC 2.7). */
export const BURNED_EPOCHS_MAX = 3;

/** A pair, seen from here. */
export interface PairEntry {
  /** Whether the pair can be used. */
  readonly status: PairRow["status"];
  /** The encoded pair state where the status is `ok`: the caller disposes it. */
  readonly state: Secret | undefined;
}

/** Which pair of which key is meant. */
export interface PairPlace {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Index of the other party. */
  readonly peer: number;
}

/** The pairs in a ledger. */
export class StoredPairs {
  readonly #ledger: Ledger;
  readonly #keys: StoredKeys;
  readonly #now: () => number;

  /** Over a ledger that is open. */
  constructor(ledger: Ledger, keys: StoredKeys, now: () => number) {
    this.#ledger = ledger;
    this.#keys = keys;
    this.#now = now;
  }

  /** The pair with a peer. @throws UsageError STORE_CORRUPT */
  get(place: PairPlace): PairEntry {
    const row = this.#pairRow(this.#ledger, place);
    if (row.status !== "ok") return { status: row.status, state: undefined };
    const state = this.#ledger.sealer.open(
      this.#keys.aad(this.#keys.row(this.#ledger, place), "pair", row.peer),
      row.sealed,
    );
    if (state === undefined) throw corrupt(`the pair state with party ${row.peer}`, "does not authenticate");
    return { status: "ok", state };
  }

  /**
   * Whether a pair may be set up (SPEC 2.3). A new epoch lifts a ban, because every party's operator ran the command that made
   * it, but not without end (SPEC 2.7).
   *
   * @throws UsageError PAIR_BURNED or PAIR_LIMIT
   */
  admitSetUp(place: PairPlace): void {
    const row = this.#pairRow(this.#ledger, place);
    refuseBurned(row);
    const { keyId, peer } = row;
    const checked = this.#ledger.find(BURNS, { keyId, peer }).filter(({ messageHash }) =>
      !isCarried(messageHash)
    );
    const burned = new Set(checked.map(({ epoch }) => epoch)).size;
    if (burned >= BURNED_EPOCHS_MAX) {
      throw new UsageError(
        "PAIR_LIMIT",
        `the pair with party ${peer} was banned in ${burned} epochs: replace that party with key reshare`,
      );
    }
    if (row.failures >= PAIR_FAILURES_MAX) {
      throw new UsageError(
        "PAIR_LIMIT",
        `pair set-up with party ${place.peer} failed a check ${row.failures} times in this epoch: refresh the key`,
      );
    }
  }

  /** Notes that a set-up failed a check; one that merely timed out says nothing and does not count. */
  setUpFailed(place: PairPlace): void {
    this.#ledger.transact((transaction) => {
      const row = this.#pairRow(transaction, place);
      transaction.put(PAIRS, { ...row, failures: row.failures + 1 });
    });
  }

  /** Why pairs were burned, for people. */
  burns(): BurnRow[] {
    return this.#ledger.find(BURNS, {});
  }

  /** @throws UsageError PAIR_BURNED or PAIR_MISSING */
  beginChecks(transaction: Transaction, record: Extract<JournalRecord, { kind: "check-begin" }>): void {
    const { keyId, epoch } = record;
    for (const { peer, sid, messageHash } of record.checks) {
      // The status is read inside the critical section: a burn of another session counts from its commit on.
      const row = this.#pairRow(transaction, { keyId, epoch, peer });
      refuseBurned(row);
      if (row.status !== "ok") {
        throw new UsageError(
          "PAIR_MISSING",
          `there is no pair state with party ${peer}: set the pair up first`,
        );
      }
      invariant(
        transaction.find(MARKS, { keyId, epoch, peer, sid }).length === 0,
        "one session begins a pair's check once",
      );
      transaction.put(MARKS, { keyId, epoch, peer, sid, messageHash });
    }
  }

  /** What was checked in a session is no crash any more. */
  endChecks(
    transaction: Transaction,
    { keyId, epoch, sid }: Extract<JournalRecord, { kind: "check-end" }>,
  ): void {
    for (const mark of transaction.find(MARKS, { keyId, epoch, sid })) transaction.remove(MARKS, mark);
  }

  /** Bans a pair in this epoch. */
  burn(transaction: Transaction, record: Omit<BurnRow, "time">): void {
    const { keyId, epoch, peer, sid, messageHash, reason } = record;
    const row = this.#pairRow(transaction, { keyId, epoch, peer });
    if (transaction.find(BURNS, { keyId, epoch, peer, sid }).length === 0) {
      transaction.put(BURNS, { keyId, epoch, peer, sid, messageHash, reason, time: this.#now() });
    }
    transaction.put(PAIRS, { ...row, status: "burned", sealed: EMPTY });
    for (const mark of transaction.find(MARKS, { keyId, epoch, peer, sid })) transaction.remove(MARKS, mark);
  }

  /** @throws UsageError PAIR_BURNED */
  put(transaction: Transaction, record: Extract<JournalRecord, { kind: "pair" }>): void {
    const key = this.#keys.row(transaction, record);
    const row = this.#pairRow(transaction, record);
    refuseBurned(row);
    const sealed = this.#ledger.sealer.seal(this.#keys.aad(key, "pair", record.peer), record.state);
    // Failures stay counted: each could have been a guess at the state that is kept now (SPEC 2.3).
    transaction.put(PAIRS, { ...row, status: "ok", sealed });
  }

  /** A mark that is still there was a crash inside a check: counted, and too many burn the pair (SPEC 2.7). */
  countCrashes(): void {
    this.#ledger.transact((transaction) => {
      for (const mark of transaction.find(MARKS, {})) {
        const row = this.#pairRow(transaction, mark);
        const crashes = row.crashes + 1;
        transaction.put(PAIRS, { ...row, crashes });
        if (crashes > CHECK_CRASHES_MAX && row.status !== "burned") {
          this.burn(transaction, { ...mark, reason: `the process ended inside a check ${crashes} times` });
        } else transaction.remove(MARKS, mark);
      }
    });
  }

  #pairRow(from: Pick<Transaction, "find">, { keyId, epoch, peer }: PairPlace): PairRow {
    const [row] = from.find(PAIRS, { keyId, epoch, peer });
    return row ??
      { keyId: copy(keyId), epoch, peer, status: "absent", sealed: EMPTY, crashes: 0, failures: 0 };
  }
}

/** A ban that a refresh carried on without a new check. */
function isCarried(messageHash: Bytes): boolean {
  return messageHash.every((byte) => byte === 0);
}

function refuseBurned(row: PairRow): void {
  if (row.status !== "burned") return;
  throw new UsageError(
    "PAIR_BURNED",
    `the pair with party ${row.peer} is banned in epoch ${row.epoch}: sign with other parties, or refresh the key`,
  );
}
