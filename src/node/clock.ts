/**
 * Time as the operating system tells it.
 *
 * @module
 */

import type { Clock } from "../session/links.ts";

/** A clock that never goes back, and timers of the event loop. */
export const systemClock: Clock = {
  now: () => performance.now(),
  timer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
