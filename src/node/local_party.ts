/**
 * A party's own side: its lock, its store and its keys, without a network.
 *
 * @module
 */

import { type Bytes, equal, erase, fromUtf8 } from "../base/bytes.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import { type Rng, systemRng } from "../base/rng.ts";
import { Secret } from "../base/secret.ts";
import { identitySigner } from "../pki/identity.ts";
import {
  decodeStoredDeparture,
  decodeStoredKey,
  isStoredDeparture,
  type StoredDeparture,
  type StoredKey,
} from "../protocols/dkg/stored_key.ts";
import {
  decodeFrostStoredKey,
  type FrostStoredKey,
  isFrostStoredKey,
} from "../protocols/frost/stored_key.ts";
import type { FrostKeyShare } from "../protocols/frost/key.ts";
import type { KeyShare } from "../protocols/key_share.ts";
import { readSecretFile, reasonOf } from "../storage/files.ts";
import { type KeyEntry, type KeyFacts, LocalStore } from "../storage/local_store.ts";
import { type LockHolder, lockParty, type PartyLock } from "../storage/lock.ts";
import type { SealingSource } from "../storage/sealing.ts";
import { PartyAudit } from "./audit.ts";
import { type Config, type PartyConfig, partyConfig } from "./config.ts";

/** How a party is opened. */
export interface LocalOptions {
  /** What was asked for: shown to other processes of the party, and to peers that want something else. */
  readonly command: string;
  /** Replaces the configured timeout. */
  readonly timeoutMs?: number;
  /** Called when another process of the party has to end first. */
  readonly onWait?: (holder: LockHolder | undefined) => void;
  /** Default: the system's. */
  readonly rng?: Rng;
}

/** A party whose lock is held and whose store is open. */
export class LocalParty implements Disposable {
  /** The cluster. */
  readonly config: Config;
  /** This party in it. */
  readonly party: PartyConfig;
  /** Random per process. */
  readonly bootId: Bytes;
  /** Its keys. */
  readonly store: LocalStore;
  /** How long to wait for others. */
  readonly timeoutMs: number;
  readonly #lock: PartyLock;
  #audit: PartyAudit | undefined;

  /** @ignore use {@linkcode openLocal} */
  constructor(
    fields: Pick<LocalParty, "config" | "party" | "bootId" | "store" | "timeoutMs">,
    lock: PartyLock,
  ) {
    this.config = fields.config;
    this.party = fields.party;
    this.bootId = fields.bootId;
    this.store = fields.store;
    this.timeoutMs = fields.timeoutMs;
    this.#lock = lock;
    this.store.watchBans((ban) => this.audit.noteBan(ban, this.store.nameOf(ban.keyId)));
  }

  /**
   * Its audit log, which is opened when it is first asked for.
   *
   * @throws UsageError AUDIT_CORRUPT, AUDIT_UNREADABLE, AUDIT_UNWRITABLE or LOOSE_PERMISSIONS
   */
  get audit(): PartyAudit {
    this.#audit ??= PartyAudit.open(this.config, this.party, () => this.identity());
    return this.#audit;
  }

  /** Says to other commands of this party where they can hand over what they are asked for; undefined: nowhere any more. */
  announce(operator: string | undefined): void {
    this.#lock.announce(operator);
  }

  /** Writes what waits for the audit log, and closes it. @returns a sentence where that failed. */
  closeAudit(): string | undefined {
    const audit = this.#audit;
    this.#audit = undefined;
    return audit?.close();
  }

  /** An ECDSA key with its secret share: the caller disposes `share.share`. @throws UsageError KEY_SCHEME */
  openKey(entry: KeyEntry): StoredKey {
    using encoded = this.store.openKey(entry);
    if (!isFrostStoredKey(encoded.expose())) return decodeStoredKey(encoded.expose());
    throw new UsageError(
      "KEY_SCHEME",
      `${entry.name} is a key for ${entry.curve}: this is for ECDSA keys`,
    );
  }

  /** A key for Ed25519 or BIP340 with its secret share: the caller disposes `share.share`. @throws UsageError KEY_SCHEME */
  openFrostKey(entry: KeyEntry): FrostStoredKey {
    using encoded = this.store.openKey(entry);
    if (isFrostStoredKey(encoded.expose())) return decodeFrostStoredKey(encoded.expose());
    throw new UsageError(
      "KEY_SCHEME",
      `${entry.name} is an ECDSA key on ${entry.curve}: this is for keys for Ed25519 and BIP340`,
    );
  }

  /** The share of any key, with its record; undefined where this party left the key. The caller disposes the share. */
  openShare(entry: KeyEntry): KeyShare | FrostKeyShare | undefined {
    using encoded = this.store.openKey(entry);
    const bytes = encoded.expose();
    if (isFrostStoredKey(bytes)) return decodeFrostStoredKey(bytes).share;
    return isStoredDeparture(bytes) ? undefined : decodeStoredKey(bytes).share;
  }

  /** What is stored of a key in one epoch, which may be that this party left it. The caller disposes a share in it. */
  openStored(entry: KeyEntry): StoredKey | StoredDeparture {
    using encoded = this.store.openKey(entry);
    const bytes = encoded.expose();
    return isStoredDeparture(bytes) ? decodeStoredDeparture(bytes) : decodeStoredKey(bytes);
  }

  /** Reads this party's identity key and checks that it is the one in the roster. @throws UsageError IDENTITY_INVALID */
  identity(): Ed25519Signer {
    const { name, identityKeyPath } = this.party;
    const pem = readSecretText(identityKeyPath, `the identity key of ${name}`);
    const signer = identitySigner(pem, name);
    if (!equal(signer.publicKey, this.config.roster.named(name).identity.publicKey)) {
      throw new UsageError(
        "IDENTITY_INVALID",
        `the identity key in ${identityKeyPath} is not the one that the configuration names for ${name}`,
        { party: name },
      );
    }
    return signer;
  }

  /** Closes the store and lets the next process in. */
  [Symbol.dispose](): void {
    this.closeAudit();
    this.store[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }
}

/**
 * Takes the party's lock, then opens its store.
 *
 * @throws UsageError NOT_A_MEMBER, PARTY_BUSY, LOOSE_PERMISSIONS, IDENTITY_INVALID, STORE_CORRUPT, SHARE_ROLLBACK or
 * STORE_UNWRITABLE
 */
export async function openLocal(config: Config, name: string, options: LocalOptions): Promise<LocalParty> {
  const party = partyConfig(config, name);
  const rng = options.rng ?? systemRng;
  const timeoutMs = options.timeoutMs ?? config.timeoutMs;
  const bootId = rng.bytes(16);
  const lock = await lockParty({
    directory: party.dataDirectory,
    party: name,
    bootId,
    command: options.command,
    timeoutMs,
    ...(options.onWait === undefined ? {} : { onWait: options.onWait }),
  });
  try {
    const sealing = sealingOf(party);
    try {
      const store = LocalStore.open({
        directory: party.dataDirectory,
        owner: { cluster: config.cluster, party: name, index: party.index },
        sealing,
        rng,
        inspect,
        nameOf: (index) => config.roster.nameOf(index),
      });
      return new LocalParty({ config, party, bootId, store, timeoutMs }, lock);
    } finally {
      (sealing.kind === "key" ? sealing.key : sealing.passphrase)[Symbol.dispose]();
    }
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Reads a secret file of UTF-8 text. @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS */
export function readSecretText(path: string, what: string): string {
  const bytes = readSecretFile(path, what, SECRET_TEXT_BYTES_MAX);
  const text = fromUtf8(bytes);
  erase(bytes);
  if (text !== undefined) return text;
  throw new UsageError("IDENTITY_INVALID", `${what} in ${path} is not text`);
}

/** Reads a public file. @throws UsageError IDENTITY_INVALID */
export function readPublicText(path: string, what: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", `${what} cannot be read from ${path}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

const SECRET_TEXT_BYTES_MAX = 16 * 1024;
const SEALING_KEY_BYTES = 32;

function sealingOf({ name, sealing }: PartyConfig): SealingSource {
  if (sealing.kind === "key") {
    const key = readSecretFile(sealing.path, `the sealing key of ${name}`, SEALING_KEY_BYTES);
    return { kind: "key", key: new Secret(key) };
  }
  const file = readSecretFile(sealing.path, `the passphrase of ${name}`, SECRET_TEXT_BYTES_MAX);
  // The line end that editors and shells add is no part of a passphrase.
  let end = file.length;
  while (end > 0 && (file[end - 1] === 10 || file[end - 1] === 13)) end--;
  const passphrase = new Secret(file.slice(0, end));
  erase(file);
  return { kind: "passphrase", passphrase };
}

function inspect(encoded: Bytes): KeyFacts {
  if (isFrostStoredKey(encoded)) {
    const { share: { record, self, share } } = decodeFrostStoredKey(encoded);
    share[Symbol.dispose]();
    return { keyId: record.keyId, epoch: record.epoch, curve: record.suite.scheme, self };
  }
  if (isStoredDeparture(encoded)) {
    const { record, self } = decodeStoredDeparture(encoded);
    const { keyId, epoch, curve } = record;
    return { keyId, epoch, curve: curve.name, self, departs: true };
  }
  const { share } = decodeStoredKey(encoded);
  share.share[Symbol.dispose]();
  const { keyId, epoch, curve } = share.record;
  return { keyId, epoch, curve: curve.name, self: share.self };
}
