/**
 * Files of revocation lists: one list per authority, one after the other.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { readRevocationList, type RevocationFields } from "../transport/certificate.ts";
import { isListOf } from "../transport/peer_identity.ts";
import { commonName } from "./inspect.ts";
import { fromPem } from "./pem.ts";

/** A revocation list. */
export interface ListDescription {
  /** The list itself, PEM. */
  readonly pem: string;
  /** Common name of the authority that signed it; undefined where it is none of those that are known. */
  readonly issuer: string | undefined;
  /** Since when it holds. */
  readonly thisUpdate: Date;
  /** From then on it lets nobody in. */
  readonly nextUpdate: Date;
  /** Serial numbers, hexadecimal. */
  readonly revoked: ReadonlySet<string>;
}

/**
 * Reads the lists of a file.
 *
 * @param authorities PEM certificates of those who may have signed them.
 * @throws UsageError IDENTITY_INVALID
 */
export function listsIn(bundle: string, authorities: readonly string[]): ListDescription[] {
  const certificates = authorities.map((pem) => new X509Certificate(pem));
  const blocks = bundle.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----\n?/g) ?? [];
  return blocks.map((pem) => {
    const fields = fieldsOf(pem);
    const issuer = certificates.find((certificate) => isListOf(fields, certificate));
    return {
      pem: pem.endsWith("\n") ? pem : pem + "\n",
      issuer: issuer === undefined ? undefined : commonName(issuer.subject),
      thisUpdate: new Date(fields.thisUpdate),
      nextUpdate: new Date(fields.nextUpdate),
      revoked: fields.revoked,
    };
  });
}

function fieldsOf(pem: string): RevocationFields {
  try {
    return readRevocationList(fromPem("X509 CRL", pem, "a revocation list"));
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new UsageError("IDENTITY_INVALID", `a revocation list cannot be read: ${cause.message}`, { cause });
  }
}
