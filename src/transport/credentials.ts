/**
 * What a mesh shows of itself and judges others by: certificates, keys, authorities, revocation lists and pins. It is replaced as
 * a whole, and only by what a peer would accept.
 *
 * @module
 */

import { type CheckedLeaf, LeafPolicy } from "./peer_identity.ts";
import { checkOwnIdentity, type OwnIdentity } from "./own_identity.ts";
import type { MeshMaterial } from "./mesh_types.ts";
import type { TlsMaterial } from "./tls_listener.ts";

/** Checked, and ready to be used. */
export interface Credentials {
  /** Own certificate and key, and the authorities. */
  readonly material: TlsMaterial;
  /** Judges the certificates of others. */
  readonly policy: LeafPolicy;
  /** The own certificate. */
  readonly own: CheckedLeaf;
}

/**
 * Checks that everything belongs together.
 *
 * @param former what is in use: the new lists must not know less.
 * @throws UsageError IDENTITY_INVALID
 */
export function makeCredentials(
  { roster, self, identity }: Omit<OwnIdentity, "tls">,
  material: MeshMaterial,
  former?: Credentials,
): Credentials {
  const policy = new LeafPolicy({
    cluster: roster.cluster,
    authorities: material.tls.authoritiesPem,
    revocationLists: material.revocationListsPem,
    parties: roster.parties.map(({ index, name }) => ({ index, name, pins: material.pins.get(index) ?? [] })),
  });
  if (former !== undefined) policy.requireNoOlderLists(former.policy);
  const own = checkOwnIdentity({ roster, self, identity, tls: material.tls }, policy);
  return { material: material.tls, policy, own };
}
