/**
 * `quorate key refresh`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import type { EpochInfo, RefreshRequest } from "../src/node/party.ts";
import { describeKey } from "./key_list.ts";
import { type GlobalOptions, optionsOf, withParty } from "./options.ts";
import { print } from "./output.ts";

interface RefreshOptions {
  readonly key: string;
  readonly pairs: NonNullable<RefreshRequest["pairs"]>;
}

/** Adds the command. */
export function addKeyRefresh(key: Command): void {
  key.command("refresh")
    .description("new shares of the same key, for all its members")
    .requiredOption("--key <name>", "name of the key")
    .addOption(
      new Option(
        "--pairs <how>",
        "pair states: new ones, which also lifts bans, or the present ones turned over",
      )
        .choices(["renew", "rerandomize"]).default("renew"),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RefreshOptions>(command);
      await withParty(options, `key refresh --key ${options.key}`, async (party) => {
        printEpoch(options, await party.refreshKey({ name: options.key, pairs: options.pairs }));
      });
    });
}

/** Prints a key in its new epoch. */
export function printEpoch(options: GlobalOptions, info: EpochInfo): void {
  const { value, text } = describeKey(info);
  const { outcome, member } = info;
  print(
    options.json,
    { ...value, outcome, member },
    member ? text : `${text}this party has no share of it any more\n`,
  );
}
