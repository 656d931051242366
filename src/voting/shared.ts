/**
 * What all epochs of one voting node share: its key, its store, its locks, and what the operator sets.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import type { UsageError } from "../base/errors.ts";
import type { Alarm } from "./effects.ts";
import type { Item } from "./items.ts";
import type { LockedPage, PageRequest } from "./locked.ts";
import type { Proposal } from "./proposal.ts";
import type { VoteLock, VoteStore } from "./store.ts";
import type { Times } from "./transactions.ts";

/** Locks that are kept. They are never removed. */
export const LOCKS_MAX = 1_000_000;

/** Limits that the operator sets. */
export interface Limits extends Times {
  /** How long an approval that is proposed here may be open. */
  readonly approvalLifetimeMs: number;
  /** After how long a member that has seen a decided transaction and has not answered is silent. */
  readonly silenceMs: number;
}

/** What all epochs of one node share. */
export interface Shared {
  /** Signs with the vote key. */
  readonly sign: (message: Bytes) => Bytes;
  /** What survives. */
  readonly store: VoteStore;
  /** See {@linkcode Limits}. */
  readonly limits: Limits;
  /** Whether what others have said is passed on only when that is asked for. */
  readonly relaysLater: boolean;
  /** Whether an operator has paused voting. */
  readonly isPaused: () => boolean;
  /** Whether this node votes for a proposal by itself. */
  readonly approves: ((proposal: Proposal) => boolean) | undefined;
  /** One per transaction, whatever the epoch. */
  readonly locks: Map<string, VoteLock>;
  /** What was stored and what was refused. */
  readonly counts: Record<"stored" | "mismatch" | "invalid" | "overQuota" | "limited", number>;
  /** Why this node does not vote. */
  alarm: Alarm | undefined;
  /** The time that was told last. */
  now: number;
  /** Why nothing may be cast in a transaction of an epoch because of what was before it. */
  readonly before: (txId: string, epoch: number) => UsageError | undefined;
  /** Takes a page of a list for a new member, or a question for one. @returns what to send back. */
  readonly lists: (from: PartyId, epoch: number, item: LockedPage | PageRequest) => readonly Item[];
}
