/**
 * Keys of certificates: P-256, in PKCS #8.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { fromPem, toPem } from "./pem.ts";

/** How everything here is signed. */
export const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new pair of keys. */
export async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}

/** A private key as PEM. Secret. */
export async function exportKey(key: CryptoKey): Promise<string> {
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));
  const pem = toPem("PRIVATE KEY", der);
  der.fill(0);
  return pem;
}

/** Reads an authority's private key. @throws UsageError IDENTITY_INVALID */
export async function importKey(pem: string): Promise<CryptoKey> {
  const der = fromPem("PRIVATE KEY", pem, "the authority's key");
  try {
    return await crypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
  } catch {
    // Without the cause: an engine's message about a private key is not ours to repeat.
    throw new UsageError("IDENTITY_INVALID", "the authority's key is not a P-256 private key in PKCS #8");
  } finally {
    der.fill(0);
  }
}

/** Whether a host is named by its address. */
export function isIpAddress(host: string): boolean {
  return host.includes(":") || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
}
