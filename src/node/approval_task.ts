/**
 * What a node remembers of one approval while it is signed: who refused and why, who told what, and the session that runs.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import type { Clock } from "../session/links.ts";
import { type Rate, TokenBucket } from "../transport/rate.ts";
import { type Approval, approvalCore, approvalHash } from "../voting/approval.ts";
import type { QuorumCertificate } from "../voting/certificate.ts";
import { ballotOf } from "../voting/vote.ts";
import type { LockedPayload, SignState } from "./sign_locks.ts";

/** Enough for whoever finds out one after the other that the others are not there, and begins anew now and then. */
const ALLOWED: Readonly<Record<"asked" | "told", Rate>> = {
  asked: { perSecond: 1 / 120, burst: 8 },
  told: { perSecond: 1 / 60, burst: 8 },
};

/** Why a node does not sign. */
export interface Refusal {
  /** Name of the node. */
  readonly node: string;
  /** One of the stable codes, or what another version says. */
  readonly code: string;
  /** In one sentence. */
  readonly reason: string;
}

/** A session that runs here. */
export interface Attempt {
  /** Which attempt it is, the same at all signers. */
  readonly request: Bytes;
  /** Who asked for it. */
  readonly asker: PartyId;
  /** Who signs. */
  readonly signers: readonly PartyId[];
  /** The epoch of the key in which it runs. */
  readonly epoch: number;
  /** The latest time that anybody was seen to have, and when that was on a clock that never goes back. */
  time: { readonly wall: bigint; readonly monotonic: number };
  /** Ends it here and at the others. */
  readonly cancel: () => void;
}

/** One approval at one node. */
export class ApprovalTask {
  /** What decided it. */
  readonly certificate: QuorumCertificate;
  /** What was approved. */
  readonly approval: Approval;
  /** What is locked for it. */
  readonly payload: LockedPayload;
  /** Who does not sign, and why. Until they are asked again, others are taken. */
  readonly refusals: Map<PartyId, Refusal> = new Map();
  /** How it stands at others, as they said last. */
  readonly told: Map<PartyId, SignState | "none"> = new Map();
  /** Who has said so since it was asked last. */
  readonly answered: Set<PartyId> = new Set();
  /** Others with whom a session was begun. */
  readonly asked: Set<PartyId> = new Set();
  /** Who has begun a session: whoever does so again keeps nobody else waiting for a turn. */
  readonly askers: Set<PartyId> = new Set();
  /** The session that runs here. */
  attempt: Attempt | undefined;
  /** Whether the others are asked how it stands, since there is nothing else to do. */
  isResting = false;
  /** Why it was not signed the last time. */
  reason: string | undefined;
  /** When a session ended, or it was decided: a clock that never goes back. */
  heardAt: number;
  /** `working`: a session runs, or one may begin. `idle`: nothing can be done for now. `ended`: nothing is done by itself. */
  phase: "working" | "idle" | "ended" = "ended";
  readonly #clock: Clock;
  /** What is left to each: sessions that it may ask for, and refusals of it that are told. */
  readonly #allowances: Readonly<Record<"asked" | "told", Map<PartyId, TokenBucket>>> = {
    asked: new Map(),
    told: new Map(),
  };
  /** Those who wait, and whether they only wait for something that changes what can be done. */
  readonly #waiting = new Map<() => void, boolean>();

  /** Nothing is done for it yet. */
  constructor(certificate: QuorumCertificate, approval: Approval, clock: Clock) {
    this.certificate = certificate;
    this.approval = approval;
    this.payload = {
      keyId: approval.keyId,
      txId: approval.txId,
      core: approvalCore(approval),
      ballot: ballotOf(certificate),
      approvalHash: approvalHash(approval),
      notAfter: Number(approval.notAfter),
    };
    this.#clock = clock;
    this.heardAt = clock.now();
  }

  /** Whether somebody may ask for one more session: each leaves records behind, for as long as the approval lasts. */
  mayAsk(peer: PartyId): boolean {
    return this.#take("asked", peer);
  }

  /** Takes a refusal. @returns whether it is to be told: it is another one than before, and not one of too many. */
  refuse(party: PartyId, refusal: Refusal): boolean {
    const former = this.refusals.get(party);
    this.refusals.set(party, refusal);
    const isSame = former?.code === refusal.code && former.reason === refusal.reason;
    return !isSame && this.#take("told", party);
  }

  #take(what: "asked" | "told", party: PartyId): boolean {
    const now = this.#clock.now();
    const bucket = this.#allowances[what].get(party) ?? new TokenBucket(ALLOWED[what], now);
    this.#allowances[what].set(party, bucket);
    return bucket.take(now);
  }

  /** Something happened: whoever waits looks again. @param isChance whether it changes what can be done. */
  wake(isChance: boolean): void {
    for (const [done, onlyChances] of [...this.#waiting]) if (isChance || !onlyChances) done();
  }

  /** Waits until something happens, at most so long. */
  async wait(delayMs: number, options: { readonly onlyChances?: boolean } = {}): Promise<void> {
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting;
      const cancel = this.#clock.timer(delayMs, done);
      waiting.set(done, options.onlyChances === true);
      function done() {
        cancel();
        waiting.delete(done);
        resolve();
      }
    });
  }
}
