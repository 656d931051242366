import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { EMPTY, utf8 } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import type { RotationLimits } from "../../src/transport/limits.ts";
import { SealedChannel, type Suite } from "../../src/transport/sealed_channel.ts";

const rng = seededRng("master key");
const MASTER = rng.bytes(32);
const SESSION = rng.bytes(32);
const NEVER = { frames: 2 ** 40, bytes: 2 ** 50, ms: 1e12 };

interface Change {
  readonly suite?: Suite;
  readonly rotation?: RotationLimits;
  readonly now?: () => number;
}

function ends(change: Change = {}): [SealedChannel, SealedChannel] {
  const make = (role: "dialler" | "listener") =>
    SealedChannel.fromMasterKey(MASTER, { role, sessionId: SESSION, ...change });
  return [make("dialler"), make("listener")];
}

for (const suite of [1, 2] as const) {
  Deno.test(`SealedChannel.encrypt() and decrypt() work in both directions, any size, suite ${suite}`, () => {
    const [alice, bob] = ends({ suite });
    for (const size of [0, 1, 300, 70_000]) {
      const plaintext = rng.bytes(size);
      assert.deepEqual(bob.decrypt(alice.encrypt(plaintext)), plaintext);
      assert.deepEqual(alice.decrypt(bob.encrypt(plaintext)), plaintext);
    }
  });
}

Deno.test("SealedChannel.decrypt() refuses what came before, also across a rotation, and opens what follows", () => {
  const [alice, bob] = ends();
  const [first, second] = [alice.encrypt(utf8("one")), alice.encrypt(utf8("two"))];
  bob.decrypt(second);
  for (const old of [first, second]) assert.throws(() => bob.decrypt(old), { code: "CHANNEL_REPLAY" });
  alice.rotateKeys();
  bob.decrypt(alice.encrypt(utf8("three")));
  for (const old of [first, second]) assert.throws(() => bob.decrypt(old), { code: "CHANNEL_REPLAY" });
  assert.equal(bob.receiveEpoch, 1);
  bob.decrypt(alice.encrypt(utf8("four")));
});

Deno.test("SealedChannel.decrypt() refuses every changed, cut or longer message, and stays usable", () => {
  const [alice, bob] = ends();
  const sealed = alice.encrypt(utf8("hello"));
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice();
    changed[at] = (changed[at] as number) ^ 0x10;
    assert.throws(() => bob.decrypt(changed), { code: /CHANNEL_(INVALID|REPLAY)/ }, `byte ${at}`);
  }
  for (let length = 0; length < sealed.length; length++) {
    assert.throws(() => bob.decrypt(sealed.subarray(0, length)), { code: "CHANNEL_INVALID" });
  }
  assert.throws(() => bob.decrypt(new Uint8Array([...sealed, 0])), { code: "CHANNEL_INVALID" });
  assert.deepEqual(bob.decrypt(sealed), utf8("hello"));
});

Deno.test("SealedChannel.decrypt() refuses a message of its own, of another session, key or suite", () => {
  const [alice, bob] = ends();
  const refuses = (channel: SealedChannel) =>
    assert.throws(() => channel.decrypt(alice.encrypt(utf8("x"))), { code: "CHANNEL_INVALID" });
  refuses(alice);
  refuses(SealedChannel.fromMasterKey(MASTER, { role: "listener", sessionId: rng.bytes(32) }));
  refuses(SealedChannel.fromMasterKey(rng.bytes(32), { role: "listener", sessionId: SESSION }));
  refuses(ends({ suite: 1 })[1]);
  bob.decrypt(alice.encrypt(utf8("x")));
});

Deno.test("SealedChannel.decrypt() needs the associated data that encrypt() was given", () => {
  for (const suite of [1, 2] as const) {
    const [alice, bob] = ends({ suite });
    const sealed = alice.encrypt(utf8("pay"), utf8("account 5"));
    for (const other of [EMPTY, utf8("account 6")]) {
      assert.throws(() => bob.decrypt(sealed, other), { code: "CHANNEL_INVALID" });
    }
    assert.deepEqual(bob.decrypt(sealed, utf8("account 5")), utf8("pay"));
    assert.throws(() => bob.decrypt(alice.encrypt(utf8("x")), utf8("y")), { code: "CHANNEL_INVALID" });
  }
});

Deno.test("SealedChannel rotates by count, bytes and time, in both directions at once, and loses nothing", () => {
  let now = 0;
  const [alice, bob] = ends({ rotation: { ...NEVER, frames: 5, bytes: 2_000, ms: 1_000 }, now: () => now });
  const order = seededRng("order");
  for (let i = 0; i < 400; i++) {
    now += (order.bytes(1)[0] as number) * 4;
    const plaintext = order.bytes(order.bytes(1)[0] as number * 4);
    const [from, to] = (order.bytes(1)[0] as number) % 2 === 0 ? [alice, bob] : [bob, alice];
    assert.deepEqual(to.decrypt(from.encrypt(plaintext)), plaintext);
  }
  assert.ok(alice.sendEpoch > 30 && bob.sendEpoch > 30);
  assert.equal(alice.sendEpoch, bob.receiveEpoch);
});

Deno.test("SealedChannel.rotateKeys() changes the keys of the next message, once however often it is called", () => {
  const [alice, bob] = ends();
  for (let i = 0; i < 3; i++) alice.rotateKeys();
  assert.equal(alice.sendEpoch, 0);
  bob.decrypt(alice.encrypt(EMPTY));
  bob.decrypt(alice.encrypt(EMPTY));
  assert.deepEqual([alice.sendEpoch, bob.receiveEpoch, bob.sendEpoch], [1, 1, 0]);
});

Deno.test("SealedChannel.computeMac() is HMAC-SHA-256 under a key of both ends, and verifyMac() accepts nothing else", () => {
  const [alice, bob] = ends();
  const data = utf8("data");
  const mac = alice.computeMac(data);
  assert.equal(mac.length, 32);
  alice.rotateKeys();
  bob.decrypt(alice.encrypt(EMPTY));
  assert.ok(bob.verifyMac(data, mac), "no rotation changes it");
  assert.ok(!bob.verifyMac(utf8("date"), mac));
  assert.ok(!bob.verifyMac(data, mac.subarray(0, 31)));
  mac[31] = (mac[31] as number) ^ 1;
  assert.ok(!bob.verifyMac(data, mac));
  const foreign = createHmac("sha256", MASTER).update(data).digest();
  assert.ok(!bob.verifyMac(data, foreign), "the master key itself is not the key");
});

Deno.test("SealedChannel refuses everything once it was closed, and a second close", () => {
  const [alice, bob] = ends();
  const sealed = bob.encrypt(utf8("x"));
  alice.close();
  alice.close();
  for (
    const use of [
      () => alice.encrypt(EMPTY),
      () => alice.decrypt(sealed),
      () => alice.computeMac(EMPTY),
      () => alice.verifyMac(EMPTY, EMPTY),
    ]
  ) assert.throws(use, { code: "CHANNEL_CLOSED" });
  const fields = { type: 8, from: 1, to: 2, sequence: 0, timestamp: 0, session: new Uint8Array(16) };
  assert.throws(() => alice.seal(fields, EMPTY), { code: "INVARIANT" }, "its keys are zeros now");
});

Deno.test("SealedChannel.fromMasterKey() refuses short keys and session ids, and leaves the caller's key as it is", () => {
  const options = { role: "dialler", sessionId: SESSION } as const;
  assert.throws(() => SealedChannel.fromMasterKey(new Uint8Array(31), options), { code: "USAGE" });
  assert.throws(() => SealedChannel.fromMasterKey(MASTER, { ...options, sessionId: new Uint8Array(15) }), {
    code: "USAGE",
  });
  const key = MASTER.slice();
  SealedChannel.fromMasterKey(key, options).close();
  assert.deepEqual(key, MASTER);
});
