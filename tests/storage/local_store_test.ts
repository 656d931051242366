import assert from "node:assert/strict";
import { keyId, sessionId } from "../../src/base/brands.ts";
import { Secret } from "../../src/base/secret.ts";
import { CHECK_CRASHES_MAX, PAIR_FAILURES_MAX } from "../../src/storage/local_store.ts";
import {
  BOB,
  burnRecord,
  CAROL,
  checkBegin,
  fails,
  fakeKey,
  id,
  pairRecord,
  Place,
  withKey,
} from "./fixture.ts";

Deno.test("LocalStore keeps keys, certificates and pair states over a restart", () => {
  using place = new Place();
  const expected = fakeKey({ name: "treasury" });
  {
    using store = place.open();
    withKey(store);
    store.settle(expected);
  }
  using store = place.open();
  const entry = store.active("treasury");
  assert.deepEqual(entry.keyId, expected.keyId);
  assert.equal(entry.settled, true);
  assert.deepEqual(entry.certificate, id("certificate"));
  using key = store.openKey(entry);
  assert.deepEqual(key.expose(), expected.key.expose());
  using state = store.pair({ ...entry, peer: BOB }).state;
  assert.deepEqual(state?.expose(), id(`pair ${BOB}`));
  assert.equal(store.pair({ ...entry, peer: CAROL }).status, "absent");
});

Deno.test("LocalStore writes no secret in clear", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  const secrets = [id("share treasury 0"), id(`pair ${BOB}`), id("sealing key")];
  for (const [name, content] of place.snapshot()) {
    const text = Array.from(content, (byte) => String.fromCharCode(byte)).join("");
    for (const secret of secrets) {
      const needle = Array.from(secret, (byte) => String.fromCharCode(byte)).join("");
      assert.ok(!text.includes(needle), `${name} holds a secret`);
    }
  }
  assert.ok(!Deno.inspect(key).includes(id("share treasury 0").toHex()));
});

Deno.test("active() refuses a key that is unknown or pending", () => {
  using place = new Place();
  using store = place.open();
  fails(() => store.active("treasury"), "KEY_UNKNOWN", /there is none/);
  store.write({ kind: "key-pending", ...fakeKey({ name: "treasury" }) });
  fails(() => store.active("treasury"), "KEY_PENDING", /key generate/);
  fails(() => store.active("other"), "KEY_UNKNOWN", /there are treasury/);
});

Deno.test("write() refuses a second key under an active name", () => {
  using place = new Place();
  using store = place.open();
  withKey(store);
  const other = { ...fakeKey({ name: "other" }), name: "treasury" };
  fails(() => store.write({ kind: "key-pending", ...other }), "KEY_EXISTS");
  fails(() => store.write({ kind: "key-pending", ...fakeKey({ name: "treasury" }) }), "KEY_EXISTS");
  assert.equal(store.keys().length, 1);
});

Deno.test("write() refuses to activate a second key under a name, and keeps its share until it is discarded", () => {
  using place = new Place();
  using store = place.open();
  const first = { ...fakeKey({ name: "first" }), name: "treasury" };
  const second = { ...fakeKey({ name: "second" }), name: "treasury" };
  store.write({ kind: "key-pending", ...first });
  store.write({ kind: "key-pending", ...second });
  store.write({ kind: "key-active", keyId: second.keyId, epoch: 0, certificate: id("c") });
  assert.deepEqual(store.active("treasury").keyId, second.keyId);
  {
    using kept = store.openKey(first);
    assert.deepEqual(kept.expose(), first.key.expose(), "somebody may hold its certificate");
  }
  fails(
    () => store.write({ kind: "key-active", keyId: first.keyId, epoch: 0, certificate: id("c") }),
    "KEY_EXISTS",
  );
  fails(() => store.discardPending(second), "KEY_EXISTS", /active in epoch 0/);
  store.discardPending(first);
  assert.deepEqual(store.named("treasury").map((key) => key.keyId), [second.keyId]);
  fails(() => store.discardPending(first), "KEY_UNKNOWN");
});

Deno.test("write() keeps the first certificate of an active key", () => {
  using place = new Place();
  using store = place.open();
  const { keyId } = withKey(store);
  store.write({ kind: "key-active", keyId, epoch: 0, certificate: id("another certificate") });
  assert.deepEqual(store.active("treasury").certificate, id("certificate"));
});

Deno.test("active() gives the newest active epoch while a newer one is pending", () => {
  using place = new Place();
  using store = place.open();
  withKey(store);
  const next = { ...fakeKey({ name: "treasury", epoch: 1 }) };
  store.write({ kind: "key-pending", ...next });
  assert.equal(store.active("treasury").epoch, 0);
  store.write({ kind: "key-active", keyId: next.keyId, epoch: 1, certificate: id("c") });
  assert.equal(store.active("treasury").epoch, 1);
});

Deno.test("write() of a share that is another party's, or fits no key, is a bug and changes nothing", () => {
  using place = new Place();
  using store = place.open();
  assert.throws(
    () => store.write({ kind: "key-pending", ...fakeKey({ name: "treasury", self: 2 }) }),
    /another party/,
  );
  const wrong = { ...fakeKey({ name: "treasury" }), keyId: keyId(id("x")) };
  assert.throws(() => store.write({ kind: "key-pending", ...wrong }), /another key or epoch/);
  assert.deepEqual(store.keys(), []);
});

Deno.test("a burn erases the pair state, survives a restart and refuses everything after it", () => {
  using place = new Place();
  const { keyId } = fakeKey({ name: "treasury" });
  {
    using store = place.open();
    const key = withKey(store);
    store.write(checkBegin(key, "s1"));
    store.write(burnRecord(key, "s1"));
    store.write(burnRecord(key, "s1"));
  }
  assert.deepEqual(place.query("SELECT length(sealed) AS bytes FROM pairs"), [{ bytes: 0 }]);
  using store = place.open();
  const at = { keyId, epoch: 0, peer: BOB };
  assert.deepEqual(store.pair(at), { status: "burned", state: undefined });
  assert.equal(store.burns().length, 1);
  assert.equal(store.burns()[0]?.reason, "the check failed");
  fails(() => store.write(checkBegin(at, "s2")), "PAIR_BURNED", /refresh/);
  fails(() => store.write(pairRecord(at)), "PAIR_BURNED");
  fails(() => store.admitPairSetUp(at), "PAIR_BURNED");
  assert.equal(store.pair(at).status, "burned");
});

Deno.test("check-begin refuses a pair that has no state", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  fails(() => store.write(checkBegin(key, "s1", [BOB, CAROL])), "PAIR_MISSING", /party 3/);
  store.write(checkBegin(key, "s1"));
});

Deno.test("check-begin refuses a second check of the same session", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  store.write(checkBegin(key, "s1"));
  assert.throws(() => store.write(checkBegin(key, "s1")), /once/);
});

Deno.test("crashes inside a check are counted at start, and one too many burns the pair", () => {
  using place = new Place();
  const at = { keyId: fakeKey({ name: "treasury" }).keyId, epoch: 0, peer: BOB };
  {
    using store = place.open();
    withKey(store);
  }
  for (let crash = 1; crash <= CHECK_CRASHES_MAX; crash++) {
    using store = place.open();
    assert.equal(store.pair(at).status, "ok", `before crash ${crash}`);
    store.write(checkBegin(at, `finished ${crash}`));
    store.write({ kind: "check-end", keyId: at.keyId, epoch: 0, sid: sessionId(id(`finished ${crash}`)) });
    store.write(checkBegin(at, `crash ${crash}`));
  }
  {
    using store = place.open();
    assert.equal(store.pair(at).status, "ok", "four crashes are forgiven");
    store.write(checkBegin(at, "crash 5"));
  }
  using store = place.open();
  assert.equal(store.pair(at).status, "burned");
  assert.match(store.burns()[0]?.reason ?? "", /5 times/);
});

Deno.test("pair set-up is refused after three that failed a check, and a good one clears the count", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  const at = { ...key, peer: CAROL };
  for (let i = 1; i < PAIR_FAILURES_MAX; i++) store.pairSetUpFailed(at);
  store.admitPairSetUp(at);
  store.write(pairRecord(key, CAROL));
  for (let i = 1; i < PAIR_FAILURES_MAX; i++) store.pairSetUpFailed(at);
  store.admitPairSetUp(at);
  store.pairSetUpFailed(at);
  fails(() => store.admitPairSetUp(at), "PAIR_LIMIT", /3 times/);
});

Deno.test("write() refuses a pair of a key that is not stored", () => {
  using place = new Place();
  using store = place.open();
  fails(() => store.write(pairRecord(fakeKey({ name: "nothing" }))), "KEY_UNKNOWN");
});

Deno.test("a release is unknown until it is resolved, over a restart", () => {
  using place = new Place();
  const { keyId } = fakeKey({ name: "treasury" });
  const sid = sessionId(id("session"));
  {
    using store = place.open();
    withKey(store);
    store.write({ kind: "release", keyId, epoch: 0, sid, payloadHash: id("payload") });
  }
  using store = place.open();
  assert.deepEqual(store.releases(keyId).map(({ outcome, payloadHash }) => ({ outcome, payloadHash })), [
    { outcome: "unknown", payloadHash: id("payload") },
  ]);
  store.resolvePayload(keyId, id("another payload"));
  assert.equal(store.releases(keyId)[0]?.outcome, "unknown");
  store.resolvePayload(keyId, id("payload"));
  assert.equal(store.releases(keyId)[0]?.outcome, "signed");
});

Deno.test("openKey() refuses a share that does not belong to its public record", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  let fits = true;
  const inspect = (encoded: Uint8Array<ArrayBuffer>) => {
    if (!fits) encoded[38] = 0;
    return place.options().inspect(encoded);
  };
  using store = place.open({ inspect });
  fits = false;
  fails(() => store.openKey(store.active("treasury")), "STORE_CORRUPT", /does not belong to the record/);
});

Deno.test("a passphrase opens the store that it made, and no other does", () => {
  using place = new Place();
  const sealing = (text: string) => ({
    sealing: { kind: "passphrase" as const, passphrase: new Secret(new TextEncoder().encode(text)) },
    scryptLogN: 14,
  });
  {
    using store = place.open(sealing("correct horse"));
    withKey(store);
  }
  fails(() => place.open(sealing("battery staple")), "STORE_CORRUPT", /passphrase/);
  fails(() => place.open(sealing("")), "IDENTITY_INVALID", /empty/);
  fails(() => place.open(), "IDENTITY_INVALID", /sealed with a passphrase/);
  using store = place.open(sealing("correct horse"));
  store.openKey(store.active("treasury"))[Symbol.dispose]();
});
