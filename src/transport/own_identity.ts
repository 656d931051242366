/**
 * Judges the own certificate, key, pin and identity as a peer would, before anything is listened on.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { PartyId } from "../base/brands.ts";
import { equal } from "../base/bytes.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import type { Roster } from "../session/roster.ts";
import { LinkFault } from "./faults.ts";
import type { CheckedLeaf, LeafPolicy } from "./peer_identity.ts";
import type { TlsMaterial } from "./tls_listener.ts";

/** Whose identity it is. */
export interface OwnIdentity {
  /** Who is in the cluster. */
  readonly roster: Roster;
  /** The party itself. */
  readonly self: PartyId;
  /** Its certificate and key, and the authorities. */
  readonly tls: TlsMaterial;
  /** Its identity key. */
  readonly identity: Ed25519Signer;
}

/**
 * What a peer would refuse is refused here first, with a sentence for whoever can repair it.
 *
 * @returns the certificate.
 * @throws UsageError IDENTITY_INVALID
 */
export function checkOwnIdentity(own: OwnIdentity, policy: LeafPolicy): CheckedLeaf {
  const { roster, self, identity } = own;
  const { name, identity: expected } = roster.get(self);
  if (!equal(identity.publicKey, expected.publicKey)) {
    throw new UsageError(
      "IDENTITY_INVALID",
      `the identity key of ${name} does not belong to the identity in the configuration`,
      { party: name },
    );
  }
  return checkOwnCertificate(own, policy);
}

/**
 * As {@linkcode checkOwnIdentity}, for the certificate and its key alone.
 *
 * @returns the certificate.
 * @throws UsageError IDENTITY_INVALID
 */
export function checkOwnCertificate(own: Omit<OwnIdentity, "identity">, policy: LeafPolicy): CheckedLeaf {
  const { roster, self, tls } = own;
  const { name } = roster.get(self);
  const fail = (text: string, cause?: unknown) =>
    new UsageError("IDENTITY_INVALID", text, { party: name, cause });
  try {
    const certificate = new X509Certificate(tls.certPem);
    const leaf = policy.check(certificate.raw, Date.now());
    if (leaf.party !== self) throw fail(`the certificate of ${name} is that of ${roster.nameOf(leaf.party)}`);
    if (!isKeyOf(certificate, tls.keyPem)) {
      throw fail(`the TLS key of ${name} does not belong to its certificate`);
    }
    return leaf;
  } catch (error) {
    if (error instanceof LinkFault) {
      throw fail(`the certificate of ${name} cannot be used: ${error.message}`, error);
    }
    if (error instanceof UsageError) throw error;
    throw fail(`the certificate of ${name} is not a PEM certificate`, error);
  }
}

function isKeyOf(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
