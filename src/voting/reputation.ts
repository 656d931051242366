/**
 * Reputation: a number for people, a function of the log of offences alone (VOTING 6). It affects no vote, link or certificate.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal, hex } from "../base/bytes.ts";
import type { QuorumCertificate } from "./certificate.ts";
import { type Dissent, dissentOf, type StoredDissent } from "./dissent.ts";
import { type Membership, voterAt } from "./membership.ts";
import { epochOf, type Offence, verifyOffence } from "./offence.ts";
import type { StoredOffence } from "./store.ts";
import type { Vote } from "./vote.ts";

/** An offence, or a dissent, as this node has it stored. */
export interface LoggedOffence {
  /** See {@linkcode Offence.id}. */
  readonly id: Bytes;
  /** What it is. */
  readonly kind: Offence["kind"] | Dissent["kind"];
  /** Who did it. */
  readonly subject: PartyId;
  /** When this node stored it: milliseconds since 1970. */
  readonly time: number;
}

/** What costs how much. */
export interface Weights {
  /** Points that a dissent costs at first. Default 0: to be of another opinion costs nothing. */
  readonly dissent?: number;
}

/** How a member stands. */
export interface Score {
  /** Its place in the current membership. */
  readonly member: PartyId;
  /** From 0 to 100. */
  readonly score: number;
  /** How many offences of it are known, done with its current key. */
  readonly offences: number;
  /** How many dissents. */
  readonly dissents: number;
}

/** Everything that reputation follows from. */
export interface ReputationLog {
  /** Memberships so far; the last one is current. */
  readonly memberships: readonly Membership[];
  /** Offences with their proofs. */
  readonly offences: readonly StoredOffence[];
  /** Dissents. */
  readonly dissents: readonly StoredDissent[];
}

/** Points that an offence costs at first; one is forgiven per hour. */
export const OFFENCE_WEIGHT = 10;
const HOUR_MS = 3_600_000;

/**
 * 100 less the points of all offences of a member; 0 for ever after a double vote, which needs its key.
 *
 * @param log in any order; an offence that is there twice counts once, with the earlier time.
 */
export function reputationOf(
  log: Iterable<LoggedOffence>,
  subject: PartyId,
  now: number,
  weights: Weights = {},
): number {
  const distinct = new Map<string, LoggedOffence>();
  for (const one of log) {
    if (one.subject !== subject) continue;
    if (one.kind === "double-vote") return 0;
    const known = distinct.get(hex(one.id));
    if (known === undefined || one.time < known.time) distinct.set(hex(one.id), one);
  }
  let points = 0;
  for (const { kind, time } of distinct.values()) {
    const weight = kind === "minority" ? weights.dissent ?? 0 : OFFENCE_WEIGHT;
    points += Math.max(0, weight - Math.max(0, now - time) / HOUR_MS);
  }
  return Math.max(0, 100 - points);
}

/** How all current members stand. What a member did under an earlier membership with the same key is its own. */
export function scoresOf(log: ReputationLog, now: number, weights: Weights = {}): readonly Score[] {
  const { memberships, offences, dissents } = log;
  const current = memberships.at(-1);
  return (current?.voters ?? []).map(({ index: member, key }) => {
    const isOwn = (epoch: number, subject: PartyId) => {
      const membership = memberships.find((one) => one.epoch === epoch);
      const done = membership === undefined ? undefined : voterAt(membership, subject);
      return done !== undefined && equal(done.key.publicKey, key.publicKey);
    };
    const own = offences.filter(({ proof, subject }) => isOwn(epochOf(proof), subject));
    const other = dissents.filter(({ epoch, subject }) => isOwn(epoch, subject));
    const mine = [...own, ...other].map(({ id, kind, time }): LoggedOffence => ({
      id,
      kind,
      time,
      subject: member,
    }));
    const score = reputationOf(mine, member, now, weights);
    return { member, score, offences: own.length, dissents: other.length };
  });
}

/**
 * The log, with nothing in it but what its proofs prove.
 *
 * @param evidence the votes and the decision of a transaction, as they are stored.
 * @returns the log, and the ids of what is not proven.
 */
export function verifiedLog(
  log: ReputationLog,
  evidence: (
    dissent: StoredDissent,
  ) => { readonly votes: readonly Vote[]; readonly certificate: QuorumCertificate } | undefined,
): { readonly log: ReputationLog; readonly unproven: readonly Bytes[] } {
  const membershipOf = (epoch: number) => log.memberships.find((one) => one.epoch === epoch);
  const isProven = ({ id, kind, subject, txId, proof }: StoredOffence): boolean => {
    const membership = membershipOf(epochOf(proof));
    const proven = membership === undefined ? undefined : verifyOffence(membership, proof);
    return proven !== undefined && equal(proven.id, id) && proven.kind === kind &&
      proven.subject === subject && proven.txId === txId;
  };
  const isShown = (dissent: StoredDissent): boolean => {
    const membership = membershipOf(dissent.epoch);
    const shown = evidence(dissent);
    if (membership === undefined || shown === undefined) return false;
    const [vote, second] = shown.votes.filter(({ voter }) => voter === dissent.subject);
    if (vote === undefined || second !== undefined) return false;
    const proven = dissentOf(membership, vote, shown.certificate);
    return proven !== undefined && equal(proven.id, dissent.id);
  };
  const offences = log.offences.filter(isProven);
  const dissents = log.dissents.filter(isShown);
  const unproven = [
    ...log.offences.filter((one) => !offences.includes(one)),
    ...log.dissents.filter((one) => !dissents.includes(one)),
  ].map(({ id }) => id);
  return { log: { memberships: log.memberships, offences, dissents }, unproven };
}
