/**
 * `quorate reputation`: what this party's node thinks of the members.
 *
 * @module
 */

import type { Command } from "commander";
import type { ReputationReport } from "../src/node/voting_report.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

/** Adds the command. */
export function addReputation(root: Command): void {
  root.command("reputation")
    .description(
      "score of every member, from the offences that the node of this party has proofs of, and how often it voted",
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const found = await operatorClientOf(options).ask({
        method: "GET",
        path: "/v1/voting/reputation",
      }) as ReputationReport;
      const rows = found.members.map((
        { name, score, offences },
      ) => [name, score.toFixed(1), String(offences)]);
      print(
        options.json,
        found,
        `view of ${found.view}\n${table(rows, ["MEMBER", "SCORE", "OFFENCES", "VOTED", "SILENT"])}`,
      );
    });
}
