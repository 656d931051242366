/**
 * What the parties have stored decides what a run does: complete, deal on, or say why neither is possible. Crashes and lies.
 */

import assert from "node:assert/strict";
import type { PartyId } from "../../../src/base/brands.ts";
import { type Bytes, EMPTY, hex } from "../../../src/base/bytes.ts";
import { UsageError } from "../../../src/base/errors.ts";
import { CURVES, secp256k1 } from "../../../src/math/curve.ts";
import {
  decodeStoredDeparture,
  decodeStoredKey,
  encodeStoredDeparture,
  encodeStoredKey,
} from "../../../src/protocols/dkg/stored_key.ts";
import {
  decodeCertificate,
  encodeCertificate,
  verifyCertificate,
} from "../../../src/protocols/dkg/certificate.ts";
import type { LocalOutcome } from "../../../src/protocols/local.ts";
import {
  encodeHeld,
  endorsedOf,
  EPOCH_GAP_MAX,
  epochDigest,
  type HeldEpoch,
  readHeld,
  recordOfStored,
  wayOf,
} from "../../../src/protocols/reshare/held.ts";
import { refresh } from "../../../src/protocols/reshare/refresh.ts";
import { epochEndorsementCodec } from "../../../src/protocols/reshare/messages.ts";
import { allValues } from "../ecdsa/support.ts";
import { blames, flipped, tamperWith } from "../support.ts";
import { ALICE, BOB, CAROL, DAVE, Keyring, NAMES, recordAt } from "./support.ts";

const THREE = "2 of (alice, bob, carol)";

/** A refresh in which the endorsements of some never reach some: those stay PENDING. */
function refreshWithout(ring: Keyring, hidden: (from: PartyId, to: PartyId) => boolean): void {
  ring.refresh({
    tamper: (message) =>
      message.round === 3 && hidden(message.from, message.receiver) ? undefined : message.body,
  });
}

function states(ring: Keyring): string[] {
  return ring.roster.slice(0, 3).map(({ index }) =>
    [...ring.store(index).rows].map(([epoch, { state }]) => `${state} ${epoch}`).join(", ")
  );
}

Deno.test("ACK split (B4): carol endorses to alice only; bob keeps both epochs, and the same command completes", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, (from, to) => from === CAROL && to === BOB);
  assert.deepEqual(states(ring), ["active 1", "active 0, pending 1", "active 1"]);
  for (const { outcome } of allValues(ring.refresh())) assert.equal(outcome, "completed");
  ring.holds(1, ["alice", "bob", "carol"]);
});

Deno.test("an epoch that all have PENDING is completed, with the endorsements that were made", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, () => true);
  assert.deepEqual(new Set(states(ring)), new Set(["active 0, pending 1"]));
  const sent: string[] = [];
  const values = allValues(ring.refresh({
    tamper: (message) => {
      sent.push(`${message.round} ${message.kind} ${message.body.length}`);
      return message.body;
    },
  }));
  for (const { outcome, share, record } of values) {
    assert.deepEqual([outcome, record.epoch], ["completed", 1]);
    share?.share.expose();
  }
  assert.deepEqual(new Set(sent), new Set(["3 broadcast 130", "3 direct 1"]));
  ring.holds(1, ["alice", "bob", "carol"]);
});

Deno.test("a party that never stored the new epoch: the next run takes another number, and what is PENDING stays until then", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, () => true);
  ring.store(CAROL).rows.delete(1);
  const pending = new Map<PartyId, unknown>();
  const outcomes = ring.refresh({
    onPersist: (party, record) => {
      if (record.kind === "key-active") pending.set(party, [...ring.store(party).rows.keys()]);
    },
  });
  for (const { outcome, record } of allValues(outcomes)) {
    assert.deepEqual([outcome, record.epoch], ["dealt", 2]);
  }
  assert.deepEqual(pending.get(ALICE), [0, 1, 2], "the share of epoch 1 is there until epoch 2 is certified");
  ring.holds(2, ["alice", "bob", "carol"]);
});

Deno.test("a party that hides a certificate cannot split the others: whoever accepts it later still has the newest epoch", () => {
  // Carol takes everybody's endorsements of epoch 1 and says that she has nothing of it.
  const ring = new Keyring(THREE);
  refreshWithout(ring, (from) => from === CAROL);
  const certificate = ring.store(CAROL).rows.get(1)?.certificate;
  assert.ok(certificate !== undefined && ring.store(CAROL).rows.get(1)?.state === "active");
  const liar = new Keyring(THREE);
  ring.stores.set(CAROL, liar.store(CAROL));
  // The next attempt fails half-way too, and then bob is shown the hidden certificate.
  refreshWithout(ring, () => true);
  assert.deepEqual(states(ring), [
    "active 0, pending 1, pending 2",
    "active 0, pending 1, pending 2",
    "active 0, pending 2",
  ]);
  const bob = ring.store(BOB);
  verifyCertificate(recordAt(bob, 1) as never, certificate);
  bob.write({ kind: "key-active", keyId: ring.record.keyId, epoch: 1, certificate });
  assert.deepEqual(states(ring)[1], "active 1, pending 2");
  // Epoch 2 is what all three have: it is completed, and epoch 1 goes.
  for (const { outcome } of allValues(ring.refresh())) assert.equal(outcome, "completed");
  ring.holds(2, ["alice", "bob", "carol"]);
});

Deno.test("sync gives the certificate to a party that is PENDING when somebody else is gone for good", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, (_, to) => to === BOB);
  assert.equal(states(ring)[1], "active 0, pending 1");
  const [alice, bob] = allValues(ring.sync(["alice", "bob"]));
  assert.deepEqual([alice?.changed, bob?.changed, bob?.state], [false, true, "active"]);
  ring.holds(1, ["alice", "bob", "carol"]);
  assert.ok(allValues(ring.sync(["alice", "bob", "carol"])).every(({ changed }) => !changed));
});

function refuses(outcomes: ReadonlyMap<PartyId, LocalOutcome<unknown>>, code: string, words: RegExp): void {
  for (const outcome of outcomes.values()) {
    assert.ok(
      !outcome.ok && outcome.error instanceof UsageError,
      String((outcome as { error: Error }).error?.stack),
    );
    assert.equal(outcome.error.code, code);
    assert.match(outcome.error.message, words);
  }
}

Deno.test("refresh says who lacks the epoch that others have", () => {
  const ring = new Keyring(THREE);
  allValues(ring.refresh());
  ring.stores.set(BOB, new Keyring(THREE).store(BOB));
  refuses(
    ring.refresh(),
    "EPOCH_MISMATCH",
    /in epoch 1 at alice, but bob has no share of that epoch: run key repair/,
  );
  const other = new Keyring(THREE);
  refreshWithout(other, (_, to) => to === BOB);
  const dealt = { ...other.refreshInput(ALICE), held: other.refreshInput(ALICE).held };
  const offers = new Map([
    [ALICE, encodeHeld(dealt.held)],
    [BOB, encodeHeld(other.store(BOB).held())],
    [CAROL, encodeHeld(other.store(CAROL).held())],
  ]);
  const way = () =>
    wayOf({
      keyName: "treasury",
      participants: [ALICE, BOB, CAROL],
      offers,
      isWanted: () => false,
      joins: () => false,
      nameOf: (party) => NAMES[party - 1] as string,
    });
  assert.throws(way, {
    code: "EPOCH_MISMATCH",
    message: /bob has no certificate of that epoch: run the command/,
  });
});

Deno.test("wayOf() refuses different keys, different shares of one number, curves that differ, and numbers from nowhere", () => {
  const ring = new Keyring(THREE), other = new Keyring(THREE, { seed: "another key" });
  const twin = new Keyring(THREE), fork = new Keyring(THREE);
  allValues(twin.refresh());
  fork.rng.bytes(1);
  allValues(fork.refresh());
  const way = (offered: readonly Bytes[]) => () =>
    wayOf({
      keyName: "treasury",
      participants: offered.map((_, k) => k + 1 as PartyId),
      offers: new Map(offered.map((offer, k) => [k + 1 as PartyId, offer])),
      isWanted: () => false,
      joins: () => false,
      nameOf: (party) => NAMES[party - 1] as string,
    });
  const held = (from: Keyring, party: PartyId) => encodeHeld(from.store(party).held());
  assert.equal(way([held(ring, ALICE), held(ring, BOB)])()?.kind, "deal");
  assert.throws(way([held(ring, ALICE), held(other, BOB)]), {
    code: "KEY_EXISTS",
    message: /different keys/,
  });
  assert.throws(way([held(twin, ALICE), held(fork, BOB)]), {
    code: "EPOCH_MISMATCH",
    message: /different shares/,
  });
  const onP256 = held(ring, BOB);
  onP256[32] = CURVES.p256.id;
  assert.throws(way([held(ring, ALICE), onP256]), { code: "KEY_EXISTS", message: /different keys/ });
  const attempt = (epoch: number) =>
    ring.store(BOB).held().concat(
      twin.store(BOB).held().map(({ key }) => ({
        state: "pending" as const,
        key: "share" in key
          ? { ...key, share: { ...key.share, record: { ...key.share.record, epoch } } }
          : key,
      })),
    );
  const next = way([held(ring, ALICE), encodeHeld(attempt(EPOCH_GAP_MAX))])();
  assert.ok(next?.kind === "deal" && next.base === 0 && next.epoch === EPOCH_GAP_MAX + 1);
  assert.throws(way([held(ring, ALICE), encodeHeld(attempt(EPOCH_GAP_MAX + 1))]), {
    code: "EPOCH_MISMATCH",
    message: /bob says that it has epoch 1001/,
  });
});

Deno.test("wayOf() completes no epoch that is older than a certified one, and none that the parties have in different forms", () => {
  const twin = new Keyring(THREE), fork = new Keyring(THREE);
  fork.rng.bytes(1);
  for (const ring of [twin, fork]) refreshWithout(ring, () => true);
  const later = new Keyring(THREE);
  for (let epoch = 1; epoch <= 2; epoch++) allValues(later.refresh());
  const way = (...held: HeldEpoch[][]) =>
    wayOf({
      keyName: "treasury",
      participants: [ALICE, BOB],
      offers: new Map(held.map((epochs, k) => [k + 1 as PartyId, encodeHeld(epochs)])),
      isWanted: () => true,
      joins: () => false,
      nameOf: (party) => NAMES[party - 1] as string,
    });
  const [alice, bob] = [twin.store(ALICE).held(), twin.store(BOB).held()];
  const complete = way(alice, bob);
  assert.deepEqual([complete?.kind, complete?.epoch], ["complete", 1]);
  const deals = way(alice, fork.store(BOB).held());
  assert.deepEqual([deals?.kind, deals?.epoch], ["deal", 2]);
  const ahead = [...bob.slice(1), ...later.store(BOB).held()];
  assert.throws(() => way(alice, ahead), {
    code: "EPOCH_MISMATCH",
    message: /in epoch 2 at bob, but alice has no share/,
  });
});

Deno.test("wayOf() waits for all offers, and wants somebody with an active share", () => {
  const input = {
    keyName: "treasury",
    participants: [ALICE, BOB],
    isWanted: () => false,
    joins: () => true,
    nameOf: (party: PartyId) => NAMES[party - 1] as string,
  };
  assert.equal(wayOf({ ...input, offers: new Map([[ALICE, EMPTY]]) }), undefined);
  assert.throws(() => wayOf({ ...input, offers: new Map([[ALICE, EMPTY], [BOB, EMPTY]]) }), {
    code: "KEY_UNKNOWN",
    message: /none of alice, bob has an active share/,
  });
});

Deno.test("readHeld() names a party whose offer does not decode", () => {
  const ring = new Keyring(THREE);
  const good = encodeHeld(ring.store(ALICE).held());
  assert.equal(readHeld(ALICE, EMPTY), undefined);
  assert.equal(hex(readHeld(ALICE, good)?.keyId as never), hex(ring.record.keyId));
  const twice = encodeHeld([...ring.store(ALICE).held(), ...ring.store(ALICE).held()]);
  const noEpochs = good.slice(0, 35);
  noEpochs.fill(0, 33);
  const noState = good.slice();
  noState[35] = 4;
  for (const bad of [good.slice(1), flipped(good, 32), noState, twice, noEpochs]) {
    assert.throws(() => readHeld(BOB, bad), { code: "INVALID_MESSAGE", culprits: [BOB] });
  }
});

Deno.test("epochDigest() differs for every attempt, and is the same at all parties", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, () => true);
  const digests = [ALICE, BOB, CAROL].map((party) =>
    ring.store(party).held().map(({ key }) => hex(epochDigest(endorsedOf(key))))
  );
  assert.deepEqual(digests[0], digests[1]);
  assert.equal(new Set(digests.flat()).size, 2);
  const { key } = ring.store(ALICE).held()[1] as HeldEpoch;
  const endorsed = endorsedOf(key);
  for (
    const changed of [
      { ...endorsed, sid: flipped(endorsed.sid) as never },
      { ...endorsed, transcript: flipped(endorsed.transcript) },
      { ...endorsed, record: { ...endorsed.record, epoch: 9 } },
      {
        ...endorsed,
        lineage: { ...endorsed.lineage as never as { origin: never; witnesses: never }, parent: 7 },
      },
    ]
  ) assert.notEqual(hex(epochDigest(changed)), digests[0]?.[1]);
});

Deno.test("refresh.proposal() is the same at parties in different epochs, and wants an active share", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, (from, to) => from === CAROL && to === BOB);
  assert.deepEqual(refresh.proposal(ring.refreshInput(ALICE)), refresh.proposal(ring.refreshInput(BOB)));
  assert.notDeepEqual(
    refresh.proposal(ring.refreshInput(ALICE)),
    refresh.proposal(ring.refreshInput(ALICE, { pairs: "rerandomize" })),
  );
  assert.throws(() => refresh.proposal({ ...ring.refreshInput(ALICE), held: [] }), { code: "KEY_PENDING" });
});

Deno.test("refresh names a party whose endorsement is wrong when an epoch is completed, and it stays PENDING", () => {
  const ring = new Keyring(THREE);
  refreshWithout(ring, () => true);
  const outcomes = ring.refresh({
    tamper: tamperWith(
      epochEndorsementCodec(secp256k1),
      { round: 3, kind: "broadcast", from: BOB },
      (m) => ({ ...m, signature: flipped(m.signature) }),
    ),
  });
  for (const party of [ALICE, CAROL]) {
    blames(outcomes.get(party), { round: 3, culprits: [BOB], what: "signature on the certificate" });
  }
  assert.equal(states(ring)[0], "active 0, pending 1");
});

// Certificates and stored forms of later epochs.
Deno.test("verifyCertificate() refuses a later epoch's certificate with anything changed", () => {
  const ring = new Keyring("and(alice, bob)");
  allValues(ring.reshare("and(bob, carol)", ["alice"]));
  const certificate = ring.store(BOB).rows.get(1)?.certificate as never as Uint8Array;
  const record = recordAt(ring.store(BOB), 1) as never as Parameters<typeof verifyCertificate>[0];
  const decoded = verifyCertificate(record, certificate);
  assert.deepEqual(encodeCertificate(secp256k1, decoded), certificate);
  assert.equal(decoded.witnessed?.length, 1);
  for (let at = 0; at < certificate.length; at += 3) {
    assert.throws(
      () => verifyCertificate(record, flipped(certificate, at)),
      { code: "STORE_CORRUPT" },
      `byte ${at}`,
    );
  }
  const refuse = (change: object, words: RegExp) =>
    assert.throws(
      () => verifyCertificate(record, encodeCertificate(secp256k1, { ...decoded, ...change })),
      words,
    );
  refuse({ witnessed: [] }, /0 of 1 witnesses/);
  refuse({ endorsements: decoded.endorsements.slice(1) }, /1 of 2 members/);
  refuse({ endorsements: decoded.endorsements.toReversed() }, /bob: its signature/);
  const { lineage } = decoded;
  refuse({ lineage: { ...lineage, parent: 5 } }, /bob: its signature/);
  refuse({ lineage: { ...lineage, witnesses: [] }, witnessed: [] }, /bob: its signature/);
  refuse(
    { lineage: { ...lineage, origin: { ...lineage?.origin, policyHash: new Uint8Array(32) } } },
    /another key/,
  );
  for (
    const changed of [
      { ...record, epoch: 2 },
      { ...record, chainCode: flipped(record.chainCode) },
      { ...record, publicShares: new Map(record.publicShares).set(CAROL, secp256k1.base) },
    ]
  ) assert.throws(() => verifyCertificate(changed, certificate), /bob: its signature/);
  assert.throws(
    () => verifyCertificate({ ...record, publicKey: secp256k1.base }, certificate),
    /another key/,
  );
  assert.throws(() => verifyCertificate({ ...record, epoch: 0 }, certificate), /for a later epoch than 0/);
  assert.throws(() => verifyCertificate(ring.record, certificate), /for a later epoch|another/);
  assert.throws(
    () => verifyCertificate({ ...record, epoch: 1 }, ring.certificate),
    /session made another key/,
  );
  assert.equal(decodeCertificate(secp256k1, certificate).lineage?.witnesses[0]?.name, "alice");
});

Deno.test("encodeStoredKey() and encodeStoredDeparture() are canonical in later epochs", () => {
  const ring = new Keyring("and(alice, bob)");
  allValues(ring.reshare("and(bob, carol)", ["alice"]));
  const stored = ring.store(BOB).rows.get(1)?.encoded as never as Uint8Array;
  using again = encodeStoredKey(decodeStoredKey(stored));
  assert.deepEqual(again.expose(), stored);
  assert.equal(stored[0], 2);
  assert.throws(() => decodeStoredKey(flipped(stored, stored.length - 1)), /does not belong to the record/);
  const left = ring.store(ALICE).rows.get(1)?.encoded as never as Uint8Array;
  assert.equal(left[0], 3);
  const departure = decodeStoredDeparture(left);
  assert.deepEqual(encodeStoredDeparture(departure), left);
  assert.equal(recordOfStored(departure).epoch, 1);
  assert.throws(() => decodeStoredDeparture(stored), { name: "DecodeError" });
  assert.throws(() => decodeStoredKey(left), { name: "DecodeError" });
  assert.equal(ring.store(DAVE).rows.size, 0);
});
