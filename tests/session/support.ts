/** Small protocols and a party whose peers are played by the test. */

import assert from "node:assert/strict";
import { type PartyId, partyId, type SessionId } from "../../src/base/brands.ts";
import { type Bytes, concat, EMPTY, utf8 } from "../../src/base/bytes.ts";
import { bytes, decode, encode } from "../../src/base/codec.ts";
import { type Ed25519Signer, ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import type { QuorateError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import {
  type Definition,
  exchange,
  type Fact,
  type JournalRecord,
  type Proposal,
  type Protocol,
  type Round,
  type Session,
} from "../../src/protocols/protocol.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import { type Envelope, sealEnvelope } from "../../src/session/envelope.ts";
import type { Evidence } from "../../src/session/evidence.ts";
import { SessionHost, type StartOptions } from "../../src/session/host.ts";
import { FrameType, type LinkEvent, type SessionFrame } from "../../src/session/links.ts";
import {
  abortCodec,
  type AbortMessage,
  entryOf,
  openCodec,
  openDigest,
  type OpenMessage,
  proposalHash,
  readyCodec,
  readyDigest,
  type ReadyEntry,
  refusedCodec,
  type RefusedMessage,
  sessionIdOf,
} from "../../src/session/messages.ts";
import { makeRoster, type Roster } from "../../src/session/roster.ts";
import { Heap } from "../sim/heap.ts";
import { NAMES, type Slot, type World } from "../sim/world.ts";

export const [ALICE, BOB, CAROL] = [1, 2, 3].map(partyId) as [PartyId, PartyId, PartyId];

/** What a toy needs: `payload` is compared, everything else says how it behaves. */
export interface ToyInput {
  readonly participants: readonly PartyId[];
  readonly payload?: string;
  readonly params?: readonly Fact[];
  readonly epoch?: number;
}

/** A protocol of a test. */
export function toy<O>(
  rounds: readonly Round[],
  run: (session: Session, input: ToyInput) => Protocol<O>,
  more: Partial<Definition<ToyInput, O>> = {},
): Definition<ToyInput, O> {
  return {
    name: "toy",
    version: 1,
    proposal: ({ participants, payload = "", params = [], epoch = 0 }): Proposal => ({
      params,
      policyHash: new Uint8Array(32),
      keyId: EMPTY,
      epoch,
      participants,
      payload: [{ name: "message", value: utf8(payload) }],
    }),
    rounds: () => rounds,
    run,
    ...more,
  };
}

const WORD = bytes(64);
/** Two rounds; the second one echoes the first. */
export const SAY: Round<Bytes, Bytes> = { number: 1, name: "say", broadcast: WORD, echo: "next" };
export const CLOSE: Round<Bytes, Bytes> = {
  number: 2,
  name: "close",
  broadcast: WORD,
  direct: WORD,
  echo: "none",
};
/** One round with an echo of its own. */
export const SHOUT: Round<Bytes, Bytes> = { number: 1, name: "shout", broadcast: WORD, echo: "own" };

/** Everybody says a random word and hears all others; then closes with a direct word to each. */
export const chat: Definition<ToyInput, string> = toy([SAY, CLOSE] as Round[], function* (session) {
  const mine = session.rng.bytes(8);
  const said = yield* exchange(SAY, { broadcast: mine });
  const peers = session.parties.filter((party) => party !== session.self);
  yield* exchange(CLOSE, {
    broadcast: mine,
    direct: new Map(peers.map((peer) => [peer, utf8(`to ${peer}`)])),
  });
  return wordsOf(session, mine, said.broadcast);
});

/** Everybody shouts a random word; the engine echoes before the round ends. */
export const shouting: Definition<ToyInput, string> = toy([SHOUT] as Round[], function* (session) {
  const mine = session.rng.bytes(8);
  const heard = yield* exchange(SHOUT, { broadcast: mine });
  return wordsOf(session, mine, heard.broadcast);
});

function wordsOf(session: Session, mine: Bytes, others: ReadonlyMap<PartyId, Bytes>): string {
  return session.parties.map((party) => (others.get(party) ?? mine).toHex()).join(" ");
}

/** Starts a session at every party of a world. */
export function startAll<O>(
  world: World,
  definition: Definition<ToyInput, O>,
  more: Partial<ToyInput> = {},
  skip: readonly PartyId[] = [],
): Map<PartyId, Slot<O>> {
  const input = { participants: world.parties, ...more };
  return new Map(
    world.parties.filter((party) => !skip.includes(party)).map((
      party,
    ) => [party, world.start(party, definition, input)]),
  );
}

export function valueOf<O>(slot: Slot<O> | undefined): O {
  const { outcome } = slot ?? {};
  assert.ok(outcome?.ok, `no result: ${outcome?.ok === false ? outcome.error.message : "never ended"}`);
  return outcome.value;
}

export function stateOf(slot: Slot<unknown>): "running" | "done" | "failed" {
  return slot.outcome === undefined ? "running" : slot.outcome.ok ? "done" : "failed";
}

export function failureOf(slot: Slot<unknown> | undefined): QuorateError {
  const { outcome } = slot ?? {};
  assert.ok(outcome?.ok === false, outcome === undefined ? "never ended" : "should have failed");
  return outcome.error;
}

export function evidenceOf(slot: Slot<unknown> | undefined): readonly Evidence[] {
  const { outcome } = slot ?? {};
  assert.ok(outcome?.ok === false, "should have failed");
  return outcome.evidence;
}

/** One real host whose peers are the test: every frame that they send is made by hand. */
export class Lonely {
  readonly roster: Roster;
  readonly signers: ReadonlyMap<PartyId, Ed25519Signer>;
  readonly host: SessionHost;
  readonly sent: { readonly to: PartyId; readonly frame: SessionFrame }[] = [];
  readonly closed: { readonly peer: PartyId; readonly why: string }[] = [];
  readonly events: SessionEvent[] = [];
  readonly records: JournalRecord[] = [];
  readonly self: PartyId;
  now = 0;
  onRecord: (record: JournalRecord) => void = () => {};
  readonly #up = new Map<PartyId, Bytes>();
  readonly #timers = new Heap<{ at: number; order: number; run: () => void; cancelled: boolean }>((a, b) =>
    a.at - b.at || a.order - b.order
  );
  #receiver: (event: LinkEvent) => void = () => {};
  #order = 0;

  constructor(
    options: {
      parties?: number;
      self?: PartyId;
      mode?: "command" | "daemon";
      command?: string;
      onEvent?: () => void;
    } = {},
  ) {
    const parties = Array.from({ length: options.parties ?? 3 }, (_, i) => partyId(i + 1));
    this.self = options.self ?? ALICE;
    this.signers = new Map(parties.map((party) => [party, ed25519Signer(sha256(utf8(`lonely ${party}`)))]));
    this.roster = makeRoster(
      "lonely",
      parties.map((party) => ({
        name: NAMES[party - 1] ?? `party${party}`,
        identity: this.signerOf(party).publicKey,
      })),
    );
    this.host = new SessionHost({
      roster: this.roster,
      self: this.self,
      identity: this.signerOf(this.self),
      links: {
        self: this.self,
        send: (to, frame) => this.#up.has(to) && this.sent.push({ to, frame }) > 0,
        bootId: (peer) => this.#up.get(peer),
        closeLink: (peer, _code, why) => void this.closed.push({ peer, why }),
        listen: (receiver) => {
          this.#receiver = receiver;
        },
      },
      clock: {
        now: () => this.now,
        timer: (delayMs, run) => {
          const entry = { at: this.now + delayMs, order: this.#order++, run, cancelled: false };
          this.#timers.push(entry);
          return () => {
            entry.cancelled = true;
          };
        },
      },
      rng: seededRng("lonely"),
      journal: {
        write: (record) => {
          this.onRecord(record);
          this.records.push(record);
        },
      },
      timeoutMs: 30_000,
      command: options.command ?? "alice's command",
      mode: options.mode ?? "command",
      onEvent: (event) => {
        this.events.push(event);
        options.onEvent?.();
      },
    });
    for (const party of parties) if (party !== this.self) this.up(party);
  }

  signerOf(party: PartyId): Ed25519Signer {
    return this.signers.get(party) as Ed25519Signer;
  }

  up(peer: PartyId, boot = 1): void {
    const bootId = new Uint8Array(16).fill(boot);
    this.#up.set(peer, bootId);
    this.#receiver({ kind: "up", peer, bootId });
  }

  down(peer: PartyId): void {
    this.#up.delete(peer);
    this.#receiver({ kind: "down", peer, reason: "test" });
  }

  /** How many timers would still fire. */
  get timers(): number {
    let count = 0;
    const kept = [];
    for (let entry = this.#timers.pop(); entry !== undefined; entry = this.#timers.pop()) {
      kept.push(entry);
      if (!entry.cancelled) count++;
    }
    for (const entry of kept) this.#timers.push(entry);
    return count;
  }

  /** Lets time pass. */
  pass(ms: number): void {
    const until = this.now + ms;
    for (let next = this.#timers.peek(); next !== undefined && next.at <= until; next = this.#timers.peek()) {
      this.#timers.pop();
      this.now = Math.max(this.now, next.at);
      if (!next.cancelled) next.run();
    }
    this.now = Math.max(this.now, until);
  }

  receive(peer: PartyId, type: FrameType, payload: Bytes, session: Bytes = new Uint8Array(16)): void {
    this.#receiver({ kind: "frame", peer, frame: { type, session, payload } });
  }

  start<O>(
    definition: Definition<ToyInput, O>,
    input: Partial<ToyInput> = {},
    options: StartOptions = {},
  ): Slot<O> & { cancel: () => void } {
    const participants = this.roster.parties.map(({ index }) => index);
    const slot: Slot<O> & { cancel: () => void } = { cancel: () => {} };
    slot.cancel = this.host.observe(definition, { participants, ...input }, options, {
      outcome: (outcome) => {
        slot.outcome = outcome as Slot<O>["outcome"] & object;
        slot.endedAt = this.now;
      },
      settled: (settled) => {
        slot.settled = settled;
      },
    });
    return slot;
  }

  /** What was sent of a kind, newest last. */
  framesOf(type: FrameType, to?: PartyId): SessionFrame[] {
    return this.sent.filter((s) => s.frame.type === type && (to === undefined || s.to === to)).map((s) =>
      s.frame
    );
  }

  /** The OPEN that this party sent last. */
  ownOpen(): OpenMessage {
    return decode(openCodec, this.framesOf(FrameType.OPEN).at(-1)?.payload as Bytes);
  }

  /** A peer's OPEN of what this party proposes, or of something else. */
  openOf(peer: PartyId, changes: Partial<OpenMessage> = {}): OpenMessage {
    const own = this.framesOf(FrameType.OPEN).length > 0 ? this.ownOpen() : undefined;
    const open = {
      ...(own as OpenMessage),
      command: `${this.roster.nameOf(peer)}'s command`,
      nonce: sha256(utf8(`nonce ${peer}`)),
      ...changes,
    };
    const digest = openDigest(peer, proposalHash(open.proposal), entryOf(open));
    return { ...open, signature: changes.signature ?? this.signerOf(peer).sign(digest) };
  }

  receiveOpen(peer: PartyId, open: OpenMessage = this.openOf(peer)): OpenMessage {
    this.receive(peer, FrameType.OPEN, encode(openCodec, open));
    return open;
  }

  receiveReady(
    peer: PartyId,
    opens: readonly OpenMessage[],
    change = (entries: ReadyEntry[]) => entries,
  ): void {
    const prop = proposalHash((opens[0] as OpenMessage).proposal);
    const entries = change(opens.map(entryOf));
    const signature = this.signerOf(peer).sign(readyDigest(peer, prop, entries));
    this.receive(peer, FrameType.READY, encode(readyCodec, { prop, entries, signature }));
  }

  /** Opens with honest peers up to round 1. @returns the session's id. */
  openWithAll(): SessionId {
    const peers = this.roster.parties.map(({ index }) => index).filter((party) => party !== this.self);
    const opens = new Map(peers.map((peer) => [peer, this.receiveOpen(peer)]));
    opens.set(this.self, this.ownOpen());
    const all = this.roster.parties.map(({ index }) => opens.get(index) as OpenMessage);
    for (const peer of peers) this.receiveReady(peer, all);
    return sessionIdOf(proposalHash(this.ownOpen().proposal), all);
  }

  receiveEnvelope(
    peer: PartyId,
    sid: SessionId,
    fields: Partial<Omit<Envelope, "signature">> & { readonly signer?: PartyId; readonly protocol?: string },
  ): Bytes {
    const raw = sealEnvelope(this.signerOf(fields.signer ?? peer), sid, fields.protocol ?? "toy", {
      round: 1,
      from: peer,
      to: 0,
      echo: EMPTY,
      body: wordBody(`word of ${peer}`),
      ...fields,
    });
    this.receive(peer, FrameType.ENVELOPE, raw, sid.slice(0, 16));
    return raw;
  }

  receiveAbort(peer: PartyId, sid: SessionId, abort: Partial<AbortMessage>): void {
    const payload = encode(abortCodec, {
      sid,
      code: "CANCELLED",
      parties: [],
      text: "",
      evidence: [],
      ...abort,
    });
    this.receive(peer, FrameType.ABORT, payload, sid.slice(0, 16));
  }

  receiveRefused(peer: PartyId, refused: Partial<RefusedMessage>): void {
    const prop = proposalHash(this.ownOpen().proposal);
    const nonce = sha256(utf8(`nonce ${peer}`));
    const payload = encode(refusedCodec, {
      prop,
      nonce,
      otherProp: prop,
      otherNonce: nonce,
      parties: [],
      code: "CANCELLED",
      field: "",
      ours: "",
      theirs: "",
      ourCommand: "",
      ...refused,
    });
    this.receive(peer, FrameType.SESSION_REFUSED, payload);
  }
}

/** An encoded word of a toy. */
export function wordBody(word: string): Bytes {
  return encode(WORD, utf8(word));
}

/** A body that does not decode. */
export const MALFORMED: Bytes = concat(new Uint8Array([0, 0, 0, 9]), utf8("short"));
