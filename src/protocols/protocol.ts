/**
 * What a protocol is: a generator that yields once per round, and knows nothing but its {@linkcode Session}.
 *
 * It cannot do I/O by accident (yielding a promise is a type error), a test drives it with a plain loop, and two runs from
 * one seed are byte-identical. The session engine (src/session) or {@linkcode runLocally} answers what it yields.
 *
 * @module
 */

import type { KeyId, PartyId, SessionId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { bytes, type Codec, encode, list, struct, text } from "../base/codec.ts";
import { CheaterError, type Code } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Secret } from "../base/secret.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { BoundRelease } from "./bound.ts";

/** Everything a protocol may know of the world. */
export interface Session {
  /** 32 bytes that all parties agreed on in round 0, bound to everything that was compared there (SPEC 0.3). */
  readonly id: SessionId;
  /** This party. */
  readonly self: PartyId;
  /** All participants, self included, ascending. */
  readonly parties: readonly PartyId[];
  /** What each participant brought to round 0 (`Definition.offer`); all parties hold the same list, and `id` binds it. */
  readonly offers: ReadonlyMap<PartyId, Bytes>;
  /** The only source of randomness. */
  readonly rng: Rng;
  /** Signs with this party's Ed25519 identity key. For certificates only; envelopes are the engine's business. */
  sign(message: Bytes): Bytes;
  /** Verifies a participant's identity signature (`verifyStrict`, SPEC 0.2). */
  verify(party: PartyId, message: Bytes, signature: Bytes): boolean;
}

/**
 * One round: what is sent in it and how. `broadcast` goes to all alike, `direct` to each its own; the two are different
 * fields and never confused.
 */
export interface Round<B = unknown, D = unknown> {
  /** 1 to 100. */
  readonly number: number;
  /** For people: what progress shows. */
  readonly name: string;
  /** Codec of what goes to all. */
  readonly broadcast?: Codec<B>;
  /** Codec of what goes to each its own. */
  readonly direct?: Codec<D>;
  /**
   * Reliable broadcast, done by the engine: `"next"` puts the hash of all broadcasts of this round into every message of
   * the next one; `"own"` sends it in a message of its own before this round ends; `"none"` where the protocol binds the
   * values otherwise.
   */
  readonly echo: "none" | "next" | "own";
}

/** What this party sends in a round. */
export interface Outbox<B, D> {
  /** To all alike. */
  readonly broadcast?: B;
  /** To each its own. */
  readonly direct?: ReadonlyMap<PartyId, D>;
}

/** What the awaited peers sent. Own values are not in it. */
export interface Inbox<B, D> {
  /** By sender. */
  readonly broadcast: ReadonlyMap<PartyId, B>;
  /** By sender. */
  readonly direct: ReadonlyMap<PartyId, D>;
}

/** Send, then wait for one message of each kind that the round has from every party in `from`. */
export interface ExchangeStep {
  /** Which step. */
  readonly kind: "exchange";
  /** Which round. */
  readonly round: Round;
  /** What is sent. */
  readonly outbox: Outbox<unknown, unknown>;
  /** From whom to wait; default: all peers. */
  readonly from?: readonly PartyId[];
}

/** Work that takes more than a few milliseconds: the engine lets the event loop breathe around it. */
export interface ComputeStep {
  /** Which step. */
  readonly kind: "compute";
  /** A pure function. */
  readonly task: (input: unknown) => unknown;
  /** Its argument. */
  readonly input: unknown;
}

/** Something that must be on disk before the protocol goes on. */
export interface PersistStep {
  /** Which step. */
  readonly kind: "persist";
  /** What is written. */
  readonly record: JournalRecord;
}

/** What a protocol yields. */
export type Step = ExchangeStep | ComputeStep | PersistStep;

/** A running protocol whose result is `T`. */
export type Protocol<T> = Generator<Step, T, unknown>;

/** Write-ahead records. When `yield* persist(record)` returns, the record survives a crash. */
export type JournalRecord =
  /** A SoftSpoken check is about to run (SPEC 2.7). A mark that stays was a crash inside the check. */
  | {
    readonly kind: "check-begin";
    readonly keyId: KeyId;
    readonly epoch: number;
    readonly checks: readonly CheckMark[];
  }
  /** The checks of that session have ended; a pair that failed is burned already. */
  | { readonly kind: "check-end"; readonly keyId: KeyId; readonly epoch: number; readonly sid: SessionId }
  /** A check failed: the pair is banned for this epoch, in both directions, for ever. Erases its state. */
  | {
    readonly kind: "burn";
    readonly keyId: KeyId;
    readonly epoch: number;
    readonly peer: PartyId;
    readonly sid: SessionId;
    readonly messageHash: Bytes;
    readonly reason: string;
  }
  /** A pair set-up was confirmed by both sides (SPEC 2.3). */
  | {
    readonly kind: "pair";
    readonly keyId: KeyId;
    readonly epoch: number;
    readonly peer: PartyId;
    /** Canonical encoding of the pair state: secret. */
    readonly state: Secret;
  }
  /** A new share, before the certificate signature leaves: PENDING. `share` holds the canonical encoding: secret. */
  | {
    readonly kind: "key-pending";
    readonly keyId: KeyId;
    readonly epoch: number;
    /** What people call the key: the store finds it by this. */
    readonly name: string;
    readonly key: Secret;
  }
  /** The certificate is complete: ACTIVE. */
  | {
    readonly kind: "key-active";
    readonly keyId: KeyId;
    readonly epoch: number;
    readonly certificate: Bytes;
  }
  /** The last round of signing is about to leave: from here on a valid signature may exist (SPEC 2.6). */
  | {
    readonly kind: "release";
    readonly keyId: KeyId;
    readonly epoch: number;
    readonly sid: SessionId;
    readonly payloadHash: Bytes;
    /** Of a key with a purpose: the lock that has to be held, and is released with this record. */
    readonly bound?: BoundRelease;
  };

/** One SoftSpoken check that is about to run. */
export interface CheckMark {
  /** With whom. */
  readonly peer: PartyId;
  /** In which session. */
  readonly sid: SessionId;
  /** Hash of the peer's message. */
  readonly messageHash: Bytes;
}

/** A fact that all participants must agree on before anything is sent; the name is what an error sentence shows. */
export interface Fact {
  /** What a sentence calls it. */
  readonly name: string;
  /** Its canonical encoding. */
  readonly value: Bytes;
}

/** What a session is about to do (WIRE.md 3): everything here is compared in round 0 and bound in the session id. */
export interface Proposal {
  /** Facts that select the protocol's variant: curve, symmetric suite, length. */
  readonly params: readonly Fact[];
  /** Hash of the access structure and its members; 32 zero bytes where there is none. */
  readonly policyHash: Bytes;
  /** Empty during key generation. */
  readonly keyId: Bytes;
  /** Of the key; 0 where there is none. */
  readonly epoch: number;
  /** Ascending. */
  readonly participants: readonly PartyId[];
  /** What is done: digest, path, receivers. */
  readonly payload: readonly Fact[];
}

/** A protocol, with what the engine must know to open a session for it. `I` is local input, `O` the result. */
export interface Definition<I, O> {
  /** On the wire, in the proposal. */
  readonly name: string;
  /** Another one for every change on the wire. */
  readonly version: number;
  /** True where it serves other sessions and is started while they open, as a pair set-up is. */
  readonly auxiliary?: boolean;
  /** What must be equal at all participants. */
  proposal(input: I): Proposal;
  /** What this party brings to round 0; may differ between parties, at most 1 KB. Default: nothing. */
  offer?(input: I): Bytes;
  /**
   * Peers with whom something must be mended before the protocol can run, seen from the offers that arrived so far: the
   * engine has them mended and asks again. Throws where the offers show that the session cannot run at all.
   */
  unsettled?(input: I, self: PartyId, offers: ReadonlyMap<PartyId, Bytes>): Unsettled;
  /** All rounds that the protocol has with this input: their codecs are the caps of what is buffered. */
  rounds(input: I): readonly Round[];
  /** Starts this party. */
  run(session: Session, input: I): Protocol<O>;
}

/** What keeps a session from starting. Empty lists: nothing. */
export interface Unsettled {
  /** Peers with whom this party has to act. */
  readonly mine: readonly PartyId[];
  /** Pairs of others who have to: wait. */
  readonly others: readonly (readonly [PartyId, PartyId])[];
}

const factCodec: Codec<Fact> = struct({ name: text(64), value: bytes(1024) });
/** At most 32 facts. */
export const factsCodec: Codec<readonly Fact[]> = list(factCodec, 32);

/** What a payload is hashed as, in proposals and in the records of what was released. */
export function payloadHash(payload: readonly Fact[]): Bytes {
  return hash(Tag.payload, encode(factsCodec, payload));
}

/** Sends and waits: one round, one `yield*`. */
export function* exchange<B, D>(
  round: Round<B, D>,
  outbox: Outbox<B, D>,
  options: { readonly from?: readonly PartyId[] } = {},
): Generator<Step, Inbox<B, D>, unknown> {
  return (yield { kind: "exchange", round: round as Round, outbox, ...options }) as Inbox<B, D>;
}

/** Runs a pure function where the engine likes. */
export function* compute<I, O>(task: (input: I) => O, input: I): Generator<Step, O, unknown> {
  return (yield { kind: "compute", task: task as (input: unknown) => unknown, input }) as O;
}

/** Writes a record durably before the next statement runs. */
export function* persist(record: JournalRecord): Generator<Step, void, unknown> {
  yield { kind: "persist", record };
}

/** All participants but self. */
export function peersOf(session: Pick<Session, "self" | "parties">): PartyId[] {
  return session.parties.filter((party) => party !== session.self);
}

/**
 * Checks every peer's message, then blames all who fail at once.
 *
 * @param isBad true where the party's message fails the check.
 * @throws CheaterError that names all culprits.
 */
export function blame<M>(
  round: Round,
  messages: ReadonlyMap<PartyId, M>,
  what: string,
  isBad: (party: PartyId, message: M) => boolean,
  code: Code = "CHEATED",
): void {
  const culprits: PartyId[] = [];
  for (const [party, message] of messages) {
    if (isBad(party, message)) culprits.push(party);
  }
  if (culprits.length > 0) throw new CheaterError({ code, round: round.number, culprits, what });
}
