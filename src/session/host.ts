/**
 * All sessions of one party: which frame belongs to which session, what is kept for sessions that have not started here,
 * and what is refused (WIRE.md 3).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import { type Codec, decode, DecodeError } from "../base/codec.ts";
import { TransportError, UsageError } from "../base/errors.ts";
import type { Definition } from "../protocols/protocol.ts";
import type { SessionContext, SessionEvent } from "./context.ts";
import { SessionLimits } from "./limits.ts";
import { FrameType, type LinkEvent, type SessionFrame } from "./links.ts";
import {
  abortCodec,
  doneCodec,
  firstDifference,
  openCodec,
  openDigest,
  type OpenMessage,
  proposalHash,
  readyCodec,
  readyDigest,
  refusedCodec,
  type WireProposal,
} from "./messages.ts";
import type { Mend } from "./opening.ts";
import { type Outcome, ProtocolSession, type Settled } from "./session.ts";

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
  outcome(outcome: Outcome): void;
  settled?(settled: Settled): void;
}

interface BufferedOpen {
  readonly open: OpenMessage;
  readonly prop: Bytes;
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

  constructor(options: SessionHostOptions) {
    this.#options = options;
    options.links.listen((event) => this.#onLink(event));
  }

  /** How many sessions open, run or linger. */
  get size(): number {
    return this.#sessions.size;
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
    const session: ProtocolSession = new ProtocolSession({
      context: this.#options,
      definition: definition as Definition<unknown, unknown>,
      input,
      proposal,
      mend: options.mend,
      hooks: {
        event: (event) => this.#options.onEvent?.(event),
        candidate: (sid) => {
          if (sidKey !== undefined) this.#bySid.delete(sidKey);
          sidKey = sidOf(sid);
          this.#bySid.set(sidKey, session);
        },
        outcome: (outcome) => {
          this.#leaveProp(session);
          observer.outcome(outcome);
        },
        over: (value) => {
          if (sidKey !== undefined) this.#bySid.delete(sidKey);
          this.#sessions.delete(session);
          observer.settled?.(value);
        },
      },
    });
    const key = hex(session.prop);
    this.#sessions.add(session);
    const queue = this.#queue.get(key);
    if (this.#byProp.has(key) || queue !== undefined) this.#queue.set(key, [...(queue ?? []), session]);
    else this.#begin(session);
    return () => session.fail(new TransportError("CANCELLED", "the session was cancelled here"));
  }

  /** Ends all sessions here and tells the peers. */
  stop(): void {
    for (const session of [...this.#sessions]) {
      session.fail(new TransportError("CANCELLED", "this party stops"));
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

  #leaveProp(session: ProtocolSession): void {
    const key = hex(session.prop);
    if (this.#byProp.get(key) !== session) return;
    this.#byProp.delete(key);
    const waiting = (this.#queue.get(key) ?? []).filter((queued) => this.#sessions.has(queued));
    const next = waiting.shift();
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
    for (const party of participants) this.#options.roster.get(party);
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

  #onFrame(peer: PartyId, { type, session, payload }: SessionFrame): void {
    switch (type) {
      case FrameType.OPEN:
        return this.#onOpen(peer, payload);
      case FrameType.READY: {
        const ready = this.#decode(peer, readyCodec, payload);
        if (ready === undefined) return;
        if (!this.#verifies(peer, readyDigest(peer, ready.prop, ready.entries), ready.signature)) return;
        const target = this.#byProp.get(hex(ready.prop));
        if (target?.peers().includes(peer)) target.receiveReady(peer, ready);
        return;
      }
      case FrameType.SESSION_REFUSED: {
        const refused = this.#decode(peer, refusedCodec, payload);
        if (refused === undefined) return;
        for (const prop of [refused.prop, refused.otherProp]) {
          const target = this.#byProp.get(hex(prop));
          if (target?.peers().includes(peer)) target.receiveRefused(peer, refused);
        }
        return;
      }
      case FrameType.ENVELOPE:
        return this.#target(peer, session)?.receiveEnvelope(peer, payload);
      case FrameType.DONE: {
        const done = this.#decode(peer, doneCodec, payload);
        const target = this.#target(peer, session);
        if (done !== undefined && target?.sid !== undefined && equal(done.sid, target.sid)) {
          target.receiveDone(peer);
        }
        return;
      }
      case FrameType.ABORT: {
        if (payload.length > SessionLimits.abortBytesMax) {
          return this.#options.links.closeLink(
            peer,
            "INVALID_MESSAGE",
            `an ABORT has ${payload.length} bytes`,
          );
        }
        const abort = this.#decode(peer, abortCodec, payload);
        const target = this.#target(peer, session);
        if (abort !== undefined && target?.sid !== undefined && equal(abort.sid, target.sid)) {
          target.receiveAbort(peer, abort);
        }
        return;
      }
      default:
        return;
    }
  }

  #onOpen(peer: PartyId, payload: Bytes): void {
    if (payload.length > SessionLimits.openBytesMax) {
      return this.#options.links.closeLink(peer, "INVALID_MESSAGE", `an OPEN has ${payload.length} bytes`);
    }
    const open = this.#decode(peer, openCodec, payload);
    if (open === undefined) return;
    const { participants } = open.proposal;
    const ascending = participants.every((party, i) => i === 0 || (participants[i - 1] as number) < party);
    if (!ascending || !participants.includes(peer) || !participants.includes(this.#options.self)) {
      return this.#options.links.closeLink(
        peer,
        "INVALID_MESSAGE",
        "an OPEN has an impossible set of participants",
      );
    }
    const prop = proposalHash(open.proposal);
    if (!this.#verifies(peer, openDigest(peer, prop, open.nonce, open.offer), open.signature)) return;
    const target = this.#byProp.get(hex(prop));
    if (target !== undefined) return target.receiveOpen(peer, open);
    for (const session of this.#sessions) {
      if (session.knowsOpen(peer, open)) return;
    }
    for (const session of [...this.#byProp.values()]) {
      if (session.peers().includes(peer) && this.#refuseConflict(session, peer, open, prop)) return;
    }
    this.#buffer(peer, open, prop);
  }

  /** In a command: a peer that opens something else with us will never open this. */
  #refuseConflict(session: ProtocolSession, peer: PartyId, open: OpenMessage, prop: Bytes): boolean {
    if (this.#options.mode === "daemon" || !session.isOpening) return false;
    if (session.definition.auxiliary === true || open.auxiliary) return false;
    const nameOf = (index: PartyId) => this.#options.roster.nameOf(index);
    const difference = firstDifference(session.proposal, open.proposal, nameOf);
    if (difference === undefined) return false;
    const name = nameOf(peer);
    const { field, ours, theirs } = difference;
    session.refuse(
      new TransportError(
        "PEER_REFUSED",
        `${name} has another ${field} (${theirs} there, ${ours} here): ${name} runs "${open.command}", this is "${this.#options.command}"`,
        { party: name, parties: [peer] },
      ),
      { otherProp: prop, about: peer, code: "PEER_REFUSED", field, ours, theirs },
    );
    return true;
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

  #target(peer: PartyId, session: Bytes): ProtocolSession | undefined {
    const target = this.#bySid.get(hex(session));
    return target?.peers().includes(peer) ? target : undefined;
  }

  #decode<T>(peer: PartyId, codec: Codec<T>, payload: Bytes): T | undefined {
    try {
      return decode(codec, payload);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#options.links.closeLink(peer, "INVALID_MESSAGE", error.message);
      return undefined;
    }
  }

  #verifies(peer: PartyId, digest: Bytes, signature: Bytes): boolean {
    if (this.#options.roster.get(peer).identity.verify(digest, signature)) return true;
    this.#options.links.closeLink(
      peer,
      "INVALID_MESSAGE",
      "a message of round 0 is not signed by its sender",
    );
    return false;
  }
}

function sidOf(sid: SessionId): string {
  return hex(sid.slice(0, 16));
}
