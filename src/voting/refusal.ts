/**
 * Why a node casts no vote (VOTING 1, 2, 7). Once per transaction, in time, in the epoch that is open, and not where something is wrong
 * with the node.
 *
 * @module
 */

import { equal } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { QuorumCertificate } from "./certificate.ts";
import type { Membership } from "./membership.ts";
import { expired, shown } from "./requests.ts";
import { LOCKS_MAX, type Shared } from "./shared.ts";
import type { VoteLock } from "./store.ts";
import { ballotOf, type Question, questionOf } from "./vote.ts";

/** A lock, where it is of this very membership: its ballot says so. */
export function lockUnder(membership: Membership, lock: VoteLock | undefined): VoteLock | undefined {
  if (lock === undefined) return undefined;
  const ballot = ballotOf(questionOf(membership, lock.txId, lock.value));
  return equal(ballot, lock.ballot) ? lock : undefined;
}

/** Why a transaction takes no votes of a node in an epoch, whatever their value. @param isClosed whether the epoch has ended. */
export function closedReason(
  txId: string,
  { membership, shared, isClosed }: {
    readonly membership: Membership;
    readonly shared: Pick<Shared, "locks" | "before">;
    readonly isClosed: boolean;
  },
): UsageError | undefined {
  const { epoch } = membership;
  const lock = shared.locks.get(txId);
  if (lock !== undefined && lockUnder(membership, lock) === undefined) {
    const value = shown(lock.value);
    return new UsageError(
      "TX_CLOSED",
      `this node has voted for ${value} in ${txId} under an earlier membership: ask under another name`,
    );
  }
  if (isClosed) return new UsageError("TX_CLOSED", `epoch ${epoch} is closed: ask under another name`);
  return shared.before(txId, epoch);
}

/**
 * Why nothing can be cast for a question now; undefined where it can, or is done already.
 *
 * @param state `decided`: the decision in this epoch; `closed`: see {@linkcode closedReason}; `limit`: until when there is time.
 */
export function refusalOf(
  question: Question,
  now: number,
  { shared: { alarm, locks }, decided, closed, limit }: {
    readonly shared: Pick<Shared, "alarm" | "locks">;
    readonly decided: QuorumCertificate | undefined;
    readonly closed: UsageError | undefined;
    readonly limit: number;
  },
): UsageError | undefined {
  const { txId } = question;
  const ballot = ballotOf(question);
  if (alarm !== undefined) {
    return new UsageError(
      "VOTING_STOPPED",
      `this node has stopped voting: ${alarm}; an operator has to look`,
    );
  }
  if (decided !== undefined) {
    if (equal(ballotOf(decided), ballot)) return undefined;
    return new UsageError("ALREADY_DECIDED", `${txId} is decided for ${shown(decided.value)}`);
  }
  if (closed !== undefined) return closed;
  const locked = locks.get(txId);
  if (locked !== undefined) {
    if (equal(locked.ballot, ballot)) return undefined;
    return new UsageError(
      "ALREADY_VOTED",
      `this node has voted for ${shown(locked.value)} in ${txId}, and votes once`,
    );
  }
  if (now > limit) return expired(txId, limit);
  if (locks.size < LOCKS_MAX) return undefined;
  return new UsageError(
    "LOCKS_FULL",
    `this node has voted ${LOCKS_MAX} times, and forgets no vote: let another party take its place (quorate members change)`,
  );
}
