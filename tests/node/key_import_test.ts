import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { utf8 } from "../../src/base/bytes.ts";
import { exportPrivateKey } from "../../src/node/key_export.ts";
import type { ImportRequest } from "../../src/node/key_import.ts";
import { parsePrivateKey, type PrivateKey } from "../../src/node/private_key.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Cluster, rejects, values } from "./fixture.ts";

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
  // Bob ends when the last round begins: alice has a pending share and no certificate.
  const failed = await Promise.allSettled(TWO.map(async (name) => {
    const party = await cluster.open(name, {
      timeoutMs: 3000,
      progress(event) {
        if (name === "bob" && event.kind === "round" && event.round === 3) party.cancel();
      },
    });
    try {
      return await party.importKey(requestOf(name, key));
    } finally {
      await party.close();
    }
  }));
  assert.deepEqual(failed.map(({ status }) => status), ["rejected", "rejected"]);
  const made = values(await cluster.all(TWO, (party, name) => party.importKey(requestOf(name, key))));
  assert.equal(made[0]?.record.epoch, made[1]?.record.epoch);
  const request = { name: "old", parties: TWO, format: "pem" } as const;
  const exported = await exportPrivateKey(cluster.config, request);
  using text = exported.text;
  using back = parsePrivateKey(new Uint8Array(text.expose()), "back");
  assert.deepEqual(back.scalar.expose(), key.scalar.expose());
  assert.ok(pem.includes("PRIVATE KEY"));
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
