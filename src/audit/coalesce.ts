/**
 * Events that repeat: the first one is recorded at once, and how many followed it once in a while, so that a peer that
 * is down, or a stranger that knocks all the time, does not fill the log.
 *
 * @module
 */

/** Counts events that are alike. */
export class Coalescer<T> {
  readonly #windowMs: number;
  readonly #record: (event: T, repeated: number) => void;
  readonly #kinds = new Map<string, { since: number; recorded: number; repeated: number; last: T }>();

  /**
   * Makes one that has seen nothing.
   *
   * @param record called with an event, and how many like it there were since the one that was recorded before it.
   */
  constructor(windowMs: number, record: (event: T, repeated: number) => void) {
    this.#windowMs = windowMs;
    this.#record = record;
  }

  /**
   * Records an event, or counts it.
   *
   * @param kind the same for events that are alike.
   * @param now milliseconds.
   * @param each how many of them are recorded before they are counted. Default 1.
   */
  add(kind: string, event: T, now: number, each: number = 1): void {
    const known = this.#kinds.get(kind);
    if (known !== undefined && now - known.since < this.#windowMs) {
      if (known.recorded < each) {
        known.recorded++;
        return this.#record(event, 0);
      }
      known.repeated++;
      known.last = event;
      return;
    }
    if (known === undefined && this.#kinds.size >= KINDS_MAX) this.flush();
    this.#kinds.set(kind, { since: now, recorded: 1, repeated: 0, last: event });
    this.#record(event, known?.repeated ?? 0);
  }

  /** Records what was counted and not recorded yet. */
  flush(): void {
    for (const { last, repeated } of this.#kinds.values()) {
      if (repeated > 0) this.#record(last, repeated - 1);
    }
    this.#kinds.clear();
  }
}

const KINDS_MAX = 1024;
