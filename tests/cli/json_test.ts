/**
 * Every command prints exactly one JSON value with `--json`. Alice's commands are typed; the other parties do their part of it
 * in this process.
 */

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Daemon } from "../../src/node/daemon.ts";
import { standardModules } from "../../src/node/modules.ts";
import { Log } from "../../src/telemetry/log.ts";
import { type NodeCommand, runCommand } from "../../src/node/command.ts";
import {
  agreeRandomCommand,
  generateCommand,
  importCommand,
  refreshCommand,
  repairCommand,
  reshareCommand,
  signCommand,
  syncCommand,
} from "../../src/node/key_commands.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { UsageError } from "../../src/base/errors.ts";
import { p256 } from "../../src/math/curve.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { encode } from "../../src/base/codec.ts";
import { partyConfig } from "../../src/node/config.ts";
import { identitySigner } from "../../src/pki/identity.ts";
import { doubleVote, offenceCodec, type OffenceProof } from "../../src/voting/offence.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../../src/voting/vote.ts";
import { Cluster, values } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";
import { leaves } from "./tree.ts";

/** Leaves that this file does not run, each with the file that does or the reason why nothing does. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "completion": "tests/cli/completion_test.ts",
  "doctor": "tests/cli/doctor_test.ts",
  "demo": "tests/e2e/demo_test.ts",
  "demo ecdsa-2pc": "tests/e2e/demo_test.ts",
  "demo ecdsa-backup": "tests/e2e/demo_test.ts",
  "demo voting": "tests/e2e/demo_test.ts",
  "evidence show": "it needs a member that votes twice, and prints what evidence verify prints of the proof",
  "decision compact": "tests/e2e/approval_test.ts",
  "test-byzantine": "tests/e2e/voting_test.ts",
  "node run": "it stays and prints its log, one JSON object per line unless it is told otherwise",
};

const POLICY = "2 of (alice, bob, carol)";
const ran = new Set<string>();

class Typist {
  readonly cluster: Cluster;
  readonly root: string;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.root = cluster.root;
  }

  /** Types a command at alice. */
  async alice(path: string, ...args: readonly string[]) {
    const config = ["--config", this.cluster.configPath, "--party", "alice"];
    return await this.anybody(path, ...args, ...config);
  }

  async anybody(path: string, ...args: readonly string[]) {
    const { code, stdout, stderr } = await quorate(...path.split(" "), ...args, "--json");
    assert.equal(code, 0, `${path}: ${stderr}`);
    assert.match(stdout, /^[^\n]+\n$/, `${path} prints one line`);
    ran.add(path);
    return JSON.parse(stdout);
  }

  /** Types a command at alice while the others do the same. */
  async joint<I, O>(
    path: string,
    args: readonly string[],
    others: readonly string[],
    command: NodeCommand<I, O>,
    input: I,
  ) {
    const done = this.cluster.all(others, (party) => runCommand(command, party, input));
    const printed = await this.alice(path, ...args);
    values(await done);
    return printed;
  }
}

Deno.test("quorate COMMAND --json prints one JSON value, whatever the command", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const typist = new Typist(cluster);
  const at = (name: string) => `${cluster.root}/${name}`;
  await keys(typist, at);
  await backups(typist, at);
  await certificates(typist, at);
  await audits(typist);
  await nodes();
});

Deno.test("every command either is run with --json here, or elsewhere, or has a reason not to be", () => {
  const missing: string[] = [];
  for (const { path } of leaves()) {
    const where = ELSEWHERE[path];
    if (ran.has(path)) assert.equal(where, undefined, path);
    else if (where === undefined) missing.push(path);
    else if (where.startsWith("tests/")) {
      const text = Deno.readTextFileSync(new URL(`../../${where}`, import.meta.url));
      assert.ok(
        text.includes('"--json"') && text.includes(`"${path.split(" ").at(-1)}"`),
        `${path}: ${where}`,
      );
    }
  }
  assert.deepEqual(missing, []);
  const known = new Set(leaves().map(({ path }) => path));
  assert.deepEqual(Object.keys(ELSEWHERE).filter((path) => !known.has(path) && path !== "demo"), []);
});

async function keys(typist: Typist, at: (name: string) => string): Promise<void> {
  const both = ["bob", "carol"], key = "treasury", named = ["--key", key];
  const agreed = await typist.joint("agree-random", ["--bits", "128"], both, agreeRandomCommand, {
    bits: 128,
  });
  assert.match(agreed.value, /^[0-9a-f]{32}$/);
  const made = await typist.joint(
    "key generate",
    [...named, "--curve", "p256", "--policy", POLICY],
    both,
    generateCommand,
    { key, curve: "p256", policy: POLICY },
  );
  assert.equal((await typist.alice("key list"))[0].keyId, made.keyId);
  assert.equal((await typist.alice("key show", ...named)).publicKey, made.publicKey);
  const here = ["--config", typist.cluster.configPath, "--party", "alice"];
  const misspelt = await quorate("key", "show", "--key", "tresury", ...here);
  assert.match(misspelt.stderr, /no key tresury .*there are treasury \(did you mean treasury\?\)/);
  const signers = ["alice", "bob"], digest = sha256(utf8("m"));
  const signed = await typist.joint(
    "key sign",
    [...named, "--signers", signers.join(), "--message", "m"],
    ["bob"],
    signCommand,
    { key, signers, digest },
  );
  Deno.writeTextFileSync(at("m.json"), JSON.stringify(signed));
  const verified = await typist.alice("key verify", ...named, "--message", "m", "--signature", at("m.json"));
  assert.deepEqual(verified, { valid: true });
  assert.equal((await typist.alice("key derive", ...named, "--path", "m/1")).path, "m/1");
  const record = await typist.alice("key export-public", ...named, "--out", at("treasury.pem"));
  assert.equal(record.publicKey, made.publicKey);

  const pairs = "rerandomize" as const;
  const refreshed = await typist.joint("key refresh", [...named, "--pairs", pairs], both, refreshCommand, {
    key,
    pairs,
  });
  assert.equal(refreshed.epoch, 1);
  const synchronised = await typist.joint(
    "key sync",
    [...named, "--with", "bob"],
    ["bob"],
    syncCommand,
    { key, parties: ["alice"] },
  );
  assert.equal(synchronised.epoch, 1);
  const carol = typist.cluster.config.parties[2]?.dataDirectory;
  for (const name of ["quorate.sqlite", "high-water"]) Deno.removeSync(`${carol}/${name}`);
  const repaired = await typist.joint(
    "key repair",
    [...named, "--lost", "carol", "--helpers", "alice,bob"],
    both,
    repairCommand,
    { key, lost: "carol", helpers: ["alice", "bob"], curve: "p256" },
  );
  assert.equal(repaired.key, key);
  const policy = "and(alice, bob)";
  const dealers = ["carol"];
  const reshared = await typist.joint(
    "key reshare",
    [...named, "--policy", policy, "--dealers", "carol"],
    both,
    reshareCommand,
    { key, policy, dealers },
  );
  assert.deepEqual([reshared.epoch, reshared.publicKey], [2, made.publicKey]);

  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  Deno.writeTextFileSync(at("old.pem"), privateKey.export({ type: "pkcs8", format: "pem" }).toString(), {
    mode: 0o600,
  });
  const imported = await typist.joint(
    "key import",
    ["--key", "old", "--policy", policy, "--private-key", at("old.pem")],
    ["bob"],
    importCommand,
    { key: "old", policy, from: "alice" },
  );
  assert.equal(imported.key, "old");
  const exported = await typist.anybody(
    "key export-private",
    ...["--config", typist.cluster.configPath, "--key", "old", "--parties", "alice,bob", "--understand"],
    ...["--out", at("again.pem")],
  );
  assert.equal(exported.file, at("again.pem"));

  await leavePending(typist.cluster, "spare");
  const pending = (await typist.alice("key list")).find((entry: { key: string }) => entry.key === "spare");
  assert.equal(pending.state, "pending");
  const discarded = await typist.alice("key discard", "--key-id", pending.keyId, "--epoch", "0");
  assert.equal(discarded.discarded, true);
  const unbanned = await typist.alice("key unban", ...named, "--signer", "bob");
  assert.deepEqual(unbanned, { key, signer: "bob", unbanned: false });
  const shown = await typist.anybody("demo agree-random");
  assert.match(shown.value, /^[0-9a-f]{64}$/);
}

/** What a node is asked, with the nodes of four members in this process. */
async function nodes(): Promise<void> {
  using cluster = await Cluster.make(["alice", "bob", "carol", "dave"]);
  const typist = new Typist(cluster);
  const all = cluster.config.parties.map(({ name }) => name);
  const bound = {
    key: "bound",
    curve: "ed25519",
    policy: `3 of (${all.join()})`,
    purpose: "approved-signing",
  } as const;
  const notary = { ...bound, key: "notary", purpose: "decision" } as const;
  for (const key of [bound, notary]) {
    values(await cluster.all(all, (party) => runCommand(generateCommand, party, key)));
  }
  const daemons = await Promise.all(
    cluster.config.parties.map(({ name }) =>
      Daemon.start(cluster.config, name, {
        log: new Log({ party: name, cluster: "demo", format: "json", level: "error", write: () => {} }),
        readConfig: () => cluster.config,
        modules: standardModules,
      })
    ),
  );
  try {
    assert.equal((await typist.alice("info")).party, "alice");
    const members = cluster.config.parties.slice(1).map(({ name }) => name);
    // Exit code 2 until a quorum can be reached.
    const complete = async () => {
      const asked = await quorate("status", "--json", "--config", cluster.configPath, "--party", "alice");
      return asked.code === 0 && JSON.parse(asked.stdout).reachable.length === cluster.config.parties.length;
    };
    while (!await complete()) await delay(50);
    await typist.alice("status");
    assert.deepEqual((await typist.alice("peers")).map(({ name }: { name: string }) => name), members);
    assert.deepEqual(await typist.alice("sessions"), []);
    assert.equal((await typist.alice("monitor", "--count", "1")).event, "status");
    const paced = await quorate(
      ...["monitor", "--count", "2", "--interval", "3", "--json"],
      ...["--config", cluster.configPath, "--party", "alice"],
    );
    const times = paced.stdout.trimEnd().split("\n").map((line) => Date.parse(JSON.parse(line).time));
    assert.equal(times.length, 2);
    assert.ok((times[1] as number) - (times[0] as number) >= 2_500, "every second report is left out");
    const vote = await typist.alice("vote", "--tx-id", "tx_001", "--value", "42");
    assert.equal(vote.state, "undecided");
    for (const name of ["bob", "carol"]) {
      const at = ["--config", cluster.configPath, "--party", name];
      const { code } = await quorate("vote", "--tx-id", "tx_001", "--value", "42", "--wait", "1", ...at);
      assert.equal(code, name === "bob" ? 2 : 0);
    }
    const certificate = `${cluster.root}/tx_001.decision`;
    assert.equal((await typist.alice("decision show", "tx_001", "--out", certificate)).txId, "tx_001");
    const checked = await typist.anybody("decision verify", certificate, "--config", cluster.configPath);
    assert.equal(checked.txId, "tx_001");
    const proposed = await typist.alice("propose", "--key", "bound", "--tx-id", "tx_003", "--message", "m");
    assert.equal(proposed.txId, "tx_003");
    for (const name of ["alice", "bob", "carol"]) {
      const approve = ["--tx-id", "tx_003", "--approve", proposed.proposals[0].ballot];
      await quorate("vote", ...approve, "--config", cluster.configPath, "--party", name);
    }
    const made = await typist.alice("signature show", "--tx-id", "tx_003", "--wait", "30");
    assert.equal(made.txId, "tx_003", JSON.stringify(made));
    const known = ["--tx-id", "tx_003", "--signature", made.signature];
    assert.equal((await typist.alice("signature adopt", ...known)).txId, "tx_003");
    await typist.alice("pause", "--reason", "a test");
    await typist.alice("resume");
    assert.deepEqual((await typist.alice("evidence list")).offences, []);
    assert.equal((await typist.alice("reputation")).members.length, 4);
    assert.equal((await typist.alice("members show")).epoch, 0);
    const change = ["--members", all.join(), "--quorum", "4", "--faults", "0"];
    assert.equal((await typist.alice("members change", ...change)).epoch, 0);
    const proof = `${cluster.root}/offence.proof`;
    Deno.writeFileSync(proof, votesTwice(cluster, "dave"));
    const proven = await typist.anybody("evidence verify", proof, "--config", cluster.configPath);
    assert.deepEqual([proven.kind, proven.subject], ["double-vote", "dave"]);
  } finally {
    await Promise.all(daemons.map((daemon) => daemon.stop(1000)));
  }
}

/** The proof that a member signed votes for two values. */
function votesTwice({ config }: Cluster, name: string): Uint8Array {
  const party = partyConfig(config, name), membership = config.voting?.membership;
  assert.ok(membership !== undefined);
  const signer = identitySigner(Deno.readTextFileSync(party.identityKeyPath), name);
  const [a, b] = [1n, 2n].map((integer) => {
    const question = questionOf(membership, "tx_002", encodeValue({ schema: "integer", integer }));
    return signVote(question, party.index, (message) => signer.sign(message));
  }) as [Vote, Vote];
  return encode(offenceCodec, doubleVote(a, b) as OffenceProof);
}

/** A key generation at whose end alice's and bob's disks are full. */
async function leavePending(cluster: Cluster, name: string): Promise<void> {
  await cluster.all(["alice", "bob"], (party) => {
    const { store } = party.local;
    const write = store.write.bind(store);
    store.write = (record) => {
      if (record.kind === "key-active") throw new UsageError("STORE_UNWRITABLE", "the disk is full");
      write(record);
    };
    return party.generateKey({ name, curve: p256, policy: parsePolicy("and(alice, bob)") });
  }, { timeoutMs: 3_000 });
}

async function backups(typist: Typist, at: (name: string) => string): Promise<void> {
  const named = ["--key", "treasury"];
  const one = await typist.anybody("backup custodian", "--out", at("c"));
  assert.equal(one.publicKey, at("c.pub"));
  await typist.alice("key export-public", ...named, "--format", "record", "--out", at("record.json"));
  const custodian = ["--custodians", "1 of (c1)", "--custodian", `c1=${at("c.pub")}`];
  const create = ["backup create", ...named, "--out"] as const;
  await typist.alice(...create, at("alice.pve"), "--custodian", at("c.pub"));
  const verify = ["--backup", at("alice.pve"), "--custodian", at("c.pub"), "--record", at("record.json")];
  assert.equal((await typist.anybody("backup verify", ...verify)).valid, true);
  const recovered = await typist.alice(
    "backup recover",
    ...["--backup", at("alice.pve"), "--custodian-key", at("c.key"), "--record", at("record.json")],
  );
  assert.equal(recovered.keys[0].outcome, "unchanged");
  await typist.alice(...create, at("quorum.pve"), ...custodian);
  const part = await typist.anybody(
    "backup open",
    ...["--backup", at("quorum.pve"), "--custodian-key", at("c.key"), "--out", at("c.part")],
  );
  assert.deepEqual(part, { part: at("c.part") });
  const drill = ["--custodian", at("c.pub"), "--custodian-key", at("c.key")];
  assert.deepEqual(await typist.anybody("backup drill", ...drill), { passed: true });
}

async function certificates(typist: Typist, at: (name: string) => string): Promise<void> {
  const config = ["--config", typist.cluster.configPath];
  const made = await typist.anybody("init", "alice", "bob", "--dir", at("second"), "--cluster", "second");
  assert.equal(made.config, at("second/quorate.toml"));
  const authority = await typist.anybody("cert create-ca", "--cluster", "demo", "--out", at("ca"));
  assert.equal(authority.certificate, at("ca/ca.pem"));
  const request = await typist.alice("cert csr", "--out", at("csr"));
  const issued = await typist.alice("cert issue", "--csr", request.request, "--out", at("issued"));
  assert.match(issued.pin, /^sha256\//);
  assert.match((await typist.alice("cert renew")).pin, /^sha256\//);
  assert.equal((await typist.anybody("cert revoke", ...config, "--refresh")).lists.length, 1);
  assert.ok((await typist.anybody("cert list", ...config)).length >= 4);
  assert.equal((await typist.anybody("cert inspect", issued.certificate))[0].pin, issued.pin);
  assert.deepEqual(await typist.anybody("cert needs-renewal", ...config, "--days", "1"), []);
  const rotated = await typist.anybody("cert rotate-ca", ...config);
  assert.match(rotated.key, /ca-key-2\.pem$/);
}

async function audits(typist: Typist): Promise<void> {
  assert.equal((await typist.alice("audit verify")).findings.length, 0);
  assert.match((await typist.alice("audit head")).root, /^[0-9a-f]{64}$/);
  await typist.alice("audit prove", "--index", "0");
}
