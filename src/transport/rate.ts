/**
 * How much a peer may send, and how often an address may connect: token buckets, a rate that adapts, and a throttle.
 *
 * A link that has used its tokens up is not read from until there are new ones: the peer waits, nothing is dropped, and the time
 * that everybody shares goes to the others. Time is an argument everywhere, so that tests have their own.
 *
 * @module
 */

import { invariant } from "../base/errors.ts";

/** A steady rate, and how much may come at once after a pause. */
export interface Rate {
  /** Tokens that come back per second. */
  readonly perSecond: number;
  /** Most tokens that can be saved up. */
  readonly burst: number;
}

/** What one peer may send. */
export interface RateLimits {
  /** Frames of all types; the rate falls to `floor` where the peer's frames are refused, and rises to `ceiling`. */
  readonly frames: Rate & { readonly floor: number; readonly ceiling: number };
  /** Bytes of all frames. */
  readonly bytes: Rate;
  /** Frames by type, for types that cost more than their bytes. */
  readonly types: Readonly<Record<number, Rate>>;
}

/** What a limiter has done. */
export interface RateStatistics {
  /** Frames that were let through. */
  readonly allowed: number;
  /** How often the sender had to wait. */
  readonly limited: number;
  /** The same by the type whose bucket was empty; 0 stands for the buckets of all types. */
  readonly limitedByType: Readonly<Record<number, number>>;
  /** How long it had to wait, in all. */
  readonly waitedMs: number;
  /** Frames per second that are allowed now. */
  readonly currentRate: number;
}

/** Tokens that come back with time. */
export class TokenBucket {
  readonly #burst: number;
  #perSecond: number;
  #tokens: number;
  #at: number;

  /** Begins full. @param now milliseconds on a clock that never goes back. */
  constructor(rate: Rate, now: number) {
    invariant(rate.perSecond > 0 && rate.burst >= 1, "a rate is above 0 and its burst 1 or more");
    this.#perSecond = rate.perSecond;
    this.#burst = rate.burst;
    this.#tokens = rate.burst;
    this.#at = now;
  }

  /** Takes tokens if they are there. */
  take(now: number, count: number = 1): boolean {
    this.#refill(now);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Takes tokens for what has happened already; the bucket may owe some afterwards. */
  charge(now: number, count: number = 1): void {
    this.#refill(now);
    this.#tokens -= count;
  }

  /** Milliseconds until nothing is owed. */
  waitMs(now: number): number {
    this.#refill(now);
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perSecond * 1000;
  }

  /** True where all tokens are there: who waited this long is as good as new. */
  isFull(now: number): boolean {
    this.#refill(now);
    return this.#tokens === this.#burst;
  }

  /** Changes the rate from now on. */
  setRate(now: number, perSecond: number): void {
    this.#refill(now);
    this.#perSecond = perSecond;
  }

  #refill(now: number): void {
    const gained = (now - this.#at) / 1000 * this.#perSecond;
    this.#at = now;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
  }
}

/**
 * A rate that halves with each error down to its floor, and grows by a thousandth of its base with each success up to its
 * ceiling.
 *
 * @example
 * ```ts
 * import { AdaptiveRate } from "./rate.ts";
 *
 * const rate = new AdaptiveRate({ base: 100, floor: 10, ceiling: 500 });
 * rate.recordError();
 * if (rate.current !== 50) throw new Error("an error halves the rate");
 * ```
 */
export class AdaptiveRate {
  readonly #floor: number;
  readonly #ceiling: number;
  readonly #step: number;
  #current: number;

  /** Begins at its base. */
  constructor(options: { readonly base: number; readonly floor: number; readonly ceiling: number }) {
    const { base, floor, ceiling } = options;
    invariant(0 < floor && floor <= base && base <= ceiling, "a rate is between its floor and its ceiling");
    this.#floor = floor;
    this.#ceiling = ceiling;
    this.#step = base / SUCCESSES_PER_BASE;
    this.#current = base;
  }

  /** What is allowed per second now. */
  get current(): number {
    return this.#current;
  }

  /** Something that was let through was good. */
  recordSuccess(count: number = 1): void {
    this.#current = Math.min(this.#ceiling, this.#current + count * this.#step);
  }

  /** Something that was let through was refused. */
  recordError(): void {
    this.#current = Math.max(this.#floor, this.#current / 2);
  }
}

/**
 * All buckets of one peer. It outlives the peer's links: who connects anew finds its buckets as it left them.
 *
 * @example
 * ```ts
 * import { PeerLimiter } from "./rate.ts";
 *
 * const limiter = new PeerLimiter({
 *   frames: { perSecond: 100, burst: 2, floor: 10, ceiling: 500 },
 *   bytes: { perSecond: 1e6, burst: 1e6 },
 *   types: {},
 * }, 0);
 * for (let i = 0; i < 3; i++) limiter.charge(0, { type: 32, bytes: 300 });
 * if (limiter.waitMs(0) !== 10) throw new Error("the third frame is paid by waiting");
 * ```
 */
export class PeerLimiter {
  readonly #frames: TokenBucket;
  readonly #bytes: TokenBucket;
  readonly #types: ReadonlyMap<number, TokenBucket>;
  readonly #adaptive: AdaptiveRate;
  readonly #limitedByType = new Map<number, number>();
  #allowed = 0;
  #limited = 0;
  #waitedMs = 0;

  /** Begins with full buckets. @param now milliseconds on a clock that never goes back. */
  constructor(limits: RateLimits, now: number) {
    const { perSecond: base, floor, ceiling } = limits.frames;
    this.#adaptive = new AdaptiveRate({ base, floor, ceiling });
    this.#frames = new TokenBucket(limits.frames, now);
    this.#bytes = new TokenBucket(limits.bytes, now);
    this.#types = new Map(
      Object.entries(limits.types).map(([type, rate]) => [Number(type), new TokenBucket(rate, now)]),
    );
  }

  /** A frame has come and was good as far as the link can tell. */
  charge(now: number, frame: { readonly type: number; readonly bytes: number }): void {
    this.#allowed++;
    this.#adaptive.recordSuccess();
    this.#frames.charge(now);
    this.#bytes.charge(now, frame.bytes);
    this.#types.get(frame.type)?.charge(now);
  }

  /** Something that the peer sent was refused: it may send less from now on. */
  recordError(now: number): void {
    this.#adaptive.recordError();
    this.#frames.setRate(now, this.#adaptive.current);
  }

  /** How long nothing more may be read from the peer; 0 where it has not used its tokens up. */
  waitMs(now: number): number {
    const all = Math.max(this.#frames.waitMs(now), this.#bytes.waitMs(now));
    let [wait, type] = [all, ALL_TYPES];
    for (const [candidate, bucket] of this.#types) {
      const own = bucket.waitMs(now);
      if (own > wait) [wait, type] = [own, candidate];
    }
    if (wait === 0) return 0;
    this.#limited++;
    this.#waitedMs += wait;
    this.#limitedByType.set(type, (this.#limitedByType.get(type) ?? 0) + 1);
    this.#frames.setRate(now, this.#adaptive.current);
    return wait;
  }

  /** What it has done so far. */
  get statistics(): RateStatistics {
    return {
      allowed: this.#allowed,
      limited: this.#limited,
      limitedByType: Object.fromEntries(this.#limitedByType),
      waitedMs: this.#waitedMs,
      currentRate: this.#adaptive.current,
    };
  }
}

/** How often addresses may connect. */
export interface ConnectionRates {
  /** From one address. */
  readonly perAddress: Rate;
  /** From all addresses together. */
  readonly total: Rate;
}

/**
 * Limits how often an address may begin a TLS handshake, which costs the listener a signature. It keeps one bucket per address
 * that connected lately, and no more than a fixed number of them.
 *
 * @example
 * ```ts
 * import { ConnectionThrottle } from "./rate.ts";
 *
 * const throttle = new ConnectionThrottle({
 *   perAddress: { perSecond: 5 / 60, burst: 5 },
 *   total: { perSecond: 100, burst: 100 },
 * }, 0);
 * const allowed = Array.from({ length: 6 }, () => throttle.allow("10.0.0.1", 0));
 * if (allowed.filter(Boolean).length !== 5) throw new Error("five at once, then one in 12 s");
 * if (!throttle.allow("10.0.0.2", 0)) throw new Error("another address has a bucket of its own");
 * ```
 */
export class ConnectionThrottle {
  readonly #rates: ConnectionRates;
  readonly #total: TokenBucket;
  readonly #addresses = new Map<string, TokenBucket>();
  #allowed = 0;
  #refused = 0;

  /** Begins with full buckets. @param now milliseconds on a clock that never goes back. */
  constructor(rates: ConnectionRates, now: number) {
    this.#rates = rates;
    this.#total = new TokenBucket(rates.total, now);
  }

  /** Whether a connection from this address may go on. A refused one costs the total nothing. */
  allow(address: string, now: number): boolean {
    const allowed = this.#bucketOf(address, now).take(now) && this.#total.take(now);
    if (allowed) this.#allowed++;
    else this.#refused++;
    return allowed;
  }

  /** How many were allowed and refused so far. */
  get statistics(): { readonly allowed: number; readonly refused: number; readonly addresses: number } {
    return { allowed: this.#allowed, refused: this.#refused, addresses: this.#addresses.size };
  }

  #bucketOf(address: string, now: number): TokenBucket {
    const known = this.#addresses.get(address);
    if (known !== undefined) return known;
    if (this.#addresses.size >= ADDRESSES_MAX) this.#forget(now);
    const bucket = new TokenBucket(this.#rates.perAddress, now);
    this.#addresses.set(address, bucket);
    return bucket;
  }

  /** Forgets addresses whose bucket is full again; where there is none, the one that came first. */
  #forget(now: number): void {
    for (const [address, bucket] of this.#addresses) if (bucket.isFull(now)) this.#addresses.delete(address);
    const [oldest] = this.#addresses.keys();
    if (this.#addresses.size >= ADDRESSES_MAX && oldest !== undefined) this.#addresses.delete(oldest);
  }
}

/** From its floor a rate is back at its base after this many good frames. */
const SUCCESSES_PER_BASE = 1_000;
/** Frame types begin at 1. */
const ALL_TYPES = 0;
const ADDRESSES_MAX = 4_096;
