/**
 * `quorate audit verify`.
 *
 * @module
 */

import type { Command } from "commander";
import { cosignaturesOf } from "../src/audit/checkpoint.ts";
import { checkProof, parseProof } from "../src/audit/proof.ts";
import { type AuditReport, verifyLog } from "../src/audit/verify.ts";
import { fromUtf8 } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { keysOf, logPlaceOf, partyIn, timeOf } from "./audit_options.ts";
import { configOf, type GlobalOptions, optionsOf } from "./options.ts";
import { print, readInput } from "./output.ts";

interface VerifyOptions extends GlobalOptions {
  readonly checkpoint?: readonly string[];
  readonly proof?: string;
}

/** Adds the command. */
export function addAuditVerify(audit: Command): void {
  audit.command("verify")
    .description("check every record of this party's log; needs no other party")
    .option("--checkpoint <file...>", "and what others keep of it: checkpoints, or files of witnesses")
    .option("--proof <file>", "instead: check a proof of audit prove, with public keys alone")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<VerifyOptions>(command);
      if (options.proof !== undefined) await verifyProof(options, options.proof);
      else await verifyOwnLog(options);
    });
}

async function verifyOwnLog(options: VerifyOptions): Promise<void> {
  const { party, key, cosigners } = logPlaceOf(options);
  const checkpoints = await Promise.all(
    (options.checkpoint ?? []).map(async (source) => ({ source, text: await textIn(source) })),
  );
  const { directory, witnesses } = party.audit;
  const report = verifyLog({ directory, party: party.name, key, cosigners, checkpoints, witnesses });
  print(options.json, report, describe(report));
  const [first] = report.findings;
  if (first === undefined) return;
  const more = report.findings.length === 1 ? "" : ` (and ${report.findings.length - 1} more)`;
  throw new UsageError("AUDIT_CORRUPT", `the audit log of ${party.name} is not right: ${first.what}${more}`, {
    party: party.name,
  });
}

async function verifyProof(options: VerifyOptions, file: string): Promise<void> {
  const keys = keysOf(configOf(options));
  const parsed = parseProof(await textIn(file), file);
  const [replaced, ...others] = options.checkpoint ?? [];
  if (others.length > 0) throw new UsageError("USAGE", "a proof is checked against one checkpoint");
  const proof = replaced === undefined ? parsed : { ...parsed, checkpoint: await textIn(replaced) };
  const { record, checkpoint } = checkProof(proof, (origin) => keys.get(origin));
  const { cosigned } = cosignaturesOf(checkpoint, [...keys.values()]);
  const { origin, size } = checkpoint;
  const by = cosigned.map(({ name, timestamp }) => `${partyIn(name)} ${timeOf(timestamp)}`);
  print(
    options.json,
    { ok: true, origin, size, index: record.index, record, cosigned },
    `record ${record.index} is in the log ${origin} of ${size} records\n${
      by.length === 0 ? "" : `cosigned  ${by.join(", ")}\n`
    }${JSON.stringify(record)}\n`,
  );
}

function describe({ ok, origin, size, root, findings, warnings, checkpoints }: AuditReport): string {
  const lines = [
    `log         ${origin}`,
    `records     ${size}`,
    `root        ${root}`,
    ...checkpoints.map(({ source, size, cosigned }) => {
      const by = cosigned.map(({ name, timestamp }) => `${partyIn(name)} ${timeOf(timestamp)}`).join(", ");
      return `checkpoint  ${size} records, cosigned by ${by === "" ? "nobody" : by}: ${source}`;
    }),
    ...warnings.map(({ what }) => `warning     ${what}`),
    ...findings.map(({ what }) => `wrong       ${what}`),
    ...(ok ? ["the log is right"] : []),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

async function textIn(file: string): Promise<string> {
  const text = fromUtf8(await readInput(file));
  if (text !== undefined) return text;
  throw new UsageError("AUDIT_UNREADABLE", `${file} is not text`);
}
