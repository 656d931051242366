/**
 * `quorate vote`: votes in a transaction, at the node of this party.
 *
 * @module
 */

import type { Command } from "commander";
import { type Code, UsageError } from "../src/base/errors.ts";
import type { SigningReport } from "../src/node/approval_routes.ts";
import type { ProposalReport, TxReport } from "../src/node/voting_report.ts";
import { operatorClientOf } from "./access.ts";
import { type GlobalOptions, optionsOf, wholeNumber } from "./options.ts";
import { print, readInput, table } from "./output.ts";

interface VoteOptions {
  readonly txId: string;
  readonly value?: string;
  readonly text?: string;
  readonly file?: string;
  readonly approve?: string;
  readonly reject?: string;
  readonly wait?: string;
}

/** Adds the command. */
export function addVote(root: Command): void {
  root.command("vote")
    .description("vote in a transaction, once and for all; exit code 2 where --wait ends without a decision")
    .requiredOption("--tx-id <name>", "the transaction")
    .option("--value <integer>", "a whole number of 64 bits")
    .option("--text <text>", "a text instead")
    .option("--file <path>", "the bytes of a file instead; - is standard input")
    .option("--approve <ballot>", "approve what was proposed: the ballot that status shows, or its beginning")
    .option("--reject <ballot>", "reject it instead")
    .option("--wait <seconds>", "wait for the decision")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<VoteOptions>(command);
      const common = { txId: options.txId, waitMs: waitMsOf(options) };
      const answer = answerOf(options) ?? { value: await valueOf(options) };
      const report = await operatorClientOf(options).follow({
        method: "POST",
        path: "value" in answer ? "/v1/voting/cast" : "/v1/voting/answer",
        input: { ...common, ...answer },
      }, () => {}) as TxReport;
      showTransaction(options, report);
      if (options.wait !== undefined) requireDecision(report);
    });
}

/** As long as a node lets somebody wait. */
const WAIT_SECONDS_MAX = 3600;

/** What `--wait` says. @throws UsageError USAGE */
export function waitMsOf({ wait }: { readonly wait?: string }): number {
  const seconds = wait === undefined ? 0 : wholeNumber(wait, "--wait");
  if (seconds <= WAIT_SECONDS_MAX) return seconds * 1000;
  throw new UsageError(
    "USAGE",
    `--wait is at most ${WAIT_SECONDS_MAX} seconds: found ${JSON.stringify(wait)}`,
  );
}

/** Prints how a transaction stands. */
export function showTransaction({ json }: GlobalOptions, report: TxReport): void {
  const { txId, state, value, tally, missing, quorum, proposals, own, until, signing } = report;
  const rows = tally.map(({ value, ballot, voters }) => [
    `  ${value}`,
    `${voters.length}/${quorum}`,
    voters.join(", "),
    `ballot ${ballot.slice(0, 16)}`,
  ]);
  const head = table([
    ["transaction", txId],
    ["state", value === null ? state : `${state}: ${value}`],
    ...(own === null ? [] : [["our vote", own]]),
    ...(missing.length === 0 ? [] : [["no vote of", missing.join(", ")]]),
    ...(signing === null ? [] : signatureLines(signing)),
    ...(until === null ? [] : [["votes until", until]]),
    ...proposals.flatMap(linesOf),
  ]);
  print(json, report, rows.length === 0 ? head : head + table(rows));
}

function signatureLines({ outcome, key, reason, refusals }: SigningReport): string[][] {
  return [
    ["signature", `${outcome}${key === null ? "" : ` with ${key}`}${reason === null ? "" : `: ${reason}`}`],
    ...refusals.map(({ node, code, reason }) => ["  refused by", `${node} ${code}: ${reason}`]),
  ];
}

function linesOf({ ballot, proposer, approval }: ProposalReport): string[][] {
  const { keyId, scheme, path, mode, input, context, supersedes, notBefore, notAfter } = approval;
  return [
    ["proposal", `ballot ${ballot.slice(0, 16)} of ${proposer}`],
    ["  key", `${keyId.slice(0, 16)} ${scheme}${path === "m" ? "" : ` ${path}`}`],
    [`  ${mode}`, input],
    ...context.map(({ name, value }) => [`  ${quoted(name)}`, quoted(value)]),
    ...(supersedes === "" ? [] : [["  supersedes", supersedes]]),
    ["  valid", `${notBefore} to ${notAfter}`],
  ];
}

/** A text that somebody else wrote: a terminal obeys nothing of it, and shows it in its own order. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/\p{C}/gu, (c) => `\\u{${(c.codePointAt(0) as number).toString(16)}}`);
}

/** @throws UsageError TX_UNDECIDED */
export function requireDecision({ txId, state, tally, missing, quorum }: TxReport): void {
  if (state === "decided") return;
  if (state === "violated") {
    const code: Code = "VOTING_STOPPED";
    throw new UsageError(
      code,
      `there are two certificates for ${txId}: more members cheat than the quorum survives`,
    );
  }
  const votes = tally.map(({ value, voters }) => `${voters.length} for ${value}`).join(", ");
  throw new UsageError(
    "TX_UNDECIDED",
    `${txId} is not decided: ${votes === "" ? "no vote is known" : votes}, and ${quorum} equal votes decide` +
      (missing.length === 0 ? "" : `; no vote of ${missing.join(", ")}`),
  );
}

function answerOf(
  options: VoteOptions,
): { readonly kind: "approve" | "reject"; readonly ballot: string } | undefined {
  const { approve, reject } = options;
  const ballot = approve ?? reject;
  if (ballot === undefined) return undefined;
  const others = [options.value, options.text, options.file].some((one) => one !== undefined);
  if (others || (approve !== undefined && reject !== undefined)) {
    throw new UsageError("USAGE", "a vote is one thing: a value, --approve or --reject");
  }
  // Whoever wants another payload approved can find one whose ballot begins with fewer given digits.
  if (/^[0-9a-f]{16,64}$/i.test(ballot)) {
    return { kind: approve === undefined ? "reject" : "approve", ballot: ballot.toLowerCase() };
  }
  throw new UsageError(
    "USAGE",
    `a ballot is written as 16 to 64 hexadecimal digits: found ${JSON.stringify(ballot)}`,
  );
}

async function valueOf({ value, text, file }: VoteOptions) {
  const given = [value, text, file].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new UsageError(
      "USAGE",
      "a vote needs exactly one of --value, --text, --file, --approve and --reject",
    );
  }
  if (text !== undefined) return { text };
  if (file !== undefined) return { bytes: await readInput(file) };
  if (/^-?\d{1,19}$/.test(value as string)) return { integer: value };
  throw new UsageError("USAGE", `--value is a whole number of 64 bits: found ${JSON.stringify(value)}`);
}
