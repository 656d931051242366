/**
 * A FROST key as one party holds it: a public record, the same at every party, and one secret share.
 *
 * It differs from an ECDSA key ({@linkcode KeyShare} of ../key_share.ts) in what is left out: there is no chain code, because
 * Ed25519 has no public derivation, and its policy is a plain threshold, because that is what FROST is defined for. The share of
 * a member is the polynomial at the index of its leaf in the policy, which is its identifier in the sense of RFC 9591.
 *
 * @module
 */

import type { FrostPublic, FrostSecret, Identifier } from "@noble/curves/abstract/frost.js";
import { type KeyId, keyId, type PartyId, type SessionId } from "../../base/brands.ts";
import { type Bytes, u8 } from "../../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  struct,
  U16,
  U32,
  U8,
  vector,
} from "../../base/codec.ts";
import { invariant, UsageError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { Point, Scalar } from "../../math/curve.ts";
import {
  ACCESS_LIMITS,
  type AccessTree,
  accessTreeCodec,
  formatPolicy,
  policyHash,
  solve,
} from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type KeyPurpose, purposeParts } from "../key_purpose.ts";
import {
  checkMembers,
  type Member,
  memberCodec,
  partyCodec,
  readRecordVersion,
  writeRecordVersion,
} from "../key_share.ts";
import { FROST_BYTES, type FrostSuite, suiteCodec } from "./suite.ts";

/** What everybody may know of a FROST key in one epoch. */
export interface FrostKeyRecord {
  /** `H("key-id"; scheme, DKG sid, Q, policyHash)`, with the purpose where it has one, fixed for the life of the key. */
  readonly keyId: KeyId;
  /** What the key is for: part of the key id. */
  readonly purpose: KeyPurpose;
  /** 0 after key generation, one more per refresh. */
  readonly epoch: number;
  /** The scheme of its signatures. */
  readonly suite: FrostSuite;
  /** Who may sign together: a threshold among parties. */
  readonly policy: AccessTree;
  /** One per leaf, ascending by index. */
  readonly members: readonly Member[];
  /** Q. On secp256k1 its y may be odd: verifiers take x alone, and signing negates where it must. */
  readonly publicKey: Point;
  /** X_l = x_l·G for every member. */
  readonly publicShares: ReadonlyMap<PartyId, Point>;
}

/** One party's part of a FROST key. */
export interface FrostKeyShare {
  /** The public part. */
  readonly record: FrostKeyRecord;
  /** Whose share it is. */
  readonly self: PartyId;
  /** x_i as the scheme encodes scalars: 32 bytes. */
  readonly share: Secret;
}

/** A policy in the form that FROST has. */
export interface Threshold {
  /** t. */
  readonly minSigners: number;
  /** The evaluation point of each party, by name. */
  readonly indices: ReadonlyMap<string, number>;
}

/**
 * Reads a policy as a threshold among parties; `and(...)` of parties is one.
 *
 * @throws UsageError POLICY_INVALID where it is another formula, or one party would be enough.
 */
export function thresholdOf(policy: AccessTree): Threshold {
  const indices = new Map<string, number>();
  if (policy.kind !== "leaf") {
    for (const { index, node } of policy.children) if (node.kind === "leaf") indices.set(node.name, index);
    if (policy.minSigners >= 2 && indices.size === policy.children.length) {
      return { minSigners: policy.minSigners, indices };
    }
  }
  throw new UsageError(
    "POLICY_INVALID",
    `a key for Ed25519 or BIP340 has a policy of the form 2 of (a, b, c), with at least 2 signers and parties only: found ${
      formatPolicy(policy)
    }`,
  );
}

/**
 * Who signs, of those at hand: as many as the threshold, by the lowest indices in the policy (SPEC 3.4). Every party finds the
 * same ones.
 *
 * @returns ascending; undefined where there are too few.
 */
export function frostQuorumOf(
  { policy, members, suite }: Pick<FrostKeyRecord, "policy" | "members" | "suite">,
  parties: Iterable<PartyId>,
): readonly PartyId[] | undefined {
  const wanted = new Set(parties);
  const atHand = members.filter(({ index }) => wanted.has(index));
  const active = solve(policy, new Set(atHand.map(({ name }) => name)), suite.group)?.active;
  return active && atHand.filter(({ name }) => active.includes(name)).map(({ index }) => index);
}

/** A party's identifier in noble's form. */
export function identifierOf(
  record: Pick<FrostKeyRecord, "suite" | "policy" | "members">,
  party: PartyId,
): Identifier {
  const index = thresholdOf(record.policy).indices.get(nameOf(record, party));
  invariant(index !== undefined, "a member has a place in the policy");
  return record.suite.frost.Identifier.fromNumber(index);
}

/** The name of a member, for sentences. */
export function nameOf({ members }: Pick<FrostKeyRecord, "members">, party: PartyId): string {
  return members.find((member) => member.index === party)?.name ?? `party ${party}`;
}

/** `H("key-id"; scheme, DKG sid, Q, policyHash)`, and the purpose of a key that is not plain as one part more. @source SPEC 0.3 */
export function makeFrostKeyId(
  input:
    & { readonly sid: SessionId }
    & Pick<FrostKeyRecord, "suite" | "publicKey" | "policy" | "members" | "purpose">,
): KeyId {
  const { suite, sid, publicKey } = input;
  return keyId(
    hash(
      Tag.keyId,
      u8(suite.id),
      sid,
      suite.group.encodePoint(publicKey),
      policyHash(input.policy, input.members),
      ...purposeParts(input.purpose),
    ),
  );
}

/** The public part as noble takes it. */
export function publicPackage(record: FrostKeyRecord): FrostPublic {
  const { suite: { group }, members, publicShares } = record;
  return {
    signers: { min: thresholdOf(record.policy).minSigners, max: members.length },
    commitments: [group.encodePoint(record.publicKey)],
    verifyingShares: Object.fromEntries(
      members.map(({ index }) => [
        identifierOf(record, index),
        group.encodePoint(publicShares.get(index) as Point),
      ]),
    ),
  };
}

/** The secret part as noble takes it; it shares its bytes with the share. */
export function secretPackage({ record, self, share }: FrostKeyShare): FrostSecret {
  return { identifier: identifierOf(record, self), signingShare: share.expose() };
}

/** x_i. */
export function shareScalar({ record, share }: FrostKeyShare): Scalar {
  return decode(record.suite.group.scalarCodec, share.expose());
}

/** `H("frost/record"; record)`: names one epoch of one key. */
export function recordHash(record: FrostKeyRecord): Bytes {
  return hash(Tag.frostRecord, encodeFrostRecord(record));
}

/** A public record: version 1 of a plain key, version 2 of one with another purpose. */
export const frostRecordCodec: Codec<FrostKeyRecord> = {
  sizeMax: 1 + 1 + 1 + 32 + 4 + accessTreeCodec.sizeMax + 2 +
    ACCESS_LIMITS.leavesMax * (memberCodec.sizeMax + 33) + 33,
  write(out, record) {
    const { suite: { group }, publicShares } = record;
    writeRecordVersion(out, record);
    suiteCodec.write(out, record.suite);
    head.write(out, record);
    group.pointCodec.write(out, record.publicKey);
    for (const { index } of record.members) group.pointCodec.write(out, publicShares.get(index) as Point);
  },
  read(input) {
    const purpose = readRecordVersion(input);
    const suite = suiteCodec.read(input);
    const { policy, members, ...rest } = head.read(input);
    try {
      checkMembers(policy, members);
      thresholdOf(policy);
    } catch (error) {
      throw error instanceof UsageError ? new DecodeError(error.message) : error;
    }
    const publicKey = suite.group.pointCodec.read(input);
    const shares = vector(suite.group.pointCodec, members.length).read(input);
    const publicShares = new Map(members.map((member, k) => [member.index, shares[k] as Point]));
    return { ...rest, purpose, suite, policy, members, publicKey, publicShares };
  },
};

/** A key share: version 1. Secret. Reading checks that the share belongs to the record: x_i·G = X_i. */
export const frostShareCodec: Codec<FrostKeyShare> = {
  sizeMax: 1 + frostRecordCodec.sizeMax + 2 + FROST_BYTES.scalar,
  write(out, { record, self, share }) {
    U8.write(out, SHARE_VERSION);
    frostRecordCodec.write(out, record);
    U16.write(out, self);
    fixed(FROST_BYTES.scalar).write(out, share.expose());
  },
  read(input) {
    if (U8.read(input) !== SHARE_VERSION) throw new DecodeError("a key share of an unknown version");
    const record = frostRecordCodec.read(input);
    const self = partyCodec.read(input);
    const share = new Secret(input.take(FROST_BYTES.scalar));
    if (isShareOfRecord(record, self, share)) return { record, self, share };
    share[Symbol.dispose]();
    throw new DecodeError("the share does not belong to the record");
  },
};

/** The canonical bytes of a public record. */
export function encodeFrostRecord(record: FrostKeyRecord): Bytes {
  return encode(frostRecordCodec, record);
}

/** Reads a public record. @throws DecodeError */
export function decodeFrostRecord(bytes: Uint8Array): FrostKeyRecord {
  return decode(frostRecordCodec, bytes);
}

function isShareOfRecord(record: FrostKeyRecord, self: PartyId, share: Secret): boolean {
  const { group } = record.suite;
  try {
    const x = decode(group.scalarCodec, share.expose());
    return record.publicShares.get(self)?.equals(group.mulBase(x)) ?? false;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

const SHARE_VERSION = 1;

const head = struct({
  keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
  epoch: U32,
  policy: accessTreeCodec,
  members: list(memberCodec, ACCESS_LIMITS.leavesMax),
});
