/**
 * Who sends what is invalid (VOTING 3): it is still heard, since it may be needed for a quorum, but costs little.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";

/** Proofs of invalid signatures that are kept of one member, and invalid items after which it is heard less. */
export const INVALID_KEPT_MAX = 3;
/** How often an item is taken of a member that has sent so many. */
export const LIMITED_MS = 1000;

/** Members, and what they sent. */
export class Senders {
  readonly #invalid = new Map<PartyId, { count: number; takenAt: number }>();

  /** A member has sent an invalid item. */
  countInvalid(sender: PartyId, now: number): void {
    const known = this.#invalid.get(sender);
    this.#invalid.set(sender, { count: (known?.count ?? 0) + 1, takenAt: known?.takenAt ?? now });
  }

  /** Whether the next item of a member is not looked at. */
  isLimited(sender: PartyId, now: number): boolean {
    const known = this.#invalid.get(sender);
    if (known === undefined || known.count < INVALID_KEPT_MAX) return false;
    // A clock that was set back must not silence a member.
    if (Math.abs(now - known.takenAt) < LIMITED_MS) return true;
    known.takenAt = now;
    return false;
  }
}
