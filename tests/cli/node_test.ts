import assert from "node:assert/strict";
import { partyConfig } from "../../src/node/config.ts";
import { tableOfSessions, textOfWanted } from "../../cli/sessions.ts";
import { tableOfKeys } from "../../cli/status.ts";
import type { SessionStatus } from "../../src/telemetry/sessions.ts";
import { Cluster } from "../node/fixture.ts";
import { quorate } from "./quorate.ts";

async function fails(args: readonly string[], code: number, match: RegExp): Promise<void> {
  const result = await quorate(...args);
  assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
  assert.match(result.stderr, match);
  assert.equal(result.stdout, "");
}

Deno.test("commands that ask a node say where none runs, and which certificate they lack", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const alice = ["--config", cluster.configPath, "--party", "alice"];
  const asking = [["status"], ["info"], ["peers"], ["sessions"], ["monitor", "--count", "1"]];
  for (const command of asking) {
    await fails(
      [...command, ...alice],
      69,
      /^error NODE_UNREACHABLE: no node of alice answers at 127\.0\.0\.1:\d+: start it/,
    );
    await fails([...command, "--config", cluster.configPath], 64, /--party is missing/);
  }
  const { code, stderr } = await quorate("status", ...alice, "--json");
  assert.deepEqual([code, JSON.parse(stderr).error.code], [69, "NODE_UNREACHABLE"]);
  Deno.removeSync(partyConfig(cluster.config, "alice").node.operatorCertPath);
  await fails(["status", ...alice], 77, /^error IDENTITY_INVALID: the operator's certificate cannot be read/);
});

Deno.test("node run and monitor refuse numbers that mean nothing", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const alice = ["--config", cluster.configPath, "--party", "alice"];
  for (const drain of ["x", "-1", "1.5", "86401"]) {
    await fails(["node", "run", ...alice, `--drain=${drain}`], 64, /--drain is/);
  }
  await fails(["node", "run", ...alice, "--log-format", "xml"], 64, /--log-format/);
  await fails(["node", "run", "--config", cluster.configPath, "--party", "dave"], 64, /dave/);
  await fails(["monitor", ...alice, "--count", "many"], 64, /--count is a whole number/);
});

Deno.test("tableOfSessions() shows round, who is waited for, age, last activity and end, or how it ended", () => {
  const running: SessionStatus = {
    number: 3,
    session: "0123abcd",
    id: undefined,
    protocol: "ecdsa-sign",
    state: "round",
    round: 2,
    rounds: 3,
    roundName: "multiply",
    participants: ["alice", "bob", "carol"],
    waitingFor: ["bob", "carol"],
    startedAt: 10_000,
    lastActivityAt: 12_000,
    expiresAt: 42_000,
    command: "key sign",
  };
  const failed = {
    ...running,
    session: undefined,
    state: "failed" as const,
    waitingFor: [],
    error: { code: "TIMEOUT", message: "late" },
  };
  const [, first, second] = tableOfSessions([running, failed], 13_500).split("\n");
  assert.match(
    first ?? "",
    /^0123abcd +ecdsa-sign +round +2\/3 multiply +bob, carol +3\.5 s +1\.5 s ago +in 28\.5 s +key sign$/,
  );
  assert.match(second ?? "", /^#3 +ecdsa-sign +TIMEOUT +2\/3 multiply +- +3\.5 s +1\.5 s ago +- +key sign$/);
  assert.equal(tableOfSessions([], 0), "no session runs\n");
});

Deno.test("textOfWanted() and tableOfKeys() say who waits, and how far a key is from its quorum", () => {
  const wanted = [{ peer: "bob", protocol: "refresh", command: "key refresh --key k", waitingSeconds: 3 }];
  assert.equal(
    textOfWanted(wanted),
    'bob has waited 3.0 s for this node to be asked for the same: "key refresh --key k" (refresh)\n',
  );
  assert.equal(textOfWanted(), "");
  const key = {
    ...{
      key: "k",
      keyId: "00",
      epoch: 2,
      storedAt: 0,
      curve: "p256",
      policy: "2 of (a, b, c)",
      threshold: 2,
    },
    ...{ members: ["a", "b", "c"], reachable: ["a"], margin: -1, backup: { epoch: 1, at: 0 } },
    banned: ["c"],
  };
  assert.match(tableOfKeys([key]), /^k +p256 +2 +1\/3 +1 missing +epoch 1 +2 of \(a, b, c\), banned: c$/m);
  const good = { ...key, reachable: ["a", "b", "c"], margin: 1, backup: { epoch: 2, at: 0 }, banned: [] };
  assert.match(tableOfKeys([good]), /^k +p256 +2 +3\/3 +1 may fail +yes +2 of \(a, b, c\)$/m);
  assert.equal(tableOfKeys([]), "");
});
