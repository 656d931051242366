/**
 * Commands about keys and random values.
 *
 * @module
 */

import { z } from "zod";
import { type Bytes, equal, fromHex, hex } from "../base/bytes.ts";
import { TransportError, UsageError } from "../base/errors.ts";
import { type Curve, CURVES } from "../math/curve.ts";
import { parsePolicy } from "../primitives/access.ts";
import { KEY_PURPOSES, type KeyPurpose } from "../protocols/key_purpose.ts";
import { formatPath } from "../protocols/ecdsa/derive.ts";
import type { EcdsaSignature } from "../protocols/ecdsa/signature.ts";
import type { FrostScheme } from "../protocols/frost/suite.ts";
import type { KeyEntry, LocalStore } from "../storage/local_store.ts";
import { recordOfStored } from "../protocols/reshare/held.ts";
import { backedUpEpoch } from "./backup.ts";
import { type AnyCommand, type NodeCommand, peersCommand, storeCommand } from "./command.ts";
import { frostKeyInfo, isFrostInfo, isFrostKey, kindOfEntry } from "./frost_keys.ts";
import type { LocalParty } from "./local_party.ts";
import { type EpochInfo, keyInfo, type Party, type SignRequest, type SignResult } from "./party.ts";
import { parsePrivateKey } from "./private_key.ts";
import { recordOf } from "./public_key.ts";

const NAME = z.string().max(1024);
const NAMES = z.array(NAME).max(64).readonly();
const BYTES = z.instanceof(Uint8Array<ArrayBuffer>);
const POLICY = z.string().max(65536);
const PURPOSE = z.enum(Object.keys(KEY_PURPOSES) as [KeyPurpose, ...KeyPurpose[]]);
const KIND = { curve: z.string(), scheme: z.string().optional() };

/** The public record of a key, and what became of it in a command. */
export type EpochReport = Readonly<Record<string, unknown>> & {
  readonly key: string;
  readonly epoch: number;
  readonly outcome: string;
  /** False where this party has no share of it any more. */
  readonly member: boolean;
  /** The newest epoch that is backed up here. */
  readonly backupEpoch: number | null;
};

/** What became of a request to sign. */
export type SignReport = { readonly needed: false; readonly signers: readonly string[] } | {
  readonly needed: true;
  readonly signers: readonly string[];
  /** In the form that was asked for. */
  readonly signature: Bytes;
  /** What is said of it. */
  readonly described: Readonly<Record<string, unknown>>;
};

/** Agrees on a random value with all parties. */
export const agreeRandomCommand = peersCommand(
  "agree-random",
  z.strictObject({ bits: z.int().optional() }),
  async (party, { bits = party.local.config.bitLength }) => ({
    bits,
    value: hex(await party.agreeRandom(bits)),
  }),
);

/** Makes a key. */
export const generateCommand = peersCommand(
  "key.generate",
  z.strictObject({ key: NAME, ...KIND, policy: POLICY.optional(), purpose: PURPOSE.optional() }),
  async (party, { key: name, policy: text, purpose = "plain", ...kind }) => {
    const policy = text === undefined ? party.local.config.keyPolicy : parsePolicy(text);
    if (policy === undefined) {
      throw new UsageError(
        "USAGE",
        '--policy is missing: it says who may sign, as "2 of (alice, bob, carol)"',
      );
    }
    const chosen = kindOf(kind);
    const made = "scheme" in chosen
      ? await party.generateFrostKey({ name, scheme: chosen.scheme, policy, purpose })
      : await party.generateKey({ name, curve: chosen.curve, policy, purpose });
    return { ...recordOf(made), outcome: made.outcome } as Readonly<Record<string, unknown>>;
  },
  ({ key }) => key,
);

/** Signs. */
export const signCommand: NodeCommand<SignInput, SignReport> = peersCommand(
  "key.sign",
  z.strictObject({
    key: NAME,
    signers: NAMES.optional(),
    path: z.string().max(1024).optional(),
    message: BYTES.optional(),
    digest: BYTES,
    format: z.enum(["der", "compact", "json"]).optional(),
  }),
  (party, input) =>
    isFrostKey(party.local.store.active(input.key))
      ? signWithFrost(party, input)
      : signWithEcdsa(party, input),
  ({ key }) => key,
);

/** Input of {@linkcode signCommand}. */
export interface SignInput {
  /** Name of the key. */
  readonly key: string;
  /** Who is at hand. */
  readonly signers?: readonly string[] | undefined;
  /** A child of the key. */
  readonly path?: string | undefined;
  /** The message, where it is at hand. */
  readonly message?: Bytes | undefined;
  /** Its SHA-256. */
  readonly digest: Bytes;
  /** Form of the signature. */
  readonly format?: "der" | "compact" | "json" | undefined;
}

/** New shares of a key. */
export const refreshCommand = peersCommand(
  "key.refresh",
  z.strictObject({ key: NAME, pairs: z.enum(["renew", "rerandomize"]).optional() }),
  async (party, { key: name, pairs }) => {
    const entry = party.local.store.active(name);
    if (pairs !== undefined && isFrostKey(entry)) {
      throw new UsageError(
        "USAGE",
        `${name} is a key for ${entry.curve}, which has no pair states: refresh it without --pairs`,
      );
    }
    return reportOf(party, await party.refreshKey({ name, ...(pairs === undefined ? {} : { pairs }) }));
  },
  ({ key }) => key,
);

/** A key for other members. */
export const reshareCommand = peersCommand(
  "key.reshare",
  z.strictObject({ key: NAME, policy: POLICY, dealers: NAMES.optional(), publicKey: BYTES.optional() }),
  async (party, { key: name, policy, dealers, publicKey }) =>
    reportOf(
      party,
      await party.reshareKey({
        name,
        policy: parsePolicy(policy),
        ...(dealers === undefined ? {} : { dealers }),
        ...(publicKey === undefined ? {} : { publicKey }),
      }),
    ),
  ({ key }) => key,
);

/** A key that exists whole is split. */
export const importCommand = peersCommand(
  "key.import",
  z.strictObject({
    key: NAME,
    policy: POLICY,
    from: NAME.optional(),
    privateKey: BYTES.optional(),
    chainCode: BYTES.optional(),
    publicKey: BYTES.optional(),
  }),
  async (party, { key: name, policy, from, privateKey, chainCode, publicKey }) => {
    using parsed = privateKey === undefined ? undefined : parsePrivateKey(privateKey, "the request");
    const imported = await party.importKey({
      name,
      policy: parsePolicy(policy),
      from: from ?? party.local.party.name,
      ...(parsed === undefined ? {} : { privateKey: parsed }),
      ...(chainCode === undefined ? {} : { chainCode }),
      ...(publicKey === undefined ? {} : { publicKey }),
    });
    return reportOf(party, imported);
  },
  ({ key }) => key,
);

/** The share of a party that lost it is restored. */
export const repairCommand = peersCommand(
  "key.repair",
  z.strictObject({ key: NAME, lost: NAME, helpers: NAMES, ...KIND }),
  async (party, { key: name, lost, helpers, ...kind }) => {
    const chosen = kindOf(kind);
    const scheme = "scheme" in chosen ? { scheme: chosen.scheme } : {};
    const repaired = await party.repairKey({ name, lost, helpers, ...scheme }).catch((error) => {
      throw party.local.party.name === lost ? withKind(error) : error;
    });
    return reportOf(party, repaired);
  },
  ({ key }) => key,
);

/** Parties are brought to the newest epoch. */
export const syncCommand = peersCommand(
  "key.sync",
  z.strictObject({ key: NAME, parties: NAMES }),
  async (party, { key: name, parties }) => reportOf(party, await party.syncKey({ name, parties })),
  ({ key }) => key,
);

/** A share that is pending is erased. */
export const discardCommand = storeCommand(
  "key.discard",
  z.strictObject({ keyId: z.string().max(64), epoch: z.int() }),
  ({ store, audit }, { keyId, epoch }) => {
    const found = store.keys().filter((entry) =>
      entry.epoch === epoch && hex(entry.keyId).startsWith(keyId.toLowerCase())
    );
    const [entry] = found;
    if (entry === undefined || found.length > 1 || fromHex(keyId.padEnd(64, "0")) === undefined) {
      throw new UsageError(
        "KEY_UNKNOWN",
        `${found.length} keys of epoch ${epoch} have an id that begins with ${JSON.stringify(keyId)}`,
      );
    }
    store.discardPending(entry);
    audit.noteKeyHere("key_discarded", entry);
    return { key: entry.name, keyId: hex(entry.keyId), epoch, discarded: true };
  },
  ({ keyId }, { store }) =>
    store.keys().find((entry) => hex(entry.keyId).startsWith(keyId.toLowerCase()))?.name,
);

/** Somebody who failed a check in signing may sign with a key again. */
export const unbanCommand = storeCommand(
  "key.unban",
  z.strictObject({ key: NAME, signer: NAME }),
  ({ store, audit, config }, { key, signer }) => {
    const { keyId, epoch } = store.active(key);
    const { index } = config.roster.named(signer);
    const unbanned = store.unbanSigner(keyId, index);
    if (unbanned) audit.noteUnban({ name: key, keyId, epoch }, signer);
    return { key, signer, unbanned };
  },
  ({ key }) => key,
);

/** All keys of the party. */
export const listCommand = storeCommand(
  "key.list",
  z.strictObject({}),
  (local) =>
    local.store.keys().map((entry) => {
      const { name, keyId, epoch, curve, state } = entry;
      return {
        key: name,
        keyId: hex(keyId),
        epoch,
        ...kindOfEntry({ curve }),
        purpose: purposeOfEntry(local, entry),
        state,
        ...(isSuperseded(local.store, entry) ? { superseded: true } : {}),
        ...(state === "active" ? { banned: bannedNames(local, keyId) } : {}),
        ...backupOf(local.store, { keyId, epoch, state }),
      };
    }),
);

/** One key, and how this party stands. */
export const showCommand = storeCommand("key.show", z.strictObject({ key: NAME }), (local, { key }) => {
  const info = keyInfo(local, key);
  const { keyId, epoch, members } = info.record;
  // Keys for Ed25519 and BIP340 have no pairs.
  const paired = isFrostInfo(info) ? [] : members;
  const pairs = paired.filter(({ index }) => index !== local.party.index).map(({ index, name }) => {
    const { status, state } = local.store.pair({ keyId, epoch, peer: index });
    state?.[Symbol.dispose]();
    return { peer: name, status };
  });
  const unknown = local.store.releases(keyId).filter(({ outcome }) => outcome === "unknown")
    .map(({ payloadHash }) => hex(payloadHash));
  const bans = local.store.bans(keyId).map(({ party, time, code, reason }) => ({
    signer: local.config.roster.nameOf(party),
    at: new Date(time).toISOString(),
    code,
    reason,
  }));
  return { record: recordOf(info), pairs, unknown, bans };
});

/** The public record of a key. */
export const recordCommand = storeCommand(
  "key.record",
  z.strictObject({ key: NAME }),
  (local, { key }) => recordOf(keyInfo(local, key)),
);

/** What a key is for: ECDSA on a curve, or one of the schemes of FROST. */
export type KeyKind = { readonly curve: Curve } | { readonly scheme: FrostScheme };

/** Reads `--curve` and `--scheme`. @throws UsageError USAGE */
export function kindOf(
  { curve: name, scheme }: { readonly curve: string; readonly scheme?: string | undefined },
): KeyKind {
  if (scheme === "bip340") {
    if (name === "secp256k1") return { scheme };
    throw new UsageError("USAGE", `--scheme bip340 is for --curve secp256k1: found ${JSON.stringify(name)}`);
  }
  if (name === "ed25519" && scheme === undefined) return { scheme: "ed25519" };
  const curve = Object.values(CURVES).find((known) => known.name === name);
  if (curve !== undefined) return { curve };
  throw new UsageError(
    "USAGE",
    scheme === undefined
      ? `--curve is one of ${Object.keys(CURVES).join(", ")}, ed25519: found ${JSON.stringify(name)}`
      : `--scheme ecdsa is for --curve ${Object.keys(CURVES).join(" or ")}: found ${JSON.stringify(name)}`,
  );
}

/** What the scheme of a key signs: Ed25519 the message itself, BIP340 its digest. @throws UsageError KEY_SCHEME */
export function frostMessageOf(
  { message, digest }: { readonly message?: Bytes | undefined; readonly digest: Bytes },
  scheme: FrostScheme,
): Bytes {
  if (scheme === "bip340") return digest;
  if (message !== undefined) return message;
  throw new UsageError(
    "KEY_SCHEME",
    "a key for Ed25519 signs the message itself, not a digest of it: give --message or --message-file",
  );
}

/** Refuses a child of a key that has none. @throws UsageError KEY_SCHEME */
export function requireChildren(name: string, scheme: FrostScheme): never {
  throw new UsageError(
    "KEY_SCHEME",
    `${name} is a key for ${scheme}, which has no children: only ECDSA keys have`,
  );
}

function reportOf({ local }: Party, info: EpochInfo): EpochReport {
  const { name: key, outcome, member, record: { keyId, epoch } } = info;
  const backupEpoch = backedUpEpoch(local.store, keyId) ?? null;
  return { ...recordOf(info), key, epoch, outcome, member, backupEpoch };
}

async function signWithEcdsa(party: Party, input: SignInput): Promise<SignReport> {
  const { path, digest, format } = input;
  const result = await party.sign({ ...requestOf(input), digest, ...(path === undefined ? {} : { path }) });
  const { signature, signers } = result;
  if (signature === undefined) return { needed: false, signers };
  return {
    needed: true,
    signers,
    signature: format === "compact" ? signature.compact : signature.der,
    described: describeEcdsa(result, signature, digest),
  };
}

async function signWithFrost(party: Party, input: SignInput): Promise<SignReport> {
  const { name, record: { suite } } = frostKeyInfo(party.local, input.key);
  const { scheme } = suite;
  if (input.path !== undefined) requireChildren(name, scheme);
  if (input.format === "der") {
    throw new UsageError(
      "KEY_SCHEME",
      `a signature of ${scheme} has 64 bytes and no DER form: --format is compact or json`,
    );
  }
  const message = frostMessageOf(input, scheme);
  const { record, signers, signature } = await party.signMessage({ ...requestOf(input), message });
  if (signature === undefined) return { needed: false, signers };
  const described = {
    key: name,
    keyId: hex(record.keyId),
    epoch: record.epoch,
    curve: record.suite.group.name,
    scheme,
    publicKey: hex(record.suite.publicKeyBytes(record.publicKey)),
    signers,
    digest: hex(input.digest),
    compact: hex(signature),
  };
  return { needed: true, signers, signature, described };
}

function requestOf({ key: name, signers }: SignInput): Pick<SignRequest, "name" | "signers"> {
  return { name, ...(signers === undefined ? {} : { signers }) };
}

function describeEcdsa(
  { name, record, signers, signingKey }: SignResult,
  signature: EcdsaSignature,
  digest: Bytes,
): Record<string, unknown> {
  return {
    key: name,
    keyId: hex(record.keyId),
    epoch: record.epoch,
    curve: record.curve.name,
    publicKey: hex(record.curve.encodePoint(signingKey.publicKey)),
    ...(signingKey.depth === 0 ? {} : { path: formatPath(signingKey.path) }),
    signers,
    digest: hex(digest),
    r: hex(signature.r),
    s: hex(signature.s),
    recoveryId: signature.recoveryId,
    der: hex(signature.der),
    compact: hex(signature.compact),
  };
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

/** What a key that is stored here is for. */
function purposeOfEntry(local: LocalParty, entry: KeyEntry): KeyPurpose {
  const share = local.openShare(entry);
  if (share === undefined) return recordOfStored(local.openStored(entry)).purpose;
  share.share[Symbol.dispose]();
  return share.record.purpose;
}

/** An attempt to generate a key whose name another key has by now: it can only be discarded. */
export function isSuperseded(store: LocalStore, { state, epoch, name, keyId }: KeyEntry): boolean {
  return state === "pending" && epoch === 0 &&
    store.named(name).some((other) => other.state !== "pending" && !equal(other.keyId, keyId));
}

/** Who is kept out of signing with a key. */
export function bannedNames({ store, config }: LocalParty, keyId: Bytes): readonly string[] {
  return store.bans(keyId).map(({ party }) => config.roster.nameOf(party));
}

/** Whether this epoch of a key is backed up, and the newest one that is. A share that is not in use needs no backup. */
function backupOf(
  store: LocalStore,
  { keyId, epoch, state }: Pick<KeyEntry, "keyId" | "epoch" | "state">,
): { readonly backedUp?: boolean; readonly backupEpoch?: number | null } {
  if (state !== "active") return {};
  const backupEpoch = backedUpEpoch(store, keyId) ?? null;
  return { backedUp: backupEpoch === epoch, backupEpoch };
}

/** All of them, by their names. */
export const KEY_COMMANDS: readonly AnyCommand[] = [
  agreeRandomCommand,
  generateCommand,
  signCommand,
  refreshCommand,
  reshareCommand,
  importCommand,
  repairCommand,
  syncCommand,
  discardCommand,
  unbanCommand,
  listCommand,
  showCommand,
  recordCommand,
] as unknown as readonly AnyCommand[];
