/**
 * {@linkcode CryptoBackend} over `node:crypto`, found at run time so that the pure layers import nothing of the runtime.
 *
 * @module
 */

import type * as NodeCrypto from "node:crypto";
import { type Bytes, concat, copy } from "./bytes.ts";
import type { CryptoBackend, EcName, HmacKey } from "./crypto.ts";
import { isPrimeOrderEd25519 } from "./crypto_noble.ts";
import { invariant } from "./errors.ts";

const PKCS8_ED25519 = Uint8Array.fromHex("302e020100300506032b657004220420");
const SPKI_ED25519 = Uint8Array.fromHex("302a300506032b6570032100");
const PKCS8_X25519 = Uint8Array.fromHex("302e020100300506032b656e04220420");
const SPKI_X25519 = Uint8Array.fromHex("302a300506032b656e032100");
const EC_NAMES = { secp256k1: "secp256k1", p256: "prime256v1" } as const;
// RFC 5915 in PKCS #8 without the public key, and RFC 5480, each up to the bytes that differ from key to key.
const PKCS8_EC = {
  secp256k1: Uint8Array.fromHex("303e020100301006072a8648ce3d020106052b8104000a042730250201010420"),
  p256: Uint8Array.fromHex("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420"),
} as const;
const SPKI_EC = {
  secp256k1: Uint8Array.fromHex("3056301006072a8648ce3d020106052b8104000a03420004"),
  p256: Uint8Array.fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
} as const;
const TAG_BYTES = 16;
const BLOCK_BYTES = 64;
/** Above this a copy behind the key costs more than a call. */
const SHORT_BYTES = 1024;

/** `node:crypto` itself, or undefined where the runtime has none. */
export function nodeCryptoModule(): typeof NodeCrypto | undefined {
  const runtime = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return runtime?.getBuiltinModule?.("node:crypto") as typeof NodeCrypto | undefined;
}

/** The native back-end, or undefined where the runtime has none. */
export function nodeCrypto(): CryptoBackend | undefined {
  const crypto = nodeCryptoModule();
  if (crypto === undefined) return undefined;

  function digest(name: "sha256" | "sha512", parts: readonly Uint8Array[]): Bytes {
    const state = (crypto as typeof NodeCrypto).createHash(name);
    for (const part of parts) state.update(part);
    return plain(state.digest());
  }
  function mac(name: "sha256" | "sha512", key: Uint8Array, parts: readonly Uint8Array[]): Bytes {
    const state = (crypto as typeof NodeCrypto).createHmac(name, key);
    for (const part of parts) state.update(part);
    return plain(state.digest());
  }
  function x25519Private(privateKey: Uint8Array) {
    const der = concat(PKCS8_X25519, privateKey);
    const key = (crypto as typeof NodeCrypto).createPrivateKey({
      key: der as never,
      format: "der",
      type: "pkcs8",
    });
    der.fill(0);
    return key;
  }

  function ecPrivate(curve: EcName, scalar: Uint8Array): NodeCrypto.KeyObject {
    const der = concat(PKCS8_EC[curve], scalar);
    const key = (crypto as typeof NodeCrypto).createPrivateKey({
      key: der as never,
      format: "der",
      type: "pkcs8",
    });
    der.fill(0);
    return key;
  }

  // Both suites are stream ciphers: update() gives all of the text, and final() only makes or checks the tag.
  const aeadSealInto: CryptoBackend["aeadSealInto"] = (out, name, key, nonce, aad, plaintext) => {
    invariant(out.length === plaintext.length + TAG_BYTES, "a sealed text is as long as its text and a tag");
    const cipher = crypto.createCipheriv(name as "aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(aad);
    const body = cipher.update(plaintext);
    invariant(body.length === plaintext.length, "a stream cipher keeps the length");
    out.set(body);
    cipher.final();
    out.set(cipher.getAuthTag(), body.length);
  };

  return {
    name: "node",
    sha256: (...parts) => digest("sha256", parts),
    sha512: (...parts) => digest("sha512", parts),
    hmacSha256: (key, ...parts) => mac("sha256", key, parts),
    hmacSha512: (key, ...parts) => mac("sha512", key, parts),
    hmacKey: (key) => new PaddedKey(crypto, key),
    aes128Ecb(key, blocks) {
      const cipher = crypto.createCipheriv("aes-128-ecb", key, null);
      cipher.setAutoPadding(false);
      const out = plain(cipher.update(blocks));
      cipher.final();
      return out;
    },
    aeadSeal(name, key, nonce, aad, plaintext) {
      const out = new Uint8Array(plaintext.length + TAG_BYTES);
      aeadSealInto(out, name, key, nonce, aad, plaintext);
      return out;
    },
    aeadSealInto,
    aeadOpen(name, key, nonce, aad, sealed) {
      if (sealed.length < TAG_BYTES) return undefined;
      const decipher = crypto.createDecipheriv(name as "aes-256-gcm", key, nonce, {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(aad);
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      const body = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
      try {
        decipher.final();
      } catch {
        body.fill(0);
        return undefined;
      }
      invariant(body.length === sealed.length - TAG_BYTES, "a stream cipher keeps the length");
      return plain(body);
    },
    ed25519Signer(seed) {
      const der = concat(PKCS8_ED25519, seed);
      const key = crypto.createPrivateKey({ key: der as never, format: "der", type: "pkcs8" });
      der.fill(0);
      const spki = crypto.createPublicKey(key).export({ format: "der", type: "spki" });
      return {
        publicKey: plain(spki.subarray(spki.length - 32)),
        sign: (message) => plain(crypto.sign(null, message, key)),
      };
    },
    ed25519Verifier(publicKey) {
      // node:crypto takes the identity and mixed-order points as keys; strictness is decided here, once.
      if (!isPrimeOrderEd25519(publicKey)) return undefined;
      const bytes = copy(publicKey);
      const der = concat(SPKI_ED25519, bytes) as never;
      const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
      return {
        publicKey: bytes,
        verify: (message, signature) =>
          signature.length === 64 && crypto.verify(null, message, key, signature),
      };
    },
    x25519PublicKey(privateKey) {
      const spki = crypto.createPublicKey(x25519Private(privateKey)).export({ format: "der", type: "spki" });
      return plain(spki.subarray(spki.length - 32));
    },
    x25519(privateKey, publicKey) {
      try {
        const der = concat(SPKI_X25519, publicKey) as never;
        const shared = plain(crypto.diffieHellman({
          privateKey: x25519Private(privateKey),
          publicKey: crypto.createPublicKey({ key: der, format: "der", type: "spki" }),
        }));
        return shared.some((byte) => byte !== 0) ? shared : undefined;
      } catch {
        return undefined;
      }
    },
    ecKey(curve, scalar) {
      let privateKey: NodeCrypto.KeyObject | undefined;
      return {
        publicXy() {
          const key = crypto.createECDH(EC_NAMES[curve]);
          key.setPrivateKey(scalar);
          return copy(key.getPublicKey().subarray(1));
        },
        // Two key objects are twice as fast here as ECDH.computeSecret, which derives its own public key each time.
        sharedX(xy) {
          privateKey ??= ecPrivate(curve, scalar);
          const publicKey = crypto.createPublicKey({
            key: concat(SPKI_EC[curve], xy) as never,
            format: "der",
            type: "spki",
          });
          return plain(crypto.diffieHellman({ privateKey, publicKey }));
        },
      };
    },
    rsaGenerate(bits) {
      const { privateKey } = crypto.generateKeyPairSync("rsa", {
        modulusLength: bits,
        publicExponent: 65537,
      });
      return plain(privateKey.export({ format: "der", type: "pkcs8" }));
    },
    rsaOaepDecrypt(privateKey, ciphertext) {
      const key = crypto.createPrivateKey({ key: privateKey as never, format: "der", type: "pkcs8" });
      const padding = crypto.constants.RSA_PKCS1_OAEP_PADDING;
      try {
        return plain(crypto.privateDecrypt({ key, padding, oaepHash: "sha256" }, ciphertext));
      } catch {
        return undefined;
      }
    },
  };
}

/**
 * RFC 2104 over two hashes of one call each: a third of the time of `createHmac` for short inputs. The padded keys lie here, where
 * they can be erased, and in no state of the runtime that lives longer than a call.
 */
class PaddedKey implements HmacKey {
  readonly #crypto: typeof NodeCrypto;
  /** The inner padded key, and room for an input behind it. */
  readonly #inner: Bytes = new Uint8Array(BLOCK_BYTES + SHORT_BYTES);
  /** The outer padded key, and room for a digest behind it. */
  readonly #outer: Bytes = new Uint8Array(BLOCK_BYTES + 32);
  #isErased = false;

  constructor(crypto: typeof NodeCrypto, key: Uint8Array) {
    invariant(key.length <= BLOCK_BYTES, "a longer key is hashed first");
    this.#crypto = crypto;
    for (let i = 0; i < BLOCK_BYTES; i++) {
      this.#inner[i] = (key[i] ?? 0) ^ 0x36;
      this.#outer[i] = (key[i] ?? 0) ^ 0x5c;
    }
  }

  mac(input: Uint8Array): Bytes {
    invariant(!this.#isErased, "an erased key makes no MAC");
    this.#outer.set(this.#innerDigest(input), BLOCK_BYTES);
    return Uint8Array.fromHex(this.#crypto.hash("sha256", this.#outer));
  }

  #innerDigest(input: Uint8Array): Uint8Array {
    if (input.length > SHORT_BYTES) {
      const key = this.#inner.subarray(0, BLOCK_BYTES);
      return this.#crypto.createHash("sha256").update(key).update(input).digest();
    }
    this.#inner.set(input, BLOCK_BYTES);
    const digest = this.#crypto.hash("sha256", this.#inner.subarray(0, BLOCK_BYTES + input.length));
    return Uint8Array.fromHex(digest);
  }

  [Symbol.dispose](): void {
    this.#isErased = true;
    this.#inner.fill(0);
    this.#outer.fill(0);
  }
}

/** A plain `Uint8Array` over the memory of a node Buffer, which may be a slice of a pool. */
function plain(buffer: Uint8Array): Bytes {
  return buffer.byteLength === buffer.buffer.byteLength && buffer.buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer.buffer)
    : copy(buffer);
}
