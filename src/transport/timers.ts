/**
 * Timers that end together with what they belong to.
 *
 * @module
 */

/** Calls back later, until it is stopped. */
export class Timers {
  readonly #running = new Set<ReturnType<typeof setTimeout>>();

  /** Calls back once, unless it is stopped before. */
  after(delayMs: number, callback: () => void): void {
    const timer = setTimeout(() => {
      this.#running.delete(timer);
      callback();
    }, Math.max(0, Math.min(delayMs, TIMER_MAX_MS)));
    this.#running.add(timer);
  }

  /** Nothing is called back any more. */
  stop(): void {
    for (const timer of this.#running) clearTimeout(timer);
  }
}

/** Longer delays overflow the runtime's timers and fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;
