/**
 * The audit logs of three nodes in processes of their own: what they cosign, and what `quorate audit verify` says when a record is
 * edited, deleted, moved or cut off.
 */

import assert from "node:assert/strict";
import { decodeRecord } from "../../src/audit/events.ts";
import { readRecords } from "../../src/audit/records.ts";
import { listSegments } from "../../src/audit/segments.ts";
import { loadConfig, partyConfig } from "../../src/node/config.ts";
import { quorate } from "../cli/quorate.ts";
import { Cluster, sameOutput } from "../e2e/cluster.ts";
import { Nodes, poll } from "../e2e/nodes.ts";

const NAMES = ["alice", "bob", "carol"];

Deno.test("X1 nodes: audit verify finds an edit, a deletion, a move, and a cut that only the peers' cosignatures show", async (t) => {
  using cluster = await Cluster.make(NAMES);
  const { path } = cluster.config;
  const text = Deno.readTextFileSync(path).replace(
    "ca_cert_path",
    'crl_path = "certs/crl.pem"\nca_cert_path',
  );
  Deno.writeTextFileSync(path, `${text}\n[audit]\nwitnesses = 2\n[voting]\nquorum = 3\nfaults = 0\n`);
  Object.assign(cluster, { config: loadConfig(path) });
  const config = ["--config", path];
  await json("cert", "revoke", ...config, "--refresh");
  const directoryOf = (party: string) => partyConfig(cluster.config, party).audit.directory;
  const log = directoryOf("alice");
  const witnesses = ["bob", "carol"].map((name) => `${directoryOf(name)}/witness/alice.checkpoint`);
  const verify = async (...more: string[]) => {
    const { code, stdout, stderr } = await quorate(
      ...["audit", "verify", ...config, "--party", "alice", "--json", ...more],
    );
    return { code, stderr, report: JSON.parse(stdout) };
  };
  const records = (party: string) =>
    [...readRecords(listSegments(directoryOf(party)), party)].map(({ line }) => decodeRecord(line));

  await using nodes = new Nodes(cluster);
  nodes.start(NAMES);
  const metric = async (party: string, name: string) => {
    const { text } = await nodes.of(party).page("metrics");
    return Number(new RegExp(`^quorate_${name} (\\S+)$`, "m").exec(text)?.[1]);
  };
  const cosigned = async () => {
    for (const party of NAMES) {
      await poll(() => metric(party, "audit_witness_lag"), (lag) => lag === 0);
    }
  };

  await t.step("two of two peers cosign every log, and the metrics say so", async () => {
    for (const party of NAMES) await nodes.of(party).until("NODE_READY");
    sameOutput(await cluster.all(NAMES, () => ["agree-random", "--bits", "128"]));
    await cosigned();
    assert.equal(
      await metric("alice", 'audit_cosigned_records\\{peer="bob"\\}'),
      await metric("alice", "audit_entries_total"),
    );
    assert.equal(await metric("alice", "audit_checkpoint_age_seconds"), 0);
    const { code, report, stderr } = await verify("--checkpoint", ...witnesses);
    assert.equal(code, 0, stderr);
    const [newest] = report.checkpoints.filter(({ source }: { source: string }) =>
      source === `${log}/checkpoint`
    );
    assert.deepEqual(newest.cosigned.map(({ name }: { name: string }) => name), [
      "quorate/test/bob",
      "quorate/test/carol",
    ]);
  });

  await t.step("votes, decisions and what operators ask for are in the log of each node", async () => {
    for (const party of NAMES) {
      const vote = ["vote", ...config, "--party", party, "--tx-id", "tx_001", "--value", "42"];
      const { code, stderr } = await quorate(...vote);
      assert.equal(code, 0, stderr);
    }
    for (const party of NAMES) {
      const decided = await poll(
        () => Promise.resolve(records(party).find(({ type }) => type === "decision_made")),
        (decided) => decided !== undefined,
      );
      assert.deepEqual(decided?.details, { transaction: "tx_001", value: "42" });
      const own = records(party).filter(({ type }) => type === "vote_cast" || type === "security_event");
      assert.deepEqual(
        own.map(({ type, details }) => [type, (details as { transaction?: string }).transaction]),
        [["security_event", undefined], ["vote_cast", "tx_001"]],
      );
    }
  });

  await t.step("what a node reads again of certificates is in its log", async () => {
    const spare = cluster.file("spare");
    await json(
      ...["cert", "issue", "--cluster", "test", "--party", "bob", "--host", "10.0.0.5"],
      ...["--ca", cluster.config.authorityPath, "--out", spare],
    );
    await json("cert", "revoke", ...config, "--cert", `${spare}/cert.pem`);
    const { pin } = await json("cert", "renew", ...config, "--party", "alice");
    const written = Deno.readTextFileSync(path).split(/(?=\[\[parties\]\])/);
    const pinned = written.map((section) =>
      section.includes('name = "alice"') ? section.replace("tls_pin = [", `tls_pin = ["${pin}", `) : section
    );
    Deno.writeTextFileSync(path, pinned.join(""));
    await json("cert", "renew", ...config, "--party", "alice", "--activate");
    const types = await poll(
      () => Promise.resolve(records("alice").map(({ type }) => type)),
      (types) => types.includes("certificate_renewed") && types.includes("certificate_revoked"),
    );
    assert.equal(types.filter((type) => type === "certificate_revoked").length, 1);
  });

  await cosigned();
  await nodes.of("alice").stop();
  const file = `${log}/0000000000000000.jsonl`;
  const whole = Deno.readTextFileSync(file);
  const lines = whole.split("\n").slice(0, -1);
  const write = (damaged: readonly string[]) =>
    Deno.writeTextFileSync(file, damaged.map((line) => `${line}\n`).join(""));
  const CUT = 6;

  await t.step("a record that is edited, deleted, moved or cut off is named by its index", async () => {
    assert.equal((await verify("--checkpoint", ...witnesses)).code, 0);
    const last = lines.length - 1;
    const damages: readonly (readonly [string, readonly string[], number])[] = [
      [
        "edited",
        lines.with(CUT, (lines[CUT] as string).replace('"party":"alice"', '"party":"mallory"')),
        CUT,
      ],
      [
        "edited in its time alone",
        lines.with(CUT, (lines[CUT] as string).replace(/"time":"\d{4}/, '"time":"2001')),
        CUT,
      ],
      ["deleted", lines.toSpliced(CUT, 1), CUT],
      ["moved", lines.with(CUT, lines[CUT + 1] as string).with(CUT + 1, lines[CUT] as string), CUT],
      ["cut off", lines.slice(0, -1), last],
    ];
    for (const [what, damaged, index] of damages) {
      write(damaged);
      const { code, report, stderr } = await verify();
      assert.deepEqual([code, report.ok, report.findings[0].index], [65, false, index], what);
      const { error: { code: error, message } } = JSON.parse(stderr);
      assert.equal(error, "AUDIT_CORRUPT");
      assert.match(message, new RegExp(`records? ${index}\\b`), what);
    }
    Deno.writeTextFileSync(file, whole);
    assert.equal((await verify()).code, 0);
  });

  await t.step(
    "a tail that was cut off, with all that would say so on the host, is shown by what peers cosigned",
    async () => {
      write(lines.slice(0, CUT));
      for (const name of ["checkpoint", "checkpoint.cosigned", "tree"]) Deno.removeSync(`${log}/${name}`);
      const alone = await verify();
      assert.deepEqual(alone.report.findings, [{ what: "no checkpoint is cosigned by 2 peers" }]);
      for (const witness of witnesses) {
        const { code, report } = await verify("--checkpoint", witness);
        assert.deepEqual([code, report.findings[0].index], [65, CUT]);
        assert.match(
          report.findings[0].what,
          /^records 6 to \d+ are missing: .*cosigned by quorate\/test\/(?:bob|carol)/,
        );
      }
    },
  );

  await t.step(
    "a node that begins again from there is refused, says so, and its peers accuse it by name",
    async () => {
      const [alice] = nodes.start(["alice"]);
      const refused = await alice?.until("AUDIT_REFUSED");
      assert.match(
        String(refused?.["msg"]),
        /refuses to cosign the audit log \(rollback\): this party signed/,
      );
      const { status, text } = await nodes.of("alice").page("readyz");
      assert.equal(status, 503);
      assert.match(text, /a checkpoint of \d+ records that this party signed/);
      for (const peer of ["bob", "carol"]) {
        await nodes.of(peer).until("AUDIT_ALARM", (line) => line["peer"] === "alice");
        const alarm = await poll(
          () => Promise.resolve(records(peer).find(({ type }) => type === "audit_witness_alarm")),
          (alarm) => alarm !== undefined,
        );
        assert.equal(alarm?.remote, "alice");
      }
      // Its own directory says so now, without a peer's file; what is in it by now is not what was cut off.
      const { code, report: { findings: [finding] } } = await verify();
      assert.equal(code, 65);
      assert.match(
        finding.what,
        /^(?:records \d+ to|one of the records 0 to) .*contradiction\.(?:bob|carol)/,
      );
      await Promise.all(NAMES.map((party) => nodes.of(party).stop()));
      assert.equal((await quorate("audit", "verify", ...config, "--party", "bob")).code, 0);
    },
  );
});

async function json(...args: string[]) {
  const { code, stdout, stderr } = await quorate(...args, "--json");
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}
