/**
 * Signing on approval at a node (VOTING 8): what a quorum has approved is signed, and nothing else is.
 *
 * Each node that has a share of the key works on what it has decided. The one with the lowest index that can be reached asks those who
 * are to sign; each of them checks for itself, locks, and takes part. One that refuses says why and is left out, as long as enough
 * others remain. A node that learns of a signature verifies it and keeps it, and begins no session of its own.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal, hex } from "../base/bytes.ts";
import { CODES, UsageError } from "../base/errors.ts";
import { type Rng, systemRng } from "../base/rng.ts";
import type { Clock } from "../session/links.ts";
import { printable } from "../session/messages.ts";
import type { Outbox } from "../storage/outbox.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import { type Approval, encodeApproval } from "../voting/approval.ts";
import type { QuorumCertificate } from "../voting/certificate.ts";
import { approvalOf, type Proposal } from "../voting/proposal.ts";
import { ballotOf } from "../voting/vote.ts";
import { checkApproval, type CheckedApproval } from "./approval_checks.ts";
import { type ApprovalKey, approvedDigest, outsideSignature } from "./approval_key.ts";
import { ApprovalPost } from "./approval_post.ts";
import { ApprovalSessions, errorOf } from "./approval_sessions.ts";
import { ApprovalTask, type Refusal } from "./approval_task.ts";
import { ApprovalView, type ApprovalVotes } from "./approval_view.ts";
import type { ApprovalMessage, Invitation } from "./approval_wire.ts";
import { systemClock } from "./clock.ts";
import { type CompactCertificate, CompactCertificates } from "./compact_certificates.ts";
import type { KeyTurns } from "./key_turns.ts";
import type { Party } from "./party.ts";
import type { PolicyConfig } from "./policy_config.ts";
import type { SignatureRegister } from "./signature_register.ts";
import { type LockPlace, type SignLock, SignLocks, type SignState } from "./sign_locks.ts";

/** What happens to approvals. */
export type ApprovalEvent =
  /** A signature is here: made here, or by others. */
  | { readonly kind: "signed"; readonly txId: string; readonly key: string; readonly own: boolean }
  /** A node does not sign. */
  | { readonly kind: "refused"; readonly txId: string; readonly refusal: Refusal }
  /** Nobody signs, for now. */
  | {
    readonly kind: "failed";
    readonly txId: string;
    readonly outcome: ApprovalState["outcome"];
    readonly reason: string;
  }
  /** An operator has to look. */
  | { readonly kind: "alarm"; readonly txId: string; readonly code: string; readonly reason: string };

/** How an approval stands (VOTING 8.3). */
export interface ApprovalState {
  /** Name of the transaction. */
  readonly txId: string;
  /** How far it is at this node. */
  readonly state: SignState | "none";
  /**
   * `pending`: it is worked on. `failed`: no share has left at any node that took part, as far as they say. `unknown`: a valid
   * signature may exist. `signed`: it is here.
   */
  readonly outcome: "pending" | "failed" | "unknown" | "signed";
  /** Name of the key here; undefined where this party has no share of it. */
  readonly key: string | undefined;
  /** Why it was not signed the last time. */
  readonly reason: string | undefined;
  /** Who did not sign, and why. */
  readonly refusals: readonly Refusal[];
  /** Where there is one: in the form that other programs read. */
  readonly signature: Bytes | undefined;
}

/** A signature that is here. */
export interface ApprovedSignature {
  /** Name of the transaction. */
  readonly txId: string;
  /** Which signature. */
  readonly scheme: Approval["scheme"];
  /** DER for ECDSA, 64 bytes otherwise. */
  readonly signature: Bytes;
  /** 64 bytes. */
  readonly compact: Bytes;
}

/** What signing on approval is made of. */
export interface ApprovalsOptions {
  /** The party whose links are there. */
  readonly party: Party;
  /** The votes of this node. */
  readonly votes: ApprovalVotes;
  /** What this party signs. Default: as configured. */
  readonly policy?: PolicyConfig;
  /** Where records for others go. */
  readonly outbox?: Outbox;
  /** Where nodes agree which of several signatures counts. Default: none, and each answers with the first that it has. */
  readonly register?: Pick<SignatureRegister, "choose" | "add">;
  /** Requests about one key take turns. */
  readonly turns?: KeyTurns;
  /** Told of what happens. */
  readonly on?: (event: ApprovalEvent) => void;
  /** Milliseconds since 1970. Default: the system's clock. */
  readonly now?: () => number;
  /** A clock that never goes back. Default: the system's. */
  readonly clock?: Clock;
  /** Names attempts. Default: the system's. */
  readonly rng?: Rng;
  /** First and longest wait before those who refused are asked again. Default: 5 s and 60 s. */
  readonly retryMs?: { readonly first: number; readonly max: number };
}

/** Signs what was approved. */
export class Approvals implements AsyncDisposable {
  /** What may be signed under which name, and whether signing is paused. */
  readonly locks: SignLocks;
  readonly #votes: ApprovalVotes;
  readonly #policy: PolicyConfig;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #retryMs: { readonly first: number; readonly max: number };
  readonly #on: (event: ApprovalEvent) => void;
  readonly #view: ApprovalView;
  readonly #post: ApprovalPost;
  readonly #sessions: ApprovalSessions;
  readonly #compact: CompactCertificates;
  readonly #tasks = new Map<string, ApprovalTask>();
  readonly #running = new Set<Promise<void>>();
  /** Sessions that this node asks for, one at a time per key. */
  readonly #asking = new Map<string, Promise<unknown>>();
  readonly #watchers = new Set<() => void>();
  /** How often a member has asked for what it may not have. */
  readonly #suspected = new Map<PartyId, number>();
  #isClosed = false;

  /** Listens, and takes up what was open when the last process ended. @throws UsageError USAGE before links are there */
  constructor(options: ApprovalsOptions) {
    const { party, votes, policy = party.local.config.policy, outbox, now = Date.now } = options;
    const { local: { store }, network } = party;
    if (network === undefined) throw new UsageError("USAGE", "approvals are signed when links are there");
    this.#votes = votes;
    this.#policy = policy;
    this.#clock = options.clock ?? systemClock;
    this.#rng = options.rng ?? systemRng;
    this.#retryMs = options.retryMs ?? { first: 5_000, max: 60_000 };
    this.#on = (event) => {
      try {
        options.on?.(event);
      } catch {
        // Nobody can be told; what is signed does not depend on it.
      }
    };
    this.locks = new SignLocks({ ledger: store.ledger, outbox, now });
    this.locks.recover();
    this.#view = new ApprovalView({ party, votes, policy, outbox, locks: this.locks, now });
    this.#sessions = new ApprovalSessions({
      party,
      votes,
      policy,
      turns: options.turns,
      locks: this.locks,
      view: this.#view,
      clock: this.#clock,
      taskOf: (txId) => this.#tasks.get(txId),
      choose: async ({ approval, payload: { keyId, txId } }, signature) => {
        const verifies = (one: Bytes) => this.#view.verifies(approval, one);
        return await options.register?.choose({ keyId, txId, signature, verifies }) ?? signature;
      },
      signed: (task, signature, own) => this.#keep(task, signature, own),
      changed: () => this.#changed(),
    });
    this.#compact = new CompactCertificates({
      party,
      votes,
      locks: this.locks,
      view: this.#view,
      post: () => this.#post,
      rng: this.#rng,
      clock: this.#clock,
    });
    store.guardReleases((transaction, release) =>
      (this.#compact.owns(release) ? this.#compact : this.#sessions).gate(transaction, release)
    );
    this.#post = new ApprovalPost(network.board.channel(NodeMessageType.APPROVAL), {
      link: (peer, isUp) => this.#linked(peer, isUp),
      message: (peer, message) => this.#receive(peer, message),
    });
    for (const lock of this.locks.all()) {
      const { txId, state } = lock;
      // The store may have been down when the last process ended.
      if (lock.time > now() - REGISTERED_MS) this.#register(lock, options.register);
      const certificate = state === "signed" ? undefined : votes.certificate(txId);
      if (certificate !== undefined) this.decided(certificate);
    }
  }

  /** A transaction was decided: if that approves a signature, this node does its part of it. Again: it tries again. */
  decided(certificate: QuorumCertificate): void {
    const task = this.#taskOf(certificate);
    if (task === undefined || this.#isClosed) return;
    const isAgain = task.reason !== undefined;
    task.refusals.clear();
    // Whoever is asked again does not wait for others to begin.
    if (isAgain) task.heardAt = Number.NEGATIVE_INFINITY;
    if (task.phase === "idle") task.phase = "working";
    if (task.phase !== "ended") return task.wake(true);
    task.phase = "working";
    if (!isAgain) task.heardAt = this.#clock.now();
    this.#track(
      this.#drive(task).catch((error) => {
        const { code, message: reason } = errorOf(error);
        task.reason = reason;
        this.#on({ kind: "alarm", txId: task.payload.txId, code, reason });
      }).then(() => {
        task.phase = "ended";
        // What is signed is on disk: nothing more has to be remembered of it.
        if (this.locks.get(task.payload)?.signature !== undefined && task.attempt === undefined) {
          this.#tasks.delete(task.payload.txId);
        }
        this.#changed();
      }),
    );
  }

  /** How an approval stands; undefined where nothing is known of it. */
  state(txId: string): ApprovalState | undefined {
    const task = this.#tasks.get(txId);
    const place = this.#placeOf(txId);
    const lock = place && this.locks.get(place);
    if (task === undefined && lock === undefined) return undefined;
    const state = lock?.state ?? "none";
    const reason = task?.reason ?? lock?.reason ?? "";
    return {
      txId,
      state,
      outcome: this.#outcome(task, state),
      key: place && this.#view.keyOf(place.keyId)?.name,
      reason: state === "signed" || reason === "" ? undefined : reason,
      refusals: [...task?.refusals.values() ?? []],
      signature: this.signature(txId)?.signature,
    };
  }

  /** The signature of a transaction, where it is here. */
  signature(txId: string): ApprovedSignature | undefined {
    const approval = this.#tasks.get(txId)?.approval ?? this.#view.approvalOf(txId);
    const compact = approval && this.locks.get({ keyId: approval.keyId, txId })?.signature;
    if (compact === undefined || approval === undefined) return undefined;
    const { scheme } = approval;
    return { txId, scheme, signature: outsideSignature(scheme, compact), compact };
  }

  /** Waits until an approval is signed, or nothing can be done for it for now; at most so long, or until the signal. */
  async settled(txId: string, waitMs: number, signal?: AbortSignal): Promise<ApprovalState | undefined> {
    const ended = Promise.withResolvers<void>();
    const look = () => {
      const outcome = this.state(txId)?.outcome;
      if (outcome !== undefined && outcome !== "pending") ended.resolve();
    };
    const cancel = this.#clock.timer(waitMs, ended.resolve);
    if (signal?.aborted === true) ended.resolve();
    signal?.addEventListener("abort", () => ended.resolve());
    this.#watchers.add(look);
    look();
    await ended.promise;
    cancel();
    this.#watchers.delete(look);
    return this.state(txId);
  }

  /** Whether this node votes for a proposal by itself: its policy names the proposer and allows the payload. */
  approves(proposal: Proposal): boolean {
    return this.#view.approves(proposal);
  }

  /** Since when signing is paused here: milliseconds since 1970. */
  get pausedSince(): number | undefined {
    return this.locks.pausedSince;
  }

  /** When this returns, no share leaves this node any more, whatever runs. It holds until {@linkcode resume}, over restarts too. */
  pause(): void {
    this.locks.pause();
    this.#stop();
  }

  /** Signing may go on. It starts nothing by itself: what waits is signed when it is asked for again, after all checks. */
  resume(): void {
    this.locks.resume();
  }

  /**
   * Takes a signature from elsewhere, as an operator has found it.
   *
   * @param signature 64 bytes.
   * @throws UsageError SIGNATURE_INVALID, or APPROVAL_INVALID where no approval of that name is decided here.
   */
  adopt(txId: string, signature: Bytes): void {
    const certificate = this.#votes.certificate(txId);
    const task = certificate === undefined ? undefined : this.#taskOf(certificate);
    if (task === undefined) throw new UsageError("APPROVAL_INVALID", `no approval ${txId} is decided here`);
    if (!this.#view.verifies(task.approval, signature)) {
      throw new UsageError("SIGNATURE_INVALID", `this is no signature of what ${txId} approves`);
    }
    this.#keep(task, signature, false);
  }

  /**
   * A compact certificate of what was decided here (VOTING 9), made together with other nodes that have decided the same.
   *
   * @param key name of a key for Ed25519 of the purpose `decision`.
   * @throws QuorateError as {@linkcode CompactCertificates.make}
   */
  async certify(txId: string, key: string): Promise<CompactCertificate> {
    return await this.#compact.make(txId, key);
  }

  /** Ends what runs, here and at the others. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    await Promise.allSettled(this.#running);
  }

  #stop(): void {
    this.#compact.stop();
    for (const task of this.#tasks.values()) {
      task.attempt?.cancel();
      task.wake(true);
    }
  }

  /** Works on an approval until it is signed, or its time is over, or this node has nothing to do with it. */
  async #drive(task: ApprovalTask): Promise<void> {
    const { sessionLimitMs } = this.#policy;
    await this.#askAround(task);
    for (let retryMs = this.#retryMs.first; this.#isOpen(task);) {
      const key = this.#view.keyOf(task.payload.keyId);
      if (key === undefined || this.locks.pausedSince !== undefined) return this.#standAside(task, key);
      const rank = this.#able(task, key).indexOf(this.#view.self);
      if (task.attempt !== undefined || rank > 0) {
        const leftMs = task.heardAt + rank * sessionLimitMs - this.#clock.now();
        if (task.attempt !== undefined || leftMs > 0) {
          await task.wait(task.attempt === undefined ? leftMs : sessionLimitMs);
          continue;
        }
      }
      task.phase = "working";
      if (rank >= 0 && await this.#inTurn(task, () => this.#ask(task))) continue;
      if (!this.#isOpen(task)) return;
      await this.#rest(task);
      if (!this.#isOpen(task)) return;
      await task.wait(retryMs, { onlyChances: true });
      retryMs = Math.min(retryMs * 2, this.#retryMs.max);
      task.refusals.clear();
    }
  }

  /** Whether there is anything left to do. */
  #isOpen(task: ApprovalTask): boolean {
    if (this.#isClosed) return false;
    const lock = this.locks.get(task.payload);
    if (lock?.state === "signed" || lock?.state === "superseded") return false;
    if (this.#view.time() <= task.approval.notAfter) return true;
    task.reason = `the time of the approval is over${
      task.reason === undefined ? "" : `; before: ${task.reason}`
    }`;
    return false;
  }

  /** This node begins no session: others may. */
  #standAside(task: ApprovalTask, key: ApprovalKey | undefined): void {
    if (key === undefined) {
      task.reason = "this party has no share of the key: others sign";
      return;
    }
    const { txId } = task.payload;
    const reason = `check 1 (node) at ${this.#view.name}: signing is paused here by an operator`;
    this.#refuse(task, { node: this.#view.name, code: "SIGNING_PAUSED", reason });
    this.#post.refuse(this.#post.up, { txId, code: "SIGNING_PAUSED", reason });
  }

  /** Nothing can be done for now, until somebody says otherwise. */
  async #rest(task: ApprovalTask): Promise<void> {
    task.isResting = true;
    await this.#askAround(task).finally(() => task.isResting = false);
    if (!this.#isOpen(task) || task.phase !== "working" || task.attempt !== undefined) return;
    task.phase = "idle";
    this.#changed();
  }

  /** Nobody signs, for now: the others need not wait for this node. */
  async #giveUp(task: ApprovalTask, reason: string): Promise<void> {
    task.reason = reason;
    await this.#rest(task);
    if (!this.#isOpen(task)) return;
    const { txId } = task.payload;
    // Whom this node cannot reach, others may.
    if (task.refusals.size > 0) this.#post.refuse(this.#post.up, { txId, code: "NOT_QUALIFIED", reason });
    const state = this.locks.get(task.payload)?.state ?? "none";
    this.#on({ kind: "failed", txId, outcome: this.#outcome(task, state), reason });
    this.#changed();
  }

  /** Asks those whom it takes for a session, and has one with them. @returns false where there are too few. */
  async #ask(task: ApprovalTask): Promise<boolean> {
    if (!this.#isOpen(task) || task.attempt !== undefined || this.locks.pausedSince !== undefined) {
      return true;
    }
    let checked: CheckedApproval;
    try {
      checked = checkApproval(this.#view.check(task.certificate));
    } catch (error) {
      this.#refused(task, error, {});
      return false;
    }
    const { key } = checked;
    const able = this.#able(task, key);
    const signers = this.#view.signersOf(key, able);
    if (signers === undefined) {
      const barred = this.#view.barred(key, key.quorum(able) ?? []) ?? "";
      const why = [this.#missing(task, key, able), barred].filter((one) => one !== "").join("; ");
      await this.#giveUp(task, `too few can sign with ${key.name}: ${why}`);
      return false;
    }
    const others = signers.filter((party) => party !== this.#view.self);
    const former = task.approval.supersedes === ""
      ? undefined
      : this.#view.approvalOf(task.approval.supersedes);
    const invitation: Invitation = {
      kind: "invite",
      request: this.#rng.bytes(32),
      certificate: task.certificate,
      signers,
      digest: approvedDigest(task.approval),
      superseded: former === undefined ? EMPTY : encodeApproval(former),
    };
    let hasBegun = false;
    const invite = () => {
      hasBegun = true;
      for (const party of others) this.#post.send(party, invitation);
    };
    const known = new Set(task.refusals.keys());
    try {
      if (others.length === signers.length) await this.#watch(task, invite, signers);
      else await this.#sessions.run(task, checked, { ...invitation, asker: this.#view.self, begun: invite });
    } catch (error) {
      if (!hasBegun) {
        this.#refused(task, error, {});
        return false;
      }
      this.#ended(task, error, { signers, known });
      const { txId } = task.payload;
      this.#post.refuse(others, { txId, request: invitation.request, code: "CANCELLED", reason: "" });
    }
    return true;
  }

  /** Others sign, and this node is not needed: it waits for what becomes of it. */
  async #watch(task: ApprovalTask, invite: () => void, signers: readonly PartyId[]): Promise<void> {
    for (const signer of signers) {
      task.asked.add(signer);
      task.told.delete(signer);
    }
    invite();
    const until = this.#clock.now() + this.#policy.sessionLimitMs;
    while (this.#isOpen(task) && !signers.some((party) => task.refusals.has(party))) {
      const leftMs = until - this.#clock.now();
      if (leftMs <= 0) throw new UsageError("NOT_QUALIFIED", "those who were asked have not signed in time");
      await task.wait(leftMs);
    }
  }

  /** Why a session ended: who is named is left out the next time, and where nobody is, this node steps back. */
  #ended(
    task: ApprovalTask,
    error: unknown,
    { signers, known }: { readonly signers: readonly PartyId[]; readonly known: ReadonlySet<PartyId> },
  ): void {
    const { code, message, parties } = errorOf(error);
    for (const party of signers) {
      if (party === this.#view.self || !parties.includes(party) || task.refusals.has(party)) continue;
      task.refusals.set(party, { node: this.#view.nameOf(party), code, reason: message });
    }
    const isExplained = [...task.refusals.keys()].some((party) => !known.has(party));
    if (!isExplained) task.refusals.set(this.#view.self, { node: this.#view.name, code, reason: message });
    task.reason = [...task.refusals.values()].map(({ node, reason }) => `${node}: ${reason}`).join("; ");
  }

  // What others say.

  #linked(peer: PartyId, isUp: boolean): void {
    for (const task of this.#tasks.values()) {
      // Another process may think otherwise.
      if (isUp) task.refusals.delete(peer);
      if (isUp && task.asked.has(peer) && !task.told.has(peer)) {
        this.#post.send(peer, { kind: "ask", keyId: task.payload.keyId, txId: task.payload.txId });
      }
      if (isUp && task.phase === "idle") task.phase = "working";
      task.wake(isUp);
    }
  }

  #receive(peer: PartyId, message: ApprovalMessage): void {
    if (this.#isClosed) return;
    switch (message.kind) {
      case "invite":
        return this.#track(this.#invited(peer, message));
      case "certify":
        return this.#track(this.#compact.join(peer, message));
      case "refused":
        if (this.#compact.heardRefusal(peer, message.request, message.reason)) return;
        return this.#heardRefusal(peer, message);
      case "ask":
        return this.#track(this.#tell(peer, message));
      case "told":
        if (this.#compact.heardSignature(message, message.signature)) return;
        return this.#heardState(peer, message);
    }
  }

  /** Somebody asks for a session: whoever has a share of the key may. Everything is checked here, and again before a share leaves. */
  async #invited(peer: PartyId, invitation: Invitation): Promise<void> {
    const { certificate, request, signers } = invitation;
    const { txId } = certificate;
    let [isGood, hasOpened] = [false, false];
    try {
      if (this.#tasks.get(txId)?.mayAsk(peer) === false) {
        throw this.#busy(
          `${this.#view.name} was asked by ${this.#view.nameOf(peer)} to sign ${txId} again and again`,
        );
      }
      const checked = checkApproval(this.#view.check(certificate, invitation));
      if (!checked.key.members.some(({ index }) => index === peer) || !signers.includes(this.#view.self)) {
        throw new UsageError(
          "APPROVAL_SIGNERS",
          `check 7 (signers) at ${this.#view.name}: ${this.#view.nameOf(peer)} asks, and ${
            signers.map((party) => this.#view.nameOf(party)).join(", ")
          } are to sign`,
        );
      }
      isGood = true;
      if (this.#votes.certificate(txId) === undefined) this.#votes.learn?.(certificate);
      const task = this.#taskOf(certificate);
      if (task === undefined || this.#isClosed) return;
      const lock = this.locks.get(task.payload);
      if (lock?.signature !== undefined) return this.#post.tell([peer], task.payload, lock);
      await this.#finishFormer(task, peer);
      this.#requireIdle(task);
      task.refusals.delete(this.#view.self);
      const opened = () => hasOpened = true;
      await this.#sessions.run(task, checked, { ...invitation, asker: peer, begun: () => {}, opened });
    } catch (error) {
      const task = this.#tasks.get(txId);
      // How a session ended, everybody in it has learnt from the session.
      if (hasOpened && task !== undefined) task.reason = errorOf(error).message;
      else {
        const isOwn = isGood || (task !== undefined && this.#objects(task));
        this.#refused(isOwn ? task : undefined, error, { txId, request, peers: [peer] });
        if (!isOwn) this.#suspect(peer, txId, error);
      }
    }
  }

  /** A member asks for what was not approved: its operators may not know, and those of this node are told, a few times. */
  #suspect(peer: PartyId, txId: string, error: unknown): void {
    const { code, message } = errorOf(error);
    if (code === "CANCELLED" || code === "PARTY_BUSY") return;
    const count = (this.#suspected.get(peer) ?? 0) + 1;
    this.#suspected.set(peer, count);
    if (count > SUSPECTED_MAX) return;
    const reason = `${this.#view.nameOf(peer)} has asked for a signature, and is refused: ${message}`;
    this.#on({ kind: "refused", txId, refusal: { node: this.#view.name, code, reason } });
  }

  /** Whether this node does not sign what it has decided, whoever asks: a bad invitation is no reason for that. */
  #objects({ certificate }: ApprovalTask): boolean {
    try {
      checkApproval(this.#view.check(certificate));
      return false;
    } catch {
      return true;
    }
  }

  /** Who asks again has given up what it asked before. */
  async #finishFormer(task: ApprovalTask, peer: PartyId): Promise<void> {
    const former = task.attempt;
    if (former?.asker === peer) former.cancel();
    while (former !== undefined && former.asker === peer && task.attempt === former) {
      await task.wait(FORMER_MS);
    }
  }

  /** @throws UsageError PARTY_BUSY where a session runs: of two that are asked for at once there is one. */
  #requireIdle({ attempt, payload: { txId } }: ApprovalTask): void {
    if (attempt === undefined && !this.#isClosed) return;
    throw this.#busy(`${this.#view.name} is signing ${txId} with others just now`);
  }

  #busy(why: string): UsageError {
    return new UsageError("PARTY_BUSY", `${why}: ask later`);
  }

  #heardRefusal(peer: PartyId, said: Extract<ApprovalMessage, { kind: "refused" }>): void {
    const task = this.#tasks.get(said.txId);
    if (task === undefined) return;
    const node = this.#view.nameOf(peer);
    // What another version says is no code of this one, and no label of a metric.
    const refusal = {
      node,
      code: Object.hasOwn(CODES, said.code) ? said.code : "PEER_REFUSED",
      reason: printable(said.reason, 1024),
    };
    const { attempt } = task;
    const isOurs = attempt !== undefined && equal(attempt.request, said.request) &&
      attempt.signers.includes(peer);
    if (refusal.code === "NOT_QUALIFIED") {
      // It has asked everybody, and has nothing against it itself.
      if (!task.refusals.has(this.#view.self)) task.reason = `${node}: ${refusal.reason}`;
      const mayRest = task.phase === "working" && attempt === undefined && !task.isResting;
      if (mayRest) this.#track(this.#rest(task));
    } else if (refusal.code === "PARTY_BUSY") task.refusals.set(peer, refusal);
    else if (refusal.code !== "CANCELLED" && task.refuse(peer, refusal)) {
      this.#on({ kind: "refused", txId: said.txId, refusal });
    }
    if (isOurs) attempt.cancel();
    task.wake(false);
    this.#changed();
  }

  /** How it stands here. A session that runs is over soon, or its end is on its way: that is waited for, for a moment. */
  async #tell(peer: PartyId, place: LockPlace): Promise<void> {
    const task = this.#tasks.get(place.txId);
    const until = this.#clock.now() + TELL_MS;
    while (task?.attempt !== undefined && this.#clock.now() < until) await task.wait(FORMER_MS);
    this.#post.tell([peer], place, this.locks.get(place));
  }

  #heardState(peer: PartyId, said: Extract<ApprovalMessage, { kind: "told" }>): void {
    if (!this.#tasks.has(said.txId) && this.locks.get(said)?.signature !== undefined) return;
    const certificate = this.#votes.certificate(said.txId);
    const task = this.#tasks.get(said.txId) ??
      (certificate === undefined ? undefined : this.#taskOf(certificate));
    if (task === undefined || !equal(task.payload.keyId, said.keyId)) return;
    task.told.set(peer, said.state);
    task.answered.add(peer);
    const isNew = said.signature.length > 0 && this.locks.get(task.payload)?.signature === undefined;
    if (isNew && this.#view.verifies(task.approval, said.signature)) this.#keep(task, said.signature, false);
    task.wake(false);
    this.#changed();
  }

  /** Stores a signature that was verified, and tells others of it once. */
  #keep(task: ApprovalTask, signature: Bytes, own: boolean): void {
    const { txId, keyId } = task.payload;
    const isFirst = this.locks.get(task.payload)?.signature === undefined;
    this.locks.sign(task.payload, signature);
    if (isFirst) {
      const key = this.#view.keyOf(keyId)?.name ?? hex(keyId).slice(0, 16);
      this.#on({ kind: "signed", txId, key, own });
      this.#post.tell(this.#post.up, task.payload, this.locks.get(task.payload));
    }
    task.wake(true);
    this.#changed();
  }

  /** Asks who is there how it stands, and waits a moment for the answers. */
  async #askAround(task: ApprovalTask): Promise<void> {
    const { keyId, txId } = task.payload;
    const asked = this.#post.up.filter((peer) => this.#post.send(peer, { kind: "ask", keyId, txId }));
    for (const peer of asked) task.answered.delete(peer);
    const until = this.#clock.now() + ASK_MS;
    while (this.#isOpen(task) && asked.some((peer) => this.#post.reaches(peer) && !task.answered.has(peer))) {
      const leftMs = until - this.#clock.now();
      if (leftMs <= 0) return;
      await task.wait(leftMs);
    }
  }

  /** This node does not take part, and says so. */
  #refused(
    task: ApprovalTask | undefined,
    error: unknown,
    said: { readonly txId?: string; readonly request?: Bytes; readonly peers?: readonly PartyId[] },
  ): void {
    const { code, message: reason } = errorOf(error);
    const { txId = task?.payload.txId ?? "", request, peers = this.#post.up } = said;
    if (task !== undefined) {
      if (code === "CANCELLED" || code === "PARTY_BUSY") task.reason ??= reason;
      else this.#refuse(task, { node: this.#view.name, code, reason });
    }
    this.#post.refuse(peers, { txId, code, reason, ...(request === undefined ? {} : { request }) });
  }

  #refuse(task: ApprovalTask, refusal: Refusal): void {
    const { txId } = task.payload;
    const { code, reason } = refusal;
    task.reason = reason;
    if (task.refuse(this.#view.self, refusal)) {
      this.#on({ kind: "refused", txId, refusal });
      if (code === "REQUEST_CONFLICT") this.#on({ kind: "alarm", txId, code, reason });
    }
    task.wake(false);
    this.#changed();
  }

  /** Which lock an approval has: other keys may have locks under its name. */
  #placeOf(txId: string): LockPlace | undefined {
    const keyId = this.#tasks.get(txId)?.payload.keyId ?? this.#view.approvalOf(txId)?.keyId;
    if (keyId !== undefined) return { keyId, txId };
    // Of what is known and no approval nothing is locked: to look through all locks takes long.
    if (this.#votes.status(txId) !== undefined) return undefined;
    return this.locks.all({ txId }).find(({ approvalHash }) => approvalHash.length > 0);
  }

  #taskOf(certificate: QuorumCertificate): ApprovalTask | undefined {
    const known = this.#tasks.get(certificate.txId);
    if (known !== undefined) return equal(known.payload.ballot, ballotOf(certificate)) ? known : undefined;
    const approval = approvalOf(certificate);
    if (approval?.kind !== "approve") return undefined;
    const task = new ApprovalTask(certificate, approval, this.#clock);
    this.#tasks.set(certificate.txId, task);
    if (this.locks.get(task.payload) !== undefined) this.#forgot(task);
    return task;
  }

  /** There was a session before this process began. Who took part in it is not known any more: it may have been anybody. */
  #forgot(task: ApprovalTask): void {
    const { self } = this.#view;
    for (const { index } of this.#view.keyOf(task.payload.keyId)?.members ?? []) {
      if (index !== self) task.asked.add(index);
    }
  }

  /** Members of the key that can be reached and have not refused, this node among them, ascending. */
  #able({ refusals }: ApprovalTask, key: ApprovalKey): PartyId[] {
    const { self } = this.#view;
    return key.members.map(({ index }) => index).filter((index) =>
      !refusals.has(index) &&
      (index === self || (this.#post.reaches(index) && this.#view.signsWith(key, index)))
    );
  }

  #missing({ refusals }: ApprovalTask, key: ApprovalKey, able: readonly PartyId[]): string {
    return key.members.filter(({ index }) => !able.includes(index)).map(({ index, name }) => {
      const refusal = refusals.get(index);
      if (refusal !== undefined) return `${name} refuses (${refusal.reason})`;
      if (!this.#post.reaches(index)) return `${name} cannot be reached`;
      return this.#view.barred(key, [index]) ?? `the pair with ${name} is banned`;
    }).join("; ");
  }

  #outcome(task: ApprovalTask | undefined, state: SignState | "none"): ApprovalState["outcome"] {
    if (state === "signed") return "signed";
    if (task?.phase === "working" || task?.attempt !== undefined) return "pending";
    if (state === "released") return "unknown";
    // What others have let out only they know, with whomever they did it.
    const told = [...task?.told.values() ?? []];
    const isSafe = [...task?.asked ?? []].every((party) => task?.told.has(party)) &&
      !told.some((state) => MAY_EXIST.has(state));
    return isSafe ? "failed" : "unknown";
  }

  /** Offers a signature of before. Compact certificates, which have locks too, are none. */
  #register({ keyId, txId, signature }: SignLock, register: ApprovalsOptions["register"]): void {
    const approval = signature === undefined ? undefined : this.#view.approvalOf(txId);
    if (signature === undefined || approval === undefined || !equal(approval.keyId, keyId)) return;
    register?.add({ keyId, txId, signature, verifies: (one) => this.#view.verifies(approval, one) });
  }

  async #inTurn<T>(task: ApprovalTask, work: () => Promise<T>): Promise<T> {
    const key = hex(task.payload.keyId);
    const mine = (this.#asking.get(key) ?? Promise.resolve()).then(work);
    const settled = mine.catch(() => {});
    this.#asking.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#asking.get(key) === settled) this.#asking.delete(key);
    }
  }

  #track(work: Promise<void>): void {
    const running: Promise<void> = work.catch((error) => this.#failed(error)).finally(() =>
      this.#running.delete(running)
    );
    this.#running.add(running);
  }

  /** What fails here for a peer ends no process. */
  #failed(error: unknown): void {
    const { code, message: reason } = errorOf(error);
    this.#on({ kind: "alarm", txId: "approvals", code, reason });
  }

  #changed(): void {
    for (const changed of [...this.#watchers]) changed();
  }
}

/** How long others are given to say how something stands. */
const ASK_MS = 1_000;
/** After a start, signatures of so long before are offered to the store again. */
const REGISTERED_MS = 24 * 3_600_000;
/** How long an answer waits for the end of a session. */
const TELL_MS = 500;
/** A share has left there, or one may still leave. */
const MAY_EXIST: ReadonlySet<SignState | "none"> = new Set(["prepared", "released", "signed"]);
/** So many bad invitations of a member are told. */
const SUSPECTED_MAX = 3;
/** How often a node looks whether a session that it has cancelled is over. */
const FORMER_MS = 100;
