/**
 * What refresh and reshare send (SPEC 2.8, 2.10): commitments, openings with a share for each, endorsements.
 *
 * @module
 */

import { type SessionId, sessionId } from "../../base/brands.ts";
import type { Bytes } from "../../base/bytes.ts";
import { type Codec, encode, fixed, list, map, optional, struct } from "../../base/codec.ts";
import type { Curve, Point, Scalar } from "../../math/curve.ts";
import { ACCESS_LIMITS } from "../../primitives/access.ts";
import { COMMITMENT_BYTES } from "../../primitives/commitment.ts";
import { type Proof, proofCodec } from "../../zk/schnorr_pok.ts";
import { type Endorsed, lineageCodec } from "../dkg/certificate.ts";
import { publicKeyRecordCodec } from "../key_share.ts";
import type { Round } from "../protocol.ts";

/** What a dealer opens in round 2. */
export interface Opening {
  /** C_i in the order of SPEC 2.2; in a refresh without the constant one, which is the identity. */
  readonly coefficients: readonly Point[];
  /** PoK_i of the logarithms of all of them; none where there are none. */
  readonly proof: Proof | undefined;
  /** s_i. */
  readonly salt: Bytes;
}

/** Round 1 of a refresh, to all. */
export interface RefreshCommitment {
  /** com_i. */
  readonly commitment: Bytes;
}

/** Round 1 of a refresh, to each. */
export interface CoinCommitment {
  /** Commits to the sender's half of κ; none where the pair is not re-randomised. */
  readonly coin: Bytes | undefined;
}

/** Round 2 of a refresh, to each. */
export interface RefreshShare {
  /** s_{i→j}: secret, for the receiver only. */
  readonly share: Scalar;
  /** The sender's half of κ: secret. */
  readonly coin: { readonly value: Bytes; readonly salt: Bytes } | undefined;
}

/** Round 3: a party's part of the certificate. */
export interface EpochEndorsement {
  /** π_i: it knows x_i; none for a party without a share in the new epoch. */
  readonly proof: Proof | undefined;
  /** σ_i: it saw these messages and this result. */
  readonly signature: Bytes;
}

/** Round 3 of a refresh, to each. */
export interface CoinConfirmation {
  /** That both hold halves of the same re-randomised pair state. */
  readonly confirmation: Bytes | undefined;
}

/** The rounds of a refresh. */
export interface RefreshRounds {
  /** Round 1. */
  readonly commit: Round<RefreshCommitment, CoinCommitment>;
  /** Round 2. */
  readonly open: Round<Opening, RefreshShare>;
  /** Round 3, and the only one of a completion. */
  readonly certify: Round<EpochEndorsement, CoinConfirmation>;
}

/** Round 1 of a reshare. */
export interface ReshareCommitment {
  /** Of those who have a share: the epoch that is dealt on. */
  readonly statement: Endorsed | undefined;
  /** com_i of those who deal. */
  readonly commitment: Bytes | undefined;
}

/** Round 2 of a reshare, to all. */
export interface ReshareOpening {
  /** Of those who deal. */
  readonly opening: Opening | undefined;
}

/** Round 2 of a reshare, to each. */
export interface ReshareShare {
  /** s_{i→j}, from dealers to members: secret, for the receiver only. */
  readonly share: Scalar | undefined;
}

/** The rounds of a reshare. */
export interface ReshareRounds {
  /** Round 1. */
  readonly commit: Round<ReshareCommitment, never>;
  /** Round 2. */
  readonly open: Round<ReshareOpening, ReshareShare>;
  /** Round 3, and the only one of a completion. */
  readonly certify: Round<EpochEndorsement, never>;
}

/**
 * The rounds of a refresh. As in key generation, round 3 needs no echo: what it says of the first two is inside the signature,
 * and a party that gets a wrong endorsement stays PENDING and can be given the right one later.
 */
export function refreshRounds(curve: Curve): RefreshRounds {
  const coin = struct({ value: fixed(32), salt: fixed(COMMITMENT_BYTES) });
  return {
    commit: {
      number: 1,
      name: "commit",
      broadcast: struct({ commitment: fixed(COMMITMENT_BYTES) }),
      direct: struct({ coin: optional(fixed(COMMITMENT_BYTES)) }),
      echo: "next",
    },
    open: {
      number: 2,
      name: "open and deal",
      broadcast: openingCodec(curve),
      direct: struct({ share: curve.scalarCodec, coin: optional(coin) }),
      echo: "none",
    },
    certify: {
      number: 3,
      name: "certify",
      broadcast: epochEndorsementCodec(curve),
      direct: struct({ confirmation: optional(fixed(32)) }),
      echo: "none",
    },
  };
}

/** The rounds of a reshare. Their messages have the same sizes on every curve. */
export function reshareRounds(curve: Curve): ReshareRounds {
  return {
    commit: {
      number: 1,
      name: "commit",
      broadcast: struct({
        statement: optional(endorsedCodec),
        commitment: optional(fixed(COMMITMENT_BYTES)),
      }),
      echo: "next",
    },
    open: {
      number: 2,
      name: "open and deal",
      broadcast: struct({ opening: optional(openingCodec(curve)) }),
      direct: struct({ share: optional(curve.scalarCodec) }),
      echo: "none",
    },
    certify: { number: 3, name: "certify", broadcast: epochEndorsementCodec(curve), echo: "none" },
  };
}

/** What is endorsed of an epoch. */
export const endorsedCodec: Codec<Endorsed> = map(
  struct({
    record: publicKeyRecordCodec,
    sid: map(fixed(32), (sid: SessionId) => sid as Bytes, sessionId),
    transcript: fixed(32),
    lineage: optional(lineageCodec),
  }),
  (endorsed) => ({ ...endorsed, lineage: endorsed.lineage }),
  ({ lineage, ...endorsed }) => lineage === undefined ? endorsed : { ...endorsed, lineage },
);

/** {@linkcode Opening} on a curve. */
export function openingCodec(curve: Curve): Codec<Opening> {
  return struct({ ...committed(curve), salt: fixed(COMMITMENT_BYTES) });
}

/** {@linkcode EpochEndorsement} on a curve. */
export function epochEndorsementCodec(curve: Curve): Codec<EpochEndorsement> {
  return struct({ proof: optional(proofCodec(curve)), signature: fixed(64) });
}

/** (list C_i, PoK_i): what the commitment of round 1 is made to. */
export function committedBytes(curve: Curve, opening: Opening): Bytes {
  return encode(struct(committed(curve)), opening);
}

function committed(curve: Curve) {
  return {
    coefficients: list(curve.pointCodec, ACCESS_LIMITS.leavesMax),
    proof: optional(proofCodec(curve)),
  };
}
