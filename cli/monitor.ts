/**
 * `quorate monitor`: watches the node of this party.
 *
 * @module
 */

import type { Command } from "commander";
import { QuorateError } from "../src/base/errors.ts";
import type { KeyStanding, WantedReport } from "../src/node/daemon_report.ts";
import type { OperatorEvent } from "../src/node/operator_wire.ts";
import type { SessionStatus } from "../src/telemetry/sessions.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf, wholeNumber } from "./options.ts";
import { print } from "./output.ts";
import { tableOfSessions, textOfWanted } from "./sessions.ts";
import { requireQuorum, tableOfKeys } from "./status.ts";

/** What a node says of itself again and again. */
interface Snapshot {
  readonly time: string;
  readonly ready: boolean;
  readonly reasons: readonly { readonly reason: string; readonly text: string }[];
  readonly quorum: boolean;
  readonly reachable: readonly string[];
  readonly unreachable: readonly string[];
  readonly keys: readonly KeyStanding[];
  readonly wanted: readonly WantedReport[];
  readonly sessions: readonly SessionStatus[];
}

/** Adds the command. */
export function addMonitor(root: Command): void {
  root.command("monitor")
    .description(
      "watch the node of this party: how it stands every two seconds, and what happens to its links",
    )
    .option("--count <n>", "end after so many reports (default: when it is stopped)")
    .option("--interval <seconds>", "at least so long between two reports (default: 2)")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly count?: string; readonly interval?: string }>(command);
      const count = options.count === undefined ? Infinity : wholeNumber(options.count, "--count");
      const intervalMs = options.interval === undefined
        ? 0
        : wholeNumber(options.interval, "--interval") * 1000;
      const client = operatorClientOf(options);
      const stop = new AbortController();
      const cancel = () => stop.abort();
      for (const signal of SIGNALS) Deno.addSignalListener(signal, cancel);
      let seen = 0, shownAt = -Infinity, last: Snapshot | undefined;
      const show = (event: OperatorEvent) => {
        if (seen >= count) return;
        if (event.event === "link") {
          const { code, peer = "", text } = event.link;
          return print(options.json, { event: "link", ...event.link }, `${code} ${peer} ${text}\n`);
        }
        if (event.event !== "data") return;
        last = event.data as Snapshot;
        // The node reports every two seconds, give or take a few milliseconds.
        if (performance.now() - shownAt < intervalMs - SLACK_MS) return;
        shownAt = performance.now();
        print(options.json, { event: "status", ...last }, textOf(last));
        if (++seen >= count) cancel();
      };
      try {
        await client.follow({ method: "GET", path: "/v1/monitor", signal: stop.signal }, show);
      } catch (error) {
        // Who stops watching has not failed.
        if (!(error instanceof QuorateError) || error.code !== "CANCELLED") throw error;
      } finally {
        for (const signal of SIGNALS) Deno.removeSignalListener(signal, cancel);
      }
      if (last !== undefined) requireQuorum(last);
    });
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const SLACK_MS = 200;

function textOf({ time, ready, reasons, reachable, unreachable, keys, wanted, sessions }: Snapshot): string {
  const state = ready ? "ready" : `not ready (${reasons.map(({ text }) => text).join("; ")})`;
  const absent = unreachable.length === 0 ? "" : `, not ${unreachable.join(", ")}`;
  const running = sessions.length === 0 ? "" : tableOfSessions(sessions, Date.parse(time));
  return `${time} ${state}; reached: ${reachable.join(", ")}${absent}\n${tableOfKeys(keys)}${running}${
    textOfWanted(wanted)
  }`;
}
