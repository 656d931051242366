/**
 * What one party keeps: its shares, its pair states, and the records that must outlive a crash (SPEC 2.7, DESIGN 6).
 *
 * @module
 */

import { type Bytes, copy, equal } from "../base/bytes.ts";
import type { Secret } from "../base/secret.ts";
import type { JournalRecord } from "../protocols/protocol.ts";
import type { Journal } from "../session/journal.ts";
import { Ledger, type LedgerOptions } from "./ledger.ts";
import { type Ban, type ReleaseGate, type SignersPlace, SigningRecords } from "./signing_records.ts";
import { type KeyEntry, type KeyFacts, StoredKeys } from "./stored_keys.ts";
import { type PairEntry, type PairPlace, StoredPairs } from "./stored_pairs.ts";
import { type BackupRow, BACKUPS, type BanRow, type BurnRow, type ReleaseRow } from "./tables.ts";

export { type Ban, type ReleaseGate, type SignersPlace, UNATTRIBUTED_MAX } from "./signing_records.ts";
export type { KeyEntry, KeyFacts } from "./stored_keys.ts";
export {
  BURNED_EPOCHS_MAX,
  CHECK_CRASHES_MAX,
  PAIR_FAILURES_MAX,
  type PairEntry,
  type PairPlace,
} from "./stored_pairs.ts";

/** What opens a {@linkcode LocalStore}. */
export interface LocalStoreOptions extends LedgerOptions {
  /** Reads an encoded share and checks that x_i·G = X_i; or a departure. @throws DecodeError where it is neither. */
  readonly inspect: (encoded: Bytes) => KeyFacts;
  /** Names of parties, for people. */
  readonly nameOf?: (party: number) => string;
  /** Milliseconds since 1970, for records that people read. */
  readonly now?: () => number;
}

/** A party's store. Everything is synchronous: when a call returns, it is on disk. */
export class LocalStore implements Journal, Disposable {
  readonly #ledger: Ledger;
  readonly #keys: StoredKeys;
  readonly #pairs: StoredPairs;
  readonly #signing: SigningRecords;
  readonly #now: () => number;
  readonly #self: number;
  #banned: ((ban: Ban) => void) | undefined;

  private constructor(ledger: Ledger, options: LocalStoreOptions) {
    this.#ledger = ledger;
    this.#now = options.now ?? Date.now;
    this.#self = options.owner.index;
    this.#keys = new StoredKeys(ledger, { ...options, now: this.#now });
    this.#pairs = new StoredPairs(ledger, this.#keys, this.#now);
    const nameOf = options.nameOf ?? ((party: number) => `party ${party}`);
    this.#signing = new SigningRecords(ledger, this.#now, nameOf);
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
      store.#pairs.countCrashes();
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
          return this.#pairs.beginChecks(transaction, record);
        case "check-end":
          return this.#pairs.endChecks(transaction, record);
        case "burn":
          return this.#pairs.burn(transaction, record);
        case "pair":
          return this.#pairs.put(transaction, record);
        case "key-pending":
          return this.#keys.putPending(transaction, record);
        case "key-active":
          return this.#keys.activate(transaction, record);
        case "release":
          return this.#signing.release(transaction, record);
      }
    }, REPLACING.has(record.kind));
    if (REPLACING.has(record.kind)) this.#ledger.overwriteErased();
  }

  /** All keys, by name, epoch and time. */
  keys(): KeyEntry[] {
    return this.#keys.all();
  }

  /** Everything stored under a name: at most one key is active, several may be pending; the newest is the last. */
  named(name: string): KeyEntry[] {
    return this.#keys.named(name);
  }

  /**
   * Erases a share that is PENDING, for good. Nothing here does that by itself: somebody could still hold its complete
   * certificate, and what depends on the key would then be lost with it.
   *
   * @throws UsageError KEY_UNKNOWN, or KEY_EXISTS where it is not PENDING.
   */
  discardPending(place: { readonly keyId: Bytes; readonly epoch: number }): void {
    this.#keys.discardPending(place);
  }

  /** The newest active epoch of a key. @throws UsageError KEY_UNKNOWN or KEY_PENDING */
  active(name: string): KeyEntry {
    return this.#keys.active(name);
  }

  /**
   * The encoded share of a key in one epoch; the caller disposes it.
   *
   * @throws UsageError STORE_CORRUPT where it does not authenticate or is not a valid share of this key.
   */
  openKey(place: { readonly keyId: Bytes; readonly epoch: number }): Secret {
    return this.#keys.open(place);
  }

  /** What people call a key; undefined for one that is not here. */
  nameOf(keyId: Bytes): string | undefined {
    return this.#keys.all().find((entry) => equal(entry.keyId, keyId))?.name;
  }

  /** Notes that every party is known to have the certificate. */
  settle(place: { readonly keyId: Bytes; readonly epoch: number }): void {
    this.#keys.settle(place);
  }

  /** The pair with a peer. @throws UsageError STORE_CORRUPT */
  pair(place: PairPlace): PairEntry {
    return this.#pairs.get(place);
  }

  /**
   * Whether a pair may be set up (SPEC 2.3). A new epoch lifts a ban, because every party's operator ran the command that made
   * it, but not without end (SPEC 2.7).
   *
   * @throws UsageError PAIR_BURNED or PAIR_LIMIT
   */
  admitPairSetUp(place: PairPlace): void {
    this.#pairs.admitSetUp(place);
  }

  /** Notes that a set-up failed a check; one that merely timed out says nothing and does not count. */
  pairSetUpFailed(place: PairPlace): void {
    this.#pairs.setUpFailed(place);
  }

  /** Why pairs were burned, for people. */
  burns(): BurnRow[] {
    return this.#pairs.burns();
  }

  /** Signing sessions of a key whose last round may have left. */
  releases(keyId: Bytes): ReleaseRow[] {
    return this.#signing.releases(keyId);
  }

  /** Has every release of a key with a purpose pass a gate, which throws where it may not leave, in the same transaction. */
  guardReleases(gate: ReleaseGate): void {
    this.#signing.guard(gate);
  }

  /** @throws UsageError SIGNING_PAUSED */
  requireSigning(): void {
    this.#signing.requireNotPaused();
  }

  /** A signature on this payload is known: it is no longer unknown whether there is one. */
  resolvePayload(keyId: Bytes, payloadHash: Bytes): void {
    this.#signing.resolve(keyId, payloadHash);
  }

  /**
   * Refuses signers of whom one is banned, and those whose signatures have failed too often with nobody to name: one of them lies,
   * and each attempt may teach it something.
   *
   * @throws UsageError SIGNER_BANNED or FAILURE_BUDGET
   */
  admitSigners(place: SignersPlace): void {
    this.#signing.admitSigners(place);
  }

  /** Keeps a party out of signing with a key until {@linkcode LocalStore.unbanSigner}. The first reason stays. */
  banSigner(ban: Ban): void {
    if (ban.party !== this.#self && this.#signing.ban(ban)) this.#banned?.(ban);
  }

  /** Tells of every new ban once it is on disk. */
  watchBans(banned: (ban: Ban) => void): void {
    this.#banned = banned;
  }

  /** Ends a ban. @returns false where there is none. */
  unbanSigner(keyId: Bytes, party: number): boolean {
    return this.#signing.unban(keyId, party);
  }

  /** Who is banned from signing with a key, and why. */
  bans(keyId: Bytes): BanRow[] {
    return this.#signing.bans(keyId);
  }

  /** Notes that a signature failed a check for which nobody can be named. */
  signersFailed(place: SignersPlace): void {
    this.#signing.signersFailed(place);
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
}

/** Records that replace a sealed secret, which would stay in the write-ahead log. */
const REPLACING: ReadonlySet<JournalRecord["kind"]> = new Set(["key-active", "burn", "pair"]);
