/**
 * Who was there (VOTING 5): receipts say that a member has seen a transaction, or will not vote in it; suspicions say that a member has
 * seen one and has said nothing since. Neither proves anything to a stranger, and neither is an offence.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, u16, u32, u8, utf8 } from "../base/bytes.ts";
import { type Codec, DecodeError, map, struct, U8 } from "../base/codec.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { faultBounds, type Membership, voterAt } from "./membership.ts";
import type { Transaction } from "./transactions.ts";
import { signatureCodec, txIdCodec, voterCodec } from "./vote.ts";

/** What a member says of a transaction in which it has not voted. */
export interface Receipt {
  /** Name of the transaction. */
  readonly txId: string;
  /** `seen`: it knows of it. `abstained`: it will not vote any more. */
  readonly state: keyof typeof RECEIPT_STATES;
  /** Who says it. */
  readonly member: PartyId;
  /** Ed25519 over `H("vote/receipt"; clusterId, u32 epoch, membershipHash, txId, u8 state, u16 member)`. */
  readonly signature: Bytes;
}

/** What a member says of another one. */
export interface Suspicion {
  /** Name of the transaction. */
  readonly txId: string;
  /** Who has seen it and says nothing. */
  readonly subject: PartyId;
  /** Who says so. */
  readonly observer: PartyId;
  /** Ed25519 over `H("vote/suspicion"; clusterId, u32 epoch, membershipHash, txId, u16 subject, u16 observer)`. */
  readonly signature: Bytes;
}

/**
 * What a member did in a transaction, as far as is known here. `silent`: it has seen it, it was decided, and more members than may lie
 * have waited in vain for its vote. `late`: the same, and its vote or its abstention came after all. `unreachable`: nothing was heard of
 * it.
 */
export type Presence = "voted" | "abstained" | "late" | "silent" | "seen" | "unreachable";

/** What a member did in the transactions that are decided here. */
export interface Availability {
  /** Who. */
  readonly member: PartyId;
  /** How many transactions, by what it did. */
  readonly counts: Readonly<Record<Presence, number>>;
  /** Of the transactions that it has seen, the part in which it voted, from 0 to 1; undefined where it has seen none. */
  readonly share: number | undefined;
}

/** Numbers of the states of a receipt. */
export const RECEIPT_STATES = { seen: 0, abstained: 1 } as const;

/** Signs a receipt. */
export function signReceipt(
  membership: Membership,
  content: Omit<Receipt, "signature">,
  sign: (message: Bytes) => Bytes,
): Receipt {
  return { ...content, signature: sign(receiptMessage(membership, content)) };
}

/** Whether a receipt is signed by its member under this membership. */
export function isReceiptValid(membership: Membership, receipt: Receipt): boolean {
  const message = receiptMessage(membership, receipt);
  return voterAt(membership, receipt.member)?.key.verify(message, receipt.signature) === true;
}

/** Signs a suspicion. */
export function signSuspicion(
  membership: Membership,
  content: Omit<Suspicion, "signature">,
  sign: (message: Bytes) => Bytes,
): Suspicion {
  return { ...content, signature: sign(suspicionMessage(membership, content)) };
}

/** Whether a suspicion is signed by its observer under this membership, and is of another member. */
export function isSuspicionValid(membership: Membership, suspicion: Suspicion): boolean {
  const { subject, observer, signature } = suspicion;
  if (subject === observer || voterAt(membership, subject) === undefined) return false;
  const message = suspicionMessage(membership, suspicion);
  return voterAt(membership, observer)?.key.verify(message, signature) === true;
}

/** What a member did in a transaction. A function of what is stored: the order in which it came changes nothing. */
export function presenceOf(membership: Membership, transaction: Transaction, member: PartyId): Presence {
  const { votes, receipts, suspicions } = transaction;
  const states = receipts.filter((receipt) => receipt.member === member).map(({ state }) => state);
  const suspected = suspicions.filter(({ subject }) => subject === member).length;
  // One more than may lie: at least one honest member has waited in vain.
  const isSuspect = suspected > faultBounds(membership.voters.length, membership.quorum).safe;
  const hasAnswered = votes.has(member) || states.includes("abstained");
  if (isSuspect) return hasAnswered ? "late" : "silent";
  if (votes.has(member)) return "voted";
  if (states.includes("abstained")) return "abstained";
  return states.includes("seen") ? "seen" : "unreachable";
}

/** What a member did in all transactions that are decided. */
export function availabilityOf(
  membership: Membership,
  transactions: Iterable<Transaction>,
): readonly Availability[] {
  const decided = [...transactions].filter(({ certificates }) => certificates.length > 0);
  return membership.voters.map(({ index: member }) => {
    const counts = { voted: 0, abstained: 0, late: 0, silent: 0, seen: 0, unreachable: 0 };
    let voted = 0;
    for (const transaction of decided) {
      counts[presenceOf(membership, transaction, member)]++;
      if (transaction.votes.has(member)) voted++;
    }
    const seen = decided.length - counts.unreachable;
    return { member, counts, share: seen === 0 ? undefined : voted / seen };
  });
}

function receiptMessage(
  { cluster, epoch, hash: membershipHash }: Membership,
  { txId, state, member }: Omit<Receipt, "signature">,
): Bytes {
  return hash(
    Tag.voteReceipt,
    utf8(cluster),
    u32(epoch),
    membershipHash,
    utf8(txId),
    u8(RECEIPT_STATES[state]),
    u16(member),
  );
}

function suspicionMessage(
  { cluster, epoch, hash: membershipHash }: Membership,
  { txId, subject, observer }: Omit<Suspicion, "signature">,
): Bytes {
  return hash(
    Tag.voteSuspicion,
    utf8(cluster),
    u32(epoch),
    membershipHash,
    utf8(txId),
    u16(subject),
    u16(observer),
  );
}

/** A receipt. */
export const receiptCodec: Codec<Receipt> = struct({
  txId: txIdCodec,
  state: map(U8, (state: Receipt["state"]): number => RECEIPT_STATES[state], (number) => {
    if (number > 1) throw new DecodeError("a receipt of an unknown state");
    return number === RECEIPT_STATES.seen ? "seen" : "abstained";
  }),
  member: voterCodec,
  signature: signatureCodec,
});

/** A suspicion. */
export const suspicionCodec: Codec<Suspicion> = struct({
  txId: txIdCodec,
  subject: voterCodec,
  observer: voterCodec,
  signature: signatureCodec,
});
