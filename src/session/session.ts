/**
 * One session from its first OPEN to the last DONE: opening, running, lingering; deadlines, link drops, aborts (WIRE.md 3-5).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { CheaterError, InvariantError, QuorateError, TransportError, UsageError } from "../base/errors.ts";
import type { Definition } from "../protocols/protocol.ts";
import type { SessionContext, SessionEvent } from "./context.ts";
import { type Acceptance, EnvelopeStore } from "./envelope_store.ts";
import type { Evidence } from "./evidence.ts";
import {
  encodeAbort,
  type Farewell,
  farewellOf,
  knownCode,
  mendFailure,
  shownEnvelopes,
  unknownOutcome,
  withNames,
} from "./farewell.ts";
import { SessionLimits } from "./limits.ts";
import { FrameType, type SessionFrame } from "./links.ts";
import {
  type AbortMessage,
  doneCodec,
  type OpenMessage,
  printable,
  proposalHash,
  type ReadyMessage,
  refusedCodec,
  type RefusedMessage,
  type WireProposal,
} from "./messages.ts";
import { type Mend, NO_SESSION, Opening } from "./opening.ts";
import { Running } from "./running.ts";
import type { Turn, TurnSession } from "./turn.ts";

/** How a session ended. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: QuorateError; readonly evidence: readonly Evidence[] };

/** Who is known to have a result, when a session is over. */
export interface Settled {
  /** Who said so. */
  readonly doneBy: readonly PartyId[];
  /** True iff everybody is. */
  readonly all: boolean;
}

/** What a session tells its host. */
export interface SessionHooks {
  event(event: SessionEvent): void;
  /** Frames with this id belong to this session now; an earlier id of it is void. */
  candidate(sid: SessionId): void;
  outcome(outcome: Outcome): void;
  /** A farewell that a process of a peer could not be given, because its link is down. */
  unsaid(peer: PartyId, bootId: Bytes, frame: SessionFrame): void;
  /** It opens or runs no more: another one of the same proposal may begin. */
  leave(): void;
  /** What a peer that is missing in the opening wants instead, in words. */
  wishOf(peer: PartyId): string | undefined;
  /** The session needs nothing any more. */
  over(settled: Settled): void;
}

/** `expiring`: the deadline passed, and the missing peers that are connected may still say why (see `#timeout`). */
type Phase = "queued" | "opening" | "running" | "disputing" | "expiring" | "lingering" | "over";

/** What a peer said when it left, as the error that it is here. */
interface Word {
  readonly code: string;
  readonly parties: readonly number[];
  readonly error: TransportError;
}

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
  readonly #drops = new Map<PartyId, number>();
  readonly #doneBy = new Set<PartyId>();
  readonly #disputants = new Set<PartyId>();
  readonly #words = new Map<PartyId, Word>();
  #store: EnvelopeStore | undefined;
  #running: Running | undefined;
  #sid: SessionId | undefined;
  #phase: Phase = "queued";
  /** Who was missing when the deadline passed. */
  #expired: readonly PartyId[] = [];
  /** What a missing peer wants instead: kept, because it takes that back when its own deadline passes. */
  #wish: string | undefined;
  #isOverdue = false;
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
    return this.#phase === "expiring" && !this.#isOverdue && this.#expired.includes(peer);
  }

  /** Who speaks after another one claimed that it is silent is not: what ended the session is that claim. */
  #speaks(peer: PartyId): void {
    const [claim] = this.#words.values();
    if (!this.#isDoubted(peer) || this.#words.has(peer) || claim === undefined) return;
    this.#words.set(peer, claim);
    if (this.#expired.every((party) => this.#words.has(party))) this.#conclude();
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
    const { roster } = this.#context;
    const name = roster.nameOf(peer);
    const code = knownCode(refused.code);
    const [field, ours, theirs] = [refused.field, refused.ours, refused.theirs].map((part) =>
      printable(part, 512)
    );
    const other = refused.parties[0] === undefined ? "another party" : roster.nameOf(refused.parties[0]);
    const sentence = equal(refused.prop, refused.otherProp)
      ? `${name} left before the first round (${code}: ${theirs}): see its log, then run the command again`
      : `${name} and ${other} do not agree on the ${field} (${ours} at ${name}, ${theirs} at ${other}): ${name} runs "${
        printable(refused.ourCommand, SessionLimits.commandBytesMax)
      }", this is "${this.#context.command}"`;
    const error = new TransportError("PEER_REFUSED", sentence, { party: name, parties: [peer] });
    this.#peerLeft(peer, { code, parties: refused.parties, error });
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
    const name = this.#context.roster.nameOf(peer);
    const code = knownCode(abort.code);
    const error = new TransportError(
      "PEER_ABORTED",
      `${name} ended the session (${code}: ${
        printable(abort.text, 1024)
      }): see its log, then run the command again`,
      { party: name, parties: [peer] },
    );
    this.#peerLeft(peer, { code, parties: abort.parties, error });
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
    if (this.#phase === "lingering") this.#sendDone(peer);
  }

  /** A link dropped: a retransmission, unless it happens too often. */
  linkDown(peer: PartyId): void {
    if (this.#phase !== "running" && this.#phase !== "disputing") return;
    const drops = (this.#drops.get(peer) ?? 0) + 1;
    this.#drops.set(peer, drops);
    if (drops <= SessionLimits.linkDropsMax) return;
    const name = this.#context.roster.nameOf(peer);
    this.fail(
      new TransportError(
        "LINK_FLAP",
        `the link with ${name} dropped ${drops} times within one session: check the network between us`,
        { party: name, parties: [peer] },
      ),
    );
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
    this.#sendRefused(refused);
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
    for (const peer of this.peers()) this.#sendDone(peer);
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
    const error = new CheaterError({
      code: "EQUIVOCATION",
      round: this.#running?.round ?? 0,
      culprits: [evidence.culprit],
      what: "it signed two different messages for one place",
    });
    this.fail(withNames(error, this.#context.roster), [evidence]);
  }

  #dispute(): void {
    if (this.#phase !== "running") return;
    this.#phase = "disputing";
    this.#running?.stop();
    const farewell = { code: "ECHO_MISMATCH", parties: [], text: "broadcasts differ" } as const;
    this.#sendAbort(farewell, (this.#store as EnvelopeStore).echoedBroadcasts());
    this.#deadline(SessionLimits.echoDisputeMs, () => this.#disputeOver());
  }

  #disputeOver(): void {
    this.fail(
      new CheaterError({
        code: "ECHO_MISMATCH",
        round: this.#running?.round ?? 0,
        culprits: [],
        what: "a broadcast differed between parties",
      }),
    );
  }

  #peerRestarted(peer: PartyId): void {
    const name = this.#context.roster.nameOf(peer);
    this.fail(
      new TransportError(
        "PEER_RESTARTED",
        `${name} restarted in the middle of the session: run the command again`,
        { party: name, parties: [peer] },
      ),
    );
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
    this.#isOverdue = own;
    const missing = this.#missing();
    const silent = missing.filter((peer) => !this.#words.has(peer));
    this.#expired = missing;
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
    const silent = this.#expired.filter((peer) => !this.#words.has(peer));
    const [first] = this.#words.values();
    this.#stop();
    this.#close(silent.length > 0 || first === undefined ? this.#timeoutError(silent) : first.error, []);
  }

  #timeoutError(silent: readonly PartyId[]): TransportError {
    const names = silent.map((party) => this.#context.roster.nameOf(party)).join(", ");
    if (this.#running === undefined) {
      this.#wish ??= silent.map((party) => this.#hooks.wishOf(party)).find((text) => text !== undefined);
    }
    const where = this.#running === undefined
      ? "before the first round"
      : `in round ${this.#running.round} (${this.#running.roundName})`;
    return new TransportError(
      "TIMEOUT",
      names === ""
        ? `the session took too long ${where}: run the command again`
        : `${names} did not answer ${where}: ${this.#wish ?? "check that it runs and can be reached"}`,
      { ...(names === "" ? {} : { party: names }), parties: silent },
    );
  }

  /** A peer left and said why. That it waits for somebody who is missing here too ends the wait for that one. */
  #peerLeft(peer: PartyId, word: Word): void {
    if (this.#phase === "expiring") return this.#lastWord(peer, word);
    if (this.#phase === "over" || this.#phase === "lingering") return;
    if (word.code === "TIMEOUT") {
      const others = this.#missing().filter((party) => party !== peer);
      const both = others.some((party) => word.parties.includes(party));
      if (both || (others.length > 0 && word.parties.includes(this.#context.self))) {
        this.#words.set(peer, word);
        return this.#timeout(false);
      }
    }
    this.fail(word.error);
  }

  #lastWord(peer: PartyId, word: Word): void {
    // Who is overdue and only answers our farewell does not explain itself.
    const explains = !this.#isOverdue || !["PEER_ABORTED", "PEER_REFUSED"].includes(word.code) ||
      !word.parties.includes(this.#context.self);
    if (!this.#expired.includes(peer) || !explains) return;
    this.#words.set(peer, word);
    if (this.#expired.every((party) => this.#words.has(party))) this.#conclude();
  }

  #missing(): readonly PartyId[] {
    if (this.#phase === "expiring") return this.#expired;
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

  /** In round 0 an ABORT goes out only with evidence: a peer that has not all OPENs yet does not know the session's id. */
  #tell(error: QuorateError, evidence: readonly Evidence[]): void {
    const farewell = farewellOf(error, this.#context.roster);
    const shown = shownEnvelopes(evidence);
    if (this.#running !== undefined || shown.length > 0) this.#sendAbort(farewell, shown);
    if (this.#running !== undefined) return;
    this.#sendRefused({
      otherProp: this.prop,
      otherNonce: this.#opening.nonceOf(this.#context.self) ?? NO_NONCE,
      parties: farewell.parties,
      code: farewell.code,
      field: "",
      ours: "",
      theirs: printable(farewell.text, 512),
    });
  }

  #sendRefused(refused: Omit<RefusedMessage, "prop" | "nonce" | "ourCommand">): void {
    const nonce = this.#opening.nonceOf(this.#context.self);
    if (nonce === undefined) return;
    const message = { prop: this.prop, nonce, ourCommand: this.#context.command, ...refused };
    this.#sendToAll(FrameType.SESSION_REFUSED, NO_SESSION, encode(refusedCodec, message));
  }

  #sendAbort(farewell: Farewell, envelopes: readonly Bytes[]): void {
    const sid = this.#sid as SessionId;
    this.#sendToAll(FrameType.ABORT, sid.slice(0, 16), encodeAbort(sid, farewell, envelopes));
  }

  #sendDone(peer: PartyId): void {
    const sid = this.#sid as SessionId;
    const payload = encode(doneCodec, { sid });
    this.#context.links.send(peer, { type: FrameType.DONE, session: sid.slice(0, 16), payload });
  }

  #sendToAll(type: FrameType, session: Bytes, payload: Bytes): void {
    const frame = { type, session, payload };
    for (const peer of this.peers()) {
      const bootId = this.#opening.bootIdOf(peer);
      if (!this.#context.links.send(peer, frame) && bootId !== undefined) {
        this.#hooks.unsaid(peer, bootId, frame);
      }
    }
  }
}

const NO_NONCE: Bytes = new Uint8Array(32);
