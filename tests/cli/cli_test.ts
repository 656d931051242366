import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { createPublicKey, verify } from "node:crypto";
import { CODES } from "../../src/base/errors.ts";
import { VERSION } from "../../src/base/version.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { CURVES } from "../../src/math/curve.ts";
import { Cluster, values } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

async function refused(args: readonly string[], code: keyof typeof CODES, match: RegExp): Promise<void> {
  const shown = args.join(" ");
  const plain = await quorate(...args);
  assert.equal(plain.code, CODES[code].exit, `${shown}: ${plain.stderr}`);
  assert.match(plain.stderr, new RegExp(`^error ${code}: [^\\n]+\\n$`), shown);
  assert.match(plain.stderr, match, shown);
  assert.equal(plain.stdout, "", shown);
  const json = await quorate(...args, "--json");
  const { error } = JSON.parse(json.stderr);
  assert.deepEqual({ code: error.code, exit: error.exit }, { code, exit: CODES[code].exit }, shown);
  assert.match(`error ${code}: ${error.message}\n`, match);
}

Deno.test("quorate refuses wrong arguments with one sentence and exit code 64", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const publicKey = `${cluster.root}/public.pem`;
  const { publicKey: pem } = generateKeyPairSync("ed25519");
  Deno.writeTextFileSync(publicKey, pem.export({ type: "spki", format: "pem" }).toString());
  const here = ["--config", cluster.configPath, "--party", "alice"];
  const message = ["--message", "m"];
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [["colour"], /unknown command 'colour'/],
    [["key"], /command is missing/],
    [["key", "colour"], /unknown command 'colour'/],
    [["agree-random", "--colour", ...here], /unknown option '--colour'/],
    [["agree-random", "--config", cluster.configPath], /--party is missing/],
    [
      ["agree-random", "--bits", "many", ...here],
      /--bits is a whole number of at most 9 digits: found "many"/,
    ],
    [["agree-random", "--bits", "100", ...here], /bits is a multiple of 8 from 128 to 65536: found 100/],
    [["agree-random", "--timeout", "0", ...here], /--timeout is a number of seconds/],
    [["agree-random", "extra", ...here], /too many arguments/],
    [["key", "generate", ...here], /--key <name>' not specified/],
    [["key", "generate", "--key", "k", ...here], /--policy is missing/],
    [
      ["key", "generate", "--key", "k", "--curve", "ed25519", "--scheme", "bip340", ...here],
      /--scheme bip340 is for --curve secp256k1: found "ed25519"/,
    ],
    [
      ["key", "generate", "--key", "k", "--curve", "ed25519", "--scheme", "ecdsa", ...here],
      /--scheme ecdsa is for --curve secp256k1 or p256: found "ed25519"/,
    ],
    [
      ["key", "generate", "--key", "k", "--curve", "p384", ...here],
      /--curve is one of secp256k1, p256, ed25519: found "p384"/,
    ],
    [["key", "sign", "--key", "k", ...here], /exactly one of --message, --message-file and --digest/],
    [["key", "sign", "--key", "k", ...message, "--digest", "00", ...here], /exactly one of .* found 2/],
    [
      ["key", "sign", "--key", "k", "--digest", "00", ...here],
      /--digest has 64 hexadecimal digits: found "00"/,
    ],
    [
      ["key", "sign", "--key", "k", ...message, "--format", "xml", ...here],
      /Allowed choices are der, compact, json/,
    ],
    [["key", "sign", "--key", "k", ...message, "--signers", "alice,,bob", ...here], /--signers is a list/],
    [["key", "sign", "--key", "k", ...message, "--signers", "bob,bob", ...here], /--signers is a list/],
    [
      ["key", "verify", ...message, "--public", publicKey, "--signature", cluster.configPath],
      /holds no signature/,
    ],
    [["init"], /missing required argument 'name'/],
    [["init", "alice"], /2 to 64 parties/],
    [["init", "alice", "bob", "--hosts", "alice"], /--hosts is a list as alice=10.0.0.5:9000/],
    [["init", "alice", "bob", "--hosts", "alice=h:1,alice=h:2"], /--hosts is a list/],
    [["init", "alice", "bob", "--base-port", "x"], /--base-port is a whole number/],
    [["init", "alice", "bob", "--threshold", "3"], /--threshold is a whole number from 2 to 2/],
    [["init", "alice", "bob", "--hosts", "alice=h:1,bob=h:1"], /--hosts puts alice and bob at h:1/],
    [["init", "alice", "bob", "--hosts", "alice=h:1,bob=h:2", "--base-port", "7"], /exclude each other/],
    [["init", "alice", "bob", "--dir", ""], /--dir is empty/],
    [["key", "list", "--config", cluster.configPath, "--party", ""], /--party is empty/],
    [["key", "sign", "--key", "k", "--message-file", "", ...here], /--message-file is empty/],
    [["key", "verify", "--signature", "-", "--message-file", "-"], /only one of the inputs can be -/],
    [["demo", "--parties", "1"], /--parties is 2 to 7: found 1/],
    [["demo", "agree-random", "--parties", "8"], /--parties is 2 to 7: found 8/],
    [["demo", "agree-random", "--message", "m"], /agree-random signs nothing/],
    [["demo", "ecdsa-2pc", "--parties", "3"], /between two parties: found --parties 3/],
    [["demo", "--timeout", "0"], /--timeout is a number of seconds/],
  ];
  for (const [args, match] of wrong) {
    const isSignature = args.includes("verify") && !args.includes("-");
    await refused(args, isSignature ? "SIGNATURE_INVALID" : "USAGE", match);
  }
});

Deno.test("quorate refuses files, keys and configurations that cannot be used, each with its exit code", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const here = ["--config", cluster.configPath, "--party", "alice"];
  const nowhere = `${cluster.root}/nowhere`;
  const sign = ["key", "sign", "--key", "k", ...here];
  await refused(
    ["key", "list", "--config", nowhere, "--party", "alice"],
    "CONFIG_UNREADABLE",
    /quorate init/,
  );
  await refused(
    ["key", "list", "--config", cluster.configPath, "--party", "eve"],
    "NOT_A_MEMBER",
    /alice, bob are/,
  );
  await refused(["key", "show", "--key", "k", ...here], "KEY_UNKNOWN", /no key k is stored here/);
  await refused(["key", "export-public", "--key", "k", ...here], "KEY_UNKNOWN", /no key k/);
  await refused([...sign, "--message", "m"], "KEY_UNKNOWN", /no key k/);
  await refused([...sign, "--message-file", nowhere], "FILE_UNREADABLE", /nowhere/);
  await refused(
    [...sign, "--message", "m", "--out", `${nowhere}/m.sig`],
    "FILE_UNWRITABLE",
    /there is no directory/,
  );
  await refused([...sign, "--message", "m", "--out", cluster.root], "FILE_UNWRITABLE", /it is a directory/);
  const pipe = `${cluster.root}/pipe`;
  assert.ok((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
  await refused([...sign, "--message", "m", "--out", pipe], "FILE_UNWRITABLE", /it is no regular file/);
  assert.ok(Deno.statSync(pipe).isFifo, "it is left as it was");
  await refused(
    [...sign, "--message", "m", "--out", "/proc/m.sig"],
    "FILE_UNWRITABLE",
    /cannot write \/proc\/m/,
  );
  await refused([...sign, "--message", "m", "--out", `${cluster.root}/m.sig`], "KEY_UNKNOWN", /no key k/);
  assert.deepEqual([...Deno.readDirSync(cluster.root)].map(({ name }) => name).toSorted(), ["demo", "pipe"]);
  const generate = ["key", "generate", "--key", "k", ...here, "--policy"];
  await refused([...generate, "3 of (alice, bob)"], "POLICY_INVALID", /./);
  await refused([...generate, "or(alice, bob)"], "POLICY_INVALID", /alone satisfies/);
  await refused([...generate, "and(alice, eve)"], "NOT_A_MEMBER", /eve is not a party/);
  await refused(
    ["init", "alice", "bob", "--dir", `${cluster.root}/demo`],
    "FILE_EXISTS",
    /certs is there already/,
  );
  const verifying = ["key", "verify", "--message", "m", "--signature"];
  await refused([...verifying, nowhere, "--public", nowhere], "FILE_UNREADABLE", /nowhere/);
  const signature = `${cluster.root}/m.sig`;
  Deno.writeFileSync(signature, new Uint8Array(64).fill(1));
  await refused([...verifying, signature], "USAGE", /exactly one of --key, --public and --record/);
  await refused(
    [...verifying, signature, "--public", cluster.configPath],
    "FILE_UNREADABLE",
    /holds no public key/,
  );

  Deno.writeTextFileSync(cluster.configPath, "colour = 1\n" + Deno.readTextFileSync(cluster.configPath));
  await refused(["key", "list", ...here], "CONFIG_INVALID", /there is no key colour/);
});

Deno.test("quorate --version prints the version", async () => {
  const { code, stdout } = await quorate("--version");
  assert.deepEqual([code, stdout], [0, `${VERSION}\n`]);
});

Deno.test("quorate init prints where things are, and --help ends with 0", async () => {
  const root = Deno.makeTempDirSync();
  try {
    const { code, stdout } = await quorate(
      ...[
        "init",
        "alice",
        "bob",
        "--dir",
        `${root}/demo`,
        "--base-port",
        "9301",
        "--threshold",
        "2",
        "--json",
      ],
    );
    assert.equal(code, 0);
    const made = JSON.parse(stdout);
    assert.equal(made.config, `${root}/demo/quorate.toml`);
    assert.deepEqual(made.parties, [{ name: "alice", address: "127.0.0.1:9301" }, {
      name: "bob",
      address: "127.0.0.1:9302",
    }]);
    assert.match(
      Deno.readTextFileSync(made.config),
      /cluster = "demo"[^]*key_policy = "2 of \(alice, bob\)"/,
    );
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
  for (const args of [["--help"], ["key", "sign", "--help"]]) {
    const { code, stdout } = await quorate(...args);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: quorate/);
  }
});

Deno.test("quorate key list, show, export-public and verify show a key that was made", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const names = ["alice", "bob"];
  const policy = parsePolicy("2 of (alice, bob)");
  values(
    await cluster.all(names, (party) => party.generateKey({ name: "treasury", curve: CURVES.p256, policy })),
  );
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("m")));
  const signed = values(await cluster.all(names, (party) => party.sign({ name: "treasury", digest })));
  const signature = `${cluster.root}/m.sig`;
  Deno.writeFileSync(signature, signed[0]?.signature?.der ?? new Uint8Array());
  const here = ["--config", cluster.configPath, "--party", "bob"];
  const key = ["--key", "treasury"];

  assert.match(
    (await quorate("key", "list", ...here)).stdout,
    /^treasury {2}p256 {2}active {2}epoch 0 {2}[0-9a-f]{16} {2}not backed up\n$/,
  );
  const [listed] = JSON.parse((await quorate("key", "list", "--json", ...here)).stdout);
  assert.deepEqual([listed.state, listed.purpose], ["active", "plain"]);
  const shown = JSON.parse((await quorate("key", "show", ...key, "--json", ...here)).stdout);
  assert.equal(shown.policy, "2 of (alice, bob)");
  assert.deepEqual(shown.pairs, [{ peer: "alice", status: "ok" }]);
  assert.match((await quorate("key", "show", ...key, ...here)).stdout, /policy +2 of \(alice, bob\)/);

  const pem = `${cluster.root}/key.pem`;
  const exported = await quorate("key", "export-public", ...key, ...here, "--out", pem);
  assert.deepEqual([exported.code, exported.stdout], [0, ""]);
  const publicKey = createPublicKey(Deno.readTextFileSync(pem));
  assert.ok(verify("sha256", new TextEncoder().encode("m"), publicKey, Deno.readFileSync(signature)));
  const hexadecimal = (await quorate("key", "export-public", ...key, "--format", "hex", ...here)).stdout;
  assert.equal(hexadecimal, `${shown.publicKey}\n`);
  const jwk = JSON.parse((await quorate("key", "export-public", ...key, "--format", "jwk", ...here)).stdout);
  assert.equal(jwk.crv, "P-256");
  const record = JSON.parse(
    (await quorate("key", "export-public", ...key, "--format", "record", ...here)).stdout,
  );
  assert.equal(record.keyId, shown.keyId);
  const asJson = (await quorate("key", "export-public", ...key, "--json", ...here)).stdout;
  assert.deepEqual(JSON.parse(asJson), record);
  const both = await quorate("key", "export-public", ...key, "--json", "--out", pem, ...here);
  assert.deepEqual(JSON.parse(both.stdout), record);
  assert.match(Deno.readTextFileSync(pem), /^-----BEGIN PUBLIC KEY-----/);

  const verifying = ["key", "verify", "--signature", signature];
  for (const source of [["--public", pem], [...key, ...here]]) {
    assert.equal((await quorate(...verifying, ...source, "--message", "m")).code, 0);
    assert.equal((await quorate(...verifying, ...source, "--digest", digest.toHex())).code, 0);
    await refused([...verifying, ...source, "--message", "n"], "SIGNATURE_INVALID", /not one of this key/);
  }
  await refused(
    ["key", "sign", ...key, "--signers", "bob", "--message", "m", ...here],
    "NOT_QUALIFIED",
    /bob may not sign with treasury/,
  );
});

Deno.test("quorate key sign does not end with bytes on a terminal", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const sign = [
    "key",
    "sign",
    "--key",
    "k",
    "--message",
    "m",
    "--config",
    cluster.configPath,
    "--party",
    "alice",
  ];
  const former = Deno.stdout.isTerminal;
  Deno.stdout.isTerminal = () => true;
  try {
    const { code, stderr } = await quorate(...sign);
    assert.equal(code, 64);
    assert.match(stderr, /^error USAGE: the result is not text .* --out, .*--format json\n$/);
    for (const more of [["--json"], ["--format", "json"], ["--out", "-"]]) {
      assert.match((await quorate(...sign, ...more)).stderr, /KEY_UNKNOWN/, more.join(" "));
    }
  } finally {
    Deno.stdout.isTerminal = former;
  }
});
