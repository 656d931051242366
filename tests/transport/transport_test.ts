import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, EMPTY, fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { bytes, struct, text, U16 } from "../../src/base/codec.ts";
import type { Ed25519Signer } from "../../src/base/crypto.ts";
import { TransportError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { systemClock } from "../../src/node/clock.ts";
import type { CertifiedKey } from "../../src/pki/authority.ts";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import { SessionHost } from "../../src/session/host.ts";
import type { MeshEvent, MeshOptions } from "../../src/transport/mesh.ts";
import {
  ackMessage,
  errorMessage,
  heartbeatMessage,
  MessageKind,
  type ReceivedMessage,
} from "../../src/transport/message.ts";
import { MessageType, typeName } from "../../src/transport/message_types.ts";
import { Transport } from "../../src/transport/transport.ts";
import { FaultProxy } from "../faults/proxy.ts";
import { makeWorld, type World } from "./world.ts";

const world = await makeWorld(3);
const [ALICE, BOB, CAROL] = [1, 2, 3].map(partyId) as [
  ReturnType<typeof partyId>,
  ReturnType<typeof partyId>,
  ReturnType<typeof partyId>,
];

interface Party {
  readonly transport: Transport;
  readonly log: MeshEvent[];
}

interface Options {
  /** Runs before the transports start. */
  readonly prepare?: (parties: readonly Party[]) => void;
  readonly change?: (self: number) => Partial<MeshOptions>;
  readonly proxy?: FaultProxy;
}

/** The first `n` parties of the world, connected; all that alice says to bob may go through a proxy. */
async function connected(
  n: number,
  options: Options,
  test: (parties: readonly Party[]) => Promise<void>,
): Promise<void> {
  const ports = new Map<number, number>();
  const peers = Array.from({ length: n }, (_, i) => partyId(i + 1));
  const parties = peers.map((self) =>
    partyOf(world, self, ports, { peers, ...options.change?.(self) }, options.proxy)
  );
  options.prepare?.(parties);
  try {
    await Promise.all(parties.map(({ transport }) => transport.start()));
    for (const { transport } of parties) ports.set(transport.self, transport.port as number);
    if (options.proxy !== undefined) options.proxy.target = ports.get(2) as number;
    await Promise.all(parties.map(({ transport }) => transport.connected()));
    await test(parties);
  } finally {
    await Promise.all(parties.map(({ transport }) => transport.stop({ drainMs: 1_000 })));
    await options.proxy?.close();
  }
}

function partyOf(
  { leaves, identities, pins, roster, authority }: World,
  self: ReturnType<typeof partyId>,
  ports: ReadonlyMap<number, number>,
  change: Partial<MeshOptions>,
  proxy: FaultProxy | undefined,
): Party {
  const log: MeshEvent[] = [];
  const transport = new Transport({
    roster,
    self,
    listen: "127.0.0.1:0",
    addressOf: (peer) => {
      const port = self === 1 && peer === 2 && proxy !== undefined ? proxy.port : ports.get(peer);
      return port === undefined || !ports.has(peer) ? undefined : `127.0.0.1:${port}`;
    },
    tls: { ...leaves.get(self) as CertifiedKey, authoritiesPem: authority.certPem },
    pins,
    identity: identities.get(self) as Ed25519Signer,
    rng: systemRng,
    ...change,
    log: (event) => log.push(event),
  });
  return { transport, log };
}

const said = (message: ReceivedMessage) => `${message.from} ${fromUtf8(message.payload)}`;
const word = (content: string, type: number = MessageType.SIGN_ROUND_1) => ({ type, payload: utf8(content) });
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`did not happen: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

Deno.test("MessageType has the twelve types of the seed, and names for logs", () => {
  assert.deepEqual(Object.keys(MessageType), [
    "DKG_ROUND_1",
    "DKG_ROUND_2",
    "DKG_ROUND_3",
    "SIGN_ROUND_1",
    "SIGN_ROUND_2",
    "SIGN_ROUND_3",
    "SIGN_ROUND_4",
    "PRESIGN_ROUND_1",
    "PRESIGN_ROUND_2",
    "HEARTBEAT",
    "ACK",
    "ERROR",
  ]);
  assert.equal(new Set(Object.values(MessageType)).size, 12);
  assert.equal(typeName(MessageType.PRESIGN_ROUND_2), "PRESIGN_ROUND_2");
  assert.equal(typeName(8), "ENVELOPE");
  assert.equal(typeName(99), "TYPE_99");
});

Deno.test("Transport carries each of the twelve types, with its session id, in order", async () => {
  await connected(2, {}, async ([alice, bob]) => {
    const session = systemRng.bytes(16);
    for (const type of Object.values(MessageType)) {
      await alice?.transport.send(BOB, { type, session, payload: utf8(typeName(type)) });
    }
    for (const [name, type] of Object.entries(MessageType)) {
      const message = await bob?.transport.receive({ timeoutMs: 5_000 }) as ReceivedMessage;
      assert.deepEqual({ ...message }, { from: ALICE, type, session, payload: utf8(name) });
    }
  });
});

Deno.test("Transport.receive() takes by sender and type, and names what did not come", async () => {
  await connected(3, {}, async ([alice, bob, carol]) => {
    await alice?.transport.send(CAROL, word("one", MessageType.SIGN_ROUND_1));
    await alice?.transport.send(CAROL, word("two", MessageType.SIGN_ROUND_2));
    await bob?.transport.send(CAROL, word("three", MessageType.SIGN_ROUND_1));
    const receive = async (options: { from?: typeof ALICE; type?: number }) =>
      said(await carol?.transport.receive({ ...options, timeoutMs: 5_000 }) as ReceivedMessage);
    assert.equal(await receive({ from: BOB }), "2 three");
    assert.equal(await receive({ type: MessageType.SIGN_ROUND_2 }), "1 two");
    assert.equal(await receive({}), "1 one");
    await assert.rejects(carol?.transport.receive({ timeoutMs: 20 }) as Promise<unknown>, {
      code: "TIMEOUT",
    });
    const waiting = receive({ type: MessageType.ACK });
    await alice?.transport.send(CAROL, word("other", MessageType.DKG_ROUND_1));
    await alice?.transport.send(CAROL, word("wanted", MessageType.ACK));
    assert.equal(await waiting, "1 wanted");
  });
});

Deno.test("Transport.on() hands over what waits already and what comes, until it is ended", async () => {
  await connected(2, {}, async ([alice, bob]) => {
    const heard: string[] = [];
    await alice?.transport.send(BOB, word("early"));
    await alice?.transport.send(BOB, word("marker", MessageType.ACK));
    await bob?.transport.receive({ type: MessageType.ACK, timeoutMs: 5_000 });
    const stop = bob?.transport.on(MessageType.SIGN_ROUND_1, (message) => void heard.push(said(message)));
    assert.deepEqual(heard, ["1 early"]);
    assert.throws(() => bob?.transport.on(MessageType.SIGN_ROUND_1, () => {}), { code: "USAGE" });
    await alice?.transport.send(BOB, word("late"));
    await until(() => heard.length === 2);
    stop?.();
    await alice?.transport.send(BOB, word("after"));
    assert.equal(said(await bob?.transport.receive({ timeoutMs: 5_000 }) as ReceivedMessage), "1 after");
    assert.deepEqual(heard, ["1 early", "1 late"]);
  });
});

Deno.test("Transport.on() survives handlers that throw and reject, and says so", async () => {
  await connected(2, {}, async ([alice, bob]) => {
    await alice?.transport.send(BOB, word("waits", MessageType.ACK));
    await alice?.transport.send(BOB, word("waits", MessageType.ERROR));
    await alice?.transport.send(BOB, word("marker", MessageType.HEARTBEAT));
    await bob?.transport.receive({ type: MessageType.HEARTBEAT, timeoutMs: 5_000 });
    const fail = () => {
      throw new Error("handler");
    };
    bob?.transport.on(MessageType.SIGN_ROUND_1, fail);
    bob?.transport.on(MessageType.SIGN_ROUND_2, () => Promise.reject(new Error("handler")));
    bob?.transport.on(MessageType.ACK, fail);
    bob?.transport.on(MessageType.ERROR, () => Promise.reject(new Error("handler")));
    await alice?.transport.send(BOB, word("x", MessageType.SIGN_ROUND_1));
    await alice?.transport.send(BOB, word("x", MessageType.SIGN_ROUND_2));
    await until(() => bob?.log.filter(({ code }) => code === "RECEIVER_FAILED").length === 4);
    assert.equal(bob?.transport.status()[0]?.state, "up");
  });
});

const Price = new MessageKind(64, struct({ asset: text(16), cents: U16 }));

Deno.test("MessageKind carries typed values, and one that does not decode closes its sender's link", async () => {
  await connected(2, {}, async ([alice, bob]) => {
    const prices: unknown[] = [];
    bob?.transport.on(Price, (price, message) => void prices.push([message.from, price]));
    await alice?.transport.send(BOB, Price.encode({ asset: "BTC", cents: 7 }));
    await until(() => prices.length === 1);
    assert.deepEqual(prices, [[1, { asset: "BTC", cents: 7 }]]);
    const { payload } = Price.encode({ asset: "BTC", cents: 7 });
    await alice?.transport.send(BOB, { type: Price.type, payload: new Uint8Array([...payload, 0]) });
    await until(() =>
      bob?.log.some(({ code, peer }) => code === "MESSAGE_INVALID" && peer === "alice") === true
    );
    assert.equal(prices.length, 1);
    const rate = bob?.transport.metrics().peers[0]?.rate.currentRate as number;
    assert.ok(rate < 11_000, "who sends what is refused may send less");
  });
});

Deno.test("MessageKind of the seed's fixed types encodes and decodes exactly", () => {
  const digest = systemRng.bytes(32);
  const session = systemRng.bytes(16);
  const ack = ackMessage.encode({ type: 35, digest }, session);
  assert.deepEqual({ ...ack }, { type: MessageType.ACK, session, payload: ack.payload });
  assert.deepEqual({ ...ackMessage.decode(ack) }, { type: 35, digest });
  assert.equal(heartbeatMessage.decode(heartbeatMessage.encode({ clockMs: 5n })).clockMs, 5n);
  const report = { code: "BUSY", text: "later", detail: EMPTY };
  assert.deepEqual({ ...errorMessage.decode(errorMessage.encode(report)) }, report);
  assert.throws(() => errorMessage.decode({ payload: EMPTY }));
  assert.throws(() => new MessageKind(31, bytes(1)), { code: "USAGE" });
  assert.throws(() => new MessageKind(256, bytes(1)), { code: "USAGE" });
});

Deno.test("Transport.send() refuses what is no message, too large, or for nobody here", async () => {
  const caps = { 70: 100, [MessageType.SIGN_ROUND_1]: 2 << 20 };
  await connected(2, { change: () => ({ limits: { payloadCaps: caps } }) }, async ([alice, bob]) => {
    const send = (type: number, size: number, to = BOB) =>
      alice?.transport.send(to, { type, payload: new Uint8Array(size) }) as Promise<void>;
    await assert.rejects(send(8, 1), { code: "USAGE" });
    await assert.rejects(send(300, 1), { code: "USAGE" });
    await assert.rejects(send(70, 101), { code: "MESSAGE_TOO_LARGE" });
    await assert.rejects(send(MessageType.HEARTBEAT, 257), { code: "MESSAGE_TOO_LARGE" });
    await assert.rejects(send(MessageType.DKG_ROUND_1, (1 << 20) + 1), { code: "MESSAGE_TOO_LARGE" });
    await assert.rejects(send(70, 1, CAROL), { code: "NOT_A_MEMBER" });
    const session = new Uint8Array(15);
    await assert.rejects(
      alice?.transport.send(BOB, { type: 70, payload: EMPTY, session }) as Promise<void>,
      { code: "USAGE" },
    );
    await send(70, 100);
    await send(MessageType.SIGN_ROUND_1, 2 << 20);
    for (const size of [100, 2 << 20]) {
      assert.equal((await bob?.transport.receive({ timeoutMs: 5_000 }))?.payload.length, size);
    }
  });
});

Deno.test("Transport closes the link of a peer that sends above this side's size for a type", async () => {
  await connected(
    2,
    { change: (self) => ({ limits: { payloadCaps: self === 2 ? { 70: 50 } : {} } }) },
    async ([alice, bob]) => {
      await alice?.transport.send(BOB, { type: 70, payload: new Uint8Array(51) });
      await until(() => bob?.log.some(({ code }) => code === "FRAME_INVALID") === true);
      // The same inside a batch.
      await alice?.transport.connected();
      await bob?.transport.connected();
      const payload = new Uint8Array(51);
      await Promise.all([0, 1].map(() => alice?.transport.send(BOB, { type: 70, payload })));
      await until(() => bob?.log.filter(({ code }) => code === "FRAME_INVALID").length === 2);
    },
  );
});

Deno.test("Transport.send() copies: the caller may change its buffers at once", async () => {
  await connected(2, {}, async ([alice, bob]) => {
    const payload = utf8("before");
    const sent = alice?.transport.send(BOB, { type: 64, payload });
    payload.fill(0);
    await sent;
    assert.equal(said(await bob?.transport.receive({ timeoutMs: 5_000 }) as ReceivedMessage), "1 before");
  });
});

Deno.test("Transport.send() says who is not connected, and broadcast() reaches the others all the same", async () => {
  await connected(3, {}, async ([alice, bob, carol]) => {
    await carol?.transport.stop();
    await until(() => alice?.transport.status()[1]?.state === "down");
    await assert.rejects(alice?.transport.send(CAROL, word("x")) as Promise<void>, (error) => {
      assert.ok(error instanceof TransportError);
      assert.deepEqual([error.code, error.parties, error.party], ["NOT_CONNECTED", [3], "carol"]);
      return true;
    });
    await assert.rejects(alice?.transport.broadcast(word("all")) as Promise<void>, {
      code: "NOT_CONNECTED",
      parties: [3],
    });
    assert.equal(said(await bob?.transport.receive({ timeoutMs: 5_000 }) as ReceivedMessage), "1 all");
    await assert.rejects(alice?.transport.broadcast(word("x", 5)) as Promise<void>, { code: "USAGE" });
    await assert.rejects(alice?.transport.connected([CAROL], 20) as Promise<void>, {
      code: "TIMEOUT",
      parties: [3],
    });
  });
});

Deno.test("Transport.broadcast() reaches everybody", async () => {
  await connected(3, {}, async ([alice, bob, carol]) => {
    await bob?.transport.broadcast(word("all"));
    for (const { transport } of [alice, carol] as Party[]) {
      assert.equal(said(await transport.receive({ timeoutMs: 5_000 })), "2 all");
    }
  });
});

Deno.test("Transport.send() waits for a receiver that is behind; nothing is lost and memory is bounded", async () => {
  const limits = { receiveBacklogFrames: 8, sendBufferBytes: 256 << 10 };
  await connected(2, { change: () => ({ limits }) }, async ([alice, bob]) => {
    const count = 400;
    const payload = systemRng.bytes(64 << 10);
    const heard: number[] = [];
    let open = () => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    bob?.transport.on(64, async (message) => {
      await gate;
      heard.push((message.payload[0] as number) * 256 + (message.payload[1] as number));
    });
    let sent = 0;
    const sending = (async () => {
      for (let i = 0; i < count; i++) {
        payload[0] = i >> 8;
        payload[1] = i;
        await alice?.transport.send(BOB, { type: 64, payload });
        sent++;
      }
    })();
    await until(() => (alice?.transport.status()[0]?.waitingBytes ?? 0) >= limits.sendBufferBytes);
    const taken = () => bob?.transport.status()[0]?.bytesReceived ?? 0;
    for (let before = -1; taken() !== before;) {
      before = taken();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(sent < count, `${sent} sent although the receiver takes nothing`);
    assert.ok(
      (alice?.transport.status()[0]?.waitingBytes ?? 0) < limits.sendBufferBytes + 2 * payload.length,
    );
    open();
    await sending;
    await until(() => heard.length === count);
    assert.deepEqual(heard, Array.from({ length: count }, (_, i) => i));
    assert.ok(alice?.log.every(({ code }) => code === "LINK_UP" || code === "LISTENING"));
  });
});

Deno.test("Transport takes no more of what nobody receives than it may, and loses none of it", async () => {
  const limits = { receiveBacklogFrames: 8, sendBufferBytes: 256 << 10 };
  await connected(2, { change: () => ({ limits }) }, async ([alice, bob]) => {
    const count = 400, payload = systemRng.bytes(64 << 10);
    let sent = 0;
    const sending = (async () => {
      for (; sent < count; sent++) await alice?.transport.send(BOB, { type: 64, payload });
    })();
    const taken = () => bob?.transport.status()[0]?.bytesReceived ?? 0;
    await until(() => (alice?.transport.status()[0]?.waitingBytes ?? 0) >= limits.sendBufferBytes);
    for (let before = -1; taken() !== before;) {
      before = taken();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(sent < count, `${sent} sent although nobody receives`);
    for (let i = 0; i < count; i++) await bob?.transport.receive({ timeoutMs: 5_000 });
    await sending;
  });
});

Deno.test("Transport.send() refuses one call too many, and gives up where the peer takes nothing", async () => {
  const limits = { sendBufferBytes: 64 << 10, sendersMax: 2, sendTimeoutMs: 200 };
  const proxy = await FaultProxy.open();
  await connected(2, { proxy, change: () => ({ limits }) }, async ([alice]) => {
    proxy.both({ kind: "stall" });
    const payload = new Uint8Array(1 << 20);
    const send = () => alice?.transport.send(BOB, { type: 64, payload }) as Promise<void>;
    const outcomes: Promise<unknown>[] = [];
    for (let i = 0; i < 100 && alice?.transport.status()[0]?.isSlow !== true; i++) {
      outcomes.push(send().catch((error) => error.code));
      await new Promise((resolve) => setTimeout(resolve));
    }
    const more = await Promise.all([
      ...outcomes,
      ...[1, 2, 3].map(() => send().catch((error) => error.code)),
    ]);
    assert.deepEqual([...new Set(more)].sort(), ["SEND_BUFFER_FULL", "TIMEOUT", undefined]);
    proxy.both({ kind: "pass" });
  });
});

Deno.test("Transport.stop() sends what was given to send(), lets handlers finish, and refuses more", async () => {
  let slow = Promise.resolve();
  await connected(2, { change: () => ({ limits: { sendBufferBytes: 256 << 10 } }) }, async ([alice, bob]) => {
    const payload = systemRng.bytes(1 << 20);
    let heard = 0;
    bob?.transport.on(64, async () => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      heard++;
    });
    const sending = Array.from({ length: 40 }, () => alice?.transport.send(BOB, { type: 64, payload }));
    const waits = alice?.transport.receive();
    const stopping = alice?.transport.stop();
    await assert.rejects(alice?.transport.send(BOB, word("x")) as Promise<void>, {
      code: "TRANSPORT_STOPPED",
    });
    await Promise.all(sending);
    await assert.rejects(waits as Promise<unknown>, { code: "TRANSPORT_STOPPED" });
    await stopping;
    await until(() => heard === 40);
    await assert.rejects(alice?.transport.receive() as Promise<unknown>, { code: "TRANSPORT_STOPPED" });
    let handled = false;
    slow = new Promise((resolve) => setTimeout(resolve, 50)).then(() => void (handled = true));
    bob?.transport.on(65, () => slow);
    await bob?.transport.stop();
    assert.equal(handled, false, "it got no message of type 65");
  });
  await slow;
});

Deno.test("Transport.stop() waits until what was sent has left, however slow the network", async () => {
  const proxy = await FaultProxy.open();
  const limits = { sendBufferBytes: 64 << 20 };
  await connected(2, { proxy, change: () => ({ limits }) }, async ([alice, bob]) => {
    let heard = 0;
    bob?.transport.on(64, () => void heard++);
    proxy.set("out", { kind: "throttle", bytesPerSecond: 16 << 20 });
    // More than the system takes at once.
    const payload = systemRng.bytes(1 << 20);
    for (let i = 0; i < 24; i++) await alice?.transport.send(BOB, { type: 64, payload });
    await alice?.transport.stop({ drainMs: 20_000 });
    await until(() => heard === 24);
  });
});

Deno.test("Transport.stop() waits for a handler that runs, and no longer than it is told to", async () => {
  await connected(2, {}, async ([alice, bob]) => {
    let isDone = false;
    const started = Promise.withResolvers<void>();
    bob?.transport.on(64, async () => {
      started.resolve();
      await new Promise((resolve) => setTimeout(resolve, 100));
      isDone = true;
    });
    await alice?.transport.send(BOB, { type: 64, payload: EMPTY });
    await started.promise;
    await bob?.transport.stop();
    assert.equal(isDone, true);
    alice?.transport.on(64, () => new Promise(() => {}));
    await alice?.transport.stop({ drainMs: 20 });
  });
});

Deno.test("Transport.links carries sessions beside messages", async () => {
  const results: Promise<Bytes>[] = [];
  const hosts: SessionHost[] = [];
  const prepare = (parties: readonly Party[]) => {
    for (const { transport } of parties) {
      hosts.push(
        new SessionHost({
          roster: world.roster,
          self: transport.self,
          identity: world.identities.get(transport.self) as Ed25519Signer,
          links: transport.links,
          clock: systemClock,
          rng: systemRng,
          journal: { write: () => {} },
          timeoutMs: 10_000,
          command: "test",
        }),
      );
    }
  };
  await connected(2, { prepare }, async ([alice, bob]) => {
    for (const host of hosts) {
      results.push(host.start(agreeRandom, { bits: 256, participants: [ALICE, BOB] }).result);
    }
    await alice?.transport.send(BOB, word("beside"));
    assert.equal(said(await bob?.transport.receive({ timeoutMs: 5_000 }) as ReceivedMessage), "1 beside");
    const [one, two] = await Promise.all(results);
    assert.deepEqual(one, two);
    const traffic = alice?.transport.metrics().peers[0];
    assert.ok((traffic?.sent.ENVELOPE?.messages ?? 0) >= 2);
    assert.equal(traffic?.sent.SIGN_ROUND_1?.bytes, 6);
    for (const host of hosts) host.stop();
  });
});

Deno.test("Transport.metrics() counts messages and bytes by peer, direction and type, links and reasons", async () => {
  const proxy = await FaultProxy.open();
  await connected(
    2,
    { proxy, change: () => ({ limits: { pingIntervalMs: 30, silenceMs: 3_000 } }) },
    async ([alice, bob]) => {
      const changes: string[] = [];
      const stop = alice?.transport.onLink(({ kind, peer }) => changes.push(`${kind} ${peer}`));
      for (const content of ["one", "three"]) await alice?.transport.send(BOB, word(content));
      await bob?.transport.receive({ timeoutMs: 5_000 });
      await bob?.transport.receive({ timeoutMs: 5_000 });
      assert.deepEqual(alice?.transport.metrics().peers[0]?.sent.SIGN_ROUND_1, { messages: 2, bytes: 8 });
      assert.deepEqual(bob?.transport.metrics().peers[0]?.received.SIGN_ROUND_1, { messages: 2, bytes: 8 });
      assert.equal(bob?.transport.metrics().peers[0]?.sent.SIGN_ROUND_1, undefined);
      await until(() => (alice?.transport.metrics().peers[0]?.rttMs ?? -1) >= 0);
      assert.equal(alice?.transport.metrics().activeConnections, 1);
      proxy.cut();
      await until(() => changes.length === 2);
      assert.deepEqual(changes, ["down 2", "up 2"]);
      stop?.();
      const [peer] = alice?.transport.metrics().peers ?? [];
      assert.deepEqual([peer?.ups, peer?.downs, peer?.state], [2, { CLOSED: 1 }, "up"]);
      assert.deepEqual(peer?.sent.SIGN_ROUND_1, { messages: 2, bytes: 8 }, "counters outlive the link");
      assert.ok((alice?.transport.metrics().uptimeMs ?? 0) > 0);
      assert.equal(alice?.transport.metrics().events.LINK_UP, 2);
      assert.deepEqual(alice?.transport.status()[0]?.directions, { in: "up", out: "up" });
      assert.equal(alice?.transport.status()[0]?.version, 1);
    },
  );
});

Deno.test("Transport gives up a party after so many dials, and tries again when it is told to", async () => {
  const ports = new Map([[2, 9]]);
  const { transport, log } = partyOf(world, ALICE, ports, {
    peers: [BOB],
    limits: { dialAttemptsMax: 3, retryFirstMinMs: 1, retryFirstMaxMs: 2, retryMaxMs: 5 },
  }, undefined);
  await transport.start();
  const gaveUp = () => log.filter(({ code }) => code === "GAVE_UP").length;
  await until(() => gaveUp() === 1);
  assert.equal(log.filter(({ code }) => code === "DIAL_FAILED").length, 3);
  assert.equal(transport.status()[0]?.gaveUp, true);
  assert.deepEqual(transport.metrics().peers[0]?.failures, { DIAL_FAILED: 3 });
  assert.equal(transport.metrics().failedConnections, 3);
  transport.connect(BOB);
  transport.connect(BOB);
  await until(() => gaveUp() === 2);
  assert.equal(log.filter(({ code }) => code === "DIAL_FAILED").length, 6);
  await transport.stop();
});
