/**
 * What one session holds of its peers' envelopes: one per (round, from, to) of rounds that the protocol has, each under its
 * cap and with a valid signature (WIRE.md 3, 4).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import type { Round } from "../protocols/protocol.ts";
import { conflicts, type Evidence } from "./evidence.ts";
import {
  ECHO_ROUND_BIT,
  type Envelope,
  ENVELOPE_OVERHEAD,
  envelopeHead,
  openEnvelope,
  TO_ALL,
  verifyEnvelope,
} from "./envelope.ts";
import type { Roster } from "./roster.ts";

/** A place that an envelope can have in a session. */
interface Place {
  /** Largest body. */
  readonly bodyMax: number;
  /** Number of the round whose broadcasts its echo covers, where it has one. */
  readonly echoOf: number | undefined;
}

/** Which envelopes a protocol has, read from its rounds. */
export class RoundTable {
  readonly #places = new Map<string, Place>();
  /** How many rounds the protocol has. */
  readonly count: number;
  /** Numbers of the rounds whose broadcasts are echoed. */
  readonly echoed: readonly number[];

  constructor(rounds: readonly Round[]) {
    this.count = rounds.length;
    this.echoed = rounds.filter((round) => round.echo !== "none").map((round) => round.number);
    let echoOf: number | undefined;
    let last = 0;
    for (const round of rounds) {
      invariant(round.number > last && round.number < ECHO_ROUND_BIT, "round numbers ascend from 1 to 127");
      last = round.number;
      if (round.broadcast) this.#add(round.number, "broadcast", round.broadcast.sizeMax, echoOf);
      if (round.direct) this.#add(round.number, "direct", round.direct.sizeMax, echoOf);
      if (round.echo === "own") this.#add(round.number | ECHO_ROUND_BIT, "broadcast", 0, round.number);
      echoOf = round.echo === "next" ? round.number : undefined;
    }
    invariant(echoOf === undefined, "no round after the last one can carry its echo");
  }

  /** The place of an envelope, or undefined where the protocol has none there. */
  place(round: number, to: number): Place | undefined {
    return this.#places.get(`${round}/${to === TO_ALL ? "broadcast" : "direct"}`);
  }

  /** True iff messages of this round hold the echo of another one. */
  carriesEcho(round: number): boolean {
    return [TO_ALL, 1].some((to) => this.place(round, to)?.echoOf !== undefined);
  }

  #add(round: number, kind: string, bodyMax: number, echoOf: number | undefined): void {
    const key = `${round}/${kind}`;
    invariant(!this.#places.has(key), `round ${round} is declared twice`);
    this.#places.set(key, { bodyMax, echoOf });
  }
}

/** A verified envelope with the bytes as they came. */
export interface StoredEnvelope {
  readonly envelope: Envelope;
  readonly raw: Bytes;
}

/** What became of an envelope. */
export type Acceptance =
  | { readonly kind: "stored"; readonly stored: StoredEnvelope }
  | { readonly kind: "duplicate" }
  /** Not canonical, not the peer's, or outside the protocol: the link closes. */
  | { readonly kind: "invalid"; readonly why: string }
  | { readonly kind: "equivocation"; readonly evidence: Evidence };

/** The envelopes of one session at one party. */
export class EnvelopeStore {
  readonly table: RoundTable;
  readonly #sid: SessionId;
  readonly #protocol: string;
  readonly #roster: Roster;
  readonly #self: PartyId;
  readonly #held = new Map<string, StoredEnvelope>();

  constructor(
    input: {
      readonly sid: SessionId;
      readonly protocol: string;
      readonly rounds: readonly Round[];
      readonly roster: Roster;
      readonly self: PartyId;
    },
  ) {
    this.#sid = input.sid;
    this.#protocol = input.protocol;
    this.#roster = input.roster;
    this.#self = input.self;
    this.table = new RoundTable(input.rounds);
  }

  /** Judges an envelope that came over the link of `peer`: size and place first, then the signature. */
  accept(peer: PartyId, raw: Bytes): Acceptance {
    try {
      const head = envelopeHead(raw);
      if (head.from !== peer) return invalid(`an envelope claims to be from party ${head.from}`);
      if (head.to !== TO_ALL && head.to !== this.#self) return invalid(`an envelope is for party ${head.to}`);
      const place = this.table.place(head.round, head.to);
      if (place === undefined) return invalid(`the protocol has no such message in round ${head.round}`);
      const hasEcho = place.echoOf !== undefined;
      if (raw.length > ENVELOPE_OVERHEAD + (hasEcho ? 32 : 0) + place.bodyMax) {
        return invalid(`an envelope of round ${head.round} has ${raw.length} bytes`);
      }
      const key = keyOf(head.round, peer, head.to);
      const held = this.#held.get(key);
      if (held !== undefined && equal(held.raw, raw)) return { kind: "duplicate" };
      const envelope = openEnvelope(raw, hasEcho);
      if (!verifyEnvelope(this.#roster.get(peer).identity, this.#sid, this.#protocol, envelope)) {
        return invalid(`an envelope of round ${head.round} is not signed by its sender`);
      }
      if (held === undefined) {
        const stored = { envelope, raw };
        this.#held.set(key, stored);
        return { kind: "stored", stored };
      }
      if (!conflicts(held.envelope, envelope)) return { kind: "duplicate" };
      return { kind: "equivocation", evidence: this.#equivocation(held.raw, raw, peer, hasEcho) };
    } catch (error) {
      if (error instanceof DecodeError) return invalid(`an envelope is malformed: ${error.message}`);
      throw error;
    }
  }

  /** The envelope of a place, if it came. */
  get(round: number, from: PartyId, kind: "broadcast" | "direct"): StoredEnvelope | undefined {
    return this.#held.get(keyOf(round, from, kind === "broadcast" ? TO_ALL : this.#self));
  }

  /** Everything that a party sent up to a round, as evidence for a check that it failed there. */
  evidenceOf(round: number, culprit: PartyId): Evidence {
    const envelopes = [...this.#held.values()]
      .filter(({ envelope }) => envelope.from === culprit && (envelope.round & ~ECHO_ROUND_BIT) <= round)
      .map(({ raw, envelope }) => ({ raw, hasEcho: envelope.echo.length > 0 }));
    return { sid: this.#sid, protocol: this.#protocol, culprit, kind: "message", envelopes };
  }

  /** The signed broadcasts of all echoed rounds, newest first: what the sides of an echo mismatch show each other. */
  echoedBroadcasts(): Bytes[] {
    return [...this.#held.values()]
      .filter(({ envelope }) => envelope.to === TO_ALL && this.table.echoed.includes(envelope.round))
      .sort((a, b) => b.envelope.round - a.envelope.round)
      .map(({ raw }) => raw);
  }

  /** Evidence that a sender signed two different broadcasts for one place, from these envelopes and those held here. */
  findEquivocation(raws: readonly Bytes[]): Evidence | undefined {
    const shown = new Map<string, StoredEnvelope>();
    for (const raw of raws) {
      const opened = this.#openForeign(raw);
      if (opened === undefined) continue;
      const { envelope } = opened;
      const key = keyOf(envelope.round, envelope.from, envelope.to);
      const other = this.#held.get(key) ?? shown.get(key);
      if (other === undefined) shown.set(key, opened);
      else if (conflicts(other.envelope, envelope)) {
        return this.#equivocation(other.raw, raw, envelope.from, envelope.echo.length > 0);
      }
    }
    return undefined;
  }

  /** A broadcast that somebody else received: of this session, in a place that the protocol has, signed by its sender. */
  #openForeign(raw: Bytes): StoredEnvelope | undefined {
    try {
      const head = envelopeHead(raw);
      const place = this.table.place(head.round, head.to);
      const sender = this.#roster.parties[head.from - 1];
      if (place === undefined || sender === undefined || head.to !== TO_ALL) return undefined;
      const envelope = openEnvelope(raw, place.echoOf !== undefined);
      return verifyEnvelope(sender.identity, this.#sid, this.#protocol, envelope)
        ? { envelope, raw }
        : undefined;
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  }

  #equivocation(a: Bytes, b: Bytes, culprit: PartyId, hasEcho: boolean): Evidence {
    return {
      sid: this.#sid,
      protocol: this.#protocol,
      culprit,
      kind: "equivocation",
      envelopes: [{ raw: a, hasEcho }, { raw: b, hasEcho }],
    };
  }
}

function keyOf(round: number, from: number, to: number): string {
  return `${round}/${from}/${to}`;
}

function invalid(why: string): Acceptance {
  return { kind: "invalid", why };
}
