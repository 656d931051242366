import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { utf8 } from "../../src/base/bytes.ts";
import { UsageError } from "../../src/base/errors.ts";
import { exportPrivateKey } from "../../src/node/key_export.ts";
import type { ImportRequest } from "../../src/node/key_import.ts";
import { parsePrivateKey, type PrivateKey } from "../../src/node/private_key.ts";
import type { Party } from "../../src/node/party.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Cluster, recordedKeys, rejects, values } from "./fixture.ts";

const TWO = ["alice", "bob"] as const;

function newKey(): { readonly pem: string; readonly key: PrivateKey } {
  const pem = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey
    .export({ type: "pkcs8", format: "pem" }).toString();
  return { pem, key: parsePrivateKey(utf8(pem), "k") };
}

function requestOf(name: string, key: PrivateKey): ImportRequest {
  const request = { name: "old", policy: parsePolicy("2 of (alice, bob)"), from: "alice" };
  return name === "alice" ? { ...request, privateKey: key } : request;
}

Deno.test("Party completes an import that ended before all had the certificate, with the same command", async () => {
  using cluster = await Cluster.make(TWO);
  const { pem, key } = newKey();
  // Bob ends when all is there to make the certificate: alice has it, and bob's share is pending.
  const failed = await cluster.all(TWO, (party, name) => {
    const { store } = party.local;
    const write = store.write.bind(store);
    if (name === "bob") {
      store.write = (record) => {
        if (record.kind === "key-active") throw new UsageError("STORE_UNWRITABLE", "the disk is full");
        write(record);
      };
    }
    return party.importKey(requestOf(name, key));
  });
  assert.deepEqual(failed.map(({ status }) => status), ["fulfilled", "rejected"]);
  const made = values(await cluster.all(TWO, (party, name) => party.importKey(requestOf(name, key))));
  assert.equal(made[0]?.record.epoch, made[1]?.record.epoch);
  const imported = `key_imported old ${made[0]?.record.epoch}`;
  assert.deepEqual(recordedKeys(cluster.config, "alice"), [imported, imported]);
  assert.deepEqual(recordedKeys(cluster.config, "bob"), [imported]);
  const request = { name: "old", parties: TWO, format: "pem" } as const;
  const exported = await exportPrivateKey(cluster.config, request);
  using text = exported.text;
  using back = parsePrivateKey(new Uint8Array(text.expose()), "back");
  assert.deepEqual(back.scalar.expose(), key.scalar.expose());
  assert.ok(pem.includes("PRIVATE KEY"));
});

Deno.test("Party.importKey() that is repeated leaves the same key, whether its owner has a share or not", async () => {
  for (const policy of ["2 of (alice, bob)", "2 of (bob, carol)"]) {
    const names = ["alice", "bob", "carol"].filter((name) => name === "alice" || policy.includes(name));
    using cluster = await Cluster.make(["alice", "bob", "carol"]);
    const { key } = newKey();
    const run = async (party: Party, name: string) =>
      await party.importKey({ ...requestOf(name, key), policy: parsePolicy(policy) });
    const first = values(await cluster.all(names, run));
    const again = values(await cluster.all(names, run));
    const [before, after] = [first, again].map((made) =>
      made.map(({ record }) => [record.keyId, record.curve.encodePoint(record.publicKey)])
    );
    assert.deepEqual(after, before);
    assert.equal(new Set(again.map(({ record }) => record.epoch)).size, 1);
    const parties = names.filter((name) => policy.includes(name));
    const { text } = await exportPrivateKey(cluster.config, { name: "old", parties, format: "jwk" });
    using back = parsePrivateKey(new Uint8Array(text.expose()), "back");
    assert.deepEqual(back.scalar.expose(), key.scalar.expose());
  }
});

Deno.test("Party.importKey() keeps the chain code that the key's children were made with", async () => {
  using cluster = await Cluster.make(TWO);
  const chainCode = new Uint8Array(32).fill(9);
  const { key } = newKey();
  const made = values(
    await cluster.all(
      TWO,
      (party, name) =>
        party.importKey({ ...requestOf(name, key), ...(name === "alice" ? { chainCode } : {}) }),
    ),
  );
  assert.deepEqual(made.map(({ record }) => record.chainCode), [chainCode, chainCode]);
});

Deno.test("Party.importKey() takes no name that cannot be shown, or that a key for Ed25519 has", async () => {
  using cluster = await Cluster.make(TWO);
  const policy = parsePolicy("2 of (alice, bob)");
  values(
    await cluster.all(TWO, (party) => party.generateFrostKey({ name: "seal", scheme: "ed25519", policy })),
  );
  const alice = await cluster.open("alice");
  const request = requestOf("alice", newKey().key);
  await rejects(alice.importKey({ ...request, name: "a\nb" }), "USAGE", /no control characters/);
  await rejects(alice.importKey({ ...request, name: "seal" }), "KEY_SCHEME", /choose another name/);
  await alice.close();
});

Deno.test("Party imports no key under a name that another one has", async () => {
  using cluster = await Cluster.make(TWO);
  const first = newKey().key, second = newKey().key;
  values(await cluster.all(TWO, (party, name) => party.importKey(requestOf(name, first))));
  const alice = await cluster.open("alice");
  await rejects(alice.importKey(requestOf("alice", second)), "KEY_EXISTS", /another key old is stored here/);
  await alice.close();
});

Deno.test("exportPrivateKey() combines no shares of different epochs", async () => {
  using cluster = await Cluster.make(TWO);
  const { key } = newKey();
  values(await cluster.all(TWO, (party, name) => party.importKey(requestOf(name, key))));
  const directory = cluster.config.parties[0]?.dataDirectory as string;
  const copies = [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile)
    .map(({ name }) => [`${directory}/${name}`, Deno.readFileSync(`${directory}/${name}`)] as const);
  values(await cluster.all(TWO, (party) => party.refreshKey({ name: "old" })));
  for (const { name } of [...Deno.readDirSync(directory)]) {
    Deno.removeSync(`${directory}/${name}`, { recursive: true });
  }
  for (const [path, content] of copies) Deno.writeFileSync(path, content, { mode: 0o600 });
  await rejects(
    exportPrivateKey(cluster.config, { name: "old", parties: TWO, format: "pem" }),
    "EPOCH_MISMATCH",
    /bob has epoch 2 of old, and alice epoch 1: shares of different epochs do not combine/,
  );
});
