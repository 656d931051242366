/**
 * A cluster with certificates, for tests of the transport.
 *
 * @module
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { type Ed25519Signer, ed25519Signer } from "../../src/base/crypto.ts";
import { seededRng, systemRng } from "../../src/base/rng.ts";
import { type CertifiedKey, createAuthority, issueLeaf } from "../../src/pki/authority.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { FrameType, type LinkEvent, type SessionFrame } from "../../src/session/links.ts";
import { makeRoster, type Roster } from "../../src/session/roster.ts";
import { Mesh, type MeshEvent, type MeshOptions } from "../../src/transport/mesh.ts";

/** The cluster of all tests here. */
export const CLUSTER = "demo";
const NAMES = ["alice", "bob", "carol", "dave", "erin"];

/** Everything that is the same for all parties, and every party's secrets. */
export interface World {
  readonly authority: CertifiedKey;
  readonly leaves: ReadonlyMap<PartyId, CertifiedKey>;
  readonly identities: ReadonlyMap<PartyId, Ed25519Signer>;
  readonly pins: Map<PartyId, readonly string[]>;
  readonly roster: Roster;
}

/** Makes a cluster of `n` parties. */
export async function makeWorld(n: number): Promise<World> {
  const authority = await createAuthority({ cluster: CLUSTER });
  const leaves = new Map<PartyId, CertifiedKey>();
  const identities = new Map<PartyId, Ed25519Signer>();
  for (let i = 1; i <= n; i++) {
    const party = NAMES[i - 1] as string;
    leaves.set(partyId(i), await issueLeaf({ authority, cluster: CLUSTER, party, host: "127.0.0.1" }));
    identities.set(partyId(i), ed25519Signer(seededRng(`identity ${party}`).bytes(32)));
  }
  return {
    authority,
    leaves,
    identities,
    pins: new Map([...leaves].map(([party, leaf]) => [party, [pinOf(leaf.certPem)]])),
    roster: makeRoster(
      CLUSTER,
      [...identities].map(([party, { publicKey }]) => ({
        name: NAMES[party - 1] as string,
        identity: publicKey,
      })),
    ),
  };
}

/** A mesh, what it logged and what it delivered. */
export class Node {
  readonly mesh: Mesh;
  readonly log: MeshEvent[] = [];
  readonly events: LinkEvent[] = [];
  #waiting: (() => void)[] = [];

  constructor(
    world: World,
    self: number,
    nodes: ReadonlyMap<number, Node>,
    change: Partial<MeshOptions> = {},
  ) {
    const leaf = world.leaves.get(partyId(self)) as CertifiedKey;
    this.mesh = new Mesh({
      roster: world.roster,
      self: partyId(self),
      listen: "127.0.0.1:0",
      addressOf: (peer) => {
        const port = nodes.get(peer)?.mesh.port;
        return port === undefined ? undefined : `127.0.0.1:${port}`;
      },
      tls: { ...leaf, authoritiesPem: world.authority.certPem },
      pins: world.pins,
      identity: world.identities.get(partyId(self)) as Ed25519Signer,
      rng: systemRng,
      ...change,
      log: (event) => {
        this.log.push(event);
        this.#wake();
      },
    });
    this.mesh.listen((event) => {
      this.events.push(event);
      this.#wake();
    });
  }

  /** Waits until a condition on log or events holds. */
  async until(condition: () => boolean, what = condition.toString()): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!condition()) {
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new Error(`did not happen: ${what}\n${JSON.stringify(this.log, undefined, 1)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Waits until links to these parties are up. */
  async upWith(...peers: number[]): Promise<void> {
    await this.until(() => peers.every((peer) => this.isUp(peer)), `up with ${peers}`);
  }

  /** True while the last event said so. */
  isUp(peer: number): boolean {
    return this.events.filter((e) => e.peer === peer && e.kind !== "frame").at(-1)?.kind === "up";
  }

  /** Waits for a log line with this code. */
  async logged(code: string, count = 1): Promise<MeshEvent> {
    await this.until(() => this.log.filter((event) => event.code === code).length >= count, `log ${code}`);
    return this.log.find((event) => event.code === code) as MeshEvent;
  }

  /** Frames delivered from a peer. */
  framesFrom(peer: number): SessionFrame[] {
    return this.events.flatMap((event) => event.kind === "frame" && event.peer === peer ? [event.frame] : []);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** Starts the parties, runs the test, closes all. */
export async function withNodes(
  world: World,
  parties: readonly number[],
  test: (nodes: ReadonlyMap<number, Node>) => Promise<void>,
  change: (self: number) => Partial<MeshOptions> = () => ({}),
): Promise<void> {
  const nodes = new Map<number, Node>();
  for (const self of parties) nodes.set(self, new Node(world, self, nodes, change(self)));
  try {
    await Promise.all([...nodes.values()].map((node) => node.mesh.start()));
    await test(nodes);
  } finally {
    await Promise.all([...nodes.values()].map((node) => node.mesh.close()));
  }
}

/** A frame with a text in it. */
export function frameOf(text: string, type: FrameType = FrameType.ENVELOPE): SessionFrame {
  return { type, session: SESSION, payload: utf8(text) };
}

/** A session id prefix. */
export const SESSION: Bytes = new Uint8Array(16).fill(7);
