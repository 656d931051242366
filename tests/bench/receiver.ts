/**
 * The receiving end of a link in a thread of its own, so that a benchmark does not pay for both ends on one processor.
 *
 * @module
 */

import { partyId } from "../../src/base/brands.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { makeRoster } from "../../src/session/roster.ts";
import { Mesh } from "../../src/transport/mesh.ts";
import type { Suite } from "../../src/transport/sealed_channel.ts";
import { UNLIMITED } from "./unlimited.ts";

/** What the receiver is. */
export interface ReceiverSetup {
  readonly seeds: readonly Uint8Array<ArrayBuffer>[];
  readonly tls: { readonly certPem: string; readonly keyPem: string; readonly authoritiesPem: string };
  readonly pins: readonly (readonly [number, readonly string[]])[];
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
  const mesh = new Mesh({
    roster: makeRoster(
      "bench",
      identities.map(({ publicKey }, i) => ({ name: `p${i + 1}`, identity: publicKey })),
    ),
    self: partyId(2),
    listen: "127.0.0.1:0",
    addressOf: () => undefined,
    tls,
    pins: new Map(pins.map(([party, own]) => [partyId(party), own])),
    identity: identities[1] as ReturnType<typeof ed25519Signer>,
    rng: systemRng,
    suites,
    limits: { rates: UNLIMITED },
  });
  mesh.listen((event) => {
    if (event.kind === "frame" && ++arrived === wanted) scope.postMessage({ done: true });
  });
  await mesh.start();
  scope.postMessage({ port: mesh.port });
}
