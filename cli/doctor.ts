/**
 * `quorate doctor`.
 *
 * @module
 */

import type { Command } from "commander";
import { QuorateError, TransportError, UsageError } from "../src/base/errors.ts";
import { partyConfig } from "../src/node/config.ts";
import { doctorCommand } from "../src/node/daemon_commands.ts";
import {
  ASPECTS,
  examineCertificates,
  type Finding,
  type Grade,
  isAboutIdentity,
  worstOf,
} from "../src/node/doctor.ts";
import { withNode } from "./access.ts";
import { configOf, type GlobalOptions, optionsOf } from "./options.ts";
import { print, style, table } from "./output.ts";

const MARKS: Readonly<Record<Grade, string>> = { ok: "ok", warn: "WARN", fail: "FAIL" };

/** Round trips are known soon. */
const PING_MS = 200;

/** Adds the command. */
export function addDoctor(root: Command): void {
  root.command("doctor")
    .description(
      "reach every peer, which runs a node or a command of its own at the same time, and grade what is found",
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const findings = await examine(options);
      print(options.json, { grade: worstOf(findings), findings }, tableOf(findings));
      const failed = findings.filter(({ grade }) => grade === "fail");
      if (failed.length === 0) return;
      const names = [...new Set(failed.map(({ who }) => who))].join(", ");
      const text = `something is wrong with ${names}: see the lines marked FAIL`;
      if (isAboutIdentity(failed)) throw new UsageError("IDENTITY_INVALID", text);
      throw new TransportError("DEGRADED", text);
    });
}

async function examine(options: GlobalOptions): Promise<Finding[]> {
  const { party: name } = options;
  if (name === undefined) {
    throw new UsageError("USAGE", "--party is missing: it names the party that looks around");
  }
  const config = configOf(options);
  const own = examineCertificates(config, partyConfig(config, name), Date.now());
  // With these no peer would speak to this party, and no link is tried.
  if (own.some(({ code }) => code !== undefined)) return own;
  try {
    const more = { transport: { pingIntervalMs: PING_MS } };
    return [...own, ...await withNode(options, "doctor", (node) => node.call(doctorCommand, {}), more)];
  } catch (error) {
    if (!(error instanceof QuorateError) || error.code !== "PARTY_BUSY") throw error;
    // Another command has the links: this one cannot make its own beside it.
    const text = `${error.message}. Only what needs no links was looked at`;
    print(options.json, { grade: "fail", findings: own }, tableOf(own));
    throw new UsageError("PARTY_BUSY", text, { party: name, cause: error });
  }
}

/** One line per party and authority, then a sentence for all that is not well. */
function tableOf(findings: readonly Finding[]): string {
  const aspects = ASPECTS.filter((aspect) => findings.some(({ what }) => what === aspect));
  const rows = [...new Set(findings.map(({ who }) => who))].map((who) => {
    const own = findings.filter((finding) => finding.who === who);
    const cells = aspects.map((aspect) => own.find(({ what }) => what === aspect)?.value ?? "");
    return [who, MARKS[worstOf(own)], ...cells];
  });
  const bad = findings.filter(({ grade }) => grade !== "ok").map(({ who, what, grade, text }) => {
    const mark = style(grade === "fail" ? "red" : "yellow", MARKS[grade], Deno.stdout);
    return `${mark} ${who}: ${what}: ${text}\n`;
  });
  return table(rows, ["", "grade", ...aspects]) + (bad.length > 0 ? "\n" : "") + bad.join("");
}
