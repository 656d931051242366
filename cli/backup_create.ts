/**
 * `quorate backup create` and `backup verify`.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { custodiansName, verifyKeyBackup } from "../src/node/backup.ts";
import {
  backedUpCommand,
  backupCommand,
  custodiansFrom,
  describeBackedUp,
  describeBackup,
  namesOfKeys,
} from "../src/node/backup_commands.ts";
import { withNode } from "./access.ts";
import {
  addCustodianOptions,
  collect,
  type CustodianOptions,
  custodiansOf,
  recordsOf,
} from "./backup_options.ts";
import { optionsOf } from "./options.ts";
import { print, readInput, requireWritable, writeResult } from "./output.ts";

interface CreateOptions extends CustodianOptions {
  readonly key?: readonly string[];
  readonly all?: boolean;
  readonly out: string;
}

interface VerifyOptions extends CustodianOptions {
  readonly backup: string;
  readonly record: readonly string[];
  readonly key?: readonly string[];
}

/** Adds `backup create`. */
export function addBackupCreate(backup: Command): void {
  addCustodianOptions(
    backup.command("create")
      .description("back up this party's shares so that anyone can verify it; needs no other party")
      .option("--key <name>", "name of a key (repeat)", collect)
      .option("--all", "all keys of this party"),
  )
    .requiredOption("--out <file>", "the backup")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<CreateOptions>(command);
      const { key: names, all, out } = options;
      if ((names === undefined) === (all !== true)) {
        throw new UsageError("USAGE", "either --key, once or several times, or --all is needed");
      }
      requireWritable(out);
      const to = await custodiansOf(options);
      await withNode(options, "backup create", async (node) => {
        const { bytes, keys, described } = await node.call(backupCommand, { to, names });
        writeResult(out, bytes);
        // Noted when the file is there: a key that is said to be backed up has to be.
        await node.call(backedUpCommand, { to, keys });
        if (out === "-") return;
        print(
          options.json,
          { ...described, file: out, bytes: bytes.length },
          `${described.party}'s share of ${
            namesOfKeys(described.keys)
          } is backed up for custodian ${described.custodian} in ${out}\n`,
        );
      });
    });
}

/** Adds `backup verify`. */
export function addBackupVerify(backup: Command): void {
  addCustodianOptions(
    backup.command("verify")
      .description("check a backup against public records; needs no secret, no network and no configuration")
      .requiredOption("--backup <file>", "the backup"),
  )
    .requiredOption(
      "--record <file>",
      "public record of a key in it, as key export-public writes it (repeat)",
      collect,
    )
    .option("--key <name>", "check for these keys only, where others are in the backup too (repeat)", collect)
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<VerifyOptions>(command);
      const { key: names, party } = options;
      const checked = verifyKeyBackup(await readInput(options.backup), {
        to: custodiansFrom(await custodiansOf(options)),
        records: await recordsOf(options.record),
        ...(names === undefined ? {} : { names }),
        ...(party === undefined ? {} : { party }),
      });
      print(
        options.json,
        { valid: true, ...describeBackup(checked) },
        `the backup is valid: custodian ${
          custodiansName(checked.to)
        } can restore ${checked.party}'s share of ${namesOfKeys(checked.keys.map(describeBackedUp))}\n`,
      );
    });
}
