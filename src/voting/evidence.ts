/**
 * What a node has against members in one epoch: offences with their proofs, and votes for something else than what was decided
 * (VOTING 5).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { equal, hex } from "../base/bytes.ts";
import { dissentOf, type StoredDissent } from "./dissent.ts";
import { OFFENCES_MAX } from "./items.ts";
import type { Membership } from "./membership.ts";
import { type OffenceProof, verifyOffence } from "./offence.ts";
import { INVALID_KEPT_MAX } from "./senders.ts";
import type { StoredOffence, VoteStore } from "./store.ts";
import type { Transaction } from "./transactions.ts";

/** Offences and dissents of an epoch. */
export class Evidence {
  readonly #membership: Membership;
  readonly #store: VoteStore;
  readonly #offences = new Map<string, StoredOffence>();
  readonly #dissents = new Map<string, StoredDissent>();
  /** Who voted twice in what: asked for every vote and every dissent, of which there may be many. */
  readonly #twice = new Set<string>();

  /** None yet. @param store where they are written. */
  constructor(membership: Membership, store: VoteStore) {
    this.#membership = membership;
    this.#store = store;
  }

  /** Offences with their proofs. */
  get offences(): readonly StoredOffence[] {
    return [...this.#offences.values()];
  }

  /** Those that are compared with peers: a member can make as many as it likes. */
  get newest(): readonly StoredOffence[] {
    return this.offences.slice(-OFFENCES_MAX);
  }

  /** Votes for something else than what was decided, but for those of members who voted twice. */
  get dissents(): readonly StoredDissent[] {
    return [...this.#dissents.values()].filter(({ txId, subject }) => !this.hasVotedTwice(txId, subject));
  }

  /** Takes an offence that is stored. */
  keep(offence: StoredOffence): void {
    this.#offences.set(hex(offence.id), offence);
    if (offence.kind === "double-vote") this.#twice.add(placeOf(offence.txId, offence.subject));
  }

  /** Takes a dissent that is stored. */
  keepDissent(dissent: StoredDissent): void {
    this.#dissents.set(hex(dissent.id), dissent);
  }

  /** Whether there is a proof that a member voted twice in a transaction. */
  hasVotedTwice(txId: string, member: PartyId): boolean {
    return this.#twice.has(placeOf(txId, member));
  }

  /** Stores an offence that is new. @returns undefined where nothing is proven, or nothing that is not known. */
  prove(proof: OffenceProof, now: number): StoredOffence | undefined {
    if (proof.kind === "invalid-signature" && this.#hasEnough(proof.envelope.from)) return undefined;
    const proven = verifyOffence(this.#membership, proof);
    if (proven === undefined || this.#offences.has(hex(proven.id))) return undefined;
    const offence: StoredOffence = { ...proven, proof, time: now };
    this.#store.commit([{ kind: "offence", offence }]);
    this.keep(offence);
    return offence;
  }

  /** Stores who voted for something else than what was decided. @returns those that are new. */
  noteDissent({ txId, votes, certificates }: Transaction, now: number): readonly StoredDissent[] {
    const [certificate] = certificates;
    if (certificate === undefined) return [];
    const noted: StoredDissent[] = [];
    for (const [voter, [vote]] of votes) {
      if (vote === undefined || equal(vote.value, certificate.value)) continue;
      if (this.hasVotedTwice(txId, voter)) continue;
      const found = dissentOf(this.#membership, vote, certificate);
      if (found === undefined || this.#dissents.has(hex(found.id))) continue;
      const dissent: StoredDissent = { ...found, epoch: this.#membership.epoch, time: now };
      this.#store.commit([{ kind: "dissent", dissent }]);
      this.keepDissent(dissent);
      noted.push(dissent);
    }
    return noted;
  }

  /** Whoever wants to be guilty can be so without end: a few proofs are enough. */
  #hasEnough(member: PartyId): boolean {
    const kept = this.offences.filter(({ kind, subject }) =>
      kind === "invalid-signature" && subject === member
    );
    return kept.length >= INVALID_KEPT_MAX;
  }
}

function placeOf(txId: string, member: PartyId): string {
  return `${member} ${txId}`;
}
