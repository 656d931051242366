/**
 * `quorate signature`: signatures that a quorum has approved, at the node of this party.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { type Bytes, fromHex } from "../src/base/bytes.ts";
import { TransportError, UsageError } from "../src/base/errors.ts";
import type { SignatureReport } from "../src/node/approval_routes.ts";
import { operatorClientOf } from "./access.ts";
import { type GlobalOptions, optionsOf } from "./options.ts";
import { print, readInput, requireFileForBytes, requireWritable, table, writeResult } from "./output.ts";
import { waitMsOf } from "./vote.ts";

const FORMATS = ["hex", "der", "compact"] as const;

interface ShowOptions {
  readonly txId: string;
  readonly wait?: string;
  readonly out?: string;
  readonly format: typeof FORMATS[number];
}

/** Adds the commands. */
export function addSignature(root: Command): void {
  const signature = root.command("signature").description("signatures that a quorum has approved");
  signature.command("show")
    .description(
      "the signature of a transaction; exit code 3 where it was refused, 4 where it may exist and is not here",
    )
    .requiredOption("--tx-id <name>", "the transaction")
    .option("--wait <seconds>", "wait for it")
    .option("--out <file>", "where it goes, as bytes")
    .addOption(
      new Option("--format <form>", "der is 64 bytes for Ed25519 and BIP340, too; hex is der in digits")
        .choices(FORMATS).default("hex"),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ShowOptions>(command);
      requireWritable(options.out);
      if (options.format !== "hex" && options.json !== true) requireFileForBytes(options.out);
      const report = await operatorClientOf(options).follow({
        method: "POST",
        path: "/v1/approvals/signature",
        input: { txId: options.txId, waitMs: waitMsOf(options) },
      }, () => {}) as SignatureReport;
      show(options, report);
    });
  signature.command("adopt")
    .description(
      "gives the node a signature that was found elsewhere, of what it has decided; it is verified first",
    )
    .requiredOption("--tx-id <name>", "the transaction")
    .option("--signature <hex>", "64 bytes, in digits")
    .option("--in <file>", "64 bytes, in a file; - is standard input")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ txId: string; signature?: string; in?: string }>(command);
      const report = await operatorClientOf(options).ask({
        method: "POST",
        path: "/v1/approvals/adopt",
        input: { txId: options.txId, signature: await compactOf(options) },
      }) as SignatureReport;
      show({ ...options, format: "hex" }, report);
    });
}

function show(options: ShowOptions & GlobalOptions, report: SignatureReport): void {
  const { txId, state, outcome, reason, refusals } = report;
  const bytes = options.format === "compact" ? report.compact : report.signature;
  if (bytes === null) {
    const who = refusals.map(({ node, reason }) => `${node}: ${reason}`).join("; ");
    throw new TransportError(
      outcome === "unknown" ? "OUTCOME_UNKNOWN" : outcome === "pending" ? "TIMEOUT" : "APPROVAL_REFUSED",
      sentenceOf(txId, outcome, who === "" ? reason ?? "it is worked on" : who),
      { parties: [] },
    );
  }
  if (options.out !== undefined) writeResult(options.out, bytes);
  const text = options.out !== undefined
    ? table([["transaction", txId], ["state", state], ["signature", options.out]])
    : options.format === "hex"
    ? `${bytes.toHex()}\n`
    : undefined;
  if (text === undefined && options.json !== true) return writeResult(undefined, bytes);
  const { signature, compact, ...rest } = report;
  print(
    options.json,
    { ...rest, signature: signature?.toHex() ?? null, compact: compact?.toHex() ?? null },
    text ?? "",
  );
}

function sentenceOf(txId: string, outcome: SignatureReport["outcome"], why: string): string {
  if (outcome === "unknown") return `a valid signature on ${txId} may exist, and is not here: ${why}`;
  if (outcome === "pending") return `${txId} is not signed yet: ${why}`;
  return `${txId} is not signed: ${why}; another signer may know more`;
}

async function compactOf(
  options: { readonly signature?: string; readonly in?: string },
): Promise<Bytes> {
  if ((options.signature === undefined) === (options.in === undefined)) {
    throw new UsageError("USAGE", "exactly one of --signature and --in is needed");
  }
  const bytes = options.signature === undefined
    ? await readInput(options.in as string)
    : fromHex(options.signature);
  if (bytes?.length === 64) return bytes;
  throw new UsageError("USAGE", "a signature to adopt has 64 bytes: the compact form");
}
