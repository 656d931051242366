import assert from "node:assert/strict";
import { keyId } from "../../src/base/brands.ts";
import { hex } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { UsageError } from "../../src/base/errors.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import {
  backedUpEpoch,
  createKeyBackup,
  noteKeyBackup,
  recoverKeyBackup,
  verifyKeyBackup,
} from "../../src/node/backup.ts";
import { type FrostKeyInfo, frostKeyInfo, kindOfEntry } from "../../src/node/frost_keys.ts";
import { type KeyInfo, keyInfo, type Party } from "../../src/node/party.ts";
import { formatPublicKey } from "../../src/node/public_key.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { verifyFrostCertificate } from "../../src/protocols/frost/certificate.ts";
import type { FrostScheme } from "../../src/protocols/frost/suite.ts";
import { generateCustodianKey } from "../../src/protocols/pve/custodian.ts";
import { Cluster, rejects, values } from "./fixture.ts";

const TWO = ["alice", "bob"];
const THREE = ["alice", "bob", "carol"];
const POLICY = parsePolicy("2 of (alice, bob, carol)");
const NAME = "seal";
const MESSAGE = new TextEncoder().encode("a message");

async function made(scheme: FrostScheme = "ed25519"): Promise<Cluster> {
  const cluster = await Cluster.make(THREE);
  values(
    await cluster.all(THREE, (party) => party.generateFrostKey({ name: NAME, scheme, policy: POLICY })),
  );
  return cluster;
}

async function signs(cluster: Cluster, signers: readonly string[], info: FrostKeyInfo): Promise<void> {
  const signed = values(
    await cluster.all(signers, async (party) => {
      const made = await party.signMessage({ name: NAME, message: MESSAGE, signers });
      // Nothing is left of which nobody knows whether there is a signature.
      const outcomes = party.local.store.releases(made.record.keyId).map(({ outcome }) => outcome);
      assert.ok(outcomes.length > 0 && outcomes.every((outcome) => outcome === "signed"));
      return made;
    }),
  );
  for (const { signature, signers: shown } of signed) {
    assert.ok(signature !== undefined);
    assert.ok(info.record.suite.verify(info.record.publicKey, MESSAGE, signature));
    assert.deepEqual(shown, signers);
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

async function epochsAt(cluster: Cluster, name: string): Promise<[number, string, boolean][]> {
  const party = await cluster.open(name);
  try {
    return party.local.store.named(NAME).map(({ epoch, state, settled }) => [epoch, state, settled]);
  } finally {
    await party.close();
  }
}

async function infoAt(cluster: Cluster, name: string): Promise<FrostKeyInfo> {
  const party = await cluster.open(name);
  try {
    return frostKeyInfo(party.local, NAME);
  } finally {
    await party.close();
  }
}

Deno.test("Party completes the generation of an Ed25519 key that ended between PENDING and ACTIVE", async () => {
  using cluster = await Cluster.make(TWO);
  const request = { name: NAME, scheme: "ed25519", policy: parsePolicy("2 of (alice, bob)") } as const;
  await cluster.all(TWO, (party, name) => {
    if (name === "alice") full(party, "key-active");
    return party.generateFrostKey(request);
  }, { timeoutMs: 5_000 });
  assert.deepEqual(await epochsAt(cluster, "alice"), [[0, "pending", false]]);
  const [[, , isSettled] = []] = await epochsAt(cluster, "bob");
  assert.equal(isSettled, false, "bob does not know that alice has the certificate");
  const alice = await cluster.open("alice");
  await rejects(alice.signMessage({ name: NAME, message: MESSAGE }), "KEY_PENDING", /key generate again/);
  await alice.close();
  const again = values(await cluster.all(TWO, (party) => party.generateFrostKey(request)));
  assert.deepEqual(again.map(({ outcome }) => outcome), ["completed", "completed"]);
  const info = again[0] as FrostKeyInfo;
  verifyFrostCertificate(info.record, info.certificate);
  await signs(cluster, TWO, info);
  assert.deepEqual(await epochsAt(cluster, "alice"), [[0, "active", true]]);
});

Deno.test("Party completes a refresh of an Ed25519 key, or deals again, and keeps the old epoch until then", async () => {
  using cluster = await Cluster.make(THREE);
  const request = { name: NAME, scheme: "ed25519", policy: POLICY } as const;
  await cluster.all(THREE, (party) => {
    full(party, "key-active");
    return party.generateFrostKey(request);
  }, { timeoutMs: 5_000 });
  const alice = await cluster.open("alice");
  for (const pending of alice.local.store.named(NAME)) alice.local.store.discardPending(pending);
  await alice.close();
  values(await cluster.all(THREE, (party) => party.generateFrostKey(request)));
  // What bob has left of the first attempt is no epoch of the key.
  const attempt: [number, string, boolean] = [0, "pending", false];
  assert.deepEqual((await epochsAt(cluster, "bob")).toSorted(), [[0, "active", true], attempt]);
  const before = await infoAt(cluster, "alice");
  const halfWay = (kind: string) =>
    cluster.all(THREE, (party, name) => {
      if (name === "alice") full(party, kind);
      return party.refreshKey({ name: NAME });
    }, { timeoutMs: 5_000 });

  // Nobody can have a certificate: the next run deals under a number that nobody has used.
  await halfWay("key-pending");
  assert.deepEqual(await epochsAt(cluster, "alice"), [[0, "active", true]]);
  await signs(cluster, TWO, before);
  const dealt = values(await cluster.all(THREE, (party) => party.refreshKey({ name: NAME })));
  assert.ok(dealt.every(({ outcome, member }) => outcome === "dealt" && member));
  const { epoch } = (dealt[0] as KeyInfo).record;
  const only = async (epoch: number) => {
    for (const name of THREE) {
      const left = name === "alice" ? [] : [attempt];
      assert.deepEqual(await epochsAt(cluster, name), [...left, [epoch, "active", true]]);
    }
  };
  await only(epoch);

  // Somebody may have it: the next run completes what all have.
  await halfWay("key-active");
  assert.deepEqual(await epochsAt(cluster, "alice"), [[epoch, "active", true], [
    epoch + 1,
    "pending",
    false,
  ]]);
  const completed = values(await cluster.all(THREE, (party) => party.refreshKey({ name: NAME })));
  assert.deepEqual(
    completed.map(({ outcome, record }) => [outcome, record.epoch]),
    THREE.map(() => ["completed", epoch + 1]),
  );
  await only(epoch + 1);
  await signs(cluster, ["bob", "carol"], before);
});

Deno.test("Party repairs a share of an Ed25519 key where it is lost, and nowhere else", async () => {
  using cluster = await made();
  const request = { name: NAME, lost: "carol", helpers: TWO };
  const [, , carol] = await cluster.all(THREE, (party) => party.repairKey(request), { timeoutMs: 5_000 });
  assert.ok(carol?.status === "rejected");
  await rejects(Promise.reject(carol.reason), "KEY_EXISTS", /carol has its share of the key seal/);

  const info = await infoAt(cluster, "alice");
  const directory = cluster.config.parties.find(({ name }) => name === "carol")?.dataDirectory;
  for (const file of ["quorate.sqlite", "high-water"]) Deno.removeSync(`${directory}/${file}`);
  const scheme = "ed25519";
  const results = values(await cluster.all(THREE, (party) => party.repairKey({ ...request, scheme })));
  assert.deepEqual(results.map(({ outcome }) => outcome), ["helped", "helped", "restored"]);
  await signs(cluster, ["bob", "carol"], info);
});

Deno.test("Party says what it cannot do with a key for Ed25519 or BIP340 before any connection is made", async () => {
  using cluster = await made();
  const policy = parsePolicy("2 of (alice, bob)");
  values(await cluster.all(TWO, (party) => party.generateFrostKey({ name: "x", scheme: "bip340", policy })));
  values(await cluster.all(TWO, (party) => party.generateKey({ name: "ecdsa", curve: secp256k1, policy })));
  await cluster.all(TWO, (party) => {
    full(party, "key-active");
    return party.generateFrostKey({ name: "half", scheme: "ed25519", policy });
  }, { timeoutMs: 5_000 });
  await cluster.all(TWO, (party) => {
    full(party, "key-active");
    return party.generateKey({ name: "other half", curve: secp256k1, policy });
  }, { timeoutMs: 5_000 });

  const log: string[] = [];
  const alice = await cluster.open("alice", { log: (event) => log.push(event.code) });
  const generate = (text: string, name = "new") =>
    alice.generateFrostKey({ name, scheme: "ed25519", policy: parsePolicy(text) });
  for (
    const text of [
      "and(alice, 1 of (bob, carol))",
      "2 of (alice, and(bob, carol))",
    ]
  ) {
    await rejects(generate(text), "POLICY_INVALID", /of the form 2 of \(a, b, c\)/);
  }
  await rejects(generate("2 of (bob, carol)"), "NOT_A_MEMBER", /not in the policy of new/);
  await rejects(generate("2 of (alice, mallory)"), "NOT_A_MEMBER", /mallory is not a party/);
  await rejects(generate("2 of (alice, bob)", ""), "USAGE", /name/);
  await rejects(generate("2 of (alice, bob)", NAME), "KEY_EXISTS", /seal exists already/);
  await rejects(generate("2 of (alice, bob)", "ecdsa"), "KEY_EXISTS", /ecdsa exists already/);
  await rejects(generate("2 of (alice, carol)", "half"), "KEY_EXISTS", /another scheme or policy/);
  await rejects(
    generate("2 of (alice, bob)", "other half"),
    "KEY_EXISTS",
    /other half exists already: choose another name/,
  );
  await rejects(
    alice.generateKey({ name: "half", curve: secp256k1, policy }),
    "KEY_EXISTS",
    /half exists already: choose another name/,
  );

  const sign = (name: string, message: Uint8Array<ArrayBuffer>, signers = TWO) =>
    alice.signMessage({ name, message, signers });
  await rejects(sign(NAME, new Uint8Array(48 * 1024 + 1)), "USAGE", /at most 49152 bytes: found 49153/);
  await rejects(sign("x", MESSAGE), "USAGE", /digest of 32 bytes: found 9/);
  await rejects(sign(NAME, MESSAGE, ["alice"]), "NOT_QUALIFIED", /alice may not sign with seal/);
  await rejects(sign(NAME, MESSAGE, ["bob", "carol"]), "USAGE", /alice is not among the signers/);
  await rejects(sign("ecdsa", MESSAGE), "KEY_SCHEME", /ecdsa is an ECDSA key on secp256k1/);
  await rejects(sign("none", MESSAGE), "KEY_UNKNOWN", /none/);
  await rejects(
    alice.sign({ name: NAME, digest: new Uint8Array(32) }),
    "KEY_SCHEME",
    /seal is a key for ed25519/,
  );

  await rejects(alice.reshareKey({ name: NAME, policy }), "KEY_SCHEME", /seal .* members are fixed/);
  await rejects(alice.syncKey({ name: NAME, parties: ["bob"] }), "KEY_SCHEME", /run key refresh again/);
  await rejects(
    alice.importKey({ name: NAME, policy, from: "bob" }),
    "KEY_SCHEME",
    /choose another name/,
  );
  const repair = (lost: string, helpers: string[]) => alice.repairKey({ name: NAME, lost, helpers });
  await rejects(repair("carol", ["alice"]), "USAGE", /at least two helpers/);
  await rejects(repair("carol", ["bob", "carol"]), "USAGE", /is no helper/);
  await rejects(repair("mallory", TWO), "NOT_A_MEMBER", /mallory/);
  // Which kind of key was lost is asked for only where no key of that name is left.
  const other = { name: "ecdsa", lost: "alice", helpers: ["bob", "carol"], scheme: "ed25519" } as const;
  await rejects(alice.repairKey(other), "KEY_SCHEME", /ecdsa is an ECDSA key/);
  await alice.close();
  // Who is at hand and not needed has nothing to do either.
  const carol = await cluster.open("carol", { log: (event) => log.push(event.code) });
  const { signers, signature } = await carol.signMessage({ name: NAME, message: MESSAGE });
  assert.deepEqual([signers, signature], [TWO, undefined]);
  await carol.close();
  assert.deepEqual(log, []);
});

Deno.test("a store names a key of FROST by its scheme, and lists name curve and scheme", () => {
  assert.deepEqual(kindOfEntry({ curve: "p256" }), { curve: "p256" });
  assert.deepEqual(kindOfEntry({ curve: "ed25519" }), { curve: "ed25519", scheme: "ed25519" });
  assert.deepEqual(kindOfEntry({ curve: "bip340" }), { curve: "secp256k1", scheme: "bip340" });
});

Deno.test("one backup holds keys of every kind, and what is recovered signs", async () => {
  using cluster = await Cluster.make(TWO);
  const policy = parsePolicy("2 of (alice, bob)");
  values(
    await cluster.all(TWO, (party) => party.generateFrostKey({ name: NAME, scheme: "ed25519", policy })),
  );
  values(
    await cluster.all(TWO, (party) => party.generateFrostKey({ name: "coin", scheme: "bip340", policy })),
  );
  values(await cluster.all(TWO, (party) => party.generateKey({ name: "cold", curve: secp256k1, policy })));
  using custodian = generateCustodianKey("x25519", seededRng("custodian"));
  const to = custodian.publicKey;
  const names = ["coin", "cold", NAME];
  let bytes: Uint8Array, records: KeyInfo[], shares: string[];
  {
    const alice = await cluster.open("alice");
    const { local } = alice;
    const created = createKeyBackup(local, { to });
    assert.deepEqual(created.keys.map(({ name }) => name), names);
    noteKeyBackup(local, created);
    bytes = created.bytes;
    records = names.map((name) =>
      parsePublicRecord(formatPublicKey(keyInfo(local, name), "record"), "record")
    );
    for (const { record } of records) assert.equal(backedUpEpoch(local.store, record.keyId), 0);
    shares = sharesOf(alice, names);
    await alice.close();
  }
  assert.deepEqual(verifyKeyBackup(bytes, { to, records }).keys.map(({ name }) => name), names);
  // A record of another key, or epoch, or with another public share is not what the backup holds.
  const [, , seal] = records as [KeyInfo, KeyInfo, FrostKeyInfo];
  const { record } = seal;
  const [first, second] = [...record.publicShares.values()];
  assert.ok(first !== undefined && second !== undefined);
  for (
    const [change, code] of [
      [{ epoch: 1 }, "BACKUP_STALE"],
      [{ keyId: keyId(new Uint8Array(32)) }, "BACKUP_INVALID"],
      [
        { publicShares: new Map([...record.publicShares.keys()].map((party) => [party, second])) },
        "BACKUP_INVALID",
      ],
    ] as const
  ) {
    const changed = [...records.slice(0, 2), { ...seal, record: { ...record, ...change } }];
    await rejects((async () => await verifyKeyBackup(bytes, { to, records: changed }))(), code, /./);
  }

  const directory = cluster.config.parties[0]?.dataDirectory;
  for (const file of ["quorate.sqlite", "high-water"]) Deno.removeSync(`${directory}/${file}`);
  const alice = await cluster.open("alice");
  const means = { keys: [custodian], answers: [] };
  const forged = [...records.slice(0, 2), { ...seal, certificate: (records[0] as KeyInfo).certificate }];
  await rejects(
    (async () => await recoverKeyBackup(alice.local, bytes, { ...means, records: forged }))(),
    "STORE_CORRUPT",
    /certificate/,
  );
  assert.deepEqual(alice.local.store.keys(), []);
  const { keys } = recoverKeyBackup(alice.local, bytes, { ...means, records });
  assert.deepEqual(keys.map(({ outcome }) => outcome), names.map(() => "restored"));
  assert.deepEqual(sharesOf(alice, names), shares);
  const again = recoverKeyBackup(alice.local, bytes, { ...means, records });
  assert.deepEqual(again.keys.map(({ outcome }) => outcome), names.map(() => "unchanged"));
  await alice.close();
  await signs(cluster, TWO, seal);
});

function sharesOf({ local }: Party, names: readonly string[]): string[] {
  return names.map((name) => {
    using share = local.openShare(local.store.active(name))?.share;
    return hex(share?.expose() ?? new Uint8Array());
  });
}
