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
import { FAILURES, type ReleaseRow, RELEASES, SIGNING } from "./tables.ts";

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

/** Looks at a release before it is written. */
export type ReleaseGate = (
  transaction: Transaction,
  release: BoundRelease & { readonly keyId: Bytes; readonly epoch: number },
) => void;

/** The records of signing in a ledger. */
export class SigningRecords {
  readonly #ledger: Ledger;
  readonly #now: () => number;
  #gate: ReleaseGate | undefined;

  /** Over a ledger that is open. */
  constructor(ledger: Ledger, now: () => number) {
    this.#ledger = ledger;
    this.#now = now;
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
   * Refuses signers whose signatures have failed too often with nobody to name: one of them lies, and each attempt may teach it
   * something.
   *
   * @throws UsageError FAILURE_BUDGET
   */
  admitSigners({ keyId, epoch, signers }: SignersPlace): void {
    const [row] = this.#ledger.find(FAILURES, { keyId: copy(keyId), epoch, signers: encodeSigners(signers) });
    if (row === undefined || row.count < UNATTRIBUTED_MAX) return;
    throw new UsageError(
      "FAILURE_BUDGET",
      `${row.count} signatures of these signers failed and nobody could be named: sign with others, or refresh the key without whoever is not trusted`,
    );
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
