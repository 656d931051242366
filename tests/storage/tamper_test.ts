import assert from "node:assert/strict";
import { Secret } from "../../src/base/secret.ts";
import { LocalStore } from "../../src/storage/local_store.ts";
import { VOTE_LOCKS } from "../../src/storage/tables.ts";
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

const DATABASE = "quorate.sqlite";
const HIGH_WATER = "high-water";

Deno.test("open() refuses a row that was edited, deleted, added or moved", () => {
  const edits: Record<string, string> = {
    "un-burned": "UPDATE pairs SET status = 'ok'",
    "burn deleted": "DELETE FROM burns",
    "crashes forgotten": "UPDATE pairs SET crashes = 0",
    "set-up failures forgotten": "UPDATE pairs SET failures = 9",
    "sealed share flipped": "UPDATE keys SET sealed = zeroblob(length(sealed)) WHERE name = 'one'",
    "certificate replaced": "UPDATE keys SET certificate = x'00' WHERE name = 'one'",
    "pending made active": "UPDATE keys SET state = 'active'",
    "epoch moved": "UPDATE keys SET epoch = 7 WHERE name = 'one'",
    "names swapped": "UPDATE keys SET name = CASE name WHEN 'one' THEN 'two' ELSE 'one' END",
    "release deleted": "DELETE FROM releases",
    "mark added": "INSERT INTO check_marks SELECT keyId, epoch, peer, sid, messageHash FROM burns",
    "generation set back": "UPDATE meta SET generation = generation - 1",
  };
  for (const [what, sql] of Object.entries(edits)) {
    using place = new Place();
    {
      using store = place.open();
      const one = withKey(store, "one");
      withKey(store, "two");
      store.write({ kind: "key-pending", ...fakeKey({ name: "three" }) });
      store.write(checkBegin(one, "lost"));
      store.write(burnRecord(one, "s"));
      const sid = id("session") as never;
      store.write({ kind: "release", keyId: one.keyId, epoch: 0, sid, payloadHash: id("payload") });
    }
    // Opening once resolves the mark, so that the crash counter is not zero.
    place.open()[Symbol.dispose]();
    place.edit(sql);
    assert.throws(() => place.open(), /does not authenticate/, what);
  }
});

Deno.test("open() refuses another party's database, with the same sealing key too", () => {
  using place = new Place();
  {
    using alice = place.open();
    withKey(alice);
    using bob = place.open({}, "bob", 2);
    bob.write({ kind: "key-pending", ...fakeKey({ name: "treasury", self: 2 }) });
  }
  const files = place.snapshot("alice");
  place.restore(files, [DATABASE], "bob");
  fails(() => place.open({}, "bob", 2), "STORE_CORRUPT");
  place.restore(files, [DATABASE, HIGH_WATER], "bob");
  fails(() => place.open({}, "bob", 2), "STORE_CORRUPT");
});

Deno.test("openKey() and pair() refuse a sealed value that was moved to another key, epoch or peer", () => {
  // The sum over all rows is checked when a store opens: here the rows move under one that is open already.
  using place = new Place();
  using store = place.open();
  const one = withKey(store, "one");
  const two = withKey(store, "two");
  store.write(pairRecord(one, CAROL));
  const sealedOf = (table: string, { keyId }: { keyId: Uint8Array }, rest = "") =>
    `(SELECT sealed FROM ${table} WHERE keyId = x'${keyId.toHex()}'${rest})`;
  const pairOfOne = ` WHERE keyId = x'${one.keyId.toHex()}'`;

  place.edit(`UPDATE pairs SET sealed = ${sealedOf("pairs", one, " AND peer = 2")}${pairOfOne} AND peer = 3`);
  fails(() => store.pair({ ...one, peer: CAROL }), "STORE_CORRUPT", /does not authenticate/);
  store.pair({ ...one, peer: BOB }).state?.[Symbol.dispose]();

  for (const table of ["keys", "pairs"]) {
    place.edit(
      `UPDATE ${table} SET sealed = ${
        sealedOf(table, one, " LIMIT 1")
      } WHERE keyId = x'${two.keyId.toHex()}'`,
    );
  }
  fails(() => store.openKey(two), "STORE_CORRUPT", /does not authenticate/);
  fails(() => store.pair({ ...two, peer: BOB }), "STORE_CORRUPT", /does not authenticate/);

  place.edit("UPDATE keys SET epoch = 7 WHERE name = 'one'");
  fails(() => store.openKey({ keyId: one.keyId, epoch: 7 }), "STORE_CORRUPT", /does not authenticate/);
});

Deno.test("open() refuses a database that is older than the high-water mark", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const old = place.snapshot();
  {
    using store = place.open();
    store.write(checkBegin(fakeKey({ name: "treasury" }), "s"));
    store.write(burnRecord(fakeKey({ name: "treasury" }), "s"));
  }
  place.restore(old, [DATABASE]);
  fails(() => place.open(), "SHARE_ROLLBACK", /newest copy/);
  fails(() => place.open(), "SHARE_ROLLBACK", /newest copy/);
});

Deno.test("open() refuses a store whose database or high-water mark is gone", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const files = place.snapshot();
  Deno.removeSync(`${place.directory()}/${HIGH_WATER}`);
  fails(() => place.open(), "SHARE_ROLLBACK", /high-water/);
  place.restore(files, [HIGH_WATER]);
  Deno.removeSync(`${place.directory()}/${DATABASE}`);
  fails(() => place.open(), "SHARE_ROLLBACK", /is gone/);
  assert.equal(place.snapshot().has(DATABASE), false, "nothing was made in its place");
  place.restore(files, [HIGH_WATER]);
  Deno.writeFileSync(`${place.directory()}/${DATABASE}`, new Uint8Array(), { mode: 0o600 });
  fails(() => place.open(), "SHARE_ROLLBACK", /is empty/);
  assert.equal(place.snapshot().get(DATABASE)?.length, 0, "an empty database is left empty");
});

Deno.test("open() refuses a high-water mark that is older than the database or damaged", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const old = place.snapshot();
  {
    using store = place.open();
    store.settle(fakeKey({ name: "treasury" }));
  }
  const now = place.snapshot();
  place.restore(old, [HIGH_WATER]);
  fails(() => place.open(), "SHARE_ROLLBACK");
  const mark = now.get(HIGH_WATER) as Uint8Array<ArrayBuffer>;
  const [before, newest] = slotsOf(mark);
  for (const at of [0, 3, 4, 11, 12, 44]) {
    const damaged = mark.slice();
    damaged[newest + at] = (damaged[newest + at] as number) ^ 1;
    place.restore(new Map([[HIGH_WATER, damaged]]), [HIGH_WATER]);
    fails(() => place.open(), "SHARE_ROLLBACK", /high-water/);
    damaged[before + at] = (damaged[before + at] as number) ^ 1;
    place.restore(new Map([[HIGH_WATER, damaged]]), [HIGH_WATER]);
    fails(() => place.open(), "STORE_CORRUPT", /high-water mark/);
  }
  const headless = mark.slice();
  headless[0] = 0;
  place.restore(new Map([[HIGH_WATER, headless]]), [HIGH_WATER]);
  fails(() => place.open(), "STORE_CORRUPT", /high-water mark/);
  for (const length of [0, 20, mark.length - 1]) {
    place.restore(new Map([[HIGH_WATER, mark.slice(0, length)]]), [HIGH_WATER]);
    fails(() => place.open(), "STORE_CORRUPT", /high-water mark/);
  }
});

Deno.test("open() goes on where a slot of the high-water mark was written half, and the database not at all", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const before = place.snapshot();
  {
    using store = place.open();
    store.settle(fakeKey({ name: "treasury" }));
  }
  const torn = (place.snapshot().get(HIGH_WATER) as Uint8Array<ArrayBuffer>).slice();
  const [, newest] = slotsOf(torn);
  torn.fill(0, newest + 100, newest + (torn.length - 4096) / 2);
  place.restore(before, [DATABASE]);
  place.restore(new Map([[HIGH_WATER, torn]]), [HIGH_WATER]);
  {
    using store = place.open();
    assert.equal(store.active("treasury").settled, false);
    store.settle(fakeKey({ name: "treasury" }));
  }
  using store = place.open();
  assert.equal(store.active("treasury").settled, true);
});

Deno.test("open() reads a high-water mark without slots, as earlier versions wrote it, and goes on with slots", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
    store.settle(fakeKey({ name: "treasury" }));
  }
  const now = place.snapshot().get(HIGH_WATER) as Uint8Array<ArrayBuffer>;
  const [, newest] = slotsOf(now);
  const length = new DataView(now.buffer).getUint32(newest);
  const single = now.slice(newest + 4, newest + 4 + length);
  place.restore(new Map([[HIGH_WATER, single]]), [HIGH_WATER]);
  {
    using store = place.open();
    assert.equal(store.active("treasury").settled, true);
    store.write(burnRecord(fakeKey({ name: "treasury" }), "s"));
    store.settle(fakeKey({ name: "treasury" }));
  }
  assert.equal(place.snapshot().get(HIGH_WATER)?.length, now.length);
  using store = place.open();
  assert.equal(store.pair({ ...fakeKey({ name: "treasury" }), peer: BOB }).status, "burned");
});

Deno.test("open() reads a high-water mark with smaller slots, as an earlier version wrote it, and writes into them", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
    store.settle(fakeKey({ name: "treasury" }));
  }
  const now = place.snapshot().get(HIGH_WATER) as Uint8Array<ArrayBuffer>;
  const smaller = new Uint8Array(4096 + 2 * 16 * 1024);
  smaller.set(now.subarray(0, 4096));
  for (const i of [0, 1]) {
    const at = 4096 + i * (now.length - 4096) / 2;
    smaller.set(now.subarray(at, at + 16 * 1024), 4096 + i * 16 * 1024);
  }
  place.restore(new Map([[HIGH_WATER, smaller]]), [HIGH_WATER]);
  {
    using store = place.open();
    assert.equal(store.active("treasury").settled, true);
    for (const i of [1, 2, 3]) {
      store.ledger.transact((transaction) =>
        transaction.put(VOTE_LOCKS, { txId: `tx ${i}`, epoch: 0, ballot: id("b"), value: id("v") })
      );
    }
  }
  assert.equal(place.snapshot().get(HIGH_WATER)?.length, smaller.length);
  using store = place.open();
  assert.equal(store.active("treasury").settled, true);
});

Deno.test("a mark leaves nothing of a longer one that was in its slot", () => {
  using place = new Place();
  const lock = (store: LocalStore, txId: string, bytes: number) => {
    const value = new Uint8Array(bytes).fill(1);
    store.ledger.transact((transaction) =>
      transaction.put(VOTE_LOCKS, { txId, epoch: 0, ballot: id(txId), value })
    );
  };
  const isClean = () => {
    const file = place.snapshot().get(HIGH_WATER) as Uint8Array<ArrayBuffer>;
    for (const at of slotsOf(file)) {
      const length = new DataView(file.buffer).getUint32(at);
      const rest = file.subarray(at + 4 + length, at + (file.length - 4096) / 2);
      assert.ok(length < 1000 && rest.every((byte) => byte === 0));
    }
  };
  {
    using store = place.open();
    for (const [i, bytes] of [10, 30_000, 20_000, 100, 10].entries()) lock(store, `tx ${i}`, bytes);
    isClean();
    for (const i of [5, 6]) lock(store, `tx ${i}`, 10_000);
  }
  using store = place.open();
  for (const i of [7, 8]) lock(store, `tx ${i}`, 10);
  isClean();
});

Deno.test("open() refuses a database of another course of events, of the same length", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const fork = place.snapshot();
  {
    using store = place.open();
    store.settle(fakeKey({ name: "treasury" }));
  }
  const settled = place.snapshot();
  place.restore(fork, [DATABASE, HIGH_WATER]);
  {
    using store = place.open();
    store.write(burnRecord(fakeKey({ name: "treasury" }), "s"));
  }
  place.restore(settled, [DATABASE]);
  fails(() => place.open(), "SHARE_ROLLBACK", /not the one/);
});

Deno.test("open() carries out the change that only the high-water mark has", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
    store.write(checkBegin(fakeKey({ name: "treasury" }), "s"));
  }
  // The store as it was before the burn, with the high-water mark after it: what a crash between the two leaves.
  const before = place.snapshot();
  {
    using store = LocalStore.open(place.options());
    store.pairSetUpFailed({ ...fakeKey({ name: "treasury" }), peer: BOB });
  }
  const counted = place.snapshot();
  {
    using store = place.open();
    store.write(burnRecord(fakeKey({ name: "treasury" }), "s"));
  }
  place.restore(counted, [DATABASE]);
  {
    using store = place.open();
    assert.equal(store.pair({ ...fakeKey({ name: "treasury" }), peer: BOB }).status, "burned");
  }
  place.restore(before, [DATABASE]);
  fails(() => place.open(), "SHARE_ROLLBACK");
});

Deno.test("a process that is killed between high-water mark and commit loses nothing and is let in again", async () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--frozen",
      new URL("./killed_writer.ts", import.meta.url).pathname,
      place.directory(),
    ],
    stdout: "null",
    stderr: "piped",
  });
  const { code, signal, stderr } = await child.output();
  assert.ok(signal === "SIGKILL" || code === 137, `ended with ${code}: ${new TextDecoder().decode(stderr)}`);
  using store = place.open();
  assert.equal(store.pair({ ...fakeKey({ name: "treasury" }), peer: BOB }).status, "burned");
});

Deno.test("a write that fails says so, changes nothing, and the next one succeeds without a restart", () => {
  using place = new Place();
  using store = place.open();
  const key = withKey(store);
  // A directory in the place of the temporary file: it cannot be replaced while something is in it.
  Deno.mkdirSync(`${place.directory()}/${HIGH_WATER}.tmp/x`, { recursive: true });
  fails(() => store.write(burnRecord(key, "s")), "STORE_UNWRITABLE", /high-water/);
  assert.equal(store.pair({ ...key, peer: BOB }).status, "ok");
  Deno.removeSync(`${place.directory()}/${HIGH_WATER}.tmp`, { recursive: true });
  store.write(burnRecord(key, "s"));
  assert.equal(store.pair({ ...key, peer: BOB }).status, "burned");
});

Deno.test("a commit that fails after the high-water mark was written is carried out by the next write", () => {
  using place = new Place();
  {
    using store = place.open();
    withKey(store);
  }
  const before = place.snapshot();
  {
    using store = place.open();
    store.write(burnRecord(fakeKey({ name: "treasury" }), "s"));
  }
  const after = place.snapshot();
  place.restore(before, [DATABASE, HIGH_WATER]);
  using store = place.open();
  const mark = `${place.directory()}/${HIGH_WATER}`;
  Deno.removeSync(mark);
  Deno.mkdirSync(`${mark}/x`, { recursive: true });
  fails(() => store.settle(fakeKey({ name: "treasury" })), "STORE_UNWRITABLE");
  Deno.removeSync(mark, { recursive: true });
  place.restore(after, [HIGH_WATER]);
  store.settle(fakeKey({ name: "treasury" }));
  assert.equal(store.pair({ ...fakeKey({ name: "treasury" }), peer: BOB }).status, "burned");
  assert.equal(store.active("treasury").settled, true);
});

Deno.test("open() refuses files and directories that others can reach, and names the chmod to run", () => {
  for (const name of [DATABASE, HIGH_WATER]) {
    using place = new Place();
    place.open()[Symbol.dispose]();
    Deno.chmodSync(`${place.directory()}/${name}`, 0o640);
    fails(() => place.open(), "LOOSE_PERMISSIONS", new RegExp(`chmod 0600 .*/${name}$`));
  }
  using place = new Place();
  Deno.chmodSync(place.directory(), 0o755);
  fails(() => place.open(), "LOOSE_PERMISSIONS", /chmod 0700/);
});

Deno.test("open() makes files that only their owner can reach", () => {
  using place = new Place();
  using store = place.open();
  withKey(store);
  for (const { name } of Deno.readDirSync(place.directory())) {
    assert.equal((Deno.statSync(`${place.directory()}/${name}`).mode ?? 0) & 0o777, 0o600, name);
  }
});

Deno.test("open() refuses what is not a database, and a format of the future", () => {
  using place = new Place();
  place.open()[Symbol.dispose]();
  place.edit("PRAGMA user_version = 99");
  fails(() => place.open(), "STORE_CORRUPT", /format 99/);
  place.restore(new Map([[DATABASE, new Uint8Array(9000).fill(65)]]), [DATABASE]);
  fails(() => place.open(), "STORE_CORRUPT", /not a database/);
});

Deno.test("open() refuses a sealing key of the wrong length or another value", () => {
  using place = new Place();
  place.open()[Symbol.dispose]();
  const sealing = (key: Uint8Array<ArrayBuffer>) => ({
    sealing: { kind: "key" as const, key: new Secret(key) },
  });
  fails(() => place.open(sealing(new Uint8Array(31))), "IDENTITY_INVALID", /32 bytes/);
  fails(() => place.open(sealing(id("another key"))), "STORE_CORRUPT", /sealing key/);
});

/** Where the slots of a high-water mark begin: the one that was written before, and the newest. */
function slotsOf(file: Uint8Array<ArrayBuffer>): [before: number, newest: number] {
  const view = new DataView(file.buffer, file.byteOffset);
  const places = [4096, 4096 + (file.length - 4096) / 2] as const;
  const generation = (at: number) => view.getUint32(at) === 0 ? -1 : Number(view.getBigUint64(at + 4));
  return generation(places[0]) > generation(places[1]) ? [places[1], places[0]] : [places[0], places[1]];
}
