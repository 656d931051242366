/**
 * `quorate backup open` and `backup recover`.
 *
 * @module
 */

import type { Command } from "commander";
import { type Bytes, erase } from "../src/base/bytes.ts";
import type { ResultOf } from "../src/node/command.ts";
import { recoverCommand } from "../src/node/backup_commands.ts";
import { parsePublicRecord } from "../src/node/public_record.ts";
import { answerBackup } from "../src/protocols/pve/quorum.ts";
import { writeWhole } from "../src/storage/files.ts";
import { withNode } from "./access.ts";
import {
  collect,
  readAnswer,
  readCustodianFile,
  readCustodianSecret,
  readTextFiles,
} from "./backup_options.ts";
import { optionsOf } from "./options.ts";
import { print, readInput, requireWritable, writeError } from "./output.ts";

interface OpenOptions {
  readonly backup: string;
  readonly custodianKey: string;
  readonly out: string;
}

interface RecoverOptions {
  readonly backup: string;
  readonly custodianKey?: readonly string[];
  readonly part?: readonly string[];
  readonly record?: readonly string[];
  readonly key?: readonly string[];
}

/** Adds `backup open`. */
export function addBackupOpen(backup: Command): void {
  backup.command("open")
    .description(
      "a custodian's part of opening a backup that needs a quorum; it is secret, for the party alone",
    )
    .requiredOption("--backup <file>", "the backup")
    .requiredOption("--custodian-key <file>", "private key of the custodian")
    .requiredOption("--out <file>", "the part")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<OpenOptions>(command);
      requireWritable(options.out);
      const bytes = await readInput(options.backup);
      using key = readCustodianSecret(options.custodianKey);
      using answer = answerBackup(bytes, key);
      writeWhole(options.out, answer.expose(), { code: "FILE_UNWRITABLE", shared: true });
      print(
        options.json,
        { part: options.out },
        `${options.out} is for the party that recovers, and secret\n`,
      );
    });
}

/** Adds `backup recover`. */
export function addBackupRecover(backup: Command): void {
  backup.command("recover")
    .description("put this party's shares back into its store; the next signature sets its pairs up anew")
    .requiredOption("--backup <file>", "the backup")
    .option("--custodian-key <file>", "private key of the custodian, or of one of a quorum (repeat)", collect)
    .option("--part <file>", "what a custodian of a quorum gave with backup open (repeat)", collect)
    .option(
      "--record <file>",
      "public record of a key that this party has no record of any more (repeat)",
      collect,
    )
    .option("--key <name>", "restore these keys only (repeat)", collect)
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RecoverOptions>(command);
      const backup = await readInput(options.backup);
      const records = await readTextFiles(options.record ?? []);
      for (const { path, text } of records) parsePublicRecord(text, path);
      const keys: { readonly path: string; readonly content: Bytes }[] = [], parts: Bytes[] = [];
      try {
        for (const path of options.custodianKey ?? []) {
          keys.push({ path, content: readCustodianFile(path) });
          readCustodianSecret(path)[Symbol.dispose]();
        }
        for (const path of options.part ?? []) parts.push(readAnswer(path));
        await withNode(options, "backup recover", async (node) => {
          const input = { backup, records, keys, parts, names: options.key };
          report(options.json, await node.call(recoverCommand, input));
        });
      } finally {
        erase(...keys.map(({ content }) => content), ...parts);
      }
    });
}

function report(json: boolean | undefined, recovery: ResultOf<typeof recoverCommand>): void {
  const { keys, badRows, custodians } = recovery;
  if (badRows > 0) writeError(`${badRows} rows of the backup did not open: whoever made it tampered with it`);
  for (const { name } of custodians.filter(({ lied }) => lied)) {
    writeError(`the part of the custodian ${name} is false`);
  }
  const lines = keys.map(({ key, epoch, outcome }) =>
    `${key} (epoch ${epoch}): ${outcome === "restored" ? "restored" : "the share is here already"}\n`
  );
  print(json, recovery, lines.join(""));
}
