/**
 * Room for connections that have not authenticated. When there is none, the oldest one of the address with most goes:
 * refusing the newcomer instead would let a slow attacker keep a good peer out (WIRE.md 2).
 *
 * @module
 */

import { type ConnectionRates, ConnectionThrottle } from "./rate.ts";

/** Something that waits to authenticate. */
export interface Stranger {
  /** Remote address, without the port. */
  readonly address: string;
  /** Called when it must make room; it is forgotten already. */
  evict(): void;
}

/** What strangers may do. */
export interface AdmissionLimits {
  /** Places of one address. */
  readonly strangersPerAddress: number;
  /** All places. */
  readonly strangersTotal: number;
  /** How often they may come. */
  readonly connectionRates: ConnectionRates;
}

/** Counts strangers and makes room. */
export class Admission {
  readonly #perAddress: number;
  readonly #total: number;
  /** In order of arrival, also across addresses. */
  readonly #strangers = new Map<string, Set<Stranger>>();
  readonly #throttle: ConnectionThrottle;
  #count = 0;

  /** Makes room for nobody yet. */
  constructor(limits: AdmissionLimits) {
    this.#throttle = new ConnectionThrottle(limits.connectionRates, performance.now());
    this.#perAddress = limits.strangersPerAddress;
    this.#total = limits.strangersTotal;
  }

  /** How many wait. */
  get count(): number {
    return this.#count;
  }

  /** Whether a connection from this address may go on to its handshake, or comes too soon after the former ones. */
  allows(address: string): boolean {
    return this.#throttle.allow(address, performance.now());
  }

  /** Takes a newcomer in, and evicts another where there is no room. */
  admit(stranger: Stranger): void {
    const same = this.#strangers.get(stranger.address);
    if (same !== undefined && same.size >= this.#perAddress) this.#evictOldest(same);
    else if (this.#count >= this.#total) this.#evictOldest(this.#largest());
    const set = this.#strangers.get(stranger.address) ?? new Set();
    this.#strangers.set(stranger.address, set.add(stranger));
    this.#count++;
  }

  /** Forgets one that authenticated or went; a second call does nothing. */
  release(stranger: Stranger): void {
    const set = this.#strangers.get(stranger.address);
    if (!set?.delete(stranger)) return;
    this.#count--;
    if (set.size === 0) this.#strangers.delete(stranger.address);
  }

  #evictOldest(set: ReadonlySet<Stranger>): void {
    const [oldest] = set;
    if (oldest === undefined) return;
    this.release(oldest);
    oldest.evict();
  }

  #largest(): ReadonlySet<Stranger> {
    let largest: ReadonlySet<Stranger> = new Set();
    for (const set of this.#strangers.values()) if (set.size > largest.size) largest = set;
    return largest;
  }
}
