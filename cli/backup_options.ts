/**
 * What the commands on backups read: custodians, records, and files that nobody else may read.
 *
 * @module
 */

import type { Command } from "commander";
import { type Bytes, fromUtf8 } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import {
  type CustodianFiles,
  custodianKeyFrom,
  custodiansFrom,
  type TextFile,
} from "../src/node/backup_commands.ts";
import type { KeyInfo } from "../src/node/party.ts";
import { parsePublicRecord } from "../src/node/public_record.ts";
import { type CustodianKey, parseCustodianKey } from "../src/protocols/pve/custodian.ts";
import type { CustodianPublicKey } from "../src/protocols/pve/pke.ts";
import { readSecretFile } from "../src/storage/files.ts";
import { readInput } from "./output.ts";

/** Who opens the backup. */
export interface CustodianOptions {
  /** A file, or with `custodians` entries as `c1=c1.pub`. */
  readonly custodian: readonly string[];
  /** The policy of a quorum. */
  readonly custodians?: string;
}

/** Adds the options that say who opens the backup. */
export function addCustodianOptions(command: Command): Command {
  return command
    .requiredOption(
      "--custodian <file>",
      "public key of the custodian; of a quorum one per member, as c1=c1.pub (repeat)",
      collect,
    )
    .option("--custodians <policy>", 'a quorum of custodians, as "2 of (c1, c2, c3)"');
}

/** The values of an option that is given several times. */
export function collect(value: string, former: readonly string[] = []): string[] {
  return [...former, value];
}

/** Files of the custodian, or of the group, which were read. @throws UsageError USAGE, FILE_UNREADABLE, POLICY_INVALID or IDENTITY_INVALID */
export async function custodiansOf(
  { custodian, custodians: policy }: CustodianOptions,
): Promise<CustodianFiles> {
  const members: CustodianFiles["members"][number][] = [];
  for (const entry of custodian) members.push(await memberOf(entry, policy !== undefined, members));
  const files = { members, ...(policy === undefined ? {} : { policy }) };
  // What is wrong with them is said before anything else is done.
  custodiansFrom(files);
  return files;
}

async function memberOf(
  entry: string,
  isNamed: boolean,
  former: CustodianFiles["members"],
): Promise<CustodianFiles["members"][number]> {
  if (!isNamed) return { file: await readTextFile(entry) };
  const at = entry.indexOf("=");
  const name = entry.slice(0, at).normalize("NFC");
  if (at < 1 || at === entry.length - 1 || former.some((member) => member.name === name)) {
    throw new UsageError(
      "USAGE",
      `with --custodians, each --custodian is NAME=FILE, each name once: found ${JSON.stringify(entry)}`,
    );
  }
  return { name, file: await readTextFile(entry.slice(at + 1)) };
}

/** A custodian's public key. @throws UsageError FILE_UNREADABLE or IDENTITY_INVALID */
export async function readCustodian(path: string): Promise<CustodianPublicKey> {
  return parseCustodianKey(fromUtf8(await readInput(path)) ?? "", path);
}

/** A custodian's private key, which only its owner may be able to read. @throws UsageError LOOSE_PERMISSIONS or IDENTITY_INVALID */
export function readCustodianSecret(path: string): CustodianKey {
  return custodianKeyFrom(readCustodianFile(path), path);
}

/** The content of a custodian's private key. Secret: the caller erases it. @throws UsageError LOOSE_PERMISSIONS or IDENTITY_INVALID */
export function readCustodianFile(path: string): Bytes {
  return readSecretFile(path, "the custodian's key", KEY_FILE_BYTES_MAX);
}

/** A custodian's answer, which only its owner may be able to read: the caller erases it. */
export function readAnswer(path: string): Bytes {
  return readSecretFile(path, "the custodian's part", ANSWER_FILE_BYTES_MAX);
}

/** Public records with valid certificates. @throws UsageError FILE_UNREADABLE or RECORD_INVALID */
export async function recordsOf(paths: readonly string[]): Promise<KeyInfo[]> {
  return (await readTextFiles(paths)).map(({ text, path }) => parsePublicRecord(text, path));
}

/** Text files. @throws UsageError FILE_UNREADABLE */
export async function readTextFiles(paths: readonly string[]): Promise<TextFile[]> {
  const files: TextFile[] = [];
  for (const path of paths) files.push(await readTextFile(path));
  return files;
}

async function readTextFile(path: string): Promise<TextFile> {
  return { path, text: fromUtf8(await readInput(path)) ?? "" };
}

const KEY_FILE_BYTES_MAX = 16 * 1024;
const ANSWER_FILE_BYTES_MAX = 64 * 1024;
