/**
 * No limits on what a peer may send: benchmarks measure what a link can do, not what a peer may do.
 *
 * @module
 */

import type { RateLimits } from "../../src/transport/rate.ts";

/** More than any machine sends. */
export const UNLIMITED: RateLimits = {
  frames: { perSecond: 1e9, burst: 1e9, floor: 1e9, ceiling: 1e9 },
  bytes: { perSecond: 1e12, burst: 1e12 },
  types: {},
};
