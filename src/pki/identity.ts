/**
 * Identity keys: the Ed25519 key that signs HELLO, envelopes and votes (WIRE.md 2 and 6). Its private half is a PKCS #8 PEM
 * file, its public half the text `ed25519/<base64>` in the configuration.
 *
 * @module
 */

import { type Bytes, concat, erase } from "../base/bytes.ts";
import { type Ed25519Signer, ed25519Signer, ed25519Verifier } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { fromPem, toPem } from "./pem.ts";

/** A fresh identity key in the two forms in which it is kept. */
export interface GeneratedIdentity {
  /** PKCS #8 PEM. Secret. */
  readonly privatePem: string;
  /** `ed25519/<base64>`. */
  readonly publicText: string;
}

/** Draws an identity key. */
export function generateIdentity(rng: Rng): GeneratedIdentity {
  const seed = rng.bytes(32);
  const der = concat(PKCS8_PREFIX, seed);
  const identity = {
    privatePem: toPem("PRIVATE KEY", der),
    publicText: identityText(ed25519Signer(seed).publicKey),
  };
  erase(seed, der);
  return identity;
}

/** The text form of a public identity key. */
export function identityText(publicKey: Uint8Array): string {
  return TEXT_PREFIX + publicKey.toBase64();
}

/**
 * Reads the text form of a public identity key, and refuses a key that is not canonical and of prime order.
 *
 * @param owner for the message.
 * @throws UsageError IDENTITY_INVALID
 */
export function parseIdentityText(text: string, owner: string): Bytes {
  const bytes = text.startsWith(TEXT_PREFIX) ? decodeBase64(text.slice(TEXT_PREFIX.length)) : undefined;
  // Encoding again refuses a second spelling of one key: two spellings would look like two parties.
  if (bytes === undefined || bytes.length !== 32 || identityText(bytes) !== text) {
    throw new UsageError(
      "IDENTITY_INVALID",
      `the identity of ${owner} must be "ed25519/" and 44 base64 characters, as \`quorate init\` prints it`,
      { party: owner },
    );
  }
  if (ed25519Verifier(bytes) === undefined) {
    throw new UsageError(
      "IDENTITY_INVALID",
      `the identity of ${owner} is not a valid Ed25519 public key (not canonical, or of small order)`,
      { party: owner },
    );
  }
  return bytes;
}

/**
 * Reads a private identity key.
 *
 * @param owner for the message.
 * @throws UsageError IDENTITY_INVALID
 */
export function identitySigner(privatePem: string, owner: string): Ed25519Signer {
  const der = fromPem("PRIVATE KEY", privatePem, `the identity key of ${owner}`);
  const isEd25519 = der.length === PKCS8_PREFIX.length + 32 &&
    PKCS8_PREFIX.every((byte, at) => byte === der[at]);
  if (!isEd25519) {
    erase(der);
    throw new UsageError(
      "IDENTITY_INVALID",
      `the identity key of ${owner} is not an Ed25519 private key in PKCS #8`,
      { party: owner },
    );
  }
  const signer = ed25519Signer(der.subarray(PKCS8_PREFIX.length));
  erase(der);
  return signer;
}

function decodeBase64(text: string): Bytes | undefined {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}

const TEXT_PREFIX = "ed25519/";
/** RFC 8410, 7: version 0, id-Ed25519, and an OCTET STRING in an OCTET STRING. */
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b657004220420");
