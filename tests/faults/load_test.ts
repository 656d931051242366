import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, concat, u16, u32, u8 } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import type { Ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { FrameType } from "../../src/session/links.ts";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import { entryOf, openCodec, openDigest, proposalHash } from "../../src/session/messages.ts";
import { DEFAULT_LIMITS, type TransportLimits } from "../../src/transport/limits.ts";
import { MessageType } from "../../src/transport/message_types.ts";
import { RawPeer, rawTcp } from "../transport/raw_peer.ts";
import { agreed, Cluster, pause } from "./cluster.ts";

const SMALL_RATES: TransportLimits["rates"] = {
  ...DEFAULT_LIMITS.rates,
  frames: { perSecond: 2_000, burst: 500, floor: 100, ceiling: 2_000 },
  types: { [FrameType.OPEN]: { perSecond: 20, burst: 5 } },
};
const NO_SESSION = new Uint8Array(16);

Deno.test("R1 a flood of messages: the sender waits, others are served meanwhile, and nothing is dropped", async () => {
  await Cluster.run({ parties: 3, limits: { rates: SMALL_RATES } }, async (cluster) => {
    await cluster.linked();
    const [alice, bob] = [cluster.party(1).mesh, cluster.party(2).mesh];
    const count = 3_000;
    const received = () => bob.metrics().peers[0]?.received.SIGN_ROUND_1?.messages ?? 0;
    for (let i = 0; i < count; i++) {
      alice.send(partyId(2), { type: MessageType.SIGN_ROUND_1, session: NO_SESSION, payload: u32(i) });
      if (i % 100 === 99) await pause(0);
    }
    assert.ok(received() < count, "bob does not take all at once");
    assert.ok(agreed(await cluster.agree(2, 3)));
    assert.ok(received() < count, "carol did not wait for alice's flood");
    // A session with the flooder itself waits behind its flood, and is not dropped either.
    assert.ok(agreed(await cluster.agree(1, 2, 3)));
    assert.equal(received(), count);
    const rate = bob.metrics().peers[0]?.rate;
    assert.ok((rate?.limited ?? 0) > 0 && (rate?.waitedMs ?? 0) > 500);
    assert.ok(bob.metrics().events.RATE_LIMITED);
    const lines = cluster.party(2).log.filter(({ code }) => code === "RATE_LIMITED");
    assert.ok(lines.length >= 1 && lines.length < 10 && lines.every(({ peer }) => peer === "alice"));
    assert.equal(cluster.status(2, 1).state, "up");
  });
});

Deno.test("R1 a flood of session starts: their type has a limit of its own, and what others start is not delayed", async () => {
  await Cluster.run({ parties: 3, limits: { rates: SMALL_RATES } }, async (cluster) => {
    await cluster.linked();
    const [alice, bob] = [cluster.party(1).mesh, cluster.party(2).mesh];
    const signer = cluster.world.identities.get(partyId(1)) as Ed25519Signer;
    const proposal = {
      ...agreeRandom.proposal({ bits: 256, participants: [partyId(1), partyId(2)] }),
      protocol: "agree-random",
      version: 1,
      rosterHash: cluster.world.roster.hash,
    };
    for (let i = 0; i < 30; i++) {
      const wire = { ...proposal, request: systemRng.bytes(32) };
      const unsigned = {
        proposal: wire,
        offer: new Uint8Array(0),
        command: "flood",
        auxiliary: false,
        nonce: systemRng.bytes(32),
        signature: new Uint8Array(64),
      };
      const signature = signer.sign(openDigest(1, proposalHash(wire), entryOf(unsigned)));
      const payload = encode(openCodec, { ...unsigned, signature });
      alice.send(partyId(2), { type: FrameType.OPEN, session: NO_SESSION, payload });
    }
    assert.ok(agreed(await cluster.agree(2, 3)));
    await cluster.until("all were read", () => bob.metrics().peers[0]?.received.OPEN?.messages === 30);
    assert.ok((bob.metrics().peers[0]?.rate.limitedByType[FrameType.OPEN] ?? 0) > 0);
  });
});

Deno.test("R1 a flood of handshakes from one address is refused before TLS, and is one line in the log", async () => {
  const connectionRates = {
    perAddress: { perSecond: 5, burst: 40 },
    total: { perSecond: 1_000, burst: 1_000 },
  };
  await Cluster.run({ parties: 2, limits: { connectionRates } }, async (cluster) => {
    await cluster.linked();
    const { mesh, log } = cluster.party(2);
    const opened = await Promise.all(Array.from({ length: 120 }, () => rawTcp(mesh.port as number)));
    await cluster.until("refused", () => (mesh.metrics().events.THROTTLED ?? 0) >= 75);
    assert.ok(log.filter(({ code }) => code === "THROTTLED").length <= 3);
    assert.ok(mesh.metrics().failedConnections >= 75);
    assert.equal(cluster.status(2, 1).state, "up");
    assert.ok(agreed(await cluster.agree(1, 2)));
    for (const { socket } of opened) socket.destroy();
    // Its bucket fills again: nobody is kept out for good.
    await pause(600);
    cluster.proxy(1, 2).cut();
    await cluster.until(
      "down",
      () => cluster.status(2, 1).state === "down" || cluster.status(1, 2).state === "down",
    );
    await cluster.linked();
  });
});

Deno.test("T3 a session message with another sender's name closes the link of the one who sent it", async () => {
  await Cluster.run({ parties: 3, timeoutMs: 2_000 }, async (cluster) => {
    await cluster.linked();
    cluster.fault(3, 2, { kind: "delay", ms: 100 });
    const endings = cluster.agree(1, 2, 3);
    await cluster.until(
      "bob has a session id",
      () => cluster.party(2).events.some(({ sid }) => sid !== undefined),
    );
    const sid = cluster.party(2).events.find((event) => event.sid !== undefined)?.sid as unknown as Bytes;
    const forged = concat(u8(1), u16(3), u16(0), u32(32), new Uint8Array(32), new Uint8Array(64));
    cluster.party(1).mesh.send(partyId(2), {
      type: FrameType.ENVELOPE,
      session: sid.slice(0, 16) as Bytes,
      payload: forged,
    });
    await cluster.until(
      "bob noticed",
      () => cluster.party(2).events.some(({ kind, peer }) => kind === "dropped" && peer === 1),
    );
    const ended = await endings;
    const bob = ended.get(2);
    assert.ok(
      bob !== undefined && ("value" in bob || !bob.names.includes(3)),
      "carol is not held responsible",
    );
  });
});

Deno.test("T5 a thousand silent connections from one address: a party gets in meanwhile, and few of them are kept", async () => {
  await Cluster.run({ parties: 2, limits: { tlsDeadlineMs: 1_500 } }, async (cluster) => {
    await cluster.linked();
    const { mesh } = cluster.party(2);
    const opened: Awaited<ReturnType<typeof rawTcp>>[] = [];
    for (let i = 0; i < 20; i++) {
      opened.push(...await Promise.all(Array.from({ length: 50 }, () => rawTcp(mesh.port as number))));
      assert.ok(mesh.metrics().strangers <= DEFAULT_LIMITS.strangersPerAddress);
    }
    assert.ok(agreed(await cluster.agree(1, 2)), "links that are up are not concerned");
    cluster.proxy(1, 2).cut();
    await cluster.until("down", () => cluster.status(1, 2).state === "down");
    // The party shares the address of the flood here; from another one its bucket would be full.
    await cluster.linked();
    for (const { socket } of opened) socket.destroy();
    await cluster.until("no stranger is left", () => mesh.metrics().strangers === 0);
  });
});

Deno.test("T6 a listener gives no session ticket: nothing can be resumed after a party was removed", async () => {
  await Cluster.run({ parties: 2, elsewhere: [1] }, async (cluster) => {
    const port = cluster.party(2).mesh.port as number;
    const tickets: unknown[] = [];
    const peer = new RawPeer(cluster.world, { port });
    peer.socket.on("session", (ticket) => tickets.push(ticket));
    assert.ok(await peer.up());
    assert.deepEqual(tickets, []);
    assert.ok(!peer.socket.isSessionReused());
    peer.destroy();
  });
});

Deno.test("T7 simultaneous dial cannot happen: the higher index is refused where it dials, and one link comes of many tries", async () => {
  await Cluster.run({ parties: 2 }, async (cluster) => {
    await cluster.linked();
    const wrong = new RawPeer(cluster.world, {
      port: cluster.party(1).mesh.port as number,
      self: 2,
      peer: 1,
    });
    await wrong.untilClosed();
    await cluster.until("refused", () => cluster.party(1).log.some(({ code }) => code === "DIAL_RULE"));
    for (let i = 0; i < 5; i++) cluster.proxy(1, 2).cut();
    await cluster.until("up again", () => (cluster.party(1).mesh.metrics().peers[0]?.ups ?? 0) === 2);
    assert.deepEqual([1, 2].map((at) => cluster.party(at).mesh.metrics().activeConnections), [1, 1]);
  });
});
