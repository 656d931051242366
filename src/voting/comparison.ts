/**
 * Comparing what two members have in one epoch (VOTING 3). Relaying is for speed; that whatever one honest member stores all do rests on
 * this alone.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import type { Evidence } from "./evidence.ts";
import { type Digest, digestPage, type Item, PREFIX_BYTES } from "./items.ts";
import { digestOf, lackedOf, type Transaction, type Transactions } from "./transactions.ts";
import { ROSTER_PREFIX } from "./value.ts";

/** What there is to compare. */
export interface Compared {
  /** Of which how much fits a page. */
  readonly members: number;
  /** Transactions. */
  readonly transactions: Transactions;
  /** Offences. */
  readonly evidence: Evidence;
}

/** What this node has, in short, for a peer that may lack some of it. */
export function digestPages({ members, transactions, evidence }: Compared, now: number): readonly Item[] {
  const all = [...transactions.between("", "")].filter((one) => isCompared(transactions, one, now));
  const offences = evidence.newest.map(({ id }) => id.slice(0, PREFIX_BYTES));
  const pages: Item[] = [];
  let after = "";
  do {
    const page = all.splice(0, digestPage(members)).map(digestOf);
    const upTo = all.length === 0 ? "" : page.at(-1)?.txId ?? "";
    const digest = { after, upTo, transactions: page, offences: after === "" ? offences : [] };
    pages.push({ kind: "digest", digest });
    after = upTo;
  } while (all.length > 0);
  return pages;
}

/** What a peer lacks of what is here: items that belong together, one transaction or one offence after the other. */
export function* lackedItems(
  { transactions, evidence }: Compared,
  digest: Digest,
  now: number,
): Iterable<readonly Item[]> {
  const has = new Map(digest.transactions.map((transaction) => [transaction.txId, transaction]));
  // A question is short: only what is on its page is looked at.
  for (const transaction of transactions.between(digest.after, digest.upTo)) {
    if (isCompared(transactions, transaction, now)) yield lackedOf(transaction, has.get(transaction.txId));
  }
  const known = new Set(digest.offences.map(hex));
  for (const { id, proof } of digest.after === "" ? evidence.newest : []) {
    if (!known.has(hex(id.slice(0, PREFIX_BYTES)))) yield [{ kind: "offence", proof }];
  }
}

/** What is long over is compared with nobody, but for the change of members: whoever was away needs it. */
function isCompared(transactions: Transactions, transaction: Transaction, now: number): boolean {
  return transaction.txId.startsWith(ROSTER_PREFIX) || transactions.isRecent(transaction, now);
}
