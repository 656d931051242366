/**
 * What parties that are missing at the deadline say before their silence is reported: two honest parties can wait for each other when
 * a third one gave each of them something else (WIRE.md 5).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { TransportError } from "../base/errors.ts";

/** What a peer said when it left, as the error that it is here. */
export interface Word {
  /** Its code, if it is one of ours. */
  readonly code: string;
  /** Whom it named. */
  readonly parties: readonly number[];
  /** What it is here. */
  readonly error: TransportError;
}

/** Who is missing, and what each of them said. */
export class LastWords {
  readonly #words = new Map<PartyId, Word>();
  #expired: readonly PartyId[] = [];
  #isOverdue = false;

  /** Who was missing when the deadline passed. */
  get expired(): readonly PartyId[] {
    return this.#expired;
  }

  /** True where each of them has said why, or for whom it waits. */
  get isComplete(): boolean {
    return this.#expired.every((party) => this.#words.has(party));
  }

  /**
   * The deadline has passed.
   *
   * @param own whether it is this party's own; otherwise a peer, who may lie, says that somebody is missing.
   * @returns who of the missing has not said a word.
   */
  expire(missing: readonly PartyId[], own: boolean): readonly PartyId[] {
    this.#isOverdue = own;
    this.#expired = missing;
    return this.#silent();
  }

  /** A peer left and said why. */
  heard(peer: PartyId, word: Word): void {
    this.#words.set(peer, word);
  }

  /** Whether the silence of a peer is another one's claim. */
  doubts(peer: PartyId): boolean {
    return !this.#isOverdue && this.#expired.includes(peer);
  }

  /** Who speaks after another one claimed that it is silent is not: what ended the session is that claim. @returns false where it is old news. */
  speaks(peer: PartyId): boolean {
    const [claim] = this.#words.values();
    if (!this.doubts(peer) || this.#words.has(peer) || claim === undefined) return false;
    this.#words.set(peer, claim);
    return true;
  }

  /** A missing peer explains itself. @returns false where it does not. */
  explains(peer: PartyId, word: Word, self: PartyId): boolean {
    // Who is overdue and only answers our farewell does not explain itself.
    const explains = !this.#isOverdue || !["PEER_ABORTED", "PEER_REFUSED"].includes(word.code) ||
      !word.parties.includes(self);
    if (!this.#expired.includes(peer) || !explains) return false;
    this.#words.set(peer, word);
    return true;
  }

  /** Those who never said a word; where all did, the first word is the reason. */
  conclusion(): { readonly silent: readonly PartyId[]; readonly first: Word | undefined } {
    const [first] = this.#words.values();
    return { silent: this.#silent(), first };
  }

  #silent(): readonly PartyId[] {
    return this.#expired.filter((peer) => !this.#words.has(peer));
  }
}
