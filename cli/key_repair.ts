/**
 * `quorate key repair`, `key sync`, `key discard` and `key unban`: what is done when something of a key is lost, or was not well.
 *
 * @module
 */

import { type Command, Option } from "commander";
import {
  discardCommand,
  kindOf,
  repairCommand,
  syncCommand,
  unbanCommand,
} from "../src/node/key_commands.ts";
import { withNode } from "./access.ts";
import { printEpoch } from "./key_refresh.ts";
import { namesOf, optionsOf, wholeNumber } from "./options.ts";
import { print } from "./output.ts";

interface RepairOptions {
  readonly key: string;
  readonly lost: string;
  readonly helpers: string;
  readonly curve: string;
  readonly scheme?: string;
}

/** Adds `key repair`. */
export function addKeyRepair(key: Command): void {
  key.command("repair")
    .description("restore the share of a party that lost it, with the help of others")
    .requiredOption("--key <name>", "name of the key")
    .requiredOption("--lost <name>", "the party that lost its share")
    .requiredOption(
      "--helpers <names>",
      "who helps, as alice,bob: those that could sign without the lost one",
    )
    .option("--curve <name>", "curve of the key, at the party that lost its share", "secp256k1")
    .addOption(
      new Option("--scheme <name>", "its kind of signature, where the curve has several").choices([
        "ecdsa",
        "bip340",
      ]),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RepairOptions>(command);
      const helpers = namesOf(options.helpers, "--helpers");
      const { key, lost, curve, scheme } = options;
      kindOf(options);
      await withNode(options, `key repair --key ${key}`, async (node) => {
        printEpoch(options, await node.call(repairCommand, { key, lost, helpers, curve, scheme }));
      });
    });
}

/** Adds `key sync`. */
export function addKeySync(key: Command): void {
  key.command("sync")
    .description("bring parties to the newest epoch of a key that one of them has the certificate of")
    .requiredOption("--key <name>", "name of the key")
    .requiredOption("--with <names>", "the others, as alice,bob; this party may be among them")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly key: string; readonly with: string }>(command);
      const parties = namesOf(options.with, "--with");
      const { key } = options;
      await withNode(options, `key sync --key ${key}`, async (node) => {
        printEpoch(options, await node.call(syncCommand, { key, parties }));
      });
    });
}

/** Adds `key discard`. */
export function addKeyDiscard(key: Command): void {
  key.command("discard")
    .description("erase a share that is pending, for good: its certificate may still turn up")
    .requiredOption("--key-id <hex>", "which key, as key list shows it; the first digits are enough")
    .requiredOption("--epoch <number>", "which epoch of it")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly keyId: string; readonly epoch: string }>(command);
      const epoch = wholeNumber(options.epoch, "--epoch");
      await withNode(options, "key discard", async (node) => {
        const discarded = await node.call(discardCommand, { keyId: options.keyId, epoch });
        print(options.json, discarded, `discarded ${discarded.key}\n`);
      });
    });
}

/** Adds `key unban`. */
export function addKeyUnban(key: Command): void {
  key.command("unban")
    .description("let a party sign with a key again that failed a check in signing, once it is known why")
    .requiredOption("--key <name>", "name of the key")
    .requiredOption("--signer <name>", "the party, as key list shows it")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly key: string; readonly signer: string }>(command);
      const { key, signer } = options;
      await withNode(options, `key unban --key ${key} --signer ${signer}`, async (node) => {
        const report = await node.call(unbanCommand, { key, signer });
        const text = report.unbanned ? `${signer} may sign with ${key} again` : `${signer} was not banned`;
        print(options.json, report, `${text}\n`);
      });
    });
}
