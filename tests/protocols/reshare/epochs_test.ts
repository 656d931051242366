import assert from "node:assert/strict";
import type { PartyId } from "../../../src/base/brands.ts";
import { hex } from "../../../src/base/bytes.ts";
import { CURVES, type Scalar } from "../../../src/math/curve.ts";
import { quorumOf } from "../../../src/protocols/key_share.ts";
import { allValues } from "../ecdsa/support.ts";
import { BOB, CAROL, DAVE, Keyring, secretOf, subsets } from "./support.ts";

const POLICIES = [
  ["and(alice, bob)", ["alice", "bob"]],
  ["2 of (alice, bob, carol)", ["alice", "bob", "carol"]],
  ["4 of (alice, bob, carol, dave)", ["alice", "bob", "carol", "dave"]],
  ["and(alice, 2 of (bob, carol, dave))", ["alice", "bob", "carol", "dave"]],
  ["or(and(alice, bob), 2 of (carol, dave, erin))", ["alice", "bob", "carol", "dave", "erin"]],
] as const;

for (const curve of Object.values(CURVES)) {
  for (const [policy, names] of POLICIES) {
    Deno.test(`refresh gives new shares of the same key to all of ${policy} on ${curve.name}`, () => {
      const ring = new Keyring(policy, { curve });
      const before = new Map([...ring.stores].map(([party, store]) => [party, store.active()]));
      for (const epoch of [1, 2]) {
        for (const { outcome, record, share } of allValues(ring.refresh())) {
          assert.equal(outcome, "dealt");
          assert.equal(record.epoch, epoch);
          assert.deepEqual(record.chainCode, ring.record.chainCode);
          assert.ok(record.publicKey.equals(ring.record.publicKey));
          assert.notEqual(secretOf(before.get(share?.self as never)), share && secretOf({ share } as never));
        }
        ring.holds(epoch, names);
      }
    });
  }
}

Deno.test("refresh of a tree of OR gates only has nothing to deal, and moves on to a new epoch", () => {
  const ring = new Keyring("or(alice, bob)", { allowSingle: true });
  allValues(ring.refresh());
  ring.holds(1, ["alice", "bob"]);
});

const MOVES = [
  ["2 of (alice, bob, carol)", "2 of (alice, bob, dave)", []],
  ["2 of (alice, bob, carol)", "2 of (alice, dave, erin)", ["carol"]],
  ["2 of (alice, bob, carol)", "3 of (alice, bob, carol, dave)", []],
  ["2 of (alice, bob, carol)", "and(dave, erin)", ["alice", "bob"]],
  ["and(alice, bob)", "and(alice, 2 of (bob, carol, dave))", []],
  ["and(alice, 2 of (bob, carol, dave))", "and(alice, bob)", ["carol"]],
  ["4 of (alice, bob, carol, dave)", "2 of (alice, erin)", ["bob", "carol", "dave"]],
] as const;

for (const curve of Object.values(CURVES)) {
  for (const [from, to, dealers] of MOVES) {
    Deno.test(`reshare moves a key from ${from} to ${to} on ${curve.name}`, () => {
      const ring = new Keyring(from, { curve });
      const old = new Map([...ring.stores].map(([party, store]) => [party, store.active()]));
      const results = ring.reshare(to, dealers);
      const names = allValues(results)[0]?.record.members.map(({ name }) => name) ?? [];
      const record = ring.holds(1, names);
      for (const [party, outcome] of results) {
        assert.ok(outcome.ok);
        const isMember = record.members.some(({ index }) => index === party);
        assert.equal(outcome.value.share !== undefined, isMember);
        if (!isMember) {
          assert.deepEqual([...ring.store(party).rows.values()].map(({ state }) => state), ["left"]);
        }
        const former = old.get(party);
        if (former !== undefined && isMember) {
          assert.notEqual(
            secretOf(former),
            secretOf(ring.store(party).active()),
            "the share is another one",
          );
        }
      }
      assert.equal(hex(record.keyId), hex(ring.record.keyId));
      for (const [party, former] of old) {
        if (!results.has(party)) {
          assert.equal(ring.store(party).active()?.share.record.epoch, former?.share.record.epoch);
        }
      }
    });
  }
}

Deno.test("shares of different epochs never combine, whatever quorum mixes them, after a refresh or a reshare", () => {
  for (const [policy] of POLICIES) {
    const ring = new Keyring(policy);
    const { curve, record } = ring;
    const epochs = [sharesOf(ring)];
    allValues(ring.refresh());
    epochs.push(sharesOf(ring));
    allValues(ring.reshare(policy));
    epochs.push(sharesOf(ring));
    for (const set of subsets(record.members.map(({ index }) => index))) {
      const quorum = quorumOf(record, set);
      if (quorum === undefined || quorum.active.length !== set.length) continue;
      for (const from of choices(set.length, epochs.length)) {
        let x = curve.scalar(0n);
        for (const [k, party] of quorum.active.entries()) {
          const share = epochs[from[k] as number]?.get(party) as Scalar;
          x = curve.add(x, curve.mul(quorum.coefficients.get(party) as Scalar, share));
        }
        const isKey = curve.mulBase(x).equals(record.publicKey);
        assert.equal(isKey, new Set(from).size === 1, `${policy}: ${set.join()} with epochs ${from.join()}`);
      }
    }
  }
});

function sharesOf(ring: Keyring): ReadonlyMap<PartyId, Scalar> {
  return new Map(ring.record.members.map(({ index }) => [index, secretOf(ring.store(index).active())]));
}

/** Every way to choose one of so many for each of so many. */
function choices(places: number, from: number): number[][] {
  return Array.from(
    { length: from ** places },
    (_, n) => Array.from({ length: places }, (_, place) => Math.floor(n / from ** place) % from),
  );
}

Deno.test("refresh, reshare and repair follow each other", () => {
  const ring = new Keyring("2 of (alice, bob, carol)");
  allValues(ring.refresh());
  allValues(ring.reshare("2 of (alice, bob, dave)"));
  const lost = secretOf(ring.store(DAVE).active());
  ring.store(DAVE).rows.clear();
  allValues(ring.repair("dave", ["alice", "bob"]));
  assert.equal(secretOf(ring.store(DAVE).active()), lost);
  allValues(ring.sync(["alice", "carol"]));
  assert.equal(ring.store(CAROL).rows.get(2)?.state, "left");
  allValues(ring.reshare("2 of (alice, carol, dave)", ["bob"]));
  ring.holds(3, ["alice", "carol", "dave"]);
  assert.equal(ring.store(BOB).rows.get(3)?.state, "left");
});
