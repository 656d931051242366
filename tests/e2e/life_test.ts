/**
 * The life of a key with real processes: refresh, reshare, repair, each followed by a signature that openssl accepts under the
 * unchanged public key.
 */

import assert from "node:assert/strict";
import { Cluster, sameOutput, shuffled } from "./cluster.ts";

interface Key {
  readonly cluster: Cluster;
  readonly publicKey: string;
  readonly pemPath: string;
}

async function makeKey(
  cluster: Cluster,
  input: { readonly curve: string; readonly policy: string; readonly members: readonly string[] },
): Promise<Key> {
  const { curve, policy, members } = input;
  const made = await cluster.all(
    shuffled(members),
    () => ["key", "generate", "--key", "treasury", "--curve", curve, "--policy", policy],
  );
  const pem = await cluster.one(members[0] as string, exportAs("pem"));
  return {
    cluster,
    publicKey: sameOutput(made).trim(),
    pemPath: cluster.file("treasury.pem", pem.stdout),
  };
}

function exportAs(format: string): string[] {
  return ["key", "export-public", "--key", "treasury", "--format", format];
}

/** The signers sign a fresh message, and openssl accepts it under the key as it was made. */
async function signs({ cluster, publicKey, pemPath }: Key, signers: readonly string[]): Promise<void> {
  const message = cluster.file("message.txt", `${signers.join()} ${Math.random()}\n`);
  const signature = cluster.file("message.sig");
  await cluster.all(shuffled(signers), (party) => [
    ...["key", "sign", "--key", "treasury", "--signers", signers.join(), "--message-file", message],
    ...(party === signers[0] ? ["--out", signature] : []),
  ]);
  const openssl = await new Deno.Command("openssl", {
    args: ["dgst", "-sha256", "-verify", pemPath, "-signature", signature, message],
  }).output();
  assert.equal(new TextDecoder().decode(openssl.stdout).trim(), "Verified OK");
  const hex = await cluster.one(signers[0] as string, exportAs("hex"));
  assert.equal(hex.stdout.trim(), publicKey);
}

async function record(cluster: Cluster, party: string): Promise<Record<string, unknown>> {
  return JSON.parse((await cluster.one(party, exportAs("record"))).stdout);
}

const REFRESH = ["key", "refresh", "--key", "treasury", "--json"];

Deno.test("life: refresh of 2 of 3", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const members = cluster.names;
  const key = await makeKey(cluster, { curve: "secp256k1", policy: "2 of (alice, bob, carol)", members });
  const before = await record(cluster, "alice");
  const refreshed = JSON.parse(sameOutput(await cluster.all(shuffled(members), () => REFRESH)));
  assert.deepEqual([refreshed.epoch, refreshed.keyId, refreshed.outcome], [1, before["keyId"], "dealt"]);
  await signs(key, ["alice", "carol"]);
});
