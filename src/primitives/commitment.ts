/**
 * Hash commitments with the committer inside.
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import { type Bytes, equal, u16 } from "../base/bytes.ts";
import { hash } from "./hash.ts";
import type { Tag, TagName } from "./tags.ts";

/** The tags under which commitments are made: one per protocol. */
export type CommitmentTag = Extract<
  TagName,
  | typeof Tag.agreeCommit
  | typeof Tag.dkgCommit
  | typeof Tag.signCommit
  | typeof Tag.reshareCommit
  | typeof Tag.frostRefreshCommit
  | typeof Tag.pairCoinCommit
>;

/** Who commits to what, where. */
export interface Commitment {
  /** The protocol. */
  readonly tag: CommitmentTag;
  /** The session. */
  readonly sid: SessionId;
  /** The committer: a copied commitment does not open for the one who copied it. */
  readonly party: PartyId;
  /** What is committed to. */
  readonly message: Uint8Array;
  /** 32 random bytes. */
  readonly salt: Uint8Array;
}

/** Length of salts and of commitments. */
export const COMMITMENT_BYTES = 32;

/**
 * `Com(sid, i, m; s) = H("…/com"; sid, u16 i, m, s)`.
 *
 * @source SPEC 0.2
 */
export function commit({ tag, sid, party, message, salt }: Commitment): Bytes {
  return hash(tag, sid, u16(party), message, salt);
}

/** True iff the commitment is one to this message and salt. */
export function opens(commitment: Uint8Array, opening: Commitment): boolean {
  return opening.salt.length === COMMITMENT_BYTES && equal(commitment, commit(opening));
}
