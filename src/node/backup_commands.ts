/**
 * Commands about backups that need the store of a party.
 *
 * @module
 */

import { z } from "zod";
import { type Bytes, erase, fromUtf8, hex } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { parsePolicy } from "../primitives/access.ts";
import {
  checkCustodianGroup,
  type CustodianKey,
  parseCustodianKey,
  parseCustodianPrivateKey,
} from "../protocols/pve/custodian.ts";
import type { CustodianPublicKey } from "../protocols/pve/pke.ts";
import {
  type BackedUpKey,
  createKeyBackup,
  type Custodians,
  custodiansName,
  type KeyBackup,
  noteKeyBackup,
  recoverKeyBackup,
} from "./backup.ts";
import { type AnyCommand, storeCommand } from "./command.ts";
import type { KeyInfo } from "./party.ts";
import { parsePublicRecord } from "./public_record.ts";

const TEXT = z.string().max(64 * 1024);
const BYTES = z.instanceof(Uint8Array<ArrayBuffer>);
const NAMES = z.array(z.string().max(1024)).max(256).readonly();
const FILE = z.strictObject({ path: z.string().max(4096), text: TEXT }).readonly();
const TO = z.strictObject({
  policy: TEXT.optional(),
  members: z.array(z.strictObject({ name: z.string().max(256).optional(), file: FILE }).readonly()).max(64)
    .readonly(),
}).readonly();
const KEY = z.strictObject({ key: z.string().max(1024), keyId: BYTES, epoch: z.int() }).readonly();

/** A text file that was read. */
export type TextFile = z.infer<typeof FILE>;
/** Public keys of custodians, as they are in files: one, or with a policy several that have names. */
export type CustodianFiles = z.infer<typeof TO>;

/** Makes a backup. */
export const backupCommand = storeCommand(
  "backup.create",
  z.strictObject({ to: TO, names: NAMES.optional() }),
  (local, { to, names }) => {
    const made = createKeyBackup(local, {
      to: custodiansFrom(to),
      ...(names === undefined ? {} : { names }),
    });
    const keys = made.keys.map(({ name: key, keyId, epoch }) => ({ key, keyId, epoch }));
    return { bytes: made.bytes, keys, described: describeBackup(made) };
  },
);

/** Takes note that a backup is where it is kept: a key that is said to be backed up has to be. */
export const backedUpCommand = storeCommand(
  "backup.done",
  z.strictObject({ to: TO, keys: z.array(KEY).max(256).readonly() }),
  (local, { to, keys }) => {
    noteKeyBackup(local, {
      to: custodiansFrom(to),
      keys: keys.map(({ key: name, keyId, epoch }) => ({ name, keyId, epoch })),
    });
    return {};
  },
);

/** Puts what is in a backup back into the store. */
export const recoverCommand = storeCommand(
  "backup.recover",
  z.strictObject({
    backup: BYTES,
    records: z.array(FILE).max(256).readonly(),
    /** Private keys of custodians: PEM. */
    keys: z.array(z.strictObject({ path: z.string().max(4096), content: BYTES }).readonly()).max(64)
      .readonly(),
    /** What custodians answered. */
    parts: z.array(BYTES).max(64).readonly(),
    names: NAMES.optional(),
  }),
  (local, { backup, records, keys: files, parts, names }) => {
    const keys: CustodianKey[] = [];
    try {
      for (const { path, content } of files) keys.push(custodianKeyFrom(content, path));
      const { keys: restored, badRows, custodians } = recoverKeyBackup(local, backup, {
        records: records.map(({ path, text }): KeyInfo => parsePublicRecord(text, path)),
        keys,
        answers: parts,
        ...(names === undefined ? {} : { names }),
      });
      return {
        keys: restored.map((key) => ({ ...describeBackedUp(key), outcome: key.outcome })),
        badRows,
        custodians,
      };
    } finally {
      for (const key of keys) key[Symbol.dispose]();
    }
  },
);

/** The custodian, or the group. @throws UsageError USAGE, POLICY_INVALID or IDENTITY_INVALID */
export function custodiansFrom({ policy: text, members }: CustodianFiles): Custodians {
  const parsed = members.map(({ name, file }) => [name, parseCustodianKey(file.text, file.path)] as const);
  const [first] = parsed;
  if (text === undefined) {
    if (first !== undefined && parsed.length === 1) return first[1];
    throw new UsageError(
      "USAGE",
      "several custodians need --custodians: it says how many of them open together",
    );
  }
  const policy = parsePolicy(text, { allowSingle: true });
  const keys = new Map<string, CustodianPublicKey>(parsed.map(([name = "", key]) => [name, key]));
  const group = { policy, keys };
  checkCustodianGroup(group);
  return group;
}

/** A custodian's private key from the content of its file, which is erased. @throws UsageError IDENTITY_INVALID */
export function custodianKeyFrom(content: Bytes, path: string): CustodianKey {
  const text = fromUtf8(content);
  erase(content);
  return parseCustodianPrivateKey(text ?? "", path);
}

/** A backup for JSON. */
export function describeBackup({ party, createdAt, to, keys }: KeyBackup): {
  readonly party: string;
  readonly createdAt: string;
  readonly custodian: string;
  readonly keys: readonly DescribedKey[];
} {
  return {
    party,
    createdAt: new Date(createdAt).toISOString(),
    custodian: custodiansName(to),
    keys: keys.map(describeBackedUp),
  };
}

/** A key in a backup, for JSON. */
export interface DescribedKey {
  /** Name. */
  readonly key: string;
  /** Hexadecimal. */
  readonly keyId: string;
  /** Its epoch. */
  readonly epoch: number;
}

/** A key in a backup, for JSON. */
export function describeBackedUp({ name, keyId, epoch }: BackedUpKey): DescribedKey {
  return { key: name, keyId: hex(keyId), epoch };
}

/** `treasury (epoch 0), cold (epoch 2)`. */
export function namesOfKeys(keys: readonly Pick<DescribedKey, "key" | "epoch">[]): string {
  return keys.map(({ key, epoch }) => `${key} (epoch ${epoch})`).join(", ");
}

/** All of them. */
export const BACKUP_COMMANDS: readonly AnyCommand[] = [
  backupCommand,
  backedUpCommand,
  recoverCommand,
] as unknown as readonly AnyCommand[];
