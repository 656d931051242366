/**
 * How long to wait before a dial is repeated (WIRE.md 2): first 20 to 50 ms, then doubling with jitter, so that parties that
 * failed together do not retry together. It begins anew only after a link was up for a while: two processes of one party
 * would otherwise replace each other hundreds of times a second.
 *
 * @module
 */

import type { Rng } from "../base/rng.ts";
import type { TransportLimits } from "./limits.ts";

/** The waits of one peer. */
export class Backoff {
  readonly #limits: TransportLimits;
  readonly #rng: Rng;
  #failures = 0;

  /** Begins with the shortest wait. */
  constructor(limits: TransportLimits, rng: Rng) {
    this.#limits = limits;
    this.#rng = rng;
  }

  /** The next wait in milliseconds. */
  next(): number {
    const { retryFirstMinMs, retryFirstMaxMs, retryMaxMs } = this.#limits;
    const [high, low] = this.#rng.bytes(2) as unknown as [number, number];
    const random = (high * 256 + low) / 65536;
    const failures = this.#failures++;
    if (failures === 0) return retryFirstMinMs + random * (retryFirstMaxMs - retryFirstMinMs);
    return Math.min(retryMaxMs, retryFirstMaxMs * 2 ** Math.min(failures, 20)) * (0.5 + random / 2);
  }

  /** A link ended that was up for this long. */
  linkEnded(upForMs: number): void {
    if (upForMs >= this.#limits.retryResetMs) this.#failures = 0;
  }
}
