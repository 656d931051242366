/**
 * The sessions in which a node signs what was approved: locked before they begin, checked again in the transaction that lets the last
 * message out, and written down when they end (VOTING 8.2, 8.3).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, concat, equal, u16, u32, u8 } from "../base/bytes.ts";
import { CheaterError, type Code, QuorateError, TransportError, UsageError } from "../base/errors.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { BoundSigning } from "../protocols/bound.ts";
import type { Clock } from "../session/links.ts";
import { printable } from "../session/messages.ts";
import type { ReleaseGate } from "../storage/local_store.ts";
import { KEYS } from "../storage/tables.ts";
import { ballotOf } from "../voting/vote.ts";
import { type CheckedApproval, checkTime } from "./approval_checks.ts";
import type { ApprovalTask, Attempt } from "./approval_task.ts";
import type { ApprovalView, ApprovalVotes } from "./approval_view.ts";
import type { KeyTurns } from "./key_turns.ts";
import type { Party } from "./party.ts";
import type { PolicyConfig } from "./policy_config.ts";
import type { SignLocks } from "./sign_locks.ts";

/** What sessions are made of. */
export interface SessionsOptions {
  /** The party. */
  readonly party: Party;
  /** The votes of this node. */
  readonly votes: ApprovalVotes;
  /** What this party signs. */
  readonly policy: PolicyConfig;
  /** Requests about one key take turns. */
  readonly turns: KeyTurns | undefined;
  /** What is locked. */
  readonly locks: SignLocks;
  /** What this node knows. */
  readonly view: ApprovalView;
  /** A clock that never goes back. */
  readonly clock: Clock;
  /** What is worked on. */
  readonly taskOf: (txId: string) => ApprovalTask | undefined;
  /** Which signature counts, where others may have made another one. */
  readonly choose: (task: ApprovalTask, signature: Bytes) => Promise<Bytes>;
  /** There is a signature. */
  readonly signed: (task: ApprovalTask, signature: Bytes, own: boolean) => void;
  /** Something changed. */
  readonly changed: () => void;
}

/** Which session. */
export interface SessionRequest {
  /** Which attempt, the same at all signers. */
  readonly request: Bytes;
  /** Who asked for it. */
  readonly asker: PartyId;
  /** Who signs. */
  readonly signers: readonly PartyId[];
  /** Called when the lock is on disk and nothing has left yet. */
  readonly begun: () => void;
  /** Called when the others learn from the session itself how it ends. */
  readonly opened?: () => void;
}

/** Runs them. */
export class ApprovalSessions {
  readonly #options: SessionsOptions;

  /** Runs none yet. Every share of a key for approved signing has to pass {@linkcode gate}. */
  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * One session at this node, with everything that is written before and after it.
   *
   * @throws QuorateError why there is no signature of it; the lock says whether one may exist.
   */
  async run(task: ApprovalTask, checked: CheckedApproval, request: SessionRequest): Promise<void> {
    const { policy, locks, signed } = this.#options;
    const { payload, approval } = task;
    const lock = locks.prepare({
      payload,
      clock: Number(checked.time),
      rates: policy.rates,
      supersedes: approval.supersedes === "" ? undefined : approval.supersedes,
    });
    if (lock.signature !== undefined) return signed(task, lock.signature, false);
    request.begun();
    let signature: Bytes;
    try {
      signature = await this.#sign(task, checked, request);
    } catch (error) {
      const { message } = errorOf(error);
      const isPaused = locks.pausedSince !== undefined;
      locks.fail(payload, isPaused ? "signing was paused here by an operator" : message);
      throw isPaused ? new UsageError("SIGNING_PAUSED", "signing was paused here by an operator") : error;
    }
    signed(task, signature, true);
  }

  async #sign(
    task: ApprovalTask,
    checked: CheckedApproval,
    { request, asker, signers, opened = () => {} }: SessionRequest,
  ): Promise<Bytes> {
    const { party, policy, clock, turns, view, choose, changed } = this.#options;
    const { keyId, txId } = task.payload;
    using turn = turns?.take(checked.key.name);
    const mine = party.forRequest({
      command: printable(`approved ${txId}`, 256),
      timeoutMs: Math.min(policy.sessionLimitMs, party.local.timeoutMs),
      ...(turn === undefined ? {} : { turn }),
    });
    const attempt: Attempt = {
      request,
      asker,
      signers,
      epoch: checked.key.epoch,
      time: { wall: checked.time, monotonic: clock.now() },
      cancel: () => mine.cancel(),
    };
    task.attempt = attempt;
    const others = signers.filter((signer) => signer !== view.self);
    for (const signer of others) task.asked.add(signer);
    // The session ends by itself before, and says for whom it has waited.
    const cancelTimer = clock.timer(policy.sessionLimitMs + GRACE_MS, attempt.cancel);
    changed();
    try {
      const bound = this.#bound(task, checked, attempt, opened);
      const approved = task.approval;
      return await choose(task, await mine.signApproved({ keyId, approved, signers, bound, request }));
    } finally {
      cancelTimer();
      // What they said before it says nothing of this session.
      for (const signer of others) task.told.delete(signer);
      task.attempt = undefined;
      if (!task.askers.has(asker)) task.heardAt = clock.now();
      task.askers.add(asker);
      task.wake(false);
    }
  }

  /** What binds the session: pair tags and clocks are in the offers, which the session id covers beside this. */
  #bound(
    task: ApprovalTask,
    checked: CheckedApproval,
    attempt: Attempt,
    opened: () => void,
  ): BoundSigning {
    const { policy, clock, view } = this.#options;
    const { approval, ballot, core, approvalHash, digest } = checked;
    const signers = concat(u16(attempt.signers.length), ...attempt.signers.map((party) => u16(party)));
    const path = concat(u16(approval.path.length), ...approval.path.map((step) => u32(step)));
    // All signers receive the signature.
    const parts = [ballot, approvalHash, core, digest, path, signers, signers, u8(approval.lowS ? 1 : 0)];
    return {
      purpose: "approved-signing",
      txId: task.payload.txId,
      core,
      binding: hash(Tag.signApproved, ...parts),
      // Round 0 is what asks for it.
      clock: () => {
        opened();
        return view.time();
      },
      admit: (clocks) => {
        this.#refuseAhead(clocks);
        const known = [...clocks.values(), attempt.time.wall, ...view.clocks()];
        const wall = checkTime({ node: view.name, clocks: known, policy, approval });
        attempt.time = { wall, monotonic: clock.now() };
      },
    };
  }

  /**
   * What is signed raises the latest time that is known here, and nothing that ends before is signed any more: a member whose clock
   * is wrong, or that lies, must not raise it by hours, nor by a little each time. So the own clock alone is what is compared.
   */
  #refuseAhead(clocks: ReadonlyMap<PartyId, bigint>): void {
    const { policy: { maxOffsetMs }, view } = this.#options;
    for (const [party, clock] of clocks) {
      const aheadMs = clock - view.time();
      if (aheadMs <= BigInt(maxOffsetMs)) continue;
      throw new TransportError(
        "CLOCK_OFFSET",
        `the clock of ${view.nameOf(party)} is ${
          aheadMs / 1000n
        } s ahead of the one at ${view.name}, and at most ${
          maxOffsetMs / 1000
        } s are allowed: set both, or sign without it`,
        { parties: [party] },
      );
    }
  }

  /** The second check, in the transaction that lets the last message out. */
  readonly gate: ReleaseGate = (transaction, { keyId, epoch, txId, core }) => {
    const { votes, clock, view, locks, taskOf } = this.#options;
    const task = taskOf(txId);
    const attempt = task?.attempt;
    const refuse = (code: Code, why: string): never => {
      throw new UsageError(code, `before the last message at ${view.name}: ${why}`, { party: view.name });
    };
    if (task === undefined || attempt === undefined || !equal(task.payload.keyId, keyId)) {
      return refuse("APPROVAL_REQUIRED", `nothing of ${txId} is signed here now`);
    }
    const alarm = votes.alarm ?? (votes.status(txId)?.state === "violated" ? "SAFETY_VIOLATION" : undefined);
    if (alarm !== undefined) refuse("VOTING_STOPPED", `this node has stopped: ${alarm}`);
    if (!equal(votes.membership.hash, task.certificate.membershipHash)) {
      refuse("CERTIFICATE_INVALID", `${txId} was decided by other members than those of now`);
    }
    const held = votes.certificate(txId);
    if (held !== undefined && !equal(ballotOf(held), task.payload.ballot)) {
      refuse("CERTIFICATE_INVALID", `${txId} is decided otherwise here`);
    }
    const [row] = transaction.find(KEYS, { keyId, epoch });
    if (row?.state !== "active" || epoch !== attempt.epoch) {
      refuse("APPROVAL_KEY", `the key of ${txId} has changed since epoch ${attempt.epoch}`);
    }
    const passed = BigInt(Math.ceil(clock.now() - attempt.time.monotonic));
    const time = [...view.clocks(), attempt.time.wall + passed].reduce((a, b) => a > b ? a : b);
    if (time > task.approval.notAfter) refuse("APPROVAL_EXPIRED", `the time of ${txId} is over`);
    locks.release(transaction, { keyId, txId, core }, Number(time));
  };
}

/** So much later a session that has not ended by itself is cancelled. */
const GRACE_MS = 2_000;

/** What is said of an error. A program's own failure is said as what it is, without what it may hold. */
export function errorOf(
  error: unknown,
): { readonly code: Code; readonly message: string; readonly parties: readonly number[] } {
  if (!(error instanceof QuorateError)) {
    return { code: "INVARIANT", message: "a bug in this program", parties: [] };
  }
  const { code, message } = error;
  // After the last message a failed check is behind an outcome that is unknown.
  const failure = error.cause instanceof CheaterError ? error.cause : error;
  const parties = failure instanceof CheaterError
    ? failure.culprits
    : failure instanceof TransportError
    ? failure.parties
    : [];
  return { code, message, parties };
}
