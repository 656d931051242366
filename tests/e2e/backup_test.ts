/**
 * Backups with real processes: made by a party, verified by a stranger, restored after a fire.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { Cluster, type Finished, sameOutput, shuffled } from "./cluster.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;
const PROJECT = new URL("../../deno.json", import.meta.url).pathname;

/** Somebody who belongs to no cluster: no configuration, no network, only the files that are named. */
async function stranger(
  args: readonly string[],
  files: { readonly read?: readonly string[]; readonly write?: string; readonly code?: number } = {},
): Promise<Finished> {
  const { read = [], write, code = 0 } = files;
  const readable = write === undefined ? read : [...read, write];
  const startedAt = performance.now();
  const { code: found, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--frozen", "--config", PROJECT, "--no-prompt", "--ignore-env"],
      ...(readable.length === 0 ? [] : [`--allow-read=${readable.join()}`]),
      ...(write === undefined ? [] : [`--allow-write=${write}`]),
      MAIN,
      ...args,
    ],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const result = {
    code: found,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
    elapsedMs: performance.now() - startedAt,
  };
  assert.equal(found, code, `${args.join(" ")}\n${result.stderr}`);
  return result;
}

/** Signs with a quorum, and openssl accepts. */
async function signs(
  cluster: Cluster,
  input: { readonly signers: readonly string[]; readonly pem: string; readonly options?: readonly string[] },
): Promise<void> {
  const { signers, pem, options = [] } = input;
  const message = cluster.file("message.txt", `pay 5 to dave, ${signers.join()}\n`);
  const signature = cluster.file("message.sig");
  await cluster.all(shuffled(signers), (party) => [
    ...[
      "key",
      "sign",
      "--key",
      "treasury",
      "--signers",
      signers.join(),
      "--message-file",
      message,
      ...options,
    ],
    ...(party === signers[0] ? ["--out", signature] : []),
  ]);
  const openssl = await new Deno.Command("openssl", {
    args: ["dgst", "-sha256", "-verify", pem, "-signature", signature, message],
  }).output();
  assert.equal(new TextDecoder().decode(openssl.stdout).trim(), "Verified OK");
}

async function exported(cluster: Cluster, party: string, key: string, format: string): Promise<string> {
  const { stdout } = await cluster.one(party, ["key", "export-public", "--key", key, "--format", format]);
  return stdout;
}

/** Everything that the party has stored is gone; its certificates and identity came from elsewhere again. */
function burnDown(cluster: Cluster, party: string): void {
  const { dataDirectory } = cluster.config.parties.find(({ name }) => name === party) as {
    dataDirectory: string;
  };
  for (const name of ["quorate.sqlite", "quorate.sqlite-wal", "quorate.sqlite-shm", "high-water"]) {
    try {
      Deno.removeSync(join(dataDirectory, name));
    } catch {
      // A store that was closed has no log.
    }
  }
}

/** Copies of a file: with one bit flipped in the middle, and cut short. */
function damaged(cluster: Cluster, path: string): string[] {
  const bytes = Deno.readFileSync(path);
  const flipped = bytes.slice();
  flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] as number) ^ 1;
  return [flipped, bytes.slice(0, -100)].map((content, i) => {
    const copy = cluster.file(`damaged-${i}.pve`);
    Deno.writeFileSync(copy, content);
    return copy;
  });
}

Deno.test("backup: a share is backed up, verified by a stranger, lost, recovered, and signs again", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const { names, work } = cluster;
  const policy = "2 of (alice, bob, carol)";
  sameOutput(
    await cluster.all(shuffled(names), () => ["key", "generate", "--key", "treasury", "--policy", policy]),
  );
  const pem = cluster.file("treasury.pem", await exported(cluster, "alice", "treasury", "pem"));
  const record = cluster.file("treasury.json", await exported(cluster, "bob", "treasury", "record"));

  // A custodian makes its key pair once; nothing is overwritten.
  const custodian = cluster.file("custodian");
  await stranger(["backup", "custodian", "--out", custodian], { write: work });
  assert.equal((Deno.statSync(`${custodian}.key`).mode ?? 0) & 0o777, 0o600);
  const again = await stranger(["backup", "custodian", "--out", custodian], { write: work, code: 73 });
  assert.match(again.stderr, /FILE_EXISTS/);
  const privatePem = Deno.readTextFileSync(`${custodian}.key`);
  const other = cluster.file("other");
  await stranger(["backup", "custodian", "--out", other, "--suite", "p256"], { write: work });

  const listed = async () => {
    const { backedUp, backupEpoch } =
      JSON.parse((await cluster.one("alice", ["key", "list", "--json"])).stdout)[0];
    return [backedUp, backupEpoch];
  };
  assert.deepEqual(await listed(), [false, null]);
  const backup = cluster.file("alice.pve");
  const toCustodian = ["--custodian", `${custodian}.pub`];
  const create = ["backup", "create", "--key", "treasury", ...toCustodian, "--out", backup];
  await cluster.one("alice", create);
  assert.deepEqual(await listed(), [true, 0]);

  // Three public files are all that a stranger needs.
  const check = (
    file: string,
    to = custodian,
    by = record,
  ) => ["backup", "verify", "--backup", file, "--custodian", `${to}.pub`, "--record", by];
  const verified = await stranger([...check(backup), "--json"], {
    read: [backup, `${custodian}.pub`, record],
  });
  const { valid, party, keys } = JSON.parse(verified.stdout);
  assert.deepEqual([valid, party, keys[0].key, keys[0].epoch], [true, "alice", "treasury", 0]);
  const forged = cluster.file(
    "forged.json",
    Deno.readTextFileSync(record).replace('"epoch": 0', '"epoch": 1'),
  );
  const refused: [args: string[], sentence: RegExp][] = [
    [check(backup, other), /BACKUP_INVALID.*custodian/],
    [check(backup, custodian, forged), /RECORD_INVALID/],
    ...damaged(cluster, backup).map((path): [string[], RegExp] => [check(path), /BACKUP_INVALID/]),
  ];
  await Promise.all(refused.map(async ([args, sentence]) => {
    const { stderr } = await stranger(args, { read: [work], code: 65 });
    assert.match(stderr, sentence);
  }));

  // After the fire.
  burnDown(cluster, "alice");
  const lost = await cluster.one("alice", ["key", "sign", "--key", "treasury", "--message", "x"], 64);
  assert.match(lost.stderr, /KEY_UNKNOWN/);
  const recover = (
    key: string,
    ...more: string[]
  ) => ["backup", "recover", "--backup", backup, "--custodian-key", `${key}.key`, ...more];
  const unknown = await cluster.one("alice", recover(custodian), 64);
  assert.match(unknown.stderr, /--record is missing/);
  const wrongKey = await cluster.one("alice", recover(other, "--record", record), 65);
  assert.match(wrongKey.stderr, /BACKUP_INVALID.*custodian/);
  Deno.chmodSync(`${custodian}.key`, 0o644);
  const loose = await cluster.one("alice", recover(custodian, "--record", record), 77);
  assert.match(loose.stderr, /LOOSE_PERMISSIONS.*chmod 0600/);
  Deno.chmodSync(`${custodian}.key`, 0o600);

  const restored = await cluster.one("alice", recover(custodian, "--record", record, "--json"));
  assert.equal(JSON.parse(restored.stdout).keys[0].outcome, "restored");
  const shown = JSON.parse(
    (await cluster.one("alice", ["key", "show", "--key", "treasury", "--json"])).stdout,
  );
  assert.deepEqual(shown.pairs.map(({ status }: { status: string }) => status), ["absent", "absent"]);
  assert.deepEqual(await listed(), [true, 0]);
  const repeated = await cluster.one("alice", [...recover(custodian), "--json"]);
  assert.equal(JSON.parse(repeated.stdout).keys[0].outcome, "unchanged");
  await signs(cluster, { signers: ["alice", "bob"], pem });

  // A new epoch makes the backup worthless, and everybody says so.
  const refreshed = await cluster.all(shuffled(names), () => ["key", "refresh", "--key", "treasury"]);
  for (const [party, { stderr }] of refreshed) {
    assert.equal(/epoch 0 and restores nothing now: run backup create/.test(stderr), party === "alice");
  }
  const renewed = cluster.file("renewed.json", await exported(cluster, "carol", "treasury", "record"));
  assert.deepEqual(await listed(), [false, 0]);
  const stale = await stranger(check(backup, custodian, renewed), { read: [work], code: 1 });
  assert.match(stale.stderr, /BACKUP_STALE.*epoch 0.*epoch 1/);
  for (const by of [record, renewed]) {
    const refused = await cluster.one("alice", recover(custodian, "--record", by), 1);
    assert.match(refused.stderr, /BACKUP_STALE/);
  }
  await cluster.one("alice", create);
  await stranger(check(backup, custodian, renewed), { read: [work] });
  await signs(cluster, { signers: ["alice", "carol"], pem });

  const secrets = privatePem.split("\n").slice(1, -2);
  for (const output of cluster.outputs) {
    for (const secret of secrets) assert.ok(!output.includes(secret), "a private key was printed");
  }
});

Deno.test("backup: all keys of a party at once, for two of three custodians; each drilled before", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const { work } = cluster;
  const names: [key: string, curve: string][] = [["treasury", "p256"], ["cold", "secp256k1"]];
  for (const [key, curve] of names) {
    const generate = ["key", "generate", "--key", key, "--curve", curve, "--policy", "and(alice, bob)"];
    await cluster.all(["alice", "bob"], () => generate);
  }
  const pem = cluster.file("treasury.pem", await exported(cluster, "bob", "treasury", "pem"));
  const records: string[] = [];
  for (const [key] of names) {
    records.push("--record", cluster.file(`${key}.json`, await exported(cluster, "bob", key, "record")));
  }
  const suites: [name: string, suite: string][] = [["c1", "x25519"], ["c2", "p256"], ["c3", "rsa3072"]];
  const group = ["--custodians", "2 of (c1, c2, c3)"];
  for (const [name] of suites) group.push("--custodian", `${name}=${join(work, name)}.pub`);
  await Promise.all(
    suites.map(([name, suite]) =>
      stranger(["backup", "custodian", "--out", join(work, name), "--suite", suite], { write: work })
    ),
  );

  // A drill at once, with the wrong key, and in three steps.
  const [c1, c2] = [join(work, "c1"), join(work, "c2")];
  const drill = ["backup", "drill", "--custodian"];
  await stranger([...drill, `${c1}.pub`, "--custodian-key", `${c1}.key`], { read: [work] });
  const failed = await stranger([...drill, `${c1}.pub`, "--custodian-key", `${c2}.key`], {
    read: [work],
    code: 1,
  });
  assert.match(failed.stderr, /DRILL_FAILED/);
  const file = cluster.file("drill.pve");
  await stranger([...drill, `${c2}.pub`, "--out", file], { write: work });
  const answered = await stranger(["backup", "drill", "--drill", file, "--custodian-key", `${c2}.key`], {
    read: [work],
  });
  const answer = answered.stdout.trim();
  await stranger([...drill, `${c2}.pub`, "--drill", file, "--answer", answer], { read: [work] });
  const swapped = answer.slice(2) + answer.slice(0, 2);
  const wrong = await stranger([...drill, `${c2}.pub`, "--drill", file, "--answer", swapped], {
    read: [work],
    code: 1,
  });
  assert.match(wrong.stderr, /DRILL_FAILED/);

  const backup = cluster.file("alice.pve");
  await cluster.one("alice", ["backup", "create", "--all", ...group, "--out", backup]);
  await stranger(["backup", "verify", "--backup", backup, ...group, ...records], { read: [work] });
  const answerless = await stranger(["backup", "drill", "--drill", backup, "--custodian-key", `${c1}.key`], {
    read: [work],
    code: 65,
  });
  assert.match(answerless.stderr, /BACKUP_INVALID/);

  // Each custodian opens its part where its key is; the party puts two of them together.
  burnDown(cluster, "alice");
  const parts: string[] = [];
  for (const [name] of suites) {
    const part = join(work, `${name}.part`);
    await stranger(
      ["backup", "open", "--backup", backup, "--custodian-key", join(work, `${name}.key`), "--out", part],
      { write: work },
    );
    assert.equal((Deno.statSync(part).mode ?? 0) & 0o777, 0o600);
    parts.push("--part", part);
  }
  const recover = ["backup", "recover", "--backup", backup, ...records];
  const alone = await cluster.one("alice", [...recover, ...parts.slice(0, 2)], 2);
  assert.match(alone.stderr, /NOT_QUALIFIED/);
  const one = await cluster.one("alice", [...recover, "--key", "cold", ...parts.slice(2), "--json"]);
  const restored = JSON.parse(one.stdout).keys.map((
    key: Record<string, unknown>,
  ) => [key["key"], key["outcome"]]);
  assert.deepEqual(restored, [["cold", "restored"]]);
  const both = await cluster.one("alice", [
    ...recover,
    ...parts.slice(2, 4),
    "--custodian-key",
    `${c1}.key`,
    "--json",
  ]);
  const outcomes = JSON.parse(both.stdout).keys.map((
    key: Record<string, unknown>,
  ) => [key["key"], key["outcome"]]);
  assert.deepEqual(outcomes, [["treasury", "restored"], ["cold", "unchanged"]]);
  await signs(cluster, { signers: ["alice", "bob"], pem });

  // A child of the key, which anybody derives from the record.
  const record = records[1] as string, path = ["--path", "m/0/5"];
  const derived = await stranger(["key", "derive", "--record", record, ...path, "--format", "pem"], {
    read: [work],
  });
  const here = await cluster.one("alice", ["key", "derive", "--key", "treasury", ...path, "--format", "pem"]);
  assert.equal(here.stdout, derived.stdout);
  const child = cluster.file("child.pem", derived.stdout);
  await signs(cluster, { signers: ["alice", "bob"], pem: child, options: path });
  const verify = ["key", "verify", "--record", record, "--signature", join(work, "message.sig")];
  const message = ["--message-file", join(work, "message.txt")];
  await stranger([...verify, ...message, ...path], { read: [work] });
  const parent = await stranger([...verify, ...message], { read: [work], code: 1 });
  assert.match(parent.stderr, /SIGNATURE_INVALID/);
});
