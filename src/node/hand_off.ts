/**
 * Hands decisions off to the store of coordination, where executors find them (VOTING 10). At least once, and never needed for a
 * decision: while the store is down, decisions go on and wait here.
 *
 * @module
 */

import { setTimeout as pause } from "node:timers/promises";
import { type Bytes, equal, hex, utf8 } from "../base/bytes.ts";
import { decode, DecodeError, encode } from "../base/codec.ts";
import { QuorateError, TransportError } from "../base/errors.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { Coordination, Entry } from "../storage/coordination.ts";
import type { Ledger } from "../storage/ledger.ts";
import { HAND_OFFS, type HandOffRow } from "../storage/tables.ts";
import { certificateCodec, certificateFault, type QuorumCertificate } from "../voting/certificate.ts";
import type { Membership } from "../voting/membership.ts";
import { ballotOf } from "../voting/vote.ts";

/** What is told of a hand-off. */
export type HandOffEvent =
  /** The store has it. */
  | { readonly kind: "done"; readonly txId: string }
  /** The store is down, or an answer was lost: it is tried again. */
  | { readonly kind: "waiting"; readonly reason: string }
  /** Somebody wrote something else than a certificate; it was replaced. */
  | { readonly kind: "invalid"; readonly txId: string }
  /** It was replaced as often as is sensible: an operator has to look who writes there. */
  | { readonly kind: "gave-up"; readonly txId: string }
  /** The store holds a valid certificate for another value. */
  | { readonly kind: "conflict"; readonly certificate: QuorumCertificate };

/** What a hand-off needs. */
export interface HandOffOptions {
  /** Where decisions go. */
  readonly coordination: Coordination;
  /** Where it is remembered which ones are there. */
  readonly ledger: Pick<Ledger, "find" | "transact">;
  /** Under which certificates of an epoch are checked. */
  readonly membershipAt: (epoch: number) => Membership | undefined;
  /** Told of what happens. */
  readonly on: (event: HandOffEvent) => void;
  /** First and longest wait after a failure. Default: 200 ms and 10 s. */
  readonly retryMs?: { readonly first: number; readonly max: number };
  /** How long it may take until the file says what the store has. Default: 1 s. */
  readonly markMs?: number;
}

/** Where a decision is: `/quorate/<cluster>/dec/<hex H("vote/tx"; txId)>`. */
export function decisionKey(cluster: string, txId: string): string {
  return `/quorate/${cluster}/dec/${hex(hash(Tag.voteTx, utf8(txId)))}`;
}

/** Decisions on their way. */
export class HandOff {
  readonly #options: HandOffOptions;
  readonly #waiting = new Map<string, QuorumCertificate>();
  /** Names of those that the store has. */
  readonly #done: Set<string>;
  /** What the store has and the file does not say yet. */
  #unmarked: HandOffRow[] = [];
  #added = Promise.withResolvers<void>();

  /** Hands nothing off before it runs. */
  constructor(options: HandOffOptions) {
    this.#options = options;
    this.#done = new Set(options.ledger.find(HAND_OFFS, {}).map(({ txId }) => txId));
  }

  /** Decisions that the store does not have yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Hands a decision off, unless it was before. */
  add(certificate: QuorumCertificate): void {
    const { txId } = certificate;
    if (this.#done.has(txId)) return;
    this.#waiting.set(txId, certificate);
    this.#added.resolve();
    this.#added = Promise.withResolvers<void>();
  }

  /** Hands off what comes, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { on, retryMs = { first: 200, max: 10_000 }, markMs = 1000 } = this.#options;
    const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    let failures = 0;
    const wait = async (ms: number) => {
      await pause(ms, undefined, { signal }).catch(() => {});
    };
    while (!signal.aborted) {
      const { promise } = this.#added;
      const next = this.#waiting.values().next();
      if (next.done === true) {
        // Marks gather: whoever lacks one finds the decision in the store.
        const hasMarks = this.#unmarked.length > 0;
        await Promise.race([promise, stopped, ...(hasMarks ? [wait(markMs)] : [])]);
        if (this.#waiting.size === 0 && !this.#mark()) await Promise.race([promise, wait(retryMs.max)]);
        continue;
      }
      if (this.#unmarked.length >= MARKS_MAX) this.#mark();
      const { txId } = next.value;
      try {
        await this.#put(next.value);
        this.#waiting.delete(txId);
        failures = 0;
      } catch (error) {
        on({ kind: "waiting", reason: reasonOf(error) });
        // What the store does not take for reasons of its own holds up no other.
        this.#waiting.delete(txId);
        this.#waiting.set(txId, next.value);
        await wait(Math.min(retryMs.max, retryMs.first * 2 ** Math.min(failures++, 20)));
      }
    }
    this.#mark();
  }

  /** Remembers what the store has: where that cannot be written the store is asked again after a restart, and finds the same. */
  #mark(): boolean {
    const { ledger, on } = this.#options;
    try {
      while (this.#unmarked.length > 0) {
        const rows = this.#unmarked.slice(0, MARKS_MAX);
        ledger.transact((transaction) => {
          for (const row of rows) transaction.put(HAND_OFFS, row);
        });
        this.#unmarked = this.#unmarked.slice(rows.length);
      }
      return true;
    } catch (error) {
      on({ kind: "waiting", reason: reasonOf(error) });
      return false;
    }
  }

  /** Creates the entry, or finds that an equal one is there. */
  async #put(certificate: QuorumCertificate): Promise<void> {
    const { coordination, on } = this.#options;
    const { cluster, txId } = certificate;
    const key = decisionKey(cluster, txId);
    const content = encode(certificateCodec, certificate);
    const made = await coordination.create(key, content);
    // An answer that was lost says nothing: what is there does.
    let entry = made.ok ? made.value.entry : await coordination.get(key);
    for (let replaced = 0;; replaced++) {
      if (entry === undefined) {
        const reason = `an answer about ${txId} was lost, and nothing is there`;
        throw new TransportError("STORE_UNAVAILABLE", reason, { parties: [] });
      }
      const held = this.#read(entry, txId);
      if (held !== undefined) return this.#compare(certificate, held);
      if (replaced === REPLACED_MAX) return on({ kind: "gave-up", txId });
      on({ kind: "invalid", txId });
      const swapped = await coordination.swap(key, entry.version, content);
      entry = swapped.ok ? swapped.value.entry : await coordination.get(key);
    }
  }

  /** The certificate in an entry; undefined for what is none of this transaction. */
  #read({ value }: Entry, txId: string): QuorumCertificate | undefined {
    try {
      const certificate = decode(certificateCodec, value);
      const membership = this.#options.membershipAt(certificate.epoch);
      const isValid = certificate.txId === txId && membership !== undefined &&
        certificateFault(membership, certificate) === undefined;
      return isValid ? certificate : undefined;
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  }

  #compare(own: QuorumCertificate, held: QuorumCertificate): void {
    const { on } = this.#options;
    const ballot: Bytes = ballotOf(own);
    if (!equal(ballot, ballotOf(held))) return on({ kind: "conflict", certificate: held });
    const { txId } = own;
    this.#unmarked.push({ txId, ballot });
    this.#done.add(txId);
    on({ kind: "done", txId });
  }
}

/** Nobody waits for hand-offs: what fails in one for any reason must end neither the others nor the process. */
function reasonOf(error: unknown): string {
  return error instanceof QuorateError ? error.message : "a bug in this program";
}

/** Decisions that are marked at once. */
const MARKS_MAX = 64;
/** How often something else than a certificate is replaced. */
const REPLACED_MAX = 3;
