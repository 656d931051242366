/**
 * Runs all parties of a protocol in one process: for tests, examples and benchmarks. There are no envelopes and no echo here;
 * `tests/sim` has those.
 *
 * @module
 */

import { type PartyId, type SessionId, sessionId } from "../base/brands.ts";
import { type Bytes, copy } from "../base/bytes.ts";
import { decode, encode } from "../base/codec.ts";
import { type Ed25519Signer, ed25519Signer, type Ed25519Verifier, ed25519Verifier } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { ExchangeStep, JournalRecord, Protocol, Session } from "./protocol.ts";

/** How {@linkcode runLocally} sets the parties up. */
export interface LocalOptions {
  /** Randomness of all parties. */
  readonly rng: Rng;
  /** 32-byte seeds of the identity keys; made up where absent. */
  readonly identities?: ReadonlyMap<PartyId, Bytes>;
  /** What each party brings to round 0; nothing where absent. */
  readonly offers?: ReadonlyMap<PartyId, Bytes>;
  /** The session id; made up where absent. */
  readonly sid?: SessionId;
  /** Called for every durable record. */
  readonly onPersist?: (party: PartyId, record: JournalRecord) => void;
  /**
   * Stands between sender and receiver: returns the encoded message that is delivered, or undefined to drop it. `to` is
   * undefined for a broadcast being delivered to `receiver`.
   */
  readonly tamper?: (message: LocalMessage) => Bytes | undefined;
}

/** One message on its way. */
export interface LocalMessage {
  /** In which round. */
  readonly round: number;
  /** To all alike, or to one. */
  readonly kind: "broadcast" | "direct";
  /** Its sender. */
  readonly from: PartyId;
  /** To whom it is delivered. */
  readonly receiver: PartyId;
  /** Its encoding. */
  readonly body: Bytes;
}

/** How a party ended. */
export type LocalOutcome<T> = { readonly ok: true; readonly value: T } | {
  readonly ok: false;
  readonly error: unknown;
};

/**
 * Runs one generator per party until all have ended.
 *
 * @param parties ascending.
 * @param start makes a party's generator from its session.
 * @returns each party's result or error; a party that waits for one that has ended ends with an error too.
 */
export function runLocally<T>(
  parties: readonly PartyId[],
  start: (session: Session) => Protocol<T>,
  options: LocalOptions,
): Map<PartyId, LocalOutcome<T>> {
  const sid = options.sid ?? sessionId(options.rng.bytes(32));
  const identities = new Map(
    parties.map((party) => [party, lazyIdentity(options.identities?.get(party) ?? options.rng.bytes(32))]),
  );
  const offers = new Map(
    parties.map((party) => [party, options.offers?.get(party) ?? new Uint8Array(0) as Bytes]),
  );
  const outcomes = new Map<PartyId, LocalOutcome<T>>();
  const running = new Map<
    PartyId,
    { readonly run: Protocol<T>; waiting: ExchangeStep | undefined; resume: unknown }
  >();
  const mail = new Map<string, Bytes>();

  for (const party of parties) {
    const session: Session = {
      id: sid,
      self: party,
      parties,
      offers,
      rng: options.rng,
      sign: (message) => (identities.get(party) as LazyIdentity).signer().sign(message),
      verify: (other, message, signature) =>
        identities.get(other)?.verifier()?.verify(message, signature) ?? false,
    };
    running.set(party, { run: start(session), waiting: undefined, resume: undefined });
  }

  for (let progress = true; progress;) {
    progress = false;
    for (const [party, state] of running) {
      if (state.waiting !== undefined) {
        const inbox = collect(party, state.waiting);
        if (inbox === undefined) continue;
        if (inbox instanceof Error) {
          progress = true;
          fail(party, inbox);
          continue;
        }
        state.resume = inbox;
        state.waiting = undefined;
      }
      progress = true;
      advance(party, state);
    }
  }
  for (const party of [...running.keys()]) fail(party, new Error("waits for a message that will not come"));
  return outcomes;

  function fail(party: PartyId, error: unknown): void {
    running.get(party)?.run.return(undefined as never);
    running.delete(party);
    outcomes.set(party, { ok: false, error });
  }

  function advance(
    party: PartyId,
    state: { readonly run: Protocol<T>; waiting: ExchangeStep | undefined; resume: unknown },
  ): void {
    try {
      for (;;) {
        const step = state.run.next(state.resume);
        if (step.done) {
          running.delete(party);
          outcomes.set(party, { ok: true, value: step.value });
          return;
        }
        if (step.value.kind === "exchange") {
          post(party, step.value);
          state.waiting = step.value;
          return;
        }
        if (step.value.kind === "compute") state.resume = step.value.task(step.value.input);
        else {
          options.onPersist?.(party, step.value.record);
          state.resume = undefined;
        }
      }
    } catch (error) {
      running.delete(party);
      outcomes.set(party, { ok: false, error });
    }
  }

  function post(from: PartyId, { round, outbox }: ExchangeStep): void {
    for (const receiver of parties) {
      if (receiver === from) continue;
      if (round.broadcast !== undefined && outbox.broadcast !== undefined) {
        deliver({
          round: round.number,
          kind: "broadcast",
          from,
          receiver,
          body: encode(round.broadcast, outbox.broadcast),
        });
      }
      const direct = outbox.direct?.get(receiver);
      if (round.direct !== undefined && direct !== undefined) {
        deliver({ round: round.number, kind: "direct", from, receiver, body: encode(round.direct, direct) });
      }
    }
  }

  function deliver(message: LocalMessage): void {
    const body = options.tamper === undefined ? message.body : options.tamper(message);
    if (body === undefined) return;
    const key = `${message.round}/${message.kind}/${message.from}/${message.receiver}`;
    invariant(!mail.has(key), `two messages for ${key}`);
    mail.set(key, copy(body));
  }

  function collect(self: PartyId, { round, from }: ExchangeStep): object | Error | undefined {
    const broadcast = new Map<PartyId, unknown>();
    const direct = new Map<PartyId, unknown>();
    for (const peer of from ?? parties.filter((party) => party !== self)) {
      for (
        const [kind, codec, into] of [["broadcast", round.broadcast, broadcast], [
          "direct",
          round.direct,
          direct,
        ]] as const
      ) {
        if (codec === undefined) continue;
        const body = mail.get(`${round.number}/${kind}/${peer}/${self}`);
        if (body === undefined) return undefined;
        try {
          into.set(peer, decode(codec, body));
        } catch (error) {
          return error as Error;
        }
      }
    }
    return { broadcast, direct };
  }
}

interface LazyIdentity {
  signer(): Ed25519Signer;
  verifier(): Ed25519Verifier | undefined;
}

/** Makes the keys when they are first used: most protocols use none, and a verifier costs more than a small protocol. */
function lazyIdentity(seed: Bytes): LazyIdentity {
  let signer: Ed25519Signer | undefined, verifier: Ed25519Verifier | undefined;
  return {
    signer: () => signer ??= ed25519Signer(seed),
    verifier() {
      signer ??= ed25519Signer(seed);
      return verifier ??= ed25519Verifier(signer.publicKey);
    },
  };
}
