/**
 * Runs one lie of one party in one protocol and judges what the honest parties make of it (FAULTS.md 1: S1-S5, L1).
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { CheaterError, type QuorateError, TransportError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { type CurveName, CURVES } from "../../src/math/curve.ts";
import { envelopeHead, openEnvelope } from "../../src/session/envelope.ts";
import { RoundTable } from "../../src/session/envelope_store.ts";
import { type Evidence, verifyEvidence } from "../../src/session/evidence.ts";
import { noteFailedSigning } from "../../src/node/signers.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { FrameType } from "../../src/session/links.ts";
import {
  ADVERSARIES,
  type Attack,
  type Corpus,
  corruptDefinition,
  intercept,
  type Place,
  placesOf,
} from "./adversary.ts";
import { type Ending, LIE_NAMES, type Lies } from "./lies.ts";
import {
  makeScenario,
  type ProtocolName,
  PROTOCOLS,
  type Scenario,
  sizesOf,
  type Unit,
} from "./scenarios.ts";
import { World } from "./world.ts";

/** One run: everything that is needed to repeat it. */
export interface Plan {
  readonly protocol: ProtocolName;
  readonly parties: number;
  readonly curve: CurveName;
  /** One of the adversaries, `none`, or `crash`: the corrupt party's process ends at a step, and starts again. */
  readonly adversary: string;
  readonly corrupt: number;
  readonly target: number;
  readonly place: Place;
  /** For `crash`: before which action. */
  readonly step: number;
  readonly seed: string;
}

/** What came of it. */
export interface Verdict {
  /** Honest sessions that have a result, and that ended with an error. */
  readonly finished: number;
  readonly aborted: number;
  /** Whether an honest party named the corrupt one. */
  readonly named: boolean;
  /** How many honest parties would not sign with the corrupt one any more. */
  readonly bans: number;
  /** In words; empty where everything holds. */
  readonly violations: readonly string[];
  readonly trace: string;
}

/** Which plans are wanted. */
export interface Filter {
  readonly protocol?: ProtocolName;
  readonly parties?: number;
  readonly adversary?: string;
}

export const ADVERSARY_NAMES: readonly string[] = [
  "none",
  "crash",
  ...Object.keys(ADVERSARIES),
  ...LIE_NAMES,
];

/** A random plan. */
export function randomPlan(seed: number, filter: Filter = {}): Plan {
  const rng = seededRng(`plan/${seed}`);
  const pick = <T>(of: readonly T[]): T => of[numberBelow(of.length)] as T;
  const protocol = filter.protocol ?? pick(WEIGHTED);
  const sizes = sizesOf(protocol);
  const parties = filter.parties !== undefined && sizes.includes(filter.parties)
    ? filter.parties
    : pick(sizes);
  const curve: CurveName = numberBelow(4) === 0 ? "p256" : "secp256k1";
  for (;;) {
    const adversary = filter.adversary ?? pick(ADVERSARY_NAMES);
    const places = placesFor(protocol, parties, adversary);
    if (places.length === 0) {
      if (filter.adversary !== undefined) {
        return { ...planOf(protocol, parties, "none", ANY), seed: `${seed}` };
      }
      continue;
    }
    const corrupt = 1 + numberBelow(parties);
    const target = 1 + (corrupt - 1 + 1 + numberBelow(parties - 1)) % parties;
    const step = 1 + numberBelow(adversary === "crash" ? honestRun(protocol, parties, "secp256k1").steps : 1);
    const place = pick(places);
    return { protocol, parties, curve, adversary, corrupt, target, place, step, seed: `${seed}` };
  }

  function numberBelow(limit: number): number {
    const [a, b] = rng.bytes(2) as unknown as [number, number];
    return ((a << 8) | b) % limit;
  }
}

/** Every adversary in every place of every protocol; a crash at every `stepsEvery`-th step. */
export function* everyPlan(filter: Filter = {}, stepsEvery = 1): Generator<Plan> {
  for (const protocol of PROTOCOLS) {
    if ((filter.protocol ?? protocol) !== protocol) continue;
    for (const parties of sizesOf(protocol)) {
      if ((filter.parties ?? parties) !== parties) continue;
      for (const adversary of ADVERSARY_NAMES) {
        if ((filter.adversary ?? adversary) !== adversary) continue;
        for (const [k, place] of placesFor(protocol, parties, adversary).entries()) {
          const corrupt = 1 + k % parties;
          const plan = {
            ...planOf(protocol, parties, adversary, place),
            corrupt,
            target: 1 + corrupt % parties,
          };
          if (adversary !== "crash") yield plan;
          else {
            for (let step = 1; step <= honestRun(protocol, parties, "secp256k1").steps; step += stepsEvery) {
              yield { ...plan, step, corrupt: 1 + step % parties };
            }
          }
        }
      }
    }
  }
}

/** A plan as one word of a command line. */
export function formatPlan(plan: Plan): string {
  const { protocol, parties, curve, adversary, corrupt, target, place, step, seed } = plan;
  return [protocol, parties, curve, adversary, corrupt, target, `${place.kind}:${place.round}`, step, seed]
    .join("/");
}

/** Reads what {@linkcode formatPlan} wrote. */
export function parsePlan(text: string): Plan {
  const [protocol, parties, curve, adversary, corrupt, target, place, step, ...seed] = text.split("/");
  const [kind, round] = (place ?? "").split(":");
  return {
    protocol: protocol as ProtocolName,
    parties: Number(parties),
    curve: curve as CurveName,
    adversary: adversary ?? "none",
    corrupt: Number(corrupt),
    target: Number(target),
    place: { kind: kind as Place["kind"], round: Number(round) },
    step: Number(step),
    seed: seed.join("/"),
  };
}

/** Runs a plan and judges it. */
export function execute(plan: Plan): Verdict {
  return plan.adversary === "crash" ? executeCrash(plan) : executeAttack(plan);
}

function executeAttack(plan: Plan): Verdict {
  const honestly = plan.adversary === "none";
  const corrupt = partyId(plan.corrupt);
  const faulty = honestly ? undefined : corrupt;
  const scenario = makeScenario(
    plan.protocol,
    plan.parties,
    CURVES[plan.curve],
    faulty === undefined ? {} : { faulty },
  );
  let told = false;
  const attack: Attack = {
    adversary: plan.adversary,
    corrupt,
    target: partyId(plan.target),
    place: plan.place,
    note: () => {
      told = true;
    },
  };
  const corpus = honestly ? new Map() : honestRun(plan.protocol, plan.parties, plan.curve).corpus;
  const lies = seededRng(`lies/${plan.seed}`);
  let isOver = honestly;
  const lie = intercept(attack, scenario.rounds, lies, corpus);
  const world = new World({
    seed: plan.seed,
    parties: plan.parties,
    timeoutMs: TIMEOUT_MS,
    onRecord: (party, record) => scenario.record(party, record),
    intercept: (passing, inWorld) => isOver ? [{ frame: passing.frame }] : lie(passing, inWorld),
  });
  const units = startAll(
    world,
    scenario,
    (party) => party === faulty ? corruptDefinition(attack, lies, corpus, scenario.lies) : undefined,
  );
  world.run(TEN_MINUTES);
  const honest = units.filter(({ party }) => party !== faulty);
  const judged = judge({ plan, scenario, world, units: honest, faulty, startedAt: 0, told });
  const trace = world.trace;
  isOver = true;
  const violations = [...judged.violations, ...(honestly ? [] : runAgain(plan, scenario, world, faulty))];
  return { ...judged, violations, trace };
}

/** The same command again, by everybody, with what is stored by now: it must come to its end. */
function runAgain(
  plan: Plan,
  scenario: Scenario,
  world: World,
  faulty: PartyId | undefined,
): string[] {
  if (scenario.again?.isDue() !== true) return [];
  const startedAt = world.now;
  const units = startAll(world, scenario);
  world.run(startedAt + TEN_MINUTES);
  const honestly = { ...plan, adversary: "none" };
  const { violations } = judge({ plan: honestly, scenario, world, units, faulty, startedAt, told: false });
  const fault = scenario.again.fault();
  return [...violations, ...(fault === undefined ? [] : [fault])].map((violation) =>
    `run again: ${violation}`
  );
}

function executeCrash(plan: Plan): Verdict {
  const scenario = makeScenario(plan.protocol, plan.parties, CURVES[plan.curve]);
  const crashed = partyId(plan.corrupt);
  const world: World = new World({
    seed: plan.seed,
    parties: plan.parties,
    timeoutMs: TIMEOUT_MS,
    crash: { party: crashed, step: plan.step },
    onRecord: (party, record) => scenario.record(party, record),
    onCrash: (party) => world.at(plan.step % 2 === 0 ? 3_000 : 150_000, () => world.restart(party)),
  });
  const units = startAll(world, scenario);
  world.run(200_000);
  const others = units.filter(({ party }) => party !== crashed);
  const judged = judge({ plan, scenario, world, units: others, faulty: crashed, startedAt: 0, told: true });
  const violations = [...judged.violations];
  const half = scenario.halfDone(world.parties);
  if (half !== undefined) violations.push(`after the crash: ${half}`);
  if (scenario.again !== undefined) {
    violations.push(...runAgain(plan, scenario, world, undefined));
    return { ...judged, violations, trace: world.trace };
  }
  // The same command again, at every party.
  const startedAt = world.now;
  const again = startAll(world, scenario);
  world.run(TEN_MINUTES);
  const honestly = { ...plan, adversary: "none" };
  const second = judge({
    plan: honestly,
    scenario,
    world,
    units: again,
    faulty: undefined,
    startedAt,
    told: false,
  });
  for (const violation of second.violations) violations.push(`run again: ${violation}`);
  return { ...judged, violations, trace: world.trace };
}

const NO_KEY: Bytes = new Uint8Array(32);

function startAll(
  world: World,
  scenario: Scenario,
  wrapFor: (party: PartyId) => Parameters<Scenario["start"]>[2] = () => undefined,
): Unit[] {
  const jitter = world.rng.bytes(world.parties.length);
  return world.parties.flatMap((party, k) => scenario.start(world, party, wrapFor(party), jitter[k]));
}

function judge(
  { plan, scenario, world, units, faulty, startedAt, told }: {
    readonly plan: Plan;
    readonly scenario: Scenario;
    readonly world: World;
    readonly units: readonly Unit[];
    readonly faulty: PartyId | undefined;
    readonly startedAt: number;
    /** Whether anything was said that an honest party would not have said. */
    readonly told: boolean;
  },
): Omit<Verdict, "trace"> {
  const violations: string[] = [];
  const bound = startedAt + TIMEOUT_MS * (scenario.rounds.length + SessionLimits.extraRounds) + GRACE_MS;
  const isFaulty = (party: number) => party === faulty;
  let finished = 0, aborted = 0, named = false, bans = 0;
  const groups = Map.groupBy(units, (unit) => unit.participants.join());
  for (const group of groups.values()) {
    const values: unknown[] = [];
    const failures: {
      readonly unit: Unit;
      readonly error: QuorateError;
      readonly evidence: readonly Evidence[];
    }[] = [];
    for (const unit of group) {
      const { outcome, endedAt } = unit.slot;
      if (outcome === undefined) {
        violations.push(`L1: party ${unit.party} never ended`);
        continue;
      }
      if ((endedAt ?? 0) > bound) violations.push(`L1: party ${unit.party} ended after ${endedAt} ms`);
      if (outcome.ok) {
        values.push(outcome.value);
        continue;
      }
      const { error, evidence } = outcome;
      const cause = error.code === "OUTCOME_UNKNOWN" ? error.cause as QuorateError : error;
      failures.push({ unit, error: cause, evidence });
      const hasLeft = (party: number) =>
        group.some(({ party: other, slot }) =>
          other === party && slot.outcome?.ok === false && (slot.endedAt ?? 0) < (endedAt ?? 0)
        );
      violations.push(...faultsOf(unit, cause, evidence, world, isFaulty, hasLeft));
      named ||= namesFaulty(cause, isFaulty);
      const banned = bannedAfter(plan, unit, error);
      if (banned.length > 0) bans++;
      if (!banned.every(isFaulty)) {
        violations.push(`S4: party ${unit.party} bans ${banned}: ${error.message}`);
      }
    }
    finished += values.length;
    aborted += failures.length;
    const fault = scenario.fault(values);
    if (fault !== undefined) violations.push(`S1/S2: ${fault}`);
    const participants = group[0]?.participants ?? [];
    const met = expectation(plan, scenario, participants, told);
    if (met !== undefined && !met.holds(failures.map(({ error }) => error), values.length)) {
      const got = failures.map(({ unit, error }) => `${unit.party}: ${error.code} ${error.message}`).join(
        "; ",
      );
      violations.push(`expected: ${met.what}; got ${values.length} results, ${got}`);
    }
  }
  violations.push(...aftermath(world, scenario, faulty));
  return { finished, aborted, named, bans, violations };
}

/** With whom a party signs nothing any more after such an end of a signature. */
function bannedAfter({ protocol }: Plan, { participants: signers }: Unit, error: QuorateError): number[] {
  if (!protocol.endsWith("-sign")) return [];
  const banned: number[] = [];
  const store = {
    signersFailed: () => {},
    banSigner: ({ party }: { readonly party: number }) => void banned.push(party),
  };
  noteFailedSigning(store, { keyId: NO_KEY, epoch: 0, signers }, error);
  return banned;
}

/** What an honest party must never say. */
function faultsOf(
  { party }: Unit,
  error: QuorateError,
  evidence: readonly Evidence[],
  world: World,
  isFaulty: (party: number) => boolean,
  hasLeft: (party: number) => boolean,
): string[] {
  const faults: string[] = [];
  const say = (what: string) => faults.push(`${what} at party ${party}: ${error.code} ${error.message}`);
  if (error.code === "INVARIANT") say("L1: an exception");
  if (/\p{C}/u.test(error.message)) say("a control character");
  if (error instanceof CheaterError) {
    if (!error.culprits.every(isFaulty)) say("S4: an honest party is blamed");
    for (const culprit of error.culprits) {
      if (!evidence.some((item) => item.culprit === culprit)) say("S4: blame without evidence");
    }
  }
  const names = ["TIMEOUT", "LINK_FLAP", "PEER_RESTARTED", "ROUND0_SPLIT"].includes(error.code);
  // Who comes to round 0 after the others have left it, for what they saw there, rightly says that they do not answer.
  const isLate = error.code === "TIMEOUT" && error.message.includes("before the first round");
  const mayBeNamed = (party: number) => isFaulty(party) || (isLate && hasLeft(party));
  if (names && error instanceof TransportError && !error.parties.every(mayBeNamed)) {
    say("S4: an honest party is named");
  }
  for (const item of evidence) {
    if (!isFaulty(item.culprit)) say("S4: evidence against an honest party");
    if (!verifyEvidence(item, world.roster)) say("S4: evidence that does not verify");
  }
  return faults;
}

function aftermath(world: World, scenario: Scenario, faulty: PartyId | undefined): string[] {
  const violations: string[] = [];
  const honest = world.parties.filter((party) => party !== faulty);
  for (const { by, peer, why } of world.closed) {
    if (by !== faulty && peer !== faulty) violations.push(`${by} closed the link with ${peer}: ${why}`);
  }
  for (const party of honest) {
    if (world.host(party).size > 0) violations.push(`party ${party} still holds sessions`);
  }
  const half = scenario.halfDone(honest);
  if (half !== undefined) violations.push(half);
  return violations;
}

interface Expectation {
  readonly what: string;
  holds(errors: readonly QuorateError[], results: number): boolean;
}

/** What SPEC and WIRE.md promise of this lie, where they promise something. */
function expectation(
  plan: Plan,
  scenario: Scenario,
  participants: readonly PartyId[],
  told: boolean,
): Expectation | undefined {
  const { adversary, corrupt, target, place, parties, protocol } = plan;
  const isIt = (party: number) => party === corrupt;
  const finish: Expectation = { what: "all finish", holds: (errors) => errors.length === 0 };
  const fail: Expectation = { what: "somebody ends without a result", holds: (errors) => errors.length > 0 };
  const absent: Expectation = {
    what: "the one who is missing is named",
    holds: (errors) =>
      errors.some((e) => e instanceof TransportError && ABSENCE.has(e.code) && e.parties.some(isIt)),
  };
  const culprit: Expectation = {
    what: "the culprit is named",
    holds: (errors) => errors.some((e) => e instanceof CheaterError && e.culprits.some(isIt)),
  };
  if (adversary === "crash") return undefined;
  const lie = (scenario.lies as Readonly<Record<string, Lies[keyof Lies]>> | undefined)?.[adversary];
  if (lie !== undefined) {
    const endings: Readonly<Record<Ending, Expectation | undefined>> = {
      culprit,
      fail,
      finish,
      any: undefined,
    };
    return told ? endings[lie.ends] : finish;
  }
  const others = participants.filter((party) => party !== corrupt);
  const isHit = adversary === "drop-half"
    ? others.some((party) => (party - target) % 2 === 0)
    : !TO_ONE.has(adversary) || others.some((party) => party === target);
  const isThere = participants.some((party) => party === corrupt);
  if (!isThere || !isHit || !told) return finish;
  const hit = TO_ONE.has(adversary) ? [partyId(target)] : others;
  if (CHANGES.has(adversary) && scenario.isChecked?.(place, partyId(corrupt), hit) === false) {
    return undefined;
  }
  const table = new RoundTable(scenario.rounds);
  const isEchoed = place.kind === "broadcast" && table.echoed.includes(place.round);
  const isLast = place.round === scenario.rounds.at(-1)?.number;
  const exact = EXACT.has(protocol);
  switch (adversary) {
    case "none":
    case "late":
    case "duplicate":
    case "reorder":
    case "replay-session":
    case "impersonate":
    case "wrong-receiver":
    case "wrong-round":
    case "junk":
      return finish;
    case "drop-all":
    case "drop-one":
    case "drop-half":
    case "too-late":
    case "unsigned":
    case "oversize":
    case "open-other":
    case "ready-lie":
      return absent;
    case "truncate":
    case "empty":
      return culprit;
    case "flip":
    case "zeros":
    case "ones":
    case "other":
      return exact ? culprit : protocol === "agree-nonce" ? finish : fail;
    case "equivocate-late":
      return culprit;
    case "equivocate":
    case "flip-one":
      if (isEchoed) return parties > 2 ? culprit : fail;
      return exact ? culprit : fail;
    case "two-of-one":
      return isLast ? undefined : culprit;
    case "echo-lie":
    case "replay-round":
    case "open-split":
      return fail;
    default:
      return undefined;
  }
}

function namesFaulty(error: QuorateError, isFaulty: (party: number) => boolean): boolean {
  if (error instanceof CheaterError) return error.culprits.some(isFaulty);
  return error instanceof TransportError && error.code !== "PEER_ABORTED" && error.parties.some(isFaulty);
}

function placesFor(protocol: ProtocolName, parties: number, adversary: string): Place[] {
  if (adversary === "none" || adversary === "crash") return [ANY];
  const { rounds, lies = {} } = shapeOf(protocol, parties);
  const lie = (lies as Readonly<Record<string, Lies[keyof Lies]>>)[adversary];
  return lie === undefined ? placesOf(rounds, adversary, parties) : [lie.place];
}

const shapes = new Map<string, Pick<Scenario, "rounds" | "lies">>();

/** The rounds and the lies of a protocol are the same in every run. */
function shapeOf(protocol: ProtocolName, parties: number): Pick<Scenario, "rounds" | "lies"> {
  const key = `${protocol}/${parties}`;
  const shape = shapes.get(key) ?? makeScenario(protocol, parties, CURVES.secp256k1);
  shapes.set(key, shape);
  return shape;
}

function planOf(protocol: ProtocolName, parties: number, adversary: string, place: Place): Plan {
  return {
    protocol,
    parties,
    curve: "secp256k1",
    adversary,
    corrupt: 1,
    target: 2,
    place,
    step: 1,
    seed: "every",
  };
}

const honestRuns = new Map<string, { readonly corpus: Corpus; readonly steps: number }>();

/** What an honest session looks like, of the epoch before where there is one: for replays, and for how many steps there are to crash at. */
function honestRun(
  protocol: ProtocolName,
  parties: number,
  curve: CurveName,
): { readonly corpus: Corpus; readonly steps: number } {
  const key = `${protocol}/${parties}/${curve}`;
  const known = honestRuns.get(key);
  if (known !== undefined) return known;
  const corpus = new Map<string, Bytes>();
  const scenario = makeScenario(protocol, parties, CURVES[curve], { earlier: true });
  const table = new RoundTable(scenario.rounds);
  const world = new World({
    seed: "corpus",
    parties,
    timeoutMs: TIMEOUT_MS,
    intercept: ({ frame }) => {
      if (frame.type === FrameType.ENVELOPE) {
        const { from, round, to } = envelopeHead(frame.payload);
        corpus.set(`${from}/${round}/${to}`, frame.payload);
        const { body } = openEnvelope(frame.payload, table.place(round, to)?.echoOf !== undefined);
        corpus.set(`${from}/${round}/${to}/body`, body);
      }
      return [{ frame }];
    },
  });
  startAll(world, scenario);
  world.run(TEN_MINUTES);
  const made = { corpus, steps: Math.max(...world.parties.map((party) => world.steps(party))) };
  honestRuns.set(key, made);
  return made;
}

/** A pair set-up takes as long as ten of the others. */
const WEIGHTED: readonly ProtocolName[] = PROTOCOLS.flatMap((protocol) =>
  protocol === "pair" ? [protocol] : [protocol, protocol, protocol]
);
const TIMEOUT_MS = 10_000;
const TEN_MINUTES = 600_000;
/** What a dispute, a last word and a round trip may add. */
const GRACE_MS = SessionLimits.echoDisputeMs + SessionLimits.lastWordMs + 2_000;
const ANY: Place = { kind: "open", round: 0 };
/** Where every byte that is sent is checked, and a wrong one names its sender. */
const EXACT: ReadonlySet<ProtocolName> = new Set([
  "agree-random",
  "dkg",
  "refresh",
  "reshare",
  "repair",
  "frost-dkg",
  "frost-refresh",
  "frost-repair",
]);
/** What is said is another thing, and not only sent at another time or not at all. */
const CHANGES: ReadonlySet<string> = new Set([
  "flip",
  "zeros",
  "ones",
  "other",
  "flip-one",
  "equivocate",
  "replay-round",
]);
const ABSENCE: ReadonlySet<string> = new Set(["TIMEOUT", "LINK_FLAP"]);
const TO_ONE: ReadonlySet<string> = new Set([
  "drop-one",
  "equivocate",
  "equivocate-late",
  "flip-one",
  "two-of-one",
  "echo-lie",
  "open-split",
  "open-other",
  "flap",
]);
