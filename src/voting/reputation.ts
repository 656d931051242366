/**
 * Reputation: a number for people, a function of the log of offences alone (VOTING 6). It affects no vote, link or certificate.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { hex } from "../base/bytes.ts";
import type { Offence } from "./offence.ts";

/** An offence as this node has it stored. */
export interface LoggedOffence extends Pick<Offence, "id" | "kind" | "subject"> {
  /** When this node stored it: milliseconds since 1970. */
  readonly time: number;
}

/** Points that an offence costs at first; one is forgiven per hour. */
export const OFFENCE_WEIGHT = 10;
const HOUR_MS = 3_600_000;

/**
 * 100 less the points of all offences of a member; 0 for ever after a double vote, which needs its key.
 *
 * @param log in any order; an offence that is there twice counts once, with the earlier time.
 */
export function reputationOf(log: Iterable<LoggedOffence>, subject: PartyId, now: number): number {
  const distinct = new Map<string, LoggedOffence>();
  for (const one of log) {
    if (one.subject !== subject) continue;
    if (one.kind === "double-vote") return 0;
    const known = distinct.get(hex(one.id));
    if (known === undefined || one.time < known.time) distinct.set(hex(one.id), one);
  }
  let points = 0;
  for (const { time } of distinct.values()) {
    points += Math.max(0, OFFENCE_WEIGHT - Math.max(0, now - time) / HOUR_MS);
  }
  return Math.max(0, 100 - points);
}
