/**
 * One session from its first OPEN to the last DONE: opening, running, lingering; deadlines, link drops, aborts (WIRE.md 3-5).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import {
  CheaterError,
  InvariantError,
  QuorateError,
  type TransportError,
  UsageError,
} from "../base/errors.ts";
import type { Definition } from "../protocols/protocol.ts";
import { Announcer, NO_NONCE } from "./announcer.ts";
import type { SessionContext, SessionEvent } from "./context.ts";
import { type Acceptance, EnvelopeStore } from "./envelope_store.ts";
import type { Evidence } from "./evidence.ts";
import { mendFailure, unknownOutcome, withNames } from "./farewell.ts";
import { LastWords, type Word } from "./last_words.ts";
import { SessionLimits } from "./limits.ts";
import {
  type AbortMessage,
  type OpenMessage,
  proposalHash,
  type ReadyMessage,
  type RefusedMessage,
  type WireProposal,
} from "./messages.ts";
import { type Mend, Opening } from "./opening.ts";
import { Running } from "./running.ts";
import {
  abortWord,
  echoMismatch,
  equivocation,
  linkFlap,
  peerRestarted,
  refusedWord,
  timeoutError,
} from "./session_errors.ts";
import type { SessionHooks } from "./session_types.ts";
import type { Turn, TurnSession } from "./turn.ts";

/** `expiring`: the deadline passed, and the missing peers that are connected may still say why (see `#timeout`). */
type Phase = "queued" | "opening" | "running" | "disputing" | "expiring" | "lingering" | "over";

/** One session at one party. */
export class ProtocolSession implements TurnSession {
  readonly prop: Bytes;
  readonly proposal: WireProposal;
  readonly definition: Definition<unknown, unknown>;
  readonly #context: SessionContext;
  readonly #input: unknown;
  readonly #hooks: SessionHooks;
  readonly #turn: Turn | undefined;
  readonly #opening: Opening;
  readonly #announcer: Announcer;
  readonly #drops = new Map<PartyId, number>();
  readonly #doneBy = new Set<PartyId>();
  readonly #disputants = new Set<PartyId>();
  readonly #words = new LastWords();
  #store: EnvelopeStore | undefined;
  #running: Running | undefined;
  #sid: SessionId | undefined;
  #phase: Phase = "queued";
  /** What a missing peer wants instead: kept, because it takes that back when its own deadline passes. */
  #wish: string | undefined;
  #startedAt = 0;
  #cancelDeadline: () => void = () => {};
  #cancelSplit: (() => void) | undefined;

  constructor(input: {
    readonly context: SessionContext;
    readonly definition: Definition<unknown, unknown>;
    readonly input: unknown;
    readonly proposal: WireProposal;
    readonly mend: Mend | undefined;
    readonly turn: Turn | undefined;
    readonly hooks: SessionHooks;
  }) {
    this.#context = input.context;
    this.definition = input.definition;
    this.#input = input.input;
    this.proposal = input.proposal;
    this.prop = proposalHash(input.proposal);
    this.#hooks = input.hooks;
    this.#turn = input.turn;
    this.#opening = new Opening({
      context: input.context,
      definition: input.definition,
      input: input.input,
      proposal: input.proposal,
      prop: this.prop,
      mend: input.mend,
      events: {
        progress: () => this.#progress(this.#opening.mending ? "mending" : "opening"),
        candidate: (sid) => this.#candidate(sid),
        ready: (sid, offers) => this.#run(sid, offers),
        failure: (error) => this.fail(mendFailure(error)),
        mended: () => this.#safely(() => this.#opening.afterMending()),
        split: (differs) => this.#watchSplit(differs),
        admitted: (isComplete) => this.#turn?.admits(this, isComplete) ?? true,
      },
    });
    this.#announcer = new Announcer({
      context: input.context,
      prop: this.prop,
      peers: this.peers(),
      nonceOf: (party) => this.#opening.nonceOf(party),
      bootIdOf: (peer) => this.#opening.bootIdOf(peer),
      unsaid: (peer, bootId, frame) => this.#hooks.unsaid(peer, bootId, frame),
    });
  }

  /** True until round 1. */
  get isOpening(): boolean {
    return this.#phase === "opening";
  }

  /** The agreed or candidate id. */
  get sid(): SessionId | undefined {
    return this.#sid;
  }

  /** Everybody else in it. */
  peers(): PartyId[] {
    return (this.proposal.participants as readonly PartyId[]).filter((party) => party !== this.#context.self);
  }

  /** Sends OPEN and begins to wait. */
  start(): void {
    if (this.#phase !== "queued") return;
    this.#phase = "opening";
    this.#startedAt = this.#context.clock.now();
    this.#safely(() => {
      this.#progress("opening");
      this.#opening.start();
    });
  }

  /** Another session has ended, for which this one waited. */
  wake(): void {
    if (this.#phase === "opening") this.#safely(() => this.#opening.wake());
  }

  /** Ends before the first round without telling the peers. */
  retire(error: QuorateError): void {
    if (this.#phase !== "opening" && this.#phase !== "queued") return;
    this.#stop();
    this.#close(error, []);
  }

  /**
   * A verified OPEN for this proposal that was not used yet.
   *
   * @returns false where it belongs to a later session of the same proposal.
   */
  receiveOpen(peer: PartyId, open: OpenMessage): boolean {
    if (this.#running === undefined) {
      this.#safely(() => this.#opening.receiveOpen(peer, open));
      return true;
    }
    // A peer that has its result may begin the next one while we still wait for others.
    if (!this.#doneBy.has(peer)) this.#peerRestarted(peer);
    return false;
  }

  /** True iff this OPEN was used here: what comes again after a link drop. */
  knowsOpen(peer: PartyId, open: OpenMessage): boolean {
    return this.#opening.knows(peer, open);
  }

  /** What the peers opened this session with, once it has run: good for no other one. */
  usedNonces(): [peer: PartyId, nonce: Bytes][] {
    if (this.#running === undefined) return [];
    return this.peers().map((peer) => [peer, this.#opening.nonceOf(peer) ?? NO_NONCE]);
  }

  /** A verified READY for this proposal. */
  receiveReady(peer: PartyId, ready: ReadyMessage): void {
    if (this.#phase !== "opening") return;
    this.#safely(() => {
      const fault = this.#opening.receiveReady(peer, ready);
      if (fault !== undefined) this.#refuseFrame(peer, fault);
    });
  }

  /** An envelope with this session's id. */
  receiveEnvelope(peer: PartyId, raw: Bytes): void {
    const listens = ["opening", "running", "disputing"].includes(this.#phase) || this.#isDoubted(peer);
    if (this.#store === undefined || !listens) return;
    this.#safely(() => this.#judge(peer, (this.#store as EnvelopeStore).accept(peer, raw)));
  }

  #judge(peer: PartyId, acceptance: Acceptance): void {
    switch (acceptance.kind) {
      case "duplicate":
        return;
      case "invalid":
        return this.#refuseFrame(peer, acceptance.why);
      case "equivocation":
        return this.#equivocated(acceptance.evidence);
      case "stored":
        if (this.#phase === "running") this.#running?.received(acceptance.stored);
        else this.#speaks(peer);
    }
  }

  /** A peer has its result. */
  receiveDone(peer: PartyId): void {
    this.#doneBy.add(peer);
    if (this.#phase === "lingering" && this.#everybodyDone()) this.#finish();
    this.#speaks(peer);
  }

  /** Whether the silence of a peer is another one's claim. */
  #isDoubted(peer: PartyId): boolean {
    return this.#phase === "expiring" && this.#words.doubts(peer);
  }

  #speaks(peer: PartyId): void {
    if (this.#phase === "expiring" && this.#words.speaks(peer) && this.#words.isComplete) this.#conclude();
  }

  /** True iff a SESSION_REFUSED is about this attempt, not an earlier one of the same proposal. */
  isRefusedBy(peer: PartyId, refused: RefusedMessage): boolean {
    const concerns = (prop: Bytes, party: number | undefined, nonce: Bytes) => {
      const known = party === undefined ? undefined : this.#opening.nonceOf(party as PartyId);
      return equal(prop, this.prop) && known !== undefined && equal(nonce, known);
    };
    return this.peers().includes(peer) &&
      (concerns(refused.prop, peer, refused.nonce) ||
        concerns(refused.otherProp, refused.parties[0], refused.otherNonce));
  }

  /** A peer leaves round 0. */
  receiveRefused(peer: PartyId, refused: RefusedMessage): void {
    this.#peerLeft(peer, refusedWord(this.#context, peer, refused));
  }

  /** A peer ended the session; its word, not evidence. */
  receiveAbort(peer: PartyId, abort: AbortMessage): void {
    if (this.#phase === "over" || this.#phase === "lingering") return;
    // One look at what a peer holds is enough; another one would cost as many signatures again.
    if (abort.code === "ECHO_MISMATCH" && this.#disputants.has(peer)) return;
    const evidence = this.#store?.findEquivocation(abort.evidence);
    if (evidence !== undefined) return this.#equivocated(evidence);
    if (abort.code === "ECHO_MISMATCH" && (this.#phase === "running" || this.#phase === "disputing")) {
      this.#disputants.add(peer);
      if (this.#phase === "running") this.#dispute();
      if (this.peers().every((other) => this.#disputants.has(other))) this.#disputeOver();
      return;
    }
    this.#peerLeft(peer, abortWord(this.#context, peer, abort));
  }

  /** A link came up: the same process gets everything again, another one ends a running session. */
  linkUp(peer: PartyId, bootId: Bytes): void {
    if (this.#phase === "over" || this.#phase === "queued") return;
    if (this.#running === undefined) return this.#safely(() => this.#opening.linkUp(peer, bootId));
    const known = this.#opening.bootIdOf(peer);
    if (known !== undefined && !equal(known, bootId)) {
      this.#peerRestarted(peer);
      return;
    }
    this.#opening.resend(peer);
    this.#running.resend(peer);
    if (this.#phase === "lingering") this.#announcer.done(peer, this.#sid as SessionId);
  }

  /** A link dropped: a retransmission, unless it happens too often. */
  linkDown(peer: PartyId): void {
    if (this.#phase !== "running" && this.#phase !== "disputing") return;
    const drops = (this.#drops.get(peer) ?? 0) + 1;
    this.#drops.set(peer, drops);
    if (drops <= SessionLimits.linkDropsMax) return;
    this.fail(linkFlap(this.#context, peer, drops));
  }

  /** Ends the session here and tells everybody. */
  fail(error: QuorateError, evidence: readonly Evidence[] = []): void {
    if (this.#phase === "over" || this.#phase === "lingering") return;
    this.#stop();
    this.#tell(error, evidence);
    this.#close(error, evidence);
  }

  /** Ends an opening because a peer wants something else, and tells all participants which field differs. */
  refuse(error: QuorateError, refused: Omit<RefusedMessage, "prop" | "nonce" | "ourCommand">): void {
    if (this.#phase !== "opening") return;
    this.#stop();
    this.#announcer.refusal(refused);
    this.#close(error, []);
  }

  /** Ends the session because this party stops. */
  stop(error: QuorateError): void {
    if (this.#phase === "lingering") this.#finish();
    else this.fail(error);
  }

  #candidate(sid: SessionId): void {
    this.#sid = sid;
    this.#store = new EnvelopeStore({
      sid,
      protocol: this.definition.name,
      rounds: this.definition.rounds(this.#input),
      roster: this.#context.roster,
      self: this.#context.self,
    });
    this.#hooks.candidate(sid);
    this.#progress("opening");
  }

  #run(sid: SessionId, offers: ReadonlyMap<PartyId, Bytes>): void {
    this.#watchSplit(false);
    this.#phase = "running";
    this.#turn?.runs(this);
    this.#running = new Running({
      context: this.#context,
      store: this.#store as EnvelopeStore,
      definition: this.definition,
      input: this.#input,
      sid,
      parties: this.proposal.participants as readonly PartyId[],
      offers,
      events: {
        progress: () => this.#progress("round"),
        result: (value) => this.#result(value),
        failure: (error) => this.#failed(error),
        echoMismatch: () => this.#dispute(),
      },
    });
    this.#running.start();
  }

  #result(value: unknown): void {
    if (this.#phase !== "running") return;
    this.#phase = "lingering";
    this.#cancelDeadline();
    // DONE leaves before the next session of the same proposal can say OPEN: it tells the two apart.
    for (const peer of this.peers()) this.#announcer.done(peer, this.#sid as SessionId);
    this.#deadline(SessionLimits.lingerMs, () => this.#finish());
    this.#event("done");
    this.#hooks.outcome({ ok: true, value });
    this.#hooks.leave();
    if (this.#everybodyDone()) this.#finish();
  }

  #finish(): void {
    if (this.#phase !== "lingering") return;
    this.#stop();
    this.#hooks.over({ doneBy: [...this.#doneBy], all: this.#everybodyDone() });
  }

  /** Runs what could throw: no exception of a protocol reaches the link that a frame came from. */
  #safely(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof QuorateError)) {
      const kind = error instanceof Error ? error.name : typeof error;
      return this.fail(new InvariantError(`the session failed: ${kind}`));
    }
    if (!(error instanceof CheaterError)) return this.fail(error);
    const evidence = (error.culprits as readonly PartyId[]).flatMap((culprit) =>
      this.#running === undefined
        ? this.#opening.evidenceOf(culprit)
        : (this.#store as EnvelopeStore).evidenceOf(error.round, culprit)
    );
    this.fail(withNames(error, this.#context.roster), evidence.filter((item) => item.envelopes.length > 0));
  }

  #equivocated(evidence: Evidence): void {
    const error = equivocation(this.#running?.round ?? 0, evidence.culprit);
    this.fail(withNames(error, this.#context.roster), [evidence]);
  }

  #dispute(): void {
    if (this.#phase !== "running") return;
    this.#phase = "disputing";
    this.#running?.stop();
    const farewell = { code: "ECHO_MISMATCH", parties: [], text: "broadcasts differ" } as const;
    this.#announcer.abort(
      this.#sid as SessionId,
      farewell,
      (this.#store as EnvelopeStore).echoedBroadcasts(),
    );
    this.#deadline(SessionLimits.echoDisputeMs, () => this.#disputeOver());
  }

  #disputeOver(): void {
    this.fail(echoMismatch(this.#running?.round ?? 0));
  }

  #peerRestarted(peer: PartyId): void {
    this.#leftBy(peerRestarted(this.#context, peer));
  }

  #refuseFrame(peer: PartyId, why: string): void {
    this.#event("dropped", { peer, why });
    this.#context.links.closeLink(peer, "INVALID_MESSAGE", why);
  }

  #watchSplit(differs: boolean): void {
    if (!differs) {
      this.#cancelSplit?.();
      this.#cancelSplit = undefined;
    } else if (this.#cancelSplit === undefined) {
      this.#cancelSplit = this.#context.clock.timer(SessionLimits.splitMs, () => {
        if (this.#phase === "opening") this.fail(this.#opening.splitError());
      });
    }
  }

  #progress(kind: "opening" | "mending" | "round"): void {
    const deadlineMs = Math.max(0, Math.min(this.#context.timeoutMs, this.#untilEnd()));
    this.#deadline(deadlineMs, () => this.#deadlinePassed());
    this.#event(kind, { deadlineMs });
  }

  /** Milliseconds until the session ends whatever happens. */
  #untilEnd(): number {
    const last = this.#startedAt + this.#context.timeoutMs * (this.#rounds() + SessionLimits.extraRounds);
    return last - this.#context.clock.now();
  }

  /** What is done here, or in a session of its own, is not the silence of a peer; but every session ends. */
  #deadlinePassed(): void {
    if (this.#running === undefined && this.#opening.isHeld) {
      return this.fail(
        new UsageError(
          "PARTY_BUSY",
          "other sessions of the same key did not end in time: wait for them, then run the command again",
        ),
      );
    }
    const busy = this.#running === undefined ? this.#opening.mending : this.#missing().length === 0;
    if (busy && this.#untilEnd() > 0) this.#progress(this.#running === undefined ? "mending" : "round");
    else this.#timeout(true);
  }

  /**
   * Two honest parties can wait for each other when a third one gave each of them something else. So a party that is missing
   * and connected has a moment to say for whom it waits, before its silence is reported.
   *
   * @param own whether this party's own deadline passed; otherwise a peer, who may lie, says that somebody is missing.
   */
  #timeout(own: boolean): void {
    const silent = this.#words.expire(this.#missing(), own);
    const error = this.#timeoutError(silent);
    const connected = silent.filter((peer) => this.#context.links.bootId(peer) !== undefined);
    this.#tell(error, []);
    if (connected.length === 0) return this.#conclude();
    this.#phase = "expiring";
    this.#opening.stop();
    this.#running?.stop();
    this.#deadline(SessionLimits.lastWordMs, () => this.#conclude());
  }

  /** Names those who never said a word; where all did, the first word is the reason. */
  #conclude(): void {
    const { silent, first } = this.#words.conclusion();
    this.#stop();
    this.#close(silent.length > 0 || first === undefined ? this.#timeoutError(silent) : first.error, []);
  }

  #timeoutError(silent: readonly PartyId[]): TransportError {
    const names = silent.map((party) => this.#context.roster.nameOf(party)).join(", ");
    if (this.#running === undefined) {
      this.#wish ??= silent.map((party) => this.#hooks.wishOf(party)).find((text) => text !== undefined);
    }
    return timeoutError(names, silent, { running: this.#running, wish: this.#wish });
  }

  /** A peer left and said why. That it waits for somebody who is missing here too ends the wait for that one. */
  #peerLeft(peer: PartyId, word: Word): void {
    if (this.#phase === "expiring") return this.#lastWord(peer, word);
    if (this.#phase === "over" || this.#phase === "lingering") return;
    if (word.code === "TIMEOUT") {
      const others = this.#missing().filter((party) => party !== peer);
      const both = others.some((party) => word.parties.includes(party));
      if (both || (others.length > 0 && word.parties.includes(this.#context.self))) {
        this.#words.heard(peer, word);
        return this.#timeout(false);
      }
    }
    this.#leftBy(word.error);
  }

  /** What a peer has sent before it left is judged before that ends the session. */
  #leftBy(error: QuorateError): void {
    if (this.#phase !== "running" || this.#running?.endsWith(error) !== true) this.fail(error);
  }

  #lastWord(peer: PartyId, word: Word): void {
    if (this.#words.explains(peer, word, this.#context.self) && this.#words.isComplete) this.#conclude();
  }

  #missing(): readonly PartyId[] {
    if (this.#phase === "expiring") return this.#words.expired;
    return this.#running === undefined ? this.#opening.missing() : this.#running.missing();
  }

  #deadline(delayMs: number, callback: () => void): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#context.clock.timer(delayMs, callback);
  }

  #everybodyDone(): boolean {
    return this.peers().every((peer) => this.#doneBy.has(peer));
  }

  /** From here on nothing happens in this session. */
  #stop(): void {
    this.#phase = "over";
    this.#cancelDeadline();
    this.#watchSplit(false);
    this.#opening.stop();
    this.#running?.stop();
  }

  #close(error: QuorateError, evidence: readonly Evidence[]): void {
    const shown = this.#running?.released === true ? unknownOutcome(error) : error;
    this.#event("failed", { error: shown, evidence });
    this.#hooks.outcome({ ok: false, error: shown, evidence });
    this.#hooks.over({ doneBy: [...this.#doneBy], all: false });
    this.#hooks.leave();
  }

  #tell(error: QuorateError, evidence: readonly Evidence[]): void {
    this.#announcer.failure(error, evidence, { sid: this.#sid, isRunning: this.#running !== undefined });
  }

  #rounds(): number {
    return this.#store?.table.count ?? this.definition.rounds(this.#input).length;
  }

  #event(kind: SessionEvent["kind"], more: Partial<SessionEvent> = {}): void {
    this.#hooks.event({
      kind,
      protocol: this.definition.name,
      ...(this.#sid === undefined ? {} : { sid: this.#sid }),
      round: this.#running?.round ?? 0,
      rounds: this.#rounds(),
      roundName: this.#running?.roundName ??
        (this.#opening.isHeld ? "waiting for another session of the key" : "agreeing on what is done"),
      participants: this.proposal.participants as readonly PartyId[],
      waitingFor: this.#phase === "over" || this.#phase === "lingering" ? [] : this.#missing(),
      deadlineMs: 0,
      ...more,
    });
  }
}
