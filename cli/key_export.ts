/**
 * `quorate key export-public`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { utf8 } from "../src/base/bytes.ts";
import { publicKeyInfo } from "../src/node/party.ts";
import { formatPublicKey, type PublicKeyFormat } from "../src/node/public_key.ts";
import { optionsOf, withLocal } from "./options.ts";
import { requireWritable, writeResult } from "./output.ts";

interface ExportOptions {
  readonly key: string;
  readonly format: PublicKeyFormat;
  readonly out?: string;
}

/** Adds the command. */
export function addKeyExport(key: Command): void {
  key.command("export-public")
    .description("print the public key, or the public record")
    .requiredOption("--key <name>", "name of the key")
    .addOption(
      new Option("--format <form>", "form of the key").choices(["pem", "hex", "jwk", "record"]).default(
        "pem",
      ),
    )
    .option("--out <file>", "file instead of stdout")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ExportOptions>(command);
      requireWritable(options.out);
      await withLocal(options, "key export-public", (local) => {
        writeResult(options.out, utf8(formatPublicKey(publicKeyInfo(local, options.key), options.format)));
      });
    });
}
