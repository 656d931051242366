/**
 * Which transactions this node has to say something of: that it has seen them, that it will not vote, that somebody else is silent
 * (VOTING 5). It measures time itself, on a clock that never goes back.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Receipt, Suspicion } from "./availability.ts";
import type { Membership } from "./membership.ts";
import type { Transaction } from "./transactions.ts";

/** What the time is, and who can be reached. */
export interface Tick {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds on a clock that never goes back, from any moment on. */
  readonly monotonicMs: number;
  /** To how many members there are links in both directions. */
  readonly linksUp: number;
}

/** What this node has to say. */
export interface Remarks {
  /** Of itself. */
  readonly receipts: readonly Omit<Receipt, "signature">[];
  /** Of others. */
  readonly suspicions: readonly Omit<Suspicion, "signature">[];
}

/** What a watch is made of. */
export interface WatchOptions {
  /** Who votes. */
  readonly membership: Membership;
  /** This node's place in it. */
  readonly self: PartyId;
  /** After how long a member that has seen a decided transaction and has not answered is silent. */
  readonly silenceMs: number;
}

/** When something was first looked at here, on the clock that never goes back. */
interface Stamps {
  decided: number | undefined;
  readonly receipts: Map<PartyId, number>;
}

/** Transactions of which there is something left to say. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #watched = new Map<Transaction, Stamps>();
  /** Since when enough links were up, at each tick. */
  #steadySince: number | undefined;
  #lastTick: number | undefined;

  /** Of no transaction yet. */
  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Looks at a transaction from now on: it is new, or somebody has said something of it. */
  add(transaction: Transaction): void {
    if (!this.#watched.has(transaction)) {
      this.#watched.set(transaction, { decided: undefined, receipts: new Map() });
    }
  }

  /**
   * What is to be said now.
   *
   * @param isOver whether this node knows a decision, or votes no more.
   * @param isLocked whether this node has voted, or is about to.
   */
  tick(
    { monotonicMs, linksUp }: Tick,
    isOver: (transaction: Transaction) => boolean,
    isLocked: (transaction: Transaction) => boolean,
  ): Remarks {
    this.#measureLinks(monotonicMs, linksUp);
    const receipts: Omit<Receipt, "signature">[] = [];
    const suspicions: Omit<Suspicion, "signature">[] = [];
    for (const [transaction, stamps] of this.#watched) {
      const own = isLocked(transaction) ? undefined : this.#receiptOf(transaction, isOver(transaction));
      if (own !== undefined) receipts.push(own);
      const awaited = this.#awaited(transaction);
      suspicions.push(...this.#suspicionsOf(transaction, awaited, stamps, monotonicMs));
      if (awaited.length === 0 && (isLocked(transaction) || isOver(transaction))) {
        this.#watched.delete(transaction);
      }
    }
    return { receipts, suspicions };
  }

  #measureLinks(monotonicMs: number, linksUp: number): void {
    const { membership, silenceMs } = this.#options;
    // A process that was stopped for long has not seen what its links did.
    const isGap = this.#lastTick !== undefined && monotonicMs - this.#lastTick > silenceMs / 2;
    this.#lastTick = monotonicMs;
    if (linksUp < membership.quorum - 1) this.#steadySince = undefined;
    else if (isGap) this.#steadySince = monotonicMs;
    else this.#steadySince ??= monotonicMs;
  }

  #receiptOf({ txId, receipts }: Transaction, isOver: boolean): Omit<Receipt, "signature"> | undefined {
    const { self: member } = this.#options;
    const state = isOver ? "abstained" : "seen";
    const isSaid = receipts.some((one) => one.member === member && one.state === state);
    return isSaid ? undefined : { txId, state, member };
  }

  /** Members that have seen a transaction, and have neither answered nor been suspected by this node. */
  #awaited({ votes, receipts, suspicions }: Transaction): PartyId[] {
    const { self } = this.#options;
    return receipts
      .filter(({ state, member }) => state === "seen" && !votes.has(member))
      .map(({ member }) => member)
      .filter((member) => !receipts.some((one) => one.member === member && one.state === "abstained"))
      .filter((member) => !suspicions.some((one) => one.subject === member && one.observer === self));
  }

  #suspicionsOf(
    { txId, certificates }: Transaction,
    awaited: readonly PartyId[],
    stamps: Stamps,
    monotonicMs: number,
  ): Omit<Suspicion, "signature">[] {
    const { self: observer, silenceMs } = this.#options;
    for (const member of awaited) {
      if (!stamps.receipts.has(member)) stamps.receipts.set(member, monotonicMs);
    }
    if (certificates.length > 0) stamps.decided ??= monotonicMs;
    const { decided } = stamps;
    const steadySince = this.#steadySince;
    if (decided === undefined || steadySince === undefined) return [];
    return awaited
      // From when all of it was so: whoever learns of the decision with us has as long to say that it abstains.
      .filter((member) =>
        monotonicMs - Math.max(stamps.receipts.get(member) ?? monotonicMs, decided, steadySince) >= silenceMs
      )
      .map((subject) => ({ txId, subject, observer }));
  }
}
