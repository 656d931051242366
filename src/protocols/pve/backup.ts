/**
 * Publicly verifiable backup of shares to one custodian (SPEC 4.2).
 *
 * Anyone can check, without a secret, that a backup opens under the custodian's key to the share that belongs to a public
 * share of the key's record. It does not show that the custodian still has the private key: a drill does (`createDrill`).
 *
 * @module
 */

import type { PartyId } from "../../base/brands.ts";
import { type Bytes, equal, hex } from "../../base/bytes.ts";
import { decode, DecodeError } from "../../base/codec.ts";
import { UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { Secret } from "../../base/secret.ts";
import type { Group, Scalar } from "../../math/curve.ts";
import type { KeyShare, PublicKeyRecord } from "../key_share.ts";
import {
  checkCustodianGroup,
  type CustodianGroup,
  custodianName,
  type Decapsulator,
  encodeCustodianGroup,
} from "./custodian.ts";
import { type OpenRow, proofFault, prove, recover, type RowScheme } from "./cut_and_choose.ts";
import {
  type Backup,
  type BackupHead,
  type BackupPurpose,
  type BackupRecipient,
  checkBackupSize,
  decodeBackup,
  encodeBackup,
  type LabelledShare,
  schemeOf,
  sharesFault,
} from "./format.ts";
import {
  checkCustodianKey,
  type CustodianPublicKey,
  encapsulationOf,
  isSameCustodian,
  openWith,
} from "./pke.ts";

/** A share to be backed up. */
export interface SecretShare extends LabelledShare {
  /** x_i in the encoding of its group: 32 bytes. */
  readonly share: Secret;
}

/** What a backup is made of. */
export interface BackupInput {
  /** Who opens it: one custodian, or a quorum of several. */
  readonly to: CustodianPublicKey | CustodianGroup;
  /** One backup can hold the shares of all keys of a party. */
  readonly shares: readonly SecretShare[];
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Randomness. */
  readonly rng: Rng;
}

/** What a backup has to be: from the public records of the keys, never from the backup. */
export interface ExpectedBackup {
  /** The custodian's key, or the group. */
  readonly to: CustodianPublicKey | CustodianGroup;
  /** All shares that are in it, in any order. */
  readonly shares: readonly LabelledShare[];
  /** Default: `"backup"`. */
  readonly purpose?: BackupPurpose;
}

/** What a backup says of itself. */
export interface BackupInfo extends BackupHead {
  /** Who opens it. */
  readonly to: BackupRecipient;
}

/** Shares that came back. The caller owns the secrets. */
export interface RecoveredShares {
  /** In the order of the backup. */
  readonly shares: readonly SecretShare[];
  /** How many rows did not open to the shares, among those that were tried: more than 0 means that its maker cheated. */
  readonly badRows: number;
}

/** How a backup is opened. */
export interface RecoverOptions {
  /** Default: yes. A damaged backup that no longer verifies may still open. */
  readonly verify?: boolean;
  /** Goes on after the first good row, to count the bad ones. Default: no. */
  readonly allRows?: boolean;
}

/** What a backup takes from the public record of a key, whatever it signs. */
export type BackedUpRecord =
  & Pick<PublicKeyRecord, "keyId" | "epoch" | "members" | "publicShares">
  & ({ readonly curve: Group } | { readonly suite: { readonly group: Group } });

/** What a public record says of the share of one member. @throws UsageError NOT_A_MEMBER */
export function expectedShare(record: BackedUpRecord, party: PartyId): LabelledShare {
  const member = record.members.find(({ index }) => index === party);
  const publicShare = record.publicShares.get(party);
  if (member === undefined || publicShare === undefined) {
    throw new UsageError("NOT_A_MEMBER", `party ${party} has no share of this key`);
  }
  const { keyId, epoch } = record;
  const group = "suite" in record ? record.suite.group : record.curve;
  return { keyId, epoch, group, leaf: member.name, publicShare };
}

/** A share as it is backed up. The secret stays that of the key share. */
export function secretShare(
  { record, self, share }: { readonly record: BackedUpRecord } & Pick<KeyShare, "self" | "share">,
): SecretShare {
  return { ...expectedShare(record, self), share };
}

/**
 * Makes a backup.
 *
 * @returns the file.
 * @throws UsageError IDENTITY_INVALID where a custodian's key is of small order; USAGE where it would be too large.
 * @example
 * ```ts
 * import { keyId } from "../../base/brands.ts";
 * import { systemRng as rng } from "../../base/rng.ts";
 * import { Secret } from "../../base/secret.ts";
 * import { secp256k1 as group } from "../../math/curve.ts";
 * import { createBackup, recoverBackup, verifyBackup } from "./backup.ts";
 * import { generateCustodianKey } from "./custodian.ts";
 *
 * using key = generateCustodianKey("x25519", rng);
 * const x = group.randomScalar(rng);
 * const expected = { keyId: keyId(rng.bytes(32)), epoch: 0, group, leaf: "alice", publicShare: group.mulBase(x) };
 * using share = new Secret(group.encodeScalar(x));
 *
 * const backup = createBackup({ to: key.publicKey, shares: [{ ...expected, share }], createdAt: 0, rng });
 * verifyBackup(backup, { to: key.publicKey, shares: [expected] });
 * const recovered = recoverBackup(backup, { key, shares: [expected] });
 * if (recovered.shares[0]?.share.expose().toHex() !== share.expose().toHex()) throw new Error("another share");
 * ```
 */
export function createBackup(input: BackupInput): Bytes {
  return sealBackup(input, "backup");
}

/**
 * Checks that a backup opens under the expected key to the expected shares. Needs no secret and no network.
 *
 * @throws UsageError BACKUP_INVALID or BACKUP_STALE that says which check fails.
 */
export function verifyBackup(bytes: Uint8Array, expected: ExpectedBackup): BackupInfo {
  const { head, to, backup } = readExpected(bytes, expected);
  checkProof(schemeOf(head, to), backup);
  return { ...head, to };
}

/** What a backup says of itself. Nothing of it is checked: {@linkcode verifyBackup} does. @throws UsageError BACKUP_INVALID */
export function describeBackup(bytes: Uint8Array): BackupInfo {
  const { purpose, createdAt, shares, to } = readBackup(bytes);
  return { purpose, createdAt, shares, to };
}

/**
 * Opens a backup with the custodian's key.
 *
 * @param input `shares` as for {@linkcode verifyBackup}.
 * @throws UsageError BACKUP_INVALID, BACKUP_STALE or BACKUP_UNOPENED
 */
export function recoverBackup(
  bytes: Uint8Array,
  input: { readonly key: Decapsulator } & Pick<ExpectedBackup, "shares" | "purpose"> & RecoverOptions,
): RecoveredShares {
  const { key } = input;
  const expected = readExpected(bytes, { ...input, to: key.publicKey });
  const scheme = schemeOf(expected.head, expected.to);
  if (input.verify !== false) checkProof(scheme, expected.backup);
  return openRows(expected, scheme, (_row, _half, sealed) => {
    const sharedSecret = key.decapsulate(encapsulationOf(key.publicKey, sealed));
    return sharedSecret && openWith(key.publicKey, { aad: scheme.aad, sealed, sharedSecret });
  }, input);
}

/** A backup that is of what was expected, with what was expected in the order of the backup. */
export interface MatchedBackup {
  /** As it was read. */
  readonly backup: Backup;
  /** From the expectation, but for the time. */
  readonly head: BackupHead;
  /** From the expectation. */
  readonly to: BackupRecipient;
}

/**
 * Reads a backup and compares all that it says with what was expected. What is used afterwards is the expectation.
 *
 * @throws UsageError BACKUP_INVALID or BACKUP_STALE
 */
export function readExpected(bytes: Uint8Array, expected: ExpectedBackup): MatchedBackup {
  const to = recipientOf(expected.to);
  const backup = readBackup(bytes);
  if (!isSameRecipient(backup.to, to)) {
    throw invalid(`it is for ${nameOf(backup.to)}, and expected was ${nameOf(to)}`);
  }
  const purpose = expected.purpose ?? "backup";
  if (backup.purpose !== purpose) throw invalid(`it is a ${backup.purpose}, and expected was a ${purpose}`);
  const shares = backup.shares.map((found) => {
    const wanted = expected.shares.find(({ keyId }) => equal(keyId, found.keyId));
    if (wanted === undefined) {
      throw invalid(`it has a share of key ${shorten(found)}, which was not expected`);
    }
    checkShare(found, wanted);
    return wanted;
  });
  const missing = expected.shares.find(({ keyId }) => !shares.some((share) => equal(share.keyId, keyId)));
  if (missing !== undefined) throw invalid(`it has no share of key ${shorten(missing)}`);
  return { backup, head: { purpose, createdAt: backup.createdAt, shares }, to };
}

/** Makes a backup for any purpose. */
export function sealBackup(
  { to: custodian, shares, createdAt, rng }: BackupInput,
  purpose: BackupPurpose,
): Bytes {
  const to = recipientOf(custodian);
  const fault = sharesFault(shares);
  if (fault !== undefined) throw new UsageError("USAGE", fault);
  const head = { purpose, createdAt, shares };
  const scheme = schemeOf(head, to);
  checkBackupSize(scheme);
  const secrets = shares.map(({ group, share }) => decode(group.scalarCodec, share.expose()));
  return encodeBackup({ ...head, to, proof: prove(scheme, secrets, rng) });
}

/** Reads a backup. @throws UsageError BACKUP_INVALID where its bytes are not those of one. */
export function readBackup(bytes: Uint8Array): Backup {
  try {
    return decodeBackup(bytes);
  } catch (error) {
    if (error instanceof DecodeError) throw invalid(error.message);
    throw error;
  }
}

/** Checks the rows of a backup. @throws UsageError BACKUP_INVALID */
export function checkProof(scheme: RowScheme, { proof }: Backup): void {
  const fault = proofFault(scheme, proof);
  if (fault !== undefined) throw invalid(fault);
}

/** The shares of a backup, by opening its rows. @throws UsageError BACKUP_UNOPENED */
export function openRows(
  { backup, head }: MatchedBackup,
  scheme: RowScheme,
  open: OpenRow,
  options: RecoverOptions,
): RecoveredShares {
  const { secrets, badRows } = recover(scheme, backup.proof, open, { allRows: options.allRows === true });
  if (secrets === undefined) {
    throw new UsageError(
      "BACKUP_UNOPENED",
      `none of the ${badRows} rows of the backup opens to the share: the backup is damaged, or the key is not the custodian's`,
    );
  }
  const shares = head.shares.map((share, j): SecretShare => ({
    ...share,
    share: new Secret(share.group.encodeScalar(secrets[j] as Scalar)),
  }));
  return { shares, badRows };
}

/** @throws UsageError IDENTITY_INVALID or POLICY_INVALID where it cannot be encrypted to. */
function recipientOf(to: CustodianPublicKey | CustodianGroup): BackupRecipient {
  if ("policy" in to) {
    checkCustodianGroup(to);
    return { kind: "quorum", custodians: to };
  }
  checkCustodianKey(to, "the custodian's key");
  return { kind: "one", custodian: to };
}

function checkShare(found: LabelledShare, wanted: LabelledShare): void {
  const key = shorten(wanted);
  if (found.group.id !== wanted.group.id) {
    throw invalid(`it has key ${key} on ${found.group.name}, and the record on ${wanted.group.name}`);
  }
  if (found.leaf !== wanted.leaf) {
    throw invalid(`it has the share of ${found.leaf} of key ${key}, and expected was that of ${wanted.leaf}`);
  }
  if (found.epoch < wanted.epoch) {
    throw new UsageError(
      "BACKUP_STALE",
      `the backup is of epoch ${found.epoch} of key ${key}, which is in epoch ${wanted.epoch} now: make a new one`,
    );
  }
  if (found.epoch > wanted.epoch) {
    throw invalid(
      `it is of epoch ${found.epoch} of key ${key}, and the record of epoch ${wanted.epoch}: export a newer record`,
    );
  }
  if (!found.publicShare.equals(wanted.publicShare)) {
    throw invalid(`its public share of key ${key} is not that of the record`);
  }
}

function isSameRecipient(a: BackupRecipient, b: BackupRecipient): boolean {
  if (a.kind === "one") return b.kind === "one" && isSameCustodian(a.custodian, b.custodian);
  if (b.kind === "one") return false;
  const [left, right] = [encodeCustodianGroup(a.custodians), encodeCustodianGroup(b.custodians)];
  return left.length === right.length && left.every((part, k) => equal(part, right[k] as Bytes));
}

function nameOf(to: BackupRecipient): string {
  if (to.kind === "one") return `custodian ${custodianName(to.custodian)}`;
  const members = [...to.custodians.keys].map(([name, key]) => `${name} ${custodianName(key)}`);
  return `a quorum of custodians (${members.join(", ")})`;
}

function shorten({ keyId }: LabelledShare): string {
  return hex(keyId.slice(0, 8));
}

function invalid(why: string): UsageError {
  return new UsageError("BACKUP_INVALID", `the backup is not valid: ${why}`);
}
