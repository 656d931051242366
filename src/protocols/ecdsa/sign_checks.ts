/**
 * The checks of one peer's round 2 (SPEC 2.6 (a), (b)).
 *
 * @module
 */

import { type Bytes, equalSecret } from "../../base/bytes.ts";
import type { Rng } from "../../base/rng.ts";
import { bytesToBigint, type Curve, type Point, type Scalar } from "../../math/curve.ts";
import type { MultiplyMessage } from "./sign_messages.ts";

/**
 * (a) χ_ij·R_j = d^u_ij·G + Γ^u_ji and (b) χ_ij·pk_j = d^v_ij·G + Γ^v_ji: the peer used its committed nonce and its key share
 * in the multiplication.
 *
 * Compared by x only, each after a shift by a random ρ'·G that is drawn here and now, when the whole message is fixed:
 * x(χ·(P + ρ'G)) = x((d + ρ'χ)·G + Γ). A point of the wrong sign passes for at most one ρ' (error 2^-128). Without the shift
 * a peer that multiplies with −r_j forges a signature.
 *
 * @returns what is wrong, or undefined.
 * @source SPEC 2.6
 */
export function multiplyFault(
  input: {
    readonly curve: Curve;
    readonly rng: Rng;
    readonly chi: Scalar;
    readonly d: readonly [Scalar, Scalar];
    readonly message: Pick<MultiplyMessage, "R" | "pk" | "Gamma_u" | "Gamma_v">;
  },
): string | undefined {
  const { curve, chi, d: [d_u, d_v], message: { R, pk, Gamma_u, Gamma_v } } = input;
  const { rho, points } = shift(curve, input.rng, [R, pk]);
  const shifted = curve.mul(rho, chi);
  const [left_u, left_v] = curve.mulX(points, chi) as [Bytes, Bytes];
  const [right_u, right_v] = curve.xOf([
    curve.mulBase(curve.add(d_u, shifted)).add(Gamma_u),
    curve.mulBase(curve.add(d_v, shifted)).add(Gamma_v),
  ]) as [Bytes, Bytes];
  const nonce = equalSecret(left_u, right_u), key = equalSecret(left_v, right_v);
  if (!nonce) return "it multiplied with another nonce than the one it committed to";
  return key ? undefined : "it multiplied with another key share than the one it showed";
}

/**
 * R = Σ R_i and r = x(R) mod q.
 *
 * @returns undefined where one of them is zero: nobody can be named, because every R_i was committed to before.
 */
export function sumNonces(
  curve: Curve,
  parts: readonly Point[],
): { readonly R: Point; readonly r: Scalar } | undefined {
  const R = parts.reduce((sum, part) => sum.add(part), curve.zero);
  const r = R.is0() ? 0n : curve.scalar(R.x);
  return r === 0n ? undefined : { R, r: r as Scalar };
}

/** ρ' uniform in [1, 2^128), and P + ρ'·G for each point: public values, not the identity. */
function shift(
  curve: Curve,
  rng: Rng,
  points: readonly Point[],
): { readonly rho: Scalar; readonly points: readonly Point[] } {
  for (;;) {
    const rho = curve.scalar(bytesToBigint(rng.bytes(16)));
    if (rho === 0n) continue;
    const offset = curve.mulVartime(curve.base, rho);
    const moved = points.map((point) => point.add(offset));
    if (!moved.some((point) => point.is0())) return { rho, points: moved };
  }
}
