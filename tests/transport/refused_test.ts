import assert from "node:assert/strict";
import type net from "node:net";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, EMPTY, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import {
  type CertifiedKey,
  createAuthority,
  createRevocationList,
  issueLeaf,
} from "../../src/pki/authority.ts";
import { FrameType } from "../../src/session/links.ts";
import type { LinkCode } from "../../src/transport/faults.ts";
import { encodePlainFrame } from "../../src/transport/frame.ts";
import { type Hello, HelloCodec } from "../../src/transport/hello.ts";
import { DEFAULT_LIMITS, payloadCap } from "../../src/transport/limits.ts";
import type { MeshOptions } from "../../src/transport/mesh.ts";
import type { LeafPolicy } from "../../src/transport/peer_identity.ts";
import { TlsListener } from "../../src/transport/tls_listener.ts";
import { badLeaf, CLIENT_AUTH, DAY_MS, type Defects, SERVER_AUTH } from "./bad_leaf.ts";
import { RawPeer, rawTcp } from "./raw_peer.ts";
import { CLUSTER, makeWorld, type Node, withNodes } from "./world.ts";

const world = await makeWorld(3);
const foreign = await createAuthority({ cluster: CLUSTER });

/** Bob, alone: the victim of what a stranger or alice does. */
async function againstBob(
  test: (bob: Node, port: number) => Promise<void>,
  change: Partial<MeshOptions> = {},
): Promise<void> {
  await withNodes(world, [2], async (nodes) => {
    const bob = nodes.get(2) as Node;
    bob.log.length = 0;
    await test(bob, bob.mesh.port as number);
  }, () => ({ peers: [partyId(1)], ...change }));
}

/** The connection ends, the reason is in bob's log, and alice was never up. */
async function expectRefused(bob: Node, peer: RawPeer, code: LinkCode): Promise<void> {
  await peer.untilClosed();
  const event = await bob.logged(code);
  assert.equal(event.direction, "in");
  assert.ok(event.address?.startsWith("127.0.0.1:"), event.address);
  assert.deepEqual(bob.events, []);
  assert.equal(bob.mesh.status()[0]?.state, "down");
}

const CERTIFICATES: readonly (readonly [string, Defects, LinkCode])[] = [
  ["expired", { notAfter: new Date(Date.now() - 1_000) }, "CERT_EXPIRED"],
  ["not yet valid", { notBefore: new Date(Date.now() + DAY_MS / 2) }, "CERT_NOT_YET_VALID"],
  ["with the wrong extended key usage", { usage: [SERVER_AUTH] }, "CERT_USAGE"],
  ["for clients only", { usage: [CLIENT_AUTH] }, "CERT_USAGE"],
  ["without extended key usage", { usage: null }, "CERT_USAGE"],
];

for (const [what, defects, code] of CERTIFICATES) {
  Deno.test(`T1 Mesh refuses a dialler whose certificate is ${what}`, async () => {
    const leaf = await badLeaf(world.authority, "alice", defects);
    const pins = new Map(world.pins).set(partyId(1), [leaf.pin]);
    await againstBob(async (bob, port) => {
      await expectRefused(bob, new RawPeer(world, { port, leaf }), code);
    }, { pins });
  });
}

Deno.test("T1 Mesh refuses a dialler without a certificate", async () => {
  await againstBob(async (bob, port) => {
    await expectRefused(bob, new RawPeer(world, { port, leaf: null }), "CERT_MISSING");
  });
});

Deno.test("T1 Mesh refuses a dialler with a certificate of a foreign authority", async () => {
  const leaf = await badLeaf(foreign, "alice");
  const pins = new Map(world.pins).set(partyId(1), [leaf.pin]);
  await againstBob(async (bob, port) => {
    await expectRefused(bob, new RawPeer(world, { port, leaf }), "CERT_UNKNOWN_CA");
  }, { pins });
});

Deno.test("T1 Mesh refuses a dialler whose certificate is revoked", async () => {
  const alice = world.leaves.get(partyId(1)) as CertifiedKey;
  const revocationListsPem = await createRevocationList({
    authority: world.authority,
    revoked: [alice.certPem],
    number: 1,
  });
  await againstBob(async (bob, port) => {
    await expectRefused(bob, new RawPeer(world, { port }), "CERT_REVOKED");
  }, { revocationListsPem });
});

Deno.test("T2 Mesh refuses a dialler of the right authority with another key than the pinned one", async () => {
  const leaf = await issueLeaf({
    authority: world.authority,
    cluster: CLUSTER,
    party: "alice",
    host: "127.0.0.1",
  });
  await againstBob(async (bob, port) => {
    await expectRefused(bob, new RawPeer(world, { port, leaf }), "PIN_MISMATCH");
  });
});

Deno.test("T2 Mesh refuses a party that dials with another party's certificate", async () => {
  await againstBob(async (bob, port) => {
    // Carol's certificate, alice's name in every frame: TLS says carol, who must not dial bob.
    await expectRefused(
      bob,
      new RawPeer(world, { port, leaf: world.leaves.get(partyId(3)) as CertifiedKey }),
      "DIAL_RULE",
    );
  }, { peers: [partyId(1), partyId(3)] });
});

Deno.test("Mesh refuses a party with which it does not link", async () => {
  await againstBob(async (bob, port) => {
    await expectRefused(bob, new RawPeer(world, { port, self: 3 }), "PEER_UNKNOWN");
  });
});

Deno.test("T6 Mesh refuses TLS 1.2", async () => {
  await againstBob(async (bob, port) => {
    const peer = new RawPeer(world, { port, tls: { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } });
    await expectRefused(bob, peer, "TLS_FAILED");
  });
});

Deno.test("T6 Mesh refuses plaintext HTTP", async () => {
  await againstBob(async (bob, port) => {
    const { socket, closed } = await rawTcp(port);
    socket.write("GET / HTTP/1.1\r\nHost: bob\r\n\r\n");
    await closed;
    await bob.logged("TLS_FAILED");
    assert.deepEqual(bob.events, []);
  });
});

const HELLO_EDITS: readonly (readonly [string, Partial<Hello>, LinkCode])[] = [
  ["that names another sender", { from: 3 }, "HELLO_FROM"],
  ["for another party", { to: 3 }, "HELLO_TO"],
  ["with the listener's role", { role: 1 }, "HELLO_ROLE"],
  ["of another cluster", { clusterHash: systemRng.bytes(32) }, "HELLO_CLUSTER"],
  ["with another fingerprint of its own", { ownLeafSha256: systemRng.bytes(32) }, "HELLO_FINGERPRINT"],
  ["with another fingerprint of the listener", { peerLeafSha256: systemRng.bytes(32) }, "HELLO_FINGERPRINT"],
  ["of a version to come", { versionMin: 2, versionMax: 2 }, "HELLO_VERSION"],
  ["with unknown suites only", { suites: [7] }, "HELLO_SUITE"],
  ["whose suite list was changed on the way", { suites: [1] }, "HELLO_SIGNATURE"],
];

for (const [what, change, code] of HELLO_EDITS) {
  Deno.test(`Mesh refuses a HELLO ${what}`, async () => {
    await againstBob(async (bob, port) => {
      const peer = new RawPeer(world, { port });
      await peer.handshake({
        hello: (bytes) => encode(HelloCodec, { ...decode(HelloCodec, bytes), ...change }),
      });
      await expectRefused(bob, peer, code);
    });
  });
}

Deno.test("T2 Mesh refuses a thief of a TLS key, who has not the identity key", async () => {
  await againstBob(async (bob, port) => {
    const peer = new RawPeer(world, { port, identity: ed25519Signer(systemRng.bytes(32)) });
    await peer.handshake();
    await expectRefused(bob, peer, "HELLO_SIGNATURE");
  });
});

Deno.test("F1 Mesh refuses its own HELLO and HELLO_ACK reflected", async () => {
  await againstBob(async (bob, port) => {
    const peer = await new RawPeer(world, { port }).secure();
    const hello = await peer.receive();
    peer.socket.write(hello?.bytes as Uint8Array);
    await expectRefused(bob, peer, "FRAME_ADDRESS");
  });
});

Deno.test("F1 Mesh refuses a HELLO and HELLO_ACK recorded on another connection", async () => {
  await againstBob(async (bob, port) => {
    const recorded: { hello?: Bytes; ack?: Bytes } = {};
    const first = new RawPeer(world, { port });
    await first.handshake({
      hello: (bytes) => recorded.hello = bytes,
      ack: (bytes) => recorded.ack = bytes,
    });
    first.destroy();
    await bob.logged("CLOSED");
    const second = new RawPeer(world, { port });
    await second.handshake({ hello: () => recorded.hello as Bytes, ack: () => recorded.ack as Bytes });
    await expectRefused(bob, second, "HELLO_SIGNATURE");
  });
});

/** The row of FAULTS.md 1 that a wrong frame belongs to. */
function rowOf(what: string, code: LinkCode): string {
  if (what.includes("oversized")) return "F4";
  return code === "FRAME_ADDRESS" ? "T3" : code === "SEQUENCE" ? "F1" : "F3";
}

/** What a peer with a right certificate may do wrong right after TLS. */
const FIRST_FRAMES: readonly (readonly [string, (peer: RawPeer) => void, LinkCode])[] = [
  [
    "a frame whose from is not the TLS peer",
    (p) => p.plain(FrameType.HELLO, p.exchange().own, { from: 3 }),
    "FRAME_ADDRESS",
  ],
  [
    "a frame for another party",
    (p) => p.plain(FrameType.HELLO, p.exchange().own, { to: 3 }),
    "FRAME_ADDRESS",
  ],
  [
    "a HELLO that does not have sequence 0",
    (p) => p.plain(FrameType.HELLO, p.exchange().own, { sequence: 1 }),
    "SEQUENCE",
  ],
  [
    "an oversized HELLO",
    (p) => p.plain(FrameType.HELLO, new Uint8Array(payloadCap(FrameType.HELLO) as number + 1)),
    "FRAME_INVALID",
  ],
  ["a length of 2^32 - 1", (p) => {
    const bytes = encodePlainFrame(p.fields(FrameType.HELLO), EMPTY);
    new DataView(bytes.buffer).setUint32(29, 0xffffffff);
    p.socket.write(bytes);
  }, "FRAME_INVALID"],
  ["an empty HELLO", (p) => p.plain(FrameType.HELLO, EMPTY), "HELLO_INVALID"],
  [
    "a HELLO_ACK before the HELLO",
    (p) => p.plain(FrameType.HELLO_ACK, new Uint8Array(64)),
    "FRAME_UNEXPECTED",
  ],
  ["an unsealed message", (p) => p.plain(FrameType.ENVELOPE, utf8("x")), "FRAME_UNEXPECTED"],
  ["two HELLOs", (p) => {
    const { own } = p.exchange();
    p.plain(FrameType.HELLO, own);
    p.plain(FrameType.HELLO, own);
  }, "FRAME_UNEXPECTED"],
  [
    "bytes that are no frame",
    (p) => p.socket.write("GET / HTTP/1.1\r\nHost: bob.example.org\r\n\r\n"),
    "FRAME_INVALID",
  ],
];

for (const [what, act, code] of FIRST_FRAMES) {
  Deno.test(`${rowOf(what, code)} Mesh refuses ${what} before a link is up`, async () => {
    await againstBob(async (bob, port) => {
      const peer = await new RawPeer(world, { port }).secure();
      act(peer);
      await expectRefused(bob, peer, code);
    });
  });
}

Deno.test("Mesh refuses sealed frames that follow HELLO_ACK but are not an empty PING's type", async () => {
  await againstBob(async (bob, port) => {
    const peer = new RawPeer(world, { port });
    await peer.handshake();
    peer.sealed(FrameType.ENVELOPE, utf8("x"));
    await expectRefused(bob, peer, "FRAME_UNEXPECTED");
  });
});

Deno.test("Mesh does not count a link as up that never sends a sealed frame", async () => {
  await againstBob(async (bob, port) => {
    const peer = new RawPeer(world, { port });
    assert.ok(await peer.handshake());
    await expectRefused(bob, peer, "DEADLINE_UP");
  }, { limits: { upDeadlineMs: 300 } });
});

/** What a peer whose link is up may do wrong. */
const LATER_FRAMES: readonly (readonly [string, (peer: RawPeer) => void, LinkCode])[] = [
  ["another HELLO", (p) => p.plain(FrameType.HELLO, p.exchange().own), "FRAME_UNEXPECTED"],
  ["a sealed HELLO", (p) => p.sealed(FrameType.HELLO, p.exchange().own), "FRAME_UNEXPECTED"],
  ["a HELLO_ACK", (p) => p.plain(FrameType.HELLO_ACK, new Uint8Array(64)), "FRAME_UNEXPECTED"],
  ["an unsealed message", (p) => p.plain(FrameType.ENVELOPE, utf8("x")), "FRAME_UNEXPECTED"],
  [
    "a sequence number left out",
    (p) => p.sealed(FrameType.DONE, EMPTY, { sequence: p.sequence + 1 }),
    "SEQUENCE",
  ],
  ["a frame sent twice", (p) => {
    const bytes = p.channel?.seal(p.fields(FrameType.DONE), EMPTY) as Bytes;
    p.socket.write(bytes);
    p.socket.write(bytes);
  }, "SEQUENCE"],
  [
    "a frame whose from is another party",
    (p) => p.sealed(FrameType.DONE, EMPTY, { from: 3 }),
    "FRAME_ADDRESS",
  ],
  [
    "an oversized frame",
    (p) => p.sealed(FrameType.OPEN, new Uint8Array(payloadCap(FrameType.OPEN) as number + 1)),
    "FRAME_INVALID",
  ],
  ["a forged MAC", (p) => {
    const bytes = p.channel?.seal(p.fields(FrameType.DONE), EMPTY) as Bytes;
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    p.socket.write(bytes);
  }, "SEAL_MAC"],
  [
    "a PING inside a batch",
    (p) => p.sealed(FrameType.BATCH, Uint8Array.of(FrameType.PING, ...new Uint8Array(20))),
    "FRAME_UNEXPECTED",
  ],
  ["an empty batch", (p) => p.sealed(FrameType.BATCH, EMPTY), "FRAME_INVALID"],
];

for (const [what, act, code] of LATER_FRAMES) {
  Deno.test(`${rowOf(what, code)} Mesh ends a link on ${what}`, async () => {
    await againstBob(async (bob, port) => {
      const peer = new RawPeer(world, { port });
      assert.ok(await peer.up());
      await bob.upWith(1);
      act(peer);
      await peer.untilClosed();
      await bob.logged(code);
      await bob.until(() => bob.events.length > 1);
      const last = bob.events.at(-1);
      assert.equal(last?.kind, "down");
      assert.ok(last?.kind === "down" && last.reason.startsWith(`${code}: `));
      const { currentRate } = bob.mesh.metrics().peers[0]?.rate ?? assert.fail();
      const { perSecond } = DEFAULT_LIMITS.rates.frames;
      assert.ok(currentRate < perSecond * 0.6, `${currentRate} frames a second after what was refused`);
      assert.ok(
        bob.framesFrom(1).every((frame) => frame.type === FrameType.DONE && frame.payload.length === 0),
      );
    });
  });
}

/** A server that pretends to be a party, for what a dialler must refuse. */
const LISTENERS:
  readonly (readonly [string, (authority: CertifiedKey) => Promise<CertifiedKey>, LinkCode])[] = [
    [
      "an expired certificate",
      (ca) => badLeaf(ca, "bob", { notAfter: new Date(Date.now() - 1_000) }),
      "CERT_REFUSED",
    ],
    ["a certificate of a foreign authority", () => badLeaf(foreign, "bob"), "CERT_REFUSED"],
    ["a certificate without extended key usage", (ca) => badLeaf(ca, "bob", { usage: null }), "CERT_USAGE"],
    ["a certificate for clients only", (ca) => badLeaf(ca, "bob", { usage: [CLIENT_AUTH] }), "CERT_REFUSED"],
    ["a certificate that is not pinned", (ca) => badLeaf(ca, "bob"), "PIN_MISMATCH"],
    [
      "another party's certificate",
      () => Promise.resolve(world.leaves.get(partyId(3)) as CertifiedKey),
      "PEER_IDENTITY_MISMATCH",
    ],
  ];

const LISTENER_ROWS: Partial<Record<LinkCode, string>> = { PEER_IDENTITY_MISMATCH: "T2", PIN_MISMATCH: "T2" };

for (const [what, make, code] of LISTENERS) {
  Deno.test(`${LISTENER_ROWS[code] ?? "T1"} Mesh refuses a listener that shows ${what}`, async () => {
    const leaf = await make(world.authority);
    const { createServer } = await import("node:tls");
    const server = createServer({
      cert: leaf.certPem,
      key: leaf.keyPem,
      ca: world.authority.certPem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const sockets = new Set<net.Socket>();
    server.on("connection", (socket: net.Socket) => sockets.add(socket));
    server.on("secureConnection", (socket) => socket.on("error", () => {}));
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port } = server.address() as net.AddressInfo;
    const pins = what.includes("not pinned")
      ? world.pins
      : new Map(world.pins).set(partyId(2), [(leaf as { pin?: string }).pin ?? "sha256/none"]);
    try {
      await withNodes(world, [1], async (nodes) => {
        const alice = nodes.get(1) as Node;
        const event = await alice.logged(code);
        assert.equal(event.direction, "out");
        assert.equal(event.peer, "bob");
        assert.deepEqual(alice.events, []);
      }, () => ({ peers: [partyId(2)], pins, addressOf: () => `127.0.0.1:${port}` }));
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });
}

Deno.test("T5 Mesh lets a good peer in while slow and hostile connections are open", async () => {
  const limits = { strangersPerAddress: 8, strangersTotal: 16 };
  await againstBob(async (bob, port) => {
    const opened: { destroy(): void }[] = [];
    // Some say nothing at all, some send part of a handshake, some finish TLS and dribble a HELLO.
    for (let i = 0; i < 12; i++) opened.push((await rawTcp(port)).socket);
    for (let i = 0; i < 4; i++) {
      const { socket } = await rawTcp(port);
      socket.write(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01));
      opened.push(socket);
    }
    const dribblers: RawPeer[] = [];
    const timers: ReturnType<typeof setInterval>[] = [];
    for (let i = 0; i < 3; i++) {
      const peer = await new RawPeer(world, { port }).secure();
      const bytes = encodePlainFrame(peer.fields(FrameType.HELLO), peer.exchange().own);
      let at = 0;
      timers.push(setInterval(() => peer.closed || peer.socket.write(bytes.subarray(at, ++at)), 20));
      dribblers.push(peer);
    }
    const good = new RawPeer(world, { port });
    assert.ok(await good.up());
    await bob.upWith(1);
    await bob.logged("EVICTED", 11);
    await Promise.all(dribblers.map((peer) => peer.untilClosed()));
    await bob.logged("DEADLINE_HELLO", 3);
    await bob.logged("DEADLINE_TLS", 3);
    assert.ok(bob.isUp(1));
    for (const timer of timers) clearInterval(timer);
    for (const socket of [...opened, ...dribblers, good]) socket.destroy();
  }, { limits: { ...limits, helloDeadlineMs: 400, tlsDeadlineMs: 500 } });
});

Deno.test("Mesh refuses its own certificate as SELF_CONNECT", async () => {
  await againstBob(async (bob, port) => {
    await expectRefused(bob, new RawPeer(world, { port, self: 2 }), "SELF_CONNECT");
  });
});

Deno.test("TlsListener refuses whom the runtime does not authorize, even where our own check is satisfied", async () => {
  const alice = world.leaves.get(partyId(1)) as CertifiedKey;
  const { promise, resolve } = Promise.withResolvers<string>();
  const listener = new TlsListener({
    material: { ...alice, authoritiesPem: world.authority.certPem },
    policy: {
      check: () => ({ party: partyId(2), fingerprint: new Uint8Array(32) }),
    } as unknown as LeafPolicy,
    limits: DEFAULT_LIMITS,
    accepted: () => resolve("accepted"),
    refused: (_address, fault) => resolve(fault.code),
  });
  const port = await listener.listen("127.0.0.1", 0);
  const stranger = new RawPeer(world, { port, leaf: await badLeaf(foreign, "bob") });
  assert.equal(await promise, "CERT_REFUSED");
  await stranger.untilClosed();
  await listener.close();
});
