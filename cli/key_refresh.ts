/**
 * `quorate key refresh`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { backedUpEpoch } from "../src/node/backup.ts";
import type { EpochInfo, Party, RefreshRequest } from "../src/node/party.ts";
import { describeKey } from "./key_list.ts";
import { type GlobalOptions, optionsOf, withParty } from "./options.ts";
import { print, writeError } from "./output.ts";

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
        printEpoch(options, party, await party.refreshKey({ name: options.key, pairs: options.pairs }));
      });
    });
}

/** Prints a key in its new epoch, and says where its backups are of an earlier one: they are of no use any more. */
export function printEpoch(options: GlobalOptions, { local }: Party, info: EpochInfo): void {
  const { value, text } = describeKey(info);
  const { outcome, member, name, record } = info;
  print(
    options.json,
    { ...value, outcome, member },
    member ? text : `${text}this party has no share of it any more\n`,
  );
  const backedUp = backedUpEpoch(local.store, record.keyId);
  if (member && backedUp !== undefined && backedUp < record.epoch) {
    writeError(
      `the newest backup of ${name} is of epoch ${backedUp} and restores nothing now: run backup create`,
    );
  }
}
