/**
 * Who is in the cluster: index, name and identity key of every party, and the hash that stands for the list (WIRE.md 6).
 *
 * @module
 */

import { type PartyId, partyId } from "../base/brands.ts";
import { type Bytes, u16, utf8 } from "../base/bytes.ts";
import { type Ed25519Verifier, ed25519Verifier } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";

/** One party of the cluster. */
export interface RosterEntry {
  /** Place in the configuration, from 1; never reused or reordered. */
  readonly index: PartyId;
  /** As in the configuration. */
  readonly name: string;
  /** Verifies its envelopes and votes. */
  readonly identity: Ed25519Verifier;
}

/** The parties of a cluster, ascending by index. */
export interface Roster {
  /** Its name. */
  readonly cluster: string;
  /** All entries. */
  readonly parties: readonly RosterEntry[];
  /** `H("roster"; cluster, u16 n, (u16 index, name, identity)_1..n)`. */
  readonly hash: Bytes;
  /** `H("cluster"; cluster)`. */
  readonly clusterHash: Bytes;
  /** The entry of an index. @throws UsageError NOT_A_MEMBER */
  get(index: PartyId): RosterEntry;
  /** The entry of a name. @throws UsageError NOT_A_MEMBER */
  named(name: string): RosterEntry;
  /** For messages: the name, or `party 7` where there is none. */
  nameOf(index: number): string;
}

/**
 * Makes a roster and checks every identity key once.
 *
 * @param parties in index order.
 * @throws UsageError IDENTITY_INVALID for a key that is not canonical, of prime order and unlike the others.
 */
export function makeRoster(
  cluster: string,
  parties: readonly { readonly name: string; readonly identity: Bytes }[],
): Roster {
  const entries: RosterEntry[] = [];
  for (const [i, { name, identity }] of parties.entries()) {
    const verifier = ed25519Verifier(identity);
    if (verifier === undefined) {
      throw new UsageError(
        "IDENTITY_INVALID",
        `the identity key of ${name} is not a valid Ed25519 public key`,
        { party: name },
      );
    }
    const same = entries.find((e) => e.name === name || e.identity.publicKey.toHex() === identity.toHex());
    if (same !== undefined) {
      throw new UsageError(
        "CONFIG_INVALID",
        `parties ${same.name} and ${name} share a name or an identity key`,
        { party: name },
      );
    }
    entries.push({ index: partyId(i + 1), name, identity: verifier });
  }
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return {
    cluster,
    parties: entries,
    hash: hash(
      Tag.roster,
      utf8(cluster),
      u16(entries.length),
      ...entries.flatMap((e) => [u16(e.index), utf8(e.name), e.identity.publicKey]),
    ),
    clusterHash: hash(Tag.clusterHash, utf8(cluster)),
    get(index) {
      const entry = entries[index - 1];
      if (entry === undefined) {
        throw new UsageError("NOT_A_MEMBER", `there is no party with index ${index} in ${cluster}`);
      }
      return entry;
    },
    named(name) {
      const entry = byName.get(name);
      if (entry === undefined) {
        const names = entries.map((other) => other.name);
        throw new UsageError(
          "NOT_A_MEMBER",
          `${name} is not a party of ${cluster}: ${names.join(", ")} are${didYouMean(name, names)}`,
        );
      }
      return entry;
    },
    nameOf: (index) => entries[index - 1]?.name ?? `party ${index}`,
  };
}
