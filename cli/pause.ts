/**
 * `quorate pause` and `quorate resume`: signing on approval, and voting if so asked, stop at once at the node of this party, until
 * they are resumed.
 *
 * @module
 */

import type { Command } from "commander";
import type { PauseReport } from "../src/node/approval_routes.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print } from "./output.ts";

/** Adds the commands. */
export function addPause(root: Command): void {
  const pause = root.command("pause")
    .description(
      "signing on approval stops here: when this returns, no share leaves any more, over restarts too",
    )
    .option("--voting", "no vote is cast any more either; what others vote is stored and passed on")
    .option("--reason <text>", "for the audit log");
  const resume = root.command("resume")
    .description("signing and voting may go on here; it starts nothing by itself")
    .option("--reason <text>", "for the audit log");
  for (const one of [pause, resume]) {
    one.action(async (_options: unknown, command: Command) => {
      const { reason, voting, ...options } = optionsOf<{ reason?: string; voting?: boolean }>(command);
      const report = await operatorClientOf(options).ask({
        method: "POST",
        path: `/v1/approvals/${command.name()}`,
        input: {
          ...(reason === undefined ? {} : { reason }),
          ...(voting === undefined ? {} : { voting }),
        },
      }) as PauseReport;
      print(options.json, report, textOf(report));
    });
  }
}

function textOf({ pausedSince, votingPausedSince }: PauseReport): string {
  const signing = pausedSince === null ? "signing goes on\n" : `signing is paused since ${pausedSince}\n`;
  return votingPausedSince === null ? signing : `${signing}voting is paused since ${votingPausedSince}\n`;
}
