/**
 * The two kinds of Schnorr signature that FROST makes here, over noble-curves' FROST modules, which are used as they are
 * (SPEC 6).
 *
 * - `ed25519`: RFC 9591, 6.1, FROST(Ed25519, SHA-512). The signature is one of RFC 8032 (PureEdDSA).
 * - `bip340`: FROST on secp256k1 whose signature is one of BIP340. Key generation adds the tweak of BIP341 for an empty script
 *   tree to the key, as noble and frost-secp256k1-tr do, so that nobody can have hidden a script in it.
 *
 * Points and scalars travel and are stored as RFC 9591 serialises them.
 *
 * @module
 */

import type { FROST } from "@noble/curves/abstract/frost.js";
import { ed25519_FROST } from "@noble/curves/ed25519.js";
import { schnorr, schnorr_FROST } from "@noble/curves/secp256k1.js";
import { type Bytes, copy } from "../../base/bytes.ts";
import { type Codec, DecodeError, map, U8 } from "../../base/codec.ts";
import { ed25519Verifier } from "../../base/crypto.ts";
import type { Rng } from "../../base/rng.ts";
import { type Group, type Point, secp256k1 } from "../../math/curve.ts";
import { ed25519 } from "../../math/ed25519.ts";

/** Names of the schemes as they appear in proposals, stored keys and options. */
export type FrostScheme = "ed25519" | "bip340";

/** One scheme. */
export interface FrostSuite {
  /** As in options and files. */
  readonly scheme: FrostScheme;
  /** Number of the scheme in encodings: 3 ed25519, 4 bip340; never that of an ECDSA curve. */
  readonly id: number;
  /** The group of the key. */
  readonly group: Group;
  /** @ignore noble's implementation: for this folder. */
  readonly frost: FROST;
  /** The 32 bytes that verifiers take as public key: RFC 8032's encoding, or the x of BIP340. */
  publicKeyBytes(publicKey: Point): Bytes;
  /** Verifies a signature as its standard says, for Ed25519 strictly (SPEC 0.2). */
  verify(publicKey: Point, message: Uint8Array, signature: Uint8Array): boolean;
  /** Why a message cannot be signed, in words; undefined where it can. */
  messageFault(message: Uint8Array): string | undefined;
}

/** Bytes of a signature, of a proof of knowledge in key generation, and of an encoded scalar. */
export const FROST_BYTES = { signature: 64, proof: 64, scalar: 32 } as const;

/** The largest message that is signed as it is: what fits into one file that a person approves, and well into memory. */
export const FROST_MESSAGE_BYTES_MAX: number = 48 * 1024;

/** All schemes by name. */
export const FROST_SUITES: Readonly<Record<FrostScheme, FrostSuite>> = {
  ed25519: {
    scheme: "ed25519",
    id: 3,
    group: ed25519,
    frost: ed25519_FROST as FROST,
    publicKeyBytes: (publicKey) => ed25519.encodePoint(publicKey),
    verify: (publicKey, message, signature) =>
      ed25519Verifier(ed25519.encodePoint(publicKey))?.verify(message, signature) ?? false,
    messageFault: (message) =>
      message.length <= FROST_MESSAGE_BYTES_MAX
        ? undefined
        : `a message for Ed25519 has at most ${FROST_MESSAGE_BYTES_MAX} bytes: found ${message.length}`,
  },
  bip340: {
    scheme: "bip340",
    id: 4,
    group: secp256k1,
    frost: schnorr_FROST as FROST,
    publicKeyBytes: xOnly,
    verify(publicKey, message, signature) {
      return signature.length === FROST_BYTES.signature &&
        schnorr.verify(signature, message, xOnly(publicKey));
    },
    messageFault: (message) =>
      message.length === 32
        ? undefined
        : `a message for BIP340 is a digest of 32 bytes: found ${message.length}`,
  },
};

/** A scheme by its number. */
export const suiteCodec: Codec<FrostSuite> = map(U8, (suite: FrostSuite) => suite.id, (id) => {
  const suite = Object.values(FROST_SUITES).find((known) => known.id === id);
  if (suite === undefined) throw new DecodeError("a signature scheme of an unknown number");
  return suite;
});

/** A source of randomness in the form that noble takes. */
export function nobleRng(rng: Rng): (length?: number) => Bytes {
  return (length = 32) => rng.bytes(length);
}

function xOnly(publicKey: Point): Bytes {
  return copy(secp256k1.encodePoint(publicKey).subarray(1));
}
