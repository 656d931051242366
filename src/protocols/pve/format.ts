/**
 * What a backup says and how it is written (SPEC 4.2): version, kind, custodians, label, public shares, challenge, rows. Every
 * length follows from what stands before it and is judged before anything is allocated.
 *
 * @module
 */

import { type KeyId, keyId } from "../../base/brands.ts";
import { type Bytes, concat, EMPTY, u8 } from "../../base/bytes.ts";
import {
  DecodeError,
  encode,
  fixed,
  list,
  map,
  Reader,
  struct,
  text,
  U32,
  U64,
  U8,
  vector,
  Writer,
} from "../../base/codec.ts";
import { invariant, UsageError } from "../../base/errors.ts";
import { type Group, p256, type Point, secp256k1 } from "../../math/curve.ts";
import { ed25519 } from "../../math/ed25519.ts";
import { ACCESS_LIMITS, accessTreeCodec, leavesOf } from "../../primitives/access.ts";
import { type CustodianGroup, custodianKeyCodec } from "./custodian.ts";
import {
  CHALLENGE_BYTES,
  openedHalf,
  type Proof,
  ROWS,
  type RowScheme,
  SCALAR_BYTES,
} from "./cut_and_choose.ts";
import type { CustodianPublicKey } from "./pke.ts";
import { batchScheme, type QuorumScheme, quorumScheme, singleScheme } from "./row_schemes.ts";

/** What a backup is for. A drill holds a secret of its own that is thrown away: it shows that a custodian has its key. */
export type BackupPurpose = "backup" | "drill";

/** Which share of which key, in which epoch. */
export interface LabelledShare {
  /** The key. */
  readonly keyId: KeyId;
  /** Its epoch: the share of another one is of no use. */
  readonly epoch: number;
  /** The group of the key. */
  readonly group: Group;
  /** The leaf of the key's policy, which is the name of the party. */
  readonly leaf: string;
  /** X_i = x_i·G. */
  readonly publicShare: Point;
}

/** What every form of backup says. */
export interface BackupHead {
  /** What it is for. */
  readonly purpose: BackupPurpose;
  /** When it was made, by the clock of whoever made it: milliseconds since 1970. */
  readonly createdAt: number;
  /** What is in it. */
  readonly shares: readonly LabelledShare[];
}

/** To one custodian, or to a quorum of several. */
export type BackupRecipient =
  | { readonly kind: "one"; readonly custodian: CustodianPublicKey }
  | { readonly kind: "quorum"; readonly custodians: CustodianGroup };

/** A backup, read. */
export interface Backup extends BackupHead {
  /** Who opens it. */
  readonly to: BackupRecipient;
  /** The rows. */
  readonly proof: Proof;
}

/** Limits of SPEC 8.17. */
export const BACKUP_LIMITS = {
  sharesMax: 1000,
  bytesPerShareMax: 1024 * 1024,
  bytesMax: 8 * 1024 * 1024,
} as const;

/** How the rows of a backup are made: from what it says and to whom. */
export function schemeOf(head: BackupHead, to: BackupRecipient): RowScheme {
  if (to.kind === "quorum") return quorumSchemeOf(head, to.custodians);
  const subject = { ...subjectOf(head), to: to.custodian };
  return head.shares.length === 1 ? singleScheme(subject) : batchScheme(subject);
}

/** How the rows of a backup to a quorum are made. */
export function quorumSchemeOf(head: BackupHead, custodians: CustodianGroup): QuorumScheme {
  return quorumScheme({ ...subjectOf(head), to: custodians });
}

/**
 * Refuses what would make a backup larger than the limits, before any work is done.
 *
 * @throws UsageError USAGE
 */
export function checkBackupSize(scheme: RowScheme): void {
  const rowBytes = Math.max(rowBytesOf(scheme, 0), rowBytesOf(scheme, 1));
  if (ROWS * rowBytes <= bytesMaxOf(scheme.columns.length)) return;
  throw new UsageError(
    "USAGE",
    `the backup would have more than ${
      bytesMaxOf(scheme.columns.length)
    } bytes: name fewer custodians, or put fewer keys in it`,
  );
}

/** The canonical bytes of a backup: version 1. */
export function encodeBackup(backup: Backup): Bytes {
  const { to, proof } = backup;
  const out = new Writer();
  out.put(u8(VERSION));
  out.put(u8(kindOf(backup)));
  if (to.kind === "one") custodianKeyCodec.write(out, to.custodian);
  else {
    accessTreeCodec.write(out, to.custodians.policy);
    for (const name of leavesOf(to.custodians.policy)) {
      custodianKeyCodec.write(out, to.custodians.keys.get(name) as CustodianPublicKey);
    }
  }
  out.put(encodeLabel(backup));
  for (const { group, publicShare } of backup.shares) group.pointCodec.write(out, publicShare);
  out.put(proof.challenge);
  for (const { seed, scalars, sealed } of proof.rows) out.put(concat(seed, scalars, sealed));
  const bytes = out.finish();
  invariant(bytes.length <= BACKUP_LIMITS.bytesMax, "the size of a backup was judged before");
  return bytes;
}

/** Reads a backup. Says nothing on its validity. @throws DecodeError */
export function decodeBackup(bytes: Uint8Array): Backup {
  if (bytes.length > BACKUP_LIMITS.bytesMax) {
    throw new DecodeError(`${bytes.length} bytes are more than the cap of ${BACKUP_LIMITS.bytesMax}`);
  }
  const input = new Reader(bytes);
  if (input.number(1, "version") !== VERSION) throw new DecodeError("a backup of an unknown version");
  const kind = input.number(1, "kind");
  if (kind !== KIND.single && kind !== KIND.batch && kind !== KIND.quorum) {
    throw new DecodeError("a backup of an unknown kind");
  }
  const to = kind === KIND.quorum ? readGroup(input) : readOne(input);
  const { purpose, createdAt, shares: labels } = labelCodec.read(input);
  const shares = labels.map((label) => ({ ...label, publicShare: label.group.pointCodec.read(input) }));
  const head = { purpose, createdAt: Number(createdAt), shares };
  const fault = sharesFault(shares);
  if (fault !== undefined) throw new DecodeError(fault);
  if (kindOf({ ...head, to }) !== kind) throw new DecodeError("a backup of one key is not one of many");
  const size = bytesMaxOf(shares.length);
  if (bytes.length > size) throw new DecodeError(`${bytes.length} bytes are more than the cap of ${size}`);
  const scheme = schemeOf(head, to);
  const challenge = input.take(CHALLENGE_BYTES, "challenge");
  let expected = 0;
  for (let row = 0; row < ROWS; row++) expected += rowBytesOf(scheme, openedHalf(challenge, row));
  if (input.left !== expected) {
    throw new DecodeError(`the rows have ${input.left} bytes instead of ${expected}`);
  }
  // The rows share one copy of the bytes.
  const body = input.take(expected, "rows");
  let at = 0;
  const next = (length: number) => body.subarray(at, at += length);
  const rows = Array.from({ length: ROWS }, (_, row) => {
    const half = openedHalf(challenge, row);
    const seed = next(scheme.seedBytes[half]);
    const scalars = half === 1 ? next(SCALAR_BYTES * shares.length) : EMPTY;
    return { seed, scalars, sealed: next(scheme.sealedBytes[1 - half] as number) };
  });
  return { ...head, to, proof: { challenge, rows } };
}

/** What no backup may be about; undefined where it may. */
export function sharesFault(shares: readonly Pick<LabelledShare, "keyId">[]): string | undefined {
  if (shares.length === 0) return "a backup has at least one share in it";
  if (shares.length > BACKUP_LIMITS.sharesMax) {
    return `a backup has at most ${BACKUP_LIMITS.sharesMax} shares in it`;
  }
  if (new Set(shares.map(({ keyId }) => keyId.toHex())).size < shares.length) {
    return "a backup has each key once";
  }
  return undefined;
}

const VERSION = 1;
const KIND = { single: 1, batch: 2, quorum: 3 } as const;
const PURPOSES: readonly BackupPurpose[] = ["backup", "drill"];
const GROUPS: readonly Group[] = [secp256k1, p256, ed25519];
/** The largest time that is a safe integer, and then a date: the year 275760. */
const TIME_MAX = 8_640_000_000_000_000n;

const labelCodec = struct({
  purpose: map(U8, (purpose: BackupPurpose) => PURPOSES.indexOf(purpose) + 1, (number) => {
    const purpose = PURPOSES[number - 1];
    if (purpose === undefined) throw new DecodeError("a purpose of an unknown number");
    return purpose;
  }),
  createdAt: map(U64, (time: bigint) => time, (time) => {
    if (time > TIME_MAX) throw new DecodeError("a time that is no date");
    return time;
  }),
  shares: list(
    struct({
      keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
      epoch: U32,
      group: map(U8, (group: Group) => group.id, (id) => {
        const group = GROUPS.find((known) => known.id === id);
        if (group === undefined) throw new DecodeError("a curve of an unknown number");
        return group;
      }),
      leaf: text(ACCESS_LIMITS.nameBytesMax),
    }),
    BACKUP_LIMITS.sharesMax,
  ),
});

function encodeLabel({ purpose, createdAt, shares }: BackupHead): Bytes {
  return encode(labelCodec, { purpose, createdAt: BigInt(createdAt), shares });
}

function subjectOf(head: BackupHead) {
  return { columns: head.shares, label: encodeLabel(head) };
}

function kindOf({ shares, to }: Pick<Backup, "shares" | "to">): number {
  return to.kind === "quorum" ? KIND.quorum : shares.length === 1 ? KIND.single : KIND.batch;
}

function readOne(input: Reader): BackupRecipient {
  return { kind: "one", custodian: custodianKeyCodec.read(input) };
}

function readGroup(input: Reader): BackupRecipient {
  const policy = accessTreeCodec.read(input);
  const leaves = leavesOf(policy);
  const keys = vector(custodianKeyCodec, leaves.length).read(input);
  const entries = leaves.map((name, l) => [name, keys[l] as CustodianPublicKey] as const);
  return { kind: "quorum", custodians: { policy, keys: new Map(entries) } };
}

function rowBytesOf({ seedBytes, sealedBytes, columns }: RowScheme, half: 0 | 1): number {
  return half === 0
    ? seedBytes[0] + sealedBytes[1]
    : seedBytes[1] + SCALAR_BYTES * columns.length + sealedBytes[0];
}

function bytesMaxOf(shares: number): number {
  return Math.min(BACKUP_LIMITS.bytesMax, shares * BACKUP_LIMITS.bytesPerShareMax);
}
