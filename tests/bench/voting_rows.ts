/**
 * How long five voting nodes, as processes of their own, take from the fourth vote to a decision at all of them: as each says in its
 * log, and as operators see it who have asked all of them.
 *
 * @module
 */

import { NodeStage } from "../../cli/node_stage.ts";
import type { BenchRow } from "./row.ts";

const NODES = ["n1", "n2", "n3", "n4", "n5"];
const WAIT_MS = 30_000;

/** The rows of this file. */
export const votingRows: readonly BenchRow[] = [
  {
    kind: "rate",
    name: "voting/decision/5-processes",
    unit: " ms from the fourth vote's way to its node to the last node's decision, by their logs",
    samples: 40,
    async prepare() {
      const log = new DecisionLog();
      const stage = await startStage((name, line) => log.take(name, line));
      let count = 0;
      return async () => {
        const txId = `tx ${++count}`;
        const { sentAt } = await decide(stage, txId);
        return await log.last(txId) - sentAt;
      };
    },
  },
  {
    kind: "rate",
    name: "voting/decision/5-processes-asked",
    unit: " ms until operators who ask all five nodes over HTTPS have the answers",
    samples: 40,
    async prepare() {
      const stage = await startStage();
      let count = 0;
      return async () => (await decide(stage, `tx ${++count}`)).askedMs;
    },
  },
];

async function startStage(onLine?: (name: string, line: string) => void): Promise<NodeStage> {
  const stage = await NodeStage.start(NODES, onLine === undefined ? {} : { onLine });
  // The processes end with this one.
  globalThis.addEventListener("unload", () => stage.kill());
  return stage;
}

/** Three votes, a pause, and the fourth. @returns when that was sent, and milliseconds until all have answered. */
async function decide(stage: NodeStage, txId: string): Promise<{ sentAt: number; askedMs: number }> {
  const [n1, n2, n3, fourth, last] = NODES as [string, string, string, string, string];
  await Promise.all([n1, n2, n3].map((name) => stage.vote(name, txId, "42")));
  const decided = [n1, n2, n3, last].map((name) => stage.status(name, txId, WAIT_MS));
  // The questions have arrived before the vote does.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const [sentAt, startedAt] = [Date.now(), performance.now()];
  await Promise.all([stage.vote(fourth, txId, "42", WAIT_MS), ...decided]);
  return { sentAt, askedMs: performance.now() - startedAt };
}

/** When nodes have decided: milliseconds since 1970, on the clock that all processes of a host share. */
class DecisionLog {
  readonly #times = new Map<string, Map<string, number>>();

  take(name: string, line: string): void {
    if (!line.includes('"TX_DECIDED"')) return;
    const { ts, msg } = JSON.parse(line) as { readonly ts: string; readonly msg: string };
    const [txId] = msg.split(" is decided") as [string];
    const times = this.#times.get(txId) ?? new Map<string, number>();
    this.#times.set(txId, times.set(name, Date.parse(ts)));
  }

  /** When the last node has decided. */
  async last(txId: string): Promise<number> {
    for (;;) {
      const times = this.#times.get(txId);
      if (times?.size === NODES.length) return Math.max(...times.values());
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
