/**
 * Round 0: everybody contributes a nonce, compares what is about to be done, and proves with READY that all saw the same
 * (WIRE.md 3). There is no initiator.
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { TransportError } from "../base/errors.ts";
import type { Definition } from "../protocols/protocol.ts";
import type { SessionContext } from "./context.ts";
import { FrameType } from "./links.ts";
import {
  openCodec,
  openDigest,
  type OpenMessage,
  readyCodec,
  readyDigest,
  type ReadyEntry,
  type ReadyMessage,
  sessionIdOf,
  type WireProposal,
} from "./messages.ts";

/** Has something mended with a peer (a new pair set-up) and calls back when it is, or cannot be. */
export type Mend = (peer: PartyId, done: (error?: Error) => void) => void;

/** What the opening tells its session. */
export interface OpeningEvents {
  /** Somebody answered, or something was mended: the wait begins anew. */
  progress(): void;
  /** All OPENs are here and agree: envelopes of this session may come from now on. */
  candidate(sid: SessionId): void;
  /** Everybody's READY equals ours. */
  ready(sid: SessionId, offers: ReadonlyMap<PartyId, Bytes>): void;
  failure(error: Error): void;
  /** READY lists differ, or do no more: start or stop the clock of `ROUND0_SPLIT`. */
  split(differs: boolean): void;
}

/** The opening of one session at one party. */
export class Opening {
  readonly prop: Bytes;
  readonly #context: SessionContext;
  readonly #definition: Definition<unknown, unknown>;
  readonly #input: unknown;
  readonly #proposal: WireProposal;
  readonly #events: OpeningEvents;
  readonly #mend: Mend | undefined;
  readonly #opens = new Map<PartyId, OpenMessage>();
  readonly #bootIds = new Map<PartyId, Bytes>();
  readonly #readies = new Map<PartyId, ReadyMessage>();
  readonly #mended = new Set<PartyId>();
  readonly #mending = new Set<PartyId>();
  #own: OpenMessage | undefined;
  #ownReady: ReadyMessage | undefined;
  #over = false;

  constructor(input: {
    readonly context: SessionContext;
    readonly definition: Definition<unknown, unknown>;
    readonly input: unknown;
    readonly proposal: WireProposal;
    readonly prop: Bytes;
    readonly events: OpeningEvents;
    readonly mend: Mend | undefined;
  }) {
    this.#context = input.context;
    this.#definition = input.definition;
    this.#input = input.input;
    this.#proposal = input.proposal;
    this.prop = input.prop;
    this.#events = input.events;
    this.#mend = input.mend;
  }

  /** The process of a peer whose OPEN was used. */
  bootIdOf(peer: PartyId): Bytes | undefined {
    return this.#bootIds.get(peer);
  }

  /** True while something is being mended: the peers have deadlines of their own for that. */
  get mending(): boolean {
    return this.#mending.size > 0;
  }

  /** Announces this party. */
  start(): void {
    this.#announce();
    this.#judge();
  }

  /** Peers that have not said OPEN, or else READY. */
  missing(): PartyId[] {
    const silent = this.#peers().filter((peer) => !this.#opens.has(peer));
    if (silent.length > 0) return silent;
    return this.#peers().filter((peer) => !this.#agrees(peer));
  }

  /** A verified OPEN for this proposal. */
  receiveOpen(peer: PartyId, open: OpenMessage): void {
    const known = this.#opens.get(peer);
    if (this.#over || (known !== undefined && sameOpen(known, open))) return;
    this.#opens.set(peer, open);
    // Lists that were agreed on with the former nonce are void.
    this.#readies.delete(peer);
    this.#ownReady = undefined;
    const bootId = this.#context.links.bootId(peer);
    if (bootId !== undefined) this.#bootIds.set(peer, bootId);
    this.#events.progress();
    this.#judge();
  }

  /** True iff this very OPEN was received: a retransmission. */
  knows(peer: PartyId, open: OpenMessage): boolean {
    const known = this.#opens.get(peer);
    return known !== undefined && sameOpen(known, open);
  }

  /** A verified READY for this proposal. */
  receiveReady(peer: PartyId, ready: ReadyMessage): void {
    if (this.#over) return;
    this.#readies.set(peer, ready);
    this.#events.progress();
    this.#conclude();
  }

  /** A link came up: a new process of the peer has to say OPEN anew; either way it gets ours. */
  linkUp(peer: PartyId, bootId: Bytes): void {
    const known = this.#bootIds.get(peer);
    if (!this.#over && known !== undefined && !equal(known, bootId)) {
      this.#opens.delete(peer);
      this.#readies.delete(peer);
      this.#bootIds.delete(peer);
    }
    this.resend(peer);
  }

  /** Sends what was said so far again. */
  resend(peer: PartyId): void {
    if (this.#own !== undefined) this.#send(peer, FrameType.OPEN, encode(openCodec, this.#own));
    if (this.#ownReady !== undefined) this.#send(peer, FrameType.READY, encode(readyCodec, this.#ownReady));
  }

  /** Nothing that comes later changes anything. */
  stop(): void {
    this.#over = true;
  }

  /** Says who gave whom another nonce, after the lists differed for too long. Nobody is blamed: a restart looks alike. */
  splitError(): TransportError {
    for (const peer of this.#peers()) {
      const theirs = this.#readies.get(peer);
      if (theirs === undefined || this.#agrees(peer)) continue;
      const at = this.#proposal.participants.findIndex((_, i) =>
        !sameEntry(theirs.entries[i], this.#ownReady?.entries[i])
      );
      const about = this.#proposal.participants[at];
      const liar = about === undefined ? peer : about as PartyId;
      const name = this.#context.roster.nameOf(liar);
      return new TransportError(
        "ROUND0_SPLIT",
        `${name} gave ${
          this.#context.roster.nameOf(peer)
        } another nonce than us (it restarted, or it equivocates): run the command again`,
        { party: name, parties: [liar] },
      );
    }
    return new TransportError("ROUND0_SPLIT", "the parties' opening messages differ: run the command again");
  }

  #announce(): void {
    const nonce = this.#context.rng.bytes(32);
    const offer = this.#definition.offer?.(this.#input) ?? EMPTY;
    const signature = this.#context.identity.sign(openDigest(this.#context.self, this.prop, nonce, offer));
    this.#own = {
      proposal: this.#proposal,
      offer,
      command: this.#context.command,
      auxiliary: this.#definition.auxiliary === true,
      nonce,
      signature,
    };
    this.#opens.set(this.#context.self, this.#own);
    this.#ownReady = undefined;
    const encoded = encode(openCodec, this.#own);
    for (const peer of this.#peers()) this.#send(peer, FrameType.OPEN, encoded);
  }

  /** Looks at the offers; says READY when all OPENs are here and nothing has to be mended. */
  #judge(): void {
    if (this.#over) return;
    const offers = this.#offers();
    try {
      const open = this.#definition.unsettled?.(this.#input, this.#context.self, offers) ??
        { mine: [], others: [] };
      for (const peer of open.mine) this.#startMending(peer);
      if (this.#over || open.mine.length > 0 || open.others.length > 0 || this.#mending.size > 0) return;
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    if (offers.size < this.#proposal.participants.length) return;
    const opens = this.#proposal.participants.map((party) =>
      this.#opens.get(party as PartyId) as OpenMessage
    );
    const entries = opens.map(({ nonce, signature }): ReadyEntry => ({ nonce, signature }));
    if (this.#ownReady === undefined || !sameEntries(entries, this.#ownReady.entries)) {
      const signature = this.#context.identity.sign(readyDigest(this.#context.self, this.prop, entries));
      this.#ownReady = { prop: this.prop, entries, signature };
      this.#events.candidate(sessionIdOf(this.prop, opens));
      const encoded = encode(readyCodec, this.#ownReady);
      for (const peer of this.#peers()) this.#send(peer, FrameType.READY, encoded);
    }
    this.#conclude();
  }

  #startMending(peer: PartyId): void {
    if (this.#mended.has(peer) || this.#mending.has(peer)) return;
    if (this.#mend === undefined) {
      const name = this.#context.roster.nameOf(peer);
      this.#fail(
        new TransportError("PAIR_MISSING", `nothing here can be set up with ${name}`, {
          party: name,
          parties: [peer],
        }),
      );
      return;
    }
    this.#mending.add(peer);
    this.#events.progress();
    this.#mend(peer, (error) => {
      this.#mending.delete(peer);
      this.#mended.add(peer);
      if (this.#over) return;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      this.#events.progress();
      this.#announce();
      this.#judge();
    });
  }

  #conclude(): void {
    if (this.#ownReady === undefined || this.#over) return;
    const answered = this.#peers().filter((peer) => this.#readies.has(peer));
    this.#events.split(answered.some((peer) => !this.#agrees(peer)));
    if (!this.#peers().every((peer) => this.#agrees(peer))) return;
    this.#over = true;
    const opens = this.#proposal.participants.map((party) =>
      this.#opens.get(party as PartyId) as OpenMessage
    );
    this.#events.ready(sessionIdOf(this.prop, opens), this.#offers());
  }

  #agrees(peer: PartyId): boolean {
    const theirs = this.#readies.get(peer);
    return theirs !== undefined && this.#ownReady !== undefined &&
      sameEntries(theirs.entries, this.#ownReady.entries);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.failure(error);
  }

  #offers(): Map<PartyId, Bytes> {
    const offers = new Map<PartyId, Bytes>();
    for (const party of this.#proposal.participants as readonly PartyId[]) {
      const open = this.#opens.get(party);
      if (open !== undefined) offers.set(party, open.offer);
    }
    return offers;
  }

  #peers(): PartyId[] {
    return (this.#proposal.participants as readonly PartyId[]).filter((party) =>
      party !== this.#context.self
    );
  }

  #send(peer: PartyId, type: FrameType, payload: Bytes): void {
    this.#context.links.send(peer, { type, session: NO_SESSION, payload });
  }
}

/** The session field of frames outside sessions. */
export const NO_SESSION: Bytes = new Uint8Array(16);

function sameOpen(a: OpenMessage, b: OpenMessage): boolean {
  return equal(a.nonce, b.nonce) && equal(a.offer, b.offer);
}

function sameEntry(a: ReadyEntry | undefined, b: ReadyEntry | undefined): boolean {
  return a !== undefined && b !== undefined && equal(a.nonce, b.nonce) && equal(a.signature, b.signature);
}

function sameEntries(a: readonly ReadyEntry[], b: readonly ReadyEntry[]): boolean {
  return a.length === b.length && a.every((entry, i) => sameEntry(entry, b[i]));
}
