/**
 * `quorate key refresh`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { type EpochReport, refreshCommand } from "../src/node/key_commands.ts";
import type { RefreshRequest } from "../src/node/party.ts";
import { withNode } from "./access.ts";
import { describeKey } from "./key_list.ts";
import { type GlobalOptions, optionsOf } from "./options.ts";
import { print, writeError } from "./output.ts";

interface RefreshOptions {
  readonly key: string;
  readonly pairs?: NonNullable<RefreshRequest["pairs"]>;
}

/** Adds the command. */
export function addKeyRefresh(key: Command): void {
  key.command("refresh")
    .description("new shares of the same key, for all its members")
    .requiredOption("--key <name>", "name of the key")
    .addOption(
      new Option(
        "--pairs <how>",
        "pair states of an ECDSA key: new ones, which also lifts bans of pairs, or the present ones turned over (default: renew)",
      )
        .choices(["renew", "rerandomize"]),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RefreshOptions>(command);
      const { key, pairs } = options;
      await withNode(options, `key refresh --key ${key}`, async (node) => {
        printEpoch(options, await node.call(refreshCommand, { key, pairs }));
      });
    });
}

/** Prints a key in its new epoch, and says where its backups are of an earlier one: they are of no use any more. */
export function printEpoch(options: GlobalOptions, { backupEpoch, ...report }: EpochReport): void {
  const { member, key, epoch } = report;
  const text = describeKey(report);
  print(options.json, report, member ? text : `${text}this party has no share of it any more\n`);
  if (member && backupEpoch !== null && backupEpoch < epoch) {
    writeError(
      `the newest backup of ${key} is of epoch ${backupEpoch} and restores nothing now: run backup create`,
    );
  }
}
