/**
 * What one party keeps: its shares, its pair states, and the records that must outlive a crash (SPEC 2.7, DESIGN 6).
 *
 * @module
 */

import { type Bytes, concat, copy, EMPTY, equal, hex, u16, u32, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import { didYouMean } from "../base/suggest.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { BoundRelease } from "../protocols/bound.ts";
import type { JournalRecord } from "../protocols/protocol.ts";
import type { Journal } from "../session/journal.ts";
import { Ledger, type LedgerOptions, type Transaction } from "./ledger.ts";
import {
  type BackupRow,
  BACKUPS,
  type BurnRow,
  BURNS,
  FAILURES,
  type KeyRow,
  KEYS,
  MARKS,
  type PairRow,
  PAIRS,
  type ReleaseRow,
  RELEASES,
  SIGNING,
} from "./tables.ts";

/** Crashes inside a check that a pair survives in one epoch (SPEC 2.7). */
export const CHECK_CRASHES_MAX = 4;
/** Failed set-ups after which a pair is refused in one epoch (SPEC 2.3). */
export const PAIR_FAILURES_MAX = 3;
/** Failed signatures of one set of signers, with nobody to name, after which the set is refused in one epoch (SPEC 2.6). */
export const UNATTRIBUTED_MAX = 3;
/** Records that replace a sealed secret, which would stay in the write-ahead log. */
const REPLACING: ReadonlySet<JournalRecord["kind"]> = new Set(["key-active", "burn", "pair"]);
/** Epochs in which a pair may be burned and be set up anew in the next one (SPEC 2.7). */
export const BURNED_EPOCHS_MAX = 3;

/** What the store must know of an encoded share, whose form belongs to the protocols. */
export interface KeyFacts {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Name of the curve: part of the AAD. */
  readonly curve: string;
  /** Index of the party whose share it is. */
  readonly self: number;
  /** True where there is no share: the party leaves the key in this epoch. */
  readonly departs?: boolean;
}

/** What opens a {@linkcode LocalStore}. */
export interface LocalStoreOptions extends LedgerOptions {
  /** Reads an encoded share and checks that x_i·G = X_i; or a departure. @throws DecodeError where it is neither. */
  readonly inspect: (encoded: Bytes) => KeyFacts;
  /** Milliseconds since 1970, for records that people read. */
  readonly now?: () => number;
}

/** One epoch of a key, without its secrets. */
export type KeyEntry = Omit<KeyRow, "sealed" | "settled"> & {
  /** Every party is known to have the certificate. */
  readonly settled: boolean;
};

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

/** Which signers of which key are meant. */
export interface SignersPlace {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Indices, ascending. */
  readonly signers: readonly number[];
}

/** Looks at a release before it is written. */
export type ReleaseGate = (
  transaction: Transaction,
  release: BoundRelease & { readonly keyId: Bytes; readonly epoch: number },
) => void;

/** A party's store. Everything is synchronous: when a call returns, it is on disk. */
export class LocalStore implements Journal, Disposable {
  readonly #ledger: Ledger;
  readonly #options: LocalStoreOptions;
  readonly #now: () => number;
  #gate: ReleaseGate | undefined;

  private constructor(ledger: Ledger, options: LocalStoreOptions) {
    this.#ledger = ledger;
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Opens or makes a store, and counts the checks in which the last process ended.
   *
   * @throws UsageError see {@linkcode Ledger.open}
   */
  static open(options: LocalStoreOptions): LocalStore {
    const ledger = Ledger.open(options);
    try {
      const store = new LocalStore(ledger, options);
      store.#countCrashes();
      return store;
    } catch (error) {
      ledger[Symbol.dispose]();
      throw error;
    }
  }

  /** The file, for what else the party stores in it in transactions of its own: votes, sign locks, records. */
  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Writes one record of a protocol. @throws UsageError with nothing changed. */
  write(record: JournalRecord): void {
    this.#ledger.transact((transaction) => {
      switch (record.kind) {
        case "check-begin":
          return this.#beginChecks(transaction, record);
        case "check-end":
          return this.#endChecks(transaction, record);
        case "burn":
          return this.#burn(transaction, record);
        case "pair":
          return this.#putPair(transaction, record);
        case "key-pending":
          return this.#putPending(transaction, record);
        case "key-active":
          return this.#activate(transaction, record);
        case "release":
          return this.#release(transaction, record);
      }
    }, REPLACING.has(record.kind));
    if (REPLACING.has(record.kind)) this.#ledger.overwriteErased();
  }

  /** All keys, by name, epoch and time. */
  keys(): KeyEntry[] {
    const entries = this.#ledger.find(KEYS, {}).map(entryOf);
    return entries.sort((a, b) =>
      a.name < b.name ? -1 : a.name > b.name ? 1 : a.epoch - b.epoch || a.time - b.time
    );
  }

  /** Everything stored under a name: at most one key is active, several may be pending; the newest is the last. */
  named(name: string): KeyEntry[] {
    return this.keys().filter((key) => key.name === name);
  }

  /**
   * Erases a share that is PENDING, for good. Nothing here does that by itself: somebody could still hold its complete
   * certificate, and what depends on the key would then be lost with it.
   *
   * @throws UsageError KEY_UNKNOWN, or KEY_EXISTS where it is not PENDING.
   */
  discardPending(place: { readonly keyId: Bytes; readonly epoch: number }): void {
    this.#ledger.transact((transaction) => {
      const row = this.#keyRow(transaction, place);
      if (row.state !== "pending") {
        throw new UsageError(
          "KEY_EXISTS",
          `the key ${row.name} is ${row.state} in epoch ${row.epoch}: only a pending share is discarded`,
        );
      }
      this.#erase(transaction, row);
    }, true);
    this.#ledger.overwriteErased();
  }

  /** The newest active epoch of a key. @throws UsageError KEY_UNKNOWN or KEY_PENDING */
  active(name: string): KeyEntry {
    const entries = this.named(name);
    const newest = entries.findLast((entry) => entry.state === "active");
    if (newest !== undefined) return newest;
    const left = entries.findLast((entry) => entry.state === "left");
    if (left !== undefined) {
      throw new UsageError(
        "KEY_UNKNOWN",
        `this party left the key ${name} in epoch ${left.epoch} and has no share of it`,
      );
    }
    if (entries.some((entry) => entry.epoch > 0)) {
      throw new UsageError(
        "KEY_PENDING",
        `the key ${name} has no certificate of all parties yet: run key reshare again at all of them`,
      );
    }
    if (entries.length > 0) {
      throw new UsageError(
        "KEY_PENDING",
        `the key ${name} has no certificate of all parties yet: run key generate again at all of them`,
      );
    }
    const known = [...new Set(this.keys().map((key) => key.name))];
    throw new UsageError(
      "KEY_UNKNOWN",
      `no key ${name} is stored here: ${
        known.length === 0 ? "there is none" : `there are ${known.join(", ")}${didYouMean(name, known)}`
      }`,
    );
  }

  /**
   * The encoded share of a key in one epoch; the caller disposes it.
   *
   * @throws UsageError STORE_CORRUPT where it does not authenticate or is not a valid share of this key.
   */
  openKey({ keyId, epoch }: { readonly keyId: Bytes; readonly epoch: number }): Secret {
    return this.#opened(this.#keyRow(this.#ledger, { keyId, epoch }));
  }

  #opened(row: KeyRow): Secret {
    const encoded = this.#ledger.sealer.open(this.#aad(row, "key", 0), row.sealed);
    if (encoded === undefined) throw corrupt(`the share of ${row.name}`, "does not authenticate");
    const problem = this.#problemOf(encoded, row);
    if (problem === undefined) return encoded;
    encoded[Symbol.dispose]();
    throw corrupt(`the share of ${row.name}`, problem);
  }

  /** Notes that every party is known to have the certificate. */
  settle({ keyId, epoch }: { readonly keyId: Bytes; readonly epoch: number }): void {
    this.#ledger.transact((transaction) => {
      const [row] = transaction.find(KEYS, { keyId, epoch });
      if (row?.state === "active" && row.settled === 0) transaction.put(KEYS, { ...row, settled: 1 });
    });
  }

  /** The pair with a peer. @throws UsageError STORE_CORRUPT */
  pair(place: PairPlace): PairEntry {
    const row = this.#pairRow(this.#ledger, place);
    if (row.status !== "ok") return { status: row.status, state: undefined };
    const state = this.#ledger.sealer.open(
      this.#aad(this.#keyRow(this.#ledger, place), "pair", row.peer),
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
  admitPairSetUp(place: PairPlace): void {
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
  pairSetUpFailed(place: PairPlace): void {
    this.#ledger.transact((transaction) => {
      const row = this.#pairRow(transaction, place);
      transaction.put(PAIRS, { ...row, failures: row.failures + 1 });
    });
  }

  /** Why pairs were burned, for people. */
  burns(): BurnRow[] {
    return this.#ledger.find(BURNS, {});
  }

  /** Signing sessions of a key whose last round may have left. */
  releases(keyId: Bytes): ReleaseRow[] {
    return this.#ledger.find(RELEASES, { keyId: copy(keyId) });
  }

  /** Has every release of a key with a purpose pass a gate, which throws where it may not leave, in the same transaction. */
  guardReleases(gate: ReleaseGate): void {
    this.#gate = gate;
  }

  /** @throws UsageError SIGNING_PAUSED */
  requireSigning(): void {
    refusePaused(this.#ledger);
  }

  /** A signature on this payload is known: it is no longer unknown whether there is one. */
  resolvePayload(keyId: Bytes, payloadHash: Bytes): void {
    this.#ledger.transact((transaction) => {
      for (const row of transaction.find(RELEASES, { keyId, payloadHash, outcome: "unknown" })) {
        transaction.put(RELEASES, { ...row, outcome: "signed" });
      }
    });
  }

  /**
   * Refuses signers whose signatures have failed too often with nobody to name: one of them lies, and each attempt may teach it
   * something.
   *
   * @throws UsageError FAILURE_BUDGET
   */
  admitSigners({ keyId, epoch, signers }: SignersPlace): void {
    const [row] = this.#ledger.find(FAILURES, { keyId: copy(keyId), epoch, signers: encodeSigners(signers) });
    if (row === undefined || row.count < UNATTRIBUTED_MAX) return;
    throw new UsageError(
      "FAILURE_BUDGET",
      `${row.count} signatures of these signers failed and nobody could be named: sign with others, or refresh the key without whoever is not trusted`,
    );
  }

  /** Notes that a signature failed a check for which nobody can be named. */
  signersFailed({ keyId, epoch, signers }: SignersPlace): void {
    this.#ledger.transact((transaction) => {
      const place = { keyId: copy(keyId), epoch, signers: encodeSigners(signers) };
      const [row] = transaction.find(FAILURES, place);
      transaction.put(FAILURES, { ...place, count: (row?.count ?? 0) + 1 });
    });
  }

  /** Notes that there is a backup of the share of a key in one epoch. */
  noteBackup({ keyId, epoch, custodian }: Omit<BackupRow, "time">): void {
    this.#ledger.transact((transaction) => {
      transaction.put(BACKUPS, { keyId: copy(keyId), epoch, custodian: copy(custodian), time: this.#now() });
    });
  }

  /** Which backups of a key were made here, by epoch. */
  backups(keyId: Bytes): BackupRow[] {
    return this.#ledger.find(BACKUPS, { keyId: copy(keyId) });
  }

  /** Closes the store and erases its keys. */
  [Symbol.dispose](): void {
    this.#ledger[Symbol.dispose]();
  }

  #beginChecks(transaction: Transaction, record: Extract<JournalRecord, { kind: "check-begin" }>): void {
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

  #endChecks(
    transaction: Transaction,
    { keyId, epoch, sid }: Extract<JournalRecord, { kind: "check-end" }>,
  ): void {
    for (const mark of transaction.find(MARKS, { keyId, epoch, sid })) transaction.remove(MARKS, mark);
  }

  #burn(transaction: Transaction, record: Omit<BurnRow, "time">): void {
    const { keyId, epoch, peer, sid, messageHash, reason } = record;
    const row = this.#pairRow(transaction, { keyId, epoch, peer });
    if (transaction.find(BURNS, { keyId, epoch, peer, sid }).length === 0) {
      transaction.put(BURNS, { keyId, epoch, peer, sid, messageHash, reason, time: this.#now() });
    }
    transaction.put(PAIRS, { ...row, status: "burned", sealed: EMPTY });
    for (const mark of transaction.find(MARKS, { keyId, epoch, peer, sid })) transaction.remove(MARKS, mark);
  }

  #putPair(transaction: Transaction, record: Extract<JournalRecord, { kind: "pair" }>): void {
    const key = this.#keyRow(transaction, record);
    const row = this.#pairRow(transaction, record);
    refuseBurned(row);
    const sealed = this.#ledger.sealer.seal(this.#aad(key, "pair", record.peer), record.state);
    // Failures stay counted: each could have been a guess at the state that is kept now (SPEC 2.3).
    transaction.put(PAIRS, { ...row, status: "ok", sealed });
  }

  #putPending(transaction: Transaction, record: Extract<JournalRecord, { kind: "key-pending" }>): void {
    const { keyId, epoch, name, key } = record;
    for (const other of transaction.find(KEYS, { name })) {
      const same = equal(other.keyId, keyId);
      if (other.state === "active" && (!same || other.epoch >= epoch)) throw keyExists(name);
    }
    const { curve } = this.#options.inspect(key.expose());
    const problem = this.#problemOf(key, { keyId, epoch, curve });
    invariant(problem === undefined, `a share that is to be stored ${problem}`);
    const place = { keyId, epoch, curve };
    const [former] = transaction.find(KEYS, { keyId, epoch });
    if (former !== undefined) {
      // An epoch is endorsed once: another attempt has another number, so that no number gets two certificates.
      using stored = this.#opened(former);
      invariant(equal(stored.expose(), key.expose()), "an epoch of a key has one share");
      return;
    }
    transaction.put(KEYS, {
      ...place,
      name,
      state: "pending",
      settled: 0,
      sealed: this.#ledger.sealer.seal(this.#aad(place, "key", 0), key),
      certificate: EMPTY,
      time: this.#now(),
    });
  }

  /**
   * Promotes an epoch, and erases the earlier ones of the same key in the same transaction: the certificate shows that all
   * members have their shares of this one. Later attempts stay, and so do PENDING shares of other keys under the name:
   * somebody may hold their certificates (`discardPending`).
   */
  #activate(transaction: Transaction, record: Extract<JournalRecord, { kind: "key-active" }>): void {
    const row = this.#keyRow(transaction, record);
    if (row.state !== "pending") return;
    for (const other of transaction.find(KEYS, { name: row.name })) {
      if (other.state === "active" && (!equal(other.keyId, row.keyId) || other.epoch > row.epoch)) {
        throw keyExists(row.name);
      }
    }
    for (const other of transaction.find(KEYS, { keyId: row.keyId })) {
      if (other.epoch < row.epoch) this.#erase(transaction, other);
    }
    const state = this.#departs(row) ? "left" : "active";
    transaction.put(KEYS, { ...row, state, certificate: record.certificate });
  }

  /** Removes one epoch of a key with its pair states and marks. Why pairs were burned, and what was released, stays. */
  #erase(transaction: Transaction, row: KeyRow): void {
    const { keyId, epoch } = row;
    // What is written beside the database about this change names the rows, and holds nothing of their contents.
    for (const pair of transaction.find(PAIRS, { keyId, epoch })) {
      transaction.remove(PAIRS, { ...pair, sealed: EMPTY });
    }
    for (const mark of transaction.find(MARKS, { keyId, epoch })) transaction.remove(MARKS, mark);
    transaction.remove(KEYS, { ...row, sealed: EMPTY });
  }

  #departs(row: KeyRow): boolean {
    using encoded = this.#opened(row);
    return this.#options.inspect(encoded.expose()).departs === true;
  }

  #release(transaction: Transaction, record: Extract<JournalRecord, { kind: "release" }>): void {
    const { sid, keyId, epoch, payloadHash, bound } = record;
    // In the transaction that lets a share out: once a pause is on disk, none leaves.
    refusePaused(transaction);
    if (bound !== undefined) {
      if (this.#gate === undefined) {
        throw new UsageError(
          "APPROVAL_REQUIRED",
          "nothing here looks after what is approved: start the node with quorate node run",
        );
      }
      this.#gate(transaction, { keyId, epoch, ...bound });
    }
    transaction.put(RELEASES, { sid, keyId, epoch, payloadHash, outcome: "unknown", time: this.#now() });
  }

  /** A mark that is still there was a crash inside a check: counted, and too many burn the pair (SPEC 2.7). */
  #countCrashes(): void {
    this.#ledger.transact((transaction) => {
      for (const mark of transaction.find(MARKS, {})) {
        const row = this.#pairRow(transaction, mark);
        const crashes = row.crashes + 1;
        transaction.put(PAIRS, { ...row, crashes });
        if (crashes > CHECK_CRASHES_MAX && row.status !== "burned") {
          this.#burn(transaction, { ...mark, reason: `the process ended inside a check ${crashes} times` });
        } else transaction.remove(MARKS, mark);
      }
    });
  }

  #keyRow(from: Pick<Transaction, "find">, { keyId, epoch }: { keyId: Bytes; epoch: number }): KeyRow {
    const [row] = from.find(KEYS, { keyId, epoch });
    if (row === undefined) throw noSuchKey(keyId, epoch);
    return row;
  }

  #pairRow(from: Pick<Transaction, "find">, { keyId, epoch, peer }: PairPlace): PairRow {
    const [row] = from.find(PAIRS, { keyId, epoch, peer });
    return row ??
      { keyId: copy(keyId), epoch, peer, status: "absent", sealed: EMPTY, crashes: 0, failures: 0 };
  }

  #problemOf(encoded: Secret, place: Pick<KeyRow, "keyId" | "epoch" | "curve">): string | undefined {
    try {
      const facts = this.#options.inspect(encoded.expose());
      if (!equal(facts.keyId, place.keyId) || facts.epoch !== place.epoch || facts.curve !== place.curve) {
        return "belongs to another key or epoch";
      }
      if (facts.self !== this.#options.owner.index) return "belongs to another party";
      return undefined;
    } catch (error) {
      if (error instanceof DecodeError) return `is not valid: ${error.message}`;
      throw error;
    }
  }

  #aad(key: Pick<KeyRow, "keyId" | "epoch" | "curve">, kind: "key" | "pair", peer: number): Bytes {
    const { cluster, party, index } = this.#options.owner;
    return hash(
      Tag.storeItem,
      utf8(cluster),
      utf8(party),
      u16(index),
      key.keyId,
      u32(key.epoch),
      utf8(key.curve),
      utf8(kind),
      u16(peer),
    );
  }
}

function entryOf({ sealed: _, settled, ...row }: KeyRow): KeyEntry {
  return { ...row, settled: settled === 1 };
}

/** @throws UsageError SIGNING_PAUSED */
function refusePaused(from: Pick<Transaction, "find">): void {
  const [paused] = from.find(SIGNING, { name: "paused" });
  if (paused === undefined) return;
  throw new UsageError(
    "SIGNING_PAUSED",
    `signing is paused here since ${
      new Date(paused.time).toISOString()
    }: an operator has to say quorate resume`,
  );
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

function keyExists(name: string): UsageError {
  return new UsageError("KEY_EXISTS", `a key ${name} exists already: choose another name`);
}

function noSuchKey(keyId: Bytes, epoch: number): UsageError {
  return new UsageError("KEY_UNKNOWN", `no key ${hex(keyId).slice(0, 16)} is stored here in epoch ${epoch}`);
}

function corrupt(what: string, problem: string): UsageError {
  return new UsageError("STORE_CORRUPT", `${what} ${problem}: put back the newest copy of the store`);
}

function encodeSigners(signers: readonly number[]): Bytes {
  return concat(...signers.map(u16));
}
