import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { CODES } from "../../src/base/errors.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Cluster, values } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

const NAMES = ["alice", "bob", "carol"];

/** A cluster with an Ed25519 key `seal` and a BIP340 key `coin`. */
async function made(): Promise<Cluster> {
  const cluster = await Cluster.make(NAMES);
  const policy = parsePolicy("2 of (alice, bob, carol)");
  for (const [name, scheme] of [["seal", "ed25519"], ["coin", "bip340"]] as const) {
    values(await cluster.all(NAMES, (party) => party.generateFrostKey({ name, scheme, policy })));
  }
  return cluster;
}

Deno.test("quorate shows, signs and verifies with keys for Ed25519 and BIP340", async () => {
  using cluster = await made();
  const here = ["--config", cluster.configPath, "--party", "bob"];
  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await quorate(...args, ...here);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  assert.match(
    await run("key", "list"),
    /^coin {2}secp256k1 bip340 {2}active {2}epoch 0 .*\nseal {2}ed25519 {11}active {2}epoch 0 .*\n$/,
  );
  const listed = JSON.parse(await run("key", "list", "--json"));
  assert.deepEqual(
    listed.map((row: Record<string, unknown>) => [row["key"], row["curve"], row["scheme"]]),
    [["coin", "secp256k1", "bip340"], ["seal", "ed25519", "ed25519"]],
  );
  for (
    const [name, curve, scheme] of [["seal", "ed25519", "ed25519"], ["coin", "secp256k1", "bip340"]] as const
  ) {
    const key = ["--key", name];
    const shown = JSON.parse(await run("key", "show", ...key, "--json"));
    assert.deepEqual([shown.curve, shown.scheme, shown.pairs, shown.unknown], [curve, scheme, [], []]);
    assert.match(await run("key", "show", ...key), new RegExp(`curve +${curve}\nscheme +${scheme}\n`));
    assert.equal(await run("key", "export-public", ...key, "--format", "hex"), `${shown.publicKey}\n`);
    assert.match(shown.publicKey, /^[0-9a-f]{64}$/);
    const record = JSON.parse(await run("key", "export-public", ...key, "--format", "record"));
    assert.deepEqual([record.curve, record.scheme, record.publicKey], [curve, scheme, shown.publicKey]);
  }
  const pem = createPublicKey(await run("key", "export-public", "--key", "seal"));
  const jwk = JSON.parse(await run("key", "export-public", "--key", "seal", "--format", "jwk"));
  assert.deepEqual([jwk.kty, jwk.crv], ["OKP", "Ed25519"]);
  assert.ok(pem.equals(createPublicKey({ key: jwk, format: "jwk" })));

  // What is signed: the message itself for Ed25519, its digest for BIP340.
  const message = new TextEncoder().encode("m");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", message));
  for (const [name, signed] of [["seal", message], ["coin", digest]] as const) {
    const [first] = values(
      await cluster.all(["alice", "bob"], (party) => party.signMessage({ name, message: signed })),
    );
    const signature = first?.signature ?? new Uint8Array();
    const raw = `${cluster.root}/raw.sig`, json = `${cluster.root}/json.sig`;
    Deno.writeFileSync(raw, signature);
    Deno.writeTextFileSync(json, JSON.stringify({ compact: signature.toHex() }));
    const record = `${cluster.root}/${name}.json`;
    await run("key", "export-public", "--key", name, "--format", "record", "--out", record);
    for (const source of [["--key", name], ["--record", record]]) {
      for (const path of [raw, json]) {
        await run("key", "verify", ...source, "--message", "m", "--signature", path);
      }
      const wrong = await quorate("key", "verify", ...source, "--message", "n", "--signature", raw, ...here);
      assert.match(wrong.stderr, /error SIGNATURE_INVALID: .* not one of this key on this message/);
    }
  }
  const coin = ["key", "verify", "--key", "coin", "--digest", digest.toHex(), "--signature"];
  await run(...coin, `${cluster.root}/raw.sig`);
});

Deno.test("quorate refuses with one sentence what keys for Ed25519 and BIP340 do not have", async () => {
  using cluster = await made();
  const here = ["--config", cluster.configPath, "--party", "alice"];
  const big = `${cluster.root}/big.bin`, signature = `${cluster.root}/some.sig`;
  Deno.writeFileSync(big, new Uint8Array(48 * 1024 + 1));
  Deno.writeFileSync(signature, new Uint8Array(64));
  const record = `${cluster.root}/seal.json`;
  const exported = ["key", "export-public", "--key", "seal", "--format", "record", "--out", record];
  assert.equal((await quorate(...exported, ...here)).code, 0);
  const digest = ["--digest", "0".repeat(64)], message = ["--message", "m"];
  const sign = (key: string, ...more: string[]) => ["key", "sign", "--key", key, "--json", ...more];
  const verify = (...more: string[]) => ["key", "verify", "--signature", signature, ...more];
  const policy = ["--policy", "2 of (alice, bob)"];
  const generate = (...more: string[]) => ["key", "generate", "--key", "new", ...more];
  const cases: readonly (readonly [readonly string[], keyof typeof CODES, RegExp])[] = [
    [sign("seal", ...digest), "KEY_SCHEME", /Ed25519 signs the message itself/],
    [verify("--key", "seal", ...digest), "KEY_SCHEME", /Ed25519 signs the message itself/],
    [sign("seal", ...message, "--format", "der"), "KEY_SCHEME", /signature of ed25519 .* no DER form/],
    [sign("coin", ...message, "--format", "der"), "KEY_SCHEME", /signature of bip340 .* no DER form/],
    [
      sign("seal", ...message, "--path", "m/0"),
      "KEY_SCHEME",
      /seal is a key for ed25519, which has no children/,
    ],
    [
      sign("coin", ...message, "--path", "m/0"),
      "KEY_SCHEME",
      /coin is a key for bip340, which has no children/,
    ],
    [verify("--key", "seal", ...message, "--path", "m/0"), "KEY_SCHEME", /no children/],
    [verify("--record", record, ...message, "--path", "m/0"), "KEY_SCHEME", /no children/],
    [["key", "derive", "--key", "coin", "--path", "m/0"], "KEY_SCHEME", /no children/],
    [["key", "derive", "--record", record, "--path", "m/0"], "KEY_SCHEME", /no children/],
    [sign("seal", "--message-file", big), "USAGE", /at most 49152 bytes: found 49153/],
    [sign("seal", ...message, "--signers", "alice"), "NOT_QUALIFIED", /alice may not sign with seal/],
    [["key", "reshare", "--key", "seal", ...policy], "KEY_SCHEME", /members are fixed/],
    [["key", "sync", "--key", "seal", "--with", "bob"], "KEY_SCHEME", /members are fixed/],
    [["key", "export-public", "--key", "coin"], "KEY_SCHEME", /--format hex prints it/],
    [["key", "export-public", "--key", "coin", "--format", "jwk"], "KEY_SCHEME", /--format hex prints it/],
    [
      generate("--curve", "ed25519", "--policy", "and(alice, 2 of (bob, carol))"),
      "POLICY_INVALID",
      /of the form 2 of \(a, b, c\)/,
    ],
    [
      generate("--scheme", "bip340", "--policy", "and(alice, 2 of (bob, carol))"),
      "POLICY_INVALID",
      /of the form 2 of \(a, b, c\)/,
    ],
    [generate("--curve", "p256", "--scheme", "bip340", ...policy), "USAGE", /is for --curve secp256k1/],
    [
      ["key", "repair", "--key", "seal", "--lost", "bob", "--helpers", "alice,carol", "--curve", "p384"],
      "USAGE",
      /--curve is one of/,
    ],
    [["key", "repair", "--key", "seal", "--lost", "bob", "--helpers", "alice"], "USAGE", /two helpers/],
    [
      [
        "key",
        "export-private",
        "--key",
        "seal",
        "--parties",
        "alice,bob",
        "--understand",
        "--out",
        `${big}.pem`,
      ],
      "KEY_SCHEME",
      /seal is a key for ed25519/,
    ],
  ];
  for (const [args, code, words] of cases) {
    const from = args.includes("--record") ? [] : here;
    const asked = args.includes("export-private") ? ["--config", cluster.configPath] : from;
    const shown = await quorate(...args, ...asked);
    const json = args.includes("--json");
    assert.equal(shown.code, CODES[code].exit, `${args.join(" ")}: ${shown.stderr}`);
    const stated = json ? JSON.parse(shown.stderr).error : undefined;
    if (json) assert.equal(stated.code, code);
    assert.match(json ? stated.message : shown.stderr, words, args.join(" "));
    assert.equal(shown.stdout, "");
  }
});

Deno.test("quorate key repair says at the party that lost its share which options are missing", async () => {
  using cluster = await made();
  const directory = cluster.config.parties.find(({ name }) => name === "carol")?.dataDirectory;
  for (const file of ["quorate.sqlite", "high-water"]) Deno.removeSync(`${directory}/${file}`);
  const request = { name: "seal", lost: "carol", helpers: ["alice", "bob"] };
  const helping = cluster.all(["alice", "bob"], (party) => party.repairKey(request), { timeoutMs: 5_000 });
  const repair = ["key", "repair", "--key", "seal", "--lost", "carol", "--helpers", "alice,bob"];
  const { code, stderr } = await quorate(
    ...[...repair, "--config", cluster.configPath, "--party", "carol", "--timeout", "5"],
  );
  assert.equal(code, 3, stderr);
  const line = stderr.split("\n").find((line) => line.startsWith("error"));
  assert.match(
    line ?? "",
    /error PEER_REFUSED: .*protocol.*; --curve and --scheme say here, where the share is lost/,
  );
  await helping;
});
