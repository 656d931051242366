/**
 * One session from its first OPEN to the last DONE: opening, running, lingering; deadlines, link drops, aborts (WIRE.md 3-5).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { CheaterError, type Code, CODES, QuorateError, TransportError } from "../base/errors.ts";
import type { Definition } from "../protocols/protocol.ts";
import type { SessionContext, SessionEvent } from "./context.ts";
import { EnvelopeStore } from "./envelope_store.ts";
import type { Evidence } from "./evidence.ts";
import { SessionLimits } from "./limits.ts";
import { FrameType } from "./links.ts";
import {
  abortCodec,
  type AbortMessage,
  doneCodec,
  type OpenMessage,
  proposalHash,
  type ReadyMessage,
  refusedCodec,
  type RefusedMessage,
  type WireProposal,
} from "./messages.ts";
import { type Mend, NO_SESSION, Opening } from "./opening.ts";
import { Running } from "./running.ts";

/** How a session ended. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: QuorateError; readonly evidence: readonly Evidence[] };

/** Who is known to have a result, when a session is over. */
export interface Settled {
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
  /** The session needs nothing any more. */
  over(settled: Settled): void;
}

/** `expiring`: the deadline passed, and the missing peers that are connected may still say why (see `#timeout`). */
type Phase = "opening" | "running" | "disputing" | "expiring" | "lingering" | "over";

/** One session at one party. */
export class ProtocolSession {
  readonly prop: Bytes;
  readonly proposal: WireProposal;
  readonly definition: Definition<unknown, unknown>;
  readonly #context: SessionContext;
  readonly #input: unknown;
  readonly #hooks: SessionHooks;
  readonly #opening: Opening;
  readonly #drops = new Map<PartyId, number>();
  readonly #doneBy = new Set<PartyId>();
  readonly #disputants = new Set<PartyId>();
  #store: EnvelopeStore | undefined;
  #running: Running | undefined;
  #sid: SessionId | undefined;
  #phase: Phase = "opening";
  #expiringFor: readonly PartyId[] = [];
  #startedAt = 0;
  #cancelDeadline: () => void = () => {};
  #cancelSplit: (() => void) | undefined;

  constructor(input: {
    readonly context: SessionContext;
    readonly definition: Definition<unknown, unknown>;
    readonly input: unknown;
    readonly proposal: WireProposal;
    readonly mend: Mend | undefined;
    readonly hooks: SessionHooks;
  }) {
    this.#context = input.context;
    this.definition = input.definition;
    this.#input = input.input;
    this.proposal = input.proposal;
    this.prop = proposalHash(input.proposal);
    this.#hooks = input.hooks;
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
        failure: (error) => this.fail(asQuorateError(error)),
        split: (differs) => this.#watchSplit(differs),
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
    this.#startedAt = this.#context.clock.now();
    this.#progress("opening");
    this.#opening.start();
  }

  /** A verified OPEN for this proposal. */
  receiveOpen(peer: PartyId, open: OpenMessage): void {
    if (this.#running === undefined) this.#opening.receiveOpen(peer, open);
    else if (!this.#opening.knows(peer, open) && this.#phase !== "lingering") this.#peerRestarted(peer);
  }

  /** True iff this OPEN was used here: what comes again after a link drop. */
  knowsOpen(peer: PartyId, open: OpenMessage): boolean {
    return this.#opening.knows(peer, open);
  }

  /** A verified READY for this proposal. */
  receiveReady(peer: PartyId, ready: ReadyMessage): void {
    if (this.#phase === "opening") this.#opening.receiveReady(peer, ready);
  }

  /** An envelope with this session's id. */
  receiveEnvelope(peer: PartyId, raw: Bytes): void {
    if (
      this.#store === undefined || this.#phase === "over" || this.#phase === "lingering" ||
      this.#phase === "expiring"
    ) return;
    const acceptance = this.#store.accept(peer, raw);
    switch (acceptance.kind) {
      case "duplicate":
        return;
      case "invalid":
        this.#event("dropped", { peer, why: acceptance.why });
        this.#context.links.closeLink(peer, "INVALID_MESSAGE", acceptance.why);
        return;
      case "equivocation":
        this.#equivocated(acceptance.evidence);
        return;
      case "stored":
        if (this.#phase === "running") this.#running?.received(acceptance.stored);
    }
  }

  /** A peer has its result. */
  receiveDone(peer: PartyId): void {
    this.#doneBy.add(peer);
    if (this.#phase === "lingering" && this.#everybodyDone()) this.#finish();
  }

  /** A peer leaves round 0. */
  receiveRefused(peer: PartyId, refused: RefusedMessage): void {
    if (this.#running !== undefined || this.#phase === "over" || this.#ignoresWordOf(peer)) return;
    const name = this.#context.roster.nameOf(peer);
    const about = refused.about as PartyId;
    if (
      this.#phase === "opening" && refused.code === "TIMEOUT" && about !== peer &&
      this.#opening.missing().includes(about)
    ) {
      this.#timeout();
      return;
    }
    const same = equal(refused.prop, refused.otherProp);
    const other = this.#context.roster.nameOf(refused.about);
    this.fail(
      new TransportError(
        "PEER_REFUSED",
        same
          ? `${name} left before the first round (${refused.code}: ${refused.theirs}): see its log, then run the command again`
          : `${name} and ${other} do not agree on the ${refused.field} (${refused.ours} at ${name}, ${refused.theirs} at ${other}): make the commands equal and run them again`,
        { party: name, parties: [peer] },
      ),
    );
  }

  /** A peer ended the session; its word, not evidence. */
  receiveAbort(peer: PartyId, abort: AbortMessage): void {
    if (this.#phase === "over" || this.#phase === "lingering" || this.#ignoresWordOf(peer)) return;
    const evidence = this.#store?.findEquivocation(abort.evidence);
    if (evidence !== undefined) {
      this.#equivocated(evidence);
      return;
    }
    if (abort.code === "ECHO_MISMATCH" && (this.#phase === "running" || this.#phase === "disputing")) {
      this.#disputants.add(peer);
      if (this.#phase === "running") this.#dispute();
      else if (this.peers().every((other) => this.#disputants.has(other))) this.#disputeOver();
      return;
    }
    const missing = this.#missing();
    if (
      this.#phase !== "expiring" && abort.code === "TIMEOUT" &&
      abort.parties.some((party) => missing.includes(party as PartyId))
    ) {
      this.#timeout();
      return;
    }
    const name = this.#context.roster.nameOf(peer);
    this.fail(
      new TransportError(
        "PEER_ABORTED",
        `${name} ended the session (${abort.code}: ${abort.text}): see its log, then run the command again`,
        {
          party: name,
          parties: [peer],
        },
      ),
    );
  }

  /** A link came up: the same process gets everything again, another one ends a running session. */
  linkUp(peer: PartyId, bootId: Bytes): void {
    if (this.#phase === "over") return;
    if (this.#running === undefined) {
      this.#opening.linkUp(peer, bootId);
      return;
    }
    const known = this.#opening.bootIdOf(peer);
    if (known !== undefined && !equal(known, bootId)) {
      if (this.#phase !== "lingering") this.#peerRestarted(peer);
      return;
    }
    this.#opening.resend(peer);
    this.#running?.resend(peer);
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
        {
          party: name,
          parties: [peer],
        },
      ),
    );
  }

  /** Ends the session here and tells everybody. */
  fail(error: QuorateError, evidence: readonly Evidence[] = []): void {
    if (this.#phase === "over" || this.#phase === "lingering") return;
    const opening = this.#running === undefined;
    const shown = this.#running?.released === true ? unknownOutcome(error) : error;
    if (opening) this.#sendRefused(error);
    else this.#sendAbort(error, evidence);
    this.#event("failed", { error: shown, evidence });
    this.#end();
    this.#hooks.outcome({ ok: false, error: shown, evidence });
    this.#hooks.over({ doneBy: [...this.#doneBy], all: false });
  }

  /** Ends an opening because a peer wants something else, and tells all participants which field differs. */
  refuse(error: QuorateError, refused: Omit<RefusedMessage, "prop" | "ourCommand">): void {
    if (this.#phase !== "opening") return;
    this.#sendToAll(FrameType.SESSION_REFUSED, NO_SESSION, this.#refusal(refused));
    this.#event("failed", { error });
    this.#end();
    this.#hooks.outcome({ ok: false, error, evidence: [] });
    this.#hooks.over({ doneBy: [], all: false });
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
  }

  #run(sid: SessionId, offers: ReadonlyMap<PartyId, Bytes>): void {
    this.#watchSplit(false);
    this.#phase = "running";
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
        failure: (error) => this.#protocolFailed(error),
        echoMismatch: () => this.#dispute(),
      },
    });
    this.#running.start();
  }

  #result(value: unknown): void {
    this.#phase = "lingering";
    this.#event("done");
    this.#hooks.outcome({ ok: true, value });
    for (const peer of this.peers()) this.#sendDone(peer);
    if (this.#everybodyDone()) this.#finish();
    else this.#deadline(SessionLimits.lingerMs, () => this.#finish());
  }

  #finish(): void {
    if (this.#phase !== "lingering") return;
    const settled = { doneBy: [...this.#doneBy], all: this.#everybodyDone() };
    this.#end();
    this.#hooks.over(settled);
  }

  #protocolFailed(error: QuorateError): void {
    const evidence = error instanceof CheaterError
      ? error.culprits.map((culprit) =>
        (this.#store as EnvelopeStore).evidenceOf(error.round, culprit as PartyId)
      )
      : [];
    this.fail(this.#named(error), evidence);
  }

  /** The same error with names in place of indices. */
  #named(error: QuorateError): QuorateError {
    if (!(error instanceof CheaterError) || error.culprits.length === 0) return error;
    const names = error.culprits.map((culprit) => this.#context.roster.nameOf(culprit)).join(", ");
    return new CheaterError({
      code: error.code,
      round: error.round,
      culprits: error.culprits,
      what: error.what,
      names,
      cause: error.cause,
    });
  }

  #equivocated(evidence: Evidence): void {
    const round = this.#running?.round ?? 0;
    const error = new CheaterError({
      code: "EQUIVOCATION",
      round,
      culprits: [evidence.culprit],
      what: "it signed two different messages for one place",
    });
    this.fail(this.#named(error), [evidence]);
  }

  #dispute(): void {
    if (this.#phase !== "running") return;
    this.#phase = "disputing";
    const envelopes = (this.#store as EnvelopeStore).echoedBroadcasts();
    this.#sendToAll(
      FrameType.ABORT,
      this.#frameSession(),
      this.#abort("ECHO_MISMATCH", [], "broadcasts differ", envelopes),
    );
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
        {
          party: name,
          parties: [peer],
        },
      ),
    );
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
    const last = this.#startedAt + this.#context.timeoutMs * (this.#rounds() + SessionLimits.extraRounds);
    const delay = Math.max(0, Math.min(this.#context.timeoutMs, last - this.#context.clock.now()));
    this.#deadline(delay, () => this.#expired());
    this.#event(kind);
  }

  #expired(): void {
    if (this.#phase === "opening" && this.#opening.mending) this.#progress("mending");
    else this.#timeout();
  }

  #timeout(): void {
    const missing = this.#missing();
    const names = missing.map((party) => this.#context.roster.nameOf(party)).join(", ");
    const where = this.#running === undefined
      ? "before the first round"
      : `in round ${this.#running.round} (${this.#running.roundName})`;
    const error = new TransportError(
      "TIMEOUT",
      `${names || "the session"} did not answer ${where}: check that it runs and can be reached`,
      { ...(names === "" ? {} : { party: names }), parties: missing },
    );
    // Two honest parties can wait for each other when a third one gave each of them something else: the word of a
    // missing peer that is connected comes before its silence.
    const connected = missing.filter((peer) => this.#context.links.bootId(peer) !== undefined);
    if (connected.length === 0) return this.fail(error);
    if (this.#running === undefined) this.#sendRefused(error);
    else this.#sendAbort(error, []);
    this.#phase = "expiring";
    this.#expiringFor = connected;
    this.#deadline(SessionLimits.lastWordMs, () => this.fail(error));
  }

  /** After the deadline only those who were missing are listened to. */
  #ignoresWordOf(peer: PartyId): boolean {
    return this.#phase === "expiring" && !this.#expiringFor.includes(peer);
  }

  #missing(): PartyId[] {
    return this.#running === undefined ? this.#opening.missing() : this.#running.missing();
  }

  #deadline(delayMs: number, callback: () => void): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#context.clock.timer(delayMs, callback);
  }

  #everybodyDone(): boolean {
    return this.peers().every((peer) => this.#doneBy.has(peer));
  }

  #end(): void {
    this.#phase = "over";
    this.#cancelDeadline();
    this.#watchSplit(false);
    this.#opening.stop();
    this.#running?.stop();
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
      roundName: this.#running === undefined ? "agreeing on what is done" : this.#running?.roundName ?? "",
      participants: this.proposal.participants as readonly PartyId[],
      waitingFor: this.#phase === "over" || this.#phase === "lingering" ? [] : this.#missing(),
      deadlineMs: this.#context.timeoutMs,
      ...more,
    });
  }

  #sendDone(peer: PartyId): void {
    const payload = encode(doneCodec, { sid: this.#sid as SessionId });
    this.#context.links.send(peer, { type: FrameType.DONE, session: this.#frameSession(), payload });
  }

  #sendRefused(error: QuorateError): void {
    const about = error instanceof TransportError ? error.parties[0] : undefined;
    this.#sendToAll(
      FrameType.SESSION_REFUSED,
      NO_SESSION,
      this.#refusal({
        otherProp: this.prop,
        about: about ?? this.#context.self,
        code: error.code,
        field: "",
        ours: "",
        theirs: CODES[error.code].meaning,
      }),
    );
  }

  #refusal(refused: Omit<RefusedMessage, "prop" | "ourCommand">): Bytes {
    return encode(refusedCodec, { prop: this.prop, ourCommand: this.#context.command, ...refused });
  }

  /** Only the meaning of the code leaves this party, and nothing at all about a failed oblivious-transfer check. */
  #sendAbort(error: QuorateError, evidence: readonly Evidence[]): void {
    const quiet = error.code === "PAIR_BURNED" || error.code === "INVARIANT" ||
      error.code.startsWith("STORE_");
    const code: Code = quiet ? "CANCELLED" : error.code;
    const parties = quiet
      ? []
      : error instanceof CheaterError
      ? error.culprits
      : error instanceof TransportError
      ? error.parties
      : [];
    const names = parties.map((party) => this.#context.roster.nameOf(party)).join(", ");
    const text = names === "" ? CODES[code].meaning : `${names}: ${CODES[code].meaning}`;
    const conflicting = evidence.filter((item) => item.kind === "equivocation").flatMap((item) =>
      item.envelopes.map((e) => e.raw)
    );
    this.#sendToAll(FrameType.ABORT, this.#frameSession(), this.#abort(code, parties, text, conflicting));
  }

  #abort(code: string, parties: readonly number[], text: string, envelopes: readonly Bytes[]): Bytes {
    const evidence: Bytes[] = [];
    let size = 0;
    for (const raw of envelopes) {
      size += raw.length;
      if (size <= SessionLimits.abortBytesMax - 4096 && evidence.length < SessionLimits.participantsMax) {
        evidence.push(raw);
      }
    }
    return encode(abortCodec, { sid: this.#sid as SessionId, code, parties, text, evidence });
  }

  #sendToAll(type: FrameType, session: Bytes, payload: Bytes): void {
    for (const peer of this.peers()) this.#context.links.send(peer, { type, session, payload });
  }

  #frameSession(): Bytes {
    return (this.#sid ?? EMPTY).slice(0, 16);
  }
}

function unknownOutcome(error: QuorateError): TransportError {
  return new TransportError(
    "OUTCOME_UNKNOWN",
    `a valid signature may exist, because the last round was sent (${error.message}): only the same message may be signed again`,
    { cause: error, ...(error.party === undefined ? {} : { party: error.party }) },
  );
}

function asQuorateError(error: Error): QuorateError {
  return error instanceof QuorateError
    ? error
    : new TransportError("CANCELLED", "the session could not be prepared", { cause: error });
}
