/**
 * The epochs of a key as this party has them stored, opened for refresh and reshare.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { type AccessTree, leavesOf } from "../primitives/access.ts";
import type { FrostScheme } from "../protocols/frost/suite.ts";
import type { Member } from "../protocols/key_share.ts";
import { activeShare, type HeldEpoch } from "../protocols/reshare/held.ts";
import type { RepairInput } from "../protocols/reshare/repair.ts";
import type { ReshareInput } from "../protocols/reshare/reshare.ts";
import type { SyncInput } from "../protocols/reshare/sync.ts";
import type { Roster } from "../session/roster.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import type { LocalParty } from "./local_party.ts";

/** The epochs of one key. Disposing it erases the secrets in them. */
export class HeldKey implements Disposable {
  /** Ascending by epoch. */
  readonly epochs: readonly HeldEpoch[];

  /** @ignore use {@linkcode openHeld} */
  constructor(epochs: readonly HeldEpoch[]) {
    this.epochs = epochs;
  }

  /** Erases the secrets. */
  [Symbol.dispose](): void {
    for (const { key } of this.epochs) {
      if ("share" in key) key.share.share[Symbol.dispose]();
    }
  }
}

/**
 * Everything stored of the key that has a name here: of the active one, or else of the newest. Attempts to generate another key
 * under the name are no epochs of it.
 */
export function openHeld(local: LocalParty, name: string): HeldKey {
  const entries = local.store.named(name);
  const current = entries.findLast(({ state }) => state === "active") ?? newestLater(entries);
  const epochs: HeldEpoch[] = [];
  try {
    for (const entry of entries) {
      if (current === undefined || !equal(entry.keyId, current.keyId)) continue;
      epochs.push({ state: entry.state, key: local.openStored(entry) });
    }
    return new HeldKey(epochs);
  } catch (error) {
    new HeldKey(epochs)[Symbol.dispose]();
    throw error;
  }
}

/** Parties of the roster as members of a key, ascending by index. @throws UsageError NOT_A_MEMBER */
export function membersNamed(roster: Roster, names: readonly string[]): Member[] {
  return names.map((name) => roster.named(name))
    .map(({ index, name, identity }) => ({ index, name, identity: identity.publicKey }))
    .sort((a, b) => a.index - b.index);
}

/** What {@linkcode reshareInput} needs. */
export interface ReshareRequest {
  /** Name of the key. */
  readonly name: string;
  /** Who may sign together from now on. */
  readonly policy: AccessTree;
  /** Names of old members that take part although the new policy does not name them. */
  readonly dealers?: readonly string[];
  /** The compressed public key, for a new member that wants to join no other key. */
  readonly publicKey?: Bytes;
}

/** The input of a reshare at this party. */
export function reshareInput(local: LocalParty, held: HeldKey, request: ReshareRequest): ReshareInput {
  const { roster } = local.config;
  const names = leavesOf(request.policy);
  const leaving = (request.dealers ?? []).filter((name) => !names.includes(name));
  return {
    keyName: request.name,
    self: local.party.index,
    policy: request.policy,
    members: membersNamed(roster, names),
    witnesses: membersNamed(roster, [...new Set(leaving)]),
    roster: allOf(roster),
    held: held.epochs,
    ...(request.publicKey === undefined ? {} : { publicKey: request.publicKey }),
  };
}

/** Old members that have no part in a reshare: they learn of it when it is over. */
export function absentMembers(held: HeldKey, { members, witnesses }: ReshareInput): Member[] {
  const present = new Set([...members, ...witnesses].map(({ index }) => index));
  return activeShare(held.epochs)?.share.record.members.filter(({ index }) => !present.has(index)) ?? [];
}

/** What {@linkcode repairInput} needs. */
export interface RepairRequest {
  /** Name of the key. */
  readonly name: string;
  /** Name of the party that lost its share. */
  readonly lost: string;
  /** Names of those who help. */
  readonly helpers: readonly string[];
  /** Which signatures the key makes, where it is for Ed25519 or BIP340: the party that lost its share cannot know. */
  readonly scheme?: FrostScheme;
}

/** The input of a repair at this party. */
export function repairInput(local: LocalParty, held: HeldKey, request: RepairRequest): RepairInput {
  const { roster } = local.config;
  const [lost] = membersNamed(roster, [request.lost]) as [Member];
  const isHelper = request.helpers.includes(local.party.name);
  return {
    keyName: request.name,
    self: local.party.index,
    lost,
    helpers: membersNamed(roster, request.helpers),
    roster: allOf(roster),
    held: held.epochs,
    certificate: isHelper ? local.store.active(request.name).certificate : undefined,
  };
}

/** The input of a synchronisation of this party with others. */
export function syncInput(
  local: LocalParty,
  held: HeldKey,
  name: string,
  parties: readonly PartyId[],
): SyncInput {
  const { roster } = local.config;
  const names = [...new Set([...parties, local.party.index])].map((index) => roster.nameOf(index));
  return {
    keyName: name,
    self: local.party.index,
    participants: membersNamed(roster, names),
    held: held.epochs,
    certificate: (epoch) => certificateOf(local, held, epoch),
  };
}

function certificateOf(local: LocalParty, held: HeldKey, epoch: number): Bytes {
  const [key] = held.epochs.map(({ key }) => "share" in key ? key.share.record : key.record);
  const entry = local.store.keys().find((row) =>
    row.epoch === epoch && equal(row.keyId, key?.keyId ?? EMPTY)
  );
  if (entry !== undefined) return entry.certificate;
  throw new UsageError("KEY_UNKNOWN", `no epoch ${epoch} of this key is stored here`);
}

function allOf({ parties }: Roster): Member[] {
  return parties.map(({ index, name, identity }) => ({ index, name, identity: identity.publicKey }));
}

/** Of a party that joins a key, or has left it. */
function newestLater(entries: readonly KeyEntry[]): KeyEntry | undefined {
  return entries.filter(({ epoch }) => epoch > 0).sort((a, b) => a.time - b.time).at(-1);
}
