/**
 * What nodes coordinate through: keys that are created once, swapped and watched (VOTING 10). Nothing here is trusted for
 * safety: values are bytes that the reader checks, leases and watches are hints.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";

/** Which write made an entry. Opaque and per store: only equality means something. */
export type Version = bigint;

/** Names a lease. */
export type LeaseId = bigint;

/** What is known of a write. `unknown`: it may or may not have happened, or may yet; the next step is to read. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | {
  readonly ok: false;
  readonly reason: "unknown";
};

/** A key with its value. */
export interface Entry {
  /** ASCII, 1 to 256 bytes. */
  readonly key: string;
  /** Up to 256 KiB, untrusted. */
  readonly value: Bytes;
  /** The write that gave it this value. */
  readonly version: Version;
  /** The write that created the key. */
  readonly createdAt: Version;
}

/** What a watch tells. */
export type WatchEvent =
  | Entry
  /** The key is gone. */
  | { readonly key: string; readonly deleted: true; readonly version: Version }
  /** Events were lost: list, and watch again. */
  | { readonly gap: true };

/** A promise to be alive. */
export interface Lease extends AsyncDisposable {
  /** For {@linkcode Coordination.create}. */
  readonly id: LeaseId;
  /** Prolongs it. @returns false where it has expired. */
  keepAlive(): Promise<boolean>;
}

/**
 * Linearizable per key; there is no step over more than one key. Reads, and writes that were certainly not applied, throw
 * TransportError STORE_UNAVAILABLE.
 */
export interface Coordination extends AsyncDisposable {
  /** The entry of a key. */
  get(key: string): Promise<Entry | undefined>;
  /**
   * Entries whose keys begin with `prefix`, ascending, those after the key `after`, at most `limit` (default 1000).
   *
   * @returns one snapshot, and the version to watch from.
   */
  list(
    prefix: string,
    after?: string,
    limit?: number,
  ): Promise<{ readonly entries: readonly Entry[]; readonly at: Version }>;
  /**
   * Creates a key if it is absent; else tells what is there. A repeated call finds its own bytes: compare the value.
   *
   * @param lease the key ends with it.
   */
  create(
    key: string,
    value: Bytes,
    lease?: LeaseId,
  ): Promise<Outcome<{ readonly created: boolean; readonly entry: Entry }>>;
  /** Replaces the value (`null` deletes) if the entry still has the version; else tells what is there. */
  swap(
    key: string,
    expected: Version,
    value: Bytes | null,
  ): Promise<Outcome<{ readonly swapped: boolean; readonly entry?: Entry }>>;
  /**
   * Changes under a prefix after `from`, per key in order, at least once; values in between may be left out. Ends with a gap,
   * or with the signal.
   */
  watch(prefix: string, from: Version, signal: AbortSignal): AsyncIterable<WatchEvent>;
  /** Asks for a lease of about `ttlMs`, whole seconds at least. */
  lease(ttlMs: number): Promise<Lease>;
}

/** Longest key, in bytes. */
export const KEY_MAX = 256;
/** Longest value, in bytes. */
export const VALUE_MAX = 256 * 1024;
/** Entries of one page where the caller names no number. */
export const PAGE = 1000;

/** @throws UsageError USAGE where a key is empty, too long or not printable ASCII. */
export function requireKey(key: string): void {
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > KEY_MAX) {
    throw new UsageError(
      "USAGE",
      `a key of a store has 1 to ${KEY_MAX} printable ASCII characters, not ${key.length}`,
    );
  }
}

/** @throws UsageError USAGE where a value is too long. */
export function requireValue(value: Bytes): void {
  if (value.length > VALUE_MAX) {
    throw new UsageError("USAGE", `a value of a store has at most ${VALUE_MAX} bytes, not ${value.length}`);
  }
}

/** The first key after all keys with a prefix; undefined where there is none. */
export function prefixEnd(prefix: string): string | undefined {
  const last = prefix.length - 1;
  return last < 0 ? undefined : prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}
