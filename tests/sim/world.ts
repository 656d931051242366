/**
 * A simulated world: virtual time, seeded randomness, links in order. Runs the real session engine of every party in one
 * process; two runs from one seed give byte-identical traces.
 */

import { type PartyId, partyId, type SessionId } from "../../src/base/brands.ts";
import { type Bytes, concat, hex, u16, u64, u8 } from "../../src/base/bytes.ts";
import { type Ed25519Signer, ed25519Signer, sha256 } from "../../src/base/crypto.ts";
import { type Rng, seededRng } from "../../src/base/rng.ts";
import type { Definition, JournalRecord } from "../../src/protocols/protocol.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import { SessionHost } from "../../src/session/host.ts";
import type { Clock, LinkEvent, Links, SessionFrame } from "../../src/session/links.ts";
import type { Mend } from "../../src/session/opening.ts";
import { makeRoster, type Roster } from "../../src/session/roster.ts";
import type { Outcome, Settled } from "../../src/session/session_types.ts";
import { Heap } from "./heap.ts";

/** A frame on its way from one party to another. */
export interface Passing {
  readonly from: PartyId;
  readonly to: PartyId;
  readonly frame: SessionFrame;
}

/** What stands between the parties: returns what is sent instead, with an extra delay. */
export type Interceptor = (
  passing: Passing,
  world: World,
) => readonly { frame: SessionFrame; delayMs?: number }[];

export interface WorldOptions {
  readonly seed: string;
  readonly parties: number;
  readonly timeoutMs?: number;
  readonly mode?: "command" | "daemon";
  readonly intercept?: Interceptor;
  /** The process of a party ends right before its k-th action (frame sent, frame received, record written). */
  readonly crash?: { readonly party: PartyId; readonly step: number };
  /** Called when a party writes a record, while its secrets are there; may throw as a full disk does. */
  readonly onRecord?: (party: PartyId, record: JournalRecord) => void;
  /** Called when a process ended at its crash step. */
  readonly onCrash?: (party: PartyId) => void;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

interface Node {
  readonly party: PartyId;
  readonly links: SimulatedLinks;
  host: SessionHost;
  alive: boolean;
  steps: number;
}

/** Thrown into a party's own code when its process ends there. */
class Crash extends Error {
  override name = "Crash";
}

export class World {
  readonly roster: Roster;
  readonly parties: readonly PartyId[];
  readonly identities: ReadonlyMap<PartyId, Ed25519Signer>;
  readonly rng: Rng;
  readonly events: { party: PartyId; event: SessionEvent }[] = [];
  readonly records: { party: PartyId; record: JournalRecord }[] = [];
  readonly closed: { by: PartyId; peer: PartyId; code: string; why: string }[] = [];
  readonly clock: Clock;
  /** Every session id that an event named, by the 16 bytes that frames have of it. */
  readonly sessions = new Map<string, { readonly sid: SessionId; readonly protocol: string }>();
  readonly #options: WorldOptions;
  readonly #nodes = new Map<PartyId, Node>();
  readonly #queue = new Heap<Entry>((a, b) => a.at - b.at || a.order - b.order);
  readonly #lastArrival = new Map<string, number>();
  readonly #cut = new Set<string>();
  #trace: Bytes = sha256();
  #now = 0;
  #order = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.rng = seededRng(options.seed);
    this.parties = Array.from({ length: options.parties }, (_, i) => partyId(i + 1));
    this.identities = new Map(
      this.parties.map((party) => [party, ed25519Signer(sha256(u8(7), u16(party)))]),
    );
    this.roster = makeRoster(
      "sim",
      this.parties.map((party) => ({
        name: NAMES[party - 1] as string,
        identity: (this.identities.get(party) as Ed25519Signer).publicKey,
      })),
    );
    this.clock = { now: () => this.#now, timer: (delayMs, callback) => this.at(delayMs, callback) };
    for (const party of this.parties) this.#boot(party);
    this.at(0, () => {
      for (const a of this.parties) for (const b of this.parties) if (a !== b) this.#up(a, b);
    });
  }

  /** SHA-256 chain over everything that was sent: equal for equal seeds. */
  get trace(): string {
    return this.#trace.toHex();
  }

  get now(): number {
    return this.#now;
  }

  host(party: PartyId): SessionHost {
    return (this.#nodes.get(party) as Node).host;
  }

  isAlive(party: PartyId): boolean {
    return (this.#nodes.get(party) as Node).alive;
  }

  /** How many actions a party has taken. */
  steps(party: PartyId): number {
    return (this.#nodes.get(party) as Node).steps;
  }

  /** Starts a session at a party; the outcome lands in the returned slot. */
  start<I, O>(
    party: PartyId,
    definition: Definition<I, O>,
    input: I,
    options: { delayMs?: number; request?: Bytes; mend?: Mend } = {},
  ): Slot<O> {
    const slot: Slot<O> = {};
    this.at(options.delayMs ?? 0, () => {
      if (!this.isAlive(party)) return;
      this.#guard(party, () => {
        this.host(party).observe(definition, input, options, {
          outcome: (outcome) => {
            slot.outcome = outcome as Slot<O>["outcome"] & object;
            slot.endedAt = this.#now;
          },
          settled: (settled) => {
            slot.settled = settled;
          },
        });
      });
    });
    return slot;
  }

  /** Runs a callback at a virtual time. */
  at(delayMs: number, run: () => void): () => void {
    const entry = { at: this.#now + delayMs, order: this.#order++, run, cancelled: false };
    this.#queue.push(entry);
    return () => {
      entry.cancelled = true;
    };
  }

  /** Runs until nothing is left to do or the time is over. */
  run(untilMs = 10 * 60_000): void {
    for (;;) {
      const entry = this.#queue.peek();
      if (entry === undefined || entry.at > untilMs) return;
      this.#queue.pop();
      if (entry.cancelled) continue;
      this.#now = entry.at;
      entry.run();
    }
  }

  /** Cuts the link of two parties, and mends it after a while. */
  cut(a: PartyId, b: PartyId, forMs: number): void {
    this.#cut.add(pairOf(a, b));
    this.#down(a, b);
    this.#down(b, a);
    this.at(forMs, () => {
      this.#cut.delete(pairOf(a, b));
      this.#up(a, b);
      this.#up(b, a);
    });
  }

  /** Ends a party's process. */
  kill(party: PartyId): void {
    const node = this.#nodes.get(party) as Node;
    node.alive = false;
    for (const peer of this.parties) if (peer !== party) this.#down(peer, party);
  }

  /** Starts a new process of a party that was killed: another boot id, nothing remembered but what was written. */
  restart(party: PartyId): void {
    this.#boot(party);
    for (const peer of this.parties) {
      if (peer === party) continue;
      this.#up(peer, party);
      this.#up(party, peer);
    }
  }

  /** Puts a frame on the wire as if `from` had sent it. */
  inject({ from, to, frame }: Passing, delayMs = 0): void {
    this.#carry({ from, to, frame }, delayMs);
  }

  send(passing: Passing): boolean {
    const node = this.#nodes.get(passing.from) as Node;
    this.#step(node);
    if (!this.#isUp(passing.from, passing.to)) return false;
    const instead = this.#options.intercept?.(passing, this) ?? [{ frame: passing.frame }];
    for (const { frame, delayMs } of instead) this.#carry({ ...passing, frame }, delayMs ?? 0);
    return true;
  }

  isUp(a: PartyId, b: PartyId): boolean {
    return this.#isUp(a, b);
  }

  bootId(party: PartyId): Bytes {
    return (this.#nodes.get(party) as Node).links.ownBootId;
  }

  noteClosed(by: PartyId, peer: PartyId, code: string, why: string): void {
    this.closed.push({ by, peer, code, why });
    if (!this.#isUp(by, peer)) return;
    this.at(0, () => this.cut(by, peer, 30));
  }

  #boot(party: PartyId): void {
    const rng = seededRng(`${this.#options.seed}/party/${party}/${this.#now}`);
    const links = new SimulatedLinks(this, party, rng.bytes(16));
    const node: Node = {
      party,
      links,
      host: undefined as never,
      alive: true,
      steps: this.#nodes.get(party)?.steps ?? 0,
    };
    this.#nodes.set(party, node);
    node.host = new SessionHost({
      roster: this.roster,
      self: party,
      identity: this.identities.get(party) as Ed25519Signer,
      links,
      clock: {
        now: () => this.#now,
        timer: (delayMs, callback) =>
          this.at(delayMs, () => this.#nodes.get(party) === node && this.#guard(party, callback)),
      },
      rng,
      journal: {
        write: (record) => {
          this.#step(node);
          this.#options.onRecord?.(party, record);
          this.records.push({ party, record });
        },
      },
      timeoutMs: this.#options.timeoutMs ?? 30_000,
      command: `sim ${NAMES[party - 1]}`,
      mode: this.#options.mode ?? "daemon",
      onEvent: (event) => {
        this.events.push({ party, event });
        if (event.sid === undefined) return;
        this.sessions.set(hex(event.sid.slice(0, 16)), { sid: event.sid, protocol: event.protocol });
      },
    });
  }

  #step(node: Node): void {
    if (!node.alive) throw new Crash();
    node.steps++;
    const crash = this.#options.crash;
    if (crash?.party !== node.party || crash.step !== node.steps) return;
    this.kill(node.party);
    this.#options.onCrash?.(node.party);
    throw new Crash();
  }

  #guard(party: PartyId, run: () => void): void {
    if (!this.isAlive(party)) return;
    try {
      run();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
  }

  #carry({ from, to, frame }: Passing, delayMs: number): void {
    this.#trace = sha256(
      this.#trace,
      u64(BigInt(Math.round(this.#now * 1000))),
      u16(from),
      u16(to),
      u8(frame.type),
      frame.session,
      frame.payload,
    );
    const latency = 1 + (this.rng.bytes(1)[0] as number) % 20 + delayMs;
    const lane = `${from}>${to}`;
    const arrival = Math.max(this.#now + latency, this.#lastArrival.get(lane) ?? 0);
    this.#lastArrival.set(lane, arrival);
    const bootIds = concat(this.bootId(from), this.bootId(to));
    this.at(arrival - this.#now, () => {
      const same = concat(this.bootId(from), this.bootId(to)).toHex() === bootIds.toHex();
      if (same && this.#isUp(from, to)) this.#deliver(to, { kind: "frame", peer: from, frame });
    });
  }

  #deliver(to: PartyId, event: LinkEvent): void {
    const node = this.#nodes.get(to) as Node;
    this.#guard(to, () => {
      if (event.kind === "frame") this.#step(node);
      node.links.receiver?.(event);
    });
  }

  #isUp(a: PartyId, b: PartyId): boolean {
    return this.isAlive(a) && this.isAlive(b) && !this.#cut.has(pairOf(a, b));
  }

  #up(at: PartyId, peer: PartyId): void {
    if (this.#isUp(at, peer)) {
      this.at(
        0,
        () => this.#isUp(at, peer) && this.#deliver(at, { kind: "up", peer, bootId: this.bootId(peer) }),
      );
    }
  }

  #down(at: PartyId, peer: PartyId): void {
    this.at(0, () => this.isAlive(at) && this.#deliver(at, { kind: "down", peer, reason: "simulated" }));
  }
}

/** Where an outcome lands. */
export interface Slot<O> {
  outcome?: { readonly ok: true; readonly value: O } | (Outcome & { readonly ok: false });
  settled?: Settled;
  endedAt?: number;
}

class SimulatedLinks implements Links {
  receiver: ((event: LinkEvent) => void) | undefined;

  constructor(readonly world: World, readonly self: PartyId, readonly ownBootId: Bytes) {}

  send(peer: PartyId, frame: SessionFrame): boolean {
    return this.world.send({ from: this.self, to: peer, frame });
  }
  bootId(peer: PartyId): Bytes | undefined {
    return this.world.isUp(this.self, peer) ? this.world.bootId(peer) : undefined;
  }
  closeLink(peer: PartyId, code: string, why: string): void {
    this.world.noteClosed(this.self, peer, code, why);
  }
  listen(receiver: (event: LinkEvent) => void): void {
    this.receiver = receiver;
  }
}

/** Names of the parties by index. */
export const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];

function pairOf(a: PartyId, b: PartyId): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
