/**
 * Benchmarks of sessions and links: agree-random with all that surrounds it, frames, and one link over mutual TLS.
 *
 * @module
 */

import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Ed25519Signer, ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { systemClock } from "../../src/node/clock.ts";
import { createAuthority, issueLeaf } from "../../src/pki/authority.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import { SessionHost } from "../../src/session/host.ts";
import { FrameType, type LinkEvent, type Links } from "../../src/session/links.ts";
import { makeRoster, type Roster } from "../../src/session/roster.ts";
import { type FrameFields, FrameParser, type RawFrame } from "../../src/transport/frame.ts";
import { memoryNetwork } from "../../src/transport/memory.ts";
import { Mesh } from "../../src/transport/mesh.ts";
import { SealedChannel, type Suite } from "../../src/transport/sealed_channel.ts";
import type { BenchRow } from "./row.ts";
import { UNLIMITED } from "./unlimited.ts";

const NAMES = ["alice", "bob", "carol"];
const PARTIES: readonly PartyId[] = NAMES.map((_, i) => partyId(i + 1));
const NO_SESSION = new Uint8Array(16);

interface Cast {
  readonly roster: Roster;
  readonly signers: ReadonlyMap<PartyId, Ed25519Signer>;
}

function cast(): Cast {
  const signers = new Map(PARTIES.map((party) => [party, ed25519Signer(systemRng.bytes(32))]));
  const identities = [...signers.values()].map((signer, i) => ({
    name: NAMES[i] as string,
    identity: signer.publicKey,
  }));
  return { roster: makeRoster("bench", identities), signers };
}

/** One agree-random after another over links that are up: envelopes, READY and confirmation included. */
function agreeing({ roster, signers }: Cast, links: (party: PartyId) => Links): () => Promise<void> {
  const hosts = PARTIES.map((self) =>
    new SessionHost({
      roster,
      self,
      identity: signers.get(self) as Ed25519Signer,
      links: links(self),
      clock: systemClock,
      rng: systemRng,
      journal: { write: () => {} },
      timeoutMs: 30_000,
      command: "bench",
      mode: "daemon",
    })
  );
  const input = { bits: 256, participants: PARTIES };
  return async () => {
    const request = systemRng.bytes(32);
    const sessions = hosts.map((host) => host.start(agreeRandom, input, { request }));
    await Promise.all(sessions.map((session) => session.result));
  };
}

/** What the parties show, and who signed it. */
async function certificatesFor({ roster }: Cast) {
  const authority = await createAuthority({ cluster: "bench", rng: systemRng });
  const leaves = new Map(
    await Promise.all(
      roster.parties.map(async ({ index, name }) =>
        [
          index,
          await issueLeaf({ authority, cluster: "bench", party: name, host: "127.0.0.1", rng: systemRng }),
        ] as const
      ),
    ),
  );
  return { authority, leaves };
}

/** Three meshes on loopback, linked. */
async function meshes(
  everybody: Cast,
  certificates?: Awaited<ReturnType<typeof certificatesFor>>,
): Promise<Map<PartyId, Mesh>> {
  const { roster, signers } = everybody;
  const { authority, leaves } = certificates ?? await certificatesFor(everybody);
  const pins = new Map([...leaves].map(([party, leaf]) => [party, [pinOf(leaf.certPem)]] as const));
  const made = new Map<PartyId, Mesh>();
  for (const party of [...PARTIES].reverse()) {
    const leaf = leaves.get(party) as { readonly certPem: string; readonly keyPem: string };
    const mesh = new Mesh({
      roster,
      self: party,
      listen: "127.0.0.1:0",
      addressOf: (peer) => made.get(peer) === undefined ? undefined : `127.0.0.1:${made.get(peer)?.port}`,
      tls: { certPem: leaf.certPem, keyPem: leaf.keyPem, authoritiesPem: authority.certPem },
      pins,
      identity: signers.get(party) as Ed25519Signer,
      rng: systemRng,
      limits: { rates: UNLIMITED },
    });
    made.set(party, mesh);
    await mesh.start();
  }
  const up = () => [...made.values()].every((mesh) => mesh.status().every((peer) => peer.state === "up"));
  while (!up()) await new Promise((resolve) => setTimeout(resolve, 5));
  return made;
}

const FIELDS: Omit<FrameFields, "sequence"> = {
  type: FrameType.ENVELOPE,
  from: 1,
  to: 2,
  timestamp: 0,
  session: NO_SESSION,
};

function channels(suite: Suite): { readonly sender: SealedChannel; readonly receiver: SealedChannel } {
  const prk = systemRng.bytes(32);
  return {
    sender: new SealedChannel({ suite, role: "dialler", prk: prk.slice() }),
    receiver: new SealedChannel({ suite, role: "listener", prk: prk.slice() }),
  };
}

const FRAMES_PER_SAMPLE = 100;

function sealRow(name: string, suite: Suite): BenchRow {
  return {
    kind: "time",
    name,
    per: FRAMES_PER_SAMPLE,
    samples: 100,
    prepare() {
      const { sender } = channels(suite);
      const payload = systemRng.bytes(256);
      let sequence = 0;
      return () => {
        for (let i = 0; i < FRAMES_PER_SAMPLE; i++) sender.seal({ ...FIELDS, sequence: sequence++ }, payload);
      };
    },
  };
}

function openRow(name: string, suite: Suite): BenchRow {
  return {
    kind: "time",
    name,
    per: FRAMES_PER_SAMPLE,
    samples: 100,
    prepare() {
      const { sender, receiver } = channels(suite);
      const payload = systemRng.bytes(256);
      const frames: RawFrame[] = [];
      const parser = new FrameParser(() => true);
      for (let sequence = 0; sequence < FRAMES_PER_SAMPLE * 120; sequence++) {
        parser.push(sender.seal({ ...FIELDS, sequence }, payload));
        frames.push(parser.next() as RawFrame);
      }
      let at = 0;
      return () => {
        for (let i = 0; i < FRAMES_PER_SAMPLE; i++) receiver.open(frames[at++] as RawFrame);
      };
    },
  };
}

/** 256-byte messages through one link between two meshes, from the first `send` to the last arrival. */
const linkRow: BenchRow = {
  kind: "rate",
  name: "link/sealed-256",
  samples: 5,
  async prepare() {
    const all = await meshes(cast());
    const [sender, receiver] = [all.get(partyId(1)) as Mesh, all.get(partyId(2)) as Mesh];
    const payload = systemRng.bytes(256);
    let arrived = 0;
    let wanted = 0;
    let done = () => {};
    receiver.listen((event: LinkEvent) => {
      if (event.kind === "frame" && ++arrived === wanted) done();
    });
    return async () => {
      const count = 20_000;
      arrived = 0;
      wanted = count;
      const finished = new Promise<void>((resolve) => done = resolve);
      const startedAt = performance.now();
      for (let sent = 0; sent < count; sent++) {
        sender.send(partyId(2), { type: FrameType.ENVELOPE, session: NO_SESSION, payload });
        if (sent % 500 === 499) await new Promise((resolve) => setImmediate(resolve));
      }
      await finished;
      return count / ((performance.now() - startedAt) / 1000);
    };
  },
};

/** The rows of this file. */
export const sessionRows: readonly BenchRow[] = [
  {
    kind: "time",
    name: "agree-random/3-parties",
    samples: 200,
    prepare() {
      const network = memoryNetwork(PARTIES);
      return agreeing(cast(), (party) => network.links(party));
    },
  },
  {
    kind: "time",
    name: "agree-random/3-parties/mtls",
    samples: 100,
    async prepare() {
      const everybody = cast();
      const all = await meshes(everybody);
      return agreeing(everybody, (party) => all.get(party) as Mesh);
    },
  },
  {
    kind: "time",
    name: "mesh/3-up",
    samples: 20,
    async prepare() {
      const everybody = cast();
      const certificates = await certificatesFor(everybody);
      return async () => {
        const all = await meshes(everybody, certificates);
        for (const mesh of all.values()) await mesh.close();
      };
    },
  },
  sealRow("frame/seal-256", 2),
  openRow("frame/open-256", 2),
  sealRow("frame/seal-256/aes-gcm", 1),
  openRow("frame/open-256/aes-gcm", 1),
  linkRow,
];
