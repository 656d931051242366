/**
 * How many votes decide, and for how long one may vote: the section `[voting]` of the configuration. Parties vote with their
 * identity keys.
 *
 * @module
 */

import { z } from "zod";
import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { Roster } from "../session/roster.ts";
import { makeMembership, type Membership } from "../voting/membership.ts";
import { number, text, whole } from "./config_values.ts";

/** How the parties of a cluster vote. */
export interface VotingConfig {
  /** Who votes at first, how many votes decide, and how many faults that survives. */
  readonly membership: Membership;
  /** Vote keys of all parties, also of those who do not vote now. */
  readonly peers: ReadonlyMap<PartyId, Bytes>;
  /** How long after this node has learned of a transaction it casts a vote in it. */
  readonly ttlMs: number;
  /** How often what this node has is compared with a peer. */
  readonly digestMs: number;
  /** After how long a member that has seen a decided transaction and has not voted counts as silent. */
  readonly silenceMs: number;
}

/** Keys of `[voting]`. */
export const VOTING_SHAPE = {
  quorum: whole(1, 64, "a number of votes").optional(),
  members: z.array(text("a list of names"), { error: "a list of names" }).min(1).max(64).optional(),
  faults: whole(0, 31, "a number of members").optional(),
  ttl_seconds: number(1, 31_536_000, "a number of seconds").optional(),
  digest_seconds: number(0.1, 3600, "a number of seconds").optional(),
  silence_seconds: number(1, 86_400, "a number of seconds").optional(),
};

/** The section's values. */
export type VotingSection = z.infer<z.ZodObject<typeof VOTING_SHAPE>>;

/** As many votes as leave the same room for members who cheat and members who are away: 4 of 5, 5 of 7, 3 of 4. */
export function defaultQuorum(members: number): number {
  return Math.ceil((2 * members + 1) / 3);
}

/**
 * What a section means for the parties of a roster.
 *
 * @throws UsageError CONFIG_INVALID, see {@linkcode makeMembership}
 */
export function votingOf(section: VotingSection, { cluster, parties }: Roster): VotingConfig {
  const stranger = section.members?.find((name) => parties.every((party) => party.name !== name));
  if (stranger !== undefined) {
    throw new UsageError("CONFIG_INVALID", `members names ${stranger}, which is none of the parties`);
  }
  const voters = parties.filter(({ name }) => section.members?.includes(name) ?? true)
    .map(({ name, identity }) => ({ name, key: identity.publicKey }));
  const membership = makeMembership({
    cluster,
    epoch: 0,
    voters,
    quorum: section.quorum ?? defaultQuorum(voters.length),
    ...(section.faults === undefined ? {} : { faults: section.faults }),
  });
  return {
    membership,
    peers: new Map(parties.map(({ index, identity }) => [index, identity.publicKey])),
    ttlMs: (section.ttl_seconds ?? 3600) * 1000,
    digestMs: (section.digest_seconds ?? 5) * 1000,
    silenceMs: (section.silence_seconds ?? 60) * 1000,
  };
}
