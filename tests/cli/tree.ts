/**
 * The command tree as tests look at it.
 *
 * @module
 */

import type { Command } from "commander";
import { program } from "../../cli/program.ts";

/** A command and its words, as `key sign`. */
export interface Place {
  readonly path: string;
  readonly command: Command;
}

/** All commands, the root first. */
export function places(root: Command = program()): Place[] {
  const visit = (command: Command, path: readonly string[]): Place[] => [
    { path: path.join(" "), command },
    ...command.commands.flatMap((child) => visit(child, [...path, child.name()])),
  ];
  return visit(root, []);
}

/** Those that do something. */
export function leaves(): Place[] {
  return places().filter(({ command }) => command.commands.length === 0);
}

/** What the tree makes of a line of arguments. @throws CommanderError where it does not parse. */
export async function parsed(
  args: readonly string[],
): Promise<{ readonly path: string; readonly options: Record<string, unknown> }> {
  const root = program();
  let result: { path: string; options: Record<string, unknown> } | undefined;
  for (const { path, command } of places(root)) {
    // Groups without an action of their own still ask for a command.
    if (command.commands.length > 0 && path !== "demo") continue;
    command.action(() => {
      result = { path, options: command.optsWithGlobals() };
    });
  }
  await root.parseAsync([...args], { from: "user" });
  if (result === undefined) throw new Error(`no command was run by ${args.join(" ")}`);
  return result;
}

/** The words of one shell line without variables, pipes and redirections. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  const token = /\s*(?:#.*$|[0-9]?>{1,2}\s*(?:"[^"]*"|\S+)|((?:"[^"]*"|'[^']*'|\\\n|[^\s"'#;|&)\\])+))/gy;
  for (let match = token.exec(line); match !== null && match[0] !== ""; match = token.exec(line)) {
    const [, word] = match;
    if (word !== undefined) words.push(word.replace(/["']|\\\n/g, ""));
  }
  return words;
}
