/**
 * `quorate agree-random`.
 *
 * @module
 */

import type { Command } from "commander";
import { hex } from "../src/base/bytes.ts";
import { optionsOf, wholeNumber, withParty } from "./options.ts";
import { print } from "./output.ts";

/** Adds the command. */
export function addAgreeRandom(root: Command): void {
  root.command("agree-random")
    .description("agree with all other parties on a random value")
    .option("--bits <n>", "length, a multiple of 8 (default: bit_length of the configuration)")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly bits?: string }>(command);
      const bits = options.bits === undefined ? undefined : wholeNumber(options.bits, "--bits");
      await withParty(
        options,
        `agree-random${bits === undefined ? "" : ` --bits ${bits}`}`,
        async (party) => {
          const length = bits ?? party.local.config.bitLength;
          const value = hex(await party.agreeRandom(length));
          print(options.json, { bits: length, value }, value + "\n");
        },
      );
    });
}
