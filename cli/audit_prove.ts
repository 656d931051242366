/**
 * `quorate audit prove`.
 *
 * @module
 */

import type { Command } from "commander";
import { formatProof, proofToJson, proveRecord } from "../src/audit/proof.ts";
import { utf8 } from "../src/base/bytes.ts";
import { logPlaceOf } from "./audit_options.ts";
import { optionsOf, wholeNumber } from "./options.ts";
import { requireWritable, writeResult } from "./output.ts";

/** Adds the command. */
export function addAuditProve(audit: Command): void {
  audit.command("prove")
    .description("a proof that a record is in this party's log, for anybody who has its public key")
    .requiredOption("--index <number>", "which record, from 0")
    .option("--out <file>", "file instead of stdout")
    .action((_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly index: string; readonly out?: string }>(command);
      requireWritable(options.out);
      const index = wholeNumber(options.index, "--index");
      const { party } = logPlaceOf(options);
      const proof = proveRecord({ directory: party.audit.directory, party: party.name, index });
      const text = options.json === true ? JSON.stringify(proofToJson(proof)) + "\n" : formatProof(proof);
      writeResult(options.out, utf8(text));
    });
}
