/**
 * Delivers link events one at a time, in order, and never from inside a call of their receiver's own.
 *
 * @module
 */

import type { LinkEvent } from "../session/links.ts";

/**
 * Hears events. Where it returns a promise, the event counts as delivered when that has settled: the sender of frames waits
 * meanwhile, if there are many.
 */
export type EventReceiver = (event: LinkEvent) => void | Promise<void>;

/** A queue with one receiver. Events wait until there is one. */
export class EventQueue {
  readonly #schedule: (task: () => void) => void;
  readonly #failed: (error: unknown) => void;
  #receiver: EventReceiver | undefined;
  #waiting: { readonly event: LinkEvent; readonly delivered: () => void }[] = [];
  #scheduled = false;

  /**
   * Makes an empty queue without a receiver.
   *
   * @param failed hears what the receiver throws: it must not end the process.
   * @param schedule runs a task soon, and not at once.
   */
  constructor(failed: (error: unknown) => void, schedule: (task: () => void) => void = queueMicrotask) {
    this.#failed = failed;
    this.#schedule = schedule;
  }

  /** Registers the receiver. */
  listen(receiver: EventReceiver): void {
    this.#receiver = receiver;
    this.#wake();
  }

  /** Appends an event; `delivered` is called when the receiver has returned, or what it returned has settled. */
  push(event: LinkEvent, delivered: () => void = () => {}): void {
    this.#waiting.push({ event, delivered });
    this.#wake();
  }

  #wake(): void {
    if (this.#scheduled || this.#receiver === undefined || this.#waiting.length === 0) return;
    this.#scheduled = true;
    this.#schedule(() => this.#drain());
  }

  #drain(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      for (const { event, delivered } of batch) {
        let settled: void | Promise<void> = undefined;
        try {
          settled = this.#receiver?.(event);
        } catch (error) {
          this.#failed(error);
        }
        if (settled instanceof Promise) settled.catch((error) => this.#failed(error)).finally(delivered);
        else delivered();
      }
    } finally {
      this.#scheduled = false;
      this.#wake();
    }
  }
}
