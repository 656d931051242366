import assert from "node:assert/strict";
import { main } from "../../cli/main.ts";
import { cosign, originOf, parseCheckpoint, withSignature } from "../../src/audit/checkpoint.ts";
import type { Party } from "../../src/node/party.ts";
import { Cluster, values } from "../node/fixture.ts";

interface Shown {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in this process and collects what it prints. */
async function quorate(...args: readonly string[]): Promise<Shown> {
  const written = { stdout: "", stderr: "" };
  const former = { stdout: Deno.stdout.writeSync, stderr: Deno.stderr.writeSync };
  for (const stream of ["stdout", "stderr"] as const) {
    Deno[stream].writeSync = (bytes) => {
      written[stream] += new TextDecoder().decode(bytes);
      return bytes.length;
    };
  }
  try {
    return { code: await main(args), ...written };
  } finally {
    Deno.stdout.writeSync = former.stdout;
    Deno.stderr.writeSync = former.stderr;
  }
}

const NAMES = ["alice", "bob"];

/** A cluster in which something happened, and what bob keeps of alice's log as its witness. */
async function used(): Promise<{ cluster: Cluster; witness: string; log: string; here: string[] }> {
  const cluster = await Cluster.make(NAMES);
  values(await cluster.all(NAMES, (party: Party) => party.agreeRandom(128)));
  const log = `${cluster.root}/demo/data/alice/audit`;
  const note = Deno.readTextFileSync(`${log}/checkpoint`);
  const bob = await cluster.open("bob");
  const line = cosign(parseCheckpoint(note), {
    name: originOf("demo", "bob"),
    signer: bob.local.identity(),
    seconds: 1_700_000_000,
  });
  await bob.close();
  const witness = `${cluster.root}/alice.checkpoint`;
  Deno.writeTextFileSync(witness, withSignature(note, line));
  return { cluster, witness, log, here: ["--config", cluster.configPath, "--party", "alice"] };
}

Deno.test("quorate audit verify, head and prove tell of a log that is right", async () => {
  const { cluster, witness, log, here } = await used();
  using _cluster = cluster;
  const verified = await quorate("audit", "verify", ...here, "--checkpoint", witness);
  assert.equal(verified.code, 0, verified.stderr);
  assert.match(verified.stdout, /^log {9}quorate\/demo\/alice\nrecords {5}\d+\nroot {8}[0-9a-f]{64}\n/);
  assert.match(
    verified.stdout,
    /cosigned by bob 2023-11-14T22:13:20Z: .*alice\.checkpoint\nthe log is right\n$/,
  );
  const json = JSON.parse((await quorate("audit", "verify", ...here, "--json")).stdout);
  assert.deepEqual([json.ok, json.findings, json.checkpoints[0].cosigned], [true, [], []]);

  const head = await quorate("audit", "head", ...here);
  assert.deepEqual([head.code, head.stdout], [0, Deno.readTextFileSync(`${log}/checkpoint`)]);
  const described = JSON.parse((await quorate("audit", "head", ...here, "--json")).stdout);
  assert.deepEqual([described.origin, described.size, described.root], [
    "quorate/demo/alice",
    json.size,
    json.root,
  ]);
  const none = await quorate("audit", "head", ...here, "--cosigned");
  assert.deepEqual([none.code, none.stdout], [65, ""]);
  assert.match(none.stderr, /AUDIT_UNREADABLE: there is no checkpoint of alice's log yet/);

  // Whoever has the configuration checks a proof, without being a party, and against another checkpoint too.
  const proof = `${cluster.root}/proof`;
  for (const form of [[], ["--json"]]) {
    assert.equal((await quorate("audit", "prove", ...here, "--index", "0", "--out", proof, ...form)).code, 0);
    const anyone = ["audit", "verify", "--config", cluster.configPath, "--proof", proof];
    const checked = await quorate(...anyone);
    assert.equal(checked.code, 0, checked.stderr);
    assert.match(checked.stdout, /^record 0 is in the log quorate\/demo\/alice of \d+ records\n\{"details"/);
    const cosigned = await quorate(...anyone, "--checkpoint", witness);
    assert.match(cosigned.stdout, /\ncosigned {2}bob 2023-11-14T22:13:20Z\n/);
    const value = JSON.parse((await quorate(...anyone, "--json")).stdout);
    assert.deepEqual([value.ok, value.index, value.record.type], [true, 0, "session_started"]);
    const text = Deno.readTextFileSync(proof);
    Deno.writeTextFileSync(
      proof,
      form.length === 0 ? text.replace("index 0", "index 1") : text.replace("agree", "Agree"),
    );
    const refused = await quorate(...anyone);
    assert.deepEqual([refused.code, refused.stdout], [65, ""]);
    assert.match(refused.stderr, /AUDIT_PROOF_INVALID: the proof does not hold/);
  }
});

Deno.test("quorate audit verify ends with 65 and names the record that was edited, deleted, moved or cut off", async () => {
  const { cluster, witness, log, here } = await used();
  using _cluster = cluster;
  const file = `${log}/0000000000000000.jsonl`;
  const whole = Deno.readTextFileSync(file);
  const lines = whole.split("\n").slice(0, -1);
  const last = lines.length - 1;
  const damages: readonly (readonly [readonly string[], number])[] = [
    [lines.with(1, (lines[1] as string).replace('"ok"', '"failed"')), 1],
    [lines.toSpliced(1, 1), 1],
    [lines.with(1, lines[2] as string).with(2, lines[1] as string), 1],
    [lines.slice(0, -1), last],
  ];
  for (const [damaged, index] of damages) {
    Deno.writeTextFileSync(file, damaged.map((line) => `${line}\n`).join(""));
    const shown = await quorate("audit", "verify", ...here, "--json");
    assert.equal(shown.code, 65);
    const report = JSON.parse(shown.stdout);
    assert.deepEqual([report.ok, report.findings[0].index], [false, index]);
    const { error } = JSON.parse(shown.stderr);
    assert.deepEqual([error.code, error.exit, error.party], ["AUDIT_CORRUPT", 65, "alice"]);
    assert.match(error.message, new RegExp(`records? ${index}\\b`));
  }
  // With nothing left here that says so, a peer's checkpoint still does.
  for (const name of ["checkpoint", "tree"]) Deno.removeSync(`${log}/${name}`);
  assert.equal((await quorate("audit", "verify", ...here)).code, 0);
  const found = await quorate("audit", "verify", ...here, "--checkpoint", witness);
  assert.equal(found.code, 65);
  assert.match(
    found.stderr,
    new RegExp(
      `records ${last} to ${last} are missing: the checkpoint in .*, cosigned by quorate/demo/bob, has`,
    ),
  );
  Deno.writeTextFileSync(file, whole);
  assert.equal((await quorate("audit", "verify", ...here, "--checkpoint", witness)).code, 0);
});

Deno.test("quorate audit refuses wrong arguments with one sentence", async () => {
  const { cluster, here } = await used();
  using _cluster = cluster;
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [
      ["verify", "--config", cluster.configPath],
      64,
      /--party is missing: it names the party whose log it is/,
    ],
    [["verify", ...here, "--checkpoint", "/nowhere"], 64, /FILE_UNREADABLE/],
    [
      ["verify", ...here, "--checkpoint", cluster.configPath],
      65,
      /AUDIT_UNREADABLE: .* is no checkpoint of a log/,
    ],
    [
      ["verify", ...here, "--proof", cluster.configPath],
      65,
      /AUDIT_PROOF_INVALID: .* is no proof of a record/,
    ],
    [["prove", ...here, "--index", "x"], 64, /--index is a whole number/],
    [["prove", ...here, "--index", "999"], 64, /no checkpoint covers record 999/],
    [["prove", ...here], 64, /--index/],
  ];
  for (const [args, code, words] of cases) {
    const shown = await quorate("audit", ...args);
    assert.equal(shown.code, code, shown.stderr);
    assert.match(shown.stderr, words);
    assert.equal(shown.stdout, "");
  }
});

Deno.test("quorate audit verify demands as many witnesses as the configuration says", async () => {
  const { cluster, witness, here } = await used();
  using _cluster = cluster;
  Deno.writeTextFileSync(cluster.configPath, "\n[audit]\nwitnesses = 1\n", { append: true });
  const alone = await quorate("audit", "verify", ...here);
  assert.equal(alone.code, 65);
  assert.match(alone.stderr, /no checkpoint is cosigned by 1 peers/);
  assert.equal((await quorate("audit", "verify", ...here, "--checkpoint", witness)).code, 0);
});
