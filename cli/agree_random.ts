/**
 * `quorate agree-random`.
 *
 * @module
 */

import type { Command } from "commander";
import { agreeRandomCommand } from "../src/node/key_commands.ts";
import { withNode } from "./access.ts";
import { optionsOf, wholeNumber } from "./options.ts";
import { print } from "./output.ts";

/** Adds the command. */
export function addAgreeRandom(root: Command): void {
  root.command("agree-random")
    .description("agree with all other parties on a random value")
    .option("--bits <n>", "length, a multiple of 8 (default: bit_length of the configuration)")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly bits?: string }>(command);
      const bits = options.bits === undefined ? undefined : wholeNumber(options.bits, "--bits");
      const text = `agree-random${bits === undefined ? "" : ` --bits ${bits}`}`;
      await withNode(options, text, async (node) => {
        const agreed = await node.call(agreeRandomCommand, { bits });
        print(options.json, agreed, agreed.value + "\n");
      });
    });
}
