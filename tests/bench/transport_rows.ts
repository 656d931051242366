/**
 * Benchmarks of the transport: frames, MACs, and one link whose two ends have a thread each.
 *
 * @module
 */

import { partyId } from "../../src/base/brands.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { createAuthority, issueLeaf } from "../../src/pki/authority.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { makeRoster } from "../../src/session/roster.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { makeCredentials } from "../../src/transport/credentials.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";
import { dial } from "../../src/transport/tls_dialler.ts";
import { encodePlainFrame, FrameParser } from "../../src/transport/frame.ts";
import { MessageType } from "../../src/transport/message_types.ts";
import { SealedChannel, type Suite } from "../../src/transport/sealed_channel.ts";
import { Transport } from "../../src/transport/transport.ts";
import type { ReceiverSetup } from "./receiver.ts";
import type { BenchRow } from "./row.ts";
import { UNLIMITED } from "./unlimited.ts";

const PER_SAMPLE = 1_000;
const IN_FLIGHT_BYTES_MAX = 1 << 20;
const SESSION = new Uint8Array(16);
const FIELDS = { type: MessageType.SIGN_ROUND_1, from: 1, to: 2, timestamp: 0, session: SESSION };

/** Repeats something that is too fast to time alone. */
function fast(name: string, prepare: () => () => unknown): BenchRow {
  return {
    name,
    kind: "time",
    per: PER_SAMPLE,
    samples: 60,
    prepare() {
      const once = prepare();
      return () => {
        for (let i = 0; i < PER_SAMPLE; i++) once();
      };
    },
  };
}

function channels(suite: Suite): readonly [SealedChannel, SealedChannel] {
  const masterKey = systemRng.bytes(32), sessionId = systemRng.bytes(32);
  const make = (role: "dialler" | "listener") =>
    SealedChannel.fromMasterKey(masterKey, { suite, role, sessionId });
  return [make("dialler"), make("listener")];
}

function aesRow(name: string, opens: boolean): BenchRow {
  return fast(name, () => {
    const [alice, bob] = channels(1);
    const payload = systemRng.bytes(256);
    if (!opens) return () => alice.encrypt(payload);
    const sealed = Array.from({ length: PER_SAMPLE * 75 }, () => alice.encrypt(payload));
    let at = 0;
    return () => bob.decrypt(sealed[at++] as Uint8Array);
  });
}

/** Sends as many messages of as many bytes, and waits until the other thread has them all. @returns seconds. */
type Send = (size: number, count: number) => Promise<number>;

/** What the two ends are made of: this thread's, and the other thread with its port. */
async function ends(suites: readonly Suite[]) {
  const names = ["p1", "p2"];
  const authority = await createAuthority({ cluster: "bench" });
  const leaves = await Promise.all(
    names.map((party) => issueLeaf({ authority, cluster: "bench", party, host: "127.0.0.1" })),
  ) as [Awaited<ReturnType<typeof issueLeaf>>, Awaited<ReturnType<typeof issueLeaf>>];
  const seeds = names.map(() => systemRng.bytes(32));
  const identities = seeds.map((seed) => ed25519Signer(seed));
  const pins = leaves.map((leaf, i) => [i + 1, [pinOf(leaf.certPem)]] as const);
  const worker = new Worker(new URL("./receiver.ts", import.meta.url), { type: "module" });
  const answer = () =>
    new Promise<{ port?: number }>((resolve) => worker.onmessage = ({ data }) => resolve(data));
  const started = answer();
  worker.postMessage(
    {
      seeds,
      tls: { ...leaves[1], authoritiesPem: authority.certPem },
      pins,
      suites,
    } satisfies ReceiverSetup,
  );
  const { port } = await started;
  const timed = (send: (payload: Bytes, i: number) => Promise<void>): Send => async (size, count) => {
    const payload = systemRng.bytes(size);
    const done = answer();
    worker.postMessage({ wanted: count });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const startedAt = performance.now();
    for (let i = 0; i < count; i++) {
      await send(payload, i);
      // Whoever sends only, and never waits, starves the socket.
      if (i % 256 === 255) await new Promise((resolve) => setImmediate(resolve));
    }
    await done;
    return (performance.now() - startedAt) / 1000;
  };
  const own = {
    roster: makeRoster(
      "bench",
      identities.map(({ publicKey }, i) => ({ name: names[i] as string, identity: publicKey })),
    ),
    self: partyId(1),
    tls: { ...leaves[0], authoritiesPem: authority.certPem },
    pins: new Map(pins.map(([party, pinned]) => [partyId(party), pinned])),
    identity: identities[0] as ReturnType<typeof ed25519Signer>,
  };
  return { own, port: port as number, timed };
}

/** Messages from this thread to another one, over mutual TLS and sealed. */
async function sealedSender(suite: Suite): Promise<Send> {
  const { own, port, timed } = await ends([suite]);
  const transport = new Transport({
    ...own,
    listen: "127.0.0.1:0",
    addressOf: () => `127.0.0.1:${port}`,
    rng: systemRng,
    suites: [suite],
    limits: { rates: UNLIMITED },
  });
  await transport.start();
  await transport.connected();
  return timed((payload) => transport.send(partyId(2), { type: MessageType.SIGN_ROUND_1, payload }));
}

/** The same frames over mutual TLS alone: what sealing costs is the difference. */
async function plainSender(): Promise<Send> {
  const { own, port, timed } = await ends([]);
  const { material, policy } = makeCredentials(own, own);
  const { socket } = await dial({ host: "127.0.0.1", port, material, limits: DEFAULT_LIMITS }, () => policy);
  let sequence = 0;
  return timed(async (payload) => {
    const frame = encodePlainFrame({ ...FIELDS, sequence: sequence++ }, payload);
    socket.write(frame);
    while (socket.writableLength > IN_FLIGHT_BYTES_MAX) {
      await new Promise((resolve) => socket.once("drain", resolve));
    }
  });
}

function linkRow(
  row: { name: string; unit?: string },
  options: { readonly sender: () => Promise<Send>; readonly size: number; readonly count: number },
): BenchRow {
  const { sender, size, count } = options;
  return {
    ...row,
    kind: "rate",
    samples: 5,
    async prepare() {
      const send = await sender();
      return async () => (row.unit === undefined ? count : count * size / 1e6) / await send(size, count);
    },
  };
}

/** The rows of this file. */
export const transportRows: readonly BenchRow[] = [
  fast("frame/serialise-256", () => {
    const payload = systemRng.bytes(256);
    let sequence = 0;
    return () => encodePlainFrame({ ...FIELDS, sequence: sequence++ }, payload);
  }),
  fast("frame/deserialise-256", () => {
    const frame = encodePlainFrame({ ...FIELDS, sequence: 1 }, systemRng.bytes(256));
    const parser = new FrameParser(() => true);
    return () => {
      parser.push(frame);
      parser.next();
    };
  }),
  aesRow("channel/encrypt-256/aes-gcm", false),
  aesRow("channel/decrypt-256/aes-gcm", true),
  fast("channel/hmac-256", () => {
    const [alice] = channels(2);
    const data = systemRng.bytes(256);
    return () => alice.computeMac(data);
  }),
  linkRow(
    { name: "link/sealed-256/two-threads" },
    { sender: () => sealedSender(2), size: 256, count: 40_000 },
  ),
  linkRow(
    { name: "link/sealed-256/two-threads/aes-gcm" },
    { sender: () => sealedSender(1), size: 256, count: 40_000 },
  ),
  linkRow(
    { name: "link/sealed-64k", unit: "MB/s" },
    { sender: () => sealedSender(2), size: 65_536, count: 3_000 },
  ),
  linkRow(
    { name: "link/sealed-64k/aes-gcm", unit: "MB/s" },
    { sender: () => sealedSender(1), size: 65_536, count: 1_500 },
  ),
  linkRow(
    { name: "link/unsealed-64k", unit: "MB/s" },
    { sender: plainSender, size: 65_536, count: 3_000 },
  ),
];
