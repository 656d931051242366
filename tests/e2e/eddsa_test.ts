/**
 * Keys for Ed25519 and BIP340 with real processes, through their whole life. The signatures are those of RFC 8032 and BIP340: other
 * programs verify them.
 */

import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";
import { schnorr } from "@noble/curves/secp256k1.js";
import { openLocal } from "../../src/node/local_party.ts";
import { Cluster, isRound, sameOutput, shuffled } from "./cluster.ts";

const ALL = ["alice", "bob", "carol"] as const;

async function generate(
  cluster: Cluster,
  kind: readonly string[],
  policy: string,
  members: readonly string[],
) {
  return sameOutput(
    await cluster.all(
      shuffled(members),
      () => ["key", "generate", "--key", "seal", ...kind, "--policy", policy],
    ),
  ).trim();
}

async function sign(cluster: Cluster, signers: readonly string[], message: string): Promise<Uint8Array> {
  const out = cluster.file("seal.sig");
  await cluster.all(shuffled(signers), (party) => [
    ...["key", "sign", "--key", "seal", "--signers", signers.join(), "--message-file", message],
    ...(party === signers[0] ? ["--out", out] : ["--json"]),
  ]);
  return Deno.readFileSync(out);
}

Deno.test("eddsa: an Ed25519 key signs, is refreshed, backed up, recovered and repaired, and stays the same", async () => {
  using cluster = await Cluster.make(ALL);
  const hex = await generate(cluster, ["--curve", "ed25519"], "2 of (alice, bob, carol)", ALL);
  assert.match(hex, /^[0-9a-f]{64}$/);
  const { stdout: pem } = await cluster.one("alice", ["key", "export-public", "--key", "seal"]);
  const { stdout: jwk } = await cluster.one("bob", [
    "key",
    "export-public",
    "--key",
    "seal",
    "--format",
    "jwk",
  ]);
  const key = createPublicKey(pem);
  assert.ok(key.equals(createPublicKey({ key: JSON.parse(jwk), format: "jwk" })));
  assert.equal(key.asymmetricKeyType, "ed25519");
  const pemPath = cluster.file("seal.pem", pem);
  const record = cluster.file("seal.json");

  const signs = async (signers: readonly string[]) => {
    const text = `${signers.join()} ${Math.random()}\n`;
    const message = cluster.file("message.txt", text);
    const signature = await sign(cluster, signers, message);
    assert.equal(signature.length, 64);
    assert.ok(verify(null, new TextEncoder().encode(text), key, signature));
    const openssl = await new Deno.Command("openssl", {
      args: [
        ...["pkeyutl", "-verify", "-pubin", "-inkey", pemPath, "-rawin", "-in", message],
        ...["-sigfile", cluster.file("seal.sig")],
      ],
    }).output();
    assert.ok(openssl.success, new TextDecoder().decode(openssl.stderr));
    for (const source of [["--public", pemPath], ["--key", "seal"]]) {
      await cluster.one("alice", [
        ...["key", "verify", ...source, "--message-file", message, "--signature", cluster.file("seal.sig")],
      ]);
    }
  };
  await signs(["alice", "carol"]);

  const refreshed = await cluster.all(shuffled(ALL), () => ["key", "refresh", "--key", "seal", "--json"]);
  const shown = JSON.parse(sameOutput(refreshed));
  assert.deepEqual([shown.epoch, shown.publicKey, shown.outcome], [1, hex, "dealt"]);
  await signs(["bob", "carol"]);

  // A share that is in a backup, lost and recovered signs again.
  const [secret, open, backup] = ["c.key", "c.pub", "bob.pve"].map((file) => cluster.file(file)) as [
    string,
    string,
    string,
  ];
  await cluster.one("bob", ["backup", "custodian", "--out", secret.replace(/\.key$/, "")]);
  await cluster.one("bob", ["backup", "create", "--key", "seal", "--custodian", open, "--out", backup]);
  await cluster.one("carol", [
    "key",
    "export-public",
    "--key",
    "seal",
    "--format",
    "record",
    "--out",
    record,
  ]);
  await cluster.one("bob", [
    ...["backup", "verify", "--backup", backup, "--custodian", open, "--record", record],
  ]);
  lose(cluster, "bob");
  await cluster.one("bob", [
    ...["backup", "recover", "--backup", backup, "--custodian-key", secret, "--record", record],
  ]);
  await signs(["alice", "bob"]);

  // And so does one that the others repair.
  lose(cluster, "carol");
  const repair = ["key", "repair", "--key", "seal", "--lost", "carol", "--helpers", "alice,bob", "--json"];
  await cluster.all(shuffled(ALL), (party) => party === "carol" ? [...repair, "--curve", "ed25519"] : repair);
  await signs(["bob", "carol"]);

  const list = JSON.parse((await cluster.one("bob", ["key", "list", "--json"])).stdout);
  assert.deepEqual(list.map((row: Record<string, unknown>) => [row["curve"], row["epoch"], row["state"]]), [
    ["ed25519", 1, "active"],
  ]);
  await keepsShares(cluster);
});

Deno.test("eddsa: a BIP340 key of two parties signs what noble verifies under its x", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const both = ["alice", "bob"];
  const x = await generate(
    cluster,
    ["--curve", "secp256k1", "--scheme", "bip340"],
    "2 of (alice, bob)",
    both,
  );
  assert.match(x, /^[0-9a-f]{64}$/);
  const message = cluster.file("message.txt", "bip340\n");
  const signature = await sign(cluster, both, message);
  const digest = createHash("sha256").update("bip340\n").digest();
  assert.ok(schnorr.verify(signature, digest, Uint8Array.fromHex(x)));
  const xPath = cluster.file("seal.hex", x);
  const args = ["--message-file", message, "--signature", cluster.file("seal.sig")];
  await cluster.one("bob", ["key", "verify", "--public", xPath, ...args]);
  await cluster.one("bob", ["key", "verify", "--key", "seal", ...args]);
  const { stderr } = await cluster.one("alice", ["key", "export-public", "--key", "seal"], 64);
  assert.match(stderr, /--format hex/);
  await cluster.all(both, () => ["key", "refresh", "--key", "seal"]);
  const again = await sign(cluster, both, message);
  assert.ok(schnorr.verify(again, digest, Uint8Array.fromHex(x)));
});

Deno.test("eddsa: kill -9 inside a refresh loses nothing, and the same command completes it or deals again", async () => {
  // Much of it is waiting for a deadline: each round has a cluster of its own, all at once.
  await Promise.all([2, 3].map(killInRefresh));
});

async function killInRefresh(round: number): Promise<void> {
  const both = ["alice", "bob"];
  using cluster = await Cluster.make(both);
  const hex = await generate(cluster, ["--curve", "ed25519"], "2 of (alice, bob)", both);
  const refresh = ["key", "refresh", "--key", "seal"];
  const alice = cluster.start("alice", [...refresh, "--timeout", "3"]);
  let isKilled = false;
  const bob = cluster.start("bob", [...refresh, "--timeout", "3"], {
    read: [cluster.work],
    write: [cluster.work],
    onProgress: (line) => {
      if (isKilled || !isRound(line, "frost-refresh", round)) return;
      isKilled = true;
      bob.kill();
    },
  });
  const [{ code, stderr }] = await Promise.all([alice.finished, bob.finished]);
  assert.ok(isKilled, "bob reached the round");
  // Alice may have had all that she needs of bob before he died.
  if (code !== 0) assert.match(stderr, /error (TIMEOUT|PEER_ABORTED|PEER_RESTARTED|LINK_FLAP): .*bob/);
  for (const party of both) {
    const active = (await epochsOf(cluster, party)).filter(({ state }) => state === "active");
    assert.equal(active.length, 1, `${party} has one epoch in use`);
  }
  const shown = JSON.parse(sameOutput(await cluster.all(both, () => [...refresh, "--json"])));
  assert.equal(shown.publicKey, hex);
  for (const party of both) {
    assert.deepEqual(await epochsOf(cluster, party), [{ epoch: shown.epoch, state: "active" }]);
  }
  const signature = await sign(cluster, both, cluster.file("message.txt", "after\n"));
  const x = Uint8Array.fromHex(hex).toBase64({ alphabet: "base64url", omitPadding: true });
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  assert.ok(verify(null, new TextEncoder().encode("after\n"), key, signature));
}

/** No share is in what was printed, or on a disk in clear. */
async function keepsShares(cluster: Cluster): Promise<void> {
  const printed = cluster.outputs.join("\n");
  for (const { name, dataDirectory } of cluster.config.parties) {
    using local = await openLocal(cluster.config, name, { command: "test" });
    using share = local.openFrostKey(local.store.active("seal")).share.share;
    const spelled = share.expose().toHex();
    for (const spelling of [spelled, share.expose().toBase64(), BigInt(`0x${spelled}`).toString()]) {
      assert.ok(!printed.includes(spelling), `the share of ${name} was printed`);
    }
    for (const file of Deno.readDirSync(dataDirectory).filter(({ isFile }) => isFile)) {
      const bytes = Deno.readFileSync(`${dataDirectory}/${file.name}`).toHex();
      assert.ok(!bytes.includes(spelled), `${file.name} of ${name} has its share in clear`);
    }
  }
}

async function epochsOf(cluster: Cluster, party: string) {
  using local = await openLocal(cluster.config, party, { command: "test" });
  return local.store.named("seal").map(({ epoch, state }) => ({ epoch, state }));
}

function lose(cluster: Cluster, party: string): void {
  const directory = cluster.config.parties.find(({ name }) => name === party)?.dataDirectory as string;
  for (const { name } of [...Deno.readDirSync(directory)]) {
    if (/^(quorate\.sqlite|high-water)/.test(name)) Deno.removeSync(`${directory}/${name}`);
  }
}
