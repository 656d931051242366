/**
 * `quorate node run`: the node of one party.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { partyConfig } from "../src/node/config.ts";
import { Daemon } from "../src/node/daemon.ts";
import { standardModules } from "../src/node/modules.ts";
import { Log, LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../src/telemetry/log.ts";
import { clusterOf, configOf, optionsOf, timeoutOf, wholeNumber } from "./options.ts";
import { writeError } from "./output.ts";

interface RunOptions {
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
  readonly drain: string;
}

/** Adds the command. */
export function addNode(root: Command): void {
  root.command("node").description("the node of a party: it stays, and other commands of the party ask it")
    .command("run")
    .description("keep links to the peers, do what operators ask, show metrics and health")
    .addOption(
      new Option("--log-format <form>", "form of log lines on standard error (default: as configured, json)")
        .choices(LOG_FORMATS),
    )
    .addOption(
      new Option("--log-level <level>", "what is logged at least (default: as configured, info)").choices(
        LOG_LEVELS,
      ),
    )
    .option("--drain <seconds>", "how long requests that run may take to end when the node is stopped", "30")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RunOptions>(command);
      const { config, party } = clusterOf(options);
      const drainMs = drainOf(options.drain);
      const { node } = partyConfig(config, party);
      const log = new Log({
        party,
        cluster: config.cluster,
        format: options.logFormat ?? node.logFormat,
        level: options.logLevel ?? node.logLevel,
        write: writeError,
      });
      const daemon = await Daemon.start(config, party, {
        ...timeoutOf(options),
        log,
        readConfig: () => configOf(options),
        modules: standardModules,
        onWait: (holder) => {
          if (holder?.operator === undefined) {
            const who = holder === undefined
              ? "another process"
              : `"${holder.command}" (process ${holder.pid})`;
            return log.write("info", `waiting for ${who} of ${party}`, { code: "PARTY_BUSY" });
          }
          throw new UsageError("PARTY_BUSY", `a node of ${party} runs already: process ${holder.pid}`, {
            party,
          });
        },
      });
      await untilStopped(daemon, drainMs);
    });
}

/** A timer that is longer than the runtime's longest would end at once. @throws UsageError USAGE */
function drainOf(text: string): number {
  const seconds = wholeNumber(text, "--drain");
  if (seconds <= DRAIN_SECONDS_MAX) return seconds * 1000;
  throw new UsageError("USAGE", `--drain is at most ${DRAIN_SECONDS_MAX} seconds: found ${seconds}`);
}

/** Ends upon SIGTERM or SIGINT when all is done; a second one cancels what still runs. SIGHUP reads certificates again. */
async function untilStopped(daemon: Daemon, drainMs: number): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const stop = () => void daemon.stop(drainMs).then(ended.resolve, ended.reject);
  const reload = () => void daemon.reload();
  for (const signal of STOPS) Deno.addSignalListener(signal, stop);
  Deno.addSignalListener("SIGHUP", reload);
  try {
    await ended.promise;
  } finally {
    for (const signal of STOPS) Deno.removeSignalListener(signal, stop);
    Deno.removeSignalListener("SIGHUP", reload);
  }
}

const DRAIN_SECONDS_MAX = 86_400;
const STOPS = ["SIGTERM", "SIGINT"] as const;
