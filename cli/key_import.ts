/**
 * `quorate key import` and `key export-private`: the two ways between a key that exists whole and one that does not.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { type Bytes, fromHex } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { importCommand } from "../src/node/key_commands.ts";
import { exportPrivateKey } from "../src/node/key_export.ts";
import { parsePrivateKey, type PrivateKeyFormat } from "../src/node/private_key.ts";
import { parsePolicy } from "../src/primitives/access.ts";
import { isThere, readSecretFile, writeNew } from "../src/storage/files.ts";
import { withNode } from "./access.ts";
import { collect } from "./backup_options.ts";
import { printEpoch } from "./key_refresh.ts";
import { configOf, namesOf, optionsOf } from "./options.ts";
import { print, requireWritable, writeError } from "./output.ts";

interface ImportOptions {
  readonly key: string;
  readonly policy: string;
  readonly privateKey?: string;
  readonly chainCode?: string;
  readonly from?: string;
  readonly publicKey?: string;
}

interface ExportOptions {
  readonly key: string;
  readonly parties: string;
  readonly data?: readonly string[];
  readonly out: string;
  readonly format: PrivateKeyFormat;
  readonly understand?: boolean;
  readonly withoutApproval?: boolean;
}

/** Adds `key import`. */
export function addKeyImport(key: Command): void {
  key.command("import")
    .description("split a private key that exists whole among parties; run at all of them")
    .requiredOption("--key <name>", "name of the new key")
    .requiredOption("--policy <text>", 'who may sign from now on, as "2 of (alice, bob, carol)"')
    .option("--private-key <file>", "at the party that has it: PEM or a JSON Web Key, mode 0600")
    .option("--chain-code <hex>", "at that party: 32 bytes, where children of the key are in use already")
    .option("--from <name>", "at the others: the party that has it")
    .option("--public-key <hex>", "at the others: the compressed public key that is expected")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ImportOptions>(command);
      if ((options.privateKey === undefined) === (options.from === undefined)) {
        throw new UsageError("USAGE", "either --private-key, at the party that has it, or --from is needed");
      }
      const { key, policy, from } = options;
      parsePolicy(policy);
      const chainCode = digits(options.chainCode, "--chain-code", 32);
      const publicKey = digits(options.publicKey, "--public-key", 33);
      const privateKey = options.privateKey === undefined ? undefined : readPrivateKey(options.privateKey);
      try {
        writeError(`warning: ${IMPORT_WARNING}`);
        await withNode(options, `key import --key ${key}`, async (node) => {
          const input = { key, policy, from, privateKey, chainCode, publicKey };
          printEpoch(options, await node.call(importCommand, input));
        });
      } finally {
        privateKey?.fill(0);
      }
    });
}

/** Adds `key export-private`. */
export function addKeyExportPrivate(key: Command): void {
  key.command("export-private")
    .description("put a private key together, on one machine that has the data directories of a quorum")
    .requiredOption("--key <name>", "name of the key")
    .requiredOption("--parties <names>", "whose shares are put together, as alice,bob; none of them may run")
    .option(
      "--data <name=directory>",
      "data directory of a party, where it is not where the configuration has it (repeat)",
      collect,
    )
    .requiredOption("--out <file>", "the private key; a file that is not there yet")
    .addOption(new Option("--format <form>", "form of the key").choices(["pem", "jwk"]).default("pem"))
    .option(
      "--without-approval",
      "for a key that signs only what a quorum approved: nobody is asked any more",
    )
    .option("--understand", "that the key then exists whole, and whoever has the file can sign alone")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<ExportOptions>(command);
      const { key: name, out, format } = options;
      if (options.understand !== true) {
        throw new UsageError(
          "USAGE",
          `this puts the private key of ${name} into one file, and whoever has it can sign alone for ever: say --understand, on a machine without a network`,
        );
      }
      const parties = namesOf(options.parties, "--parties");
      const directories = directoriesOf(options.data ?? [], parties);
      requireWritable(out);
      // A key that has nowhere to go is not put together.
      if (isThere(out)) throw new UsageError("FILE_EXISTS", `${out} is there already: choose another --out`);
      const made = await exportPrivateKey(configOf(options), {
        name,
        parties,
        directories,
        format,
        withoutApproval: options.withoutApproval === true,
      });
      using text = made.text;
      writeNew(out, text.expose(), { code: "FILE_UNWRITABLE" });
      writeError(`warning: the private key of ${name} is in ${out}: whoever has it can sign alone`);
      print(
        options.json,
        { key: name, epoch: made.epoch, curve: made.curve.name, parties: made.parties, file: out },
        `${out}\n`,
      );
    });
}

const IMPORT_WARNING =
  "this key has existed whole, and every copy of it that is left anywhere can sign alone: erase them all, or move what it protects to a key that was generated here";
const PRIVATE_KEY_BYTES_MAX = 16 * 1024;

function directoriesOf(entries: readonly string[], parties: readonly string[]): Map<string, string> {
  const directories = new Map<string, string>();
  for (const entry of entries) {
    const at = entry.indexOf("=");
    const [name, directory] = [entry.slice(0, at), entry.slice(at + 1)];
    if (at < 1 || directory === "" || !parties.includes(name) || directories.has(name)) {
      throw new UsageError(
        "USAGE",
        `--data is NAME=DIRECTORY for one of --parties, each once: found ${JSON.stringify(entry)}`,
      );
    }
    directories.set(name, directory);
  }
  return directories;
}

/** The content of the file, once it is known to be a private key. Secret: the caller erases it. */
function readPrivateKey(path: string): Bytes {
  const content = readSecretFile(path, "the private key", PRIVATE_KEY_BYTES_MAX);
  try {
    parsePrivateKey(content, path)[Symbol.dispose]();
    return content;
  } catch (error) {
    content.fill(0);
    throw error;
  }
}

function digits(text: string | undefined, option: string, bytes: number): ReturnType<typeof fromHex> {
  const value = text === undefined ? undefined : fromHex(text);
  if (text === undefined || value?.length === bytes) return value;
  throw new UsageError(
    "USAGE",
    `${option} has ${2 * bytes} hexadecimal digits: found ${JSON.stringify(text)}`,
  );
}
