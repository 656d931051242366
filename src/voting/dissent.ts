/**
 * Dissent (VOTING 5): a member has voted for something else than what was decided. That is its right, and no offence; it is counted
 * where somebody wants to know.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { certificateFault, type QuorumCertificate } from "./certificate.ts";
import type { Membership } from "./membership.ts";
import { offenceId } from "./offence.ts";
import { ballotOf, type Vote, voteFault } from "./vote.ts";

/** A vote for something else. */
export interface Dissent {
  /** Its identity: equal at all honest members. */
  readonly id: Bytes;
  /** Stands where the kind of an offence stands. */
  readonly kind: "minority";
  /** Who voted so. */
  readonly subject: PartyId;
  /** In which transaction. */
  readonly txId: string;
}

/** A dissent as it is stored. */
export interface StoredDissent extends Dissent {
  /** Epoch of the membership. */
  readonly epoch: number;
  /** When this node stored it: milliseconds since 1970. */
  readonly time: number;
}

/** Number of this kind beside those of offences. */
export const DISSENT = 3;

/** The dissent of a vote and a decision, checked from the bottom; undefined where they show none. */
export function dissentOf(
  membership: Membership,
  vote: Vote,
  certificate: QuorumCertificate,
): Dissent | undefined {
  const { txId, voter: subject } = vote;
  if (txId !== certificate.txId || equal(ballotOf(vote), ballotOf(certificate))) return undefined;
  if (voteFault(membership, vote) !== undefined || certificateFault(membership, certificate) !== undefined) {
    return undefined;
  }
  const id = offenceId(membership, { kind: DISSENT, subject, txId, envelope: EMPTY });
  return { id, kind: "minority", subject, txId };
}
