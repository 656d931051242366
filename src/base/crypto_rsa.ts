/**
 * The public half of RSA: canonical keys, and OAEP encryption (RFC 8017, 7.1.1) with a given seed, so that anyone who knows
 * the seed can repeat it. The private half is the back-end's.
 *
 * @module
 */

import { type Bytes, concat, copy, EMPTY, equal, u32 } from "./bytes.ts";
import { sha256 } from "./crypto.ts";

/** An RSA public key with the exponent 65537. */
export interface RsaPublicKey {
  /** N. */
  readonly modulus: bigint;
  /** Length of N, and of a ciphertext. */
  readonly modulusBytes: number;
}

/** Smallest and largest modulus that is accepted, in bits; whole bytes only. */
export const RSA_BITS = { min: 3072, max: 8192 } as const;

/** Reads a SubjectPublicKeyInfo; undefined unless it is the canonical form of an RSA key of a size in {@linkcode RSA_BITS}. */
export function rsaFromSpki(spki: Uint8Array): RsaPublicKey | undefined {
  const outer = derRead(spki, 0, 0x30);
  const algorithm = outer && derRead(spki, outer.start, 0x30);
  const bits = algorithm && derRead(spki, algorithm.end, 0x03);
  const key = bits && derRead(spki, bits.start + 1, 0x30);
  const n = key && derRead(spki, key.start, 0x02);
  if (n === undefined) return undefined;
  const modulus = BigInt("0x0" + spki.subarray(n.start, n.end).toHex());
  const length = modulus.toString(2).length;
  if (length < RSA_BITS.min || length > RSA_BITS.max || length % 8 !== 0 || modulus % 2n === 0n) {
    return undefined;
  }
  // Encoding again refuses other exponents, other parameters, negative numbers, padding and trailing bytes.
  return equal(rsaToSpki(modulus), spki) ? { modulus, modulusBytes: length / 8 } : undefined;
}

/** The canonical SubjectPublicKeyInfo of the public half of a PKCS #8 private key; undefined where it is not an RSA key. */
export function rsaSpkiOfPrivate(pkcs8: Uint8Array): Bytes | undefined {
  const outer = derRead(pkcs8, 0, 0x30);
  const version = outer && derRead(pkcs8, outer.start, 0x02);
  const algorithm = version && derRead(pkcs8, version.end, 0x30);
  if (algorithm === undefined || !equal(pkcs8.subarray(version?.end, algorithm.end), RSA_ALGORITHM)) {
    return undefined;
  }
  const wrapped = derRead(pkcs8, algorithm.end, 0x04);
  const key = wrapped && derRead(pkcs8, wrapped.start, 0x30);
  const inner = key && derRead(pkcs8, key.start, 0x02);
  const n = inner && derRead(pkcs8, inner.end, 0x02);
  const e = n && derRead(pkcs8, n.end, 0x02);
  if (n === undefined || e === undefined || !equal(pkcs8.subarray(e.start, e.end), EXPONENT)) {
    return undefined;
  }
  return rsaToSpki(BigInt("0x0" + pkcs8.subarray(n.start, n.end).toHex()));
}

/**
 * RSA-OAEP with SHA-256 and an empty label.
 *
 * @param message at most the modulus less 66 bytes.
 * @param seed 32 bytes that nobody can guess.
 * @source RFC 8017, 7.1.1
 */
export function rsaOaepEncrypt(key: RsaPublicKey, message: Uint8Array, seed: Uint8Array): Bytes {
  const k = key.modulusBytes;
  const block = new Uint8Array(k - HASH_BYTES - 1); // DB = lHash ‖ PS ‖ 1 ‖ M
  block.set(sha256(EMPTY));
  block[block.length - message.length - 1] = 1;
  block.set(message, block.length - message.length);
  xorInto(block, maskOf(seed, block.length));
  const maskedSeed = copy(seed);
  xorInto(maskedSeed, maskOf(block, HASH_BYTES));
  const padded = BigInt("0x" + concat(maskedSeed, block).toHex());
  return Uint8Array.fromHex(power65537(padded, key.modulus).toString(16).padStart(2 * k, "0"));
}

function power65537(base: bigint, modulus: bigint): bigint {
  let power = base;
  for (let i = 0; i < 16; i++) power = power * power % modulus;
  return power * base % modulus;
}

/** MGF1 with SHA-256 (RFC 8017, B.2.1). */
function maskOf(seed: Uint8Array, length: number): Bytes {
  const blocks = Array.from({ length: Math.ceil(length / HASH_BYTES) }, (_, i) => sha256(seed, u32(i)));
  return concat(...blocks).slice(0, length);
}

function xorInto(target: Uint8Array, mask: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) ^ (mask[i] as number);
}

function rsaToSpki(modulus: bigint): Bytes {
  const hex = modulus.toString(16);
  // A DER integer is signed: a first bit of 1 needs a zero byte before it.
  const magnitude = Uint8Array.fromHex(hex.length % 2 === 0 ? hex : "0" + hex);
  const n = (magnitude[0] as number) >= 0x80 ? concat(new Uint8Array(1), magnitude) : magnitude;
  const key = derWrite(0x30, derWrite(0x02, n), derWrite(0x02, EXPONENT));
  return derWrite(0x30, RSA_ALGORITHM, derWrite(0x03, new Uint8Array(1), key));
}

function derWrite(tag: number, ...content: readonly Uint8Array[]): Bytes {
  const body = concat(...content);
  const length = body.length < 0x80
    ? Uint8Array.of(body.length)
    : body.length < 0x100
    ? Uint8Array.of(0x81, body.length)
    : Uint8Array.of(0x82, body.length >> 8, body.length & 0xff);
  return concat(Uint8Array.of(tag), length, body);
}

/** Where the content of a DER element stands; undefined unless one of that tag stands at `at`. */
function derRead(
  der: Uint8Array,
  at: number,
  tag: number,
): { readonly start: number; readonly end: number } | undefined {
  const first = der[at + 1];
  if (der[at] !== tag || first === undefined) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  if (lengthBytes > 2) return undefined;
  let length = first < 0x80 ? first : 0;
  for (let i = 0; i < lengthBytes; i++) length = length * 256 + (der[at + 2 + i] ?? 0);
  const start = at + 2 + lengthBytes;
  return start + length <= der.length ? { start, end: start + length } : undefined;
}

const HASH_BYTES = 32;
const EXPONENT = Uint8Array.of(1, 0, 1);
// SEQUENCE { rsaEncryption, NULL } (RFC 8017, A.1).
const RSA_ALGORITHM = Uint8Array.fromHex("300d06092a864886f70d0101010500");
