/**
 * Child keys that everybody can compute: BIP32 public derivation on secp256k1, SLIP-0010 on P-256 (SPEC 2.11).
 *
 * A child is Q + δ·G, and δ follows from Q, the chain code and the path. No share changes: one signer adds δ to its part
 * (`SignInput.tweak`), and the signature is one of the child's.
 *
 * @module
 */

import { type Bytes, concat, copy, u32, u8 } from "../../base/bytes.ts";
import { DecodeError, Reader } from "../../base/codec.ts";
import { hmacSha512 } from "../../base/crypto.ts";
import { base58CheckDecode, base58CheckEncode, hash160 } from "../../base/crypto_bitcoin.ts";
import { UsageError } from "../../base/errors.ts";
import { bytesToBigint, type Curve, type Point, type Scalar, secp256k1 } from "../../math/curve.ts";
import type { PublicKeyRecord } from "../key_share.ts";

/** Indices from the key to a child, each below 2^31. */
export type DerivationPath = readonly number[];

/** A public key from which children can be derived (BIP32). */
export interface ExtendedPublicKey {
  /** The curve. */
  readonly curve: Curve;
  /** The point. */
  readonly publicKey: Point;
  /** 32 bytes. */
  readonly chainCode: Bytes;
  /** How many steps from the root: 0 to 255. */
  readonly depth: number;
  /** The first four bytes of the parent's HASH160; zeros at the root. */
  readonly parentFingerprint: Bytes;
  /** The last index of the path; 0 at the root. */
  readonly childNumber: number;
}

/** A child, and what signers add to sign for it. */
export interface DerivedKey extends ExtendedPublicKey {
  /** How it was derived. */
  readonly path: DerivationPath;
  /** δ: the child is Q + δ·G. For `SignInput.tweak`. */
  readonly tweak: Scalar;
}

/** For which network an extended key is written: the first four bytes differ. */
export type XpubNetwork = "main" | "test";

/**
 * Reads a path such as `m/0/5`; `m` alone is the key itself.
 *
 * @throws UsageError USAGE, for hardened indices too: their derivation needs the private key, which nobody has.
 * @example
 * ```ts
 * import { formatPath, parsePath } from "./derive.ts";
 * if (formatPath(parsePath("m/0/5")) !== "m/0/5") throw new Error("printed otherwise");
 * ```
 */
export function parsePath(text: string): DerivationPath {
  const [root, ...steps] = text.split("/");
  if (root !== "m") throw badPath(`a path begins with "m", like m/0/5: found ${JSON.stringify(text)}`);
  const path = steps.map((step) => {
    if (/^\d+['hH]$/.test(step)) throw hardened(step);
    if (!/^(?:0|[1-9]\d{0,9})$/.test(step)) {
      throw badPath(`a path is m and indices like m/0/5: found ${JSON.stringify(step)}`);
    }
    return Number(step);
  });
  checkPath(path);
  return path;
}

/** The text of a path: what {@linkcode parsePath} reads. */
export function formatPath(path: DerivationPath): string {
  return ["m", ...path].join("/");
}

/**
 * The child of a key along a path.
 *
 * @throws UsageError USAGE where the path is hardened, too long, or has no child on secp256k1 (which nobody will ever see).
 * @source BIP32, CKDpub; SLIP-0010, public parent key to public child key; SPEC 2.11
 */
export function deriveKey(
  root: Pick<PublicKeyRecord, "publicKey" | "chainCode"> & { readonly curve: Curve },
  path: DerivationPath,
): DerivedKey {
  checkPath(path);
  const { curve } = root;
  let key: ExtendedPublicKey = {
    curve,
    publicKey: root.publicKey,
    chainCode: copy(root.chainCode),
    depth: 0,
    parentFingerprint: u32(0),
    childNumber: 0,
  };
  let tweak = curve.scalar(0n);
  for (const index of path) {
    const step = childOf(key, index, hmacSha512);
    key = step.child;
    tweak = curve.add(tweak, step.delta); // δ = Σ I_L
  }
  return { ...key, path, tweak };
}

/**
 * One step. Its hash is an argument because nobody can find inputs for which the real one has no child on secp256k1.
 *
 * @param mac HMAC-SHA-512.
 */
export function childOf(
  parent: ExtendedPublicKey,
  index: number,
  mac: (key: Uint8Array, ...parts: readonly Uint8Array[]) => Bytes,
): { readonly child: ExtendedPublicKey; readonly delta: Scalar } {
  checkPath([index]);
  const { curve, publicKey, chainCode, depth } = parent;
  if (depth >= DEPTH_MAX) throw tooLong();
  const serialized = curve.encodePoint(publicKey);
  let I = mac(chainCode, serialized, u32(index)); // I = HMAC-SHA512(cc, ser33(Q) ‖ u32 i)
  for (;;) {
    const I_L = bytesToBigint(I.subarray(0, 32)), I_R = I.slice(32);
    const child = I_L < curve.order ? publicKey.add(curve.mulBase(I_L as Scalar)) : curve.zero;
    if (!child.is0()) {
      return {
        child: {
          curve,
          publicKey: child,
          chainCode: I_R,
          depth: depth + 1,
          parentFingerprint: hash160(serialized).slice(0, 4),
          childNumber: index,
        },
        delta: I_L as Scalar,
      };
    }
    // BIP32 leaves such an index without a key. SLIP-0010 hashes again, which on P-256 happens once in 2^32 steps.
    if (curve.name === "secp256k1") {
      throw new UsageError("USAGE", `index ${index} has no key here: use ${index + 1}`);
    }
    I = mac(chainCode, u8(1), I_R, u32(index));
  }
}

/**
 * The serialised form of BIP32: `xpub…`, or `tpub…` for the test network.
 *
 * @throws UsageError USAGE on another curve than secp256k1: no standard defines the form there.
 */
export function formatXpub(key: ExtendedPublicKey, network: XpubNetwork = "main"): string {
  const { curve, depth, parentFingerprint, childNumber, chainCode, publicKey } = key;
  if (curve.name !== "secp256k1") {
    throw new UsageError(
      "USAGE",
      `extended public keys are defined for secp256k1 only: this key is on ${curve.name}`,
    );
  }
  return base58CheckEncode(concat(
    u32(XPUB_VERSIONS[network]),
    u8(depth),
    parentFingerprint,
    u32(childNumber),
    chainCode,
    curve.encodePoint(publicKey),
  ));
}

/** Reads the form of {@linkcode formatXpub}. @throws UsageError USAGE that says what is wrong. */
export function parseXpub(text: string): ExtendedPublicKey {
  const refuse = (why: string) => new UsageError("USAGE", `this is not an extended public key: ${why}`);
  const bytes = base58CheckDecode(text, XPUB_BYTES);
  if (bytes === undefined) throw refuse("its characters, length or checksum are wrong");
  const input = new Reader(bytes);
  if (!Object.values(XPUB_VERSIONS).includes(input.number(4))) {
    throw refuse("its version is not xpub or tpub");
  }
  const depth = input.number(1);
  const parentFingerprint = input.take(4);
  const childNumber = input.number(4);
  if (depth === 0 && (childNumber !== 0 || parentFingerprint.some((byte) => byte !== 0))) {
    throw refuse("a root has no parent and no index");
  }
  const chainCode = input.take(32);
  try {
    const publicKey = secp256k1.decodePoint(input.take(33));
    return { curve: secp256k1, publicKey, chainCode, depth, parentFingerprint, childNumber };
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
}

function checkPath(path: DerivationPath): void {
  if (path.length > DEPTH_MAX) throw tooLong();
  for (const index of path) {
    if (!Number.isInteger(index) || index < 0 || index > 0xffffffff) {
      throw badPath(`an index is an integer of 0 to 2147483647: found ${index}`);
    }
    if (index >= HARDENED) throw hardened(String(index));
  }
}

function hardened(step: string): UsageError {
  return badPath(
    `${step} is hardened: that needs the private key, which no party has; use an index of 0 to 2147483647 without mark`,
  );
}

function tooLong(): UsageError {
  return badPath(`a path has at most ${DEPTH_MAX} steps`);
}

function badPath(why: string): UsageError {
  return new UsageError("USAGE", why);
}

const HARDENED = 2 ** 31;
const DEPTH_MAX = 255;
const XPUB_BYTES = 78;
const XPUB_VERSIONS: Readonly<Record<XpubNetwork, number>> = { main: 0x0488b21e, test: 0x043587cf };
