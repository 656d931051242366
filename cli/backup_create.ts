/**
 * `quorate backup create` and `backup verify`.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { createKeyBackup, custodiansName, noteKeyBackup, verifyKeyBackup } from "../src/node/backup.ts";
import {
  addCustodianOptions,
  collect,
  type CustodianOptions,
  custodiansOf,
  describeBackup,
  namesOfKeys,
  recordsOf,
} from "./backup_options.ts";
import { optionsOf, withLocal } from "./options.ts";
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
      await withLocal(options, "backup create", (local) => {
        const made = createKeyBackup(local, { to, ...(names === undefined ? {} : { names }) });
        writeResult(out, made.bytes);
        // Noted when the file is there: a key that is said to be backed up has to be.
        noteKeyBackup(local, made);
        if (out === "-") return;
        print(
          options.json,
          { ...describeBackup(made), file: out, bytes: made.bytes.length },
          `${made.party}'s share of ${namesOfKeys(made.keys)} is backed up for custodian ${
            custodiansName(to)
          } in ${out}\n`,
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
        to: await custodiansOf(options),
        records: await recordsOf(options.record),
        ...(names === undefined ? {} : { names }),
        ...(party === undefined ? {} : { party }),
      });
      print(
        options.json,
        { valid: true, ...describeBackup(checked) },
        `the backup is valid: custodian ${
          custodiansName(checked.to)
        } can restore ${checked.party}'s share of ${namesOfKeys(checked.keys)}\n`,
      );
    });
}
