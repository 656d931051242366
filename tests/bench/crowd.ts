/**
 * Many parties in one process, each with a mesh of its own that links with one node elsewhere: the crowd of
 * `deno task connections`. It is told what to do on standard input, one JSON value per line, and answers with one line each.
 *
 * @module
 */

import { partyId } from "../../src/base/brands.ts";
import { u32 } from "../../src/base/bytes.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { seededRng, systemRng } from "../../src/base/rng.ts";
import type { CertifiedKey } from "../../src/pki/authority.ts";
import { makeRoster, type Roster } from "../../src/session/roster.ts";
import { MessageType } from "../../src/transport/message_types.ts";
import { Transport } from "../../src/transport/transport.ts";
import { linesOf } from "../faults/peer_process.ts";

/** The cluster's name. */
export const CLUSTER = "crowd";

/** What the first line says. */
export interface CrowdSetup {
  /** All parties but the node, which has the index after the last one. */
  readonly count: number;
  /** Index of the first one in this process; there is one for each leaf. */
  readonly first: number;
  readonly port: number;
  readonly authorityPem: string;
  readonly leaves: readonly CertifiedKey[];
  readonly hubPin: string;
  readonly pins: readonly string[];
}

/** What later lines say. */
export type CrowdOrder =
  /** The first so many parties send so many messages each. */
  | { readonly kind: "send"; readonly parties: number; readonly messages: number; readonly bytes: number }
  /** So many parties ask and wait for the answer, so many times each; the times are the answer. */
  | { readonly kind: "ask"; readonly parties: number; readonly rounds: number }
  /** The first party sends without end, until it is told to stop. */
  | { readonly kind: "flood" }
  | { readonly kind: "stop-flood" };

/** The identity key of a party, the same in both processes. */
export function identityOf(index: number) {
  return ed25519Signer(seededRng(`crowd ${index}`).bytes(32));
}

/** The roster of the crowd and the node. */
export function rosterOf(count: number): Roster {
  return makeRoster(
    CLUSTER,
    Array.from(
      { length: count + 1 },
      (_, i) => ({ name: `p${i + 1}`, identity: identityOf(i + 1).publicKey }),
    ),
  );
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const lines = linesOf(Deno.stdin.readable);
  const setup = JSON.parse((await lines.next()).value as string) as CrowdSetup;
  const parties = await join(setup);
  console.log(JSON.stringify({ linked: parties.length }));
  const hub = partyId(setup.count + 1);
  let isFlooding = false;
  let flooded = Promise.resolve();
  for await (const line of lines) {
    const order = JSON.parse(line) as CrowdOrder;
    let answer: unknown = {};
    if (order.kind === "send") {
      await Promise.all(
        parties.slice(0, order.parties).map(async (party) => {
          for (let i = 0; i < order.messages; i++) {
            const payload = new Uint8Array(order.bytes);
            payload.set(u32(i));
            await party.send(hub, { type: MessageType.SIGN_ROUND_1, payload });
            if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
          }
        }),
      );
    } else if (order.kind === "ask") {
      const times = await Promise.all(
        parties.slice(0, order.parties).map((party) => ask(party, hub, order.rounds)),
      );
      answer = { times: times.flat() };
    } else if (order.kind === "flood") {
      isFlooding = true;
      flooded = flood(parties[0] as Transport, hub, () => isFlooding);
    } else {
      isFlooding = false;
      await flooded;
    }
    console.log(JSON.stringify(answer));
  }
  await Promise.all(parties.map((party) => party.stop({ drainMs: 0 })));
}

async function join(setup: CrowdSetup): Promise<Transport[]> {
  const roster = rosterOf(setup.count);
  const pins = new Map([...setup.pins, setup.hubPin].map((pin, i) => [partyId(i + 1), [pin]]));
  const hub = partyId(setup.count + 1);
  const parties = setup.leaves.map((leaf, i) =>
    new Transport({
      roster,
      self: partyId(setup.first + i),
      peers: [hub],
      listen: "127.0.0.1:0",
      addressOf: () => `127.0.0.1:${setup.port}`,
      tls: { ...leaf, authoritiesPem: setup.authorityPem },
      pins,
      identity: identityOf(setup.first + i),
      rng: systemRng,
    })
  );
  const waiting = [...parties];
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let party = waiting.shift(); party !== undefined; party = waiting.shift()) {
      await party.start();
      await party.connected([hub], 60_000);
    }
  }));
  return parties;
}

async function ask(party: Transport, hub: ReturnType<typeof partyId>, rounds: number): Promise<number[]> {
  const times: number[] = [];
  const payload = new Uint8Array(256);
  for (let i = 0; i < rounds; i++) {
    const since = performance.now();
    await party.send(hub, { type: MessageType.SIGN_ROUND_2, payload });
    await party.receive({ type: MessageType.ACK, timeoutMs: 30_000 });
    times.push(performance.now() - since);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return times;
}

async function flood(
  party: Transport,
  hub: ReturnType<typeof partyId>,
  goesOn: () => boolean,
): Promise<void> {
  const payload = new Uint8Array(256);
  for (let i = 0; goesOn(); i++) {
    await party.send(hub, { type: MessageType.SIGN_ROUND_3, payload }).catch(() => {});
    if (i % 200 === 199) await new Promise((resolve) => setImmediate(resolve));
  }
}
