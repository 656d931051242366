/** Runs plans that come as messages and answers with their verdicts. */

import { execute, parsePlan, type Verdict } from "./runner.ts";

/** What a worker answers. */
export interface Answer {
  readonly plan: string;
  readonly verdict: Verdict;
}

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<string>) => void) | null;
  postMessage(answer: Answer): void;
};
scope.onmessage = ({ data: plan }) => scope.postMessage({ plan, verdict: judged(plan) });

function judged(plan: string): Verdict {
  try {
    return execute(parsePlan(plan));
  } catch (error) {
    const violations = [`an exception: ${error instanceof Error ? error.stack : String(error)}`];
    return { finished: 0, aborted: 0, named: false, bans: 0, violations, trace: "" };
  }
}
