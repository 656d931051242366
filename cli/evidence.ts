/**
 * `quorate evidence`: offences that this party's node has proofs of, and their check without a node.
 *
 * @module
 */

import type { Command } from "commander";
import { hex } from "../src/base/bytes.ts";
import { decode, DecodeError } from "../src/base/codec.ts";
import { UsageError } from "../src/base/errors.ts";
import type { OffenceReport } from "../src/node/voting_report.ts";
import { type Membership, voterAt } from "../src/voting/membership.ts";
import { offenceCodec, type OffenceProof, verifyOffence } from "../src/voting/offence.ts";
import { decodeValue, formatValue } from "../src/voting/value.ts";
import { ballotOf } from "../src/voting/vote.ts";
import { operatorClientOf } from "./access.ts";
import { configOf, type GlobalOptions, optionsOf } from "./options.ts";
import { print, readInput, requireWritable, table, writeResult } from "./output.ts";

/** Adds the commands. */
export function addEvidence(root: Command): void {
  const evidence = root.command("evidence").description(
    "offences of members, with proofs that verify without a node",
  );
  evidence.command("list")
    .description("the offences that the node of this party knows")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const found = await operatorClientOf(options).ask({ method: "GET", path: "/v1/voting/evidence" }) as {
        readonly view: string;
        readonly offences: readonly OffenceReport[];
      };
      const rows = found.offences.map((
        { id, kind, subject, txId, time },
      ) => [id.slice(0, 16), subject, kind, txId, time]);
      const head = `view of ${found.view}: ${
        rows.length === 0 ? "no offences" : `${rows.length} offences`
      }\n`;
      print(
        options.json,
        found,
        rows.length === 0 ? head : head + table(rows, ["ID", "MEMBER", "OFFENCE", "TRANSACTION", "TIME"]),
      );
    });
  evidence.command("show")
    .description("one offence and what proves it; --out writes the proof")
    .argument("<id>", "the offence, or as much of it as is unique")
    .option("--out <file>", "where the proof goes, for evidence verify")
    .action(async (id: string, _options: unknown, command: Command) => {
      const options = optionsOf<{ readonly out?: string }>(command);
      requireWritable(options.out);
      if (!/^[0-9a-f]{4,64}$/i.test(id)) {
        throw new UsageError(
          "USAGE",
          `an offence is named by 4 to 64 hexadecimal digits: found ${JSON.stringify(id)}`,
        );
      }
      const { offence, proof } = await operatorClientOf(options).ask({
        method: "POST",
        path: "/v1/voting/proof",
        input: { id: id.toLowerCase() },
      }) as { readonly offence: OffenceReport; readonly proof: Uint8Array<ArrayBuffer> };
      if (options.out !== undefined) writeResult(options.out, proof);
      const membership = membershipOf(options);
      const shown = proven(membership, proof);
      print(
        options.json,
        { ...offence, ...shown, proof: proof.toBase64() },
        textOf({ ...offence, ...shown }),
      );
    });
  evidence.command("verify")
    .description("check a proof with nothing but the configuration")
    .argument("<file>", "a proof; - is standard input")
    .action(async (file: string, _options: unknown, command: Command) => {
      const options = optionsOf(command);
      const shown = proven(membershipOf(options), await readInput(file));
      print(options.json, shown, `valid\n${textOf(shown)}`);
    });
}

/** Who votes, as the configuration says. @throws UsageError CONFIG_INVALID where nobody does. */
export function membershipOf(options: GlobalOptions): Membership {
  const { voting, path } = configOf(options);
  if (voting !== undefined) return voting.membership;
  throw new UsageError("CONFIG_INVALID", `${path}: there is no section [voting]: the parties do not vote`);
}

interface Proven {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly txId: string;
  readonly what: readonly string[];
}

/** @throws UsageError EVIDENCE_INVALID */
function proven(membership: Membership, encoded: Uint8Array): Proven {
  const proof = decoded(encoded);
  const offence = proof === undefined ? undefined : verifyOffence(membership, proof);
  if (proof === undefined || offence === undefined) {
    throw new UsageError("EVIDENCE_INVALID", "the file proves no offence of a member of this configuration");
  }
  return {
    id: hex(offence.id),
    kind: offence.kind,
    subject: voterAt(membership, offence.subject)?.name ?? "",
    txId: offence.txId,
    what: whatOf(proof),
  };
}

function decoded(encoded: Uint8Array): OffenceProof | undefined {
  try {
    return decode(offenceCodec, encoded);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

function whatOf(proof: OffenceProof): string[] {
  if (proof.kind === "invalid-signature") return [`item ${proof.item} of a signed envelope is no valid vote`];
  return proof.votes.map((vote) =>
    `a signed vote for ${formatValue(decodeValue(vote.value))}, ballot ${hex(ballotOf(vote)).slice(0, 16)}`
  );
}

function textOf({ id, kind, subject, txId, what }: Proven): string {
  return table([
    ["offence", id],
    ["member", subject],
    ["kind", kind],
    ...(txId === "" ? [] : [["transaction", txId]]),
    ...what.map((line) => ["proof", line]),
  ]);
}
