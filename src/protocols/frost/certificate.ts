/**
 * The certificate of a FROST key in one epoch: every member proves that it knows its share and signs what it saw. It has the
 * form of an ECDSA key's certificate (SPEC 2.4, round 3); what is signed is the whole public record, epoch included, so that
 * one function checks certificates of key generation and of refreshes.
 *
 * @module
 */

import { type PartyId, type SessionId, sessionId } from "../../base/brands.ts";
import { type Bytes, equal, hex, u16 } from "../../base/bytes.ts";
import { type Codec, decode, DecodeError, encode, fixed, list, map, struct, U8 } from "../../base/codec.ts";
import { ed25519Verifier } from "../../base/crypto.ts";
import { UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import type { Group, Point } from "../../math/curve.ts";
import { ACCESS_LIMITS } from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import * as pok from "../../zk/schnorr_pok.ts";
import { type Endorsement, endorsementCodec } from "../dkg/messages.ts";
import { type FrostKeyRecord, type FrostKeyShare, makeFrostKeyId, recordHash, shareScalar } from "./key.ts";

/** All endorsements of one epoch. */
export interface FrostCertificate {
  /** The session that made this epoch. */
  readonly sid: SessionId;
  /** The session that generated the key: in epoch 0 the same one. The key id is a hash of it. */
  readonly origin: SessionId;
  /** Hash of everything that was broadcast in `sid`. */
  readonly transcript: Bytes;
  /** One per member, ascending by index. */
  readonly endorsements: readonly Endorsement[];
}

/** What a member endorses. */
export interface FrostEndorsed {
  /** The result. */
  readonly record: FrostKeyRecord;
  /** The session that made this epoch. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
}

/** Makes this party's endorsement. @param sign the identity key. */
export function endorseFrost(
  endorsed: FrostEndorsed,
  share: FrostKeyShare,
  sign: (message: Bytes) => Bytes,
  rng: Rng,
): Endorsement {
  const proof = pok.prove(shareStatement(endorsed, share.self), [shareScalar(share)], rng);
  return { proof, signature: sign(certifiedMessage(endorsed, share.self, proof)) };
}

/**
 * Checks one member's endorsement.
 *
 * @param verify the member's identity key.
 * @returns what is wrong in words, or undefined.
 */
export function frostEndorsementFault(
  endorsed: FrostEndorsed,
  member: PartyId,
  { proof, signature }: Endorsement,
  verify: (message: Bytes, signature: Bytes) => boolean,
): string | undefined {
  if (!verify(certifiedMessage(endorsed, member, proof), signature)) {
    return "its signature on the certificate does not verify";
  }
  if (!pok.verify(shareStatement(endorsed, member), proof)) {
    return "it does not prove that it knows its share";
  }
  return undefined;
}

/** The canonical bytes of a certificate: version 1. */
export function encodeFrostCertificate(group: Group, certificate: FrostCertificate): Bytes {
  return encode(certificateCodec(group), { version: VERSION, ...certificate });
}

/** Reads a certificate. Says nothing on its validity. @throws DecodeError */
export function decodeFrostCertificate(group: Group, bytes: Uint8Array): FrostCertificate {
  const { version: _, ...certificate } = decode(certificateCodec(group), bytes);
  return certificate;
}

/**
 * Checks that a certificate makes one epoch of a FROST key ACTIVE: that its origin made a key of this id, and that every member
 * signed this record and proves that it knows its share. Needs no secret and no network. That the members are the right ones
 * is for the caller to see: their identity keys are in the record.
 *
 * @returns the certificate, decoded.
 * @throws UsageError STORE_CORRUPT that says which check fails, and for whom.
 */
export function verifyFrostCertificate(record: FrostKeyRecord, bytes: Uint8Array): FrostCertificate {
  const refuse = (why: string) =>
    new UsageError(
      "STORE_CORRUPT",
      `the certificate of key ${hex(record.keyId).slice(0, 16)} is not valid: ${why}`,
    );
  let certificate: FrostCertificate;
  try {
    certificate = decodeFrostCertificate(record.suite.group, bytes);
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
  const { sid, origin, transcript, endorsements } = certificate;
  if (!equal(makeFrostKeyId({ ...record, sid: origin }), record.keyId)) {
    throw refuse("its session made another key");
  }
  if (record.epoch === 0 && !equal(sid, origin)) throw refuse("epoch 0 was made by another session");
  if (endorsements.length !== record.members.length) {
    throw refuse(`${endorsements.length} of ${record.members.length} members endorse it`);
  }
  for (const [k, { index, name, identity }] of record.members.entries()) {
    const verifier = ed25519Verifier(identity);
    const fault = frostEndorsementFault(
      { record, sid, transcript },
      index,
      endorsements[k] as Endorsement,
      (message, signature) => verifier?.verify(message, signature) ?? false,
    );
    if (fault !== undefined) throw refuse(`${name}: ${fault}`);
  }
  return certificate;
}

/** `H("cert"; sid, u16 i, transcript, H("frost/record"; record), π_i)`: what σ_i signs. */
function certifiedMessage(
  { record, sid, transcript }: FrostEndorsed,
  member: PartyId,
  proof: pok.Proof,
): Bytes {
  const pi = encode(pok.proofCodec(record.suite.group), proof);
  return hash(Tag.certificate, sid, u16(member), transcript, recordHash(record), pi);
}

function shareStatement({ record, sid }: FrostEndorsed, member: PartyId): pok.Statement {
  return {
    sid,
    use: "dkg/share",
    prover: member,
    curve: record.suite.group,
    points: [record.publicShares.get(member) as Point],
  };
}

function certificateCodec(group: Group): Codec<FrostCertificate & { readonly version: number }> {
  return struct({
    version: map(U8, (v: number) => v, (v) => {
      if (v !== VERSION) throw new DecodeError("a certificate of an unknown version");
      return v;
    }),
    sid: sessionCodec,
    origin: sessionCodec,
    transcript: fixed(32),
    endorsements: list(endorsementCodec(group), ACCESS_LIMITS.leavesMax),
  });
}

const VERSION = 1;

const sessionCodec: Codec<SessionId> = map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId);
