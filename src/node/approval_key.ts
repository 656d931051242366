/**
 * A party's keys as approvals see them: ECDSA or Schnorr, they have an id, a policy, and something that they sign (VOTING 8.1).
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { sha256 } from "../base/crypto.ts";
import { CURVES } from "../math/curve.ts";
import { deriveKey, formatPath } from "../protocols/ecdsa/derive.ts";
import { encodeDer } from "../protocols/ecdsa/signature.ts";
import { frostQuorumOf } from "../protocols/frost/key.ts";
import { FROST_SUITES } from "../protocols/frost/suite.ts";
import type { KeyPurpose } from "../protocols/key_purpose.ts";
import { type Member, policyHashOf, quorumOf } from "../protocols/key_share.ts";
import type { KeyEntry } from "../storage/local_store.ts";
import type { Approval } from "../voting/approval.ts";
import { isFrostInfo } from "./frost_keys.ts";
import type { LocalParty } from "./local_party.ts";
import type { KeyInfo } from "./party.ts";

/** What an approval says of its key and of what is signed. */
export type ApprovedInput = Pick<Approval, "scheme" | "path" | "mode" | "input" | "lowS">;

/** A key that is active here. */
export interface ApprovalKey {
  /** What people call it. */
  readonly name: string;
  /** Its id. */
  readonly keyId: Bytes;
  /** Its epoch. */
  readonly epoch: number;
  /** What it is for. */
  readonly purpose: KeyPurpose;
  /** Which signatures it makes. */
  readonly scheme: Approval["scheme"];
  /** Q, encoded. */
  readonly publicKey: Bytes;
  /** Of its access structure and members. */
  readonly policyHash: Bytes;
  /** Who has a share, ascending by index. */
  readonly members: readonly Member[];
  /** Who of these would sign, ascending; undefined where they may not. */
  quorum(parties: readonly PartyId[]): readonly PartyId[] | undefined;
  /** Why nothing can be signed with this child of the key, in words; undefined where it can. */
  pathFault(path: readonly number[]): string | undefined;
  /** Whether a signature is one of what was approved. */
  verifies(approved: ApprovedInput, signature: Bytes): boolean;
}

/** What stands for the input of an approval: its SHA-256, or itself where it is a digest already. */
export function approvedDigest({ mode, input }: Pick<Approval, "mode" | "input">): Bytes {
  return mode === "digest" ? input : sha256(input);
}

/** What the scheme signs: Ed25519 the input itself, all others its digest. */
export function approvedMessage({ scheme, mode, input }: ApprovedInput): Bytes {
  return scheme === "ed25519" ? input : approvedDigest({ mode, input });
}

/** The form of a signature that other programs read: DER for ECDSA. @param signature 64 bytes. */
export function outsideSignature(scheme: Approval["scheme"], signature: Bytes): Bytes {
  return isEcdsa(scheme) ? encodeDer(signature.slice(0, 32), signature.slice(32)) : signature;
}

/**
 * Whether a signature is one of what was approved, for whoever has no record of the key: an approval holds its public key. Children
 * need the chain code, which only the members have.
 */
export function verifiesAlone(approval: Approval, signature: Bytes): boolean {
  const { scheme, publicKey, lowS } = approval;
  if (approval.path.length > 0 || signature.length !== 64) return false;
  try {
    if (!isEcdsa(scheme)) {
      const suite = FROST_SUITES[scheme];
      return suite.verify(suite.group.decodePoint(publicKey), approvedMessage(approval), signature);
    }
    const curve = CURVES[scheme === "ecdsa-p256" ? "p256" : "secp256k1"];
    const digest = approvedMessage(approval);
    return curve.verifyEcdsa({ publicKey: curve.decodePoint(publicKey), digest, signature, lowS });
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

/** Whether it is one of the two schemes of ECDSA. */
export function isEcdsa(scheme: Approval["scheme"]): scheme is "ecdsa-secp256k1" | "ecdsa-p256" {
  return scheme === "ecdsa-secp256k1" || scheme === "ecdsa-p256";
}

/** The newest active epoch of the key of an id. */
export function activeEntry({ store }: Pick<LocalParty, "store">, keyId: Bytes): KeyEntry | undefined {
  return store.keys().findLast((entry) => entry.state === "active" && equal(entry.keyId, keyId));
}

/** A key that everybody may know. */
export function approvalKey(info: KeyInfo): ApprovalKey {
  const { record } = info;
  const { keyId, epoch, purpose, members } = record;
  const common = { name: info.name, keyId, epoch, purpose, members, policyHash: policyHashOf(record) };
  if (isFrostInfo(info)) {
    const { record } = info;
    const { suite } = record;
    return {
      ...common,
      scheme: suite.scheme,
      publicKey: suite.group.encodePoint(record.publicKey),
      quorum: (parties) => frostQuorumOf(record, parties),
      pathFault: (path) =>
        path.length === 0
          ? undefined
          : `a key for ${suite.scheme} has no children, and the approval is for ${formatPath(path)}`,
      verifies: (approved, signature) =>
        approved.path.length === 0 &&
        suite.verify(record.publicKey, approvedMessage(approved), signature),
    };
  }
  const { record: ecdsa } = info;
  const { curve } = ecdsa;
  return {
    ...common,
    scheme: `ecdsa-${curve.name}`,
    publicKey: curve.encodePoint(ecdsa.publicKey),
    quorum: (parties) => quorumOf(ecdsa, parties)?.active,
    pathFault(path) {
      try {
        deriveKey(ecdsa, path);
        return undefined;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
    verifies(approved, signature) {
      if (signature.length !== 64) return false;
      const { publicKey } = deriveKey(ecdsa, approved.path);
      const { lowS } = approved;
      return curve.verifyEcdsa({ publicKey, digest: approvedMessage(approved), signature, lowS });
    },
  };
}
