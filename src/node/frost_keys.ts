/**
 * Keys for Ed25519 and BIP340 at a party: made, used, refreshed and repaired over sessions that the party starts (SPEC 6).
 *
 * They have no pairs to set up, and no children.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { equal } from "../base/bytes.ts";
import { type AccessTree, leavesOf } from "../primitives/access.ts";
import { frostDkg, type FrostDkgInput, type FrostDkgResult } from "../protocols/frost/dkg.ts";
import type { FrostHeldEpoch } from "../protocols/frost/held.ts";
import { type FrostKeyRecord, frostQuorumOf } from "../protocols/frost/key.ts";
import { frostRefresh, type FrostRefreshResult } from "../protocols/frost/refresh.ts";
import { frostRepair } from "../protocols/frost/repair.ts";
import { frostSign, frostSignProposal } from "../protocols/frost/sign.ts";
import { FROST_SUITES, type FrostScheme } from "../protocols/frost/suite.ts";
import { type Definition, payloadHash } from "../protocols/protocol.ts";
import type { RunningSession } from "../session/host.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import type { KeyPurpose } from "../protocols/key_purpose.ts";
import { requirePlain } from "./key_binding.ts";
import { membersNamed, type RepairRequest } from "./key_epochs.ts";
import type { LocalParty } from "./local_party.ts";
import { noteFailedSigning, quorumAmong } from "./signers.ts";

/** A key for Ed25519 or BIP340 as everybody may know it. */
export interface FrostKeyInfo {
  /** What people call it. */
  readonly name: string;
  /** The public record. */
  readonly record: FrostKeyRecord;
  /** The certificate of all members. */
  readonly certificate: Bytes;
}

/** What {@linkcode generateFrostKey} needs. */
export interface FrostGenerateRequest {
  /** Name of the new key. */
  readonly name: string;
  /** Which signatures it makes. */
  readonly scheme: FrostScheme;
  /** Who may sign: a threshold among parties. All parties in it take part. */
  readonly policy: AccessTree;
  /** What the key is for, for ever. Default: `plain`. */
  readonly purpose?: KeyPurpose;
}

/** What {@linkcode signWithFrost} needs. */
export interface FrostSignRequest {
  /** Name of the key. */
  readonly name: string;
  /** What is signed: for Ed25519 the message, at most 48 KiB; for BIP340 a digest of 32 bytes. */
  readonly message: Bytes;
  /** Names of those who are at hand. Default: all members. As many as the threshold sign, by their place in the policy. */
  readonly signers?: readonly string[];
}

/** A signature and what it belongs to. */
export interface FrostSignResult extends FrostKeyInfo {
  /** 64 bytes; undefined where the others were enough and this party was not needed. */
  readonly signature: Bytes | undefined;
  /** Names of those who signed. */
  readonly signers: readonly string[];
}

/** Starts a session of the party. */
export type StartSession = <I, O>(definition: Definition<I, O>, input: I) => Promise<RunningSession<O>>;

/** Whether a stored key is one of these. */
export function isFrostKey({ curve }: Pick<KeyEntry, "curve">): boolean {
  return curve in FROST_SUITES;
}

/** Curve and scheme of a stored key, as in its public record: an entry names a key of FROST by its scheme alone. */
export function kindOfEntry(
  entry: Pick<KeyEntry, "curve">,
): { readonly curve: string; readonly scheme?: FrostScheme } {
  if (!isFrostKey(entry)) return { curve: entry.curve };
  const { group, scheme } = FROST_SUITES[entry.curve as FrostScheme];
  return { curve: group.name, scheme };
}

/** Whether what is known of a key is known of one of these. */
export function isFrostInfo<T extends { readonly record: object }>(info: T): info is T & FrostKeyInfo {
  return "suite" in info.record;
}

/** What everybody may know of an active key. @throws UsageError KEY_UNKNOWN, KEY_PENDING or KEY_SCHEME */
export function frostKeyInfo(local: LocalParty, name: string): FrostKeyInfo {
  const entry = local.store.active(name);
  const { share } = local.openFrostKey(entry);
  share.share[Symbol.dispose]();
  return { name, record: share.record, certificate: entry.certificate };
}

/** Makes a key with all parties of its policy; `former` is what an earlier run left under the name. */
export async function generateFrostKey(
  local: LocalParty,
  start: StartSession,
  { name, scheme, policy, purpose = "plain" }: FrostGenerateRequest,
  former: KeyEntry | undefined,
): Promise<FrostKeyInfo & Pick<FrostDkgResult, "outcome">> {
  const stored = former === undefined ? undefined : local.openFrostKey(former);
  using _stored = stored?.share.share;
  const input: FrostDkgInput = {
    keyName: name,
    scheme,
    policy,
    members: membersNamed(local.config.roster, leavesOf(policy)),
    purpose,
    self: local.party.index,
    ...(stored === undefined || former === undefined
      ? {}
      : { stored: { state: former.state === "active" ? "active" : "pending", key: stored } }),
  };
  frostDkg.proposal(input);
  const session = await start(frostDkg, input);
  const { share, certificate, outcome } = await session.result;
  share.share[Symbol.dispose]();
  if ((await session.settled).all) local.store.settle(share.record);
  return { name, record: share.record, certificate, outcome };
}

/**
 * Signs together with others.
 *
 * @throws UsageError NOT_QUALIFIED, NOT_A_MEMBER or USAGE before any connection is made.
 */
export async function signWithFrost(
  local: LocalParty,
  start: StartSession,
  request: FrostSignRequest,
): Promise<FrostSignResult> {
  const { store } = local;
  const entry = store.active(request.name);
  const { share } = local.openFrostKey(entry);
  using _share = share.share;
  const { record } = share;
  requirePlain(record, request.name);
  store.requireSigning();
  const signers = quorumAmong(record, request, local.party.name, frostQuorumOf);
  const names = signers.map((index) => local.config.roster.nameOf(index));
  const key = { name: request.name, record, certificate: entry.certificate, signers: names };
  if (!signers.includes(share.self)) return { ...key, signature: undefined };
  const input = { share, signers, message: request.message };
  const payload = payloadHash(frostSignProposal(input).payload);
  const place = { keyId: record.keyId, epoch: record.epoch, signers };
  store.admitSigners(place);
  const signature = await (await start(frostSign, input)).result.catch((error) => {
    noteFailedSigning(store, place, error);
    throw error;
  });
  store.resolvePayload(record.keyId, payload);
  return { ...key, signature };
}

/** Gives all members of a key new shares, as for ECDSA keys. */
export async function refreshFrostKey(
  local: LocalParty,
  start: StartSession,
  name: string,
): Promise<FrostKeyInfo & Pick<FrostRefreshResult, "outcome">> {
  using held = openFrostHeld(local, name);
  const input = { keyName: name, self: local.party.index, held: held.epochs };
  const session = await start(frostRefresh, input);
  const { share, certificate, outcome } = await session.result;
  share.share[Symbol.dispose]();
  if ((await session.settled).all) local.store.settle(share.record);
  return { name, record: share.record, certificate, outcome };
}

/**
 * Restores the share of a party that lost it: run at it and at the helpers.
 *
 * @param scheme where this party has no share, and cannot know it.
 */
export async function repairFrostKey(
  local: LocalParty,
  start: StartSession,
  { name, lost, helpers }: RepairRequest,
  scheme: FrostScheme,
): Promise<FrostKeyInfo> {
  const { roster } = local.config;
  const isHelper = helpers.includes(local.party.name);
  const entry = isHelper ? local.store.active(name) : undefined;
  const holding = entry === undefined
    ? undefined
    : { share: local.openFrostKey(entry).share, certificate: entry.certificate };
  using _share = holding?.share.share;
  const known = local.store.named(name).some(({ state }) => state === "active")
    ? frostKeyInfo(local, name).record
    : undefined;
  const input = {
    keyName: name,
    scheme,
    helpers: membersNamed(roster, helpers).map(({ index }) => index),
    lost: roster.named(lost).index,
    self: local.party.index,
    ...(holding === undefined ? {} : { holding }),
    ...(known === undefined ? {} : { known }),
    identityOf: (party: PartyId) => roster.parties.find(({ index }) => index === party)?.identity.publicKey,
  };
  frostRepair.proposal(input);
  const repaired = await (await start(frostRepair, input)).result;
  repaired?.share.share[Symbol.dispose]();
  const { record, certificate } = repaired === undefined
    ? { record: holding?.share.record as FrostKeyRecord, certificate: holding?.certificate as Bytes }
    : { record: repaired.share.record, certificate: repaired.certificate };
  return { name, record, certificate };
}

/** The epochs of a key. Disposing it erases the secrets in them. */
class FrostHeld implements Disposable {
  /** Ascending by epoch. */
  readonly epochs: readonly FrostHeldEpoch[];

  constructor(epochs: readonly FrostHeldEpoch[]) {
    this.epochs = epochs;
  }

  [Symbol.dispose](): void {
    for (const { key } of this.epochs) key.share.share[Symbol.dispose]();
  }
}

/** Attempts to generate another key under the name are no epochs of this one. */
function openFrostHeld(local: LocalParty, name: string): FrostHeld {
  const active = local.store.active(name);
  const epochs: FrostHeldEpoch[] = [];
  try {
    for (const entry of local.store.named(name)) {
      if (!equal(entry.keyId, active.keyId) || entry.state === "left") continue;
      epochs.push({ state: entry.state, key: local.openFrostKey(entry) });
    }
    return new FrostHeld(epochs);
  } catch (error) {
    new FrostHeld(epochs)[Symbol.dispose]();
    throw error;
  }
}
