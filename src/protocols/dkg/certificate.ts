/**
 * The certificate of a key: every member proves that it knows its share and signs what it saw (SPEC 2.4, round 3). With all n
 * of them the key is ACTIVE, and anyone can check that it is.
 *
 * @module
 */

import { type PartyId, type SessionId, sessionId } from "../../base/brands.ts";
import { type Bytes, equal, hex, u16 } from "../../base/bytes.ts";
import { type Codec, decode, DecodeError, encode, fixed, list, map, struct, U8 } from "../../base/codec.ts";
import { ed25519Verifier } from "../../base/crypto.ts";
import { UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { bytesToBigint, type Curve, type Point } from "../../math/curve.ts";
import { ACCESS_LIMITS } from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import * as pok from "../../zk/schnorr_pok.ts";
import { type KeyShare, makeKeyId, policyHashOf, type PublicKeyRecord } from "../key_share.ts";
import { type Endorsement, endorsementCodec } from "./messages.ts";

/** All endorsements of one key generation. */
export interface Certificate {
  /** The session that generated the key. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** One per member, ascending by index. */
  readonly endorsements: readonly Endorsement[];
}

/** What a member endorses. */
export interface Endorsed {
  /** The result. */
  readonly record: PublicKeyRecord;
  /** The session that generated the key. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
}

/** `H("dkg/output"; policyHash, Q, X_1..X_n, chainCode)`. */
export function outputHash(record: PublicKeyRecord): Bytes {
  const { curve, members } = record;
  return hash(
    Tag.dkgOutput,
    policyHashOf(record),
    curve.encodePoint(record.publicKey),
    ...members.map((member) => curve.encodePoint(record.publicShares.get(member.index) as Point)),
    record.chainCode,
  );
}

/** Makes this party's endorsement. @param sign the identity key. */
export function endorse(
  endorsed: Endorsed,
  { self, share }: KeyShare,
  sign: (message: Bytes) => Bytes,
  rng: Rng,
): Endorsement {
  const { curve } = endorsed.record;
  const x = curve.scalar(bytesToBigint(share.expose()));
  const proof = pok.prove(shareStatement(endorsed, self), [x], rng);
  return { proof, signature: sign(certifiedMessage(endorsed, self, proof)) };
}

/**
 * Checks one member's endorsement.
 *
 * @param verify the member's identity key.
 * @returns what is wrong in words, or undefined.
 */
export function endorsementFault(
  endorsed: Endorsed,
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
export function encodeCertificate(curve: Curve, certificate: Certificate): Bytes {
  return encode(certificateCodec(curve), { version: VERSION, ...certificate });
}

/** Reads a certificate. Says nothing on its validity. @throws DecodeError */
export function decodeCertificate(curve: Curve, bytes: Uint8Array): Certificate {
  const { version: _, ...certificate } = decode(certificateCodec(curve), bytes);
  return certificate;
}

/**
 * Checks that a certificate makes the key of a public record ACTIVE: that its session made this key, and that every member
 * signed this result and proves that it knows its share. Needs no secret and no network.
 *
 * @returns the certificate, decoded.
 * @throws UsageError STORE_CORRUPT that says which check fails, and for whom.
 */
export function verifyCertificate(record: PublicKeyRecord, bytes: Uint8Array): Certificate {
  const refuse = (why: string) =>
    new UsageError(
      "STORE_CORRUPT",
      `the certificate of key ${hex(record.keyId).slice(0, 16)} is not valid: ${why}`,
    );
  let certificate: Certificate;
  try {
    certificate = decodeCertificate(record.curve, bytes);
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
  const endorsed = { record, sid: certificate.sid, transcript: certificate.transcript };
  const { curve, publicKey, members } = record;
  const expected = makeKeyId({ curve, sid: certificate.sid, publicKey, policyHash: policyHashOf(record) });
  if (!equal(expected, record.keyId)) throw refuse("its session made another key");
  if (record.epoch !== 0) throw refuse(`it is for epoch 0, and the record is of epoch ${record.epoch}`);
  if (certificate.endorsements.length !== members.length) {
    throw refuse(`${certificate.endorsements.length} of ${members.length} members endorse it`);
  }
  for (const [k, member] of members.entries()) {
    const verifier = ed25519Verifier(member.identity);
    const fault = endorsementFault(
      endorsed,
      member.index,
      certificate.endorsements[k] as Endorsement,
      (message, signature) => verifier?.verify(message, signature) ?? false,
    );
    if (fault !== undefined) throw refuse(`${member.name}: ${fault}`);
  }
  return certificate;
}

function certificateCodec(curve: Curve): Codec<Certificate & { readonly version: number }> {
  return struct({
    version: map(U8, (v: number) => v, (v) => {
      if (v !== VERSION) throw new DecodeError("a certificate of an unknown version");
      return v;
    }),
    sid: map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId),
    transcript: fixed(32),
    endorsements: list(endorsementCodec(curve), ACCESS_LIMITS.leavesMax),
  });
}

/** `H("cert"; sid, u16 i, transcript, output, π_i)`: what σ_i signs. */
function certifiedMessage({ record, sid, transcript }: Endorsed, member: PartyId, proof: pok.Proof): Bytes {
  const pi = encode(pok.proofCodec(record.curve), proof);
  return hash(Tag.certificate, sid, u16(member), transcript, outputHash(record), pi);
}

function shareStatement({ record, sid }: Endorsed, member: PartyId): pok.Statement {
  return {
    sid,
    use: "dkg/share",
    prover: member,
    curve: record.curve,
    points: [record.publicShares.get(member) as Point],
  };
}

const VERSION = 1;
