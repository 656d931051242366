import assert from "node:assert/strict";
import { Cluster } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

/** The command and, at the same time in this process, the others' links. */
async function doctor(cluster: Cluster, others: readonly string[], ...more: string[]) {
  const [result] = await Promise.all([
    quorate("doctor", "--config", cluster.configPath, "--party", "alice", ...more),
    cluster.all(others, (party) => party.reachPeers(), {
      timeoutMs: 3_000,
      transport: { pingIntervalMs: 100 },
    }),
  ]);
  return result;
}

Deno.test("quorate doctor prints a graded table, and ends with 0 where all is well", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const { code, stdout, stderr } = await doctor(cluster, ["bob", "carol"]);
  assert.equal(code, 0, stderr);
  const [head, ...rows] = stdout.trimEnd().split("\n");
  assert.match(
    head ?? "",
    /^ +grade +connection +pin +identity +version +roster +clock +round trip +certificate$/,
  );
  assert.deepEqual(rows.map((row) => row.split(/ {2,}/).slice(0, 3)), [
    ["alice", "ok", "89 days"],
    ["demo CA", "ok", "3649 days"],
    ["bob", "ok", "up"],
    ["carol", "ok", "up"],
  ]);
});

Deno.test("quorate doctor names who is missing and ends with 2, or 77 where it is about identity", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const missing = await doctor(cluster, ["bob"], "--timeout", "1.5", "--json");
  assert.equal(missing.code, 2, missing.stderr);
  const { grade, findings } = JSON.parse(missing.stdout);
  assert.equal(grade, "fail");
  const failed = findings.filter((finding: { grade: string }) => finding.grade === "fail");
  assert.deepEqual(failed.map(({ who, what, code }: Record<string, string>) => [who, what, code]), [
    ["carol", "connection", "DIAL_FAILED"],
  ]);
  assert.match(missing.stderr, /"code":"DEGRADED".*carol/);

  // Alice knows another key of bob.
  const text = Deno.readTextFileSync(cluster.configPath).split(/(?=\[\[parties\]\])/);
  text[2] = (text[2] ?? "").replace(/tls_pin = .*/, `tls_pin = ["sha256/${"A".repeat(43)}="]`);
  Deno.writeTextFileSync(cluster.configPath, text.join(""));
  const other = await doctor(cluster, ["bob"], "--timeout", "1.5");
  assert.equal(other.code, 77, other.stderr);
  assert.match(other.stdout, /^FAIL bob: pin: .*add the new pin to tls_pin on all hosts/m);

  // An own certificate that nobody would accept: no link is tried.
  Deno.copyFileSync(`${cluster.root}/demo/certs/bob/key.pem`, `${cluster.root}/demo/certs/alice/key.pem`);
  const broken = await doctor(cluster, []);
  assert.equal(broken.code, 77);
  assert.match(broken.stdout, /^FAIL alice: certificate: the TLS key of alice does not belong/m);
});

Deno.test("quorate doctor says so where a process of the party runs, and looks at what needs no links", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const running = await cluster.open("alice", { command: "node run" });
  try {
    const { code, stdout, stderr } = await doctor(cluster, [], "--timeout", "1");
    assert.equal(code, 69);
    assert.match(stdout, /^alice +ok +89 days$/m);
    assert.match(
      stderr,
      /PARTY_BUSY: alice is busy with "node run" \(process \d+\).*Only what needs no links/,
    );
  } finally {
    await running.close();
  }
});
