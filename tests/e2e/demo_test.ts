import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { fromHex, utf8 } from "../../src/base/bytes.ts";
import { type Curve, p256, secp256k1 } from "../../src/math/curve.ts";
import { verifyKeyBackup } from "../../src/node/backup.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { parseCustodianKey } from "../../src/protocols/pve/custodian.ts";

interface Told {
  readonly parties: readonly string[];
  readonly publicKey: string;
  readonly signatures: readonly string[];
  readonly steps: readonly { readonly step: string; readonly seconds: number }[];
  readonly saved?: string;
}

function start(args: readonly string[], env: Record<string, string> = {}): Deno.ChildProcess {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "-A", main, "demo", ...args],
    env,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function demo(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await start(args).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** One JSON object on stdout and nothing else; its steps by their first words; its signatures verified under its public key. */
async function told(
  curve: Curve,
  message: string,
  ...args: string[]
): Promise<Told & { readonly titles: string[] }> {
  const { code, stdout, stderr } = await demo(...args, "--json");
  assert.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as Told;
  const point = curve.decodePoint(fromHex(result.publicKey) as Uint8Array<ArrayBuffer>).toBytes(false);
  const [x, y] = [point.slice(1, 33), point.slice(33)].map((part) =>
    part.toBase64({ alphabet: "base64url", omitPadding: true })
  ) as [string, string];
  const crv = curve === p256 ? "P-256" : "secp256k1";
  const publicKey = createPublicKey({ key: { kty: "EC", crv, x, y }, format: "jwk" });
  for (const signature of result.signatures) {
    assert.ok(verify("sha256", utf8(message), publicKey, fromHex(signature) as Uint8Array), signature);
  }
  assert.equal(new Set(result.signatures).size, result.signatures.length);
  return { ...result, titles: result.steps.map(({ step }) => step.split(/[ :]/)[0] as string) };
}

Deno.test("demo ecdsa-backup makes, uses, backs up, loses, recovers and refreshes a key, and keeps the backups on request", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-test-" });
  try {
    const args = [
      "ecdsa-backup",
      "--policy",
      "2 of (alice, bob, carol)",
      "--message",
      "m",
      "--timeout",
      "60",
    ];
    const result = await told(p256, "m", ...args, "--save-backup", directory);
    assert.deepEqual(result.parties, ["alice", "bob", "carol", "dave"]);
    assert.equal(result.saved, directory);
    assert.equal(result.signatures.length, 3);
    assert.deepEqual(result.titles, [
      ...["Access", "Distributed", "Signing", "Verification", "Signing", "Backup", "Verification"],
      ...["Recovery", "Signing", "Verification", "Key", "The", "Signing", "Verification"],
    ]);
    const read = (name: string) => Deno.readTextFileSync(`${directory}/${name}`);
    const to = parseCustodianKey(read("custodian.pub"), "custodian.pub");
    const records = [parsePublicRecord(read("treasury.json"), "record")];
    for (const party of ["alice", "bob", "carol"]) {
      const bytes = fromHex(read(`backup-${party}.hex`).trim());
      assert.ok(bytes !== undefined);
      assert.equal(verifyKeyBackup(bytes, { to, records }).party, party);
    }
    // A second run would replace what was kept: it is refused before anything is done.
    const again = await demo(...args, "--save-backup", directory);
    assert.equal(again.code, 73, again.stderr);
    assert.match(again.stderr, /FILE_EXISTS: .*backup-alice\.hex is there already/);
    assert.doesNotMatch(again.stdout, /Step/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("demo runs with two parties as with more", async () => {
  const result = await told(secp256k1, "Hello, MPC World!", "--parties", "2");
  assert.deepEqual(result.titles, ["Distributed", "Signing", "Verification"]);
});

Deno.test("demo ecdsa-2pc signs before and after a refresh of a key that two parties hold", async () => {
  const result = await told(secp256k1, "two words", "ecdsa-2pc", "--message", "two words", "--timeout", "60");
  assert.deepEqual(result.parties, ["alice", "bob"]);
  assert.deepEqual(result.titles, [
    "Distributed",
    "Signing",
    "Verification",
    "Key",
    "Signing",
    "Verification",
  ]);
  assert.match(result.steps[0]?.step ?? "", /secp256k1, policy "and\(alice, bob\)"/);
});

Deno.test("demo ecdsa-backup refuses policies, places and numbers of parties that it cannot show", async () => {
  const cases = [
    [["--parties", "3"], /between four parties/, 64],
    [["--policy", "2 of (alice, erin)"], /erin is none of the parties/, 64],
    [["--policy", "or(alice, bob)"], /POLICY_INVALID/, 64],
    [["--save-backup", "/dev/null/here"], /FILE_UNWRITABLE/, 73],
    [["--party", "alice"], /runs all its parties: leave out --party/, 64],
    [["--config", "quorate.toml"], /leave out --config/, 64],
  ] as const;
  for (const [args, message, expected] of cases) {
    const { code, stderr } = await demo("ecdsa-backup", ...args);
    assert.equal(code, expected, stderr);
    assert.match(stderr, message);
  }
});

Deno.test("demo voting decides with four votes, over a kill of one node", async () => {
  const { code, stdout, stderr } = await demo("voting", "--json");
  assert.equal(code, 0, stderr);
  const { values } = JSON.parse(stdout);
  assert.deepEqual(new Set(Object.values(values)), new Set(["42"]));
  assert.equal(Object.keys(values).length, 5);
});

Deno.test("a demo that is told to end ends its processes and removes its files", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-test-" });
  try {
    const child = start(["ecdsa-2pc"], { TMPDIR: directory });
    const reader = child.stdout.getReader();
    for (let said = ""; !said.includes("Step 1");) {
      const { value, done } = await reader.read();
      assert.ok(!done, said);
      said += new TextDecoder().decode(value);
    }
    reader.releaseLock();
    child.kill("SIGTERM");
    const { code, stderr } = await child.output();
    assert.equal(code, 3);
    assert.match(new TextDecoder().decode(stderr), /error CANCELLED: the demo was cancelled here/);
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
