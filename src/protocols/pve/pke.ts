/**
 * The public-key encryption of backups, E(ek, aad, text; ρ): a function of 32 random bytes, so that opening them lets anyone
 * encrypt again and compare (SPEC 4.2). A ciphertext is an encapsulation and, behind it, what AES-256-GCM makes of the text.
 *
 * @module
 */

import { type Bytes, concat, equal, erase, utf8 } from "../../base/bytes.ts";
import { aeadOpen, aeadSeal, rsaOaepDecrypt } from "../../base/crypto.ts";
import { RSA_BITS, rsaFromSpki, rsaOaepEncrypt, type RsaPublicKey } from "../../base/crypto_rsa.ts";
import { invariant, UsageError } from "../../base/errors.ts";
import { bytesToBigint } from "../../math/curve.ts";
import { hash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { decodeP256, type Encapsulation, type Hpke, makeHpke, P256_KEM, X25519_KEM } from "./hpke.ts";

/** Kinds of custodian keys: HPKE on X25519 or P-256, or RSA of 3072 bits or more. */
export type CustodianSuite = "x25519" | "p256" | "rsa";

/** Whom a backup is encrypted to: ek. */
export interface CustodianPublicKey {
  /** Which kind. */
  readonly suite: CustodianSuite;
  /** Canonical: 32 bytes of RFC 7748, 65 bytes SEC1 uncompressed, or a SubjectPublicKeyInfo. */
  readonly bytes: Bytes;
}

/** One kind of encryption. */
export interface Pke {
  /** Its number in encodings. */
  readonly id: number;
  /** What is wrong with a public key, in words; undefined where nothing is. */
  fault(publicKey: Uint8Array): string | undefined;
  /** Length of an encapsulation to a public key without fault. */
  encapsulationBytes(publicKey: Uint8Array): number;
  /** A shared secret for the owner of a public key; undefined where that is of small order. */
  encapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined;
  /** The shared secret of an encapsulation; undefined where it is malformed. */
  decapsulate(privateKey: Uint8Array, publicKey: Uint8Array, encapsulation: Uint8Array): Bytes | undefined;
  /** Text and tag, under a shared secret that is used once. */
  seal(sharedSecret: Uint8Array, aad: Uint8Array, text: Uint8Array): Bytes;
  /** The text; undefined where it is not authentic. */
  open(sharedSecret: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Bytes | undefined;
}

/** Bytes that a ciphertext is longer than encapsulation and text together. */
export const SEAL_BYTES = 16;

const INFO = utf8("quorate/v1/pve");
const x25519Hpke = makeHpke(X25519_KEM, INFO);
const p256Hpke = makeHpke(P256_KEM, INFO);
// The order of the field of Curve25519 (RFC 7748).
const FIELD_25519 = 2n ** 255n - 19n;
// All u of points of small order on Curve25519 and its twist: 0, 1, two of order 8, and −1.
const SMALL_ORDER_25519 = [
  "00".repeat(32),
  "01" + "00".repeat(31),
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ec" + "ff".repeat(30) + "7f",
].map((text) => Uint8Array.fromHex(text));
const NONCE = new Uint8Array(12);

/** All kinds by name. */
export const PKES: Readonly<Record<CustodianSuite, Pke>> = {
  x25519: hpkePke(1, x25519Hpke, (publicKey) => {
    if (publicKey.length !== 32) return "an X25519 key has 32 bytes";
    if (bytesToBigint(publicKey.toReversed()) >= FIELD_25519) return "its encoding is not canonical";
    return SMALL_ORDER_25519.some((point) => equal(point, publicKey))
      ? "it is a point of small order"
      : undefined;
  }),
  p256: hpkePke(
    2,
    p256Hpke,
    (publicKey) => decodeP256(publicKey) === undefined ? "it is not a point of P-256 in 65 bytes" : undefined,
  ),
  rsa: {
    id: 3,
    fault(publicKey) {
      if (rsaFromSpki(publicKey) !== undefined) return undefined;
      return `it is not an RSA key of ${RSA_BITS.min} to ${RSA_BITS.max} bits with the exponent 65537`;
    },
    encapsulationBytes: (publicKey) => rsaKey(publicKey).modulusBytes,
    encapsulate(publicKey, seed) {
      const random = xof(64, Tag.pveRsaSeed, seed);
      const encapsulation = rsaOaepEncrypt(rsaKey(publicKey), random.subarray(0, 32), random.subarray(32));
      const sharedSecret = hash(Tag.pveRsaKey, publicKey, encapsulation, random.subarray(0, 32));
      erase(random);
      return { encapsulation, sharedSecret };
    },
    decapsulate(privateKey, publicKey, encapsulation) {
      const random = rsaOaepDecrypt(privateKey, encapsulation);
      if (random === undefined) return undefined;
      const sharedSecret = hash(Tag.pveRsaKey, publicKey, encapsulation, random);
      erase(random);
      return sharedSecret;
    },
    seal: (sharedSecret, aad, text) => aeadSeal("aes-256-gcm", sharedSecret, NONCE, aad, text),
    open: (sharedSecret, aad, sealed) => aeadOpen("aes-256-gcm", sharedSecret, NONCE, aad, sealed),
  },
};

/** How to encrypt to a public key. */
export function pkeOf(publicKey: CustodianPublicKey): Pke {
  return PKES[publicKey.suite];
}

/** Whether two public keys are the same. */
export function isSameCustodian(a: CustodianPublicKey, b: CustodianPublicKey): boolean {
  return a.suite === b.suite && equal(a.bytes, b.bytes);
}

/**
 * Refuses a public key that cannot be encrypted to.
 *
 * @param whose for the message: "the custodian's key in custodian.pub".
 * @throws UsageError IDENTITY_INVALID
 */
export function checkCustodianKey({ suite, bytes }: CustodianPublicKey, whose: string): void {
  const fault = PKES[suite].fault(bytes);
  if (fault !== undefined) throw new UsageError("IDENTITY_INVALID", `${whose} cannot be used: ${fault}`);
}

/** Length of E of a text. */
export function sealedBytes(publicKey: CustodianPublicKey, textBytes: number): number {
  return pkeOf(publicKey).encapsulationBytes(publicKey.bytes) + textBytes + SEAL_BYTES;
}

/** E(ek, aad, text; ρ) under a key that {@linkcode checkCustodianKey} accepts. */
export function sealTo(
  publicKey: CustodianPublicKey,
  input: { readonly aad: Uint8Array; readonly text: Uint8Array; readonly seed: Uint8Array },
): Bytes {
  const pke = pkeOf(publicKey);
  const sent = pke.encapsulate(publicKey.bytes, input.seed);
  invariant(sent !== undefined, "a custodian's key is checked before it is used");
  const sealed = pke.seal(sent.sharedSecret, input.aad, input.text);
  erase(sent.sharedSecret);
  return concat(sent.encapsulation, sealed);
}

/** The encapsulation at the head of a ciphertext. */
export function encapsulationOf(publicKey: CustodianPublicKey, sealed: Uint8Array): Uint8Array {
  return sealed.subarray(0, pkeOf(publicKey).encapsulationBytes(publicKey.bytes));
}

/** Opens a ciphertext with its shared secret; undefined where it is not authentic. */
export function openWith(
  publicKey: CustodianPublicKey,
  input: { readonly aad: Uint8Array; readonly sealed: Uint8Array; readonly sharedSecret: Uint8Array },
): Bytes | undefined {
  const pke = pkeOf(publicKey);
  const body = input.sealed.subarray(pke.encapsulationBytes(publicKey.bytes));
  return pke.open(input.sharedSecret, input.aad, body);
}

function hpkePke(id: number, hpke: Hpke, fault: Pke["fault"]): Pke {
  return { id, fault, encapsulationBytes: () => hpke.kem.publicKeyBytes, ...hpke };
}

function rsaKey(publicKey: Uint8Array): RsaPublicKey {
  const key = rsaFromSpki(publicKey);
  invariant(key !== undefined, "a custodian's key is checked before it is used");
  return key;
}
