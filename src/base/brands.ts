/**
 * Types that only a constructor or codec makes, so that two numbers or two byte strings cannot be confused.
 *
 * @module
 */

import type { Bytes } from "./bytes.ts";
import { UsageError } from "./errors.ts";

/** The name of the property that no value has. */
export declare const brand: unique symbol;

/** `T` that says which kind it is. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Index of a party: 1 to 65535, fixed by its place in the configuration. */
export type PartyId = Brand<number, "PartyId">;

/** The 32-byte session id (SPEC 0.3). */
export type SessionId = Brand<Bytes, "SessionId">;

/** The 32-byte key id (SPEC 0.3). */
export type KeyId = Brand<Bytes, "KeyId">;

/** Makes a {@linkcode PartyId}. @throws UsageError if it is not an integer of 1 to 65535. */
export function partyId(index: number): PartyId {
  if (!Number.isInteger(index) || index < 1 || index > 0xffff) {
    throw new UsageError("USAGE", `a party index is an integer of 1 to 65535: found ${index}`);
  }
  return index as PartyId;
}

/** Makes a {@linkcode SessionId} from 32 bytes. */
export function sessionId(bytes: Bytes): SessionId {
  return ofLength(bytes, 32, "session id") as SessionId;
}

/** Makes a {@linkcode KeyId} from 32 bytes. */
export function keyId(bytes: Bytes): KeyId {
  return ofLength(bytes, 32, "key id") as KeyId;
}

function ofLength(bytes: Bytes, length: number, what: string): Bytes {
  if (bytes.length !== length) {
    throw new UsageError("USAGE", `a ${what} has ${length} bytes: found ${bytes.length}`);
  }
  return bytes;
}
