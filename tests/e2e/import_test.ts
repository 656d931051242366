/**
 * A private key that openssl made is split among parties, signs as before, and is put together again.
 */

import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { Cluster, sameOutput, shuffled } from "./cluster.ts";

const ALL = ["alice", "bob", "carol"] as const;

async function openssl(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("import: a key of openssl signs with a quorum under its old public key, and can be put together again", async () => {
  using cluster = await Cluster.make(ALL);
  const [privatePath, publicPath, message, signature] = ["k.pem", "k.pub", "m.txt", "m.sig"].map((name) =>
    cluster.file(name)
  ) as [string, string, string, string];
  await openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", privatePath);
  await openssl("ec", "-in", privatePath, "-pubout", "-out", publicPath);
  Deno.writeTextFileSync(message, "pay\n");

  const policy = ["key", "import", "--key", "old", "--policy", "2 of (bob, carol)", "--json"];
  Deno.chmodSync(privatePath, 0o644);
  const loose = await cluster.one("alice", [...policy, "--private-key", privatePath], 77);
  assert.match(loose.stderr, /LOOSE_PERMISSIONS/);
  Deno.chmodSync(privatePath, 0o600);
  // The owner is none of those who sign from now on: it deals, and keeps nothing.
  const results = await cluster.all(
    shuffled(ALL),
    (party) => [...policy, ...(party === "alice" ? ["--private-key", privatePath] : ["--from", "alice"])],
  );
  const shown = new Map([...results].map(([party, { stdout }]) => [party, JSON.parse(stdout)]));
  assert.deepEqual([...shown].map(([party, { member }]) => [party, member]).sort(), [
    ["alice", false],
    ["bob", true],
    ["carol", true],
  ]);
  for (const { stderr } of results.values()) assert.match(stderr, /warning: this key has existed whole/);

  const signers = ["bob", "carol"];
  await cluster.all(signers, (party) => [
    ...["key", "sign", "--key", "old", "--signers", "bob,carol", "--message-file", message],
    ...(party === "bob" ? ["--out", signature] : ["--json"]),
  ]);
  assert.equal(
    await openssl("dgst", "-sha256", "-verify", publicPath, "-signature", signature, message),
    "Verified OK",
  );
  sameOutput(await cluster.all(shuffled(signers), () => ["key", "refresh", "--key", "old", "--json"]));

  const out = cluster.file("back.pem");
  const config = ["--config", cluster.config.path];
  const exporting = ["key", "export-private", "--key", "old", "--out", out, ...config];
  assert.match((await command([...exporting, "--parties", "bob,carol"])).stderr, /say --understand/);
  const data = await command([
    ...exporting,
    "--parties",
    "bob,carol",
    "--understand",
    "--data",
    "alice=here",
  ]);
  assert.match(data.stderr, /--data is NAME=DIRECTORY for one of --parties, each once: found "alice=here"/);
  const few = await command([...exporting, "--parties", "bob", "--understand"]);
  assert.equal(few.code, 2);
  assert.match(few.stderr, /NOT_QUALIFIED/);
  assert.throws(() => Deno.statSync(out));
  // Bob's directory was carried to the machine on which this runs.
  const carried = cluster.file("bob");
  await new Deno.Command("cp", { args: ["-a", cluster.config.parties[1]?.dataDirectory as string, carried] })
    .output();
  const made = await command([
    ...[...exporting, "--parties", "bob,carol", "--understand"],
    ...["--data", `bob=${carried}`],
  ]);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /whoever has it can sign alone/);
  assert.equal((Deno.statSync(out).mode as number) & 0o777, 0o600);
  const back = createPrivateKey(Deno.readTextFileSync(out));
  assert.ok(back.equals(createPrivateKey(Deno.readTextFileSync(privatePath))));
  // A file that is there is refused before shares are looked at: these would not be enough.
  const again = await command([...exporting, "--parties", "bob", "--understand"]);
  assert.equal(again.code, 73);
  assert.match(again.stderr, /FILE_EXISTS/);
});

Deno.test("import: what is no key for ECDSA is refused before anybody is asked, and a stranger's key is not joined", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const write = (name: string, text: string) => {
    const path = cluster.file(name, text);
    Deno.chmodSync(path, 0o600);
    return path;
  };
  const policy = ["key", "import", "--key", "old", "--policy", "2 of (alice, bob)"];
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  const pkcs8 = (cipher: object = {}) =>
    privateKey.export({ type: "pkcs8", format: "pem", ...cipher } as never).toString();
  const ed25519 = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
  const wrong: [string, RegExp][] = [
    ["nothing", /no valid private key: expected is one on secp256k1 or p256/],
    [ed25519, /of the kind ed25519/],
    [pkcs8({ cipher: "aes-256-cbc", passphrase: "x" }), /encrypted/],
  ];
  for (const [text, message] of wrong) {
    const { stderr } = await cluster.one("alice", [...policy, "--private-key", write("x.pem", text)], 64);
    assert.match(stderr, message);
  }
  assert.match((await cluster.one("alice", policy, 64)).stderr, /either --private-key/);
  const path = write("k.jwk", JSON.stringify(privateKey.export({ format: "jwk" })));
  const expected = `02${"11".repeat(32)}`;
  const runs = ["alice", "bob"].map((party) =>
    cluster.start(party, [
      ...policy,
      ...(party === "alice" ? ["--private-key", path] : ["--from", "alice", "--public-key", expected]),
    ]).finished
  );
  const [alice, bob] = await Promise.all(runs);
  assert.match(bob?.stderr ?? "", new RegExp(`not ${expected}`));
  assert.deepEqual([alice?.code, bob?.code], [3, 3]);
});

async function command(args: readonly string[]): Promise<{ code: number; stderr: string }> {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "-A", main, ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}
