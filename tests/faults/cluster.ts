/**
 * Parties with sessions over meshes on loopback, and a proxy with faults between every two of them.
 *
 * @module
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import type { Ed25519Signer } from "../../src/base/crypto.ts";
import { CheaterError, type QuorateError, TransportError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { systemClock } from "../../src/node/clock.ts";
import type { CertifiedKey } from "../../src/pki/authority.ts";
import { agreeRandom, type AgreeRandomInput } from "../../src/protocols/agree_random.ts";
import type { Definition } from "../../src/protocols/protocol.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import { SessionHost } from "../../src/session/host.ts";
import type { Links } from "../../src/session/links.ts";
import type { TransportLimits } from "../../src/transport/limits.ts";
import { Mesh, type MeshEvent, type PeerStatus } from "../../src/transport/mesh.ts";
import { makeWorld, type World } from "../transport/world.ts";
import { type Fault, FaultProxy } from "./proxy.ts";

/** Links that notice faults soon: silence for 400 ms, redials at least every 300 ms. */
export const QUICK: Partial<TransportLimits> = {
  pingIntervalMs: 50,
  silenceMs: 400,
  retryMaxMs: 300,
  retryFirstMaxMs: 40,
};

/** How a cluster is set up. */
export interface ClusterOptions {
  readonly parties: number;
  readonly limits?: Partial<TransportLimits>;
  /** How long a round of a session waits. */
  readonly timeoutMs?: number;
  /** Parties of another process: they are linked, but not run here. */
  readonly elsewhere?: readonly number[];
  /** Changes what a party's sessions send and hear. */
  readonly wrap?: (party: PartyId, links: Links) => Links;
}

/** One party that runs here. */
export interface Party {
  readonly id: PartyId;
  readonly mesh: Mesh;
  readonly host: SessionHost;
  readonly log: MeshEvent[];
  readonly events: SessionEvent[];
}

/** How a session ended at one party, short enough to compare: a value, or a code and those whom it names. */
export type Ending =
  | { readonly value: string }
  | { readonly code: string; readonly names: readonly number[]; readonly cheats: boolean };

/** The ends of a session by party. */
export type Endings = ReadonlyMap<number, Ending>;

/** Parties, and the network between them. */
export class Cluster {
  readonly world: World;
  readonly parties = new Map<number, Party>();
  /** Ports of all parties; those of another process have to be set. */
  readonly ports = new Map<number, number>();
  readonly #options: ClusterOptions;
  readonly #proxies = new Map<string, FaultProxy>();

  private constructor(world: World, options: ClusterOptions) {
    this.world = world;
    this.#options = options;
  }

  /** Starts everybody, runs the test, stops everybody. */
  static async run(options: ClusterOptions, test: (cluster: Cluster) => Promise<void>): Promise<void> {
    const cluster = new Cluster(await makeWorld(options.parties), options);
    try {
      await cluster.#start();
      await test(cluster);
    } finally {
      for (const { host } of cluster.parties.values()) host.stop();
      await Promise.all([...cluster.parties.values()].map(({ mesh }) => mesh.close()));
      await Promise.all([...cluster.#proxies.values()].map((proxy) => proxy.close()));
    }
  }

  /** The party with this index. */
  party(index: number): Party {
    const found = this.parties.get(index);
    if (found === undefined) throw new Error(`party ${index} does not run here`);
    return found;
  }

  /** How the link of one party to another is, as the first one sees it. */
  status(of: number, to: number): PeerStatus {
    return this.party(of).mesh.status().find(({ peer }) => peer === to) as PeerStatus;
  }

  /** The proxy between two parties. */
  proxy(a: number, b: number): FaultProxy {
    const [low, high] = a < b ? [a, b] : [b, a];
    return this.#proxies.get(`${low} ${high}`) as FaultProxy;
  }

  /** A fault of what one party sends to another. */
  fault(from: number, to: number, fault: Fault): void {
    this.proxy(from, to).set(from < to ? "out" : "in", fault);
  }

  /** The same fault on all links between two groups, in both directions. */
  between(group: readonly number[], others: readonly number[], fault: Fault): void {
    for (const a of group) for (const b of others) if (a !== b) this.proxy(a, b).both(fault);
  }

  /** All links up, or those of some parties among themselves. */
  async linked(...indices: number[]): Promise<void> {
    const all = indices.length > 0 ? indices : [...this.ports.keys()];
    await this.until(
      "links are up",
      () =>
        all.every((a) =>
          !this.parties.has(a) || all.every((b) => a === b || this.status(a, b).state === "up")
        ),
    );
  }

  /** One agreement on randomness by these parties, each of which runs here. */
  async agree(...participants: number[]): Promise<Endings> {
    return await this.session(participants, agreeRandom);
  }

  /** A session of a protocol, which may be another one at some parties. */
  async session(
    participants: readonly number[],
    definition: Definition<AgreeRandomInput, Bytes>,
    others: Readonly<Record<number, Definition<AgreeRandomInput, Bytes>>> = {},
  ): Promise<Endings> {
    const input = { bits: 256, participants: participants.map((index) => partyId(index)) };
    const ran = participants.filter((index) => this.parties.has(index)).map(async (index) => {
      const run = this.party(index).host.start(others[index] ?? definition, input);
      return [index, await ending(run.result)] as const;
    });
    return new Map(await Promise.all(ran));
  }

  /** Waits for a condition. */
  async until(what: string, condition: () => boolean, withinMs = 15_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!condition()) {
      if (performance.now() > deadline) {
        const logs = [...this.parties].map(([index, { log }]) =>
          `${index}: ${log.slice(-8).map((e) => `${e.code} ${e.peer}`).join(", ")}`
        );
        throw new Error(`did not happen: ${what}\n${logs.join("\n")}`);
      }
      await pause(5);
    }
  }

  async #start(): Promise<void> {
    const { parties, elsewhere = [] } = this.#options;
    const indices = Array.from({ length: parties }, (_, i) => i + 1);
    for (const a of indices) {
      for (const b of indices.filter((b) => b > a)) this.#proxies.set(`${a} ${b}`, await FaultProxy.open());
    }
    for (const index of indices) if (!elsewhere.includes(index)) this.parties.set(index, this.#make(index));
    await Promise.all([...this.parties].map(async ([index, { mesh }]) => {
      await mesh.start();
      this.setPort(index, mesh.port as number);
    }));
  }

  /** Says where a party listens. */
  setPort(index: number, port: number): void {
    for (let low = 1; low < index; low++) this.proxy(low, index).target = port;
    this.ports.set(index, port);
  }

  #make(index: number): Party {
    const { limits, timeoutMs = 10_000, wrap = (_party, links) => links } = this.#options;
    const self = partyId(index);
    const { roster, leaves, identities, pins, authority } = this.world;
    const log: MeshEvent[] = [];
    const events: SessionEvent[] = [];
    const identity = identities.get(self) as Ed25519Signer;
    const mesh = new Mesh({
      roster,
      self,
      listen: "127.0.0.1:0",
      addressOf: (peer) => this.ports.has(peer) ? `127.0.0.1:${this.proxy(index, peer).port}` : undefined,
      tls: { ...leaves.get(self) as CertifiedKey, authoritiesPem: authority.certPem },
      pins,
      identity,
      rng: systemRng,
      limits: { ...QUICK, ...limits },
      log: (event) => log.push(event),
    });
    const host = new SessionHost({
      roster,
      self,
      identity,
      links: wrap(self, mesh),
      clock: systemClock,
      rng: systemRng,
      journal: { write: () => {} },
      timeoutMs,
      command: "fault test",
      mode: "daemon",
      onEvent: (event) => events.push(event),
    });
    return { id: self, mesh, host, log, events };
  }
}

/** How a session ended. */
export async function ending(result: Promise<Bytes>): Promise<Ending> {
  try {
    return { value: (await result).toHex() };
  } catch (error) {
    const cheats = error instanceof CheaterError;
    const names = cheats ? error.culprits : error instanceof TransportError ? error.parties : [];
    return { code: (error as QuorateError).code, names: [...names], cheats };
  }
}

/** Everybody has a value, and it is the same. */
export function agreed(endings: Endings): boolean {
  const values = [...endings.values()].map((end) => "value" in end ? end.value : undefined);
  return values.length > 0 && values[0] !== undefined && values.every((value) => value === values[0]);
}

/** Those whom a failed session names, ascending; undefined where there is a value. */
export function named(endings: Endings, at: number): readonly number[] | undefined {
  const end = endings.get(at);
  return end === undefined || "value" in end ? undefined : [...end.names].sort();
}

/** Nobody is called a cheater. */
export function blameless(endings: Endings): boolean {
  return [...endings.values()].every((end) => "value" in end || !end.cheats);
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
