/**
 * Five nodes as processes of their own vote: on the embedded stores, and on etcd and PostgreSQL.
 */

import assert from "node:assert/strict";
import { NodeStage } from "../../cli/node_stage.ts";
import { startParty } from "../../cli/processes.ts";
import { decode } from "../../src/base/codec.ts";
import { decisionKey } from "../../src/node/hand_off.ts";
import type { SignatureReport } from "../../src/node/approval_routes.ts";
import { signatureKey } from "../../src/node/signature_register.ts";
import { openStores } from "../../src/node/stores.ts";
import { certificateCodec, certificateFault } from "../../src/voting/certificate.ts";
import type { Membership } from "../../src/voting/membership.ts";
import { Approvers } from "./approvers.ts";
import { installed, postgresDirectories, startEtcd, startPostgres } from "../storage/stores/servers.ts";

const NODES = ["n1", "n2", "n3", "n4", "n5"];

/** What is the same whatever the stores are. */
async function suite(stage: NodeStage): Promise<void> {
  const [n1, , n3, n4, n5] = NODES as [string, string, string, string, string];
  const command = async (party: string, args: readonly string[], code = 0) => {
    const { stdout, stderr, code: actual } = await startParty(stage.config, party, args).finished;
    assert.equal(actual, code, `${party} ${args.join(" ")}\n${stdout}${stderr}`);
    return stdout + stderr;
  };

  // Four votes decide, everywhere; the fifth member learns it.
  await command(n1, ["vote", "--tx-id", "tx_001", "--value", "42"]);
  assert.match(await command(n1, ["status", "--tx-id", "tx_001"], 2), /undecided[^]*1\/4 +n1/);
  assert.match(await command(n1, ["vote", "--tx-id", "tx_001", "--value", "43"], 1), /ALREADY_VOTED/);
  for (const name of NODES.slice(1, 3)) await stage.vote(name, "tx_001", "42");
  assert.match(
    await command(n4, ["vote", "--tx-id", "tx_001", "--value", "42", "--wait", "30"]),
    /decided: 42/,
  );
  assert.equal((await stage.status(n5, "tx_001", 30_000)).value, "42");
  assert.match(await command(n5, ["vote", "--tx-id", "tx_001", "--value", "43"], 1), /ALREADY_DECIDED/);

  // A node that was killed votes for what it had voted for, and for nothing else; the others go on without it.
  await stage.vote(n3, "tx_002", "7");
  await stage.killNode(n3);
  await Promise.all([n1, "n2", n4, n5].map((name) => stage.vote(name, "tx_003", "1", 30_000)));
  stage.startNode(n3);
  await stage.ready();
  await assert.rejects(() => stage.vote(n3, "tx_002", "8"), { code: "ALREADY_VOTED" });
  assert.equal((await stage.status(n3, "tx_003", 30_000)).value, "1");
  await Promise.all([n1, "n2", n4].map((name) => stage.vote(name, "tx_002", "7", 30_000)));
  assert.equal((await stage.status(n3, "tx_002", 30_000)).value, "7");

  // Nobody is blamed, and the decisions are where executors and auditors look.
  for (const name of NODES) {
    const { offences } = await stage.client(name).ask({ method: "GET", path: "/v1/voting/evidence" }) as {
      readonly offences: readonly unknown[];
    };
    assert.deepEqual(offences, [], name);
  }
  await using stores = await openStores(stage.config.parties[0] as typeof stage.config.parties[number]);
  const membership = stage.config.voting?.membership as Membership;
  for (const txId of ["tx_001", "tx_002", "tx_003"]) {
    const key = decisionKey(stage.config.cluster, txId);
    const entry = await until(async () => await stores.coordination.get(key));
    assert.equal(certificateFault(membership, decode(certificateCodec, entry.value)), undefined);
    const rows = await until(async () => {
      const found = await stores.records.find("decision", txId);
      return found.some(({ stream }) => stream === n1) ? found : undefined;
    });
    assert.equal(rows.filter(({ stream }) => stream === n1).length, 1);
  }

  // Without enough members there is no quorum, which is said with a code of its own.
  for (const name of [n4, n5, n3, "n2"]) await stage.killNode(name);
  await until(async () => {
    const { code } = await startParty(stage.config, n1, ["status"]).finished;
    return code === 2 ? true : undefined;
  });
  await command(n1, ["vote", "--tx-id", "tx_004", "--value", "1", "--wait", "1"], 2);
}

/** What was approved is signed, and the signature that counts is in the store that the nodes share. */
async function signatures(stage: NodeStage): Promise<void> {
  const desk = new Approvers(stage, { key: "seal", message: "pay 5 to dave" });
  const input = {
    key: "seal",
    curve: "ed25519",
    policy: `3 of (${NODES.join(", ")})`,
    purpose: "approved-signing",
  };
  await Promise.all(
    NODES.map((name) => desk.ask(name, "/v1/commands/key.generate", { command: "test", input })),
  );
  await desk.answer("pay-1", await desk.propose("pay-1"), NODES.slice(0, 4));
  const made = await Promise.all(
    NODES.map((name) =>
      desk.ask<SignatureReport>(name, "/v1/approvals/signature", { txId: "pay-1", waitMs: 30_000 })
    ),
  );
  await using stores = await openStores(stage.config.parties[4] as typeof stage.config.parties[number]);
  const keyId = Uint8Array.fromHex((await stage.status("n1", "pay-1")).proposals[0]!.approval.keyId);
  const key = signatureKey(stage.config.cluster, { keyId, txId: "pay-1" });
  const { value } = await until(async () => await stores.coordination.get(key));
  for (const { compact } of made) assert.deepEqual(compact, value);
}

Deno.test("five nodes vote and decide on their embedded stores", async () => {
  await using stage = await NodeStage.start(NODES);
  await suite(stage);
});

const etcd = installed("etcd", ["/usr/bin"]);
const postgres = installed("postgres", postgresDirectories());

Deno.test({
  name: "five nodes vote and decide on etcd and PostgreSQL",
  ignore: etcd === undefined || postgres === undefined,
  async fn() {
    await using servers = await startEtcd(etcd as string);
    await using database = await startPostgres(postgres as string);
    const { ca, cert, key } = servers.client;
    const more = `
[storage]
coordination = "etcd"
etcd_endpoints = ${JSON.stringify(servers.endpoints)}
etcd_ca_path = "${ca}"
etcd_cert_path = "${cert}"
etcd_key_path = "${key}"
records = "postgres"
postgres_address = "${database.host}:${database.port}"
postgres_database = "quorate"
postgres_user = "quorate"
postgres_ca_path = "${database.client.ca}"
postgres_cert_path = "${database.client.cert}"
postgres_key_path = "${database.client.key}"
`;
    await using stage = await NodeStage.start(NODES, { more });
    await signatures(stage);
    // Each node copies what it thinks of all five, and its audit log from the first record on, without gaps.
    const logs = "select node, count(*) n, max(leaf_index::int) last from audit group by node";
    const whole = `select count(*) from (${logs}) l where n > 3 and last = n - 1`;
    await until(async () => await database.sql(whole) === "5" ? true : undefined);
    assert.equal(await database.sql("select count(*) from reputation_scores where score = 100"), "25");
    await suite(stage);
    assert.equal(await database.sql("select count(distinct tx_id) from decisions"), "4");
    assert.equal(await database.sql("select count(*) from byzantine_violations"), "0");
  },
});

Deno.test("members change by a decision: a new one votes, one that left does not, and nobody votes again on what was locked", async () => {
  await using stage = await NodeStage.start(NODES, {
    // n5 is a party, and no member at first.
    change: (config) => config.replace(', "n5"]', "]").replace("quorum = 4", "quorum = 3"),
  });
  const ask = async (name: string, args: readonly string[]) => {
    const { code, stdout, stderr } = await startParty(stage.config, name, args).finished;
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await assert.rejects(() => stage.vote("n5", "tx_001", "1"), { code: "NOT_A_MEMBER" });
  await stage.vote("n1", "tx_open", "1");
  await Promise.all(["n1", "n2", "n3"].map((name) => stage.vote(name, "tx_001", "42", 30_000)));

  const change = ["members", "change", "--members", "n1,n2,n3,n5", "--quorum", "3"];
  await ask("n1", change);
  await ask("n2", change);
  assert.match(await ask("n3", [...change, "--wait", "30"]), /membership +1\nmembers +n1, n2, n3, n5/);
  await until(async () => {
    const report = await stage.client("n5").ask({ method: "GET", path: "/v1/voting/members" }) as {
      epoch: number;
    };
    return report.epoch === 1 ? true : undefined;
  });

  await assert.rejects(() => stage.vote("n1", "tx_open", "1"), { code: "TX_CLOSED" });
  await assert.rejects(() => stage.vote("n4", "tx_002", "1"), { code: "NOT_A_MEMBER" });
  // A new member votes when it knows what those who stay have locked.
  await until(() => stage.vote("n5", "tx_002", "7").catch(() => undefined));
  await Promise.all(["n1", "n2"].map((name) => stage.vote(name, "tx_002", "7", 30_000)));
  const { state, value, tally } = await stage.status("n3", "tx_002", 30_000);
  assert.deepEqual([state, value, tally[0]?.voters], ["decided", "7", ["n1", "n2", "n5"]]);
  assert.equal((await stage.status("n1", "tx_001")).value, "42");

  // The membership stands after a restart.
  await stage.killNode("n5");
  stage.startNode("n5");
  await stage.ready();
  assert.match(await ask("n5", ["members", "show"]), /membership +1/);
});

for (const type of ["double-vote", "minority", "invalid-signature", "silent"]) {
  Deno.test(`test-byzantine --test-type ${type} shows what every honest node makes of it`, async () => {
    const directory = Deno.makeTempDirSync({ prefix: "quorate-drill-" });
    const { code, stdout, stderr } = await drill(type, directory);
    Deno.removeSync(directory, { recursive: true });
    assert.equal(code, 0, stdout + stderr);
    const { verdicts } = JSON.parse(stdout) as {
      verdicts: { offence: { kind: string } | null; verified: boolean }[];
    };
    assert.equal(verdicts.length, 4);
    const expected = type === "double-vote" || type === "invalid-signature" ? type : undefined;
    for (const { offence, verified } of verdicts) {
      assert.equal(offence?.kind, expected);
      if (expected !== undefined) assert.equal(verified, true);
    }
  });
}

async function drill(type: string, directory: string) {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "-A", main, "test-byzantine", "--test-type", type, "--json"],
    cwd: directory,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, "did not happen");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
