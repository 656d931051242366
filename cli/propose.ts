/**
 * `quorate propose`: asks the members to approve one signature.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import type { TxReport } from "../src/node/voting_report.ts";
import { operatorClientOf } from "./access.ts";
import { addMessageOptions, messageOf, type MessageOptions } from "./message.ts";
import { optionsOf } from "./options.ts";
import { writeError } from "./output.ts";
import { showTransaction } from "./vote.ts";

interface ProposeOptions extends MessageOptions {
  readonly txId: string;
  readonly key: string;
  readonly path?: string;
  readonly context: readonly string[];
  readonly supersedes?: string;
  readonly notBefore?: string;
  readonly notAfter?: string;
}

/** An hour is enough for people to look, and too little for a forgotten approval to matter. */
const LIFETIME_MS = 3_600_000;

/** Adds the command. */
export function addPropose(root: Command): void {
  const command = root.command("propose")
    .description("ask the members to approve one signature of a key that is bound to approval");
  addMessageOptions(command)
    .requiredOption("--tx-id <name>", "name of the transaction: the same again is the same request")
    .requiredOption("--key <name>", "which key is to sign")
    .option("--path <path>", "sign with a child of the key, as m/0/5")
    .option("--context <name=value>", "what approvers are shown; may be repeated", collect, [])
    .option("--supersedes <tx-id>", "the transaction whose place this one takes, after its end")
    .option("--not-before <time>", "ISO time from which it may be signed (default: now)")
    .option("--not-after <time>", "ISO time until which it may be signed (default: an hour after)")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ProposeOptions>(command);
      const report = await operatorClientOf(options).ask({
        method: "POST",
        path: "/v1/voting/propose",
        input: await requestOf(options),
      }) as TxReport;
      showTransaction(options, report);
      if (options.supersedes !== undefined) {
        writeError(
          `a signature on ${options.supersedes} may still be completed from shares that have left: let the new payload spend what that one spends`,
        );
      }
    });
}

async function requestOf(options: ProposeOptions): Promise<object> {
  const { txId, key, path, supersedes } = options;
  const { bytes, digest } = await messageOf(options);
  const notBefore = options.notBefore === undefined ? Date.now() : timeOf(options.notBefore, "--not-before");
  const notAfter = options.notAfter === undefined
    ? notBefore + LIFETIME_MS
    : timeOf(options.notAfter, "--not-after");
  return {
    txId,
    key,
    ...(bytes === undefined ? { digest } : { message: bytes }),
    ...(path === undefined ? {} : { path }),
    context: options.context.map(pairOf),
    ...(supersedes === undefined ? {} : { supersedes }),
    notBefore,
    notAfter,
  };
}

function pairOf(text: string): { readonly name: string; readonly value: string } {
  const at = text.indexOf("=");
  if (at > 0) return { name: text.slice(0, at), value: text.slice(at + 1) };
  throw new UsageError("USAGE", `--context is NAME=VALUE: found ${JSON.stringify(text)}`);
}

function timeOf(text: string, option: string): number {
  const time = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time) && time >= 0) return time;
  throw new UsageError("USAGE", `${option} is a time as 2026-11-21T12:00:00Z: found ${JSON.stringify(text)}`);
}

function collect(value: string, former: readonly string[]): string[] {
  return [...former, value];
}
