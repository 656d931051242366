import assert from "node:assert/strict";
import { main } from "../../cli/main.ts";
import { CODES, UsageError } from "../../src/base/errors.ts";
import { p256 } from "../../src/math/curve.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Cluster, recordedKeys, values } from "../node/fixture.ts";

/** Runs one command line in this process and collects what it prints. */
async function quorate(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
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

Deno.test("quorate key refresh, reshare, repair, sync and discard refuse wrong arguments with one sentence", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const here = ["--config", cluster.configPath, "--party", "alice"];
  const cases: readonly (readonly [readonly string[], keyof typeof CODES, RegExp])[] = [
    [["refresh"], "USAGE", /--key <name>' not specified/],
    [["refresh", "--key", "k"], "KEY_UNKNOWN", /no key k is stored here/],
    [["refresh", "--key", "k", "--pairs", "keep"], "USAGE", /--pairs/],
    [["reshare", "--key", "k"], "USAGE", /--policy/],
    [["reshare", "--key", "k", "--policy", "3 of (alice, bob)"], "POLICY_INVALID", /3 of 2 is impossible/],
    [
      ["reshare", "--key", "k", "--policy", "2 of (alice, mallory)"],
      "NOT_A_MEMBER",
      /mallory is not a party/,
    ],
    [
      ["reshare", "--key", "k", "--policy", "2 of (alice, bob)", "--dealers", "bob,bob"],
      "USAGE",
      /--dealers is a list/,
    ],
    [
      ["reshare", "--key", "k", "--policy", "2 of (alice, bob)", "--public-key", "02"],
      "USAGE",
      /--public-key has 66 hexadecimal digits: found "02"/,
    ],
    [["repair", "--key", "k", "--lost", "bob"], "USAGE", /--helpers/],
    [
      ["repair", "--key", "k", "--lost", "bob", "--helpers", "alice,"],
      "USAGE",
      /--helpers is a list of names/,
    ],
    [["repair", "--key", "k", "--lost", "bob", "--helpers", "alice"], "KEY_UNKNOWN", /no key k/],
    [["sync", "--key", "k", "--with", "alice"], "USAGE", /at least one other/],
    [["discard", "--key-id", "00", "--epoch", "x"], "USAGE", /--epoch is a whole number/],
    [
      ["discard", "--key-id", "00", "--epoch", "0"],
      "KEY_UNKNOWN",
      /0 keys of epoch 0 have an id that begins with "00"/,
    ],
  ];
  for (const [args, code, words] of cases) {
    const shown = await quorate("key", ...args, ...here);
    assert.equal(shown.code, CODES[code].exit, `${args.join(" ")}: ${shown.stderr}`);
    assert.match(shown.stderr, new RegExp(`error ${code}: `));
    assert.match(shown.stderr, words);
    assert.equal(shown.stdout, "");
  }
});

Deno.test("quorate key list shows what is pending, and key discard erases it, but nothing that is active", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const request = { name: "treasury", curve: p256, policy: parsePolicy("2 of (alice, bob)") };
  const generate = (isFull: boolean) =>
    cluster.all(["alice", "bob"], (party) => {
      const { store } = party.local;
      const write = store.write.bind(store);
      store.write = (record) => {
        if (isFull && record.kind === "key-active") {
          throw new UsageError("STORE_UNWRITABLE", "the disk is full");
        }
        write(record);
      };
      return party.generateKey(request);
    }, { timeoutMs: 5_000 });
  const here = ["--config", cluster.configPath, "--party", "alice"];
  const list = async () => JSON.parse((await quorate("key", "list", ...here, "--json")).stdout);
  await generate(true);
  const [pending] = await list();
  assert.deepEqual([pending.key, pending.state, pending.epoch], ["treasury", "pending", 0]);
  const discarded = await quorate(
    "key",
    "discard",
    "--key-id",
    pending.keyId.slice(0, 8),
    "--epoch",
    "0",
    ...here,
  );
  assert.deepEqual([discarded.code, discarded.stdout], [0, "discarded treasury\n"]);
  assert.equal(recordedKeys(cluster.config, "alice").at(-1), "key_discarded treasury 0");
  assert.deepEqual(await list(), []);
  // Alice has nothing of that attempt any more, so that the parties make another key; bob keeps what he has of the first.
  values(await generate(false));
  const [active] = await list();
  assert.equal(active.state, "active");
  const refused = await quorate("key", "discard", "--key-id", active.keyId, "--epoch", "0", ...here);
  assert.equal(refused.code, CODES.KEY_EXISTS.exit);
  assert.match(refused.stderr, /the key treasury is active in epoch 0: only a pending share is discarded/);
  const listed = async (...options: readonly string[]) =>
    JSON.parse((await quorate("key", "list", ...here.with(3, "bob"), "--json", ...options)).stdout);
  assert.deepEqual((await listed()).map(({ state }: { state: string }) => state), ["active"]);
  const all = await listed("--all");
  const isOld = ({ superseded = false }: { superseded?: boolean }) => superseded;
  assert.deepEqual(all.filter(isOld).map(({ state }: { state: string }) => state), ["pending"]);
  assert.equal(all.length, 2);
  const text = await quorate("key", "list", "--all", ...here.with(3, "bob"));
  assert.match(text.stdout, /^treasury +p256 +superseded +epoch 0 /m);
  const { keyId } = all.find(isOld);
  const gone = await quorate("key", "discard", "--key-id", keyId, "--epoch", "0", ...here.with(3, "bob"));
  assert.equal(gone.code, 0);
  assert.equal((await listed("--all")).length, 1);
});

Deno.test("quorate key list and key show name who is banned, and key unban lets it sign again", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const policy = parsePolicy("2 of (alice, bob)");
  const request = { name: "seal", scheme: "ed25519", policy } as const;
  values(await cluster.all(["alice", "bob"], (party) => party.generateFrostKey(request)));
  {
    await using alice = await cluster.open("alice");
    const { keyId, epoch } = alice.local.store.active("seal");
    const ban = { keyId, epoch, party: 2, code: "CHEATED", reason: "its share does not fit" };
    alice.local.store.banSigner(ban);
  }
  const here = ["--config", cluster.configPath, "--party", "alice"];
  assert.match((await quorate("key", "list", ...here)).stdout, /not backed up +banned: bob$/m);
  const show = await quorate("key", "show", "--key", "seal", ...here);
  assert.match(show.stdout, /^banned +bob: its share does not fit \(20/m);
  const unban = (signer: string) => quorate("key", "unban", "--key", "seal", "--signer", signer, ...here);
  assert.deepEqual((await unban("bob")).stdout, "bob may sign with seal again\n");
  assert.deepEqual((await unban("bob")).stdout, "bob was not banned\n");
  assert.equal((await unban("mallory")).code, CODES.NOT_A_MEMBER.exit);
  assert.doesNotMatch((await quorate("key", "list", ...here)).stdout, /banned/);
  // It has no pair states that could be turned over.
  const refused = await quorate("key", "refresh", "--key", "seal", "--pairs", "renew", ...here);
  assert.equal(refused.code, CODES.USAGE.exit);
  assert.match(
    refused.stderr,
    /seal is a key for ed25519, which has no pair states: refresh it without --pairs/,
  );
});
