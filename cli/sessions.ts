/**
 * `quorate sessions`: what the node of this party is doing.
 *
 * @module
 */

import type { Command } from "commander";
import type { WantedReport } from "../src/node/daemon_report.ts";
import type { SessionStatus } from "../src/telemetry/sessions.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

interface Sessions {
  readonly active: readonly SessionStatus[];
  readonly recent: readonly SessionStatus[];
  readonly wanted: readonly WantedReport[];
}

/** Adds the command. */
export function addSessions(root: Command): void {
  root.command("sessions")
    .description("what the node of this party is doing, in which round, and for whom it waits")
    .option("--recent", "also sessions that have ended lately")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly recent?: boolean }>(command);
      const answer = await operatorClientOf(options).ask({ method: "GET", path: "/v1/sessions" });
      const { active, recent, wanted } = answer as Sessions;
      const shown = options.recent === true ? [...active, ...recent] : active;
      print(options.json, shown, tableOfSessions(shown, Date.now()) + textOfWanted(wanted));
    });
}

/** One row per session. @param now milliseconds since 1970. */
export function tableOfSessions(sessions: readonly SessionStatus[], now: number): string {
  const head = [
    "SESSION",
    "PROTOCOL",
    "STATE",
    "ROUND",
    "WAITING FOR",
    "AGE",
    "LAST ACTIVITY",
    "EXPIRES",
    "COMMAND",
  ];
  const rows = sessions.map((session) => {
    const isOver = session.state === "done" || session.state === "failed";
    return [
      session.session ?? `#${session.number}`,
      session.protocol,
      session.error?.code ?? session.state,
      `${session.round}/${session.rounds} ${session.roundName}`,
      session.waitingFor.join(", ") || "-",
      seconds(now - session.startedAt),
      `${seconds(now - session.lastActivityAt)} ago`,
      isOver ? "-" : `in ${seconds(session.expiresAt - now)}`,
      session.command,
    ];
  });
  return sessions.length === 0 ? "no session runs\n" : table(rows, head);
}

/** One sentence for each peer that waits for this node, of which an older node says nothing. */
export function textOfWanted(wanted: readonly WantedReport[] = []): string {
  return wanted.map(({ peer, protocol, command, waitingSeconds }) =>
    `${peer} has waited ${
      waitingSeconds.toFixed(1)
    } s for this node to be asked for the same: "${command}" (${protocol})\n`
  ).join("");
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}
