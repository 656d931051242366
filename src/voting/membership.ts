/**
 * Who votes, how many votes decide, and how many faults that survives (VOTING 1, 2, 7).
 *
 * @module
 */

import { type PartyId, partyId } from "../base/brands.ts";
import { type Bytes, u16, u32, utf8 } from "../base/bytes.ts";
import { type Ed25519Verifier, ed25519Verifier } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";

/** One who votes. */
export interface Voter {
  /** Place in the membership, from 1. */
  readonly index: PartyId;
  /** Name. */
  readonly name: string;
  /** Verifies the votes. */
  readonly key: Ed25519Verifier;
}

/** Those who vote in one epoch. */
export interface Membership {
  /** Name of the cluster. */
  readonly cluster: string;
  /** A number of its own, not the epoch of a key: each change of members is another one. */
  readonly epoch: number;
  /** Ascending by index. */
  readonly voters: readonly Voter[];
  /** q: how many equal votes decide. */
  readonly quorum: number;
  /** f: how many faulty members are reckoned with. */
  readonly faults: number;
  /** `H("vote/membership"; clusterId, u32 epoch, u16 n, u16 q, (u16 i, name, key)_1..n)`. */
  readonly hash: Bytes;
}

/** What a membership is made of. */
export interface MembershipInput {
  /** Name of the cluster. */
  readonly cluster: string;
  /** See {@linkcode Membership.epoch}. */
  readonly epoch: number;
  /** Names and vote keys (32 bytes), in index order. */
  readonly voters: readonly { readonly name: string; readonly key: Bytes }[];
  /** q. */
  readonly quorum: number;
  /** f. Default: as many as quorum and number of members allow, at least 1. */
  readonly faults?: number;
}

/** How many faults a quorum survives. */
export interface FaultBounds {
  /** f_s = 2q − n − 1: double voters with whom two decisions are still impossible. */
  readonly safe: number;
  /** f_l = n − q: absent members with whom a decision is still possible. */
  readonly live: number;
}

/** Most members. */
export const VOTERS_MAX = 64;

/** The bounds of n members and a quorum of q. */
export function faultBounds(members: number, quorum: number): FaultBounds {
  return { safe: 2 * quorum - members - 1, live: members - quorum };
}

/** `safe with 2 equivocating, live with 1 absent`. */
export function describeFaults({ voters, quorum }: Pick<Membership, "voters" | "quorum">): string {
  const { safe, live } = faultBounds(voters.length, quorum);
  return `safe with ${safe} equivocating, live with ${live} absent`;
}

/**
 * Checks a membership.
 *
 * @throws UsageError CONFIG_INVALID for a quorum that two groups can have at once, that cannot be reached, or that does not survive the
 * faults; IDENTITY_INVALID for a vote key that is not valid, or is used twice.
 */
export function makeMembership(input: MembershipInput): Membership {
  const { cluster, epoch, quorum } = input;
  const n = input.voters.length;
  if (n < 1 || n > VOTERS_MAX) throw invalid(`a membership has 1 to ${VOTERS_MAX} members: found ${n}`);
  const faults = checkedFaults(input);
  const voters = input.voters.map(({ name, key }, i): Voter => {
    const verifier = ed25519Verifier(key);
    const twice = input.voters.slice(0, i).some((other) =>
      other.name === name || other.key.toHex() === key.toHex()
    );
    if (verifier === undefined || twice) {
      throw new UsageError(
        "IDENTITY_INVALID",
        `the vote key of ${name} is ${
          twice ? "another member's, or its name is" : "not a valid Ed25519 public key"
        }`,
        { party: name },
      );
    }
    return { index: partyId(i + 1), name, key: verifier };
  });
  const members = voters.flatMap(({ index, name, key }) => [u16(index), utf8(name), key.publicKey]);
  return {
    cluster,
    epoch,
    voters,
    quorum,
    faults,
    hash: hash(Tag.voteMembership, utf8(cluster), u32(epoch), u16(n), u16(quorum), ...members),
  };
}

/** Who has a place; undefined where nobody has. */
export function voterAt({ voters }: Membership, index: number): Voter | undefined {
  return voters[index - 1];
}

function checkedFaults({ voters, quorum, faults }: MembershipInput): number {
  const n = voters.length;
  if (!Number.isInteger(quorum) || quorum > n || 2 * quorum <= n) {
    throw invalid(
      `of ${n} members ${Math.floor(n / 2) + 1} to ${n} decide: found a quorum of ${quorum}, ` +
        (quorum > n ? "which cannot be reached" : "which two groups can have at once"),
    );
  }
  const { safe, live } = faultBounds(n, quorum);
  const most = Math.min(safe, live);
  if (faults === undefined && most < 1) {
    throw invalid(
      `a quorum of ${quorum} of ${n} survives no fault (safe with ${safe} equivocating, live with ${live} absent): write faults = 0 if that is meant`,
    );
  }
  const chosen = faults ?? most;
  if (!Number.isInteger(chosen) || chosen < 0 || chosen > most) {
    throw invalid(
      `a quorum of ${quorum} of ${n} survives ${most} faults (safe with ${safe} equivocating, live with ${live} absent): found faults = ${chosen}`,
    );
  }
  return chosen;
}

function invalid(sentence: string): UsageError {
  return new UsageError("CONFIG_INVALID", sentence);
}
