/**
 * What signers send each other (SPEC 2.6, sizes in SPEC 11).
 *
 * @module
 */

import type { Bytes } from "../../base/bytes.ts";
import { fixed, struct } from "../../base/codec.ts";
import { type Curve, type CurveName, CURVES, type Point, type Scalar } from "../../math/curve.ts";
import type { Round } from "../protocol.ts";
import { type ExtensionMessage, extensionMessageCodec } from "./soft_spoken.ts";
import { type VoleMessage, voleMessageCodec } from "./vole.ts";

/** Round 1, 6,848 bytes: a commitment to R_i, the same to all, and this party as VOLE receiver. */
export interface CommitMessage {
  /** com_i, the same to all. */
  readonly commitment: Bytes;
  /** The extension of this party as VOLE receiver. */
  readonly extension: ExtensionMessage;
}

/** Round 2, 40,228 bytes: the opening, and this party as VOLE sender. */
export interface MultiplyMessage {
  /** D: hash of all commitments. */
  readonly transcript: Bytes;
  /** The answer of this party as VOLE sender. */
  readonly vole: VoleMessage;
  /** R_i = r_i·G. */
  readonly R: Point;
  /** s_i, which opens the commitment. */
  readonly salt: Bytes;
  /** pk_i = sk_i·G. */
  readonly pk: Point;
  /** Γ^u = c^u·G. */
  readonly Gamma_u: Point;
  /** Γ^v = c^v·G. */
  readonly Gamma_v: Point;
  /** ψ_ij = φ_i − χ_ij. */
  readonly psi: Scalar;
}

/** Round 3, 96 bytes, to receivers: a share of the signature. */
export interface ShareMessage {
  /** u_i. */
  readonly u: Scalar;
  /** w_i. */
  readonly w: Scalar;
  /** H(sid, R). */
  readonly check: Bytes;
}

/** The three rounds on one curve. */
export interface SignRounds {
  /** Round 1. */
  readonly commit: Round<never, CommitMessage>;
  /** Round 2. */
  readonly multiply: Round<never, MultiplyMessage>;
  /** Round 3. */
  readonly share: Round<never, ShareMessage>;
}

/** The rounds of signing on a curve. */
export function signRounds(curve: Curve): SignRounds {
  return ROUNDS[curve.name];
}

function roundsOn(curve: Curve): SignRounds {
  const { pointCodec, scalarCodec } = curve;
  return {
    commit: {
      number: 1,
      name: "commit",
      direct: struct({ commitment: fixed(32), extension: extensionMessageCodec }),
      echo: "none", // round 2 carries a hash of all commitments
    },
    multiply: {
      number: 2,
      name: "multiply",
      direct: struct({
        transcript: fixed(32),
        vole: voleMessageCodec(curve),
        R: pointCodec,
        salt: fixed(32),
        pk: pointCodec,
        Gamma_u: pointCodec,
        Gamma_v: pointCodec,
        psi: scalarCodec,
      }),
      echo: "none",
    },
    share: {
      number: 3,
      name: "combine",
      direct: struct({ u: scalarCodec, w: scalarCodec, check: fixed(32) }),
      echo: "none",
    },
  };
}

const ROUNDS: Readonly<Record<CurveName, SignRounds>> = {
  secp256k1: roundsOn(CURVES.secp256k1),
  p256: roundsOn(CURVES.p256),
};
