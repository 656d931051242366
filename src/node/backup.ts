/**
 * Backups of the shares of a party (DESIGN 9): made from its store, checked by anyone against public records, and restored
 * into a store that lost them.
 *
 * What a backup has to hold comes from the records, never from the backup: it says itself only which of its members it is of.
 *
 * @module
 */

import { type Bytes, equal, equalSecret, hex, u8 } from "../base/bytes.ts";
import type { PartyId } from "../base/brands.ts";
import { invariant, UsageError } from "../base/errors.ts";
import { type Rng, systemRng } from "../base/rng.ts";
import type { Secret } from "../base/secret.ts";
import { formatPolicy } from "../primitives/access.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { encodeStoredKey, storedKeyOf } from "../protocols/dkg/stored_key.ts";
import { encodeFrostStoredKey, frostStoredKeyOf } from "../protocols/frost/stored_key.ts";
import type { Member } from "../protocols/key_share.ts";
import {
  type BackupInfo,
  createBackup,
  describeBackup,
  expectedShare,
  recoverBackup,
  type RecoveredShares,
  type SecretShare,
  secretShare,
  verifyBackup,
} from "../protocols/pve/backup.ts";
import {
  type CustodianGroup,
  custodianId,
  custodianName,
  type Decapsulator,
  encodeCustodianGroup,
} from "../protocols/pve/custodian.ts";
import type { LabelledShare } from "../protocols/pve/format.ts";
import type { CustodianPublicKey } from "../protocols/pve/pke.ts";
import { answerBackup, type CustodianReport, recoverQuorumBackup } from "../protocols/pve/quorum.ts";
import type { Roster } from "../session/roster.ts";
import type { KeyEntry, LocalStore } from "../storage/local_store.ts";
import type { LocalParty } from "./local_party.ts";
import { type KeyInfo, keyInfo } from "./party.ts";
import { isFrostInfo } from "./frost_keys.ts";

/** Who opens a backup: one custodian, or a quorum of several. */
export type Custodians = CustodianPublicKey | CustodianGroup;

/** One key in a backup. */
export interface BackedUpKey {
  /** What people call it; its id where no record of it was given. */
  readonly name: string;
  /** Key id. */
  readonly keyId: Bytes;
  /** Its epoch. */
  readonly epoch: number;
}

/** A backup that was made, or one that passed the checks. */
export interface KeyBackup {
  /** Whose shares. */
  readonly party: string;
  /** By the clock of whoever made it: milliseconds since 1970. */
  readonly createdAt: number;
  /** Who opens it. */
  readonly to: Custodians;
  /** The keys that it was checked for. */
  readonly keys: readonly BackedUpKey[];
}

/** Which backup is expected. */
export interface ExpectedKeyBackup {
  /** Public records of the keys in it, with valid certificates. */
  readonly records: readonly KeyInfo[];
  /** Whose shares. Default: those of the member that the backup names. */
  readonly party?: string;
  /** Names of the keys that matter, where others may be in it of which there is no record. Default: all. */
  readonly names?: readonly string[];
}

/** A share that came back. */
export interface RecoveredKey extends BackedUpKey {
  /** Whether it was restored, or was there already. */
  readonly outcome: "restored" | "unchanged";
}

/** What {@linkcode recoverKeyBackup} did. */
export interface KeyRecovery {
  /** One per key. */
  readonly keys: readonly RecoveredKey[];
  /** Rows that did not open: more than 0 means that the maker of the backup cheated. */
  readonly badRows: number;
  /** Of a quorum: how each custodian answered. */
  readonly custodians: readonly CustodianReport[];
}

/** What opens a backup. */
export interface CustodianMeans {
  /** Private keys: one, or several of a quorum. */
  readonly keys: readonly Decapsulator[];
  /** Answers that custodians of a quorum gave elsewhere. */
  readonly answers: readonly Uint8Array[];
}

/**
 * Makes one backup of the shares of several keys, and checks it as anyone would.
 *
 * @param request `names`: which keys; default: all that are active here.
 * @throws UsageError KEY_UNKNOWN, KEY_PENDING, IDENTITY_INVALID or USAGE
 */
export function createKeyBackup(
  local: LocalParty,
  request: { readonly names?: readonly string[]; readonly to: Custodians; readonly rng?: Rng },
): KeyBackup & { readonly bytes: Bytes } {
  const { store, party } = local;
  const { to, names } = request;
  const active = store.keys().filter(({ state }) => state === "active").map(({ name }) => name);
  const entries = (names ?? active).map((name) => store.active(name));
  if (entries.length === 0) {
    throw new UsageError("KEY_UNKNOWN", `${party.name} has no share that could be backed up`);
  }
  const shares: SecretShare[] = [];
  try {
    for (const entry of entries) shares.push(shareOf(local, entry));
    const createdAt = Date.now();
    const bytes = createBackup({ to, shares, createdAt, rng: request.rng ?? systemRng });
    verifyBackup(bytes, { to, shares });
    const keys = entries.map(({ name, keyId, epoch }) => ({ name, keyId, epoch }));
    return { bytes, party: party.name, createdAt, to, keys };
  } finally {
    for (const { share } of shares) share[Symbol.dispose]();
  }
}

/** Notes a backup once its file is written. */
export function noteKeyBackup(
  { store, audit }: LocalParty,
  { to, keys }: Pick<KeyBackup, "to" | "keys">,
): void {
  noteCustodians(store, to, keys);
  for (const { name, keyId, epoch } of keys) {
    const details = { key: name, keyId: hex(keyId), epoch, custodian: custodiansName(to) };
    audit.log.commit({ type: "key_backed_up", outcome: "ok", details });
  }
}

/** The newest epoch of a key that is known to be backed up; undefined where there is none. */
export function backedUpEpoch(store: LocalStore, keyId: Bytes): number | undefined {
  return store.backups(keyId).map(({ epoch }) => epoch).sort((a, b) => a - b).at(-1);
}

/**
 * Checks that a backup opens for these custodians to the shares that the records say. Needs no secret, no network and no party.
 *
 * @throws UsageError BACKUP_INVALID, BACKUP_STALE or NOT_A_MEMBER that says which check fails.
 */
export function verifyKeyBackup(
  bytes: Uint8Array,
  expected: ExpectedKeyBackup & { readonly to: Custodians },
): KeyBackup {
  const info = describeBackup(bytes);
  const { party, shares, found } = expectedOf(info, expected);
  const { createdAt } = verifyBackup(bytes, { to: expected.to, shares });
  return { party, createdAt, to: expected.to, keys: found.map(keyOf) };
}

/**
 * Opens a backup of this party, checks what is in it against the records, and puts it into the store: sealed, and without pair
 * states, which are set up anew before the first signature.
 *
 * @param input `records`: default: those of the keys that this party still has.
 * @throws UsageError with nothing changed: BACKUP_INVALID, BACKUP_STALE, BACKUP_UNOPENED, NOT_QUALIFIED, NOT_A_MEMBER,
 * KEY_EXISTS, or USAGE where there is no record of a key.
 */
export function recoverKeyBackup(
  local: LocalParty,
  bytes: Uint8Array,
  input: Omit<ExpectedKeyBackup, "party"> & CustodianMeans,
): KeyRecovery {
  const info = describeBackup(bytes);
  const records = input.records.length > 0 ? input.records : ownRecords(local, info);
  const { shares, found } = expectedOf(info, { ...input, records, party: local.party.name });
  for (const { record } of found) refuseStrangers(local.config.roster, record.members);
  const recovered = open(bytes, info, shares, input);
  try {
    const restored = found.map((key) => restorable(local, key, recovered));
    const keys = restored.map((restorable): RecoveredKey => {
      put(local.store, restorable);
      const outcome = restorable.here === "active" ? "unchanged" : "restored";
      if (outcome === "restored") local.audit.noteKeyHere("key_recovered", keyOf(restorable.key));
      return { ...keyOf(restorable.key), outcome };
    });
    const to = info.to.kind === "one" ? info.to.custodian : info.to.custodians;
    noteCustodians(local.store, to, keys);
    return { keys, badRows: recovered.badRows, custodians: recovered.custodians };
  } finally {
    for (const { share } of recovered.shares) share[Symbol.dispose]();
  }
}

/** Which custodian, or group, it is, for people: 16 hexadecimal digits per custodian. */
export function custodiansName(to: Custodians): string {
  if (!("policy" in to)) return custodianName(to);
  const members = [...to.keys].map(([name, key]) => `${name} ${custodianName(key)}`);
  return `${formatPolicy(to.policy)}: ${members.join(", ")}`;
}

function noteCustodians(store: LocalStore, to: Custodians, keys: readonly BackedUpKey[]): void {
  const custodian = custodiansId(to);
  for (const { keyId, epoch } of keys) store.noteBackup({ keyId, epoch, custodian });
}

/** Which custodian or group it is: 32 bytes. */
function custodiansId(to: Custodians): Bytes {
  // The suites of single custodians are numbered from 1.
  return "policy" in to ? hash(Tag.pveCustodian, u8(0), ...encodeCustodianGroup(to)) : custodianId(to);
}

/** What has to be in a backup, in full, and which of it there are records of. */
function expectedOf(
  info: BackupInfo,
  { records, names, party: wanted }: ExpectedKeyBackup,
): {
  readonly party: string;
  readonly shares: readonly LabelledShare[];
  readonly found: readonly KeyInfo[];
} {
  const party = wanted ?? info.shares[0]?.leaf ?? "";
  const twice = records.find((one, i) =>
    records.findIndex(({ record }) => equal(record.keyId, one.record.keyId)) !== i
  );
  if (twice !== undefined) {
    throw new UsageError("USAGE", `there are two records of the key ${twice.name}: give the newest one`);
  }
  const unknown = names?.find((name) => !records.some((record) => record.name === name));
  if (unknown !== undefined) {
    throw new UsageError("USAGE", `no record of the key ${unknown} is given: export one at another member`);
  }
  const chosen = records.filter(({ name }) => names?.includes(name) ?? true);
  const shares = chosen.map(({ name, record }) => {
    const member = record.members.find((member) => member.name === party);
    if (member !== undefined) return expectedShare(record, member.index);
    throw new UsageError("NOT_A_MEMBER", `${party} has no share of the key ${name} in its record`, { party });
  });
  // Of keys that do not matter here, nobody says what they have to be: what the backup says is kept, and proves nothing.
  const others = names === undefined
    ? []
    : info.shares.filter(({ keyId }) => !chosen.some(({ record }) => equal(record.keyId, keyId)));
  return { party, shares: [...shares, ...others], found: chosen };
}

/** The records of the keys in a backup that this party still has. */
function ownRecords(local: LocalParty, { shares }: BackupInfo): KeyInfo[] {
  return shares.map(({ keyId }) => {
    const entry = local.store.keys().findLast((row) => row.state === "active" && equal(row.keyId, keyId));
    if (entry === undefined) {
      throw new UsageError(
        "USAGE",
        `--record is missing: ${local.party.name} has no record of the key ${
          hex(keyId).slice(0, 16)
        } any more; key export-public --format record writes one at another member`,
      );
    }
    return keyInfo(local, entry.name);
  });
}

/** A share of this party is put to use only among those whom the configuration names. */
function refuseStrangers({ parties }: Roster, members: readonly Member[]): void {
  const stranger = members.find(({ index, name, identity }) =>
    !parties.some((known) =>
      known.index === index && known.name === name && equal(known.identity.publicKey, identity)
    )
  );
  if (stranger === undefined) return;
  throw new UsageError(
    "NOT_A_MEMBER",
    `the record has a member ${stranger.name} whose index or identity key is not the one in the configuration`,
    { party: stranger.name },
  );
}

function open(
  bytes: Uint8Array,
  { to }: BackupInfo,
  shares: readonly LabelledShare[],
  { keys, answers }: CustodianMeans,
): RecoveredShares & Pick<KeyRecovery, "custodians"> {
  if (to.kind === "one") {
    const [key] = keys;
    if (key === undefined || keys.length > 1 || answers.length > 0) {
      throw new UsageError("USAGE", "the backup is for one custodian: exactly one --custodian-key opens it");
    }
    return { ...recoverBackup(bytes, { key, shares }), custodians: [] };
  }
  const own: Secret[] = [];
  try {
    for (const key of keys) own.push(answerBackup(bytes, key));
    const all = [...own.map((answer) => answer.expose()), ...answers];
    return recoverQuorumBackup(bytes, { custodians: to.custodians, answers: all, shares });
  } finally {
    for (const answer of own) answer[Symbol.dispose]();
  }
}

/** A recovered share that may be stored, and how far the same epoch is here already. */
interface Restorable {
  readonly key: KeyInfo;
  /** The stored form. Secret: disposed when it was put. */
  readonly stored: Secret;
  readonly here: KeyEntry["state"] | undefined;
}

/** A share of any active key as it is backed up. */
function shareOf(local: LocalParty, entry: KeyEntry): SecretShare {
  const share = local.openShare(entry);
  invariant(share !== undefined, "an active key has a share");
  return secretShare(share);
}

/** The stored form of a share that came back. @throws UsageError STORE_CORRUPT */
function storedOf(key: KeyInfo, self: PartyId, share: Secret): Secret {
  const { name: keyName, certificate } = key;
  return isFrostInfo(key)
    ? encodeFrostStoredKey(
      frostStoredKeyOf({ keyName, certificate, share: { record: key.record, self, share } }),
    )
    : encodeStoredKey(storedKeyOf({ keyName, certificate, share: { record: key.record, self, share } }));
}

function restorable(local: LocalParty, key: KeyInfo, { shares }: RecoveredShares): Restorable {
  const { name, record } = key;
  const { keyId, epoch } = record;
  const { store, party } = local;
  const { share } = shares.find((share) => equal(share.keyId, keyId)) as SecretShare;
  const held = store.keys().filter((entry) => equal(entry.keyId, keyId));
  const newest = held.findLast(({ state }) => state !== "pending");
  if (newest !== undefined && newest.epoch > epoch) {
    throw new UsageError(
      "BACKUP_STALE",
      `the backup is of epoch ${epoch} of ${name}, and ${party.name} knows its epoch ${newest.epoch} already`,
    );
  }
  const isOther = (entry: KeyEntry) => entry.state === "active" && !equal(entry.keyId, keyId);
  if (store.named(name).some(isOther)) {
    throw new UsageError("KEY_EXISTS", `another key is stored here as ${name}: nothing was restored`);
  }
  const same = held.find((entry) => entry.epoch === epoch);
  if (same !== undefined) refuseOther(local, same, share);
  return { key, stored: storedOf(key, party.index, share), here: same?.state };
}

/** An epoch has one share per party: another one is never overwritten. */
function refuseOther(local: LocalParty, entry: KeyEntry, share: Secret): void {
  using mine = local.openShare(entry)?.share;
  if (mine !== undefined && equalSecret(mine.expose(), share.expose())) return;
  throw new UsageError(
    "KEY_EXISTS",
    `another share of ${entry.name} is stored here in epoch ${entry.epoch}: nothing was restored`,
  );
}

/** A share that is there without its certificate is completed by it. */
function put(store: LocalStore, { key: { name, record, certificate }, stored, here }: Restorable): void {
  const { keyId, epoch } = record;
  using key = stored;
  if (here === undefined) store.write({ kind: "key-pending", keyId, epoch, name, key });
  if (here !== "active") store.write({ kind: "key-active", keyId, epoch, certificate });
}

function keyOf({ name, record }: KeyInfo): BackedUpKey {
  return { name, keyId: record.keyId, epoch: record.epoch };
}
