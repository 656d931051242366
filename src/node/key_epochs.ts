/**
 * The epochs of a key as this party has them stored, opened for refresh and reshare.
 *
 * @module
 */

import { equal } from "../base/bytes.ts";
import type { HeldEpoch } from "../protocols/reshare/held.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import type { LocalParty } from "./local_party.ts";

/** The epochs of one key. Disposing it erases the secrets in them. */
export class HeldKey implements Disposable {
  /** Ascending by epoch. */
  readonly epochs: readonly HeldEpoch[];

  /** @ignore use {@linkcode openHeld} */
  constructor(epochs: readonly HeldEpoch[]) {
    this.epochs = epochs;
  }

  /** Erases the secrets. */
  [Symbol.dispose](): void {
    for (const { key } of this.epochs) {
      if ("share" in key) key.share.share[Symbol.dispose]();
    }
  }
}

/**
 * Everything stored of the key that has a name here: of the active one, or else of the newest. Attempts to generate another key
 * under the name are no epochs of it.
 */
export function openHeld(local: LocalParty, name: string): HeldKey {
  const entries = local.store.named(name);
  const current = entries.findLast(({ state }) => state === "active") ?? newestLater(entries);
  const epochs: HeldEpoch[] = [];
  try {
    for (const entry of entries) {
      if (current === undefined || !equal(entry.keyId, current.keyId)) continue;
      epochs.push({ state: entry.state, key: local.openStored(entry) });
    }
    return new HeldKey(epochs);
  } catch (error) {
    new HeldKey(epochs)[Symbol.dispose]();
    throw error;
  }
}

/** Of a party that joins a key, or has left it. */
function newestLater(entries: readonly KeyEntry[]): KeyEntry | undefined {
  return entries.filter(({ epoch }) => epoch > 0).sort((a, b) => a.time - b.time).at(-1);
}
