/**
 * A party in a process of its own, which a test can stop, let go on, and whose clock it can set. It is told what to do on standard
 * input, one JSON value per line, and says what happened on standard output.
 *
 * @module
 */

import { partyId } from "../../src/base/brands.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { seededRng, systemRng } from "../../src/base/rng.ts";
import { systemClock } from "../../src/node/clock.ts";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import { SessionHost } from "../../src/session/host.ts";
import { makeRoster } from "../../src/session/roster.ts";
import type { TransportLimits } from "../../src/transport/limits.ts";
import { Mesh } from "../../src/transport/mesh.ts";
import { ending } from "./cluster.ts";

/** What the first line says. */
export interface PeerSetup {
  readonly self: number;
  readonly cluster: string;
  readonly names: readonly string[];
  readonly tls: { readonly certPem: string; readonly keyPem: string; readonly authoritiesPem: string };
  readonly pins: readonly (readonly [number, readonly string[]])[];
  readonly limits: Partial<TransportLimits>;
  readonly timeoutMs: number;
  /** Added to the clock from the beginning. */
  readonly clockOffsetMs: number;
}

/** What later lines say. */
export type PeerOrder = { readonly agree: readonly number[] } | { readonly clockOffsetMs: number };

if (import.meta.main) await main();

async function main(): Promise<void> {
  const lines = linesOf(Deno.stdin.readable);
  const setup = JSON.parse((await lines.next()).value as string) as PeerSetup;
  let offsetMs = setup.clockOffsetMs;
  const realNow = Date.now;
  Date.now = () => realNow() + offsetMs;
  const identities = setup.names.map((name) => ed25519Signer(seededRng(`identity ${name}`).bytes(32)));
  const roster = makeRoster(
    setup.cluster,
    setup.names.map((name, i) => ({ name, identity: identities[i]?.publicKey as Uint8Array<ArrayBuffer> })),
  );
  const self = partyId(setup.self);
  const identity = identities[setup.self - 1] as ReturnType<typeof ed25519Signer>;
  const mesh = new Mesh({
    roster,
    self,
    listen: "127.0.0.1:0",
    addressOf: () => undefined,
    tls: setup.tls,
    pins: new Map(setup.pins.map(([party, pins]) => [partyId(party), pins])),
    identity,
    rng: systemRng,
    limits: setup.limits,
    log: (event) => say({ log: event.code, peer: event.peer }),
  });
  const host = new SessionHost({
    roster,
    self,
    identity,
    links: mesh,
    clock: systemClock,
    rng: systemRng,
    journal: { write: () => {} },
    timeoutMs: setup.timeoutMs,
    command: "fault test",
    mode: "daemon",
    onEvent: ({ kind }) => say({ session: kind }),
  });
  await mesh.start();
  say({ port: mesh.port });
  for await (const line of lines) {
    const order = JSON.parse(line) as PeerOrder;
    if ("clockOffsetMs" in order) offsetMs = order.clockOffsetMs;
    else {
      const participants = order.agree.map((index) => partyId(index));
      const { result } = host.start(agreeRandom, { bits: 256, participants });
      ending(result).then((end) => say({ ending: end }));
    }
  }
  host.stop();
  await mesh.close();
}

function say(value: unknown): void {
  console.log(JSON.stringify(value));
}

/** Lines of a stream of bytes. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (
    const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  ) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() as string;
    yield* parts;
  }
}
