/**
 * Round 0: everybody contributes a nonce, compares what is about to be done, and proves with READY that all saw the same
 * (WIRE.md 3). There is no initiator.
 *
 * @module
 */

import { type PartyId, type SessionId, sessionId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { encode } from "../base/codec.ts";
import { TransportError, UsageError } from "../base/errors.ts";
import type { Definition, Unsettled } from "../protocols/protocol.ts";
import type { SessionContext } from "./context.ts";
import type { Evidence } from "./evidence.ts";
import { FrameType } from "./links.ts";
import { SessionLimits } from "./limits.ts";
import {
  entryOf,
  offerHashOf,
  openCodec,
  openDigest,
  type OpenMessage,
  readyCodec,
  readyDigest,
  type ReadyEntry,
  type ReadyMessage,
  sameEntry,
  sessionIdOf,
  verifyEntry,
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
  /** Something was mended: `afterMending` is to be called. */
  mended(): void;
  /** READY lists differ, or do no more: start or stop the clock of `ROUND0_SPLIT`. */
  split(differs: boolean): void;
  /** Whether the session may go on, now that all OPENs are here, or not yet. */
  admitted(isComplete: boolean): boolean;
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
  #unsettled: Unsettled = SETTLED;
  #own: OpenMessage | undefined;
  #ownReady: ReadyMessage | undefined;
  #over = false;
  #isHeld = false;

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

  /** True while all OPENs are here and another session has to end first. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Looks again whether the session may go on. */
  wake(): void {
    this.#judge();
  }

  /** Announces this party. */
  start(): void {
    this.#announce();
    this.#judge();
  }

  /** Peers that have not said OPEN, or with whom something is still to be settled, or that have not said READY. */
  missing(): PartyId[] {
    const silent = this.#peers().filter((peer) => !this.#opens.has(peer));
    if (silent.length > 0) return silent;
    if (this.#isHeld) return [];
    const unsettled = new Set([...this.#mending, ...this.#unsettled.mine, ...this.#unsettled.others.flat()]);
    if (unsettled.size > 0) return this.#peers().filter((peer) => unsettled.has(peer));
    return this.#peers().filter((peer) => !this.#agrees(peer));
  }

  /** The nonce of a participant's OPEN, self included: it says which attempt of it this is. */
  nonceOf(party: PartyId): Bytes | undefined {
    return this.#opens.get(party)?.nonce;
  }

  /** The OPEN of a party, for a check that what it offers fails. */
  evidenceOf(party: PartyId): Evidence[] {
    const open = this.#opens.get(party);
    if (open === undefined) return [];
    const envelopes = [{ raw: encode(openCodec, open), hasEcho: false }];
    return [{
      sid: sessionId(this.prop),
      protocol: this.#proposal.protocol,
      culprit: party,
      kind: "open",
      envelopes,
    }];
  }

  /** A verified OPEN for this proposal that was not used yet. */
  receiveOpen(peer: PartyId, open: OpenMessage): void {
    if (this.#over) return;
    this.#forget(peer);
    this.#opens.set(peer, open);
    const bootId = this.#context.links.bootId(peer);
    if (bootId !== undefined) this.#bootIds.set(peer, bootId);
    // Where the peer began later it may have dropped our OPEN, because its buffer was full or the OPEN too old.
    this.resend(peer);
    this.#events.progress();
    this.#judge();
  }

  /** True iff this very OPEN was received: a retransmission. */
  knows(peer: PartyId, open: OpenMessage): boolean {
    const known = this.#opens.get(peer);
    return known !== undefined && sameEntry(entryOf(known), entryOf(open));
  }

  /** A READY for this proposal that its sender signed. @returns what is wrong with it in words, or undefined. */
  receiveReady(peer: PartyId, ready: ReadyMessage): string | undefined {
    if (this.#over) return undefined;
    const { participants } = this.#proposal;
    if (ready.entries.length !== participants.length) return "a READY lists another number of parties";
    const foreign = participants.findIndex((party, i) => {
      const entry = ready.entries[i] as ReadyEntry;
      const known = this.#opens.get(party as PartyId);
      if (known !== undefined && sameEntry(entry, entryOf(known))) return false;
      const { identity } = this.#context.roster.get(party as PartyId);
      return !verifyEntry(identity, party, this.prop, entry);
    });
    if (foreign >= 0) {
      return `a READY holds what ${
        this.#context.roster.nameOf(participants[foreign] as number)
      } never signed`;
    }
    const known = this.#readies.get(peer);
    this.#readies.set(peer, ready);
    if (known === undefined || !sameEntries(known.entries, ready.entries)) this.#events.progress();
    this.#conclude();
    return undefined;
  }

  /** A link came up: a new process of the peer has to say OPEN anew; either way it gets ours. */
  linkUp(peer: PartyId, bootId: Bytes): void {
    const known = this.#bootIds.get(peer);
    if (!this.#over && known !== undefined && !equal(known, bootId)) {
      this.#forget(peer);
      this.#opens.delete(peer);
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

  /** What was agreed on with a peer's former OPEN is void. */
  #forget(peer: PartyId): void {
    this.#readies.delete(peer);
    this.#ownReady = undefined;
    this.#events.split(false);
  }

  /** Says who gave whom another nonce, after the lists differed for too long. Nobody is blamed: a restart looks alike. */
  splitError(): TransportError {
    for (const peer of this.#peers()) {
      const theirs = this.#readies.get(peer);
      if (theirs === undefined || this.#agrees(peer)) continue;
      const at = this.#proposal.participants.findIndex((_, i) =>
        !sameEntry(theirs.entries[i], this.#ownReady?.entries[i])
      );
      const about = this.#proposal.participants[at] as PartyId;
      const [name, teller] = [about, peer].map((party) => this.#context.roster.nameOf(party));
      return about === this.#context.self
        ? new TransportError(
          "ROUND0_SPLIT",
          `${teller} answers an earlier opening message of this party: run the command again`,
          { party: teller as string, parties: [peer] },
        )
        : new TransportError(
          "ROUND0_SPLIT",
          `${name} gave ${teller} another nonce than us (it restarted, or it equivocates): run the command again`,
          { party: name as string, parties: [about] },
        );
    }
    return new TransportError("ROUND0_SPLIT", "the parties' opening messages differ: run the command again");
  }

  #announce(): void {
    const { self, rng, identity, command } = this.#context;
    const nonce = rng.bytes(32);
    const offer = this.#definition.offer?.(this.#input) ?? EMPTY;
    this.#own = {
      proposal: this.#proposal,
      offer,
      command,
      auxiliary: this.#definition.auxiliary === true,
      nonce,
      signature: identity.sign(openDigest(self, this.prop, { nonce, offerHash: offerHashOf(offer) })),
    };
    const encoded = encode(openCodec, this.#own);
    if (encoded.length > SessionLimits.openBytesMax) {
      throw new UsageError(
        "USAGE",
        `what is proposed has ${encoded.length} bytes, more than the ${SessionLimits.openBytesMax} that a peer accepts`,
      );
    }
    this.#opens.set(self, this.#own);
    for (const peer of this.#peers()) this.#send(peer, FrameType.OPEN, encoded);
  }

  /** Looks at the offers; says READY when all OPENs are here and nothing has to be mended. */
  #judge(): void {
    if (this.#over) return;
    const offers = this.#offers();
    const isComplete = offers.size === this.#proposal.participants.length;
    const wasHeld = this.#isHeld;
    const isAdmitted = this.#events.admitted(isComplete);
    this.#isHeld = isComplete && !isAdmitted;
    if (this.#isHeld !== wasHeld) this.#events.progress();
    if (!isAdmitted) return;
    this.#unsettled = this.#definition.unsettled?.(this.#input, this.#context.self, offers) ?? SETTLED;
    for (const peer of this.#unsettled.mine) this.#startMending(peer);
    const { mine, others } = this.#unsettled;
    if (this.#over || mine.length > 0 || others.length > 0 || this.mending) return;
    if (!isComplete) return;
    if (this.#ownReady === undefined) {
      const opens = this.#allOpens();
      const entries = opens.map(entryOf);
      const signature = this.#context.identity.sign(readyDigest(this.#context.self, this.prop, entries));
      this.#ownReady = { prop: this.prop, entries, signature };
      this.#events.candidate(sessionIdOf(this.prop, opens));
      const encoded = encode(readyCodec, this.#ownReady);
      for (const peer of this.#peers()) this.#send(peer, FrameType.READY, encoded);
    }
    this.#conclude();
  }

  /** Has the pair mended, once per session: what a peer offers after that is waited for, not mended again. */
  #startMending(peer: PartyId): void {
    if (this.#mended.has(peer) || this.#mending.has(peer)) return;
    if (this.#mend === undefined) {
      const name = this.#context.roster.nameOf(peer);
      throw new TransportError("PAIR_MISSING", `nothing here can be set up with ${name}`, {
        party: name,
        parties: [peer],
      });
    }
    this.#mending.add(peer);
    this.#events.progress();
    this.#mend(peer, (error) => {
      this.#mending.delete(peer);
      this.#mended.add(peer);
      if (this.#over) return;
      if (error === undefined) this.#events.mended();
      else this.#events.failure(error);
    });
  }

  /** Something was mended: says OPEN with the new offer. */
  afterMending(): void {
    this.#events.progress();
    this.#announce();
    this.#judge();
  }

  #conclude(): void {
    if (this.#ownReady === undefined || this.#over) return;
    const answered = this.#peers().filter((peer) => this.#readies.has(peer));
    this.#events.split(answered.some((peer) => !this.#agrees(peer)));
    if (!this.#peers().every((peer) => this.#agrees(peer))) return;
    this.#over = true;
    this.#events.ready(sessionIdOf(this.prop, this.#allOpens()), this.#offers());
  }

  #allOpens(): OpenMessage[] {
    return this.#proposal.participants.map((party) => this.#opens.get(party as PartyId) as OpenMessage);
  }

  #agrees(peer: PartyId): boolean {
    const theirs = this.#readies.get(peer);
    return theirs !== undefined && this.#ownReady !== undefined &&
      sameEntries(theirs.entries, this.#ownReady.entries);
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

const SETTLED: Unsettled = { mine: [], others: [] };

/** The session field of frames outside sessions. */
export const NO_SESSION: Bytes = new Uint8Array(16);

function sameEntries(a: readonly ReadyEntry[], b: readonly ReadyEntry[]): boolean {
  return a.length === b.length && a.every((entry, i) => sameEntry(entry, b[i]));
}
