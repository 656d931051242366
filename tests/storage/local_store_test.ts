import assert from "node:assert/strict";
import { keyId, sessionId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { UsageError } from "../../src/base/errors.ts";
import { Secret } from "../../src/base/secret.ts";
import { BURNED_EPOCHS_MAX, CHECK_CRASHES_MAX, PAIR_FAILURES_MAX } from "../../src/storage/local_store.ts";
import { SIGNING } from "../../src/storage/tables.ts";
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

Deno.test("pair set-up is refused after three that failed a check, and a good one between them counts for nothing", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  const at = { ...key, peer: CAROL };
  for (let i = 1; i < PAIR_FAILURES_MAX; i++) store.pairSetUpFailed(at);
  store.admitPairSetUp(at);
  store.write(pairRecord(key, CAROL));
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

/** Stores the next epoch of a key as PENDING. */
function pendingEpoch(store: ReturnType<Place["open"]>, epoch: number, change: { departs?: boolean } = {}) {
  const next = fakeKey({ name: "treasury", epoch, ...change });
  store.write({ kind: "key-pending", ...next });
  return next;
}

Deno.test("an epoch that becomes active erases the earlier ones in one step: share, pair states and marks, on disk too", () => {
  using place = new Place();
  {
    using store = place.open();
    const key = withKey(store);
    store.write(checkBegin(key, "running"));
    const next = pendingEpoch(store, 1);
    const later = pendingEpoch(store, 2);
    store.write(pairRecord(next, CAROL));
    assert.equal(
      store.pair({ ...key, peer: BOB }).status,
      "ok",
      "the old epoch signs until the new one is certified",
    );
    store.write({ kind: "key-active", keyId: key.keyId, epoch: 1, certificate: id("c1") });
    assert.deepEqual(store.named("treasury").map(({ epoch, state }) => [epoch, state]), [[1, "active"], [
      2,
      "pending",
    ]]);
    fails(() => store.openKey(key), "KEY_UNKNOWN", /epoch 0/);
    assert.equal(
      store.pair({ ...next, peer: CAROL }).status,
      "ok",
      "pair states of the new epoch were stored beside",
    );
    fails(() => store.write(checkBegin(key, "later")), "PAIR_MISSING");
    using kept = store.openKey(later);
    assert.ok(kept.expose().length > 0);
    // The log of changes and the high-water mark are overwritten with the database still open.
    const sealed = place.query("SELECT length(sealed) AS bytes FROM keys ORDER BY epoch");
    assert.equal(sealed.length, 2);
  }
  assert.deepEqual(place.query("SELECT epoch FROM pairs"), [{ epoch: 1 }]);
  assert.deepEqual(place.query("SELECT * FROM check_marks"), []);
  using again = place.open();
  assert.equal(again.active("treasury").epoch, 1);
});

Deno.test("no file of the store holds a sealed share any more once it is erased", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  const find = (needle: Uint8Array) =>
    [...place.snapshot()].filter(([, content]) => content.toHex().includes(needle.toHex())).map(([name]) =>
      name
    );
  const [row] = place.query("SELECT sealed FROM keys");
  const [pair] = place.query("SELECT sealed FROM pairs");
  const secrets = [row?.["sealed"], pair?.["sealed"]] as Uint8Array[];
  for (const sealed of secrets) assert.ok(find(sealed.subarray(-32)).length > 0);
  pendingEpoch(store, 1);
  store.write({ kind: "key-active", keyId: key.keyId, epoch: 1, certificate: id("c1") });
  for (const sealed of secrets) assert.deepEqual(find(sealed.subarray(-32)), []);
});

Deno.test("a crash before the certificate leaves both epochs, and one after it the new one only", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
    pendingEpoch(store, 1);
  }
  {
    using store = place.open();
    assert.deepEqual(store.named("treasury").map(({ epoch, state }) => [epoch, state]), [[0, "active"], [
      1,
      "pending",
    ]]);
    store.write({
      kind: "key-active",
      keyId: fakeKey({ name: "treasury" }).keyId,
      epoch: 1,
      certificate: id("c"),
    });
  }
  const files = place.snapshot();
  {
    using store = place.open();
    assert.deepEqual(store.named("treasury").map(({ epoch, state }) => [epoch, state]), [[1, "active"]]);
    pendingEpoch(store, 2);
    store.write({
      kind: "key-active",
      keyId: fakeKey({ name: "treasury" }).keyId,
      epoch: 2,
      certificate: id("c"),
    });
    pendingEpoch(store, 3);
  }
  // An old share does not come back with an old copy of the database.
  place.restore(files, ["quorate.sqlite"]);
  fails(() => place.open(), "SHARE_ROLLBACK");
});

Deno.test("an epoch is stored once: the same share again changes nothing, another one is a bug", () => {
  using place = new Place();
  using store = place.open();
  withKey(store);
  const next = pendingEpoch(store, 1);
  store.write({ kind: "key-pending", ...next });
  const other = fakeKey({ name: "treasury", epoch: 1, share: "another" });
  assert.throws(() => store.write({ kind: "key-pending", ...other }), /one share/);
  using kept = store.openKey(next);
  assert.deepEqual(kept.expose(), next.key.expose());
});

Deno.test("an epoch below the active one can neither be stored nor activated", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  pendingEpoch(store, 1);
  pendingEpoch(store, 2);
  store.write({ kind: "key-active", keyId: key.keyId, epoch: 2, certificate: id("c") });
  fails(() => pendingEpoch(store, 1), "KEY_EXISTS");
  fails(
    () => store.write({ kind: "key-active", keyId: key.keyId, epoch: 1, certificate: id("c") }),
    "KEY_UNKNOWN",
  );
});

Deno.test("a departure erases the share and leaves a sentence; the name is free for another key", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  const next = pendingEpoch(store, 1, { departs: true });
  assert.equal(store.active("treasury").epoch, 0);
  store.write({ kind: "key-active", keyId: key.keyId, epoch: 1, certificate: id("c") });
  assert.deepEqual(store.named("treasury").map(({ epoch, state }) => [epoch, state]), [[1, "left"]]);
  fails(() => store.active("treasury"), "KEY_UNKNOWN", /left the key treasury in epoch 1/);
  store.write({ kind: "key-active", keyId: key.keyId, epoch: 1, certificate: id("another") });
  assert.deepEqual(store.named("treasury")[0]?.certificate, id("c"), "the first certificate stays");
  store.write({ kind: "key-pending", ...fakeKey({ name: "other" }), name: "treasury" });
  store.write({
    kind: "key-active",
    keyId: fakeKey({ name: "other" }).keyId,
    epoch: 0,
    certificate: id("c"),
  });
  assert.deepEqual(store.active("treasury").keyId, fakeKey({ name: "other" }).keyId);
  using kept = store.openKey(next);
  assert.ok(kept.expose().length > 0);
});

Deno.test("a party that joins a key and crashes before the certificate is told to run the reshare again", () => {
  using place = new Place();
  using store = place.open();
  pendingEpoch(store, 4);
  fails(() => store.active("treasury"), "KEY_PENDING", /key reshare again/);
});

Deno.test("a new epoch lifts a ban, three times for each peer; what a refresh carries on counts as no new one", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  for (let epoch = 0; epoch < BURNED_EPOCHS_MAX; epoch++) {
    const at = { keyId: key.keyId, epoch, peer: BOB };
    store.admitPairSetUp(at);
    store.write(burnRecord({ keyId: key.keyId, epoch }, `s${epoch}`));
    fails(() => store.admitPairSetUp(at), "PAIR_BURNED");
    const carried = pendingEpoch(store, epoch + 1);
    if (epoch === 0) {
      store.write({ ...burnRecord(carried, "carried"), messageHash: new Uint8Array(32) } as never);
      fails(() => store.admitPairSetUp({ ...carried, peer: BOB }), "PAIR_BURNED");
      store.discardPending(carried);
      pendingEpoch(store, epoch + 1);
    }
    store.write({ kind: "key-active", keyId: key.keyId, epoch: epoch + 1, certificate: id("c") });
  }
  const at = { keyId: key.keyId, epoch: BURNED_EPOCHS_MAX, peer: BOB };
  assert.equal(store.pair(at).status, "absent");
  fails(
    () => store.admitPairSetUp(at),
    "PAIR_LIMIT",
    /banned in 3 epochs: replace that party with key reshare/,
  );
  store.admitPairSetUp({ ...at, peer: CAROL });
  assert.equal(store.burns().length, BURNED_EPOCHS_MAX + 1, "why stays for ever");
});

Deno.test("write() lets no release out while signing is paused, nor one of a bound key that nothing looks after", () => {
  using place = new Place();
  using store = place.open();
  const { keyId } = withKey(store);
  const release = (bound?: { readonly txId: string; readonly core: Bytes }) =>
    store.write({
      kind: "release",
      keyId,
      epoch: 0,
      sid: sessionId(id("s")),
      payloadHash: id("payload"),
      ...(bound === undefined ? {} : { bound }),
    });
  store.requireSigning();
  store.ledger.transact((transaction) => transaction.put(SIGNING, { name: "paused", time: 0 }));
  fails(() => store.requireSigning(), "SIGNING_PAUSED", /paused here since 1970-01-01/);
  fails(() => release(), "SIGNING_PAUSED", /an operator has to say quorate resume/);
  store.ledger.transact((transaction) => transaction.remove(SIGNING, { name: "paused", time: 0 }));
  const bound = { txId: "tx", core: id("core") };
  fails(() => release(bound), "APPROVAL_REQUIRED", /nothing here looks after what is approved/);
  const seen: unknown[] = [];
  let mayLeave = false;
  store.guardReleases((transaction, { keyId, epoch, txId, core }) => {
    transaction.put(SIGNING, { name: "clock", time: 7 });
    seen.push([keyId, epoch, txId, core]);
    if (!mayLeave) throw new UsageError("APPROVAL_EXPIRED", "too late");
  });
  fails(() => release(bound), "APPROVAL_EXPIRED", /too late/);
  assert.deepEqual([store.releases(keyId).length, store.ledger.find(SIGNING, {})], [0, []]);
  mayLeave = true;
  release(bound);
  assert.deepEqual(seen.at(-1), [keyId, 0, "tx", id("core")]);
  assert.deepEqual([store.releases(keyId).length, store.ledger.find(SIGNING, {}).length], [1, 1]);
  release();
  assert.equal(seen.length, 2);
});
