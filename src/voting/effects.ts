/**
 * What a voting node tells its caller: what is to be done, and how a transaction stands.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, hex } from "../base/bytes.ts";
import { type Presence, presenceOf } from "./availability.ts";
import type { QuorumCertificate } from "./certificate.ts";
import type { StoredDissent } from "./dissent.ts";
import type { Membership } from "./membership.ts";
import type { Sending } from "./outgoing.ts";
import type { Proposal } from "./proposal.ts";
import type { StoredOffence } from "./store.ts";
import type { Transaction } from "./transactions.ts";
import type { Vote } from "./vote.ts";

/** What is to be done. */
export type Effect =
  /** Send an encoded envelope to a member. */
  | Sending
  /** End the link to a member: what came over it is not signed by it, or is not for us. */
  | { readonly kind: "close"; readonly peer: PartyId; readonly why: string }
  /** A proposal was stored. */
  | { readonly kind: "proposal"; readonly proposal: Proposal }
  /** A vote was stored. */
  | { readonly kind: "vote"; readonly vote: Vote }
  /** A transaction was decided here. */
  | { readonly kind: "decided"; readonly certificate: QuorumCertificate }
  /** An offence was proven. */
  | { readonly kind: "offence"; readonly offence: StoredOffence }
  /** A member has voted for something else than what was decided. */
  | { readonly kind: "dissent"; readonly dissent: StoredDissent }
  /** A member has become silent in a transaction, or has answered late. */
  | { readonly kind: "silence"; readonly txId: string; readonly subject: PartyId; readonly isLate: boolean }
  /** The members have changed: from now on this node votes under another membership, if it is one of them. */
  | { readonly kind: "epoch"; readonly membership: Membership; readonly certificate: QuorumCertificate }
  /** Voting stops at this node until an operator has looked. */
  | { readonly kind: "alarm"; readonly alarm: Alarm; readonly text: string };

/** Why a node stops voting. */
export type Alarm =
  /** Two certificates for one transaction: more members cheat than the quorum survives. */
  | "SAFETY_VIOLATION"
  /** A vote of the own key that is not the own lock: a copied disk, a second process, or a stolen key. */
  | "SELF_EQUIVOCATION";

/** How a transaction stands here. */
export interface TxStatus {
  /** Name of the transaction. */
  readonly txId: string;
  /** Epoch of the membership that votes on it. */
  readonly epoch: number;
  /** `expired`: this node votes no more, and it may still be decided. `violated`: there are two certificates. */
  readonly state: "undecided" | "expired" | "decided" | "violated";
  /** The decided value, encoded. */
  readonly value?: Bytes;
  /** Votes by value, encoded, with the names of those who voted for it. */
  readonly tally: readonly { readonly value: Bytes; readonly voters: readonly string[] }[];
  /** Names of those of whom no vote is stored. */
  readonly missing: readonly string[];
  /** What each of those did instead, by name. */
  readonly presence: Readonly<Record<string, Presence>>;
  /** What was proposed, in the order in which it came here. */
  readonly proposals: readonly Proposal[];
  /** What this node has voted for, encoded. */
  readonly own?: Bytes;
  /** Until when this node votes: milliseconds since 1970, or infinity. */
  readonly until: number;
}

/** How a transaction stands. @param own what this node has voted for, encoded. @param until when this node votes. */
export function statusOf(
  membership: Membership,
  transaction: Transaction,
  { own, until, now }: { readonly own: Bytes | undefined; readonly until: number; readonly now: number },
): TxStatus {
  const { txId, certificates, votes, proposals } = transaction;
  const { voters, epoch } = membership;
  const missing = voters.filter(({ index }) => !votes.has(index));
  const tally = new Map<string, { value: Bytes; voters: string[] }>();
  for (const { index, name } of voters) {
    for (const { value } of votes.get(index) ?? []) {
      const row = tally.get(hex(value)) ?? { value, voters: [] };
      row.voters.push(name);
      tally.set(hex(value), row);
    }
  }
  const [decided, second] = certificates;
  const open = now > until ? "expired" : "undecided";
  return {
    txId,
    epoch,
    state: second !== undefined ? "violated" : decided !== undefined ? "decided" : open,
    ...(decided === undefined ? {} : { value: decided.value }),
    tally: [...tally.values()],
    missing: missing.map(({ name }) => name),
    presence: Object.fromEntries(
      missing.map(({ index, name }) => [name, presenceOf(membership, transaction, index)]),
    ),
    proposals,
    ...(own === undefined ? {} : { own }),
    until,
  };
}
