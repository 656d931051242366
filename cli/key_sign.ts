/**
 * `quorate key sign`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { utf8 } from "../src/base/bytes.ts";
import { signCommand } from "../src/node/key_commands.ts";
import { withNode } from "./access.ts";
import { addMessageOptions, messageOf, type MessageOptions } from "./message.ts";
import { namesOf, optionsOf } from "./options.ts";
import { print, requireFileForBytes, requireWritable, writeError, writeResult } from "./output.ts";

interface SignOptions extends MessageOptions {
  readonly key: string;
  readonly signers?: string;
  readonly path?: string;
  readonly out?: string;
  readonly format?: "der" | "compact" | "json";
}

/** Adds the command. */
export function addKeySign(key: Command): void {
  addMessageOptions(
    key.command("sign")
      .description("sign together with a quorum")
      .requiredOption("--key <name>", "name of the key")
      .option("--signers <names>", "who is at hand, as alice,bob (default: all members)")
      .option("--path <path>", "sign with a child of the key, as m/0/5"),
  )
    .option("--out <file>", "file instead of stdout")
    .addOption(
      new Option(
        "--format <form>",
        "form of the signature (default: der for ECDSA, compact for Ed25519 and BIP340)",
      ).choices(["der", "compact", "json"]),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<SignOptions>(command);
      requireWritable(options.out);
      if (options.format !== "json" && options.json !== true) requireFileForBytes(options.out);
      const signers = options.signers === undefined ? undefined : namesOf(options.signers, "--signers");
      const message = await messageOf(options);
      const { key, path, format } = options;
      await withNode(options, `key sign --key ${key}`, async (node) => {
        const { bytes, digest } = message;
        const signed = await node.call(signCommand, { key, signers, path, format, digest, message: bytes });
        if (!signed.needed) {
          writeError(`${options.party} is not needed: ${signed.signers.join(", ")} sign`);
          if (options.json === true) print(true, { key, needed: false, signers: signed.signers }, "");
          return;
        }
        const toStdout = options.out === undefined || options.out === "-";
        if (toStdout && options.json === true) return print(true, signed.described, "");
        const asJson = utf8(JSON.stringify(signed.described) + "\n");
        writeResult(options.out, format === "json" ? asJson : signed.signature);
        if (options.json === true) print(true, signed.described, "");
      });
    });
}
