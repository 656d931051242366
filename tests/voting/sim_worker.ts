/** Runs seeds that come as messages, and answers with what came of them. */

import { type Answer, runSeed } from "./sim_runs.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<number>) => void) | null;
  postMessage(answer: Answer): void;
};
scope.onmessage = ({ data: seed }) => scope.postMessage(runSeed(seed));
