/**
 * What a scenario is: one protocol with everything that its parties have, and what must hold of its results.
 */

import type { PartyId } from "../../src/base/brands.ts";
import { type Bytes, copy, hex } from "../../src/base/bytes.ts";
import type { Definition, JournalRecord, Round } from "../../src/protocols/protocol.ts";
import type { Place } from "./adversary.ts";
import type { Lies } from "./lies.ts";
import type { Slot, World } from "./world.ts";

/** One session at one party. */
export interface Unit {
  readonly party: PartyId;
  readonly participants: readonly PartyId[];
  readonly slot: Slot<unknown>;
}

/** A definition as the corrupt party runs it. */
export type Wrap = <I, O>(definition: Definition<I, O>) => Definition<I, O>;

/** One protocol with everything that its parties have; fresh for each run. */
export interface Scenario {
  readonly protocol: string;
  readonly rounds: readonly Round[];
  /** Lies that only this protocol knows. */
  readonly lies?: Lies;
  /** Starts all sessions of a party. */
  start(world: World, party: PartyId, wrap?: Wrap, delayMs?: number): Unit[];
  /** What is wrong with the results of honest parties of one session, in words. */
  fault(values: readonly unknown[]): string | undefined;
  /** A party's durable state takes a record. */
  record(party: PartyId, record: JournalRecord): void;
  /** What is half done in the durable states of these parties, or was at any time, in words. */
  halfDone(parties: readonly PartyId[]): string | undefined;
  /** Whether any of the receivers looks at what this party says there. Default: all do. */
  isChecked?(place: Place, from: PartyId, receivers: readonly PartyId[]): boolean;
  /** For protocols that must come to one end when they are run again by everybody, whatever happened before. */
  readonly again?: {
    /** False where nothing is left to do, and the command would say so. */
    isDue(): boolean;
    /** What is wrong with the durable states afterwards, in words. */
    fault(): string | undefined;
  };
}

/** For definitions that nobody lies about. */
export function same<T>(definition: T): T {
  return definition;
}

/** Starts a session after a while, with what is stored by then. */
export function startLater<I, O>(
  world: World,
  party: PartyId,
  delayMs: number,
  make: () => { readonly definition: Definition<I, O>; readonly input: I },
): Slot<unknown> {
  const slot: { inner?: Slot<unknown> } = {};
  world.at(delayMs, () => {
    if (!world.isAlive(party)) return;
    const { definition, input } = make();
    slot.inner = world.start(party, definition, input) as Slot<unknown>;
  });
  return {
    get outcome() {
      return slot.inner?.outcome as never;
    },
    get settled() {
      return slot.inner?.settled as never;
    },
    get endedAt() {
      return slot.inner?.endedAt as never;
    },
  };
}

/** What parties store while a key is generated. */
export class GenerationStores {
  readonly #stores = new Map<PartyId, { state: "pending" | "active"; key: Bytes; keyId: string }>();

  /** What a party has. */
  of(party: PartyId): { readonly state: "pending" | "active"; readonly key: Bytes } | undefined {
    return this.#stores.get(party);
  }

  write(party: PartyId, record: JournalRecord): void {
    const held = this.#stores.get(party);
    if (record.kind === "key-pending") {
      if (held?.state === "active") throw new Error("an active key would be overwritten");
      const key = copy(record.key.expose());
      this.#stores.set(party, { state: "pending", key, keyId: hex(record.keyId) });
    } else if (record.kind === "key-active") {
      if (held?.keyId !== hex(record.keyId)) throw new Error("a key is activated that is not stored");
      held.state = "active";
    }
  }

  /** What is half done, in words. */
  halfDone(parties: readonly PartyId[]): string | undefined {
    const held = parties.map((party) => this.#stores.get(party));
    const active = new Set(held.filter((key) => key?.state === "active").map((key) => key?.keyId));
    if (active.size > 1) return "two keys are active";
    const [id] = active;
    return id !== undefined && held.some((key) => key?.keyId !== id)
      ? "a key is active at one party and not even stored at another"
      : undefined;
  }
}
