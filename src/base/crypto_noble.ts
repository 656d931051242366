/**
 * {@linkcode CryptoBackend} over noble, for runtimes without `node:crypto`.
 *
 * @module
 */

import { ecb, gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, copy } from "./bytes.ts";
import type { AeadName, CryptoBackend, Ed25519Verifier } from "./crypto.ts";
import { invariant, UsageError } from "./errors.ts";

/** The portable back-end. */
export const nobleCrypto: CryptoBackend = {
  name: "noble",
  sha256: (...parts) => sha256(concat(...parts)) as Bytes,
  sha512: (...parts) => sha512(concat(...parts)) as Bytes,
  hmacSha256: (key, ...parts) => hmac(sha256, key, concat(...parts)) as Bytes,
  hmacSha512: (key, ...parts) => hmac(sha512, key, concat(...parts)) as Bytes,
  hmacKey(key) {
    const state = hmac.create(sha256, key);
    let isErased = false;
    return {
      mac(input) {
        invariant(!isErased, "an erased key makes no MAC");
        return state.clone().update(input).digest() as Bytes;
      },
      [Symbol.dispose]() {
        isErased = true;
        state.destroy();
      },
    };
  },
  aes128Ecb: (key, blocks) => ecb(key, { disablePadding: true }).encrypt(blocks) as Bytes,
  aeadSeal: (name, key, nonce, aad, plaintext) => aead(name, key, nonce, aad).encrypt(plaintext) as Bytes,
  aeadSealInto(out, name, key, nonce, aad, plaintext) {
    invariant(out.length === plaintext.length + TAG_BYTES, "a sealed text is as long as its text and a tag");
    out.set(aead(name, key, nonce, aad).encrypt(plaintext));
  },
  aeadOpen(name, key, nonce, aad, sealed) {
    if (sealed.length < TAG_BYTES) return undefined;
    try {
      return aead(name, key, nonce, aad).decrypt(sealed) as Bytes;
    } catch {
      return undefined;
    }
  },
  ed25519Signer(seed) {
    const secret = copy(seed);
    return {
      publicKey: ed25519.getPublicKey(secret) as Bytes,
      sign: (message) => ed25519.sign(message, secret) as Bytes,
    };
  },
  ed25519Verifier,
  x25519PublicKey: (privateKey) => x25519.getPublicKey(privateKey) as Bytes,
  x25519(privateKey, publicKey) {
    try {
      const shared = x25519.getSharedSecret(privateKey, publicKey) as Bytes;
      return shared.some((byte) => byte !== 0) ? shared : undefined;
    } catch {
      return undefined;
    }
  },
  ecKey(curve, scalar) {
    const { Point } = curve === "secp256k1" ? secp256k1 : p256;
    const k = BigInt("0x" + scalar.toHex());
    return {
      publicXy: () => copy(Point.BASE.multiply(k).toBytes(false).subarray(1)),
      sharedX: (xy) => {
        const point = Point.fromBytes(concat(new Uint8Array([4]), xy));
        return copy(point.multiply(k).toBytes(false).subarray(1, 33));
      },
    };
  },
  rsaGenerate: refuseRsa,
  rsaOaepDecrypt: refuseRsa,
};

/** True iff the bytes are a canonical encoding of a point of the prime-order subgroup other than the identity. */
export function isPrimeOrderEd25519(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false;
  try {
    const point = ed25519.Point.fromBytes(publicKey, false);
    return !point.is0() && point.isTorsionFree();
  } catch {
    return false;
  }
}

function ed25519Verifier(publicKey: Uint8Array): Ed25519Verifier | undefined {
  if (!isPrimeOrderEd25519(publicKey)) return undefined;
  const key = copy(publicKey);
  return {
    publicKey: key,
    verify(message, signature) {
      if (signature.length !== 64) return false;
      try {
        // `zip215: false` is cofactored: strictness needs R without torsion as well (SPEC 0.2).
        return ed25519.verify(signature, message, key, { zip215: false }) &&
          ed25519.Point.fromBytes(signature.subarray(0, 32), false).isTorsionFree();
      } catch {
        return false;
      }
    },
  };
}

/** A secret exponent in BigInt arithmetic would show in its timing, so there is no portable form. */
function refuseRsa(): never {
  throw new UsageError(
    "USAGE",
    "RSA private keys need node:crypto, which this runtime has not: use Deno or Node",
  );
}

function aead(name: AeadName, key: Uint8Array, nonce: Uint8Array, aad: Uint8Array) {
  return name === "aes-256-gcm" ? gcm(key, nonce, aad) : chacha20poly1305(key, nonce, aad);
}

const TAG_BYTES = 16;
