/**
 * A threshold key as one party holds it: a public record, the same at every party, and one secret share (SPEC 2.1).
 *
 * @module
 */

import type { KeyId, PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import type { Secret } from "../base/secret.ts";
import type { Curve, Point } from "../math/curve.ts";
import type { AccessTree } from "../primitives/access.ts";

/** A member of a key's access structure. */
export interface Member {
  readonly index: PartyId;
  /** Name of the party, and of its leaf in the access tree. */
  readonly name: string;
  /** Its 32-byte Ed25519 identity key. */
  readonly identity: Bytes;
}

/** What everybody may know of a key in one epoch. */
export interface PublicKeyRecord {
  /** `H("key-id"; curve, DKG sid, Q, policyHash)`, fixed for the life of the key. */
  readonly keyId: KeyId;
  /** 0 after key generation, one more per refresh or reshare. */
  readonly epoch: number;
  readonly curve: Curve;
  readonly policy: AccessTree;
  /** One per leaf, ascending by index. */
  readonly members: readonly Member[];
  /** Q. */
  readonly publicKey: Point;
  /** X_l = x_l·G for every member. */
  readonly publicShares: ReadonlyMap<PartyId, Point>;
  /** 32 bytes, for derivation. */
  readonly chainCode: Bytes;
}

/** One party's part of a key. */
export interface KeyShare {
  readonly record: PublicKeyRecord;
  readonly self: PartyId;
  /** x_i as 32 bytes big-endian. */
  readonly share: Secret;
}
