/**
 * The keys of a party's store: shares by name and epoch, sealed (DESIGN 6).
 *
 * @module
 */

import { type Bytes, EMPTY, equal, hex, u16, u32, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import { didYouMean } from "../base/suggest.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { JournalRecord } from "../protocols/protocol.ts";
import type { Ledger, Transaction } from "./ledger.ts";
import type { SealOwner } from "./sealing.ts";
import { type KeyRow, KEYS, MARKS, PAIRS } from "./tables.ts";

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

/** One epoch of a key, without its secrets. */
export type KeyEntry = Omit<KeyRow, "sealed" | "settled"> & {
  /** Every party is known to have the certificate. */
  readonly settled: boolean;
};

/** What {@linkcode StoredKeys} works with. */
export interface StoredKeysOptions {
  /** Whose store it is. */
  readonly owner: SealOwner;
  /** Reads an encoded share and checks that x_i·G = X_i; or a departure. @throws DecodeError where it is neither. */
  readonly inspect: (encoded: Bytes) => KeyFacts;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The shares in a ledger. */
export class StoredKeys {
  readonly #ledger: Ledger;
  readonly #options: StoredKeysOptions;

  /** Over a ledger that is open. */
  constructor(ledger: Ledger, options: StoredKeysOptions) {
    this.#ledger = ledger;
    this.#options = options;
  }

  /** All keys, by name, epoch and time. */
  all(): KeyEntry[] {
    const entries = this.#ledger.find(KEYS, {}).map(entryOf);
    return entries.sort((a, b) =>
      a.name < b.name ? -1 : a.name > b.name ? 1 : a.epoch - b.epoch || a.time - b.time
    );
  }

  /** Everything stored under a name: at most one key is active, several may be pending; the newest is the last. */
  named(name: string): KeyEntry[] {
    return this.all().filter((key) => key.name === name);
  }

  /**
   * Erases a share that is PENDING, for good. Nothing here does that by itself: somebody could still hold its complete
   * certificate, and what depends on the key would then be lost with it.
   *
   * @throws UsageError KEY_UNKNOWN, or KEY_EXISTS where it is not PENDING.
   */
  discardPending(place: { readonly keyId: Bytes; readonly epoch: number }): void {
    this.#ledger.transact((transaction) => {
      const row = this.row(transaction, place);
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
    const known = [...new Set(this.all().map((key) => key.name))];
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
  open({ keyId, epoch }: { readonly keyId: Bytes; readonly epoch: number }): Secret {
    return this.#opened(this.row(this.#ledger, { keyId, epoch }));
  }

  #opened(row: KeyRow): Secret {
    const encoded = this.#ledger.sealer.open(this.aad(row, "key", 0), row.sealed);
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

  /** @throws UsageError KEY_EXISTS */
  putPending(transaction: Transaction, record: Extract<JournalRecord, { kind: "key-pending" }>): void {
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
      sealed: this.#ledger.sealer.seal(this.aad(place, "key", 0), key),
      certificate: EMPTY,
      time: this.#options.now(),
    });
  }

  /**
   * Promotes an epoch, and erases the earlier ones of the same key in the same transaction: the certificate shows that all
   * members have their shares of this one. Later attempts stay, and so do PENDING shares of other keys under the name:
   * somebody may hold their certificates (`discardPending`).
   */
  activate(transaction: Transaction, record: Extract<JournalRecord, { kind: "key-active" }>): void {
    const row = this.row(transaction, record);
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

  /** One row. @throws UsageError KEY_UNKNOWN */
  row(from: Pick<Transaction, "find">, { keyId, epoch }: { keyId: Bytes; epoch: number }): KeyRow {
    const [row] = from.find(KEYS, { keyId, epoch });
    if (row === undefined) throw noSuchKey(keyId, epoch);
    return row;
  }

  /** What a sealed secret of a key is bound to. */
  aad(key: Pick<KeyRow, "keyId" | "epoch" | "curve">, kind: "key" | "pair", peer: number): Bytes {
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
}

function entryOf({ sealed: _, settled, ...row }: KeyRow): KeyEntry {
  return { ...row, settled: settled === 1 };
}

function keyExists(name: string): UsageError {
  return new UsageError("KEY_EXISTS", `a key ${name} exists already: choose another name`);
}

function noSuchKey(keyId: Bytes, epoch: number): UsageError {
  return new UsageError("KEY_UNKNOWN", `no key ${hex(keyId).slice(0, 16)} is stored here in epoch ${epoch}`);
}

/** What cannot be used, and is not mended by trying again. */
export function corrupt(what: string, problem: string): UsageError {
  return new UsageError("STORE_CORRUPT", `${what} ${problem}: put back the newest copy of the store`);
}
