/**
 * `quorate doctor`.
 *
 * @module
 */

import type { Command } from "commander";
import { TransportError } from "../src/base/errors.ts";
import { examineCertificates, examinePeers, type Grade, worstOf } from "../src/node/doctor.ts";
import { optionsOf, withParty } from "./options.ts";
import { print, table } from "./output.ts";

const MARKS: Readonly<Record<Grade, string>> = { ok: "ok", warn: "WARN", fail: "FAIL" };

/** Round trips are known soon. */
const PING_MS = 200;

/** Adds the command. */
export function addDoctor(root: Command): void {
  root.command("doctor")
    .description(
      "reach every peer, which runs a command of its own at the same time, and grade what is found",
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      await withParty(options, "doctor", async (party) => {
        const { config, party: self } = party.local;
        const findings = [
          ...examineCertificates(config, self, Date.now()),
          ...examinePeers(await party.reachPeers()),
        ];
        const rows = findings.map(({ who, what, grade, text }) => [MARKS[grade], who, what, text]);
        print(options.json, { grade: worstOf(findings), findings }, table(rows));
        const failed = [...new Set(findings.filter(({ grade }) => grade === "fail").map(({ who }) => who))];
        if (failed.length > 0) {
          throw new TransportError(
            "DEGRADED",
            `something is wrong with ${failed.join(", ")}: see the lines marked FAIL`,
          );
        }
      }, { transport: { pingIntervalMs: PING_MS } });
    });
}
