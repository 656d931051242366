/**
 * `quorate key derive`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { childKey, type ChildKeyFormat, childRecordOf, formatChildKey } from "../src/node/derivation.ts";
import { isFrostInfo } from "../src/node/frost_keys.ts";
import { recordCommand, requireChildren } from "../src/node/key_commands.ts";
import type { KeyInfo, PublicKeyInfo } from "../src/node/party.ts";
import { parsePublicRecord } from "../src/node/public_record.ts";
import { withNode } from "./access.ts";
import { recordsOf } from "./backup_options.ts";
import { type GlobalOptions, optionsOf } from "./options.ts";
import { print, requireWritable, writeResult } from "./output.ts";

interface DeriveOptions {
  readonly key?: string;
  readonly record?: string;
  readonly path: string;
  readonly format: ChildKeyFormat;
  readonly out?: string;
}

/** Adds the command. */
export function addKeyDerive(key: Command): void {
  key.command("derive")
    .description("print the public key of a child; needs no other party")
    .option("--key <name>", "name of a key of this party")
    .option("--record <file>", "or a public record")
    .requiredOption("--path <path>", "indices below the key, as m/0/5")
    .addOption(
      new Option("--format <form>", "form of the key").choices(["hex", "pem", "jwk", "xpub", "tpub"]).default(
        "hex",
      ),
    )
    .option("--out <file>", "file instead of stdout")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<DeriveOptions>(command);
      requireWritable(options.out);
      const info = requireEcdsa(await keyInfoOf(options, "key derive"));
      const child = childKey(info, options.path);
      const text = formatChildKey(info, child, options.format);
      const toStdout = options.out === undefined || options.out === "-";
      if (!toStdout || options.json !== true) writeResult(options.out, new TextEncoder().encode(text));
      if (options.json === true) print(true, childRecordOf(info, child), "");
    });
}

/** A key of this party, or the one of a record. @throws UsageError USAGE unless exactly one is named. */
export async function keyInfoOf(
  options: GlobalOptions & { readonly key?: string; readonly record?: string },
  command: string,
): Promise<KeyInfo> {
  const { key, record } = options;
  if (record !== undefined && key === undefined) return (await recordsOf([record]))[0] as KeyInfo;
  if (key === undefined || record !== undefined) {
    throw new UsageError("USAGE", "exactly one of --key and --record is needed");
  }
  const made = await withNode(options, command, (node) => node.call(recordCommand, { key }));
  return parsePublicRecord(JSON.stringify(made), `the key ${key}`);
}

/** The same key, if it is one that has children. @throws UsageError KEY_SCHEME */
export function requireEcdsa(info: KeyInfo): PublicKeyInfo {
  if (!isFrostInfo(info)) return info;
  return requireChildren(info.name, info.record.suite.scheme);
}
