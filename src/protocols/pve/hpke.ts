/**
 * Hybrid public key encryption, base mode, one message per key (RFC 9180), with HKDF-SHA256 and AES-256-GCM.
 *
 * Encryption is a function of the 32 bytes from which the ephemeral key is made, so that anyone who learns them can repeat it.
 *
 * @module
 */

import { type Bytes, concat, EMPTY, equal, erase, u16, utf8 } from "../../base/bytes.ts";
import {
  aeadOpen,
  aeadSeal,
  ecKey,
  hkdfExpand,
  hkdfExtract,
  x25519,
  x25519PublicKey,
} from "../../base/crypto.ts";
import { DecodeError } from "../../base/codec.ts";
import { bytesToBigint, p256, type Point, type Scalar } from "../../math/curve.ts";

/** A key encapsulation mechanism over Diffie-Hellman (RFC 9180, 4.1). */
export interface Kem {
  /** Its number in the registry of RFC 9180, 7.1. */
  readonly id: number;
  /** Length of an encapsulation, and of a public key. */
  readonly publicKeyBytes: number;
  /** RFC 9180, 7.1.3. */
  deriveKeyPair(seed: Uint8Array): { readonly privateKey: Bytes; readonly publicKey: Bytes };
  /** The public key of a private key of 32 bytes; undefined where it is out of range. */
  publicKeyOf(privateKey: Uint8Array): Bytes | undefined;
  /** The shared value; undefined where the public key is not one, or the result is that of a point of small order. */
  diffieHellman(privateKey: Uint8Array, publicKey: Uint8Array): Bytes | undefined;
}

/** A shared secret, and what its recipient needs to find it. */
export interface Encapsulation {
  /** Public. */
  readonly encapsulation: Bytes;
  /** 32 bytes. */
  readonly sharedSecret: Bytes;
}

/** One KEM with one `info`. */
export interface Hpke {
  /** The KEM. */
  readonly kem: Kem;
  /** A shared secret for a recipient; undefined where its key has no shared value with anybody. */
  encapsulate(recipient: Uint8Array, seed: Uint8Array): Encapsulation | undefined;
  /** The shared secret of an encapsulation; undefined where it is malformed or of small order. */
  decapsulate(privateKey: Uint8Array, recipient: Uint8Array, encapsulation: Uint8Array): Bytes | undefined;
  /** The one message under a shared secret. */
  seal(sharedSecret: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Bytes;
  /** The message; undefined where it is not authentic. */
  open(sharedSecret: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes | undefined;
}

const VERSION = utf8("HPKE-v1");
const MODE_BASE = 0;
const HKDF_SHA256 = 0x0001;
const AES_256_GCM = 0x0002;
const x25519Hkdf = kemHkdf(0x0020), p256Hkdf = kemHkdf(0x0010);

/** DHKEM(X25519, HKDF-SHA256). */
export const X25519_KEM: Kem = {
  id: 0x0020,
  publicKeyBytes: 32,
  deriveKeyPair(seed) {
    const prk = x25519Hkdf.extract(EMPTY, "dkp_prk", seed);
    const privateKey = x25519Hkdf.expand(prk, "sk", EMPTY, 32);
    erase(prk);
    return { privateKey, publicKey: x25519PublicKey(privateKey) };
  },
  publicKeyOf: (privateKey) => x25519PublicKey(privateKey),
  diffieHellman: (privateKey, publicKey) => x25519(privateKey, publicKey),
};

/** DHKEM(P-256, HKDF-SHA256). Public keys are 65 bytes, uncompressed. */
export const P256_KEM: Kem = {
  id: 0x0010,
  publicKeyBytes: 65,
  deriveKeyPair(seed) {
    const prk = p256Hkdf.extract(EMPTY, "dkp_prk", seed);
    for (let counter = 0;; counter++) { // a candidate is out of range once in 2^32 times
      const privateKey = p256Hkdf.expand(prk, "candidate", Uint8Array.of(counter), 32);
      const publicKey = P256_KEM.publicKeyOf(privateKey);
      if (publicKey === undefined) continue;
      erase(prk);
      return { privateKey, publicKey };
    }
  },
  publicKeyOf(privateKey) {
    const scalar = bytesToBigint(privateKey);
    if (scalar === 0n || scalar >= p256.order) return undefined;
    return concat(p256.mulBase(scalar as Scalar).toBytes(false));
  },
  diffieHellman(privateKey, publicKey) {
    // Whether it is a point of the curve is not left to the back-end: a point of another one would show the private key.
    return decodeP256(publicKey) === undefined
      ? undefined
      : ecKey("p256", privateKey).sharedX(publicKey.subarray(1));
  },
};

/** Reads 65 bytes SEC1 uncompressed; undefined where they are not a point of P-256. */
export function decodeP256(bytes: Uint8Array): Point | undefined {
  try {
    const point = p256.decodePoint(
      concat(Uint8Array.of(2 + ((bytes[64] as number) & 1)), bytes.subarray(1, 33)),
    );
    return equal(point.toBytes(false), bytes) ? point : undefined; // refuses other lengths and forms, and the other y
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** HPKE in base mode. @source RFC 9180, 4.1, 5.1 and 5.2, with sequence number 0 */
export function makeHpke(kem: Kem, info: Uint8Array): Hpke {
  const ofKem = kemHkdf(kem.id);
  const hkdf = labeledHkdf(concat(utf8("HPKE"), u16(kem.id), u16(HKDF_SHA256), u16(AES_256_GCM)));
  const context = concat(
    Uint8Array.of(MODE_BASE),
    hkdf.extract(EMPTY, "psk_id_hash", EMPTY),
    hkdf.extract(EMPTY, "info_hash", info),
  );

  function extractAndExpand(shared: Bytes, encapsulation: Uint8Array, recipient: Uint8Array): Bytes {
    const prk = ofKem.extract(EMPTY, "eae_prk", shared);
    const secret = ofKem.expand(prk, "shared_secret", concat(encapsulation, recipient), 32);
    erase(shared, prk);
    return secret;
  }

  function keySchedule(sharedSecret: Uint8Array): { readonly key: Bytes; readonly nonce: Bytes } {
    const secret = hkdf.extract(sharedSecret, "secret", EMPTY);
    const key = hkdf.expand(secret, "key", context, 32);
    const nonce = hkdf.expand(secret, "base_nonce", context, 12);
    erase(secret);
    return { key, nonce };
  }

  return {
    kem,
    encapsulate(recipient, seed) {
      const { privateKey, publicKey } = kem.deriveKeyPair(seed);
      const shared = kem.diffieHellman(privateKey, recipient);
      erase(privateKey);
      if (shared === undefined) return undefined;
      return { encapsulation: publicKey, sharedSecret: extractAndExpand(shared, publicKey, recipient) };
    },
    decapsulate(privateKey, recipient, encapsulation) {
      const shared = kem.diffieHellman(privateKey, encapsulation);
      return shared === undefined ? undefined : extractAndExpand(shared, encapsulation, recipient);
    },
    seal(sharedSecret, aad, plaintext) {
      const { key, nonce } = keySchedule(sharedSecret);
      const sealed = aeadSeal("aes-256-gcm", key, nonce, aad, plaintext);
      erase(key);
      return sealed;
    },
    open(sharedSecret, aad, sealed) {
      const { key, nonce } = keySchedule(sharedSecret);
      const plaintext = aeadOpen("aes-256-gcm", key, nonce, aad, sealed);
      erase(key);
      return plaintext;
    },
  };
}

/** HKDF with the labels of one suite (RFC 9180, 4). */
interface LabeledHkdf {
  extract(salt: Uint8Array, label: string, input: Uint8Array): Bytes;
  expand(pseudoRandomKey: Uint8Array, label: string, info: Uint8Array, length: number): Bytes;
}

function labeledHkdf(suite: Uint8Array): LabeledHkdf {
  const prefixes = new Map<string, Bytes>();
  const prefix = (label: string) => {
    const value = prefixes.get(label) ?? concat(VERSION, suite, utf8(label));
    prefixes.set(label, value);
    return value;
  };
  return {
    extract: (salt, label, input) => hkdfExtract(salt, concat(prefix(label), input)),
    expand: (prk, label, info, length) => hkdfExpand(prk, concat(u16(length), prefix(label), info), length),
  };
}

function kemHkdf(id: number): LabeledHkdf {
  return labeledHkdf(concat(utf8("KEM"), u16(id)));
}
