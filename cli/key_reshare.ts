/**
 * `quorate key reshare`.
 *
 * @module
 */

import type { Command } from "commander";
import { fromHex } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { reshareCommand } from "../src/node/key_commands.ts";
import { parsePolicy } from "../src/primitives/access.ts";
import { withNode } from "./access.ts";
import { printEpoch } from "./key_refresh.ts";
import { namesOf, optionsOf } from "./options.ts";

interface ReshareOptions {
  readonly key: string;
  readonly policy: string;
  readonly dealers?: string;
  readonly publicKey?: string;
}

/** Adds the command. */
export function addKeyReshare(key: Command): void {
  key.command("reshare")
    .description("the same key for other members, or under another policy")
    .requiredOption("--key <name>", "name of the key")
    .requiredOption("--policy <text>", 'who may sign from now on, as "2 of (alice, bob, dave)"')
    .option(
      "--dealers <names>",
      "old members that deal although the new policy does not name them; the same at all",
    )
    .option("--public-key <hex>", "the compressed public key, for a new member that joins no other key")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ReshareOptions>(command);
      const { key, policy } = options;
      parsePolicy(policy);
      const dealers = options.dealers === undefined ? undefined : namesOf(options.dealers, "--dealers");
      const publicKey = options.publicKey === undefined ? undefined : fromHex(options.publicKey);
      if (options.publicKey !== undefined && publicKey?.length !== 33) {
        throw new UsageError(
          "USAGE",
          `--public-key has 66 hexadecimal digits: found ${JSON.stringify(options.publicKey)}`,
        );
      }
      await withNode(options, `key reshare --key ${key}`, async (node) => {
        printEpoch(options, await node.call(reshareCommand, { key, policy, dealers, publicKey }));
      });
    });
}
