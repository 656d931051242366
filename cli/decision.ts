/**
 * `quorate decision`: what was decided, with the votes that make it so, and its check without a node.
 *
 * @module
 */

import type { Command } from "commander";
import { type Bytes, hex } from "../src/base/bytes.ts";
import { decode, DecodeError } from "../src/base/codec.ts";
import { UsageError } from "../src/base/errors.ts";
import type { CompactReport } from "../src/node/approval_routes.ts";
import { describeValue } from "../src/node/voting_report.ts";
import { certificateCodec, certificateFault, type QuorumCertificate } from "../src/voting/certificate.ts";
import { type Membership, voterAt } from "../src/voting/membership.ts";
import { ballotOf } from "../src/voting/vote.ts";
import { operatorClientOf } from "./access.ts";
import { membershipOf } from "./evidence.ts";
import { optionsOf } from "./options.ts";
import { print, readInput, requireWritable, table, writeResult } from "./output.ts";

interface Shown {
  readonly txId: string;
  readonly value: string;
  readonly ballot: string;
  readonly voters: readonly string[];
}

/** Adds the commands. */
export function addDecision(root: Command): void {
  const decision = root.command("decision").description("what was decided, with the votes that make it so");
  decision.command("show")
    .description("a decision that the node of this party knows; --out writes its certificate")
    .argument("<tx-id>", "the transaction")
    .option("--out <file>", "where the certificate goes, for decision verify")
    .action(async (txId: string, _options: unknown, command: Command) => {
      const options = optionsOf<{ readonly out?: string }>(command);
      requireWritable(options.out);
      const { certificate } = await operatorClientOf(options).ask({
        method: "POST",
        path: "/v1/voting/certificate",
        input: { txId },
      }) as { readonly certificate: Bytes };
      if (options.out !== undefined) writeResult(options.out, certificate);
      const shown = verified(membershipOf(options), certificate);
      print(options.json, { ...shown, certificate: certificate.toBase64() }, textOf(shown));
    });
  decision.command("compact")
    .description(
      "one signature of the holders of a decision key over what was decided, for whoever has that key",
    )
    .argument("<tx-id>", "the transaction")
    .requiredOption("--key <name>", "a key for Ed25519 that was made with --purpose decision")
    .option("--out <file>", "where the signature goes: 64 bytes")
    .option("--statement <file>", "where the bytes go that it is a signature of")
    .action(async (txId: string, _options: unknown, command: Command) => {
      const options = optionsOf<{ readonly key: string; readonly out?: string; readonly statement?: string }>(
        command,
      );
      const { key } = options;
      requireWritable(options.out);
      requireWritable(options.statement);
      const made = await operatorClientOf(options).follow({
        method: "POST",
        path: "/v1/approvals/certify",
        input: { txId, key },
      }, () => {}) as CompactReport;
      if (options.out !== undefined) writeResult(options.out, made.signature);
      if (options.statement !== undefined) writeResult(options.statement, made.statement);
      const shown = { txId, key, statement: hex(made.statement), signature: hex(made.signature) };
      print(options.json, shown, `${shown.signature}\n`);
    });
  decision.command("verify")
    .description("check a certificate with nothing but the configuration")
    .argument("<file>", "a certificate; - is standard input")
    .action(async (file: string, _options: unknown, command: Command) => {
      const options = optionsOf(command);
      const shown = verified(membershipOf(options), await readInput(file));
      print(options.json, shown, `valid\n${textOf(shown)}`);
    });
}

/** @throws UsageError EVIDENCE_INVALID */
function verified(membership: Membership, encoded: Uint8Array): Shown {
  const certificate = decoded(encoded);
  const fault = certificate === undefined
    ? "it is not one, or was changed"
    : certificateFault(membership, certificate);
  if (certificate === undefined || fault !== undefined) {
    throw new UsageError(
      "EVIDENCE_INVALID",
      `the file is no certificate of a decision of this cluster: ${fault}`,
    );
  }
  const { cluster, txId, value, votes } = certificate;
  return {
    txId,
    value: describeValue(txId, cluster, value),
    ballot: hex(ballotOf(certificate)),
    voters: votes.map(({ voter }) => voterAt(membership, voter)?.name ?? ""),
  };
}

function decoded(encoded: Uint8Array): QuorumCertificate | undefined {
  try {
    return decode(certificateCodec, encoded);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

function textOf({ txId, value, ballot, voters }: Shown): string {
  return table([["transaction", txId], ["decided", value], ["ballot", ballot], [
    "votes of",
    voters.join(", "),
  ]]);
}
