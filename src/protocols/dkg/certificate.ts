/**
 * The certificate of a key in one epoch: every member proves that it knows its share and signs what it saw (SPEC 2.4, round
 * 3; SPEC 0.3). With all of them the epoch is ACTIVE, and anyone can check that it is.
 *
 * In epoch 0 the key id is the hash of the session that made the key. A later epoch says which session that was, so that the
 * key id still vouches for the public key; that its members are the right ones follows from the identity keys in the record,
 * which whoever checks it compares with those that it knows.
 *
 * @module
 */

import { type PartyId, type SessionId, sessionId } from "../../base/brands.ts";
import { type Bytes, EMPTY, equal, hex, u16, u32 } from "../../base/bytes.ts";
import {
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  struct,
  U32,
  U8,
} from "../../base/codec.ts";
import { ed25519Verifier } from "../../base/crypto.ts";
import { invariant, UsageError } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import { bytesToBigint, type Group, type Point } from "../../math/curve.ts";
import { ACCESS_LIMITS } from "../../primitives/access.ts";
import { hash } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import * as pok from "../../zk/schnorr_pok.ts";
import {
  type KeyShare,
  makeKeyId,
  type Member,
  memberCodec,
  policyHashOf,
  type PublicKeyRecord,
} from "../key_share.ts";
import { type Endorsement, endorsementCodec } from "./messages.ts";

/** Which session made a key, and for whom: what its key id is the hash of. */
export interface Origin {
  /** The session of the key generation. */
  readonly sid: SessionId;
  /** The policy hash of epoch 0. */
  readonly policyHash: Bytes;
}

/** Where an epoch after the first comes from. */
export interface Lineage {
  /** The key generation. */
  readonly origin: Origin;
  /** The epoch whose shares were dealt on. */
  readonly parent: number;
  /** Who took part without being a member: old members that leave. Ascending by index. */
  readonly witnesses: readonly Member[];
}

/** All endorsements of one epoch. */
export interface Certificate {
  /** The session that made the epoch. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** One per member, ascending by index. */
  readonly endorsements: readonly Endorsement[];
  /** Of an epoch after the first. */
  readonly lineage?: Lineage;
  /** Of an epoch after the first: one signature per witness. */
  readonly witnessed?: readonly Bytes[];
}

/** What a member endorses. */
export interface Endorsed {
  /** The result. */
  readonly record: PublicKeyRecord;
  /** The session that made the epoch. */
  readonly sid: SessionId;
  /** Hash of everything that was broadcast in it. */
  readonly transcript: Bytes;
  /** Of an epoch after the first. */
  readonly lineage?: Lineage;
}

/**
 * `H("dkg/output"; policyHash, Q, X_1..X_n, chainCode)`, or of a later epoch
 * `H("reshare/output"; keyId, epoch, parent, origin, policyHash, Q, X_1..X_n, chainCode, witnesses)`.
 */
export function outputHash(record: PublicKeyRecord, lineage?: Lineage): Bytes {
  const { curve, members } = record;
  const result = [
    policyHashOf(record),
    curve.encodePoint(record.publicKey),
    ...members.map((member) => curve.encodePoint(record.publicShares.get(member.index) as Point)),
    record.chainCode,
  ];
  if (lineage === undefined) return hash(Tag.dkgOutput, ...result);
  const { origin, parent, witnesses } = lineage;
  return hash(
    Tag.reshareOutput,
    record.keyId,
    u32(record.epoch),
    u32(parent),
    origin.sid,
    origin.policyHash,
    u16(members.length),
    ...result,
    encode(witnessesCodec, witnesses),
  );
}

/** Which session made the key of a record: what the next epoch says of it. */
export function originOf({ record, sid, lineage }: Omit<Endorsed, "transcript">): Origin {
  return lineage?.origin ?? { sid, policyHash: policyHashOf(record) };
}

/** True iff the key id of the record is the one of this origin. */
export function isOriginOf({ sid, policyHash }: Origin, record: PublicKeyRecord): boolean {
  const { curve, publicKey, purpose } = record;
  return equal(makeKeyId({ curve, sid, publicKey, policyHash, purpose }), record.keyId);
}

/** The signature of a witness, who has no share of the new epoch. */
export function witness(endorsed: Endorsed, self: PartyId, sign: (message: Bytes) => Bytes): Bytes {
  return sign(certifiedMessage(endorsed, self, undefined));
}

/**
 * Checks the signature of a witness.
 *
 * @param verify the identity key of the witness.
 * @returns what is wrong in words, or undefined.
 */
export function witnessFault(
  endorsed: Endorsed,
  party: PartyId,
  signature: Bytes,
  verify: (message: Bytes, signature: Bytes) => boolean,
): string | undefined {
  return verify(certifiedMessage(endorsed, party, undefined), signature)
    ? undefined
    : "its signature on the certificate does not verify";
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

/** The canonical bytes of a certificate: version 1 of epoch 0, version 2 of a later one. */
export function encodeCertificate(curve: Group, certificate: Certificate): Bytes {
  return encode(certificateCodec(curve), certificate);
}

/** Reads a certificate. Says nothing on its validity. @throws DecodeError */
export function decodeCertificate(curve: Group, bytes: Uint8Array): Certificate {
  return decode(certificateCodec(curve), bytes);
}

/**
 * Checks that a certificate makes the epoch of a public record ACTIVE: that the key id belongs to the public key, and that
 * every member and every witness signed this result, the members with a proof that they know their shares. Needs no secret
 * and no network.
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
  const { sid, transcript, endorsements, lineage, witnessed = [] } = certificate;
  const endorsed: Endorsed = { record, sid, transcript, ...(lineage === undefined ? {} : { lineage }) };
  if (!isOriginOf(originOf(endorsed), record)) throw refuse("its session made another key");
  const kind = lineage === undefined ? "for epoch 0" : "for a later epoch than 0";
  if ((record.epoch === 0) !== (lineage === undefined)) {
    throw refuse(`it is ${kind}, and the record is of epoch ${record.epoch}`);
  }
  if (endorsements.length !== record.members.length) {
    throw refuse(`${endorsements.length} of ${record.members.length} members endorse it`);
  }
  const witnesses = lineage?.witnesses ?? [];
  if (witnessed.length !== witnesses.length) {
    throw refuse(`${witnessed.length} of ${witnesses.length} witnesses signed it`);
  }
  for (const [k, { index, name, identity }] of record.members.entries()) {
    const verifier = verifierOf(identity);
    const fault = endorsementFault(endorsed, index, endorsements[k] as Endorsement, verifier);
    if (fault !== undefined) throw refuse(`${name}: ${fault}`);
  }
  for (const [k, { index, name, identity }] of witnesses.entries()) {
    const fault = witnessFault(endorsed, index, witnessed[k] as Bytes, verifierOf(identity));
    if (fault !== undefined) throw refuse(`${name}: ${fault}`);
  }
  return certificate;
}

const witnessesCodec: Codec<readonly Member[]> = list(memberCodec, ACCESS_LIMITS.leavesMax);

/** {@linkcode Origin}. */
export const originCodec: Codec<Origin> = struct({
  sid: map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId),
  policyHash: fixed(32),
});

/** {@linkcode Lineage}. */
export const lineageCodec: Codec<Lineage> = struct({
  origin: originCodec,
  parent: U32,
  witnesses: witnessesCodec,
});

function certificateCodec(curve: Group): Codec<Certificate> {
  const common = {
    sid: map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId),
    transcript: fixed(32),
    endorsements: list(endorsementCodec(curve), ACCESS_LIMITS.leavesMax),
  };
  const first = struct(common);
  const later = struct({
    ...common,
    lineage: lineageCodec,
    witnessed: list(fixed(64), ACCESS_LIMITS.leavesMax),
  });
  return {
    sizeMax: 1 + later.sizeMax,
    write(out, { lineage, witnessed, ...certificate }) {
      U8.write(out, lineage === undefined ? VERSION_FIRST : VERSION_LATER);
      if (lineage === undefined) return first.write(out, certificate);
      invariant(witnessed !== undefined, "a later epoch has a list of witnesses, if an empty one");
      later.write(out, { ...certificate, lineage, witnessed });
    },
    read(input) {
      const version = U8.read(input);
      if (version === VERSION_FIRST) return first.read(input);
      if (version === VERSION_LATER) return later.read(input);
      throw new DecodeError("a certificate of an unknown version");
    },
  };
}

function verifierOf(identity: Bytes): (message: Bytes, signature: Bytes) => boolean {
  const verifier = ed25519Verifier(identity);
  return (message, signature) => verifier?.verify(message, signature) ?? false;
}

/** `H("cert"; sid, u16 i, transcript, output, π_i)`: what σ_i signs; π_i is empty for a witness. */
function certifiedMessage(
  { record, sid, transcript, lineage }: Endorsed,
  party: PartyId,
  proof: pok.Proof | undefined,
): Bytes {
  const pi = proof === undefined ? EMPTY : encode(pok.proofCodec(record.curve), proof);
  return hash(Tag.certificate, sid, u16(party), transcript, outputHash(record, lineage), pi);
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

const VERSION_FIRST = 1;
const VERSION_LATER = 2;
