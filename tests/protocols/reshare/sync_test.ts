import assert from "node:assert/strict";
import { type Bytes, EMPTY } from "../../../src/base/bytes.ts";
import { decodeStoredDeparture } from "../../../src/protocols/dkg/stored_key.ts";
import type { PublicKeyRecord } from "../../../src/protocols/key_share.ts";
import type { LocalMessage } from "../../../src/protocols/local.ts";
import { type Supply, sync, syncRound } from "../../../src/protocols/reshare/sync.ts";
import { allValues } from "../ecdsa/support.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { ALICE, BOB, CAROL, DAVE, Keyring } from "./support.ts";

const THREE = "2 of (alice, bob, carol)";

/** A key that went on to `2 of (alice, bob, dave)` without carol. */
function movedOn(): Keyring {
  const ring = new Keyring(THREE);
  allValues(ring.reshare("2 of (alice, bob, dave)"));
  return ring;
}

function refused(outcomes: ReturnType<Keyring["sync"]>, code: string, words: RegExp): void {
  const errors = [...outcomes.values()].flatMap((outcome) =>
    outcome.ok ? [] : [outcome.error as Error & { code?: string }]
  );
  const ours = errors.filter((error) => error.code !== undefined);
  assert.ok(ours.length > 0);
  for (const error of ours) {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
  }
}

Deno.test("sync tells an old member that the key went on without it: its share is erased", () => {
  const ring = movedOn();
  const [dave, carol] = [ring.sync(["carol", "dave"]).get(DAVE), ring.store(CAROL)];
  assert.ok(dave?.ok && !dave.value.changed);
  const rows = [...carol.rows];
  assert.deepEqual(rows.map(([epoch, { state }]) => [epoch, state]), [[1, "left"]]);
  const departure = decodeStoredDeparture(rows[0]?.[1].encoded as Bytes);
  assert.deepEqual([departure.self, departure.signature], [CAROL, EMPTY]);
  assert.deepEqual(carol.log, ["key-pending", "key-active"]);
  // It can be told so again, and tell others.
  assert.ok(allValues(ring.sync(["alice", "carol"])).every(({ changed }) => !changed));
});

const says = (change: (supply: NonNullable<Supply["supply"]>) => Supply["supply"]) =>
  tamperWith(
    syncRound.broadcast as never,
    { from: ALICE },
    (m: Supply) => ({ supply: m.supply && change(m.supply) }),
  );

for (
  const [what, tamper, why] of [
    ["gives nothing", says(() => undefined), "does not give the certificate"],
    [
      "gives another epoch",
      says((m) => ({ ...m, endorsed: { ...m.endorsed, transcript: flipped(m.endorsed.transcript) } })),
      "another epoch",
    ],
    [
      "gives another certificate",
      says((m) => ({ ...m, certificate: new Keyring(THREE).certificate })),
      "is not valid",
    ],
    [
      "gives a changed certificate",
      says((m) => ({ ...m, certificate: flipped(m.certificate, 200) })),
      "is not valid",
    ],
  ] as [string, (message: LocalMessage) => Bytes, string][]
) {
  Deno.test(`sync names a party that ${what}, and nothing is erased`, () => {
    const ring = movedOn();
    const outcomes = ring.sync(["alice", "carol"], { tamper });
    blames(outcomes.get(CAROL), { round: 1, culprits: [ALICE], what: why });
    assert.equal(ring.store(CAROL).active()?.share.record.epoch, 0);
  });
}

Deno.test("sync erases nothing for an epoch that was not signed by a qualified set of the present one", () => {
  // Carol's share is of another key's first epoch, under the same name, whose members never signed this.
  const ring = movedOn();
  const stranger = new Keyring(THREE, { seed: "another key" });
  ring.stores.set(CAROL, stranger.store(CAROL));
  refused(ring.sync(["alice", "carol"]), "EPOCH_MISMATCH", /cannot be checked here: nothing is erased/);
  assert.ok(ring.store(CAROL).active() !== undefined);
  // The same members have two keys, and this is a move of the other one.
  const identityOf = (party: number) => new Uint8Array(32).fill(party);
  const mine = new Keyring(THREE, { seed: "mine", identityOf }),
    theirs = new Keyring(THREE, { seed: "theirs", identityOf });
  allValues(theirs.reshare("2 of (alice, bob, dave)"));
  mine.stores.set(ALICE, theirs.store(ALICE));
  refused(mine.sync(["alice", "carol"]), "EPOCH_MISMATCH", /cannot be checked here/);
  // Alice and bob have the right indices, and not the identity keys that carol knows.
  const others = movedOn();
  const outcomes = others.run(sync, (self) => {
    const input = others.syncInput(self, ["alice", "carol"]);
    const known = new Keyring(THREE, { seed: "other identities" }).record.members;
    const forged = (record: PublicKeyRecord) => ({ ...record, members: known });
    return self === ALICE ? input : {
      ...input,
      held: input.held.map(({ state, key }) => ({
        state,
        key: "share" in key ? { ...key, share: { ...key.share, record: forged(key.share.record) } } : key,
      })),
    };
  }, [ALICE, CAROL]);
  refused(outcomes, "EPOCH_MISMATCH", /cannot be checked here/);
  // Two moves later the signers are others: dave and erin alone never had a share that carol knows of.
  const far = new Keyring(THREE);
  allValues(far.reshare("and(dave, erin)", ["alice", "bob"]));
  allValues(far.refresh());
  refused(far.sync(["carol", "dave"]), "EPOCH_MISMATCH", /cannot be checked here/);
  assert.ok(far.store(CAROL).active() !== undefined);
});

Deno.test("sync tells a member that lost its share to have it repaired", () => {
  const ring = new Keyring(THREE);
  const old = ring.store(BOB).clone();
  allValues(ring.refresh());
  ring.stores.set(BOB, old);
  refused(ring.sync(["alice", "bob"]), "EPOCH_MISMATCH", /is lost here: run key repair/);
  ring.store(BOB).rows.clear();
  refused(ring.sync(["alice", "bob"]), "EPOCH_MISMATCH", /is lost here: run key repair/);
});

Deno.test("sync refuses where nobody has a certificate, or two have different ones", () => {
  const ring = new Keyring(THREE);
  refused(ring.sync(["dave", "erin"]), "KEY_UNKNOWN", /none of dave, erin has a certificate/);
  const other = new Keyring(THREE, { seed: "another key" });
  ring.stores.set(BOB, other.store(BOB));
  refused(ring.sync(["alice", "bob"]), "EPOCH_MISMATCH", /different shares of treasury in epoch 0/);
});

Deno.test("sync.proposal() wants this party and another one", () => {
  const ring = new Keyring(THREE);
  assert.throws(() => sync.proposal(ring.syncInput(ALICE, ["alice"])), { code: "USAGE" });
  assert.throws(() => sync.proposal(ring.syncInput(ALICE, ["bob", "carol"])), { code: "USAGE" });
  assert.deepEqual(sync.proposal(ring.syncInput(ALICE, ["bob", "alice"])).participants, [1, 2]);
  assert.equal(sync.auxiliary, true);
});
