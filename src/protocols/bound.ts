/**
 * Signing with a key that is bound to a purpose: what is signed was approved or decided elsewhere, and the session is bound to that
 * (VOTING 8.1, 9). A key with a purpose signs in no other session, whoever asks.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, u64, utf8 } from "../base/bytes.ts";
import { decode, DecodeError, U64 } from "../base/codec.ts";
import { TransportError } from "../base/errors.ts";
import { type KeyPurpose, requirePurpose } from "./key_purpose.ts";
import type { Fact } from "./protocol.ts";

/** What binds a session. */
export interface BoundSigning {
  /** Which purpose the key must have. */
  readonly purpose: Exclude<KeyPurpose, "plain">;
  /** Name of the transaction: for people, and for the lock. */
  readonly txId: string;
  /** What is locked under that name: nothing else is ever signed for it. */
  readonly core: Bytes;
  /** Hash of everything that was approved or decided: part of the session id. */
  readonly binding: Bytes;
  /** Milliseconds since 1970, as this party tells the others in round 0. */
  readonly clock: () => bigint;
  /** Judges the clocks of those who have opened. Throws where the time is over. */
  readonly admit: (clocks: ReadonlyMap<PartyId, bigint>) => void;
}

/** Which lock a release needs, in the record of it. */
export interface BoundRelease {
  /** Name of the transaction. */
  readonly txId: string;
  /** What is locked under that name. */
  readonly core: Bytes;
}

/** Bytes that a clock takes at the end of an offer. */
export const CLOCK_BYTES = 8;

/**
 * Refuses a key in a session that it was not made for.
 *
 * @throws UsageError APPROVAL_REQUIRED or KEY_PURPOSE
 */
export function requireBound(key: { readonly purpose: KeyPurpose }, bound: BoundSigning | undefined): void {
  requirePurpose(
    key,
    bound?.purpose ?? "plain",
    bound === undefined
      ? "a signature on request"
      : bound.purpose === "decision"
      ? "a decision"
      : "an approved payload",
  );
}

/** What is compared in round 0. */
export function boundFacts(bound: BoundSigning | undefined): readonly Fact[] {
  if (bound === undefined) return [];
  return [
    { name: "transaction", value: utf8(bound.txId) },
    { name: "approval", value: bound.binding },
  ];
}

/** What a party brings to round 0 beside the rest of its offer. */
export function clockOffer(bound: BoundSigning | undefined): readonly Bytes[] {
  return bound === undefined ? [] : [u64(bound.clock())];
}

/** Judges the clocks at the ends of the offers. @throws TransportError PEER_REFUSED, or what `admit` throws. */
export function admitClocks(
  bound: BoundSigning | undefined,
  offers: ReadonlyMap<PartyId, Bytes>,
): void {
  if (bound === undefined) return;
  const clocks = new Map<PartyId, bigint>();
  for (const [party, offer] of offers) clocks.set(party, clockIn(party, offer));
  bound.admit(clocks);
}

/** The release of a bound session, for the journal. */
export function boundRelease(bound: BoundSigning | undefined): { readonly bound?: BoundRelease } {
  return bound === undefined ? {} : { bound: { txId: bound.txId, core: bound.core } };
}

function clockIn(party: PartyId, offer: Bytes): bigint {
  try {
    return decode(U64, offer.slice(-CLOCK_BYTES));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new TransportError("PEER_REFUSED", `party ${party} opens the session without its clock`, {
      parties: [party],
    });
  }
}
