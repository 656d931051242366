/**
 * How long five voting nodes, as processes of their own, take from the fourth vote to a decision at all of them.
 *
 * @module
 */

import { NodeStage } from "../../cli/node_stage.ts";
import type { BenchRow } from "./row.ts";

const NODES = ["n1", "n2", "n3", "n4", "n5"];
const WAIT_MS = 30_000;

/** The rows of this file. */
export const votingRows: readonly BenchRow[] = [{
  kind: "rate",
  name: "voting/decision/5-processes",
  unit: " ms from the fourth vote to the decision at all nodes, asked over HTTPS",
  samples: 40,
  async prepare() {
    const stage = await NodeStage.start(NODES);
    const [n1, n2, n3, fourth, last] = NODES as [string, string, string, string, string];
    let count = 0;
    // The processes end with this one.
    globalThis.addEventListener("unload", () => stage.kill());
    return async () => {
      const txId = `tx ${++count}`;
      await Promise.all([n1, n2, n3].map((name) => stage.vote(name, txId, "42")));
      const decided = [n1, n2, n3, last].map((name) => stage.status(name, txId, WAIT_MS));
      // The questions have arrived before the vote does.
      await new Promise((resolve) => setTimeout(resolve, 50));
      const startedAt = performance.now();
      await Promise.all([stage.vote(fourth, txId, "42", WAIT_MS), ...decided]);
      return performance.now() - startedAt;
    };
  },
}];
