/**
 * `quorate key repair`, `key sync` and `key discard`: what is done when something of a key is lost.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { fromHex, hex } from "../src/base/bytes.ts";
import { TransportError, UsageError } from "../src/base/errors.ts";
import { kindOf } from "./key_generate.ts";
import { printEpoch } from "./key_refresh.ts";
import { namesOf, optionsOf, wholeNumber, withLocal, withParty } from "./options.ts";
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
      const { key: name, lost } = options;
      const kind = kindOf(options);
      await withParty(options, `key repair --key ${options.key}`, async (party) => {
        const scheme = "scheme" in kind ? { scheme: kind.scheme } : {};
        const repaired = await party.repairKey({ name, lost, helpers, ...scheme }).catch((error) => {
          throw party.local.party.name === lost ? withKind(error) : error;
        });
        printEpoch(options, party, repaired);
      });
    });
}

/** The party that lost its share cannot look up what kind of key it was: where the others say another one, options are missing. */
function withKind(error: unknown): unknown {
  if (!(error instanceof TransportError) || !/ (protocol|scheme) \(/.test(error.message)) return error;
  const { code, message, party, parties } = error;
  const hint = "--curve and --scheme say here, where the share is lost, which kind of key it is";
  return new TransportError(code, `${message}; ${hint}`, {
    cause: error,
    parties,
    ...(party === undefined ? {} : { party }),
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
      await withParty(options, `key sync --key ${options.key}`, async (party) => {
        printEpoch(options, party, await party.syncKey({ name: options.key, parties }));
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
      await withLocal(options, "key discard", ({ store, audit }) => {
        const found = store.keys().filter((entry) =>
          entry.epoch === epoch && hex(entry.keyId).startsWith(options.keyId.toLowerCase())
        );
        const [entry] = found;
        if (entry === undefined || found.length > 1 || fromHex(options.keyId.padEnd(64, "0")) === undefined) {
          throw new UsageError(
            "KEY_UNKNOWN",
            `${found.length} keys of epoch ${epoch} have an id that begins with ${
              JSON.stringify(options.keyId)
            }`,
          );
        }
        store.discardPending(entry);
        audit.noteKeyHere("key_discarded", entry);
        const { name, keyId } = entry;
        print(options.json, { key: name, keyId: hex(keyId), epoch, discarded: true }, `discarded ${name}\n`);
      });
    });
}
