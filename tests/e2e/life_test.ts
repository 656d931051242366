/**
 * The life of a key with real processes: every step with every policy once, on one of the curves. `deno task life` takes every
 * step with every policy on both.
 */

import assert from "node:assert/strict";
import { Cluster, isRound, sameOutput, shuffled } from "./cluster.ts";
import { EVERYTHING, live, SAMPLE, type Step } from "./life.ts";

for (const [curve, steps] of Object.entries(SAMPLE)) {
  Deno.test(`life: a key on ${curve} is refreshed, moved, repaired and recovered, and signs after each step`, () =>
    live(curve, steps));
}

Deno.test("life: the sample has every step with every policy, the whole has them all", () => {
  const sampled = Object.values(SAMPLE).flatMap(cellsOf);
  const whole = cellsOf(EVERYTHING);
  assert.equal(new Set(whole).size, 4 * 4 + 1);
  assert.deepEqual(new Set([...sampled, "generate 2 of 2"]), new Set([...whole, "generate 2 of 3"]));
});

Deno.test("life: kill -9 in the last round of a refresh and of a reshare: the same command succeeds", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const key = ["--key", "treasury"];
  const generate = ["key", "generate", ...key, "--policy", "2 of (alice, bob, carol)"];
  sameOutput(await cluster.all(shuffled(cluster.names), () => generate));
  const commands = [
    ["refresh", ["key", "refresh", ...key, "--pairs", "rerandomize", "--timeout", "3"]],
    ["reshare", ["key", "reshare", ...key, "--policy", "2 of (carol, bob, alice)", "--timeout", "3"]],
  ] as const;
  for (const [protocol, args] of commands) {
    const victim = cluster.start("bob", args, {
      read: [cluster.work],
      write: [cluster.work],
      onProgress: (line) => isRound(line, protocol, 3) && victim.kill(),
    });
    const others = ["alice", "carol"].map((party) => cluster.start(party, args));
    await Promise.all([victim, ...others].map((process) => process.finished));
    const again = await cluster.all(shuffled(cluster.names), () => [...args, "--json"]);
    const epochs = [...again.values()].map(({ stdout }) => JSON.parse(stdout).epoch);
    assert.equal(new Set(epochs).size, 1);
  }
  const sign = ["key", "sign", ...key, "--signers", "bob,carol", "--message", "after"];
  sameOutput(await cluster.all(["bob", "carol"], () => sign));
});

/** Which steps with which policies. */
function cellsOf(steps: readonly Step[]): string[] {
  let policy = "";
  return steps.map((step) => {
    if (step.do === "generate" || step.do === "reshare") policy = step.policy;
    return `${step.do} ${policy}`;
  });
}
