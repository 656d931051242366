/**
 * A threshold key as one party holds it: a public record, the same at every party, and one secret share (SPEC 2.1).
 *
 * @module
 */

import { type KeyId, keyId, type PartyId, partyId, type SessionId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  type Reader,
  struct,
  text,
  U16,
  U32,
  U8,
  vector,
  type Writer,
} from "../base/codec.ts";
import { invariant, UsageError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { bytesToBigint, type Curve, CURVES, encodeCurve, type Point, type Scalar } from "../math/curve.ts";
import {
  ACCESS_LIMITS,
  type AccessTree,
  accessTreeCodec,
  leavesOf,
  policyHash,
  solve,
} from "../primitives/access.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { boundPurposeCodec, type KeyPurpose, purposeParts } from "./key_purpose.ts";

/** A member of a key's access structure. */
export interface Member {
  /** Index of the party in the cluster. */
  readonly index: PartyId;
  /** Name of the party, and of its leaf in the access tree. */
  readonly name: string;
  /** Its 32-byte Ed25519 identity key. */
  readonly identity: Bytes;
}

/** What everybody may know of a key in one epoch. */
export interface PublicKeyRecord {
  /** `H("key-id"; curve, DKG sid, Q, policyHash)`, with the purpose where it has one, fixed for the life of the key. */
  readonly keyId: KeyId;
  /** What the key is for: part of the key id. */
  readonly purpose: KeyPurpose;
  /** 0 after key generation, one more per refresh or reshare. */
  readonly epoch: number;
  /** The curve of the key. */
  readonly curve: Curve;
  /** Who may sign together. */
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
  /** The public part. */
  readonly record: PublicKeyRecord;
  /** Whose share it is. */
  readonly self: PartyId;
  /** x_i as 32 bytes big-endian. */
  readonly share: Secret;
}

/** Who signs, and with which coefficients: `Σ c_i·x_i` is the key. */
export interface Quorum {
  /** Ascending. */
  readonly active: readonly PartyId[];
  /** c_i of every active party, never 0. */
  readonly coefficients: ReadonlyMap<PartyId, Scalar>;
}

/**
 * The active set that {@linkcode solve} finds among `parties`.
 *
 * @returns undefined where they do not satisfy the policy.
 */
export function quorumOf(
  record: Pick<PublicKeyRecord, "policy" | "members" | "curve">,
  parties: Iterable<PartyId>,
): Quorum | undefined {
  const wanted = new Set(parties);
  const members = record.members.filter((member) => wanted.has(member.index));
  const solution = solve(record.policy, new Set(members.map((member) => member.name)), record.curve);
  if (solution === undefined) return undefined;
  const coefficients = new Map<PartyId, Scalar>();
  for (const { index, name } of members) {
    const c = solution.coefficients.get(name);
    if (c !== undefined) coefficients.set(index, c);
  }
  return { active: [...coefficients.keys()], coefficients };
}

/** `H("key-id"; curve, DKG sid, Q, policyHash)`, and the purpose of a key that is not plain as one part more. @source SPEC 0.3 */
export function makeKeyId(
  input: {
    readonly curve: Curve;
    readonly sid: SessionId;
    readonly publicKey: Point;
    readonly policyHash: Bytes;
    readonly purpose: KeyPurpose;
  },
): KeyId {
  const { curve, sid, publicKey, policyHash, purpose } = input;
  return keyId(
    hash(
      Tag.keyId,
      encodeCurve(curve),
      sid,
      curve.encodePoint(publicKey),
      policyHash,
      ...purposeParts(purpose),
    ),
  );
}

/** The policy hash of a record (SPEC 0.3). */
export function policyHashOf(record: Pick<PublicKeyRecord, "policy" | "members">): Bytes {
  return policyHash(record.policy, record.members);
}

/**
 * Checks that members and leaves are the same parties, one to one, ascending by index.
 *
 * @throws UsageError POLICY_INVALID or NOT_A_MEMBER that names the party.
 */
export function checkMembers(policy: AccessTree, members: readonly Member[]): void {
  const leaves = new Set(leavesOf(policy));
  let last = 0;
  for (const { index, name, identity } of members) {
    if (!leaves.delete(name)) {
      throw new UsageError(
        "POLICY_INVALID",
        `${name} is listed as a member, but the policy does not name it`,
        {
          party: name,
        },
      );
    }
    if (index <= last || identity.length !== 32) {
      throw new UsageError(
        "USAGE",
        `members are listed by ascending index with 32-byte identity keys: see ${name}`,
      );
    }
    last = index;
  }
  for (const name of leaves) {
    throw new UsageError("NOT_A_MEMBER", `the policy names ${name}, which is not among the parties`, {
      party: name,
    });
  }
}

/** A public record: version 1 of a plain key, version 2 of one with another purpose. */
export const publicKeyRecordCodec: Codec<PublicKeyRecord> = {
  sizeMax: 1 + 1 + 1 + 32 + 4 + accessTreeCodec.sizeMax + 2 +
    ACCESS_LIMITS.leavesMax * (2 + 2 + ACCESS_LIMITS.nameBytesMax + 32 + 33) + 33 + 32,
  write(out, record) {
    const { curve } = record;
    writeRecordVersion(out, record);
    curveCodec.write(out, curve);
    head.write(out, record);
    curve.pointCodec.write(out, record.publicKey);
    for (const { index } of record.members) {
      const X = record.publicShares.get(index);
      invariant(X !== undefined, "a member has no public share");
      curve.pointCodec.write(out, X);
    }
  },
  read(input) {
    const purpose = readRecordVersion(input);
    const curve = curveCodec.read(input);
    const { policy, members, ...rest } = head.read(input);
    try {
      checkMembers(policy, members);
    } catch (error) {
      throw error instanceof UsageError ? new DecodeError(error.message) : error;
    }
    const publicKey = curve.pointCodec.read(input);
    const shares = vector(curve.pointCodec, members.length).read(input);
    const publicShares = new Map(members.map((member, k) => [member.index, shares[k] as Point]));
    return { ...rest, purpose, curve, policy, members, publicKey, publicShares };
  },
};

/** A key share: version 1. Secret. Reading checks that the share belongs to the record: x_i·G = X_i. */
export const keyShareCodec: Codec<KeyShare> = {
  sizeMax: 1 + publicKeyRecordCodec.sizeMax + 2 + 32,
  write(out, { record, self, share }) {
    version.write(out, SHARE_VERSION);
    publicKeyRecordCodec.write(out, record);
    U16.write(out, self);
    secretCodec.write(out, share);
  },
  read(input) {
    if (version.read(input) !== SHARE_VERSION) throw new DecodeError("a key share of an unknown version");
    const record = publicKeyRecordCodec.read(input);
    const self = partyCodec.read(input);
    const X = record.publicShares.get(self);
    const share = secretCodec.read(input);
    const x = bytesToBigint(share.expose());
    if (X === undefined || x >= record.curve.order || !record.curve.mulBase(x as Scalar).equals(X)) {
      share[Symbol.dispose]();
      throw new DecodeError("the share does not belong to the record");
    }
    return { record, self, share };
  },
};

/** The canonical bytes of a public record. */
export function encodeRecord(record: PublicKeyRecord): Bytes {
  return encode(publicKeyRecordCodec, record);
}

/** Reads a public record. @throws DecodeError */
export function decodeRecord(bytes: Uint8Array): PublicKeyRecord {
  return decode(publicKeyRecordCodec, bytes);
}

/** The canonical bytes of a key share. */
export function encodeKeyShare(share: KeyShare): Secret {
  return new Secret(encode(keyShareCodec, share));
}

/** Reads a key share and checks it against its record. The caller owns the secret in it. @throws DecodeError */
export function decodeKeyShare(bytes: Uint8Array): KeyShare {
  return decode(keyShareCodec, bytes);
}

const RECORD_PLAIN = 1;
const RECORD_BOUND = 2;
const SHARE_VERSION = 1;
const version = U8;

/** Begins a record: its version, and the purpose where it has one. */
export function writeRecordVersion(out: Writer, { purpose }: Pick<PublicKeyRecord, "purpose">): void {
  version.write(out, purpose === "plain" ? RECORD_PLAIN : RECORD_BOUND);
  if (purpose !== "plain") boundPurposeCodec.write(out, purpose);
}

/** The purpose of a record, from how it begins. @throws DecodeError */
export function readRecordVersion(input: Reader): KeyPurpose {
  const found = version.read(input);
  if (found === RECORD_PLAIN) return "plain";
  if (found === RECORD_BOUND) return boundPurposeCodec.read(input);
  throw new DecodeError("a record of an unknown version");
}

/** A curve by its number. */
export const curveCodec: Codec<Curve> = map(U8, (curve: Curve) => curve.id, (id) => {
  const curve = Object.values(CURVES).find((known) => known.id === id);
  if (curve === undefined) throw new DecodeError("a curve of an unknown number");
  return curve;
});

/** The index of a party: not 0. */
export const partyCodec: Codec<PartyId> = map(U16, (party: PartyId) => party, (index) => {
  if (index === 0) throw new DecodeError("a party index is not 0");
  return partyId(index);
});

/** A member of a key. */
export const memberCodec: Codec<Member> = struct({
  index: partyCodec,
  name: text(ACCESS_LIMITS.nameBytesMax),
  identity: fixed(32),
});

const head = struct({
  keyId: map(fixed(32), (id: KeyId) => id as Bytes, keyId),
  epoch: U32,
  chainCode: fixed(32),
  policy: accessTreeCodec,
  members: list(memberCodec, ACCESS_LIMITS.leavesMax),
});

const secretCodec: Codec<Secret> = map(
  fixed(32),
  (secret: Secret) => secret.expose(),
  (bytes) => new Secret(bytes),
);
