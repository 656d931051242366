import assert from "node:assert/strict";
import { fromHex } from "../../src/base/bytes.ts";
import { describeBackup } from "../../src/protocols/pve/backup.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";

async function demo(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "-A", main, "demo", ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("demo ecdsa-backup makes, uses, backs up, loses, recovers and refreshes a key, and keeps the backups on request", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-test-" });
  try {
    const { code, stdout, stderr } = await demo(
      ...[
        "ecdsa-backup",
        "--json",
        "--policy",
        "2 of (alice, bob, carol)",
        "--message",
        "m",
        "--timeout",
        "60",
      ],
      ...["--save-backup", directory],
    );
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout);
    assert.deepEqual(result.parties, ["alice", "bob", "carol", "dave"]);
    assert.match(result.publicKey, /^0[23][0-9a-f]{64}$/);
    const titles = result.steps.map(({ step }: { step: string }) => step.split(/[ :]/)[0]);
    assert.deepEqual(titles, [
      ...[
        "Access",
        "Distributed",
        "Signing",
        "Verification",
        "Signing",
        "Backup",
        "Verification",
        "Recovery",
      ],
      ...["Signing", "Verification", "Key", "The", "Signing", "Verification"],
    ]);
    const record = parsePublicRecord(Deno.readTextFileSync(`${directory}/treasury.json`), "record");
    for (const party of ["alice", "bob", "carol"]) {
      const bytes = fromHex(Deno.readTextFileSync(`${directory}/backup-${party}.hex`).trim());
      assert.ok(bytes !== undefined);
      assert.deepEqual(describeBackup(bytes).shares.map(({ leaf, keyId }) => [leaf, keyId]), [
        [party, record.record.keyId],
      ]);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("demo ecdsa-backup refuses policies and numbers of parties that it cannot show", async () => {
  const cases = [
    [["--parties", "3"], /between four parties/],
    [["--policy", "2 of (alice, erin)"], /erin is none of the parties/],
    [["--policy", "or(alice, bob)"], /POLICY_INVALID/],
  ] as const;
  for (const [args, message] of cases) {
    const { code, stderr } = await demo("ecdsa-backup", ...args);
    assert.equal(code, 64);
    assert.match(stderr, message);
  }
});
