/**
 * Where randomness comes from: the only file that asks the system for it.
 *
 * @module
 */

import type { Bytes } from "./bytes.ts";
import { u32, utf8 } from "./bytes.ts";
import { sha256 } from "./crypto.ts";

/** A source of random bytes. */
export interface Rng {
  /** `length` fresh random bytes. */
  bytes(length: number): Bytes;
}

/** The operating system's generator. */
export const systemRng: Rng = {
  bytes(length) {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 65536) crypto.getRandomValues(out.subarray(at, at + 65536));
    return out;
  },
};

/** A reproducible generator for tests, simulations and vectors. Never for keys. */
export function seededRng(seed: string): Rng {
  const key = sha256(utf8(`quorate/test-rng/${seed}`));
  let counter = 0;
  let pool: Bytes = new Uint8Array(0);
  return {
    bytes(length) {
      const out = new Uint8Array(length);
      for (let at = 0; at < length;) {
        if (pool.length === 0) pool = sha256(key, u32(counter++));
        const take = Math.min(pool.length, length - at);
        out.set(pool.subarray(0, take), at);
        pool = pool.subarray(take);
        at += take;
      }
      return out;
    },
  };
}
