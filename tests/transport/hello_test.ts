import assert from "node:assert/strict";
import { type Bytes, concat } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import {
  type Ed25519Signer,
  ed25519Signer,
  type Ed25519Verifier,
  ed25519Verifier,
} from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { type Hello, HelloCodec, type HelloContext, HelloExchange } from "../../src/transport/hello.ts";

const rng = seededRng("hello");
const [aliceKey, bobKey, malloryKey] = [1, 2, 3].map(() => ed25519Signer(rng.bytes(32))) as [
  Ed25519Signer,
  Ed25519Signer,
  Ed25519Signer,
];
const aliceIdentity = ed25519Verifier(aliceKey.publicKey) as Ed25519Verifier;
const bobIdentity = ed25519Verifier(bobKey.publicKey) as Ed25519Verifier;
const BINDING = { exporterClient: rng.bytes(32), exporterServer: rng.bytes(32) };
const CLUSTER = rng.bytes(32);
const ROSTER = rng.bytes(32);
const ALICE_LEAF = rng.bytes(32);
const BOB_LEAF = rng.bytes(32);

function alice(change: Partial<HelloContext> = {}): HelloExchange {
  return new HelloExchange(
    {
      role: "dialler",
      self: 1,
      peer: 2,
      clusterHash: CLUSTER,
      rosterHash: ROSTER,
      ownLeafSha256: ALICE_LEAF,
      peerLeafSha256: BOB_LEAF,
      bootId: rng.bytes(16),
      ...change,
    },
    rng,
    1_800_000_000_000,
  );
}

function bob(change: Partial<HelloContext> = {}): HelloExchange {
  return alice({
    role: "listener",
    self: 2,
    peer: 1,
    ownLeafSha256: BOB_LEAF,
    peerLeafSha256: ALICE_LEAF,
    ...change,
  });
}

function edited(hello: Bytes, change: Partial<Hello>): Bytes {
  return encode(HelloCodec, { ...decode(HelloCodec, hello), ...change });
}

Deno.test("HelloExchange makes both sides derive the same key, and different ones per connection", () => {
  const keys = [0, 1].map(() => {
    const [a, b] = [alice(), bob()];
    assert.equal(a.receive(b.own).suite, 2);
    assert.equal(b.receive(a.own).suite, 2);
    b.verify(a.acknowledge(BINDING, aliceKey), BINDING, aliceIdentity);
    a.verify(b.acknowledge(BINDING, bobKey), BINDING, bobIdentity);
    assert.deepEqual(a.deriveKey(BINDING), b.deriveKey(BINDING));
    return a.deriveKey(BINDING).toHex();
  });
  assert.notEqual(keys[0], keys[1]);
});

Deno.test("HelloExchange takes the best suite that both have, and refuses where there is none", () => {
  assert.equal(bob().receive(alice({ suites: [1] }).own).suite, 1);
  assert.equal(bob({ suites: [1] }).receive(alice().own).suite, 1);
  assert.equal(bob().receive(edited(alice().own, { suites: [9, 2, 1] })).suite, 2);
  for (const suites of [[], [3]]) {
    assert.throws(() => bob().receive(edited(alice().own, { suites })), { code: "HELLO_SUITE" });
  }
});

Deno.test("HelloExchange accepts another roster hash and reports it", () => {
  const rosterHash = rng.bytes(32);
  assert.deepEqual(bob().receive(alice({ rosterHash }).own).hello.rosterHash, rosterHash);
});

const BAD_FIELDS: readonly (readonly [string, Partial<Hello>, string])[] = [
  ["another sender than the certificate", { from: 3 }, "HELLO_FROM"],
  ["another receiver", { to: 3 }, "HELLO_TO"],
  ["the receiver's own role", { role: 1 }, "HELLO_ROLE"],
  ["a role that does not exist", { role: 2 }, "HELLO_ROLE"],
  ["another cluster", { clusterHash: rng.bytes(32) }, "HELLO_CLUSTER"],
  ["another certificate of the sender", { ownLeafSha256: rng.bytes(32) }, "HELLO_FINGERPRINT"],
  ["another certificate of the receiver", { peerLeafSha256: rng.bytes(32) }, "HELLO_FINGERPRINT"],
  ["only newer versions", { versionMin: 2, versionMax: 9 }, "HELLO_VERSION"],
  ["only older versions", { versionMin: 0, versionMax: 0 }, "HELLO_VERSION"],
];

for (const [what, change, code] of BAD_FIELDS) {
  Deno.test(`HelloExchange.receive() refuses a HELLO with ${what}`, () => {
    assert.throws(() => bob().receive(edited(alice().own, change)), { code });
  });
}

Deno.test("HelloExchange.receive() judges in the order of WIRE.md 2", () => {
  const change: Partial<Hello> = {};
  for (const [, field, code] of [...BAD_FIELDS].reverse()) {
    Object.assign(change, field);
    assert.throws(() => bob().receive(edited(alice().own, change)), { code });
  }
});

Deno.test("HelloExchange.receive() refuses bytes that are not exactly a HELLO", () => {
  const { own } = alice();
  for (const bytes of [new Uint8Array(), own.slice(0, -1), concat(own, Uint8Array.of(0))]) {
    assert.throws(() => bob().receive(bytes), { code: "HELLO_INVALID" });
  }
});

Deno.test("HelloExchange.receive() refuses its own HELLO reflected", () => {
  const b = bob();
  assert.throws(() => b.receive(b.own), { code: "HELLO_FROM" });
});

Deno.test("HelloExchange.verify() refuses another key's signature, and one with another role", () => {
  const [a, b] = [alice(), bob()];
  a.receive(b.own);
  b.receive(a.own);
  assert.throws(() => b.verify(a.acknowledge(BINDING, malloryKey), BINDING, aliceIdentity), {
    code: "HELLO_SIGNATURE",
  });
  // b's own acknowledgement, signed with alice's key as a confused deputy would: the role differs.
  assert.throws(() => b.verify(b.acknowledge(BINDING, aliceKey), BINDING, aliceIdentity), {
    code: "HELLO_SIGNATURE",
  });
  assert.throws(() => b.verify(new Uint8Array(64), BINDING, aliceIdentity), { code: "HELLO_SIGNATURE" });
  assert.throws(() => b.verify(new Uint8Array(0), BINDING, aliceIdentity), { code: "HELLO_SIGNATURE" });
  b.verify(a.acknowledge(BINDING, aliceKey), BINDING, aliceIdentity);
});

Deno.test("HelloExchange.verify() refuses a HELLO and signature of an earlier connection", () => {
  const [a, b] = [alice(), bob()];
  a.receive(b.own);
  const recorded = { hello: a.own, ack: a.acknowledge(BINDING, aliceKey) };
  const again = bob();
  again.receive(recorded.hello);
  assert.throws(() => again.verify(recorded.ack, BINDING, aliceIdentity), { code: "HELLO_SIGNATURE" });
});

Deno.test("HelloExchange.verify() refuses a signature made for another TLS connection", () => {
  const [a, b] = [alice(), bob()];
  a.receive(b.own);
  b.receive(a.own);
  for (const name of ["exporterClient", "exporterServer"] as const) {
    const other = { ...BINDING, [name]: rng.bytes(32) };
    assert.throws(() => b.verify(a.acknowledge(other, aliceKey), BINDING, aliceIdentity), {
      code: "HELLO_SIGNATURE",
    });
  }
});

Deno.test("HelloExchange.verify() refuses where any field of either HELLO was changed on the way", () => {
  const changes: readonly Partial<Hello>[] = [
    { suites: [1] },
    { versionMax: 2 },
    { versionMin: 0 },
    { rosterHash: rng.bytes(32) },
    { bootId: rng.bytes(16) },
    { nonce: rng.bytes(32) },
    { clock: 5n },
    { eph: rng.bytes(32) },
  ];
  for (const change of changes) {
    const [a, b] = [alice(), bob()];
    a.receive(b.own);
    b.receive(edited(a.own, change));
    assert.throws(() => b.verify(a.acknowledge(BINDING, aliceKey), BINDING, aliceIdentity), {
      code: "HELLO_SIGNATURE",
    });
    const [c, d] = [alice(), bob()];
    c.receive(edited(d.own, change));
    d.receive(c.own);
    assert.throws(() => d.verify(c.acknowledge(BINDING, aliceKey), BINDING, aliceIdentity), {
      code: "HELLO_SIGNATURE",
    });
  }
});

Deno.test("HelloExchange.deriveKey() refuses a key of small order", () => {
  const b = bob();
  b.receive(edited(alice().own, { eph: new Uint8Array(32) }));
  assert.throws(() => b.deriveKey(BINDING), { code: "HELLO_KEY" });
});

Deno.test("HelloExchange.verify() refuses a HELLO_ACK before the HELLO", () => {
  assert.throws(() => bob().verify(new Uint8Array(64), BINDING, aliceIdentity), { code: "FRAME_UNEXPECTED" });
});
