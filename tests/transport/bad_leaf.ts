/**
 * Certificates that no authority of ours would issue.
 *
 * @module
 */

import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { X509Certificate } from "node:crypto";
import type { CertifiedKey } from "../../src/pki/authority.ts";
import { fromPem, toPem } from "../../src/pki/pem.ts";
import { pinOf } from "../../src/pki/pin.ts";

/** What is wrong with the certificate; everything else is right. */
export interface Defects {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** OIDs; `null` leaves the extension out. */
  readonly usage?: readonly string[] | null;
  readonly uris?: readonly string[];
  readonly isAuthority?: boolean;
  readonly algorithm?: "P-256" | "P-521" | "RSA";
  readonly extension?: { readonly oid: string; readonly critical: boolean };
}

export const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
export const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
export const DAY_MS = 86_400_000;

/** A leaf with defects, its key, its DER and its pin. */
export interface BadLeaf extends CertifiedKey {
  readonly raw: Uint8Array;
  readonly pin: string;
}

/** Issues a certificate with defects. */
export async function badLeaf(
  authority: CertifiedKey,
  party: string,
  defects: Defects = {},
): Promise<BadLeaf> {
  const issuer = new x509.X509Certificate(fromPem("CERTIFICATE", authority.certPem, "ca"));
  const signingKey = await crypto.subtle.importKey(
    "pkcs8",
    fromPem("PRIVATE KEY", authority.keyPem, "ca key"),
    ECDSA,
    false,
    ["sign"],
  );
  const keys = await crypto.subtle.generateKey(ALGORITHMS[defects.algorithm ?? "P-256"], true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const usage = defects.usage === undefined ? [SERVER_AUTH, CLIENT_AUTH] : defects.usage;
  const uris = defects.uris ?? [`quorate://demo/${party}`];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: crypto.randomUUID().replaceAll("-", "").replace(/^./, "4"),
    subject: `CN=${party}`,
    issuer: issuer.subject,
    notBefore: defects.notBefore ?? new Date(Date.now() - DAY_MS),
    notAfter: defects.notAfter ?? new Date(Date.now() + DAY_MS),
    signingAlgorithm: ECDSA,
    signingKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(defects.isAuthority ?? false, undefined, true),
      ...usage === null ? [] : [new x509.ExtendedKeyUsageExtension([...usage])],
      new x509.SubjectAlternativeNameExtension([
        ...uris.map((value) => ({ type: "url" as const, value })),
        { type: "ip", value: "127.0.0.1" },
      ]),
      ...defects.extension === undefined ? [] : [
        new x509.Extension(defects.extension.oid, defects.extension.critical, Uint8Array.of(5, 0)),
      ],
    ],
  });
  const certPem = certificate.toString("pem");
  const keyPem = toPem(
    "PRIVATE KEY",
    new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey)),
  );
  return { certPem, keyPem, raw: new X509Certificate(certPem).raw, pin: pinOf(certPem) };
}

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const ALGORITHMS = {
  "P-256": ECDSA,
  "P-521": { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" },
  RSA: {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
    hash: "SHA-256",
  },
};
