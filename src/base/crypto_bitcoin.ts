/**
 * The two encodings of Bitcoin that extended public keys need: Base58Check and HASH160. Public data only: both are variable
 * in time.
 *
 * @module
 */

import { ripemd160 } from "@noble/hashes/legacy.js";
import { type Bytes, concat, equal } from "./bytes.ts";
import { sha256 } from "./crypto.ts";

/** RIPEMD-160 of SHA-256: what key fingerprints are cut from. */
export function hash160(bytes: Uint8Array): Bytes {
  return ripemd160(sha256(bytes)) as Bytes;
}

/** Base58 of the bytes and of the first four bytes of their double SHA-256. */
export function base58CheckEncode(payload: Uint8Array): string {
  const bytes = concat(payload, checksum(payload));
  let value = BigInt("0x0" + bytes.toHex());
  let text = "";
  for (; value > 0n; value /= 58n) text = ALPHABET[Number(value % 58n)] + text;
  for (const byte of bytes) {
    if (byte !== 0) break;
    text = ALPHABET[0] + text;
  }
  return text;
}

/** Reads what {@linkcode base58CheckEncode} writes for `length` bytes; undefined where the text is not that. */
export function base58CheckDecode(text: string, length: number): Bytes | undefined {
  // 58 is more than 32: every character carries more than five bits.
  if (text.length * 5 > 8 * (length + CHECKSUM_BYTES)) return undefined;
  let value = 0n;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 58n + BigInt(digit);
  }
  const digits = value.toString(16).padStart(2 * (length + CHECKSUM_BYTES), "0");
  if (digits.length !== 2 * (length + CHECKSUM_BYTES)) return undefined;
  const bytes = Uint8Array.fromHex(digits);
  const payload = bytes.slice(0, length);
  const isCanonical = equal(bytes.subarray(length), checksum(payload)) && base58CheckEncode(payload) === text;
  return isCanonical ? payload : undefined;
}

function checksum(payload: Uint8Array): Bytes {
  return sha256(sha256(payload)).slice(0, CHECKSUM_BYTES);
}

const CHECKSUM_BYTES = 4;
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
