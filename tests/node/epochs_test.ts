import assert from "node:assert/strict";
import { isFrostInfo } from "../../src/node/frost_keys.ts";
import { sessionId } from "../../src/base/brands.ts";
import { hex } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { type Party, publicKeyInfo } from "../../src/node/party.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { verifyCertificate } from "../../src/protocols/dkg/certificate.ts";
import { Cluster, recordedKeys, rejects, values } from "./fixture.ts";

const DIGEST = sha256(new TextEncoder().encode("a message"));
const TWO = ["alice", "bob"];
const THREE = ["alice", "bob", "carol"];
const NAME = "treasury";

async function made(
  names: readonly string[],
  policy: string,
): Promise<{ cluster: Cluster; publicKey: string }> {
  const cluster = await Cluster.make([...names, "dave"]);
  const request = { name: NAME, curve: secp256k1, policy: parsePolicy(policy) };
  const [info] = values(await cluster.all(names, (party) => party.generateKey(request)));
  return { cluster, publicKey: hex(secp256k1.encodePoint(info?.record.publicKey ?? secp256k1.zero)) };
}

async function signs(cluster: Cluster, names: readonly string[], publicKey: string): Promise<void> {
  const signed = values(
    await cluster.all(names, (party) => party.sign({ name: NAME, digest: DIGEST, signers: [...names] })),
  );
  for (const { signature, record } of signed) {
    assert.equal(hex(secp256k1.encodePoint(record.publicKey)), publicKey);
    assert.ok(signature !== undefined);
    const given = { publicKey: record.publicKey, digest: DIGEST, signature: signature.compact, lowS: true };
    assert.ok(secp256k1.verifyEcdsa(given));
  }
}

/** The disk of a party is full when it writes records of a kind. */
function full(party: Party, kind: string): void {
  const { store } = party.local;
  const write = store.write.bind(store);
  store.write = (record) => {
    if (record.kind === kind) throw new UsageError("STORE_UNWRITABLE", "the disk is full");
    write(record);
  };
}

Deno.test("Party refreshes a key: new shares, one epoch, and bans are lifted", async () => {
  const { cluster, publicKey } = await made(TWO, "2 of (alice, bob)");
  using _cluster = cluster;
  {
    const alice = await cluster.open("alice");
    const { keyId, epoch } = publicKeyInfo(alice.local, NAME).record;
    const [, bob] = cluster.config.roster.parties;
    alice.local.store.write({
      kind: "burn",
      keyId,
      epoch,
      peer: bob?.index as never,
      sid: sessionId(DIGEST),
      messageHash: DIGEST,
      reason: "a test",
    });
    await rejects(alice.sign({ name: NAME, digest: DIGEST }), "PAIR_BURNED", /refresh the key/);
    await alice.close();
  }
  // What is banned stays banned where the pair is only turned over.
  const turned = values(
    await cluster.all(TWO, (party) => party.refreshKey({ name: NAME, pairs: "rerandomize" })),
  );
  assert.deepEqual(turned.map(({ record, outcome }) => [record.epoch, outcome]), [[1, "dealt"], [
    1,
    "dealt",
  ]]);
  const alice = await cluster.open("alice");
  await rejects(alice.sign({ name: NAME, digest: DIGEST }), "PAIR_BURNED", /banned/);
  await alice.close();

  const [info] = values(await cluster.all(TWO, (party) => party.refreshKey({ name: NAME })));
  assert.equal(info?.record.epoch, 2);
  assert.ok(!isFrostInfo(info));
  verifyCertificate(info.record, info.certificate);
  await signs(cluster, TWO, publicKey);
  const again = await cluster.open("bob");
  assert.deepEqual(
    again.local.store.named(NAME).map(({ epoch, state, settled }) => [epoch, state, settled]),
    [
      [2, "active", true],
    ],
  );
  const request = { name: NAME, curve: secp256k1, policy: parsePolicy("2 of (alice, bob)") };
  await rejects(again.generateKey(request), "KEY_EXISTS", /treasury exists already/);
  await again.close();
});

async function epochsAt(cluster: Cluster, name: string): Promise<[number, string][]> {
  const party = await cluster.open(name);
  const epochs = party.local.store.named(NAME).map(({ epoch, state }): [number, string] => [epoch, state]);
  await party.close();
  return epochs;
}

Deno.test("Party completes a refresh that ended between PENDING and ACTIVE, with the same command or with sync", async () => {
  const { cluster, publicKey } = await made(TWO, "2 of (alice, bob)");
  using _cluster = cluster;
  const halfWay = () =>
    cluster.all(TWO, (party, name) => {
      if (name === "alice") full(party, "key-active");
      return party.refreshKey({ name: NAME });
    }, { timeoutMs: 2_000 });
  await halfWay();
  assert.deepEqual(await epochsAt(cluster, "alice"), [[0, "active"], [1, "pending"]]);
  const again = values(await cluster.all(TWO, (party) => party.refreshKey({ name: NAME })));
  assert.deepEqual(again.map(({ outcome, record }) => [outcome, record.epoch]), [["completed", 1], [
    "completed",
    1,
  ]]);

  // Bob has the certificate unless he heard of the failure of alice first: then the command is run again.
  for (let tries = 0; tries < 10 && (await epochsAt(cluster, "bob"))[0]?.[0] !== 2; tries++) await halfWay();
  assert.deepEqual(await epochsAt(cluster, "alice"), [[1, "active"], [2, "pending"]]);
  const synchronised = values(await cluster.all(TWO, (party) => party.syncKey({ name: NAME, parties: TWO })));
  assert.deepEqual(synchronised.map(({ outcome, record }) => [outcome, record.epoch]), [
    ["synchronised", 2],
    ["unchanged", 2],
  ]);
  for (const name of TWO) {
    const recorded = recordedKeys(cluster.config, name);
    assert.ok(recorded.includes("key_refreshed treasury 1"), recorded.join());
    assert.equal(recorded.at(-1), "key_synchronised treasury 2");
  }
  await signs(cluster, TWO, publicKey);
});

Deno.test("Party reshares a key: a new member joins, and an old one that took no part is told", async () => {
  const { cluster, publicKey } = await made(THREE, "2 of (alice, bob, carol)");
  using _cluster = cluster;
  const request = { name: NAME, policy: parsePolicy("2 of (alice, bob, dave)") };
  const all = ["alice", "bob", "carol", "dave"];
  const results = values(await cluster.all(all, (party) => party.reshareKey(request)));
  assert.deepEqual(results.map(({ member, record }) => [member, record.epoch]), [
    [true, 1],
    [true, 1],
    [false, 1],
    [true, 1],
  ]);
  const carol = await cluster.open("carol");
  assert.deepEqual(carol.local.store.named(NAME).map(({ epoch, state }) => [epoch, state]), [[1, "left"]]);
  await rejects(
    carol.sign({ name: NAME, digest: DIGEST }),
    "KEY_UNKNOWN",
    /left the key treasury in epoch 1/,
  );
  await carol.close();
  for (const name of all) {
    assert.equal(recordedKeys(cluster.config, name).at(-1), "key_reshared treasury 1", name);
  }
  await signs(cluster, ["bob", "dave"], publicKey);
});

Deno.test("Party repairs a lost share, and the repaired party signs", async () => {
  const { cluster, publicKey } = await made(THREE, "2 of (alice, bob, carol)");
  using _cluster = cluster;
  const directory = cluster.config.parties.find(({ name }) => name === "carol")?.dataDirectory;
  for (const file of ["quorate.sqlite", "high-water"]) Deno.removeSync(`${directory}/${file}`);
  const request = { name: NAME, lost: "carol", helpers: TWO };
  const results = values(await cluster.all(THREE, (party) => party.repairKey(request)));
  assert.deepEqual(results.map(({ outcome }) => outcome), ["helped", "helped", "restored"]);
  for (const name of THREE) {
    assert.equal(recordedKeys(cluster.config, name).at(-1), "key_repaired treasury 0", name);
  }
  await signs(cluster, ["bob", "carol"], publicKey);
});

Deno.test("Party says what it cannot do with a key before any connection is made", async () => {
  const { cluster } = await made(TWO, "2 of (alice, bob)");
  using _cluster = cluster;
  const log: string[] = [];
  const alice = await cluster.open("alice", { log: (event) => log.push(event.code) });
  await rejects(alice.refreshKey({ name: "savings" }), "KEY_UNKNOWN", /savings/);
  await rejects(alice.repairKey({ name: NAME, lost: "alice", helpers: ["alice"] }), "USAGE", /cannot help/);
  await rejects(
    alice.repairKey({ name: NAME, lost: "mallory", helpers: ["alice"] }),
    "NOT_A_MEMBER",
    /mallory/,
  );
  await rejects(alice.syncKey({ name: NAME, parties: ["alice"] }), "USAGE", /at least one other/);
  const policy = parsePolicy("2 of (bob, mallory)");
  await rejects(alice.reshareKey({ name: NAME, policy }), "NOT_A_MEMBER", /mallory/);
  await alice.close();
  assert.deepEqual(log, []);
});
