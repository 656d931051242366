/**
 * What may be signed under the name of a transaction, and how far that is (VOTING 8.2 check 10, 8.3): one row per key and
 * transaction in the party's own file, for the life of the key. The row is there before a session opens, and says `released` before
 * the message leaves with which others can complete the signature.
 *
 * @module
 */

import { type Bytes, copy, EMPTY, equal, hex, utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { printable } from "../session/messages.ts";
import type { Ledger, Transaction } from "../storage/ledger.ts";
import type { Outbox } from "../storage/outbox.ts";
import { SIGN_LOCKS, SIGN_RATES, SIGNING, type SignLockRow } from "../storage/tables.ts";

/** `prepared -> released -> signed`, and `prepared -> failed -> prepared`; `superseded` is the end. */
export type SignState = SignLockRow["state"];

/** Which lock is meant. */
export interface LockPlace {
  /** Key id. */
  readonly keyId: Bytes;
  /** Name of the transaction. */
  readonly txId: string;
}

/** What a lock is for. */
export interface LockedPayload extends LockPlace {
  /** What alone may be signed under that name. */
  readonly core: Bytes;
  /** What approved it. */
  readonly ballot: Bytes;
  /** Hash of all fields of the approval. */
  readonly approvalHash: Bytes;
  /** The last moment of the approval: milliseconds since 1970. */
  readonly notAfter: number;
}

/** A lock as it is stored. */
export interface SignLock extends LockedPayload {
  /** How far it is. */
  readonly state: SignState;
  /** Where one is known. */
  readonly signature: Bytes | undefined;
  /** Why it failed; empty where it did not. */
  readonly reason: string;
  /** When the lock was set: milliseconds since 1970. */
  readonly time: number;
}

/** How often a key may sign. */
export interface RateLimits {
  /** In this hour and the one before. */
  readonly perHour: number | undefined;
  /** In this hour and the 24 before. */
  readonly perDay: number | undefined;
}

/** What {@linkcode SignLocks.prepare} needs. */
export interface PrepareRequest {
  /** What is to be signed. */
  readonly payload: LockedPayload;
  /** The latest time that anybody was seen to have: milliseconds since 1970. */
  readonly clock: number;
  /** How often the key may sign. */
  readonly rates: RateLimits;
  /** The transaction that this one takes the place of. */
  readonly supersedes?: string | undefined;
}

/** What the locks of a party are made of. */
export interface SignLocksOptions {
  /** The party's file. */
  readonly ledger: Pick<Ledger, "find" | "transact">;
  /** Where records for others go. */
  readonly outbox?: Outbox | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The sign locks of one party. Everything is synchronous: when a call returns, it is on disk. */
export class SignLocks {
  readonly #options: SignLocksOptions;

  /** The locks in a party's file. */
  constructor(options: SignLocksOptions) {
    this.#options = options;
  }

  /** The lock of a transaction under a key. */
  get({ keyId, txId }: LockPlace): SignLock | undefined {
    return lockIn(this.#options.ledger, { keyId, txId });
  }

  /** All locks, or those of a transaction. */
  all(where: { readonly txId?: string } = {}): SignLock[] {
    return this.#options.ledger.find(SIGN_LOCKS, where).map(lockOf);
  }

  /** Since when nothing is signed: milliseconds since 1970. */
  get pausedSince(): number | undefined {
    return this.#options.ledger.find(SIGNING, { name: "paused" })[0]?.time;
  }

  /** The latest time that anybody was seen to have, when something was signed: milliseconds since 1970. */
  get highWater(): number {
    return clockIn(this.#options.ledger);
  }

  /** Since when no vote is cast: milliseconds since 1970. */
  get votingPausedSince(): number | undefined {
    return this.#options.ledger.find(SIGNING, { name: "voting" })[0]?.time;
  }

  /** Nothing is signed any more when this returns. A second call changes nothing. */
  pause(): void {
    this.#pause("paused", "paused");
  }

  /** Whoever casts votes here has to ask first ({@linkcode requireVoting}): none is cast any more when this returns. */
  pauseVoting(): void {
    this.#pause("voting", "voting paused");
  }

  /** Signing and voting go on. It starts nothing by itself. */
  resume(): void {
    this.#options.ledger.transact((transaction) => {
      const paused = PAUSES.flatMap((name) => transaction.find(SIGNING, { name }));
      if (paused.length === 0) return;
      for (const row of paused) transaction.remove(SIGNING, row);
      this.#record(transaction, "", { what: "resumed" });
    });
  }

  /** @throws UsageError VOTING_PAUSED */
  requireVoting(): void {
    if (this.votingPausedSince === undefined) return;
    throw new UsageError(
      "VOTING_PAUSED",
      "voting is paused here by an operator: end the pause with quorate resume, and vote then",
    );
  }

  /**
   * Locks a payload under its name, before anything of its session leaves: with the clock, the count of what the key signs, the
   * tombstone of what it takes the place of, and the record for others, all or none.
   *
   * @returns the lock: `prepared`, or `released` where a share has left in an earlier session of the same payload, or `signed` with
   * the signature, for which no session is needed.
   * @throws UsageError SIGNING_PAUSED, REQUEST_CONFLICT, APPROVAL_SUPERSEDED or APPROVAL_POLICY with nothing written.
   */
  prepare({ payload, clock, rates, supersedes }: PrepareRequest): SignLock {
    return this.#options.ledger.transact((transaction) => {
      requireUnpaused(transaction);
      const former = lockIn(transaction, payload);
      if (former !== undefined) refuseOther(former, payload);
      if (former?.state === "signed") return former;
      if (former === undefined) {
        countRate(transaction, payload.keyId, this.#options.now(), rates);
        if (supersedes !== undefined) this.#bury(transaction, { keyId: payload.keyId, txId: supersedes });
      }
      raiseClock(transaction, clock);
      const isReleased = former?.state === "released";
      const lock: SignLock = {
        ...payload,
        state: isReleased ? "released" : "prepared",
        signature: undefined,
        reason: "",
        time: former?.time ?? this.#options.now(),
      };
      this.#put(transaction, lock, "prepared");
      return lock;
    });
  }

  /**
   * A share is about to leave: from here on a valid signature may exist whatever happens. Runs in the transaction of the caller,
   * which sends nothing before it is committed.
   *
   * @throws UsageError SIGNING_PAUSED, or REQUEST_CONFLICT where this payload is not locked.
   */
  release(transaction: Transaction, place: LockPlace & { readonly core: Bytes }, clock: number): void {
    requireUnpaused(transaction);
    const lock = lockIn(transaction, place);
    if (lock === undefined || (lock.state !== "prepared" && lock.state !== "released")) {
      throw new UsageError(
        "REQUEST_CONFLICT",
        `${place.txId} is ${lock?.state ?? "not locked"} here: nothing of it may leave`,
      );
    }
    refuseOther(lock, place);
    raiseClock(transaction, clock);
    if (lock.state !== "released") this.#put(transaction, { ...lock, state: "released" }, "released");
  }

  /** A session ended before a share left. What was released stays released. */
  fail(place: LockPlace, reason: string): void {
    this.#options.ledger.transact((transaction) => {
      const lock = lockIn(transaction, place);
      if (lock === undefined || lock.state === "signed" || lock.state === "superseded") return;
      const state = lock.state === "released" ? "released" : "failed";
      this.#put(transaction, { ...lock, state, reason: printable(reason, REASON_BYTES_MAX) }, "failed");
    });
  }

  /**
   * Takes a signature that was verified: the own session's, or one that another member has. The first one stays.
   *
   * @returns the signature that counts here.
   * @throws UsageError REQUEST_CONFLICT where another payload is locked under the name.
   */
  sign(payload: LockedPayload, signature: Bytes): Bytes {
    return this.#options.ledger.transact((transaction) => {
      const lock = lockIn(transaction, payload);
      if (lock !== undefined && lock.state !== "superseded") refuseOther(lock, payload);
      if (lock?.signature !== undefined) return lock.signature;
      const state = lock?.state === "superseded" ? "superseded" : "signed";
      const core = state === "superseded" ? EMPTY : payload.core;
      const time = lock?.time ?? this.#options.now();
      this.#put(transaction, { ...payload, core, state, signature, reason: "", time }, "signed");
      return signature;
    });
  }

  /** Sessions that were open when the last process ended, before a share left, have failed. */
  recover(): void {
    const { ledger } = this.#options;
    if (ledger.find(SIGN_LOCKS, { state: "prepared" }).length === 0) return;
    ledger.transact((transaction) => {
      for (const row of transaction.find(SIGN_LOCKS, { state: "prepared" })) {
        transaction.put(SIGN_LOCKS, {
          ...row,
          state: "failed",
          reason: "the node stopped before a share left",
        });
      }
    });
  }

  /** X can never be signed here any more: Y takes its place. */
  #bury(transaction: Transaction, place: LockPlace): void {
    const former = lockIn(transaction, place);
    // It may have been for another key. A decision about it is no signature of it: that lock names no approval.
    const held = transaction.find(SIGN_LOCKS, { txId: place.txId }).find(({ state, approvalHash }) =>
      state !== "failed" && state !== "superseded" && approvalHash.length > 0
    );
    if (held !== undefined) {
      throw new UsageError(
        "APPROVAL_SUPERSEDED",
        `check 9 (supersedes): ${place.txId} is ${held.state} here, so that a signature of it exists or may exist`,
      );
    }
    if (former?.state === "superseded") return;
    this.#put(transaction, {
      ...place,
      core: EMPTY,
      ballot: former?.ballot ?? EMPTY,
      approvalHash: former?.approvalHash ?? EMPTY,
      notAfter: former?.notAfter ?? 0,
      state: "superseded",
      signature: undefined,
      reason: "",
      time: former?.time ?? this.#options.now(),
    }, "superseded");
  }

  #put(transaction: Transaction, lock: SignLock, what: string): void {
    const { keyId, core, ballot, approvalHash, signature, ...rest } = lock;
    transaction.put(SIGN_LOCKS, {
      keyId: copy(keyId),
      core: copy(core),
      ballot: copy(ballot),
      approvalHash: copy(approvalHash),
      signature: signature === undefined ? EMPTY : copy(signature),
      ...rest,
      notAfter: Math.min(lock.notAfter, Number.MAX_SAFE_INTEGER),
    });
    this.#record(transaction, lock.txId, {
      what,
      keyId: hex(keyId),
      ballot: hex(ballot),
      state: lock.state,
      ...(signature === undefined ? {} : { signature: hex(signature) }),
      ...(lock.reason === "" ? {} : { reason: lock.reason }),
    });
  }

  #pause(name: typeof PAUSES[number], what: string): void {
    const { ledger, now } = this.#options;
    ledger.transact((transaction) => {
      if (transaction.find(SIGNING, { name }).length > 0) return;
      transaction.put(SIGNING, { name, time: now() });
      this.#record(transaction, "", { what });
    });
  }

  #record(transaction: Transaction, txId: string, body: Readonly<Record<string, string>>): void {
    const { outbox, now } = this.#options;
    const time = new Date(now()).toISOString();
    outbox?.push(transaction, {
      kind: "signing",
      key: txId,
      body: utf8(JSON.stringify({ txId, ...body, time })),
    });
  }
}

/** What an operator has stopped, and when: milliseconds since 1970. */
export function pausesIn(
  from: Pick<Transaction, "find">,
): readonly { readonly what: "signing" | "voting"; readonly since: number }[] {
  return PAUSES.flatMap((name) =>
    from.find(SIGNING, { name }).map(({ time }) => ({
      what: name === "voting" ? "voting" : "signing",
      since: time,
    } as const))
  );
}

/** What an operator can stop. */
const PAUSES = ["paused", "voting"] as const;
const HOUR_MS = 3600 * 1000;
const REASON_BYTES_MAX = 1000;

/** @throws UsageError SIGNING_PAUSED */
function requireUnpaused(from: Pick<Transaction, "find">): void {
  if (from.find(SIGNING, { name: "paused" }).length === 0) return;
  throw new UsageError("SIGNING_PAUSED", "check 1 (paused): signing is paused here by an operator");
}

/** @throws UsageError REQUEST_CONFLICT or APPROVAL_SUPERSEDED */
function refuseOther(lock: SignLock, { txId, core }: LockPlace & { readonly core: Bytes }): void {
  if (lock.state === "superseded") {
    throw new UsageError(
      "APPROVAL_SUPERSEDED",
      `check 10 (lock): another transaction has taken the place of ${txId}, which is never signed here any more`,
    );
  }
  if (equal(lock.core, core)) return;
  throw new UsageError(
    "REQUEST_CONFLICT",
    `check 10 (lock): ${txId} is locked here for the payload ${short(lock.core)}, and this one is ${
      short(core)
    }`,
  );
}

/** @throws UsageError APPROVAL_POLICY */
function countRate(transaction: Transaction, keyId: Bytes, now: number, rates: RateLimits): void {
  const hour = Math.floor(now / HOUR_MS) * HOUR_MS;
  const rows = transaction.find(SIGN_RATES, { keyId: copy(keyId) }, { above: hour - 25 * HOUR_MS });
  const countSince = (since: number) =>
    rows.filter((row) => row.hour >= since).reduce((sum, { count }) => sum + count, 0);
  for (
    const [limit, hours, what] of [[rates.perHour, 1, "hour"], [rates.perDay, 24, "day"]] as const
  ) {
    const count = countSince(hour - hours * HOUR_MS);
    if (limit === undefined || count < limit) continue;
    throw new UsageError(
      "APPROVAL_POLICY",
      `check 8 (policy): the key signs at most ${limit} times in an ${what} here, and has begun ${count}`
        .replace("an day", "a day"),
    );
  }
  const own = rows.find((row) => row.hour === hour)?.count ?? 0;
  transaction.put(SIGN_RATES, { keyId: copy(keyId), hour, count: own + 1 });
}

function raiseClock(transaction: Transaction, clock: number): void {
  if (clock > clockIn(transaction)) transaction.put(SIGNING, { name: "clock", time: clock });
}

function clockIn(from: Pick<Transaction, "find">): number {
  return from.find(SIGNING, { name: "clock" })[0]?.time ?? 0;
}

function lockIn(from: Pick<Transaction, "find">, { keyId, txId }: LockPlace): SignLock | undefined {
  return from.find(SIGN_LOCKS, { keyId: copy(keyId), txId }).map(lockOf)[0];
}

function lockOf(row: SignLockRow): SignLock {
  return {
    ...row,
    keyId: copy(row.keyId),
    core: copy(row.core),
    ballot: copy(row.ballot),
    approvalHash: copy(row.approvalHash),
    signature: row.signature.length === 0 ? undefined : copy(row.signature),
  };
}

function short(digest: Bytes): string {
  return `${hex(digest).slice(0, 16)}…`;
}
