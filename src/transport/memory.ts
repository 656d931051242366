/**
 * Links inside one process, for tests and examples: the same events as the mesh, without sockets and certificates.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, copy } from "../base/bytes.ts";
import { type Rng, systemRng } from "../base/rng.ts";
import type { LinkEvent, Links, SessionFrame } from "../session/links.ts";
import { EventQueue } from "./event_queue.ts";

/** How a memory network behaves. */
export interface MemoryNetworkOptions {
  /** Runs a task soon, and not at once. Default: `queueMicrotask`. */
  readonly schedule?: (task: () => void) => void;
  /** Draws boot ids. */
  readonly rng?: Rng;
}

/** Parties that are linked in memory. All links are up at the beginning. */
export interface MemoryNetwork {
  /** The links of a party. @throws RangeError for a party that is not in the network. */
  links(party: PartyId): Links;
  /** Takes a link down, with what is on its way. */
  cut(a: PartyId, b: PartyId): void;
  /** Brings it up again; also one that {@linkcode Links.closeLink} ended. */
  restore(a: PartyId, b: PartyId): void;
  /** The party's process is another one from now on: all its links go down and come up with a new boot id. */
  restart(party: PartyId): void;
}

/**
 * Links every party with every other. Frames of one direction stay in order; the receiver gets copies.
 *
 * @example
 * ```ts
 * import { partyId } from "../base/brands.ts";
 * import { FrameType } from "../session/links.ts";
 * import { memoryNetwork } from "./memory.ts";
 *
 * const [alice, bob] = [partyId(1), partyId(2)];
 * const network = memoryNetwork([alice, bob]);
 * const arrived = Promise.withResolvers<Uint8Array>();
 * network.links(bob).listen((event) => event.kind === "frame" && arrived.resolve(event.frame.payload));
 * network.links(alice).send(bob, {
 *   type: FrameType.ENVELOPE,
 *   session: new Uint8Array(16),
 *   payload: new TextEncoder().encode("hello"),
 * });
 * if (new TextDecoder().decode(await arrived.promise) !== "hello") throw new Error("lost");
 * ```
 */
export function memoryNetwork(
  parties: readonly PartyId[],
  options: MemoryNetworkOptions = {},
): MemoryNetwork {
  const schedule = options.schedule ?? queueMicrotask;
  const rng = options.rng ?? systemRng;
  const ends = new Map(parties.map((party) => [party, new MemoryLinks(party, schedule, rng.bytes(16))]));

  function end(party: PartyId): MemoryLinks {
    const found = ends.get(party);
    if (found === undefined) throw new RangeError(`party ${party} is not in this network`);
    return found;
  }
  function restore(a: PartyId, b: PartyId): void {
    connect(end(a), end(b));
  }
  function cut(a: PartyId, b: PartyId): void {
    disconnect(end(a), end(b), "CLOSED: the link was cut");
  }

  for (const [i, a] of parties.entries()) for (const b of parties.slice(i + 1)) restore(a, b);
  return {
    links: end,
    cut,
    restore,
    restart(party) {
      const linked = parties.filter((peer) => end(party).bootId(peer) !== undefined);
      for (const peer of linked) cut(party, peer);
      end(party).ownBootId = rng.bytes(16);
      for (const peer of linked) restore(party, peer);
    },
  };
}

class MemoryLinks implements Links {
  readonly self: PartyId;
  ownBootId: Bytes;
  readonly connections = new Map<PartyId, Connection>();
  readonly events: EventQueue;
  readonly #schedule: (task: () => void) => void;

  constructor(self: PartyId, schedule: (task: () => void) => void, bootId: Bytes) {
    this.self = self;
    this.ownBootId = bootId;
    this.#schedule = schedule;
    // What a receiver throws is a bug of the test or example: it must be seen.
    this.events = new EventQueue((error) => {
      throw error;
    }, schedule);
  }

  send(peer: PartyId, frame: SessionFrame): boolean {
    const connection = this.connections.get(peer);
    if (connection === undefined) return false;
    const sent = { type: frame.type, session: copy(frame.session), payload: copy(frame.payload) };
    this.#schedule(() => {
      if (this.connections.get(peer) !== connection) return;
      connection.other(this).events.push({ kind: "frame", peer: this.self, frame: sent });
    });
    return true;
  }

  bootId(peer: PartyId): Bytes | undefined {
    return this.connections.get(peer)?.other(this).ownBootId;
  }

  closeLink(peer: PartyId, code: string, why: string): void {
    const other = this.connections.get(peer)?.other(this);
    if (other !== undefined) disconnect(this, other, `${code}: ${why}`);
  }

  listen(receiver: (event: LinkEvent) => void): void {
    this.events.listen(receiver);
  }
}

/** One life of a link: frames of a former one are not delivered. */
class Connection {
  readonly #ends: readonly [MemoryLinks, MemoryLinks];

  constructor(a: MemoryLinks, b: MemoryLinks) {
    this.#ends = [a, b];
  }

  other(self: MemoryLinks): MemoryLinks {
    return self === this.#ends[0] ? this.#ends[1] : this.#ends[0];
  }
}

function connect(a: MemoryLinks, b: MemoryLinks): void {
  if (a === b || a.connections.has(b.self)) return;
  const connection = new Connection(a, b);
  a.connections.set(b.self, connection);
  b.connections.set(a.self, connection);
  a.events.push({ kind: "up", peer: b.self, bootId: b.ownBootId });
  b.events.push({ kind: "up", peer: a.self, bootId: a.ownBootId });
}

function disconnect(a: MemoryLinks, b: MemoryLinks, reason: string): void {
  if (!a.connections.delete(b.self)) return;
  b.connections.delete(a.self);
  a.events.push({ kind: "down", peer: b.self, reason });
  b.events.push({ kind: "down", peer: a.self, reason: "CLOSED: the other end closed the link" });
}
