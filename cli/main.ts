/**
 * The command `quorate`.
 *
 * @module
 */

import { CommanderError } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { sentenceOf } from "./misspelt.ts";
import { reportError } from "./output.ts";
import { program } from "./program.ts";

/** Runs a command line. @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const root = program();
  try {
    await root.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    const json = args.includes("--json");
    if (!(error instanceof CommanderError)) return reportError(error, json);
    if (error.exitCode === 0) return 0;
    return reportError(new UsageError("USAGE", sentenceOf(root, args, error)), json);
  }
}

if (import.meta.main) {
  // A listener that is not allowed throws outside of every call that could be waited for.
  addEventListener("error", (event) => {
    if (!(event.error instanceof Deno.errors.NotCapable)) return;
    event.preventDefault();
    Deno.exit(reportError(event.error, Deno.args.includes("--json")));
  });
  Deno.exit(await main(Deno.args));
}
