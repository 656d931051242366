/**
 * What a party's store knows of signing: shares of signatures that left, who may sign with whom, and whether anything is signed
 * (SPEC 2.6).
 *
 * @module
 */

import { type Bytes, concat, copy, u16 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { BoundRelease } from "../protocols/bound.ts";
import type { JournalRecord } from "../protocols/protocol.ts";
import type { Ledger, Transaction } from "./ledger.ts";
import { type BanRow, BANS, FAILURES, type ReleaseRow, RELEASES, SIGNING } from "./tables.ts";

/** Failed signatures of one set of signers, with nobody to name, after which the set is refused in one epoch (SPEC 2.6). */
export const UNATTRIBUTED_MAX = 3;
/** Which signers of which key are meant. */
export interface SignersPlace {
  /** Key id. */
  readonly keyId: Bytes;
  /** Epoch of the key. */
  readonly epoch: number;
  /** Indices, ascending. */
  readonly signers: readonly number[];
}

/** Who is to be banned from signing with a key, and why. */
export type Ban = Omit<BanRow, "time">;

/** Looks at a release before it is written. */
export type ReleaseGate = (
  transaction: Transaction,
  release: BoundRelease & { readonly keyId: Bytes; readonly epoch: number },
) => void;

/** The records of signing in a ledger. */
export class SigningRecords {
  readonly #ledger: Ledger;
  readonly #now: () => number;
  readonly #nameOf: (party: number) => string;
  #gate: ReleaseGate | undefined;

  /** Over a ledger that is open. @param nameOf for people. */
  constructor(ledger: Ledger, now: () => number, nameOf: (party: number) => string) {
    this.#ledger = ledger;
    this.#now = now;
    this.#nameOf = nameOf;
  }

  /** Signing sessions of a key whose last round may have left. */
  releases(keyId: Bytes): ReleaseRow[] {
    return this.#ledger.find(RELEASES, { keyId: copy(keyId) });
  }

  /** Has every release of a key with a purpose pass a gate, which throws where it may not leave, in the same transaction. */
  guard(gate: ReleaseGate): void {
    this.#gate = gate;
  }

  /** @throws UsageError SIGNING_PAUSED */
  requireNotPaused(): void {
    refusePaused(this.#ledger);
  }

  /** A signature on this payload is known: it is no longer unknown whether there is one. */
  resolve(keyId: Bytes, payloadHash: Bytes): void {
    this.#ledger.transact((transaction) => {
      for (const row of transaction.find(RELEASES, { keyId, payloadHash, outcome: "unknown" })) {
        transaction.put(RELEASES, { ...row, outcome: "signed" });
      }
    });
  }

  /**
   * Refuses signers of whom one is banned, and those whose signatures have failed too often with nobody to name: one of them lies,
   * and each attempt may teach it something.
   *
   * @throws UsageError SIGNER_BANNED or FAILURE_BUDGET
   */
  admitSigners({ keyId, epoch, signers }: SignersPlace): void {
    const banned = this.bans(keyId).find(({ party }) => signers.includes(party));
    if (banned !== undefined) {
      const { party, reason, time } = banned;
      throw new UsageError(
        "SIGNER_BANNED",
        `nothing is signed with ${this.#nameOf(party)}: in a signature at ${
          new Date(time).toISOString()
        } ${reason}; sign with others, or lift the ban with quorate key unban`,
        { party: this.#nameOf(party) },
      );
    }
    const [row] = this.#ledger.find(FAILURES, { keyId: copy(keyId), epoch, signers: encodeSigners(signers) });
    if (row === undefined || row.count < UNATTRIBUTED_MAX) return;
    throw new UsageError(
      "FAILURE_BUDGET",
      `${row.count} signatures of these signers failed and nobody could be named: sign with others, or refresh the key without whoever is not trusted`,
    );
  }

  /** Keeps a party out of signing with a key until {@linkcode SigningRecords.unban}. @returns false where it is: the first reason stays. */
  ban({ keyId, party, epoch, code, reason }: Ban): boolean {
    return this.#ledger.transact((transaction) => {
      const place = { keyId: copy(keyId), party };
      if (transaction.find(BANS, place).length > 0) return false;
      transaction.put(BANS, {
        ...place,
        epoch,
        code,
        reason: reason.slice(0, REASON_MAX),
        time: this.#now(),
      });
      return true;
    });
  }

  /** Ends a ban. @returns false where there is none. */
  unban(keyId: Bytes, party: number): boolean {
    return this.#ledger.transact((transaction) => {
      const [row] = transaction.find(BANS, { keyId: copy(keyId), party });
      if (row !== undefined) transaction.remove(BANS, row);
      return row !== undefined;
    });
  }

  /** Who is banned from signing with a key, and why. */
  bans(keyId: Bytes): BanRow[] {
    return this.#ledger.find(BANS, { keyId: copy(keyId) });
  }

  /** Notes that a signature failed a check for which nobody can be named. */
  signersFailed({ keyId, epoch, signers }: SignersPlace): void {
    this.#ledger.transact((transaction) => {
      const place = { keyId: copy(keyId), epoch, signers: encodeSigners(signers) };
      const [row] = transaction.find(FAILURES, place);
      transaction.put(FAILURES, { ...place, count: (row?.count ?? 0) + 1 });
    });
  }

  /** @throws UsageError SIGNING_PAUSED, APPROVAL_REQUIRED, or what the gate says */
  release(transaction: Transaction, record: Extract<JournalRecord, { kind: "release" }>): void {
    const { sid, keyId, epoch, payloadHash, bound } = record;
    // In the transaction that lets a share out: once a pause is on disk, none leaves.
    refusePaused(transaction);
    if (bound !== undefined) {
      if (this.#gate === undefined) {
        throw new UsageError(
          "APPROVAL_REQUIRED",
          "nothing here looks after what is approved: start the node with quorate node run",
        );
      }
      this.#gate(transaction, { keyId, epoch, ...bound });
    }
    transaction.put(RELEASES, { sid, keyId, epoch, payloadHash, outcome: "unknown", time: this.#now() });
  }
}

/** @throws UsageError SIGNING_PAUSED */
function refusePaused(from: Pick<Transaction, "find">): void {
  const [paused] = from.find(SIGNING, { name: "paused" });
  if (paused === undefined) return;
  throw new UsageError(
    "SIGNING_PAUSED",
    `signing is paused here since ${
      new Date(paused.time).toISOString()
    }: an operator has to say quorate resume`,
  );
}

function encodeSigners(signers: readonly number[]): Bytes {
  return concat(...signers.map(u16));
}

/** Of a reason, in the unit of the column. */
const REASON_MAX = 256;
