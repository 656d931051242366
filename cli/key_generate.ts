/**
 * `quorate key generate`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { generateCommand, kindOf } from "../src/node/key_commands.ts";
import { parsePolicy } from "../src/primitives/access.ts";
import { KEY_PURPOSES, type KeyPurpose } from "../src/protocols/key_purpose.ts";
import { withNode } from "./access.ts";
import { optionsOf } from "./options.ts";
import { print } from "./output.ts";

interface GenerateOptions {
  readonly key: string;
  readonly curve: string;
  readonly scheme?: string;
  readonly policy?: string;
  readonly purpose: KeyPurpose;
}

/** Adds the command. */
export function addKeyGenerate(key: Command): void {
  key.command("generate")
    .description("make a key together with all parties of its policy")
    .requiredOption("--key <name>", "name of the new key")
    .option("--curve <name>", "secp256k1, p256 or ed25519", "secp256k1")
    .addOption(
      new Option("--scheme <name>", "kind of signature, where the curve has several").choices([
        "ecdsa",
        "bip340",
      ]),
    )
    .option("--policy <text>", 'who may sign, as "and(alice, 2 of (bob, carol, dave))"')
    .addOption(
      new Option(
        "--purpose <purpose>",
        "approved-signing: signs what a quorum of voters approved, and nothing else",
      ).choices(Object.keys(KEY_PURPOSES)).default("plain"),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<GenerateOptions>(command);
      const { key, curve, scheme, policy, purpose } = options;
      kindOf(options);
      if (policy !== undefined) parsePolicy(policy);
      await withNode(options, `key generate --key ${key}`, async (node) => {
        const made = await node.call(generateCommand, { key, curve, scheme, policy, purpose });
        print(options.json, made, `${made["publicKey"]}\n`);
      });
    });
}
