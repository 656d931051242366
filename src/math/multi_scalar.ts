/**
 * Sums of many multiples of public points at once.
 *
 * @module
 */

import { invariant } from "../base/errors.ts";
import type { Group, Point, Scalar } from "./curve.ts";

/**
 * Σ a_k·P_k in variable time: for public points and scalars only. The doublings are shared by all terms (Straus), and the
 * scalars are written with signed odd digits below 16, one in six places or fewer (wNAF).
 */
export function multiScalarVartime(
  curve: Group,
  points: readonly Point[],
  scalars: readonly Scalar[],
): Point {
  invariant(points.length === scalars.length, "every point has its scalar");
  if (points.length === 1) return curve.mulVartime(points[0] as Point, scalars[0] as Scalar);
  const tables = points.map(oddMultiples);
  const digits = scalars.map(signedDigits);
  let sum = curve.zero;
  for (let bit = Math.max(0, ...digits.map((list) => list.length)) - 1; bit >= 0; bit--) {
    sum = sum.double();
    for (let k = 0; k < tables.length; k++) {
      const digit = digits[k]?.[bit] ?? 0;
      if (digit === 0) continue;
      const multiple = tables[k]?.[Math.abs(digit) >> 1] as Point;
      sum = digit > 0 ? sum.add(multiple) : sum.subtract(multiple);
    }
  }
  return sum;
}

/** P, 3P, 5P, ..., 15P. */
function oddMultiples(point: Point): Point[] {
  const twice = point.double();
  const out = [point];
  while (out.length < 8) out.push((out[out.length - 1] as Point).add(twice));
  return out;
}

/** Digits d_i, 0 or odd between −15 and 15, with Σ d_i·2^i the scalar; after one that is not 0 come four that are. */
function signedDigits(scalar: bigint): number[] {
  const digits: number[] = [];
  let carry = 0;
  const bits = scalar.toString(2);
  const bit = (i: number) => bits.charCodeAt(bits.length - 1 - i) === 49 ? 1 : 0;
  for (let i = 0; i < bits.length || carry > 0;) {
    if ((bit(i) ^ carry) === 0) {
      digits.push(0);
      i++;
      continue;
    }
    let window = carry;
    for (let k = 0; k < 5; k++) window += bit(i + k) << k;
    carry = window > 16 ? 1 : 0;
    digits.push(carry === 1 ? window - 32 : window, 0, 0, 0, 0);
    i += 5;
  }
  return digits;
}
