import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { hex } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { p256, secp256k1 } from "../../src/math/curve.ts";
import { loadConfig } from "../../src/node/config.ts";
import { type GenerateRequest, openParty, type PublicKeyInfo, publicKeyInfo } from "../../src/node/party.ts";
import { formatPublicKey } from "../../src/node/public_key.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { verifyCertificate } from "../../src/protocols/dkg/certificate.ts";
import { Cluster, rejects, values } from "./fixture.ts";

const MESSAGE = new TextEncoder().encode("Hello, MPC World!");
const DIGEST = sha256(MESSAGE);

Deno.test("Party agrees on a random value with all others", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const results = values(await cluster.all(["carol", "alice", "bob"], (party) => party.agreeRandom(256)));
  assert.equal(new Set(results.map(hex)).size, 1);
  assert.equal(results[0]?.length, 32);
});

Deno.test("Party makes a key, refuses another under its name, and signs with any quorum", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const names = ["alice", "bob", "carol"];
  const request = { name: "treasury", curve: p256, policy: parsePolicy("2 of (alice, bob, carol)") };
  const made = values(await cluster.all(names, (party) => party.generateKey(request)));
  assert.equal(new Set(made.map(({ record }) => hex(record.keyId))).size, 1);
  const info = made[0] as typeof made[number];
  verifyCertificate(info.record, info.certificate);

  {
    const alice = await cluster.open("alice");
    assert.equal(alice.local.store.active("treasury").settled, true);
    await rejects(alice.generateKey(request), "KEY_EXISTS", /treasury exists already/);
    const log: string[] = [];
    await alice.close();
    const quiet = await cluster.open("alice", { log: (event) => log.push(event.code) });
    const sign = (signers: string[], name = "treasury") => quiet.sign({ name, digest: DIGEST, signers });
    await rejects(sign(["alice"]), "NOT_QUALIFIED", /alice may not sign .* 2 of \(alice, bob, carol\)/);
    await rejects(sign(["alice", "mallory"]), "NOT_A_MEMBER", /mallory has no share/);
    await rejects(sign(["bob", "carol"]), "USAGE", /alice is not among the signers: bob, carol are/);
    await rejects(sign(["alice", "bob"], "savings"), "KEY_UNKNOWN", /savings/);
    await quiet.close();
    assert.deepEqual(log, [], "no connection was made, not even a listener");
  }

  const publicKey = createPublicKey(formatPublicKey(info, "pem"));
  for (const signers of [["alice", "bob"], ["carol", "bob"], names]) {
    const active = signers.length === 3 ? ["alice", "bob"] : signers;
    const signed = values(
      await cluster.all(active, (party) => party.sign({ name: "treasury", digest: DIGEST, signers })),
    );
    for (const { signature, signers: shown } of signed) {
      assert.ok(verify("sha256", MESSAGE, publicKey, signature?.der ?? new Uint8Array()));
      assert.deepEqual(shown, active.toSorted());
    }
  }
  const alice = await cluster.open("alice");
  const { keyId } = publicKeyInfo(alice.local, "treasury").record;
  const outcomes = alice.local.store.releases(keyId).map(({ outcome }) => outcome);
  assert.deepEqual(outcomes, ["signed", "signed"]);
  await alice.close();
});

/** Alice's disk fills up when she would make the key ACTIVE. Bob has her signature then, unless her abort overtakes his work. */
async function halfCertified(cluster: Cluster, request: GenerateRequest) {
  const [alice, bob] = await cluster.all(["alice", "bob"], (party, name) => {
    const { store } = party.local;
    const write = store.write.bind(store);
    if (name === "alice") {
      store.write = (record) => {
        if (record.kind === "key-active") throw new UsageError("STORE_UNWRITABLE", "the disk is full");
        write(record);
      };
    }
    return party.generateKey(request);
  }, { timeoutMs: 2_000 });
  assert.equal(alice?.status, "rejected");
  return bob?.status === "fulfilled" ? bob.value : undefined;
}

Deno.test("Party completes a generation that ended between PENDING and ACTIVE", async () => {
  for (let attempt = 1;; attempt++) {
    using cluster = await Cluster.make(["alice", "bob"]);
    const request = { name: "treasury", curve: secp256k1, policy: parsePolicy("2 of (alice, bob)") };
    const first = await halfCertified(cluster, request);
    if (first !== undefined) return await completed(cluster, request, first);
    assert.ok(attempt < 10, "bob never had the key");
  }
});

async function completed(cluster: Cluster, request: GenerateRequest, first: PublicKeyInfo): Promise<void> {
  {
    const party = await cluster.open("alice");
    await rejects(party.sign({ name: "treasury", digest: DIGEST }), "KEY_PENDING", /key generate again/);
    await party.close();
    const other = await cluster.open("bob");
    assert.equal(other.local.store.active("treasury").settled, false);
    await other.close();
  }
  const again = values(await cluster.all(["alice", "bob"], (party) => party.generateKey(request)));
  assert.deepEqual(again.map(({ outcome }) => outcome), ["completed", "completed"]);
  assert.deepEqual(again[0]?.record.keyId, first.record.keyId);
  const signed = values(
    await cluster.all(["alice", "bob"], (party) => party.sign({ name: "treasury", digest: DIGEST })),
  );
  assert.equal(signed.length, 2);
}

Deno.test("Party sets up an absent pair before it signs", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const request = { name: "treasury", curve: secp256k1, policy: parsePolicy("2 of (alice, bob)") };
  const warnings: string[] = [];
  await cluster.all(["alice", "bob"], (party, name) => {
    const { store } = party.local;
    const write = store.write.bind(store);
    store.write = (record) => {
      if (name === "bob" && record.kind === "pair") {
        throw new UsageError("STORE_UNWRITABLE", "the disk is full");
      }
      write(record);
    };
    return party.generateKey(request);
  }, { timeoutMs: 3_000, warn: (sentence) => warnings.push(sentence) });
  assert.ok(
    warnings.some((sentence) => /the pair with alice is not set up yet/.test(sentence)),
    String(warnings),
  );
  const signed = values(
    await cluster.all(["alice", "bob"], (party) => party.sign({ name: "treasury", digest: DIGEST })),
  );
  assert.equal(signed.length, 2);
});

Deno.test("openParty() refuses a busy party and a stranger, and connects only with the identity of the roster", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const alice = await cluster.open("alice", { command: "agree-random" });
  await rejects(
    cluster.open("alice", { timeoutMs: 100 }),
    "PARTY_BUSY",
    /alice is busy with "agree-random" \(process \d+\)/,
  );
  await rejects(cluster.open("mallory"), "NOT_A_MEMBER", /alice, bob are/);
  const [first, second] = cluster.config.parties;
  Deno.copyFileSync(second?.identityKeyPath ?? "", first?.identityKeyPath ?? "");
  await rejects(
    alice.agreeRandom(256),
    "IDENTITY_INVALID",
    /not the one that the configuration names for alice/,
  );
  await alice.close();
});

Deno.test("openParty() refuses secrets that others can read, or that are missing", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const [alice] = cluster.config.parties;
  assert.ok(alice);
  Deno.chmodSync(alice.sealing.path, 0o644);
  await rejects(cluster.open("alice"), "LOOSE_PERMISSIONS", /chmod 0600 .*sealing\.key/);
  Deno.chmodSync(alice.sealing.path, 0o600);
  for (const path of [alice.keyPath, alice.identityKeyPath]) {
    Deno.chmodSync(path, 0o604);
    const party = await cluster.open("alice");
    await rejects(party.agreeRandom(256), "LOOSE_PERMISSIONS", new RegExp(`chmod 0600 .*${path}`));
    await party.close();
    Deno.chmodSync(path, 0o600);
  }
  Deno.removeSync(alice.sealing.path);
  await rejects(cluster.open("alice"), "IDENTITY_INVALID", /sealing key of alice is missing/);
});

Deno.test("agreeRandom() refuses a wrong length before any connection is made", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const log: string[] = [];
  const alice = await cluster.open("alice", { log: (event) => log.push(event.code) });
  for (const bits of [0, 120, 129, 65544]) {
    await rejects(alice.agreeRandom(bits), "USAGE", /bits is a multiple of 8/);
  }
  const policy = parsePolicy("2 of (alice, mallory)");
  await rejects(
    alice.generateKey({ name: "x", curve: p256, policy }),
    "NOT_A_MEMBER",
    /mallory is not a party of demo/,
  );
  await rejects(
    alice.generateKey({ name: "", curve: p256, policy: parsePolicy("2 of (alice, bob)") }),
    "USAGE",
    /name/,
  );
  for (const name of ["a\nb", "\x1b[31mred", "a\u202eb", " a", "a "]) {
    const request = { name, curve: p256, policy: parsePolicy("2 of (alice, bob)") };
    await rejects(alice.generateKey(request), "USAGE", /^a key's name has no control characters/);
  }
  await alice.close();
  assert.deepEqual(log, []);
});

Deno.test("a party that never starts is named at the deadline", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const results = await cluster.all(["alice", "bob"], (party) => party.agreeRandom(128), {
    timeoutMs: 1_000,
  });
  for (const result of results) {
    assert.equal(result.status, "rejected");
    assert.equal((result as PromiseRejectedResult).reason.code, "TIMEOUT");
    assert.match((result as PromiseRejectedResult).reason.message, /carol/);
  }
});

Deno.test("the one who is dialled says where it waited, and the last connection that it refused there", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const before = await cluster.open("bob", { timeoutMs: 1_000 });
  await rejects(before.agreeRandom(128), "TIMEOUT", /\(alice has not connected to 127\.0\.0\.1:\d+\)$/);
  await before.close();
  const changed = Deno.readTextFileSync(cluster.configPath)
    .replace(/sha256\/.{44}/, `sha256/${"A".repeat(43)}=`);
  const bobsPath = `${cluster.configPath}.bob`;
  Deno.writeTextFileSync(bobsPath, changed);
  const bob = await openParty(loadConfig(bobsPath), "bob", { command: "test", timeoutMs: 2_000 });
  const alice = await cluster.open("alice", { timeoutMs: 2_000 });
  await Promise.all([
    rejects(
      bob.agreeRandom(128),
      "TIMEOUT",
      /where the last connection was refused: .* pinned keys of alice\)$/,
    ),
    rejects(alice.agreeRandom(128), "TIMEOUT", /bob/),
  ]);
  await Promise.all([alice.close(), bob.close()]);
});

Deno.test("a certificate that cannot be used is named with its files", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  Deno.writeTextFileSync(cluster.config.authorityPath, "junk");
  const alice = await cluster.open("alice");
  await rejects(
    alice.agreeRandom(128),
    "IDENTITY_INVALID",
    /; the files are .*cert\.pem, .*key\.pem, .*ca\.pem$/,
  );
  await alice.close();
});

Deno.test("openParty() seals with the first line of a passphrase file", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const file = `${cluster.root}/passphrase`;
  const config = loadConfig(cluster.configPath, { QUORATE_STORAGE_PASSPHRASE_FILE: file });
  const open = () => openParty(config, "alice", { command: "test", timeoutMs: 1_000 });
  Deno.writeTextFileSync(file, "correct horse\n", { mode: 0o600 });
  await (await open()).close();
  Deno.writeTextFileSync(file, "correct horse");
  await (await open()).close();
  Deno.writeTextFileSync(file, "battery staple\n");
  await rejects(open(), "STORE_CORRUPT", /passphrase/);
  Deno.chmodSync(file, 0o644);
  await rejects(open(), "LOOSE_PERMISSIONS", /chmod 0600/);
});

Deno.test("cancel() ends the session at the peers too, and no other begins", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const linked = Promise.withResolvers<void>();
  const alice = await cluster.open("alice", {
    timeoutMs: 60_000,
    progress: (event) => event.waitingFor.length === 1 ? linked.resolve() : undefined,
  });
  const bob = await cluster.open("bob", { timeoutMs: 60_000 });
  const ends = [
    rejects(alice.agreeRandom(128), "CANCELLED", /stopped here before it ended: run it again/),
    rejects(bob.agreeRandom(128), "PEER_REFUSED", /alice/),
  ];
  await linked.promise;
  alice.cancel();
  await Promise.all(ends);
  await rejects(alice.agreeRandom(128), "CANCELLED", /agree-random was cancelled/);
  await Promise.all([alice.close(), bob.close()]);
});
