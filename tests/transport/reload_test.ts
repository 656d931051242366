import assert from "node:assert/strict";
import net from "node:net";
import type tls from "node:tls";
import { X509Certificate } from "node:crypto";
import { partyId } from "../../src/base/brands.ts";
import {
  type CertifiedKey,
  createAuthority,
  createRevocationList,
  issueLeaf,
} from "../../src/pki/authority.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { type LinkCode, LinkFault } from "../../src/transport/faults.ts";
import { LinkGuard } from "../../src/transport/link_guard.ts";
import type { MeshMaterial } from "../../src/transport/mesh.ts";
import type { CheckedLeaf, LeafPolicy } from "../../src/transport/peer_identity.ts";
import { badLeaf, DAY_MS } from "./bad_leaf.ts";
import { RawPeer } from "./raw_peer.ts";
import { CLUSTER, frameOf, makeWorld, type Node, withNodes, type World } from "./world.ts";

const world = await makeWorld(3);
const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const NAMES = new Map([[ALICE, "alice"], [BOB, "bob"], [CAROL, "carol"]]);

/** What a party has on its disk. */
function material(
  self: number,
  change: Partial<MeshMaterial["tls"]> & Partial<Omit<MeshMaterial, "tls">> = {},
): MeshMaterial {
  const { certPem, keyPem, authoritiesPem, ...rest } = change;
  const leaf = world.leaves.get(partyId(self)) as CertifiedKey;
  return {
    tls: {
      certPem: certPem ?? leaf.certPem,
      keyPem: keyPem ?? leaf.keyPem,
      authoritiesPem: authoritiesPem ?? world.authority.certPem,
    },
    pins: world.pins,
    ...rest,
  };
}

function renewed(authority: CertifiedKey, party: number): Promise<CertifiedKey> {
  return issueLeaf({
    authority,
    cluster: CLUSTER,
    party: NAMES.get(partyId(party)) as string,
    host: "127.0.0.1",
  });
}

/** The pins of all parties, with these beside them. */
function pinsWith(...more: readonly (readonly [party: number, leaf: CertifiedKey])[]): MeshMaterial["pins"] {
  const pins = new Map(world.pins);
  for (const [party, { certPem }] of more) {
    pins.set(partyId(party), [...pins.get(partyId(party)) ?? [], pinOf(certPem)]);
  }
  return pins;
}

async function linked(
  test: (nodes: readonly [alice: Node, bob: Node, carol: Node]) => Promise<void>,
  limits = {},
): Promise<void> {
  await withNodes(world, [1, 2, 3], async (nodes) => {
    const all = [nodes.get(1), nodes.get(2), nodes.get(3)] as unknown as [Node, Node, Node];
    await Promise.all(all.map((node, i) => node.upWith(...[1, 2, 3].filter((peer) => peer !== i + 1))));
    await test(all);
  }, () => ({ limits }));
}

const statusOf = (node: Node, peer: number) => node.mesh.status().find((status) => status.peer === peer);
const downsOf = (node: Node) => node.events.filter(({ kind }) => kind === "down").length;
/** The certificate that a listener shows now. */
async function shownBy(node: Node, as: number): Promise<string> {
  const peer = await new RawPeer(world, { port: node.mesh.port as number, self: as }).secure();
  const fingerprint = peer.socket.getPeerCertificate().fingerprint256;
  peer.destroy();
  return fingerprint;
}

Deno.test("T4 Mesh.reload() takes renewed certificates and a second authority while links stay and frames go on", async () => {
  const second = await createAuthority({ cluster: CLUSTER, generation: 2 });
  const both = world.authority.certPem + second.certPem;
  const next = [await renewed(second, 1), await renewed(second, 2), await renewed(second, 3)] as const;
  const pins = pinsWith([1, next[0]], [2, next[1]], [3, next[2]]);
  await linked(async (nodes) => {
    const [alice, bob] = nodes;
    let sent = 0;
    const exchange = async () => {
      for (let i = 0; i < 5; i++, sent++) assert.ok(alice.mesh.send(BOB, frameOf(`${sent}`)));
      await bob.until(() => bob.framesFrom(1).length === sent);
    };
    await exchange();
    // The bundle and the pins first, at all; then each party its certificate.
    for (const [i, node] of nodes.entries()) {
      node.mesh.reload(material(i + 1, { authoritiesPem: both, pins }));
    }
    await exchange();
    for (const [i, node] of nodes.entries()) {
      node.mesh.reload(material(i + 1, { ...next[i], authoritiesPem: both, pins }));
      await exchange();
    }
    assert.deepEqual(nodes.map(downsOf), [0, 0, 0]);
    assert.equal(statusOf(alice, 2)?.certificate?.pin, world.pins.get(BOB)?.[0]);
    // A link that is made anew, here from its listening end, uses the new certificates of both.
    bob.mesh.closeLink(ALICE, "TEST", "made anew");
    await alice.until(() => downsOf(alice) === 1 && alice.isUp(2));
    await bob.until(() => bob.isUp(1));
    assert.equal(statusOf(alice, 2)?.certificate?.pin, pinOf(next[1].certPem));
    assert.equal(statusOf(bob, 1)?.certificate?.pin, pinOf(next[0].certPem));
    assert.equal(
      statusOf(bob, 1)?.certificate?.notAfter,
      Date.parse(new X509Certificate(next[0].certPem).validTo),
    );
    await exchange();
  });
});

Deno.test("T4 Mesh.reload() without the first authority ends links made with it, and refuses its certificates", async () => {
  const second = await createAuthority({ cluster: CLUSTER, generation: 2 });
  const next = [await renewed(second, 1), await renewed(second, 2), await renewed(second, 3)] as const;
  const pins = pinsWith([1, next[0]], [2, next[1]], [3, next[2]]);
  await linked(async (nodes) => {
    const [alice, bob, carol] = nodes;
    const both = world.authority.certPem + second.certPem;
    // Carol has missed the renewal.
    for (const [i, node] of nodes.entries()) {
      node.mesh.reload(material(i + 1, { ...(node === carol ? {} : next[i]), authoritiesPem: both, pins }));
    }
    for (const [i, node] of [alice, bob].entries()) {
      node.mesh.reload(material(i + 1, { ...next[i], authoritiesPem: second.certPem, pins }));
      assert.ok(node.mesh.status().every(({ state }) => state === "down" || node === bob));
    }
    await alice.until(() => statusOf(alice, 2)?.certificate?.pin === pinOf(next[1].certPem));
    await bob.until(() => statusOf(bob, 1)?.certificate?.pin === pinOf(next[0].certPem));
    await alice.until(() => alice.log.some(({ code, peer }) => /^CERT_/.test(code) && peer === "carol"));
    assert.equal(statusOf(alice, 3)?.state, "down");
    // A certificate of the first authority, with a pinned key, at bob's door.
    const port = bob.mesh.port as number;
    const old = new RawPeer(world, { port, self: 1, tls: { ca: second.certPem } });
    await bob.logged("CERT_UNKNOWN_CA");
    await old.untilClosed();
  });
});

Deno.test("T1 Mesh.reload() with a list that revokes a party ends its link in the same call, and lets it in no more", async () => {
  const carol = (world.leaves.get(CAROL) as CertifiedKey).certPem;
  const revocationListsPem = await createRevocationList({
    authority: world.authority,
    revoked: [carol],
    number: 1,
  });
  await linked(async ([alice, bob, outcast]) => {
    for (const [i, node] of [alice, bob].entries()) {
      assert.equal(statusOf(node, 3)?.state, "up");
      node.mesh.reload(material(i + 1, { revocationListsPem }));
      const { state, lastFault } = statusOf(node, 3) ?? {};
      assert.deepEqual([state, lastFault?.code], ["down", "CERT_REVOKED"]);
      assert.equal(statusOf(node, 2 - i)?.state, "up");
    }
    // Dialled by alice and bob, and dialling bob itself.
    await outcast.until(() => !outcast.isUp(1) && !outcast.isUp(2));
    const refusals = alice.log.filter(({ code }) => code === "CERT_REVOKED").length;
    await alice.logged("CERT_REVOKED", refusals + 2);
    const raw = new RawPeer(world, { port: bob.mesh.port as number, self: 3 });
    await bob.until(() => bob.log.some(({ code, peer }) => code === "CERT_REVOKED" && peer === undefined));
    await raw.untilClosed();
    assert.deepEqual([downsOf(alice), downsOf(bob)], [1, 1]);
    // Taken off the list by nobody: an older list, and none, are refused.
    const older = await createRevocationList({
      authority: world.authority,
      revoked: [],
      number: 2,
      thisUpdate: new Date(Date.now() - DAY_MS),
    });
    assert.throws(() => alice.mesh.reload(material(1, { revocationListsPem: older })), {
      code: "IDENTITY_INVALID",
      message: /older than the one in use/,
    });
    assert.throws(() => alice.mesh.reload(material(1)), { message: /that is in use is gone/ });
    await alice.logged("CERT_REVOKED", refusals + 4);
    assert.equal(statusOf(alice, 3)?.state, "down");
  }, { retryMaxMs: 50 });
});

Deno.test("Mesh.reload() without a party's pin ends its link, and no other", async () => {
  await linked(([alice, bob, carol]) => {
    const pins = new Map(world.pins).set(BOB, world.pins.get(CAROL) ?? []);
    alice.mesh.reload(material(1, { pins }));
    assert.deepEqual(alice.mesh.status().map(({ state }) => state), ["down", "up"]);
    assert.equal(statusOf(alice, 2)?.lastFault?.code, "PIN_MISMATCH");
    assert.deepEqual([downsOf(bob), downsOf(carol)], [0, 0]);
    return Promise.resolve();
  });
});

Deno.test("Mesh.reload() refuses what does not belong together, and goes on with what it has", async () => {
  const next = await renewed(world.authority, 2);
  const foreign = await createAuthority({ cluster: CLUSTER });
  const bob = world.leaves.get(BOB) as CertifiedKey;
  const cases: [string, MeshMaterial, RegExp][] = [
    [
      "a key of another certificate",
      material(2, { keyPem: next.keyPem, pins: pinsWith([2, next]) }),
      /does not belong to its/,
    ],
    ["a certificate that is not pinned", material(2, next), /none of the pinned keys/],
    [
      "a certificate of another party",
      material(2, world.leaves.get(ALICE) as CertifiedKey),
      /is that of alice/,
    ],
    [
      "an authority that did not issue it",
      material(2, { authoritiesPem: foreign.certPem }),
      /no configured authority/,
    ],
    ["half a file", material(2, { certPem: bob.certPem.slice(0, 300) }), /is not a PEM certificate/],
    ["no file", material(2, { keyPem: "" }), /does not belong to its/],
    [
      "a list of another authority",
      material(2, {
        revocationListsPem: await createRevocationList({ authority: foreign, revoked: [], number: 1 }),
      }),
      /not signed by a configured authority/,
    ],
  ];
  await linked(async ([_alice, node]) => {
    const before = await shownBy(node, 1);
    for (const [what, wrong, message] of cases) {
      assert.throws(() => node.mesh.reload(wrong), { code: "IDENTITY_INVALID", message }, what);
    }
    assert.equal(await shownBy(node, 1), before);
    assert.equal(node.log.filter(({ code }) => code === "RELOADED").length, 0);
    assert.equal(downsOf(node), 0);
  });
});

Deno.test("Mesh.reload() leaves the door locked: a stranger is refused with the new certificate", async () => {
  const next = await renewed(world.authority, 2);
  await linked(async ([_alice, bob]) => {
    bob.mesh.reload(material(2, { ...next, pins: pinsWith([2, next]) }));
    const port = bob.mesh.port as number;
    assert.equal(await shownBy(bob, 1), new X509Certificate(next.certPem).fingerprint256);
    for (
      const [leaf, code] of [[null, "CERT_MISSING"], [
        await badLeaf(world.authority, "alice"),
        "PIN_MISMATCH",
      ]] as const
    ) {
      const stranger = new RawPeer(world, { port, leaf });
      await bob.logged(code);
      await stranger.untilClosed();
    }
  });
});

Deno.test("Mesh.reload() lets a handshake end with the certificate that it began with", async () => {
  const next = await renewed(world.authority, 2);
  await withNodes(world, [2], async (nodes) => {
    const bob = nodes.get(2) as Node;
    // TCP first: the listener fixes what it shows when a connection comes.
    const socket = net.connect(bob.mesh.port as number, "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    await bob.until(() => bob.mesh.metrics().strangers === 1);
    bob.mesh.reload(material(2, { ...next, pins: pinsWith([2, next]) }));
    const alice = new RawPeer(world, { port: 0, tls: { socket } as unknown as tls.ConnectionOptions });
    await alice.secure();
    assert.equal(
      alice.socket.getPeerCertificate().fingerprint256,
      new X509Certificate((world.leaves.get(BOB) as CertifiedKey).certPem).fingerprint256,
    );
    assert.ok(await alice.up());
    await bob.upWith(1);
    alice.destroy();
  }, () => ({ peers: [ALICE] }));
});

Deno.test("Mesh.reload() judges a certificate that was shown before by what holds now", async () => {
  const alice = (world.leaves.get(ALICE) as CertifiedKey).certPem;
  const revocationListsPem = await createRevocationList({
    authority: world.authority,
    revoked: [alice],
    number: 1,
  });
  await withNodes(world, [2], async (nodes) => {
    const bob = nodes.get(2) as Node;
    // After TLS, before HELLO: nothing counts as a link yet.
    const early = await new RawPeer(world, { port: bob.mesh.port as number }).secure();
    await early.receive();
    bob.mesh.reload(material(2, { revocationListsPem }));
    await bob.logged("CERT_REVOKED");
    await early.untilClosed();
  }, () => ({ peers: [ALICE] }));
});

Deno.test("T4 Mesh ends a link when one of its certificates expires, and refuses it from then on", async () => {
  const leaf = await badLeaf(world.authority, "bob", { notAfter: new Date(Date.now() + 4_000) });
  const shortlived: World = {
    ...world,
    leaves: new Map(world.leaves).set(BOB, leaf),
    pins: new Map(world.pins).set(BOB, [leaf.pin]),
  };
  await withNodes(shortlived, [1, 2], async (nodes) => {
    const [alice, bob] = [nodes.get(1), nodes.get(2)] as [Node, Node];
    await Promise.all([alice.upWith(2), bob.upWith(1)]);
    assert.equal(statusOf(alice, 2)?.certificate?.pin, leaf.pin);
    await alice.until(() => downsOf(alice) === 1);
    await bob.until(() => downsOf(bob) === 1);
    // Whichever clock was first: one names the expiry, the other sees the end.
    const why = [alice, bob].flatMap((node) => node.log.filter(({ code }) => code === "CERT_EXPIRED"));
    assert.ok(why.length > 0);
    await alice.until(() =>
      alice.log.some(({ code, direction }) => /^CERT_(EXPIRED|REFUSED)$/.test(code) && direction === "out")
    );
    assert.equal(statusOf(alice, 2)?.state, "down");
  }, (self) => ({ peers: [ALICE, BOB].filter((peer) => peer !== self) }));
});

Deno.test("LinkGuard ends a link at the earlier of its two dates, and none that it does not watch any more", async () => {
  const leaf = (inMs: number) => ({ notAfter: Date.now() + inMs }) as CheckedLeaf;
  for (const [own, peer, match] of [[20, DAY_MS, /this node's/], [DAY_MS, 20, /the peer's/]] as const) {
    const guard = new LinkGuard();
    const text = await new Promise<string>((resolve) => {
      const link = { close() {}, closeGently: (code: string, text: string) => resolve(`${code} ${text}`) };
      guard.add(link, { own: leaf(own), peer: leaf(peer) });
    });
    assert.match(text, /^CERT_EXPIRED/);
    assert.match(text, match);
  }
  const guard = new LinkGuard();
  const link = { close: () => assert.fail(), closeGently: () => assert.fail() };
  guard.add(link, { own: leaf(10), peer: leaf(10) });
  guard.remove(link);
  await new Promise((resolve) => setTimeout(resolve, 50));
});

Deno.test("LinkGuard.judge() ends links at once, but not for dates: an old list is for new links, an expiry has its time", () => {
  const judged = (code: LinkCode) => {
    const guard = new LinkGuard();
    const closed: string[] = [];
    const link = { close: (code: string) => closed.push(code), closeGently: () => assert.fail() };
    const certificate = { notAfter: Date.now() + DAY_MS } as CheckedLeaf;
    guard.add(link, { own: certificate, peer: certificate });
    const policy = {
      check() {
        throw new LinkFault(code);
      },
    } as unknown as LeafPolicy;
    guard.judge(policy);
    guard.remove(link);
    return closed;
  };
  for (const code of ["CERT_REVOKED", "PIN_MISMATCH", "CERT_UNKNOWN_CA", "CERT_NAME"] as const) {
    assert.deepEqual(judged(code), [code]);
  }
  for (const code of ["CERT_EXPIRED", "CERT_NOT_YET_VALID", "CRL_EXPIRED"] as const) {
    assert.deepEqual(judged(code), []);
  }
});
