import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha256 } from "../../src/base/crypto.ts";
import { Cluster, sameOutput, shuffled } from "./cluster.ts";

const POLICIES: readonly {
  readonly policy: string;
  readonly members: readonly string[];
  readonly sets: readonly string[];
  readonly bad: string;
}[] = [
  {
    policy: "2 of (alice, bob, carol)",
    members: ["alice", "bob", "carol"],
    sets: ["alice,bob", "alice,carol", "bob,carol"],
    bad: "carol",
  },
  {
    policy: "4 of (alice, bob, carol, dave)",
    members: ["alice", "bob", "carol", "dave"],
    sets: ["alice,bob,carol,dave"],
    bad: "alice,bob,carol",
  },
  {
    policy: "and(alice, 2 of (bob, carol, dave))",
    members: ["alice", "bob", "carol", "dave"],
    sets: ["alice,bob,carol", "alice,bob,dave", "alice,carol,dave"],
    bad: "bob,carol,dave",
  },
];

for (const curve of ["secp256k1", "p256"] as const) {
  for (const { policy, members, sets, bad } of POLICIES) {
    Deno.test(`worked example: ${curve}, ${policy}, every qualified set signs and openssl accepts`, async () => {
      using cluster = await Cluster.make(["alice", "bob", "carol", "dave"]);
      const made = await cluster.all(
        shuffled(members),
        () => ["key", "generate", "--key", "treasury", "--curve", curve, "--policy", policy],
      );
      const publicKey = sameOutput(made).trim();
      const pem = await cluster.one("alice", [
        "key",
        "export-public",
        "--key",
        "treasury",
        "--format",
        "pem",
      ]);
      const pemPath = cluster.file("treasury.pem", pem.stdout);
      const hexForm = await cluster.one(members.at(-1) as string, [
        "key",
        "export-public",
        "--key",
        "treasury",
        "--format",
        "hex",
      ]);
      assert.equal(hexForm.stdout.trim(), publicKey);

      for (const [i, set] of sets.entries()) {
        const text = `message ${i} for ${set}\n`;
        const messagePath = cluster.file(`m${i}.txt`, text);
        const signers = set.split(",");
        const reader = signers[i % signers.length] as string;
        await cluster.all(shuffled(signers), (party) => [
          ...["key", "sign", "--key", "treasury", "--signers", set, "--message-file", messagePath],
          ...(party === reader
            ? ["--out", cluster.file(`m${i}.sig`)]
            : ["--format", "json", "--out", cluster.file(`m${i}.${party}.json`)]),
        ]);
        const signature = Deno.readFileSync(cluster.file(`m${i}.sig`));
        checkEverywhere({ curve, publicKey, text, signature, pem: pem.stdout });
        const openssl = await new Deno.Command("openssl", {
          args: ["dgst", "-sha256", "-verify", pemPath, "-signature", cluster.file(`m${i}.sig`), messagePath],
        }).output();
        assert.equal(new TextDecoder().decode(openssl.stdout).trim(), "Verified OK");
        const other = signers.find((party) => party !== reader) as string;
        checkJson(curve, publicKey, text, Deno.readTextFileSync(cluster.file(`m${i}.${other}.json`)));
        await cluster.one("alice", [
          "key",
          "verify",
          "--key",
          "treasury",
          "--signature",
          cluster.file(`m${i}.sig`),
          "--message-file",
          messagePath,
        ]);
        const wrong = await cluster.one(
          "alice",
          [
            "key",
            "verify",
            "--key",
            "treasury",
            "--signature",
            cluster.file(`m${i}.sig`),
            "--message",
            `${text}!`,
          ],
          1,
        );
        assert.match(wrong.stderr, /SIGNATURE_INVALID/);
      }

      const refused = await cluster.one(bad.split(",")[0] as string, [
        "key",
        "sign",
        "--key",
        "treasury",
        "--signers",
        bad,
        "--message",
        "x",
      ], 2);
      assert.match(refused.stderr, /NOT_QUALIFIED/);
      assert.doesNotMatch(
        refused.stderr,
        /LISTENING|LINK_UP|DIAL/,
        "no connection is made for an unqualified set",
      );
    });
  }
}

function checkEverywhere(
  input: {
    readonly curve: "secp256k1" | "p256";
    readonly publicKey: string;
    readonly text: string;
    readonly signature: Uint8Array;
    readonly pem: string;
  },
): void {
  const message = new TextEncoder().encode(input.text);
  const noble = input.curve === "secp256k1" ? secp256k1 : p256;
  const key = Uint8Array.fromHex(input.publicKey);
  assert.ok(noble.verify(input.signature, message, key, { format: "der", lowS: true }), "noble, low S");
  assert.ok(verify("sha256", message, createPublicKey(input.pem), input.signature), "node:crypto");
  assert.ok(
    !verify("sha256", new TextEncoder().encode("other"), createPublicKey(input.pem), input.signature),
  );
}

function checkJson(curve: "secp256k1" | "p256", publicKey: string, text: string, json: string): void {
  const { compact, recoveryId } = JSON.parse(json) as { compact: string; recoveryId: number };
  const noble = curve === "secp256k1" ? secp256k1 : p256;
  const recovered = noble.Signature.fromBytes(Uint8Array.fromHex(compact), "compact").addRecoveryBit(
    recoveryId,
  )
    .recoverPublicKey(sha256(new TextEncoder().encode(text)));
  assert.equal(recovered.toHex(true), publicKey);
}

for (const parties of [2, 3, 5, 7]) {
  Deno.test(`worked example: ${parties} processes agree on randomness`, async () => {
    const names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"].slice(0, parties);
    using cluster = await Cluster.make(names);
    const value = sameOutput(await cluster.all(shuffled(names), () => ["agree-random", "--bits", "256"]))
      .trim();
    assert.match(value, /^[0-9a-f]{64}$/);
  });
}

Deno.test("worked example: a party that starts late is waited for, one that never starts is named at the deadline", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const early = ["alice", "carol"].map((party) => cluster.start(party, ["agree-random", "--timeout", "20"]));
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const late = cluster.start("bob", ["agree-random", "--timeout", "20"]);
  const values = await Promise.all([...early, late].map((process) => process.finished));
  assert.deepEqual(values.map((value) => value.code), [0, 0, 0]);
  assert.equal(new Set(values.map((value) => value.stdout)).size, 1);

  const [alice, bob] = await Promise.all(
    ["alice", "bob"].map((party) => cluster.start(party, ["agree-random", "--timeout", "3"]).finished),
  );
  for (const result of [alice, bob]) {
    assert.equal(result?.code, 4);
    assert.match(
      result?.stderr ?? "",
      /error TIMEOUT: carol did not answer before the first round: .* \(carol: no connection: .*\)/,
    );
  }
});

Deno.test("worked example: parties that want different things are told what differs", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const [alice, bob] = await Promise.all([
    cluster.start("alice", ["agree-random", "--bits", "256", "--timeout", "10"]).finished,
    cluster.start("bob", ["agree-random", "--bits", "512", "--timeout", "10"]).finished,
  ]);
  for (const result of [alice, bob]) assert.equal(result?.code, 3, result?.stderr);
  assert.match(`${alice?.stderr}${bob?.stderr}`, /PEER_REFUSED/);
  assert.match(`${alice?.stderr}${bob?.stderr}`, /256/);
  assert.match(`${alice?.stderr}${bob?.stderr}`, /512/);
});

Deno.test("worked example: more signers than the policy needs: the cheapest quorum signs, the others are told and end well", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  await cluster.all(
    cluster.names,
    () => ["key", "generate", "--key", "k", "--policy", "2 of (alice, bob, carol)"],
  );
  const all = await cluster.all(
    cluster.names,
    (party) => ["key", "sign", "--key", "k", "--message", "m", "--out", cluster.file(`${party}.sig`)],
  );
  assert.match(all.get("carol")?.stderr ?? "", /carol is not needed: alice, bob sign/);
  for (const party of ["alice", "bob"]) {
    await cluster.one("carol", [
      "key",
      "verify",
      "--key",
      "k",
      "--signature",
      cluster.file(`${party}.sig`),
      "--message",
      "m",
    ]);
  }
  assert.throws(() => Deno.statSync(cluster.file("carol.sig")), Deno.errors.NotFound);
});
