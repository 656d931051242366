/**
 * What the commands on backups read: custodians, records, and files that nobody else may read.
 *
 * @module
 */

import type { Command } from "commander";
import { type Bytes, erase, fromUtf8, hex } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { type BackedUpKey, type Custodians, custodiansName, type KeyBackup } from "../src/node/backup.ts";
import type { KeyInfo } from "../src/node/party.ts";
import { parsePublicRecord } from "../src/node/public_record.ts";
import { parsePolicy } from "../src/primitives/access.ts";
import {
  checkCustodianGroup,
  type CustodianKey,
  parseCustodianKey,
  parseCustodianPrivateKey,
} from "../src/protocols/pve/custodian.ts";
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

/** The custodian, or the group. @throws UsageError USAGE, FILE_UNREADABLE, POLICY_INVALID or IDENTITY_INVALID */
export async function custodiansOf({ custodian, custodians }: CustodianOptions): Promise<Custodians> {
  if (custodians === undefined) {
    const [path] = custodian;
    if (path !== undefined && custodian.length === 1) return await readCustodian(path);
    throw new UsageError(
      "USAGE",
      "several custodians need --custodians: it says how many of them open together",
    );
  }
  const policy = parsePolicy(custodians, { allowSingle: true });
  const keys = new Map<string, CustodianPublicKey>();
  for (const entry of custodian) {
    const at = entry.indexOf("=");
    const name = entry.slice(0, at).normalize("NFC");
    if (at < 1 || at === entry.length - 1 || keys.has(name)) {
      throw new UsageError(
        "USAGE",
        `with --custodians, each --custodian is NAME=FILE, each name once: found ${JSON.stringify(entry)}`,
      );
    }
    keys.set(name, await readCustodian(entry.slice(at + 1)));
  }
  const group = { policy, keys };
  checkCustodianGroup(group);
  return group;
}

/** A custodian's public key. @throws UsageError FILE_UNREADABLE or IDENTITY_INVALID */
export async function readCustodian(path: string): Promise<CustodianPublicKey> {
  return parseCustodianKey(fromUtf8(await readInput(path)) ?? "", path);
}

/** A custodian's private key, which only its owner may be able to read. @throws UsageError LOOSE_PERMISSIONS or IDENTITY_INVALID */
export function readCustodianSecret(path: string): CustodianKey {
  const bytes = readSecretFile(path, "the custodian's key", KEY_FILE_BYTES_MAX);
  const text = fromUtf8(bytes);
  erase(bytes);
  return parseCustodianPrivateKey(text ?? "", path);
}

/** A custodian's answer, which only its owner may be able to read: the caller erases it. */
export function readAnswer(path: string): Bytes {
  return readSecretFile(path, "the custodian's part", ANSWER_FILE_BYTES_MAX);
}

/** Public records with valid certificates. @throws UsageError FILE_UNREADABLE or RECORD_INVALID */
export async function recordsOf(paths: readonly string[]): Promise<KeyInfo[]> {
  const records: KeyInfo[] = [];
  for (const path of paths) {
    records.push(parsePublicRecord(fromUtf8(await readInput(path)) ?? "", path));
  }
  return records;
}

/** A backup for JSON. */
export function describeBackup({ party, createdAt, to, keys }: KeyBackup): Record<string, unknown> {
  return {
    party,
    createdAt: new Date(createdAt).toISOString(),
    custodian: custodiansName(to),
    keys: keys.map(describeBackedUp),
  };
}

/** A key in a backup, for JSON. */
export function describeBackedUp({ name, keyId, epoch }: BackedUpKey): Record<string, unknown> {
  return { key: name, keyId: hex(keyId), epoch };
}

/** `treasury (epoch 0), cold (epoch 2)`. */
export function namesOfKeys(keys: readonly BackedUpKey[]): string {
  return keys.map(({ name, epoch }) => `${name} (epoch ${epoch})`).join(", ");
}

const KEY_FILE_BYTES_MAX = 16 * 1024;
const ANSWER_FILE_BYTES_MAX = 64 * 1024;
