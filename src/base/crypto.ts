/**
 * The fast synchronous primitives that the layers above need, from `node:crypto` where the runtime has it and from noble
 * where it has not (browsers). Both give the same bytes; a test compares them.
 *
 * @module
 */

import { type Bytes, concat } from "./bytes.ts";
import { nobleCrypto } from "./crypto_noble.ts";
import { nodeCrypto } from "./crypto_node.ts";

/** Suites of authenticated encryption, each with a 32-byte key, a 12-byte nonce and a 16-byte tag behind the text. */
export type AeadName = "aes-256-gcm" | "chacha20-poly1305";

/** An Ed25519 private key that signs. */
export interface Ed25519Signer {
  /** 32 bytes. */
  readonly publicKey: Bytes;
  /** The 64-byte RFC 8032 signature. */
  sign(message: Uint8Array): Bytes;
}

/** An Ed25519 public key that was checked once: canonical, of prime order, not the identity (SPEC 0.2). */
export interface Ed25519Verifier {
  /** 32 bytes. */
  readonly publicKey: Bytes;
  /** `verifyStrict` of SPEC 0.2: no cofactor, canonical S and R. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** Curves of {@linkcode EcKey}. */
export type EcName = "secp256k1" | "p256";

/** A secret scalar k, not 0 and below the group order, that multiplies points of one curve. */
export interface EcKey {
  /** k·G as 64 bytes: x and y, big-endian. */
  publicXy(): Bytes;
  /** The 32-byte x of k·P, for a point of the curve given as x and y. The sign of y is lost: see SPEC 2.6 before use. */
  sharedX(xy: Uint8Array): Bytes;
}

/** A key of HMAC-SHA-256 that is used often; disposing of it erases it. */
export interface HmacKey extends Disposable {
  /** HMAC-SHA-256 of the input. @throws InvariantError once it was erased. */
  mac(input: Uint8Array): Bytes;
}

/** What a back-end implements. Inputs of several parts are hashed as their concatenation. */
export interface CryptoBackend {
  /** Which one it is. */
  readonly name: "node" | "noble";
  /** SHA-256 of the concatenation. */
  sha256(...parts: readonly Uint8Array[]): Bytes;
  /** SHA-512 of the concatenation. */
  sha512(...parts: readonly Uint8Array[]): Bytes;
  /** HMAC-SHA-256 of the concatenation. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes;
  /** HMAC-SHA-512 of the concatenation. */
  hmacSha512(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes;
  /** From 64 bytes at most, of which it keeps no view. */
  hmacKey(key: Uint8Array): HmacKey;
  /** AES-128-ECB without padding over whole 16-byte blocks: the fixed-key permutation of SPEC 2.5, never a cipher mode. */
  aes128Ecb(key: Uint8Array, blocks: Uint8Array): Bytes;
  /** Ciphertext and tag. */
  aeadSeal(name: AeadName, key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Bytes;
  /**
   * Writes ciphertext and tag into `out`, which is 16 bytes longer than the plaintext and shares no memory with it.
   *
   * @throws InvariantError where it is not.
   */
  aeadSealInto(
    out: Uint8Array,
    name: AeadName,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
  ): void;
  /** The plaintext, or undefined where the tag does not match. */
  aeadOpen(
    name: AeadName,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Bytes | undefined;
  /** From the 32-byte seed of RFC 8032. */
  ed25519Signer(seed: Uint8Array): Ed25519Signer;
  /** undefined where the key is not canonical, of small or mixed order, or the identity. */
  ed25519Verifier(publicKey: Uint8Array): Ed25519Verifier | undefined;
  /** 32 bytes of RFC 7748. */
  x25519PublicKey(privateKey: Uint8Array): Bytes;
  /** The 32-byte result of RFC 7748; undefined where it is all zero. */
  x25519(privateKey: Uint8Array, publicKey: Uint8Array): Bytes | undefined;
  /** From 32 big-endian bytes. */
  ecKey(curve: EcName, scalar: Uint8Array): EcKey;
  /** A fresh RSA private key as PKCS #8, with the exponent 65537. @throws UsageError where only noble is. */
  rsaGenerate(bits: number): Bytes;
  /**
   * RSA-OAEP with SHA-256 and an empty label; undefined where the ciphertext does not decode.
   *
   * @param privateKey PKCS #8.
   * @throws UsageError where only noble is.
   */
  rsaOaepDecrypt(privateKey: Uint8Array, ciphertext: Uint8Array): Bytes | undefined;
}

const backend: CryptoBackend = nodeCrypto() ?? nobleCrypto;

/** Which back-end runs: `"node"` or `"noble"`. */
export const cryptoBackendName: string = backend.name;

/** SHA-256 of the concatenation. In protocols use `hash(tag, ...)`. */
export const sha256: CryptoBackend["sha256"] = backend.sha256;
/** SHA-512 of the concatenation. */
export const sha512: CryptoBackend["sha512"] = backend.sha512;
/** HMAC-SHA-256. */
export const hmacSha256: CryptoBackend["hmacSha256"] = backend.hmacSha256;
/** HMAC-SHA-256 with a key that is used often. */
export const hmacKey: CryptoBackend["hmacKey"] = backend.hmacKey;
/** HMAC-SHA-512. */
export const hmacSha512: CryptoBackend["hmacSha512"] = backend.hmacSha512;
/** The fixed-key permutation of SPEC 2.5. */
export const aes128Ecb: CryptoBackend["aes128Ecb"] = backend.aes128Ecb;
/** Authenticated encryption. */
export const aeadSeal: CryptoBackend["aeadSeal"] = backend.aeadSeal;
/** Authenticated encryption to where the ciphertext has to be. */
export const aeadSealInto: CryptoBackend["aeadSealInto"] = backend.aeadSealInto;
/** Authenticated decryption. */
export const aeadOpen: CryptoBackend["aeadOpen"] = backend.aeadOpen;
/** Makes a signer from a seed. */
export const ed25519Signer: CryptoBackend["ed25519Signer"] = backend.ed25519Signer;
/** Checks a public key once and makes a verifier. */
export const ed25519Verifier: CryptoBackend["ed25519Verifier"] = backend.ed25519Verifier;
/** X25519 public key. */
export const x25519PublicKey: CryptoBackend["x25519PublicKey"] = backend.x25519PublicKey;
/** X25519 shared secret. */
export const x25519: CryptoBackend["x25519"] = backend.x25519;

/** Elliptic-curve Diffie-Hellman on the curves of ECDSA. */
export const ecKey: CryptoBackend["ecKey"] = backend.ecKey;
/** Makes an RSA private key. */
export const rsaGenerate: CryptoBackend["rsaGenerate"] = backend.rsaGenerate;
/** RSA-OAEP decryption. */
export const rsaOaepDecrypt: CryptoBackend["rsaOaepDecrypt"] = backend.rsaOaepDecrypt;

/** HKDF-Extract with SHA-256 (RFC 5869, 2.2). */
export function hkdfExtract(salt: Uint8Array, inputKey: Uint8Array): Bytes {
  return hmacSha256(salt, inputKey);
}

/** HKDF-Expand with SHA-256 (RFC 5869, 2.3). @param length in bytes, at most 8160. */
export function hkdfExpand(pseudoRandomKey: Uint8Array, info: Uint8Array, length: number): Bytes {
  const out = new Uint8Array(length);
  let block: Bytes = new Uint8Array(0);
  for (let i = 1, at = 0; at < length; i++, at += 32) {
    block = hmacSha256(pseudoRandomKey, concat(block, info, new Uint8Array([i])));
    out.set(block.subarray(0, Math.min(32, length - at)), at);
  }
  return out;
}
