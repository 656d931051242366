/**
 * `quorate pause` and `quorate resume`: signing on approval stops at once at the node of this party, until it is resumed.
 *
 * @module
 */

import type { Command } from "commander";
import type { PauseReport } from "../src/node/approval_routes.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print } from "./output.ts";

const WORDS = {
  pause: "signing on approval stops here: when this returns, no share leaves any more, over restarts too",
  resume: "signing on approval may go on here; it starts nothing by itself",
} as const;

/** Adds the commands. */
export function addPause(root: Command): void {
  for (const [name, description] of Object.entries(WORDS)) {
    root.command(name)
      .description(description)
      .option("--reason <text>", "for the audit log")
      .action(async (_options: unknown, command: Command) => {
        const options = optionsOf<{ readonly reason?: string }>(command);
        const report = await operatorClientOf(options).ask({
          method: "POST",
          path: `/v1/approvals/${name}`,
          input: options.reason === undefined ? {} : { reason: options.reason },
        }) as PauseReport;
        const { pausedSince } = report;
        print(
          options.json,
          report,
          pausedSince === null ? "signing goes on\n" : `signing is paused since ${pausedSince}\n`,
        );
      });
  }
}
