/**
 * What a corrupt party does to what it sends. It holds its own identity key, so what it changes it signs again; it does not
 * hold the keys of others.
 */

import type { PartyId } from "../../src/base/brands.ts";
import { type Bytes, concat, copy, equal, hex, u8 } from "../../src/base/bytes.ts";
import { type Codec, decode, encode } from "../../src/base/codec.ts";
import type { Rng } from "../../src/base/rng.ts";
import type { Definition, Protocol, Round, Session, Step } from "../../src/protocols/protocol.ts";
import {
  echoHash,
  type Envelope,
  envelopeHead,
  openEnvelope,
  sealEnvelope,
  TO_ALL,
} from "../../src/session/envelope.ts";
import { RoundTable } from "../../src/session/envelope_store.ts";
import { FrameType, type SessionFrame } from "../../src/session/links.ts";
import {
  abortCodec,
  entryOf,
  openCodec,
  openDigest,
  proposalHash,
  readyCodec,
  readyDigest,
} from "../../src/session/messages.ts";
import type { Lies } from "./lies.ts";
import type { Wrap } from "./scenario.ts";
import type { Interceptor, Passing, World } from "./world.ts";

/** A kind of message: of round 0, or of a round (an echo message has a number above 128). */
export interface Place {
  readonly kind: "open" | "ready" | "broadcast" | "direct";
  readonly round: number;
}

/** Which lie, by whom, to whom, when. */
export interface Attack {
  readonly adversary: string;
  readonly corrupt: PartyId;
  /** The honest party that is treated otherwise, where the lie is to one. */
  readonly target: PartyId;
  readonly place: Place;
  /** Is called when something is sent that is not what an honest party would send. */
  readonly note?: () => void;
}

/** Envelopes of an earlier honest session of the same parties, by `from/round/to`; what is in them by `from/round/to/body`. */
export type Corpus = ReadonlyMap<string, Bytes>;

interface Context extends Attack {
  readonly world: World;
  readonly rng: Rng;
  readonly rounds: readonly Round[];
  readonly corpus: Corpus;
  /** What happens once per session and receiver. */
  once(what: string): boolean;
  /** Bodies of the broadcasts of the attacked round, by `session/sender`, as their senders told most. */
  readonly bodies: ReadonlyMap<string, Bytes>;
}

type Sent = readonly { readonly frame: SessionFrame; readonly delayMs?: number }[];
/** What is sent instead of a frame of the attacked place. */
type OnFrame = (passing: Passing, context: Context, envelope: Envelope | undefined) => Sent;

interface Adversary {
  /** Where it makes sense. */
  readonly at: (place: Place, rounds: readonly Round[], n: number) => boolean;
  readonly onFrame?: OnFrame;
  /** What is sent instead of a message that echoes the attacked round. */
  readonly onEcho?: OnFrame;
  /** Changes what the corrupt party's own protocol sends, so that it stays consistent with itself. */
  readonly onBody?: (body: Bytes, context: Pick<Context, "rng" | "corpus" | "corrupt" | "place">) => Bytes;
}

/** Every adversary by name. `crash` is the world's business: see the runner. */
export const ADVERSARIES: Readonly<Record<string, Adversary>> = {
  // Nothing, or less than everything.
  "drop-all": { at: anywhere, onFrame: () => [] },
  "drop-one": { at: anywhere, onFrame: (passing, { target }) => passing.to === target ? [] : asIs(passing) },
  "drop-half": {
    at: (_place, _rounds, n) => n > 2,
    onFrame: (passing, { target }) => (passing.to - target) % 2 === 0 ? [] : asIs(passing),
  },
  late: { at: anywhere, onFrame: ({ frame }) => [{ frame, delayMs: 2_500 }] },
  "too-late": { at: anywhere, onFrame: ({ frame }) => [{ frame, delayMs: 60_000 }] },
  // The same again, in another order, or of another time.
  duplicate: { at: anywhere, onFrame: ({ frame }) => [{ frame }, { frame }, { frame, delayMs: 400 }] },
  reorder: { at: inRounds, onFrame: holdBack },
  "replay-session": { at: inRounds, onFrame: replaySession },
  "replay-round": {
    at: ({ kind, round }, rounds) =>
      (kind === "broadcast" || kind === "direct") &&
      rounds.some((earlier) => earlier.number === round - 1 && earlier[kind] !== undefined),
    onFrame: replayRound,
  },
  // Changed, the same to everybody.
  flip: { at: hasBody, onBody: (body, { rng }) => flipBit(body, rng) },
  zeros: { at: hasBody, onBody: (body) => new Uint8Array(body.length) },
  ones: { at: hasBody, onBody: (body) => new Uint8Array(body.length).fill(0xff) },
  truncate: { at: hasBody, onBody: (body) => body.slice(0, -1) },
  empty: { at: hasBody, onBody: () => new Uint8Array(0) },
  other: { at: hasBody, onBody: otherBody },
  // Changed for one receiver.
  equivocate: { at: hasBody, onFrame: equivocate },
  "flip-one": {
    at: hasBody,
    onFrame: toTarget((passing, context, envelope) =>
      resigned(passing, context, { ...envelope, body: flipBit(envelope.body, context.rng) })
    ),
  },
  "equivocate-late": { at: isEchoed, onFrame: equivocateLate, onEcho: echoAsTold },
  "two-of-one": { at: hasBody, onFrame: twoOfOne },
  "echo-lie": {
    at: carriesEcho,
    onFrame: toTarget((passing, context, envelope) =>
      resigned(passing, context, { ...envelope, echo: flipBit(envelope.echo, context.rng) })
    ),
  },
  // Not what a frame may be.
  unsigned: {
    at: inRounds,
    onFrame: (passing, _context, envelope) =>
      envelope === undefined
        ? asIs(passing)
        : [{ frame: { ...passing.frame, payload: flipLast(passing.frame.payload) } }],
  },
  oversize: {
    at: inRounds,
    onFrame: (passing, context, envelope) =>
      envelope === undefined
        ? asIs(passing)
        : resigned(passing, context, { ...envelope, body: concat(envelope.body, new Uint8Array(70_000)) }),
  },
  impersonate: {
    at: inRounds,
    onFrame: before((context, envelope) => ({ ...envelope, from: context.target })),
  },
  "wrong-receiver": { at: inRounds, onFrame: before((_, envelope) => ({ ...envelope, to: 60 })) },
  "wrong-round": { at: inRounds, onFrame: before((_, envelope) => ({ ...envelope, round: 99 })) },
  junk: { at: anywhere, onFrame: junk },
  // Lies about the session.
  "open-split": { at: ({ kind }) => kind === "open", onFrame: openSplit },
  "open-other": { at: ({ kind }) => kind === "open", onFrame: openOther },
  "ready-lie": { at: ({ kind }) => kind === "ready", onFrame: readyLie },
  "abort-timeout": { at: anywhere, onFrame: abortLie("TIMEOUT") },
  "abort-echo": { at: anywhere, onFrame: abortLie("ECHO_MISMATCH") },
  "abort-framing": { at: anywhere, onFrame: abortLie("EQUIVOCATION") },
  flap: { at: inRounds, onFrame: flap },
};

/** All places of a protocol where an adversary can act. */
export function placesOf(rounds: readonly Round[], adversary: string, n: number): Place[] {
  const table = new RoundTable(rounds);
  const places: Place[] = [{ kind: "open", round: 0 }, { kind: "ready", round: 0 }];
  for (const round of rounds) {
    if (round.broadcast !== undefined) places.push({ kind: "broadcast", round: round.number });
    if (round.direct !== undefined) places.push({ kind: "direct", round: round.number });
    const echo = round.number | 0x80;
    if (table.place(echo, TO_ALL) !== undefined) places.push({ kind: "broadcast", round: echo });
  }
  const { at } = ADVERSARIES[adversary] ?? HONEST;
  return places.filter((place) => at(place, rounds, n));
}

/** The corrupt party's network side. */
export function intercept(attack: Attack, rounds: readonly Round[], rng: Rng, corpus: Corpus): Interceptor {
  const { onFrame, onEcho } = ADVERSARIES[attack.adversary] ?? HONEST;
  const done = new Set<string>();
  const bodies = new Map<string, Bytes>();
  const table = new RoundTable(rounds);
  return (passing, world) => {
    const said = envelopeAt(attack.place, passing, table);
    if (said !== undefined) bodies.set(`${hex(passing.frame.session)}/${passing.from}`, said.body);
    if (passing.from !== attack.corrupt) return asIs(passing);
    if (WITHOUT_A_WORD.has(attack.adversary) && FAREWELLS.has(passing.frame.type)) return [];
    // Who tells a lie of its protocol does not end the session when it finds that lie in what it received.
    if (!(attack.adversary in ADVERSARIES) && passing.frame.type === FrameType.ABORT) return [];
    if (onFrame === undefined) return asIs(passing);
    const envelope = said;
    const once = (what: string) => {
      const key = `${hex(passing.frame.session)}/${passing.to}/${what}`;
      return done.has(key) ? false : (done.add(key), true);
    };
    const context = { ...attack, world, rng, rounds, corpus, once, bodies };
    if (envelope !== undefined || isRound0(attack.place, passing)) {
      const sent = onFrame(passing, context, envelope);
      if (!isAsIs(passing, sent)) attack.note?.();
      return sent;
    }
    const echo = onEcho === undefined ? undefined : echoOf(attack.place, passing, table);
    return echo === undefined || onEcho === undefined ? asIs(passing) : onEcho(passing, context, echo);
  };
}

/** The corrupt party's protocol side. */
export function corruptDefinition(attack: Attack, rng: Rng, corpus: Corpus, lies: Lies = {}): Wrap {
  const own = (lies as Readonly<Record<string, Lies[keyof Lies]>>)[attack.adversary];
  if (own !== undefined) {
    const { corrupt, target, note = () => {} } = attack;
    return (definition) => own.wrap(definition, { corrupt, target, note });
  }
  const { onBody } = ADVERSARIES[attack.adversary] ?? HONEST;
  const { kind, round } = attack.place;
  const lie = <T>(codec: Codec<T>): Codec<T> => ({
    ...codec,
    write(out, value) {
      const body = encode(codec, value);
      const told = onBody?.(body, { ...attack, rng, corpus }) ?? body;
      if (!equal(told, body)) attack.note?.();
      out.put(told);
    },
  });
  return <I, O>(definition: Definition<I, O>): Definition<I, O> => {
    if (onBody === undefined || (kind !== "broadcast" && kind !== "direct")) return definition;
    return {
      ...definition,
      *run(session: Session, input: I): Protocol<O> {
        const inner = definition.run(session, input);
        let answer: unknown;
        try {
          for (;;) {
            const { done, value } = inner.next(answer);
            if (done === true) return value as O;
            answer = yield lieIn(value as Step, round, kind, lie);
          }
        } finally {
          inner.return(undefined as never);
        }
      },
    };
  };
}

function lieIn(
  step: Step,
  round: number,
  kind: "broadcast" | "direct",
  lie: <T>(codec: Codec<T>) => Codec<T>,
): Step {
  if (step.kind !== "exchange" || step.round.number !== round) return step;
  const codec = step.round[kind];
  // Only what is written changes: what comes in is read as before.
  return codec === undefined ? step : { ...step, round: { ...step.round, [kind]: lie(codec) } };
}

const HONEST: Adversary = { at: () => false };

/** Who withholds something does not say goodbye either. */
const WITHOUT_A_WORD: ReadonlySet<string> = new Set([
  "drop-all",
  "drop-one",
  "drop-half",
  "too-late",
  "unsigned",
  "oversize",
  "open-other",
  "ready-lie",
]);
const FAREWELLS: ReadonlySet<number> = new Set([FrameType.ABORT, FrameType.SESSION_REFUSED]);

function anywhere(): boolean {
  return true;
}

function inRounds({ kind }: Place): boolean {
  return kind === "broadcast" || kind === "direct";
}

function hasBody(place: Place): boolean {
  return inRounds(place) && place.round < 128;
}

function isEchoed({ kind, round }: Place, rounds: readonly Round[], n: number): boolean {
  return n > 2 && kind === "broadcast" && new RoundTable(rounds).echoed.includes(round);
}

function carriesEcho(place: Place, rounds: readonly Round[]): boolean {
  const table = new RoundTable(rounds);
  return inRounds(place) &&
    table.place(place.round, place.kind === "broadcast" ? TO_ALL : 1)?.echoOf !== undefined;
}

function isRound0({ kind }: Place, { frame }: Passing): boolean {
  return (kind === "open" && frame.type === FrameType.OPEN) ||
    (kind === "ready" && frame.type === FrameType.READY);
}

function envelopeAt({ kind, round }: Place, { frame }: Passing, table: RoundTable): Envelope | undefined {
  if (frame.type !== FrameType.ENVELOPE || (kind !== "broadcast" && kind !== "direct")) return undefined;
  const head = envelopeHead(frame.payload);
  if (head.round !== round || (head.to === TO_ALL) !== (kind === "broadcast")) return undefined;
  return openEnvelope(frame.payload, table.place(head.round, head.to)?.echoOf !== undefined);
}

/** An envelope that echoes the attacked round. */
function echoOf({ round }: Place, { frame }: Passing, table: RoundTable): Envelope | undefined {
  if (frame.type !== FrameType.ENVELOPE) return undefined;
  const head = envelopeHead(frame.payload);
  return table.place(head.round, head.to)?.echoOf === round ? openEnvelope(frame.payload, true) : undefined;
}

function isAsIs({ frame }: Passing, sent: Sent): boolean {
  const [only, ...others] = sent;
  return only !== undefined && others.length === 0 && (only.delayMs ?? 0) === 0 &&
    equal(only.frame.payload, frame.payload);
}

function asIs({ frame }: Passing): Sent {
  return [{ frame }];
}

function resigned({ frame }: Passing, { world, corrupt }: Context, envelope: Envelope): Sent {
  const session = world.sessions.get(hex(frame.session));
  const signer = world.identities.get(corrupt);
  if (session === undefined || signer === undefined) throw new Error("a frame of an unknown session");
  return [{ frame: { ...frame, payload: sealEnvelope(signer, session.sid, session.protocol, envelope) } }];
}

function toTarget(change: (passing: Passing, context: Context, envelope: Envelope) => Sent): OnFrame {
  return (passing, context, envelope) =>
    envelope === undefined || passing.to !== context.target
      ? asIs(passing)
      : change(passing, context, envelope);
}

/** Sends something else first, and then what is due. */
function before(
  change: (context: Context, envelope: Envelope) => Omit<Envelope, "from"> & { readonly from: PartyId },
): OnFrame {
  return (passing, context, envelope) =>
    envelope === undefined || !context.once("before")
      ? asIs(passing)
      : [...resigned(passing, context, change(context, envelope)), ...asIs(passing)];
}

/** What comes after this frame comes before it. */
function holdBack(passing: Passing, { world, once }: Context): Sent {
  if (!once("held")) return asIs(passing);
  world.at(700, () => world.inject(passing));
  return [];
}

function replaySession(passing: Passing, { corpus, once, place, corrupt }: Context): Sent {
  const old = corpus.get(`${corrupt}/${place.round}/${place.kind === "broadcast" ? TO_ALL : passing.to}`);
  if (old === undefined || !once("replay")) return asIs(passing);
  const oldFrame = { ...passing.frame, session: new Uint8Array(16).fill(9), payload: old };
  return [{ frame: oldFrame }, { frame: { ...passing.frame, payload: old } }, ...asIs(passing)];
}

/** The body of the round before, as this round's message. */
function replayRound(passing: Passing, context: Context, envelope: Envelope | undefined): Sent {
  const { corpus, place, corrupt, rounds } = context;
  const table = new RoundTable(rounds);
  const to = envelope?.to ?? TO_ALL;
  const raw = corpus.get(`${corrupt}/${place.round - 1}/${to}`);
  if (raw === undefined || envelope === undefined) return asIs(passing);
  const { body } = openEnvelope(raw, table.place(place.round - 1, to)?.echoOf !== undefined);
  return resigned(passing, context, { ...envelope, body });
}

/** The corrupt party's message of an earlier session: valid in itself, and not what it promised in this one. */
function otherBody(
  body: Bytes,
  { corpus, corrupt, place }: Pick<Context, "rng" | "corpus" | "corrupt" | "place">,
): Bytes {
  for (const [key, raw] of corpus) {
    const [at, isBody] = key.split("/body");
    const [from, round, to] = (at as string).split("/").map(Number);
    if (from !== corrupt || round !== place.round || (to === TO_ALL) !== (place.kind === "broadcast")) {
      continue;
    }
    if (isBody !== undefined) return raw;
    for (const hasEcho of [false, true]) {
      try {
        const other = openEnvelope(raw, hasEcho).body;
        if (other.length === body.length) return other;
      } catch {
        // The other reading is the right one.
      }
    }
  }
  return body;
}

function equivocate(passing: Passing, context: Context, envelope: Envelope | undefined): Sent {
  if (envelope === undefined || passing.to !== context.target) return asIs(passing);
  return resigned(passing, context, { ...envelope, body: otherBody(envelope.body, context) });
}

/** Another body for one receiver, so late that everybody else's next round is there before it. */
function equivocateLate(passing: Passing, context: Context, envelope: Envelope | undefined): Sent {
  if (envelope === undefined || equal(otherBody(envelope.body, context), envelope.body)) return asIs(passing);
  return equivocate(passing, context, envelope).map(({ frame }) => ({
    frame,
    delayMs: passing.to === context.target ? 2_500 : 0,
  }));
}

/** The echo that fits what that one receiver was told. */
function echoAsTold(passing: Passing, context: Context, envelope: Envelope | undefined): Sent {
  const { world, corrupt, target, place, bodies } = context;
  const session = world.sessions.get(hex(passing.frame.session));
  if (envelope === undefined || session === undefined || passing.to !== target) return asIs(passing);
  const told = world.parties.map((party) => {
    const body = bodies.get(`${hex(passing.frame.session)}/${party}`) ?? new Uint8Array(0);
    return party === corrupt ? otherBody(body, context) : body;
  });
  return resigned(passing, context, { ...envelope, echo: echoHash(session.sid, place.round, told) });
}

/** Two different messages for one place, to the same receiver. */
function twoOfOne(passing: Passing, context: Context, envelope: Envelope | undefined): Sent {
  if (envelope === undefined || passing.to !== context.target) return asIs(passing);
  const other = resigned(passing, context, { ...envelope, body: flipBit(envelope.body, context.rng) });
  return [...asIs(passing), ...other];
}

function junk(passing: Passing, { rng, once }: Context): Sent {
  if (!once("junk")) return asIs(passing);
  const types = [
    FrameType.OPEN,
    FrameType.READY,
    FrameType.SESSION_REFUSED,
    FrameType.ENVELOPE,
    FrameType.DONE,
  ];
  const type = types[(rng.bytes(1)[0] as number) % types.length] as FrameType;
  const payload = rng.bytes((rng.bytes(1)[0] as number) * 4);
  return [{ frame: { type, session: passing.frame.session, payload } }, ...asIs(passing)];
}

function openSplit(passing: Passing, { world, corrupt, target, rng }: Context): Sent {
  if (passing.to !== target) return asIs(passing);
  const open = decode(openCodec, passing.frame.payload);
  const other = { ...open, nonce: rng.bytes(32) };
  const digest = openDigest(corrupt, proposalHash(open.proposal), entryOf(other));
  const signature = world.identities.get(corrupt)?.sign(digest) as Bytes;
  return [{ frame: { ...passing.frame, payload: encode(openCodec, { ...other, signature }) } }];
}

/** Opens something else with one of them. */
function openOther(passing: Passing, { world, corrupt, target }: Context): Sent {
  if (passing.to !== target) return asIs(passing);
  const open = decode(openCodec, passing.frame.payload);
  const proposal = { ...open.proposal, epoch: open.proposal.epoch + 1 };
  const digest = openDigest(corrupt, proposalHash(proposal), entryOf(open));
  const signature = world.identities.get(corrupt)?.sign(digest) as Bytes;
  return [{ frame: { ...passing.frame, payload: encode(openCodec, { ...open, proposal, signature }) } }];
}

/** Says that an honest party opened with another nonce. */
function readyLie(passing: Passing, { world, corrupt, rng }: Context): Sent {
  const ready = decode(readyCodec, passing.frame.payload);
  const entries = ready.entries.map((entry) => ({ ...entry, nonce: rng.bytes(32) }));
  const signature = world.identities.get(corrupt)?.sign(readyDigest(corrupt, ready.prop, entries)) as Bytes;
  return [{ frame: { ...passing.frame, payload: encode(readyCodec, { ...ready, entries, signature }) } }];
}

/** Ends the session with a lie about an honest party; for equivocation with envelopes that it signed itself in its name. */
function abortLie(code: string): OnFrame {
  return (passing, context, envelope) => {
    const { world, corrupt, target, once } = context;
    const session = world.sessions.get(hex(passing.frame.session)) ??
      [...world.sessions.values()].at(-1);
    const signer = world.identities.get(corrupt);
    if (session === undefined || signer === undefined || !once("abort")) return asIs(passing);
    const made = { round: 1, from: target, to: TO_ALL, echo: new Uint8Array(0) };
    const evidence = [u8(1), u8(2)].map((body) =>
      sealEnvelope(
        signer,
        session.sid,
        session.protocol,
        envelope === undefined ? { ...made, body } : {
          ...envelope,
          from: target,
          body: concat(envelope.body.slice(1), body),
        },
      )
    );
    const abort = { sid: session.sid, code, parties: [target], text: `party ${target}\u001b[2J`, evidence };
    const frame = {
      type: FrameType.ABORT,
      session: session.sid.slice(0, 16),
      payload: encode(abortCodec, abort),
    };
    return [{ frame }, ...asIs(passing)];
  };
}

/** Cuts its links, again and again. */
function flap(passing: Passing, { world, corrupt, target, once }: Context): Sent {
  if (passing.to !== target || !once("flap")) return asIs(passing);
  for (let i = 0; i < 5; i++) world.at(1 + i * 400, () => world.cut(corrupt, target, 100));
  return asIs(passing);
}

function flipBit(bytes: Bytes, rng: Rng): Bytes {
  const out = copy(bytes);
  if (out.length === 0) return out;
  const [a, b, c] = rng.bytes(3) as unknown as [number, number, number];
  const at = ((a << 8) | b) % out.length;
  out[at] = (out[at] as number) ^ (1 << (c % 8));
  return out;
}

function flipLast(bytes: Bytes): Bytes {
  const out = copy(bytes);
  out[out.length - 1] = (out.at(-1) as number) ^ 1;
  return out;
}
