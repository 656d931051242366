/**
 * Drives one protocol generator over envelopes: rounds, echo broadcast, durable records (WIRE.md 4; DESIGN.md 2).
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { decode, DecodeError, encode } from "../base/codec.ts";
import { CheaterError, invariant, InvariantError, QuorateError } from "../base/errors.ts";
import type { Definition, ExchangeStep, Protocol, Session } from "../protocols/protocol.ts";
import type { SessionContext } from "./context.ts";
import { ECHO_ROUND_BIT, echoHash, sealEnvelope, TO_ALL } from "./envelope.ts";
import type { EnvelopeStore, StoredEnvelope } from "./envelope_store.ts";
import { FrameType } from "./links.ts";

/** What a running protocol tells its session. */
export interface RunningEvents {
  /** A new wait began, or progress was made in it. */
  progress(): void;
  result(value: unknown): void;
  failure(error: QuorateError): void;
  /** A peer's echo differs from ours: the receiver stops the protocol, so that nothing more leaves. */
  echoMismatch(): void;
}

/** One running protocol. */
export class Running {
  readonly #context: SessionContext;
  readonly #store: EnvelopeStore;
  readonly #events: RunningEvents;
  readonly #protocol: string;
  readonly #sid: SessionId;
  readonly #parties: readonly PartyId[];
  readonly #generator: Protocol<unknown>;
  readonly #sent = new Map<PartyId, Bytes[]>();
  readonly #ownBroadcasts = new Map<number, Bytes>();
  #waiting: ExchangeStep | undefined;
  #round = 0;
  #roundName = "computing";
  #echoSent = false;
  #stopped = false;
  #released = false;
  #computing = false;
  #ending: QuorateError | undefined;

  constructor(input: {
    readonly context: SessionContext;
    readonly store: EnvelopeStore;
    readonly definition: Definition<unknown, unknown>;
    readonly input: unknown;
    readonly sid: SessionId;
    readonly parties: readonly PartyId[];
    readonly offers: ReadonlyMap<PartyId, Bytes>;
    readonly events: RunningEvents;
  }) {
    const { context, definition } = input;
    this.#context = context;
    this.#store = input.store;
    this.#events = input.events;
    this.#protocol = definition.name;
    this.#sid = input.sid;
    this.#parties = input.parties;
    const session: Session = {
      id: input.sid,
      self: context.self,
      parties: input.parties,
      offers: input.offers,
      rng: context.rng,
      sign: (message) => context.identity.sign(message),
      verify: (party, message, signature) => context.roster.get(party).identity.verify(message, signature),
    };
    this.#generator = definition.run(session, input.input);
  }

  /** True once the last round of signing was released: a failure is an unknown outcome from then on. */
  get released(): boolean {
    return this.#released;
  }

  /** The round that was begun last; 0 before the first. */
  get round(): number {
    return this.#round;
  }

  /** Its name, for people. */
  get roundName(): string {
    return this.#roundName;
  }

  /** Begins. */
  start(): void {
    this.#drive(undefined);
  }

  /** Peers whose message of the current round has not come. */
  missing(): PartyId[] {
    const step = this.#waiting;
    if (step === undefined) return [];
    const awaited = this.#awaited(step);
    const absent = awaited.filter((peer) => !this.#hasAll(step, peer));
    if (absent.length > 0 || step.round.echo !== "own") return absent;
    return awaited.filter((peer) =>
      this.#store.get(step.round.number | ECHO_ROUND_BIT, peer, "broadcast") === undefined
    );
  }

  /** An envelope was stored. Returns whether it was awaited. */
  received(stored: StoredEnvelope): boolean {
    const step = this.#waiting;
    if (step === undefined || this.#stopped) return false;
    const { round, from } = stored.envelope;
    if ((round & ~ECHO_ROUND_BIT) !== step.round.number || !this.#awaited(step).includes(from)) return false;
    this.#events.progress();
    if (!this.#echoMatches(stored)) this.#events.echoMismatch();
    else this.#continue();
    return true;
  }

  /** Sends every envelope for a peer again, as it was: a message is never computed twice. */
  resend(peer: PartyId): void {
    for (const raw of this.#sent.get(peer) ?? []) this.#send(peer, raw);
  }

  /**
   * A peer has left. What has come is judged first, so that nobody leaves before a check that would name it, and a protocol that needs
   * nothing more ends well; no message is sent any more, and nothing is released.
   *
   * @returns false where nothing that has come is left to judge.
   */
  endsWith(error: QuorateError): boolean {
    if (!this.#computing || this.#stopped) return false;
    this.#ending ??= error;
    return true;
  }

  /** Ends the generator so that its `using` secrets are disposed. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#waiting = undefined;
    try {
      this.#generator.return(undefined);
    } catch {
      // A generator that is running, or whose clean-up throws, is not needed any more.
    }
  }

  #drive(resume: unknown, thrown?: { readonly error: unknown }): void {
    let answer = resume;
    let toThrow = thrown;
    let result: { readonly value: unknown };
    try {
      for (;;) {
        const step = toThrow === undefined
          ? this.#generator.next(answer)
          : this.#generator.throw(toThrow.error);
        toThrow = undefined;
        if (step.done) {
          this.#stopped = true;
          result = { value: step.value };
          break;
        }
        if (step.value.kind === "exchange") {
          this.#exchange(step.value);
          return;
        }
        if (step.value.kind === "compute") {
          this.#compute(step.value.task, step.value.input);
          return;
        }
        if (step.value.record.kind === "release") this.#throwEnding();
        this.#context.journal.write(step.value.record);
        if (step.value.record.kind === "release") this.#released = true;
        answer = undefined;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#events.result(result.value);
  }

  /** Sends this party's messages of a round, unless what has come already shows that the last one was split. */
  #exchange(step: ExchangeStep): void {
    const { round, from } = step;
    const carriesEcho = this.#store.table.carriesEcho(round.number);
    invariant(
      from === undefined || (round.echo === "none" && !carriesEcho),
      "an echo is worth something only when everybody is waited for",
    );
    this.#round = round.number;
    this.#roundName = round.name;
    if (!this.#earlyEchoesMatch(step)) return this.#events.echoMismatch();
    if (this.#ending === undefined) this.#post(step);
    this.#waiting = step;
    this.#echoSent = false;
    this.#events.progress();
    this.#continue();
    if (this.#ending !== undefined && this.#waiting === step) this.#fail(this.#ending);
  }

  #throwEnding(): void {
    if (this.#ending !== undefined) throw this.#ending;
  }

  #compute(task: (input: unknown) => unknown, input: unknown): void {
    this.#computing = true;
    this.#context.clock.timer(0, () => {
      if (this.#stopped) return;
      this.#computing = false;
      let value: unknown;
      try {
        value = task(input);
      } catch (error) {
        this.#drive(undefined, { error });
        return;
      }
      this.#drive(value);
    });
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    this.#events.failure(
      error instanceof QuorateError ? error : new InvariantError(`the protocol failed: ${describe(error)}`),
    );
  }

  #continue(): void {
    const step = this.#waiting;
    if (
      step === undefined || this.#stopped || !this.#awaited(step).every((peer) => this.#hasAll(step, peer))
    ) return;
    if (step.round.echo === "own" && !this.#echoSent) {
      this.#echoSent = true;
      this.#postEnvelope(step.round.number | ECHO_ROUND_BIT, TO_ALL, EMPTY, this.#peers());
      for (const peer of this.#awaited(step)) {
        const early = this.#store.get(step.round.number | ECHO_ROUND_BIT, peer, "broadcast");
        if (early !== undefined && !this.#echoMatches(early)) return this.#events.echoMismatch();
      }
    }
    if (this.missing().length > 0) return;
    this.#waiting = undefined;
    let inbox: unknown;
    try {
      inbox = this.#inbox(step);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#drive(inbox);
  }

  /** Echoes in messages that came before this round began here. */
  #earlyEchoesMatch(step: ExchangeStep): boolean {
    return this.#awaited(step).every((peer) =>
      (["broadcast", "direct"] as const).every((kind) => {
        const stored = this.#store.get(step.round.number, peer, kind);
        return stored === undefined || this.#echoMatches(stored);
      })
    );
  }

  #echoMatches({ envelope }: StoredEnvelope): boolean {
    const echoOf = this.#store.table.place(envelope.round, envelope.to)?.echoOf;
    if (echoOf === undefined) return true;
    // An echo of the round's own broadcasts is judged when all of them are here.
    if ((envelope.round & ECHO_ROUND_BIT) !== 0 && !this.#echoSent) return true;
    return equal(envelope.echo, this.#echo(echoOf));
  }

  #echo(round: number): Bytes {
    const bodies = this.#parties.map((party) =>
      party === this.#context.self
        ? this.#ownBroadcasts.get(round) ?? EMPTY
        : this.#store.get(round, party, "broadcast")?.envelope.body ?? EMPTY
    );
    return echoHash(this.#sid, round, bodies);
  }

  #inbox({ round, from }: ExchangeStep) {
    const broadcast = new Map<PartyId, unknown>();
    const direct = new Map<PartyId, unknown>();
    const faults = new Map<PartyId, string>();
    for (const peer of from ?? this.#peers()) {
      for (
        const [kind, codec, into] of [["broadcast", round.broadcast, broadcast], [
          "direct",
          round.direct,
          direct,
        ]] as const
      ) {
        if (codec === undefined) continue;
        const stored = this.#store.get(round.number, peer, kind);
        invariant(stored !== undefined, "a round ends when all its messages are here");
        try {
          into.set(peer, decode(codec, stored.envelope.body));
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
          faults.set(peer, error.message);
        }
      }
    }
    if (faults.size > 0) {
      throw new CheaterError({
        code: "INVALID_MESSAGE",
        round: round.number,
        culprits: [...faults.keys()],
        what: `a message is malformed (${[...faults.values()].join("; ")})`,
      });
    }
    return { broadcast, direct };
  }

  #post({ round, outbox }: ExchangeStep): void {
    if (round.broadcast !== undefined && outbox.broadcast !== undefined) {
      const body = encode(round.broadcast, outbox.broadcast);
      this.#ownBroadcasts.set(round.number, body);
      this.#postEnvelope(round.number, TO_ALL, body, this.#peers());
    }
    if (round.direct === undefined) return;
    for (const [peer, value] of outbox.direct ?? []) {
      this.#postEnvelope(round.number, peer, encode(round.direct, value), [peer]);
    }
  }

  #postEnvelope(round: number, to: number, body: Bytes, receivers: readonly PartyId[]): void {
    const place = this.#store.table.place(round, to);
    invariant(place !== undefined, `round ${round} is not declared`);
    const echo = place.echoOf === undefined ? EMPTY : this.#echo(place.echoOf);
    const raw = sealEnvelope(this.#context.identity, this.#sid, this.#protocol, {
      round,
      from: this.#context.self,
      to,
      echo,
      body,
    });
    for (const peer of receivers) {
      const sent = this.#sent.get(peer);
      if (sent === undefined) this.#sent.set(peer, [raw]);
      else sent.push(raw);
      this.#send(peer, raw);
    }
  }

  #send(peer: PartyId, raw: Bytes): void {
    this.#context.links.send(peer, {
      type: FrameType.ENVELOPE,
      session: this.#sid.slice(0, 16),
      payload: raw,
    });
  }

  #hasAll({ round }: ExchangeStep, peer: PartyId): boolean {
    return (round.broadcast === undefined ||
      this.#store.get(round.number, peer, "broadcast") !== undefined) &&
      (round.direct === undefined || this.#store.get(round.number, peer, "direct") !== undefined);
  }

  #awaited(step: ExchangeStep): readonly PartyId[] {
    return step.from ?? this.#peers();
  }

  #peers(): PartyId[] {
    return this.#parties.filter((party) => party !== this.#context.self);
  }
}

/** The kind of an unexpected error; its message could hold a value. */
function describe(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
