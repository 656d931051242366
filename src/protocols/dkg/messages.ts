/**
 * What key generation sends (SPEC 2.4): one commitment, one opening with a share for each, one endorsement.
 *
 * @module
 */

import type { Bytes } from "../../base/bytes.ts";
import { type Codec, encode, fixed, list, struct } from "../../base/codec.ts";
import type { Curve, Group, Point, Scalar } from "../../math/curve.ts";
import { ACCESS_LIMITS } from "../../primitives/access.ts";
import { COMMITMENT_BYTES } from "../../primitives/commitment.ts";
import { type Proof, proofCodec } from "../../zk/schnorr_pok.ts";
import type { Round } from "../protocol.ts";

/** Round 1: com_i. */
export interface CommitmentMessage {
  /** 32 bytes. */
  readonly commitment: Bytes;
}

/** Round 2, to all: what the commitment hides. */
export interface Opening {
  /** C_i, in the order of SPEC 2.2. Never more than there are leaves, whatever the policy. */
  readonly coefficients: readonly Point[];
  /** PoK_i of the logarithms of all coefficients. */
  readonly proof: Proof;
  /** cc_i: contribution to the chain code. */
  readonly chainCode: Bytes;
  /** s_i. */
  readonly salt: Bytes;
}

/** Round 2, to each: s_{i→j}. */
export interface ShareMessage {
  /** Secret: for the receiver only. */
  readonly share: Scalar;
}

/** Round 3: a party's part of the certificate. */
export interface Endorsement {
  /** π_i: it knows x_i. */
  readonly proof: Proof;
  /** σ_i: it saw these messages and this result. */
  readonly signature: Bytes;
}

/** The three rounds on one curve. */
export interface DkgRounds {
  /** Round 1. */
  readonly commit: Round<CommitmentMessage, never>;
  /** Round 2. */
  readonly open: Round<Opening, ShareMessage>;
  /** Round 3, and the only one of a completion. */
  readonly certify: Round<Endorsement, never>;
}

/** Size of an encoded {@linkcode Endorsement}. */
export const ENDORSEMENT_BYTES: number = 65 + 64;

/**
 * The rounds of key generation. Round 3 needs no echo: what it says of the first two is inside the signature, and a party
 * that gets a wrong endorsement stays PENDING and can be given the right one later.
 */
export function dkgRounds(curve: Curve): DkgRounds {
  return {
    commit: {
      number: 1,
      name: "commit",
      broadcast: struct({ commitment: fixed(COMMITMENT_BYTES) }),
      echo: "next",
    },
    open: {
      number: 2,
      name: "open and deal",
      broadcast: openingCodec(curve),
      direct: struct({ share: curve.scalarCodec }),
      echo: "none",
    },
    certify: { number: 3, name: "certify", broadcast: endorsementCodec(curve), echo: "none" },
  };
}

/** {@linkcode Opening} on a curve. */
export function openingCodec(curve: Curve): Codec<Opening> {
  return struct({ ...committed(curve), salt: fixed(COMMITMENT_BYTES) });
}

/** {@linkcode Endorsement} in a group. */
export function endorsementCodec(curve: Group): Codec<Endorsement> {
  return struct({ proof: proofCodec(curve), signature: fixed(64) });
}

/** (list C_i, PoK_i, cc_i): what the commitment of round 1 is made to. */
export function committedBytes(curve: Curve, opening: Opening): Bytes {
  return encode(struct(committed(curve)), opening);
}

function committed(curve: Curve) {
  return {
    coefficients: list(curve.pointCodec, ACCESS_LIMITS.leavesMax),
    proof: proofCodec(curve),
    chainCode: fixed(32),
  };
}
