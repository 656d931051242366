/**
 * All sessions of one party: which frame belongs to which session, what is kept for sessions that have not started here,
 * and what is refused (WIRE.md 3).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { type Codec, decode, DecodeError } from "../base/codec.ts";
import { invariant, TransportError, UsageError } from "../base/errors.ts";
import type { Definition } from "../protocols/protocol.ts";
import type { SessionContext, SessionEvent } from "./context.ts";
import { SessionLimits } from "./limits.ts";
import { FrameType, type LinkEvent, type SessionFrame } from "./links.ts";
import {
  abortCodec,
  doneCodec,
  entryOf,
  firstDifference,
  openCodec,
  type OpenMessage,
  printable,
  proposalHash,
  readyCodec,
  readyDigest,
  refusedCodec,
  verifyEntry,
  type WireProposal,
} from "./messages.ts";
import type { Mend } from "./opening.ts";
import { ProtocolSession } from "./session.ts";
import type { Outcome, Settled } from "./session_types.ts";
import type { Turn } from "./turn.ts";

/** How a {@linkcode SessionHost} is set up. */
export interface SessionHostOptions extends SessionContext {
  /**
   * `command`: one thing is done at a time, and a peer that wants something else is refused at once. `daemon`: its OPEN
   * waits until the same is started here. Default: `command`.
   */
  readonly mode?: "command" | "daemon";
  /** Called at every transition. */
  readonly onEvent?: (event: SessionEvent) => void;
}

/** How one session is started. */
export interface StartOptions {
  /** 32 bytes that tell two otherwise equal requests apart; zero for a command-line run. */
  readonly request?: Bytes;
  /** Mends what `Definition.unsettled` reports. */
  readonly mend?: Mend;
  /** Makes it wait for others about the same thing. */
  readonly turn?: Turn;
  /** What was asked for; default: that of the host. */
  readonly command?: string;
  /** How long a round waits; default: that of the host. */
  readonly timeoutMs?: number;
  /** Called at every transition of this session, beside `SessionHostOptions.onEvent`. */
  readonly onEvent?: (event: SessionEvent) => void;
}

/** A session that was started here. */
export interface RunningSession<O> {
  /** The protocol's result. Rejects with a `QuorateError`. */
  readonly result: Promise<O>;
  /** Resolves when the session needs nothing any more: everybody is done, or nobody is waited for any longer. */
  readonly settled: Promise<Settled>;
  /** Ends the session here and at the peers. */
  cancel(): void;
}

/** Callbacks instead of promises, for callers that must not depend on the microtask queue (simulations). */
export interface SessionObserver {
  /** The session has a result or has failed. */
  outcome(outcome: Outcome): void;
  /** The session needs nothing any more. */
  settled?(settled: Settled): void;
}

/** A session that a peer has opened and that nobody has started here. */
export interface WantedSession {
  /** Who waits for this party. */
  readonly peer: PartyId;
  /** Name of the protocol. */
  readonly protocol: string;
  /** What its operator asked for, in the peer's words: printable. */
  readonly command: string;
  /** For how long it has waited, as far as this party knows. */
  readonly waitingMs: number;
}

interface BufferedOpen {
  readonly open: OpenMessage;
  readonly prop: Bytes;
  readonly until: number;
}

interface Unsaid {
  readonly bootId: Bytes;
  readonly frame: SessionFrame;
  readonly until: number;
}

/** Runs the sessions of one party over its links. */
export class SessionHost {
  readonly #options: SessionHostOptions;
  readonly #byProp = new Map<string, ProtocolSession>();
  readonly #bySid = new Map<string, ProtocolSession>();
  readonly #sessions = new Set<ProtocolSession>();
  readonly #queue = new Map<string, ProtocolSession[]>();
  readonly #buffered = new Map<PartyId, Map<string, BufferedOpen>>();

  readonly #used = new Set<string>();

  readonly #unsaid = new Map<PartyId, Unsaid[]>();
  #dropped = 0;

  /** Takes over what the links deliver. */
  constructor(options: SessionHostOptions) {
    const command = printable(options.command, SessionLimits.commandBytesMax);
    this.#options = { ...options, command };
    options.links.listen((event) => this.#onLink(event));
  }

  /** How many sessions wait, open, run or linger. */
  get size(): number {
    return this.#sessions.size;
  }

  /** How many frames belonged to no session here: late, replayed, or for what was not started. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What peers have opened with this party lately and was not started here, oldest first. */
  get wanted(): readonly WantedSession[] {
    const now = this.#options.clock.now();
    const kept = [...this.#buffered].flatMap(([peer, mail]) =>
      [...mail.values()].map((one) => ({ peer, ...one }))
    );
    return kept.filter((one) => this.#isFresh(one) && !one.open.auxiliary)
      .map(({ peer, open, until }) => ({
        peer,
        protocol: printable(open.proposal.protocol, SessionLimits.commandBytesMax),
        command: printable(open.command, SessionLimits.commandBytesMax),
        waitingMs: now - (until - SessionLimits.openKeptMs),
      }))
      .sort((a, b) => b.waitingMs - a.waitingMs);
  }

  /**
   * Starts a session of a protocol. At most one session per proposal opens or runs; a second one waits for the first.
   *
   * @throws UsageError NOT_A_MEMBER if this party is not a participant.
   */
  start<I, O>(definition: Definition<I, O>, input: I, options: StartOptions = {}): RunningSession<O> {
    const result = Promise.withResolvers<O>();
    const settled = Promise.withResolvers<Settled>();
    result.promise.catch(() => {});
    const cancel = this.observe(definition, input, options, {
      outcome: (outcome) => outcome.ok ? result.resolve(outcome.value as O) : result.reject(outcome.error),
      settled: (value) => settled.resolve(value),
    });
    return { result: result.promise, settled: settled.promise, cancel };
  }

  /** Like {@linkcode start}, with callbacks. @returns a function that cancels. */
  observe<I, O>(
    definition: Definition<I, O>,
    input: I,
    options: StartOptions,
    observer: SessionObserver,
  ): () => void {
    const proposal = this.#proposal(definition, input, options.request);
    if (this.#sessions.size >= SessionLimits.sessionsMax) {
      throw new UsageError(
        "PARTY_BUSY",
        `${SessionLimits.sessionsMax} sessions run already: wait for one of them`,
      );
    }
    let sidKey: string | undefined;
    const { command = this.#options.command, timeoutMs = this.#options.timeoutMs, turn, onEvent } = options;
    const session: ProtocolSession = new ProtocolSession({
      context: {
        ...this.#options,
        command: printable(command, SessionLimits.commandBytesMax),
        timeoutMs,
      },
      definition: definition as Definition<unknown, unknown>,
      input,
      proposal,
      mend: options.mend,
      turn,
      hooks: {
        event: (event) => {
          quietly(() => this.#options.onEvent?.(event));
          quietly(() => onEvent?.(event));
        },
        candidate: (sid) => {
          if (sidKey !== undefined) this.#bySid.delete(sidKey);
          sidKey = sidOf(sid);
          this.#bySid.set(sidKey, session);
        },
        outcome: (outcome) => quietly(() => observer.outcome(outcome)),
        over: (value) => {
          if (sidKey !== undefined) this.#bySid.delete(sidKey);
          this.#sessions.delete(session);
          this.#keepUsed(session);
          quietly(() => observer.settled?.(value));
        },
        unsaid: (peer, bootId, frame) => this.#keepUnsaid(peer, bootId, frame),
        leave: () => this.#leaveProp(session),
        wishOf: (peer) => this.#wishOf(session, peer),
      },
    });
    turn?.enter(session);
    const key = hex(session.prop);
    this.#sessions.add(session);
    const queue = this.#queue.get(key);
    if (this.#byProp.has(key) || queue !== undefined) this.#queue.set(key, [...(queue ?? []), session]);
    else this.#begin(session);
    return () => session.fail(new TransportError("CANCELLED", "the session was cancelled here"));
  }

  /** Ends all sessions here and tells the peers. */
  stop(): void {
    for (const session of [...this.#sessions].reverse()) {
      session.stop(new TransportError("CANCELLED", "this party stops"));
    }
  }

  #begin(session: ProtocolSession): void {
    const key = hex(session.prop);
    this.#byProp.set(key, session);
    session.start();
    for (const peer of session.peers()) {
      const mail = this.#buffered.get(peer);
      const fitting = mail?.get(key);
      if (fitting !== undefined) {
        mail?.delete(key);
        if (this.#isFresh(fitting)) session.receiveOpen(peer, fitting.open);
      }
      for (const other of mail?.values() ?? []) {
        if (this.#isFresh(other)) this.#refuseConflict(session, peer, other.open, other.prop);
      }
    }
  }

  /** A session opens or runs no more: the next one of the same proposal begins. */
  #leaveProp(session: ProtocolSession): void {
    const key = hex(session.prop);
    const waiting = (this.#queue.get(key) ?? []).filter((queued) => queued !== session);
    const isFirst = this.#byProp.get(key) === session;
    if (isFirst) this.#byProp.delete(key);
    const next = isFirst ? waiting.shift() : undefined;
    if (waiting.length > 0) this.#queue.set(key, waiting);
    else this.#queue.delete(key);
    if (next !== undefined) this.#begin(next);
  }

  #proposal<I, O>(definition: Definition<I, O>, input: I, request?: Bytes): WireProposal {
    const { participants, policyHash, keyId, epoch, params, payload } = definition.proposal(input);
    if (!participants.includes(this.#options.self)) {
      throw new UsageError(
        "NOT_A_MEMBER",
        `${this.#options.roster.nameOf(this.#options.self)} takes no part in this`,
      );
    }
    if (participants.length > SessionLimits.participantsMax) {
      throw new UsageError(
        "USAGE",
        `at most ${SessionLimits.participantsMax} parties take part in a session: found ${participants.length}`,
      );
    }
    for (const party of participants) this.#options.roster.get(party);
    invariant(isAscending(participants), "participants are given ascending");
    return {
      protocol: definition.name,
      version: definition.version,
      params,
      rosterHash: this.#options.roster.hash,
      policyHash,
      keyId,
      epoch,
      participants,
      payload,
      request: request ?? new Uint8Array(32),
    };
  }

  #onLink(event: LinkEvent): void {
    switch (event.kind) {
      case "up":
        this.#sayUnsaid(event.peer, event.bootId);
        for (const session of [...this.#sessions]) {
          if (session.peers().includes(event.peer)) session.linkUp(event.peer, event.bootId);
        }
        return;
      case "down":
        // What comes again after a reconnect is sent again by the peer.
        this.#buffered.delete(event.peer);
        for (const session of [...this.#sessions]) {
          if (session.peers().includes(event.peer)) session.linkDown(event.peer);
        }
        return;
      case "frame":
        this.#onFrame(event.peer, event.frame);
    }
  }

  /**
   * A peer whose link comes back says all of its session again, also when that session is over here: its OPEN must not open the
   * next one, with an offer of yesterday.
   */
  #keepUsed(session: ProtocolSession): void {
    for (const [peer, nonce] of session.usedNonces()) this.#used.add(`${peer}/${hex(nonce)}`);
    for (const oldest of this.#used) {
      if (this.#used.size <= SessionLimits.usedNoncesMax) return;
      this.#used.delete(oldest);
    }
  }

  /** A peer that waits for a session that is over here should not wait until its deadline, and name this party. */
  #keepUnsaid(peer: PartyId, bootId: Bytes, frame: SessionFrame): void {
    const until = this.#options.clock.now() + this.#options.timeoutMs;
    const kept = [...this.#unsaid.get(peer) ?? [], { bootId, frame, until }];
    this.#unsaid.set(peer, kept.slice(-SessionLimits.unsaidMax));
  }

  #sayUnsaid(peer: PartyId, bootId: Bytes): void {
    const kept = this.#unsaid.get(peer) ?? [];
    this.#unsaid.delete(peer);
    for (const unsaid of kept) {
      const isDue = equal(unsaid.bootId, bootId) && unsaid.until > this.#options.clock.now();
      if (isDue) this.#options.links.send(peer, unsaid.frame);
    }
  }

  #onFrame(peer: PartyId, { type, session, payload }: SessionFrame): void {
    switch (type) {
      case FrameType.OPEN:
        return this.#onOpen(peer, payload);
      case FrameType.READY:
        return this.#onReady(peer, payload);
      case FrameType.SESSION_REFUSED:
        return this.#onRefused(peer, payload);
      case FrameType.ENVELOPE:
      case FrameType.DONE:
      case FrameType.ABORT: {
        const target = this.#bySid.get(hex(session));
        if (!target?.peers().includes(peer)) this.#dropped++;
        else if (type === FrameType.ENVELOPE) target.receiveEnvelope(peer, payload);
        else if (type === FrameType.DONE) this.#onDone(peer, target, payload);
        else this.#onAbort(peer, target, payload);
      }
    }
  }

  #onDone(peer: PartyId, target: ProtocolSession, payload: Bytes): void {
    const done = this.#decode(peer, doneCodec, payload);
    if (done === undefined) return;
    if (isOf(target, done.sid)) target.receiveDone(peer);
    else this.#dropped++;
  }

  #onAbort(peer: PartyId, target: ProtocolSession, payload: Bytes): void {
    if (payload.length > SessionLimits.abortBytesMax) {
      return this.#closeLink(peer, `an ABORT has ${payload.length} bytes`);
    }
    const abort = this.#decode(peer, abortCodec, payload);
    if (abort === undefined) return;
    if (isOf(target, abort.sid)) target.receiveAbort(peer, abort);
    else this.#dropped++;
  }

  #onReady(peer: PartyId, payload: Bytes): void {
    const ready = this.#decode(peer, readyCodec, payload);
    if (ready === undefined) return;
    const target = this.#byProp.get(hex(ready.prop));
    if (!target?.peers().includes(peer)) {
      this.#dropped++;
      return;
    }
    const digest = readyDigest(peer, ready.prop, ready.entries);
    if (!this.#options.roster.get(peer).identity.verify(digest, ready.signature)) {
      return this.#closeLink(peer, UNSIGNED);
    }
    target.receiveReady(peer, ready);
  }

  #onRefused(peer: PartyId, payload: Bytes): void {
    const refused = this.#decode(peer, refusedCodec, payload);
    if (refused === undefined) return;
    const mail = this.#buffered.get(peer);
    const kept = mail?.get(hex(refused.prop));
    if (kept !== undefined && equal(kept.open.nonce, refused.nonce)) mail?.delete(hex(refused.prop));
    const targets = new Set([refused.prop, refused.otherProp].map((prop) => this.#byProp.get(hex(prop))));
    for (const target of targets) {
      if (target?.isRefusedBy(peer, refused)) target.receiveRefused(peer, refused);
      else this.#dropped++;
    }
  }

  #onOpen(peer: PartyId, payload: Bytes): void {
    if (payload.length > SessionLimits.openBytesMax) {
      return this.#closeLink(peer, `an OPEN has ${payload.length} bytes`);
    }
    const open = this.#decode(peer, openCodec, payload);
    if (open === undefined) return;
    const { participants } = open.proposal;
    if (
      !isAscending(participants) || !participants.includes(peer) || !participants.includes(this.#options.self)
    ) {
      return this.#closeLink(peer, "an OPEN has an impossible set of participants");
    }
    const prop = proposalHash(open.proposal);
    for (const session of this.#sessions) {
      if (equal(session.prop, prop) && session.knowsOpen(peer, open)) return;
    }
    if (!verifyEntry(this.#options.roster.get(peer).identity, peer, prop, entryOf(open))) {
      return this.#closeLink(peer, UNSIGNED);
    }
    if (this.#used.has(`${peer}/${hex(open.nonce)}`)) {
      this.#dropped++;
      return;
    }
    const key = hex(prop);
    const target = this.#byProp.get(key);
    if (target?.receiveOpen(peer, open)) return;
    // A running session that this OPEN ended has made room for the next one of the same proposal.
    const next = this.#byProp.get(key);
    if (next !== target && next?.receiveOpen(peer, open)) return;
    for (const session of [...this.#byProp.values()]) {
      if (hex(session.prop) !== key && this.#refuseConflict(session, peer, open, prop)) return;
    }
    this.#buffer(peer, open, prop);
  }

  /** In a command: a peer that opens something else with us will never open this. */
  #refuseConflict(session: ProtocolSession, peer: PartyId, open: OpenMessage, prop: Bytes): boolean {
    if (this.#options.mode === "daemon" || !session.isOpening || !session.peers().includes(peer)) {
      return false;
    }
    if (session.definition.auxiliary === true || open.auxiliary) return false;
    const nameOf = (index: PartyId) => this.#options.roster.nameOf(index);
    const { field, ours, theirs } = firstDifference(session.proposal, open.proposal, nameOf);
    const name = nameOf(peer);
    const command = printable(open.command, SessionLimits.commandBytesMax);
    session.refuse(
      new TransportError(
        "PEER_REFUSED",
        `${name} has another ${field} (${theirs} there, ${ours} here): ${name} runs "${command}", this is "${this.#options.command}"`,
        { party: name, parties: [peer] },
      ),
      {
        otherProp: prop,
        otherNonce: open.nonce,
        parties: [peer],
        code: "PEER_REFUSED",
        field,
        ours,
        theirs,
      },
    );
    return true;
  }

  /** In a daemon a peer that wants something else with the same key is not refused: it is said when nothing came of it. */
  #wishOf({ proposal, prop }: ProtocolSession, peer: PartyId): string | undefined {
    for (const { open, ...kept } of this.#buffered.get(peer)?.values() ?? []) {
      const isRelated = equal(open.proposal.keyId, proposal.keyId) &&
        (proposal.keyId.length > 0 || open.proposal.protocol === proposal.protocol);
      if (equal(kept.prop, prop) || open.auxiliary || !isRelated) continue;
      const nameOf = (index: PartyId) => this.#options.roster.nameOf(index);
      const { field, ours, theirs } = firstDifference(proposal, open.proposal, nameOf);
      const command = printable(open.command, SessionLimits.commandBytesMax);
      return `it has another ${field} (${theirs} there, ${ours} here) and runs "${command}"`;
    }
    return undefined;
  }

  #buffer(peer: PartyId, open: OpenMessage, prop: Bytes): void {
    let mail = this.#buffered.get(peer);
    if (mail === undefined) this.#buffered.set(peer, mail = new Map());
    for (const [key, kept] of mail) {
      if (!this.#isFresh(kept)) mail.delete(key);
    }
    const key = hex(prop);
    if (!mail.has(key) && mail.size >= SessionLimits.openBufferedMax) return;
    mail.set(key, { open, prop, until: this.#options.clock.now() + SessionLimits.openKeptMs });
  }

  #isFresh(kept: BufferedOpen): boolean {
    return kept.until > this.#options.clock.now();
  }

  #decode<T>(peer: PartyId, codec: Codec<T>, payload: Bytes): T | undefined {
    try {
      return decode(codec, payload);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#closeLink(peer, error.message);
      return undefined;
    }
  }

  #closeLink(peer: PartyId, why: string): void {
    this.#options.links.closeLink(peer, "INVALID_MESSAGE", why);
  }
}

/** A caller's callback that throws is the caller's failure; it must not end a session. */
function quietly(callback: () => void): void {
  try {
    callback();
  } catch {
    // There is nobody to tell.
  }
}

function isAscending(parties: readonly number[]): boolean {
  return parties.every((party, i) => i === 0 || (parties[i - 1] as number) < party);
}

function isOf(session: ProtocolSession, sid: Bytes): boolean {
  return session.sid !== undefined && equal(session.sid, sid);
}

function sidOf(sid: SessionId): string {
  return hex(sid.slice(0, 16));
}

const UNSIGNED = "a message of round 0 is not signed by its sender";
