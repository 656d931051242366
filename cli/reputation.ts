/**
 * `quorate reputation`: what this party's node thinks of the members.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import type { RecomputedReport, ReputationReport } from "../src/node/voting_report.ts";
import { operatorClientOf } from "./access.ts";
import { type GlobalOptions, optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

/** Adds the command. */
export function addReputation(root: Command): void {
  root.command("reputation")
    .description(
      "score of every member, from the offences that the node of this party has proofs of, and how often it voted",
    )
    .option("--recompute", "check every proof again, and compare; exit code 1 where something is not proven")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly recompute?: boolean }>(command);
      if (options.recompute === true) return await recompute(options);
      const found = await operatorClientOf(options).ask({
        method: "GET",
        path: "/v1/voting/reputation",
      }) as ReputationReport;
      const rows = found.members.map((
        { name, score, offences, availability, silent },
      ) => [
        name,
        score.toFixed(1),
        String(offences),
        availability === null ? "-" : `${Math.round(100 * availability)} %`,
        String(silent),
      ]);
      print(
        options.json,
        found,
        `view of ${found.view}\n${table(rows, ["MEMBER", "SCORE", "OFFENCES", "VOTED", "SILENT"])}`,
      );
    });
}

async function recompute(options: GlobalOptions): Promise<void> {
  const found = await operatorClientOf(options).ask({
    method: "GET",
    path: "/v1/voting/reputation/recomputed",
  }) as RecomputedReport;
  const rows = found.scores.map(({ name, score }) => [name, score.toFixed(1)]);
  print(
    options.json,
    found,
    `view of ${found.view}, every proof checked\n${table([["MEMBER", "SCORE"], ...rows])}`,
  );
  if (found.equal && found.unproven.length === 0) return;
  throw new UsageError(
    "EVIDENCE_INVALID",
    `what is stored at ${found.view} is not what its proofs prove: ${
      found.unproven.join(", ") || "other scores"
    }`,
  );
}
