/**
 * How late the event loop is: what a node does in one piece keeps everything else waiting.
 *
 * @module
 */

/** Measures until it is disposed. */
export class EventLoopLag implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #worst: number[] = [];
  #due: number;

  /** Begins. */
  constructor() {
    this.#due = performance.now() + INTERVAL_MS;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#worst.push(Math.max(0, now - this.#due));
      if (this.#worst.length > WINDOW_MS / INTERVAL_MS) this.#worst.shift();
      this.#due = now + INTERVAL_MS;
    }, INTERVAL_MS);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** The longest delay of the last 15 seconds, the one that lasts now included. */
  get seconds(): number {
    return Math.max(0, performance.now() - this.#due, ...this.#worst) / 1000;
  }

  /** Stops. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

const INTERVAL_MS = 500;
const WINDOW_MS = 15_000;
