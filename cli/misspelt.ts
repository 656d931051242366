/**
 * What a command line that does not parse was probably meant to say, where the parser speaks of something else: it misses a required
 * option before it looks at those that it does not know.
 *
 * @module
 */

import type { Command, CommanderError, Option } from "commander";
import { didYouMean } from "../src/base/suggest.ts";

/** What is wrong with a command line, in one sentence. */
export function sentenceOf(root: Command, args: readonly string[], error: CommanderError): string {
  const command = commandOf(root, args);
  if (error.code === "commander.help") return `a command is missing: see ${nameOf(command)} --help`;
  if (error.code === "commander.missingMandatoryOptionValue") {
    const options = optionsOf(command);
    const known = [...options.flatMap(({ long }) => long ?? []), "--help"];
    const isValue = (i: number) => options.some(({ long, required }) => required && long === args[i - 1]);
    const unknown = args.map((word) => word.replace(/=.*/, ""))
      .find((word, i) => word.startsWith("--") && !known.includes(word) && !isValue(i));
    const hint = unknown === undefined ? "" : didYouMean(unknown, known);
    if (hint !== "") return `unknown option '${unknown}'${hint}`;
  }
  return error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ");
}

/** The command that the words name, as far as there is one. */
function commandOf(root: Command, args: readonly string[]): Command {
  return args.reduce((found, word) => found.commands.find((child) => child.name() === word) ?? found, root);
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function optionsOf(command: Command | null): Option[] {
  return command === null ? [] : [...command.options, ...optionsOf(command.parent)];
}
