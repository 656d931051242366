/**
 * The receiving end of a link in a thread of its own, so that a benchmark does not pay for both ends on one processor.
 *
 * @module
 */

import { partyId } from "../../src/base/brands.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { makeRoster } from "../../src/session/roster.ts";
import { makeCredentials } from "../../src/transport/credentials.ts";
import { FrameParser } from "../../src/transport/frame.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";
import { Mesh, type MeshMaterial } from "../../src/transport/mesh.ts";
import type { OwnIdentity } from "../../src/transport/own_identity.ts";
import type { Suite } from "../../src/transport/sealed_channel.ts";
import { TlsListener } from "../../src/transport/tls_listener.ts";
import { UNLIMITED } from "./unlimited.ts";

/** What the receiver is. */
export interface ReceiverSetup {
  readonly seeds: readonly Uint8Array<ArrayBuffer>[];
  readonly tls: { readonly certPem: string; readonly keyPem: string; readonly authoritiesPem: string };
  readonly pins: readonly (readonly [number, readonly string[]])[];
  /** Empty: frames come over TLS alone, without a link. */
  readonly suites: readonly Suite[];
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<ReceiverSetup | { readonly wanted: number }>) => void;
  postMessage(message: unknown): void;
};
let arrived = 0;
let wanted = Infinity;

scope.onmessage = ({ data }) => {
  if ("wanted" in data) {
    arrived = 0;
    wanted = data.wanted;
  } else start(data);
};

async function start({ seeds, tls, pins, suites }: ReceiverSetup): Promise<void> {
  const identities = seeds.map((seed) => ed25519Signer(seed));
  const identity: OwnIdentity = {
    roster: makeRoster(
      "bench",
      identities.map(({ publicKey }, i) => ({ name: `p${i + 1}`, identity: publicKey })),
    ),
    self: partyId(2),
    identity: identities[1] as ReturnType<typeof ed25519Signer>,
    tls,
  };
  const material = { tls, pins: new Map(pins.map(([party, own]) => [partyId(party), own])) };
  scope.postMessage({
    port: suites.length === 0
      ? await listenPlain(identity, material)
      : await listenSealed(identity, material, suites),
  });
}

async function listenSealed(
  identity: OwnIdentity,
  material: MeshMaterial,
  suites: readonly Suite[],
): Promise<number | undefined> {
  const mesh = new Mesh({
    ...identity,
    ...material,
    listen: "127.0.0.1:0",
    addressOf: () => undefined,
    rng: systemRng,
    suites,
    limits: { rates: UNLIMITED },
  });
  mesh.listen((event) => {
    if (event.kind === "frame") arrive();
  });
  await mesh.start();
  return mesh.port;
}

/** What the parts below a link take, with neither HELLO nor seal. */
async function listenPlain(identity: OwnIdentity, material: MeshMaterial): Promise<number> {
  const listener = new TlsListener({
    ...makeCredentials(identity, material),
    limits: DEFAULT_LIMITS,
    refused: () => {},
    accepted({ socket, authenticated }) {
      authenticated();
      const parser = new FrameParser(() => true);
      socket.on("data", (chunk: Uint8Array) => {
        parser.push(chunk);
        while (parser.next() !== undefined) arrive();
      });
    },
  });
  return await listener.listen("127.0.0.1", 0);
}

function arrive(): void {
  if (++arrived === wanted) scope.postMessage({ done: true });
}
