/**
 * Pair states in memory while sessions use them: read once from the store, and forgotten when a set-up or a burn changes
 * them.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { PairState } from "../protocols/ecdsa/pair_state.ts";
import type { JournalRecord } from "../protocols/protocol.ts";
import type { Journal } from "../session/journal.ts";
import type { LocalStore, PairPlace } from "../storage/local_store.ts";

/** The states that a process holds. It is also the journal of its sessions, so that it sees every change. */
export class PairStates implements Journal, Disposable {
  readonly #store: LocalStore;
  readonly #held = new Map<string, PairState>();
  /** Replaced while a session may still hold them. */
  readonly #former: PairState[] = [];

  /** Over the store of one party. */
  constructor(store: LocalStore) {
    this.#store = store;
  }

  /** Writes a record to the store. */
  write(record: JournalRecord): void {
    this.#store.write(record);
    if (record.kind === "pair") this.#forget(record);
    if (record.kind === "key-active") this.#forgetBefore(record);
    if (record.kind === "burn") {
      this.#held.get(keyOf(record))?.[Symbol.dispose]();
      this.#held.delete(keyOf(record));
    }
  }

  /** The state of a pair now; it belongs to this object. @throws UsageError STORE_CORRUPT */
  get(place: PairPlace & { readonly peer: PartyId }): PairState | undefined {
    const key = keyOf(place);
    const held = this.#held.get(key);
    if (held !== undefined) return held;
    using encoded = this.#store.pair(place).state;
    if (encoded === undefined) return undefined;
    const state = decoded(encoded.expose(), place.peer);
    this.#held.set(key, state);
    return state;
  }

  /** Whether a pair is banned. */
  isBurned(place: PairPlace): boolean {
    if (this.#held.has(keyOf(place))) return false;
    const { status, state } = this.#store.pair(place);
    state?.[Symbol.dispose]();
    return status === "burned";
  }

  /** Erases all states. */
  [Symbol.dispose](): void {
    for (const state of [...this.#held.values(), ...this.#former]) state[Symbol.dispose]();
    this.#held.clear();
    this.#former.length = 0;
  }

  /** The store has erased what belongs to earlier epochs. */
  #forgetBefore({ keyId, epoch }: { readonly keyId: Bytes; readonly epoch: number }): void {
    for (const state of [...this.#held.values()]) {
      const place = state.expose();
      if (equal(place.keyId, keyId) && place.epoch < epoch) this.#forget(place);
    }
  }

  #forget(place: PairPlace): void {
    const held = this.#held.get(keyOf(place));
    if (held !== undefined) this.#former.push(held);
    this.#held.delete(keyOf(place));
  }
}

function keyOf({ keyId, epoch, peer }: PairPlace): string {
  return `${hex(keyId)}/${epoch}/${peer}`;
}

function decoded(bytes: Uint8Array, peer: PartyId): PairState {
  try {
    return PairState.decode(bytes);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new UsageError(
      "STORE_CORRUPT",
      `the pair state with party ${peer} does not decode: ${cause.message}`,
      { cause },
    );
  }
}
