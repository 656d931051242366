/**
 * What a certificate says, for people.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { readLeaf } from "../transport/certificate.ts";
import { pinOfCertificate } from "../transport/peer_identity.ts";

/** A certificate. */
export interface CertificateDescription {
  /** Common name of its subject. */
  readonly subject: string;
  /** Common name of its issuer. */
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** Begin and end. */
  readonly notBefore: Date;
  /** Begin and end. */
  readonly notAfter: Date;
  /** True where it may issue certificates. */
  readonly isAuthority: boolean;
  /** Names of the kind URI: of a party `quorate://CLUSTER/PARTY`. */
  readonly uris: readonly string[];
  /** Names and addresses of hosts. */
  readonly hosts: readonly string[];
  /** Purposes: `serverAuth`, `clientAuth`. */
  readonly purposes: readonly string[];
  /** `sha256/...` of its public key: what `tls_pin` holds. */
  readonly pin: string;
  /** SHA-256 of the certificate, hexadecimal. */
  readonly fingerprint: string;
}

/** Describes a certificate. @throws UsageError IDENTITY_INVALID */
export function describeCertificate(pem: string, what: string): CertificateDescription {
  try {
    const certificate = new X509Certificate(pem);
    const fields = readLeaf(new Uint8Array(certificate.raw));
    return {
      subject: commonName(certificate.subject),
      issuer: commonName(certificate.issuer),
      serial: fields.serial,
      notBefore: new Date(fields.notBefore),
      notAfter: new Date(fields.notAfter),
      isAuthority: fields.isAuthority,
      uris: fields.uriNames,
      hosts: (certificate.subjectAltName ?? "").split(", ").filter((name) => /^(DNS|IP Address):/.test(name))
        .map((name) => name.replace(/^(DNS|IP Address):/, "")),
      purposes: (fields.extendedKeyUsage ?? []).map((oid) => PURPOSES[oid] ?? oid),
      pin: pinOfCertificate(certificate),
      fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    };
  } catch (cause) {
    const why = cause instanceof DecodeError ? `: ${cause.message}` : "";
    throw new UsageError("IDENTITY_INVALID", `${what} holds no certificate that can be read${why}`, {
      cause,
    });
  }
}

/** The certificates of a bundle, one PEM text each. */
export function certificatesIn(bundle: string): string[] {
  return bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
}

/** Days until a time, rounded down; negative where it has passed. */
export function daysUntil(time: Date, now: number): number {
  return Math.floor((time.getTime() - now) / 86_400_000);
}

// RFC 5280, 4.2.1.12: id-kp-serverAuth and id-kp-clientAuth.
const PURPOSES: Readonly<Record<string, string>> = {
  "2b06010505070301": "serverAuth",
  "2b06010505070302": "clientAuth",
};

/** The common name in a name as the runtime writes it, or all of it. */
export function commonName(name: string): string {
  return /(?:^|\n)CN=([^\n]*)/.exec(name)?.[1] ?? name.replaceAll("\n", ", ");
}
