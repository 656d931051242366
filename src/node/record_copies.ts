/**
 * Copies for people who look into a store of records that nodes share: the audit log, record by record, and scores as they change.
 * The log in the party's own directory, and the proofs of offences, stay the authority.
 *
 * @module
 */

import { type Bytes, utf8 } from "../base/bytes.ts";
import { QuorateError } from "../base/errors.ts";
import { linesOf, listSegments } from "../audit/segments.ts";
import type { Ledger } from "../storage/ledger.ts";
import type { Outbox } from "../storage/outbox.ts";
import type { Records } from "../storage/records.ts";
import { OUTBOX } from "../storage/tables.ts";

/** What copying needs. */
export interface RecordCopiesOptions {
  /** The party's audit log: where it is, and how many records are on disk. */
  readonly log: { readonly directory: string; readonly size: number };
  /** The party's file. */
  readonly ledger: Pick<Ledger, "find" | "transact">;
  /** Where copies wait. */
  readonly outbox: Outbox;
  /** How many records may wait: copies leave half of it to what must be recorded before anything is done. */
  readonly outboxLimit: number;
  /** Where copies go. */
  readonly records: Pick<Records, "find">;
  /** Scores of all members, as this node sees them. */
  readonly scores: () => readonly { readonly name: string; readonly score: number }[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Why nothing is copied for now. */
  readonly on: (reason: string) => void;
}

/** Copies what is new when it is asked. */
export class RecordCopies {
  readonly #options: RecordCopiesOptions;
  readonly #scores = new Map<string, { readonly score: number; readonly time: number }>();
  /** The record of the log that comes next, and where its line begins; undefined where nobody has looked yet. */
  #next: { index: number; first: number; offset: number } | undefined;

  /** Copies nothing yet. */
  constructor(options: RecordCopiesOptions) {
    this.#options = options;
  }

  /** Copies what is new, as far as there is room. What cannot be done now is done the next time. */
  async copy(): Promise<void> {
    try {
      this.#copyScores();
      await this.#copyLog();
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error;
      this.#options.on(error.message);
    }
  }

  get #hasRoom(): boolean {
    const { outbox, outboxLimit } = this.#options;
    return outbox.waiting < outboxLimit / 2;
  }

  /** A score that fades is written once an hour, one that falls at once. */
  #copyScores(): void {
    const { ledger, outbox, scores, now } = this.#options;
    const time = now();
    const changed = scores().filter(({ name, score }) => {
      const last = this.#scores.get(name);
      return last === undefined || score < last.score || (score > last.score && time - last.time >= HOUR_MS);
    });
    if (changed.length === 0 || !this.#hasRoom) return;
    ledger.transact((transaction) => {
      for (const { name, score } of changed) {
        const body = { subject: name, score, time: new Date(time).toISOString() };
        outbox.push(transaction, { kind: "reputation", key: name, body: utf8(JSON.stringify(body)) });
      }
    });
    for (const { name, score } of changed) this.#scores.set(name, { score, time });
  }

  async #copyLog(): Promise<void> {
    const { log, ledger, outbox } = this.#options;
    const next = this.#next ??= this.#placeOf(await this.#copied());
    while (next.index < log.size && this.#hasRoom) {
      const lines = this.#linesAt(next, Math.min(BATCH, log.size - next.index));
      if (lines.length === 0) return;
      ledger.transact((transaction) => {
        for (const [i, { bytes }] of lines.entries()) {
          outbox.push(transaction, { kind: AUDIT, key: String(next.index + i), body: bytes });
        }
      });
      next.index += lines.length;
      next.offset = (lines.at(-1) as { end: number }).end;
      // Others have something to do as well.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** How many records of the log were copied before: the newest copy is here, or the store has it. */
  async #copied(): Promise<number> {
    const { ledger, outbox: { stream }, records, log } = this.#options;
    const [newest] = ledger.find(OUTBOX, { kind: AUDIT }, { last: true, limit: 1 });
    if (newest !== undefined) return Number(newest.key) + 1;
    const has = async (index: number) =>
      (await records.find(AUDIT, String(index))).some((row) => row.stream === stream);
    // They were copied in their order.
    let [low, high] = [0, log.size];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (await has(middle)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #placeOf(index: number): { index: number; first: number; offset: number } {
    const first = listSegments(this.#options.log.directory).findLast((one) => one.first <= index)?.first ?? 0;
    const place = { index: first, first, offset: 0 };
    while (place.index < index) {
      const lines = this.#linesAt(place, index - place.index);
      if (lines.length === 0) break;
      place.index += lines.length;
      place.offset = (lines.at(-1) as { end: number }).end;
    }
    return place;
  }

  /** Lines from a place on, of one file: the next one, where this one has no more. */
  #linesAt(
    place: { index: number; first: number; offset: number },
    count: number,
  ): { bytes: Bytes; end: number }[] {
    const segments = listSegments(this.#options.log.directory);
    const segment = segments.find(({ first }) => first === place.index) ??
      segments.find(({ first }) => first === place.first);
    if (segment === undefined) return [];
    if (segment.first !== place.first) [place.first, place.offset] = [segment.first, 0];
    const lines: { bytes: Bytes; end: number }[] = [];
    for (const line of linesOf(segment.path, place.offset)) {
      if (lines.push(line) === count) break;
    }
    return lines;
  }
}

const AUDIT = "audit";
const HOUR_MS = 3_600_000;
/** Records that are copied in one transaction. */
const BATCH = 256;
