/**
 * `quorate key export-public`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { utf8 } from "../src/base/bytes.ts";
import { formatPublicKey, type PublicKeyFormat, recordOf } from "../src/node/public_key.ts";
import { keyInfoOf } from "./key_derive.ts";
import { optionsOf } from "./options.ts";
import { print, requireWritable, writeResult } from "./output.ts";

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
      const info = await keyInfoOf({ ...options, key: options.key }, "key export-public");
      const text = formatPublicKey(info, options.format);
      const toStdout = options.out === undefined || options.out === "-";
      if (!toStdout || options.json !== true) writeResult(options.out, utf8(text));
      if (options.json === true) print(true, recordOf(info), "");
    });
}
