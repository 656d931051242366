/**
 * PEM text around DER bytes (RFC 7468), strict: one block, the expected label, canonical base64.
 *
 * @module
 */

import type { Bytes } from "./bytes.ts";
import { UsageError } from "./errors.ts";

/** Wraps DER in PEM with lines of 64 characters. */
export function toPem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/**
 * The DER of the only block of a PEM text.
 *
 * @param what for the message: "alice's identity key".
 * @throws UsageError IDENTITY_INVALID; the message never repeats the text.
 */
export function fromPem(label: string, text: string, what: string): Bytes {
  const pattern = new RegExp(`^-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----$`);
  const body = pattern.exec(text.trim())?.[1];
  try {
    if (body !== undefined) return Uint8Array.fromBase64(body.replace(/\s/g, ""));
  } catch {
    // The one sentence below says what is wrong; the engine's message would repeat characters of a key.
  }
  throw new UsageError("IDENTITY_INVALID", `${what} is not one PEM block of the kind "${label}"`);
}
