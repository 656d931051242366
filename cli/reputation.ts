/**
 * `quorate reputation`: what this party's node thinks of the members.
 *
 * @module
 */

import type { Command } from "commander";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

interface Reputation {
  readonly view: string;
  readonly members: readonly { readonly name: string; readonly score: number; readonly offences: number }[];
}

/** Adds the command. */
export function addReputation(root: Command): void {
  root.command("reputation")
    .description("score of every member, from the offences that the node of this party has proofs of")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const found = await operatorClientOf(options).ask({
        method: "GET",
        path: "/v1/voting/reputation",
      }) as Reputation;
      const rows = found.members.map((
        { name, score, offences },
      ) => [name, score.toFixed(1), String(offences)]);
      print(
        options.json,
        found,
        `view of ${found.view}\n${table([["MEMBER", "SCORE", "OFFENCES"], ...rows])}`,
      );
    });
}
