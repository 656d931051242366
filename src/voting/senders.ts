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

/** What a member is answered in a second, in bytes: it asks with few, and what is left out is asked for again. */
export const ANSWERED_BYTES_MAX: number = 16 << 20;
const SECOND_MS = 1000;

/** Members, and what they sent. */
export class Senders {
  readonly #invalid = new Map<PartyId, { count: number; takenAt: number }>();
  readonly #answered = new Map<PartyId, { bytes: number; since: number }>();

  /** Notes what a question of a member costs. */
  countAnswer(sender: PartyId, bytes: number, now: number): void {
    this.#answers(sender, now).bytes += bytes;
  }

  /** Whether a member gets no more answers for now. */
  isAnswered(sender: PartyId, now: number): boolean {
    return this.#answers(sender, now).bytes >= ANSWERED_BYTES_MAX;
  }

  #answers(sender: PartyId, now: number): { bytes: number; since: number } {
    const known = this.#answered.get(sender);
    if (known !== undefined && Math.abs(now - known.since) < SECOND_MS) return known;
    const fresh = { bytes: 0, since: now };
    this.#answered.set(sender, fresh);
    return fresh;
  }

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
