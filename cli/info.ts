/**
 * `quorate info`: who the node of this party is.
 *
 * @module
 */

import type { Command } from "commander";
import type { InfoReport } from "../src/node/daemon_report.ts";
import { operatorClientOf } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

/** Adds the command. */
export function addInfo(root: Command): void {
  root.command("info")
    .description("who the node of this party is: versions, hashes, addresses, stores, certificates")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const info = await operatorClientOf(options).ask({ method: "GET", path: "/v1/info" }) as InfoReport;
      print(options.json, info, textOf(info));
    });
}

function textOf(info: InfoReport): string {
  const { addresses, stores, audit } = info;
  return table([
    ["party", `${info.party}, index ${info.index} of ${info.parties.length} in ${info.cluster}`],
    ["version", info.version],
    ["process", info.bootId],
    ["roster hash", info.rosterHash],
    ["for peers", addresses.peers],
    ["for operators", addresses.operators],
    ["for monitoring", addresses.telemetry],
    ["timeout", `${info.timeoutSeconds} s`],
    ["stores", `coordination ${stores.coordination}, records ${stores.records}`],
    ["audit log", `${audit.size} records in ${audit.directory}, ${audit.cosigned} cosigned`],
    ...info.expiries.map(({ subject, at }) => ["ends", `${subject}: ${at}`]),
    ...info.parties.map(({ index, name, address }) => [`party ${index}`, `${name} ${address}`]),
  ]);
}
