/**
 * `demo voting`: five nodes vote; four equal votes decide, whatever the fifth does.
 *
 * @module
 */

import { TransportError } from "../src/base/errors.ts";
import { describeFaults } from "../src/voting/membership.ts";
import type { DemoOptions } from "./demo_stage.ts";
import { NodeStage } from "./node_stage.ts";
import { print } from "./output.ts";

const NODES = ["alice", "bob", "carol", "dave", "erin"];
const TX = "tx_001";
const VALUE = "42";
const WAIT_MS = 30_000;

/** Runs it. @throws TransportError DRILL_FAILED where something else happens than is told. */
export async function votingDemo({ json }: Pick<DemoOptions, "json">): Promise<void> {
  const startedAt = performance.now();
  const say = (line: string) => {
    if (json !== true) print(false, undefined, `${line}\n`);
  };
  await using stage = await NodeStage.start(NODES);
  const voting = stage.config.voting;
  if (voting === undefined) throw failed("the cluster does not vote");
  const { membership } = voting;
  say(`five nodes, one process each: ${membership.quorum} equal votes decide, ${describeFaults(membership)}`);

  const [alice, bob, carol, dave, erin] = NODES as [string, string, string, string, string];
  for (const name of [alice, bob, carol]) {
    await stage.vote(name, TX, VALUE);
    say(`${name} votes for ${VALUE} in ${TX}`);
  }
  const refused = await stage.vote(alice, TX, "43").then(() => undefined, (error: Error) => error);
  if (refused === undefined) throw failed("alice could vote twice");
  say(`alice votes for 43: ${refused.message}`);
  await stage.killNode(bob);
  stage.startNode(bob);
  await stage.ready();
  say("bob's node is killed and started again: its vote stands");
  const votedAt = performance.now();
  const decided = await stage.vote(dave, TX, VALUE, WAIT_MS);
  const milliseconds = performance.now() - votedAt;
  say(`dave votes for ${VALUE}: ${decided.state} after ${milliseconds.toFixed(1)} ms`);
  const values: Record<string, string | null> = {};
  for (const name of NODES) {
    const { state, value } = await stage.status(name, TX, WAIT_MS);
    if (state !== "decided" || value !== VALUE) throw failed(`${name} has not decided ${VALUE}`);
    values[name] = value;
    say(`[${name}] ${TX} is decided: ${value}${name === erin ? ", without a vote of its own" : ""}`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  say(`\nDemo completed successfully in ${seconds.toFixed(1)} s.`);
  if (json === true) print(true, { parties: NODES, txId: TX, values, decisionMs: milliseconds, seconds }, "");
}

function failed(sentence: string): TransportError {
  return new TransportError("DRILL_FAILED", sentence, { parties: [] });
}
