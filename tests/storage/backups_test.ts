import assert from "node:assert/strict";
import { fails, id, Place, withKey } from "./fixture.ts";

Deno.test("noteBackup() keeps one row per epoch and custodian, over a restart", () => {
  using place = new Place();
  {
    using store = place.open();
    const key = withKey(store);
    assert.deepEqual(store.backups(key.keyId), []);
    for (const custodian of ["first", "second", "first"]) {
      store.noteBackup({ keyId: key.keyId, epoch: 0, custodian: id(custodian) });
    }
    store.noteBackup({ keyId: id("another key"), epoch: 0, custodian: id("first") });
  }
  using store = place.open();
  const rows = store.backups(id("treasury"));
  const made = [0, 1_700_000_000_000];
  assert.deepEqual(rows.map(({ epoch, time }) => [epoch, time]), [made, made]);
});

Deno.test("open() refuses a store in which a backup was added behind its back", () => {
  using place = new Place();
  withKeyIn(place);
  place.edit("INSERT INTO backups VALUES (zeroblob(32), 0, zeroblob(32), 0)");
  fails(() => place.open(), "STORE_CORRUPT", /does not authenticate/);
});

Deno.test("open() brings a store of format 1, which knew no backups, to this format", () => {
  using place = new Place();
  withKeyIn(place);
  place.edit("DROP TABLE backups; PRAGMA user_version = 1");
  {
    using store = place.open();
    assert.equal(store.active("treasury").epoch, 0);
    store.noteBackup({ keyId: id("treasury"), epoch: 0, custodian: id("first") });
  }
  using store = place.open();
  assert.equal(store.backups(id("treasury")).length, 1);
});

function withKeyIn(place: Place): void {
  using store = place.open();
  withKey(store);
}
