import assert from "node:assert/strict";
import type { Ban } from "../../src/storage/local_store.ts";
import { BOB, CAROL, id, Place } from "./fixture.ts";

const K = id("k");
const BAN: Ban = { keyId: K, party: BOB, epoch: 2, code: "CHEATED", reason: "its opening does not fit" };
const TIME = 1_700_000_000_000;

Deno.test("LocalStore keeps a ban when it is opened again, with its first reason, until it is lifted", () => {
  using place = new Place();
  {
    using store = place.open();
    store.banSigner(BAN);
    store.banSigner({ ...BAN, epoch: 3, reason: "another one" });
  }
  using store = place.open({ nameOf: (party) => `p${party}` });
  assert.deepEqual(store.bans(K), [{ ...BAN, time: TIME }]);
  for (const epoch of [2, 9]) {
    assert.throws(() => store.admitSigners({ keyId: K, epoch, signers: [1, BOB] }), {
      code: "SIGNER_BANNED",
      party: "p2",
      message:
        /^nothing is signed with p2: in a signature at 2023-11-14T22:13:20.000Z its opening does not fit;/,
    });
  }
  store.admitSigners({ keyId: K, epoch: 2, signers: [1, CAROL] });
  store.admitSigners({ keyId: id("another key"), epoch: 2, signers: [1, BOB] });
  assert.ok(store.unbanSigner(K, BOB));
  assert.ok(!store.unbanSigner(K, BOB));
  store.admitSigners({ keyId: K, epoch: 2, signers: [1, BOB] });
});

Deno.test("LocalStore bans nobody in its own place, and tells of each new ban once, when it is stored", () => {
  using place = new Place();
  using store = place.open();
  const told: Ban[] = [];
  store.watchBans((ban) => {
    assert.equal(store.bans(K).length, 1);
    told.push(ban);
  });
  store.banSigner({ ...BAN, party: 1 });
  assert.deepEqual(store.bans(K), []);
  store.banSigner(BAN);
  store.banSigner(BAN);
  assert.deepEqual(told, [BAN]);
});

Deno.test("LocalStore keeps the beginning of a long reason", () => {
  using place = new Place();
  using store = place.open();
  store.banSigner({ ...BAN, reason: "é".repeat(5_000) });
  assert.equal(store.bans(K)[0]?.reason, "é".repeat(256));
});
