/**
 * Who has said what of the transactions of an epoch: receipts and suspicions, the own ones and those of others (VOTING 5).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import {
  isReceiptValid,
  isSuspicionValid,
  presenceOf,
  type Receipt,
  signReceipt,
  signSuspicion,
  type Suspicion,
} from "./availability.ts";
import type { Item } from "./items.ts";
import type { Membership } from "./membership.ts";
import type { VoteStore } from "./store.ts";
import type { Transaction, Transactions } from "./transactions.ts";
import { type Tick, Watch } from "./watch.ts";

/** What a roll is made of. */
export interface RollOptions {
  /** Who votes. */
  readonly membership: Membership;
  /** This node's place; undefined where it has none, and has nothing to say. */
  readonly self: PartyId | undefined;
  /** Of what there may be something to say. */
  readonly transactions: Transactions;
  /** Where it is written. */
  readonly store: VoteStore;
  /** Signs with the vote key. */
  readonly sign: (message: Bytes) => Bytes;
  /** After how long a member that has seen a decided transaction and has not answered is silent. */
  readonly silenceMs: number;
  /** Told when a member is silent by what has come, or late. */
  readonly on: (txId: string, subject: PartyId, isLate: boolean) => void;
}

/** Receipts and suspicions. */
export class Roll {
  readonly #options: RollOptions;
  readonly #watch: Watch | undefined;

  /** Of transactions that are known. */
  constructor(options: RollOptions) {
    const { membership, self, silenceMs } = options;
    this.#options = options;
    this.#watch = self === undefined ? undefined : new Watch({ membership, self, silenceMs });
  }

  /** Looks at a transaction from now on. */
  watch(transaction: Transaction): void {
    this.#watch?.add(transaction);
  }

  /** What this node has to say now, stored and signed, for everybody. See {@linkcode Watch.tick}. */
  tick(
    tick: Tick,
    isOver: (transaction: Transaction) => boolean,
    isLocked: (transaction: Transaction) => boolean,
  ): readonly Item[] {
    const { membership, sign } = this.#options;
    const remarks = this.#watch?.tick(tick, isOver, isLocked);
    const receipts = (remarks?.receipts ?? []).map((one) => signReceipt(membership, one, sign));
    const suspicions = (remarks?.suspicions ?? []).map((one) => signSuspicion(membership, one, sign));
    for (const receipt of receipts) this.#keepReceipt(receipt);
    for (const suspicion of suspicions) this.#keepSuspicion(suspicion);
    return [
      ...receipts.map((receipt): Item => ({ kind: "receipt", receipt })),
      ...suspicions.map((suspicion): Item => ({ kind: "suspicion", suspicion })),
    ];
  }

  /** Takes a receipt of anybody. It opens no transaction: the next comparison brings it again. @returns false where it is invalid. */
  receiveReceipt(receipt: Receipt): boolean {
    const { membership, transactions } = this.#options;
    const known = transactions.get(receipt.txId)?.receipts;
    const isKnown = known?.some(({ member, state }) => member === receipt.member && state === receipt.state);
    if (isKnown !== false) return true;
    if (!isReceiptValid(membership, receipt)) return false;
    this.#keepReceipt(receipt);
    return true;
  }

  /** The same for a suspicion. */
  receiveSuspicion(suspicion: Suspicion): boolean {
    const { membership, transactions } = this.#options;
    const { txId, subject, observer } = suspicion;
    const known = transactions.get(txId)?.suspicions;
    const isKnown = known?.some((one) => one.subject === subject && one.observer === observer);
    if (isKnown !== false) return true;
    if (!isSuspicionValid(membership, suspicion)) return false;
    this.#keepSuspicion(suspicion);
    return true;
  }

  /** Does something, and tells whether a member is silent by it, or late. */
  observed(transaction: Transaction, subject: PartyId, work: () => void): void {
    const { membership, on } = this.#options;
    const before = presenceOf(membership, transaction, subject);
    work();
    const after = presenceOf(membership, transaction, subject);
    if (after === before || (after !== "silent" && after !== "late")) return;
    on(transaction.txId, subject, after === "late");
  }

  #keepReceipt(receipt: Receipt): void {
    const { membership: { epoch }, store, transactions } = this.#options;
    const transaction = transactions.get(receipt.txId);
    if (transaction === undefined) return;
    this.observed(transaction, receipt.member, () => {
      store.commit([{ kind: "receipt", epoch, receipt }]);
      transaction.receipts.push(receipt);
    });
    this.watch(transaction);
  }

  #keepSuspicion(suspicion: Suspicion): void {
    const { membership: { epoch }, store, transactions } = this.#options;
    const transaction = transactions.get(suspicion.txId);
    if (transaction === undefined) return;
    this.observed(transaction, suspicion.subject, () => {
      store.commit([{ kind: "suspicion", epoch, suspicion }]);
      transaction.suspicions.push(suspicion);
    });
  }
}
