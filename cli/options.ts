/**
 * What the options of several commands mean.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { type Config, type Environment, loadConfig } from "../src/node/config.ts";

/** Options of every command. */
export interface GlobalOptions {
  /** The configuration file. */
  readonly config: string;
  /** Name of this party. */
  readonly party?: string;
  /** Results and errors as JSON. */
  readonly json?: boolean;
  /** Seconds. */
  readonly timeout?: string;
}

/** The options of a command and those that every command has. */
export function optionsOf<T extends object>(command: Command): GlobalOptions & T {
  const options = command.optsWithGlobals<GlobalOptions & T>();
  for (const [name, value] of Object.entries(options)) {
    // An unset shell variable names no key and no file; only a message may be empty.
    if (value !== "" || name === "message") continue;
    throw new UsageError("USAGE", `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)} is empty`);
  }
  return options;
}

/** The configuration, with what the environment overrides. */
export function configOf({ config }: GlobalOptions): Config {
  return loadConfig(config, environment());
}

/** The names in a list as `alice,bob`, each once. @throws UsageError USAGE */
export function namesOf(text: string, option: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined && !names.includes("")) return names;
  throw new UsageError(
    "USAGE",
    `${option} is a list of names as alice,bob, each once: found ${JSON.stringify(text)}`,
  );
}

/** A whole number of a text. @throws UsageError USAGE */
export function wholeNumber(text: string, option: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(
    "USAGE",
    `${option} is a whole number of at most 9 digits: found ${JSON.stringify(text)}`,
  );
}

/** The configuration and the party that `--party` names. @throws UsageError USAGE, or as the configuration is read */
export function clusterOf(options: GlobalOptions): { readonly config: Config; readonly party: string } {
  if (options.party === undefined) {
    throw new UsageError("USAGE", "--party is missing: it names the party that this process is");
  }
  timeoutOf(options);
  return { config: configOf(options), party: options.party };
}

/** What `--timeout` says. @throws UsageError USAGE */
export function timeoutOf({ timeout }: GlobalOptions): { readonly timeoutMs?: number } {
  if (timeout === undefined) return {};
  const seconds = /^\d{1,6}(\.\d{1,3})?$/.test(timeout) ? Number(timeout) : Number.NaN;
  if (seconds >= 1 && seconds <= 3600) return { timeoutMs: seconds * 1000 };
  throw new UsageError(
    "USAGE",
    `--timeout is a number of seconds from 1 to 3600: found ${JSON.stringify(timeout)}`,
  );
}

function environment(): Environment {
  try {
    return Deno.env.toObject();
  } catch {
    // A process that may not read the environment has nothing overridden in it.
    return {};
  }
}
