/**
 * Pins: hashes of certificate public keys, one to three per party in the configuration.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { UsageError } from "../base/errors.ts";
import { pinOfCertificate } from "../transport/peer_identity.ts";

/**
 * `sha256/<base64 of SHA-256 of SubjectPublicKeyInfo>` of a certificate.
 *
 * @throws UsageError IDENTITY_INVALID if the text is not a certificate.
 */
export function pinOf(certPem: string): string {
  try {
    return pinOfCertificate(new X509Certificate(certPem));
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", "a pin is made from a PEM certificate: this is not one", {
      cause,
    });
  }
}
