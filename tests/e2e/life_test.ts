/**
 * The life of a key with real processes: refresh, reshare, repair, each followed by a signature that openssl accepts under the
 * unchanged public key.
 */

import assert from "node:assert/strict";
import { Cluster, isRound, sameOutput, shuffled } from "./cluster.ts";

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
async function signs({ cluster, pemPath }: Key, signers: readonly string[]): Promise<void> {
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
}

const REFRESH = ["key", "refresh", "--key", "treasury", "--json"];

/** Every member gets a new share; nothing else of the key changes. */
async function refreshes(
  key: Key,
  members: readonly string[],
  epoch: number,
  pairs = "renew",
): Promise<void> {
  const args = [...REFRESH, "--pairs", pairs];
  const shown = JSON.parse(sameOutput(await key.cluster.all(shuffled(members), () => args)));
  assert.deepEqual([shown.epoch, shown.publicKey, shown.outcome], [epoch, key.publicKey, "dealt"]);
}

/** A policy takes the place of another one. */
async function reshares(
  key: Key,
  input: {
    readonly parties: readonly string[];
    readonly policy: string;
    readonly epoch: number;
    readonly dealers?: string;
  },
): Promise<Record<string, unknown>> {
  const { parties, policy, epoch, dealers } = input;
  const named = dealers === undefined ? [] : ["--dealers", dealers];
  const args = ["key", "reshare", "--key", "treasury", "--policy", policy, ...named, "--json"];
  const results = await key.cluster.all(shuffled(parties), () => args);
  const shown = new Map([...results].map(([party, { stdout }]) => [party, JSON.parse(stdout)]));
  for (const [party, { epoch: shownEpoch, publicKey, policy: shownPolicy, member }] of shown) {
    assert.deepEqual([shownEpoch, publicKey, shownPolicy], [epoch, key.publicKey, policy]);
    assert.equal(member, policy.includes(party), party);
  }
  return shown.get(parties[0] as string);
}

/** A party whose disk is gone gets its share again. */
async function repairs(key: Key, lost: string, helpers: readonly string[]): Promise<void> {
  const { cluster } = key;
  const directory = cluster.config.parties.find(({ name }) => name === lost)?.dataDirectory as string;
  for (const name of ["quorate.sqlite", "high-water"]) Deno.removeSync(`${directory}/${name}`);
  const args = ["key", "repair", "--key", "treasury", "--lost", lost, "--helpers", helpers.join(), "--json"];
  const results = await cluster.all(shuffled([lost, ...helpers]), () => args);
  for (const [party, { stdout }] of results) {
    assert.equal(JSON.parse(stdout).outcome, party === lost ? "restored" : "helped");
  }
}

for (const curve of ["secp256k1", "p256"]) {
  Deno.test(`life: a key on ${curve} is refreshed, moved and repaired, and signs after each step`, async () => {
    using cluster = await Cluster.make(["alice", "bob", "carol", "dave"]);
    const [two, three, four] = [2, 3, 4].map((n) => cluster.names.slice(0, n)) as [
      string[],
      string[],
      string[],
    ];
    const key = await makeKey(cluster, { curve, policy: "2 of (alice, bob)", members: two });

    await refreshes(key, two, 1);
    await signs(key, two);
    const alone = ["key", "repair", "--key", "treasury", "--lost", "bob", "--helpers", "alice"];
    const refused = await cluster.one("alice", alone, 2);
    assert.match(
      refused.stderr,
      /NOT_QUALIFIED: .* the share of bob does not follow from those of the others: recover it from a backup/,
    );

    await reshares(key, { parties: three, policy: "2 of (alice, bob, carol)", epoch: 2 });
    await signs(key, ["bob", "carol"]);
    await refreshes(key, three, 3, "rerandomize");
    await signs(key, ["bob", "carol"]);
    await repairs(key, "carol", ["alice", "bob"]);
    await signs(key, ["alice", "carol"]);

    await reshares(key, { parties: four, policy: "4 of (alice, bob, carol, dave)", epoch: 4 });
    await refreshes(key, four, 5, "rerandomize");
    await signs(key, four);

    await reshares(key, { parties: four, policy: "and(alice, 2 of (bob, carol, dave))", epoch: 6 });
    await refreshes(key, four, 7);
    await repairs(key, "bob", ["carol", "dave"]);
    await signs(key, ["alice", "bob", "dave"]);

    // Carol and dave leave; dave deals, carol just waits to be told.
    await reshares(key, { parties: four, policy: "2 of (alice, bob)", epoch: 8, dealers: "dave" });
    await signs(key, two);
    for (const gone of ["carol", "dave"]) {
      const left = await cluster.one(gone, ["key", "sign", "--key", "treasury", "--message", "x"], 64);
      assert.match(left.stderr, /KEY_UNKNOWN: this party left the key treasury in epoch 8/);
    }
  });
}

Deno.test("life: kill -9 in the last round of a refresh and of a reshare: the same command succeeds", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const key = await makeKey(cluster, {
    curve: "secp256k1",
    policy: "2 of (alice, bob, carol)",
    members: cluster.names,
  });
  const commands = [
    ["refresh", ["key", "refresh", "--key", "treasury", "--pairs", "rerandomize", "--timeout", "3"]],
    ["reshare", [
      "key",
      "reshare",
      "--key",
      "treasury",
      "--policy",
      "2 of (carol, bob, alice)",
      "--timeout",
      "3",
    ]],
  ] as const;
  for (const [protocol, args] of commands) {
    const victim = cluster.start("bob", args, {
      read: [cluster.work],
      write: [cluster.work],
      onProgress: (line) => isRound(line, protocol, 3) && victim.kill(),
    });
    const others = ["alice", "carol"].map((party) => cluster.start(party, args));
    await Promise.all([victim, ...others].map((process) => process.finished));
    const again = await cluster.all(shuffled(cluster.names), () => [...args, "--json"]);
    const epochs = [...again.values()].map(({ stdout }) => JSON.parse(stdout).epoch);
    assert.equal(new Set(epochs).size, 1);
  }
  await signs(key, ["bob", "carol"]);
});
