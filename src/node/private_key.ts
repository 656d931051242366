/**
 * Private keys for ECDSA in the forms that other programs read and write: PEM (PKCS #8 or SEC 1) and JSON Web Key.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { type Bytes, concat, copy, erase, fromUtf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { bytesToBigint, type Curve, p256, secp256k1 } from "../math/curve.ts";
import { toPem } from "../pki/pem.ts";

/** A private key and its curve. */
export interface PrivateKey extends Disposable {
  /** The curve. */
  readonly curve: Curve;
  /** x: 32 bytes, big-endian. */
  readonly scalar: Secret;
}

/** Forms of a private key. */
export type PrivateKeyFormat = "pem" | "jwk";

/**
 * Reads a private key. What the runtime copies of it on the way cannot be erased.
 *
 * @param what for the message: the name of the file.
 * @throws UsageError FILE_UNREADABLE
 */
export function parsePrivateKey(content: Bytes, what: string): PrivateKey {
  const text = fromUtf8(content)?.trim() ?? "";
  if (/ENCRYPTED/.test(text)) {
    throw new UsageError(
      "FILE_UNREADABLE",
      `${what} holds an encrypted private key: decrypt it first, as with openssl pkey, on a machine without a network`,
    );
  }
  const { crv, d } = jwkOf(keyOf(text, what), what);
  const curve = crv === "secp256k1" ? secp256k1 : crv === "P-256" ? p256 : undefined;
  const bytes = d === undefined ? undefined : Uint8Array.fromBase64(d, { alphabet: "base64url" });
  const x = bytes?.length === 32 ? bytesToBigint(bytes) : 0n;
  if (curve === undefined || bytes === undefined || x === 0n || x >= curve.order) {
    throw notAKey(what);
  }
  const scalar = new Secret(bytes);
  return { curve, scalar, [Symbol.dispose]: () => scalar[Symbol.dispose]() };
}

/** The text of a private key: PKCS #8 or a JSON Web Key. Secret: the caller erases it. */
export function formatPrivateKey(
  { curve, scalar }: Omit<PrivateKey, typeof Symbol.dispose>,
  format: PrivateKeyFormat,
): Bytes {
  const x = scalar.expose();
  const point = curve.mulBase(curve.scalar(bytesToBigint(x))).toBytes(false);
  const { prefix, crv } = FORMS[curve.name];
  if (format === "jwk") {
    const [d, px, py] = [x, point.subarray(1, 33), point.subarray(33)].map((part) =>
      copy(part).toBase64({ alphabet: "base64url", omitPadding: true })
    );
    return new TextEncoder().encode(JSON.stringify({ kty: "EC", crv, d, x: px, y: py }) + "\n");
  }
  const der = concat(prefix, x, PUBLIC_PREFIX, point);
  try {
    return new TextEncoder().encode(toPem("PRIVATE KEY", der));
  } finally {
    erase(der);
  }
}

// RFC 5958 with RFC 5915 inside: the curve's object identifier, then version 1, and the 32 bytes that follow.
const FORMS = {
  p256: {
    crv: "P-256",
    prefix: Uint8Array.fromHex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420"),
  },
  secp256k1: {
    crv: "secp256k1",
    prefix: Uint8Array.fromHex("308184020100301006072a8648ce3d020106052b8104000a046d306b0201010420"),
  },
} as const;
// [1] BIT STRING: the public key that belongs to it.
const PUBLIC_PREFIX = Uint8Array.fromHex("a144034200");

function keyOf(text: string, what: string): KeyObject {
  try {
    return text.startsWith("{")
      ? createPrivateKey({ key: JSON.parse(text), format: "jwk" })
      : createPrivateKey(Buffer.from(text));
  } catch {
    // What the runtime says of a key may hold a part of it.
    throw notAKey(what);
  }
}

function jwkOf(key: KeyObject, what: string): { readonly crv?: string; readonly d?: string } {
  try {
    return key.export({ format: "jwk" }) as { crv?: string; d?: string };
  } catch {
    throw notAKey(what);
  }
}

function notAKey(what: string): UsageError {
  return new UsageError(
    "FILE_UNREADABLE",
    `${what} holds no private key on secp256k1 or p256: expected is PEM (PKCS #8 or SEC 1) or a JSON Web Key`,
  );
}
