/**
 * What a voting node must find again after a crash (VOTING 2). Everything is synchronous, and durable when a call returns.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import type { PartyId } from "../base/brands.ts";
import type { Receipt, Suspicion } from "./availability.ts";
import type { QuorumCertificate } from "./certificate.ts";
import type { StoredDissent } from "./dissent.ts";
import type { StoredPage } from "./locked.ts";
import type { Offence, OffenceProof } from "./offence.ts";
import type { Proposal } from "./proposal.ts";
import type { Vote } from "./vote.ts";

/** The one ballot of a transaction that this node votes for, ever. */
export interface VoteLock {
  /** Name of the transaction. */
  readonly txId: string;
  /** Epoch of the membership in which it was set. */
  readonly epoch: number;
  /** What is voted for. */
  readonly ballot: Bytes;
  /** The value, encoded. */
  readonly value: Bytes;
}

/** An offence with its proof. */
export interface StoredOffence extends Offence {
  /** The first proof that verified. */
  readonly proof: OffenceProof;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** One thing that is written. */
export type VoteRecord =
  | { readonly kind: "lock"; readonly lock: VoteLock }
  /** `payer`: the member whose vote opened the transaction here. */
  | { readonly kind: "vote"; readonly vote: Vote; readonly payer: PartyId }
  /** `payer`: the member whose proposal opened the transaction here. */
  | { readonly kind: "proposal"; readonly proposal: Proposal; readonly payer: PartyId }
  /** When this node learned of a transaction, milliseconds since 1970; after the record that opened it. */
  | { readonly kind: "opened"; readonly epoch: number; readonly txId: string; readonly time: number }
  /** `epoch`: of the membership under which it is signed. */
  | { readonly kind: "receipt"; readonly epoch: number; readonly receipt: Receipt }
  /** The same. */
  | { readonly kind: "suspicion"; readonly epoch: number; readonly suspicion: Suspicion }
  /** A page of the list of a member that stays, at one that is new. */
  | { readonly kind: "locked"; readonly page: StoredPage }
  /** A decision on `roster/` closes its epoch, and begins the next one. */
  | { readonly kind: "decision"; readonly certificate: QuorumCertificate }
  | { readonly kind: "offence"; readonly offence: StoredOffence }
  | { readonly kind: "dissent"; readonly dissent: StoredDissent };

/** The store of one node. */
export interface VoteStore {
  /** Everything that was written, in order. */
  load(): Iterable<VoteRecord>;
  /** Writes records, all or none. @throws UsageError with nothing written: nothing is signed then. */
  commit(records: readonly VoteRecord[]): void;
}
