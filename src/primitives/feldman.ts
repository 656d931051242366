/**
 * Verifiable dealing of a secret along an access tree: `Deal(T, w)` of SPEC 2.2.
 *
 * Every gate has a polynomial of degree `minSigners - 1`. The root's is w at 0, another gate's is what its parent hands
 * down; leaves get their shares. The commitments list the root's coefficients C_0, C_1, ..., then those of the other gates
 * without their constant term, in pre-order: what a parent hands down *is* the constant term, so nothing can contradict.
 *
 * @module
 */

import type { Rng } from "../base/rng.ts";
import type { Group, Point, Scalar } from "../math/curve.ts";
import { type AccessTree, coefficientCount, handDown, type SmallModule, topCoefficients } from "./access.ts";

/** A dealer's secrets, and what it publishes. */
export interface Dealing {
  /** Secret: all polynomials, in the order of the commitments. */
  readonly coefficients: readonly Scalar[];
  /** Public: the coefficients times the base point. The first is the identity where w = 0. */
  readonly commitments: readonly Point[];
  /** Secret: one share per leaf. */
  readonly shares: ReadonlyMap<string, Scalar>;
}

/**
 * Deals `secret` to the leaves of the tree.
 *
 * @source SPEC 2.2
 */
export function deal(tree: AccessTree, secret: Scalar, curve: Group, rng: Rng): Dealing {
  const coefficients = [secret];
  while (coefficients.length < coefficientCount(tree)) coefficients.push(curve.randomScalar(rng));
  return {
    coefficients,
    commitments: coefficients.map((a) => curve.mulBase(a)),
    shares: handDown(tree, coefficients, scalars(curve)),
  };
}

/** How a list of commitments does not fit its tree; undefined where it does. */
export function commitmentsFault(tree: AccessTree, commitments: readonly Point[]): string | undefined {
  const expected = coefficientCount(tree);
  if (commitments.length !== expected) return `${commitments.length} coefficients instead of ${expected}`;
  if (topCoefficients(tree).some((k) => (commitments[k] as Point).is0())) {
    return "a highest coefficient vanishes, so that fewer parties than the policy needs would be enough";
  }
  return undefined;
}

/** The public share of one leaf. Variable time: commitments are public. */
export function publicShareVartime(tree: AccessTree, commitments: readonly Point[], leaf: string): Point {
  return handDown(tree, commitments, POINTS, leaf).get(leaf) as Point;
}

/** The public shares of all leaves. Variable time: commitments are public. */
export function publicSharesVartime(tree: AccessTree, commitments: readonly Point[]): Map<string, Point> {
  return handDown(tree, commitments, POINTS);
}

/** True iff the share is the one that the commitments promise to the leaf: `s·G` is their value there. */
export function isShareOf(
  dealing: { readonly tree: AccessTree; readonly commitments: readonly Point[]; readonly curve: Group },
  leaf: string,
  share: Scalar,
): boolean {
  return dealing.curve.mulBase(share).equals(publicShareVartime(dealing.tree, dealing.commitments, leaf));
}

/** The commitments of the sum of several dealings along one tree. */
export function sumCommitments(dealings: readonly (readonly Point[])[]): Point[] {
  const [first, ...others] = dealings;
  return (first ?? []).map((point, k) => others.reduce((sum, other) => sum.add(other[k] as Point), point));
}

function scalars(curve: Group): SmallModule<Scalar> {
  return { add: curve.add, timesSmall: (a, factor) => curve.mul(a, curve.scalar(BigInt(factor))) };
}

/** Double-and-add over the few bits of an index; public values only. */
const POINTS: SmallModule<Point> = {
  add: (a, b) => a.add(b),
  timesSmall(a, factor) {
    let sum = a;
    for (let bit = 30 - Math.clz32(factor); bit >= 0; bit--) {
      sum = sum.double();
      if ((factor >> bit & 1) === 1) sum = sum.add(a);
    }
    return sum;
  },
};
