import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../src/base/errors.ts";
import type { Curve, Scalar } from "../../src/math/curve.ts";
import type { AccessTree } from "../../src/primitives/access.ts";

/** Shapes of trees: numbers become leaves, lists become gates. */
interface Shape {
  readonly kind: "leaf" | "threshold" | "and" | "or";
  readonly choice: number;
  readonly gaps: readonly number[];
  readonly children: readonly Shape[];
}

const shapes = fc.letrec<{ node: Shape; gate: Shape; leaf: Shape }>((tie) => ({
  leaf: fc.constant({ kind: "leaf", choice: 0, gaps: [], children: [] }),
  gate: fc.record({
    kind: fc.constantFrom("threshold" as const, "and" as const, "or" as const),
    choice: fc.nat(100),
    gaps: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 4, maxLength: 4 }),
    children: fc.array(tie("node"), { minLength: 1, maxLength: 4 }),
  }),
  node: fc.oneof({ maxDepth: 3, depthSize: "small" }, tie("leaf"), tie("gate")),
}));

/** Any valid access tree of modest size, some of them satisfied by one party. */
export const anyTree: fc.Arbitrary<AccessTree> = shapes.gate.map((shape) => {
  let leaves = 0;
  return build(shape);

  function build({ kind, choice, gaps, children }: Shape): AccessTree {
    if (kind === "leaf") return { kind, name: `p${++leaves}` };
    let index = 0;
    const built = children.map((child, i) => ({ index: index += gaps[i] ?? 1, node: build(child) }));
    const minSigners = kind === "and" ? built.length : kind === "or" ? 1 : 1 + choice % built.length;
    return { kind, minSigners, children: built };
  }
});

/** All subsets of a list of names. */
export function* subsetsOf(names: readonly string[]): Generator<Set<string>> {
  for (let bits = 0; bits < 1 << names.length; bits++) {
    yield new Set(names.filter((_, i) => (bits >> i & 1) === 1));
  }
}

/** The c with Σ c_i·row_i = (1, 0, ..., 0), by elimination modulo the order; undefined where there is none. */
export function gaussSolve(rows: readonly (readonly Scalar[])[], curve: Curve): Scalar[] | undefined {
  const width = rows.length;
  const height = rows[0]?.length ?? 1;
  // One equation per column of the matrix; the last entry is the right-hand side.
  const system = Array.from({ length: height }, (_, k) => [
    ...rows.map((row) => row[k] as Scalar),
    curve.scalar(k === 0 ? 1n : 0n),
  ]);
  const pivots: number[] = [];
  for (let column = 0, at = 0; column < width; column++) {
    const found = system.findIndex((equation, k) => k >= at && equation[column] !== 0n);
    if (found < 0) continue;
    [system[at], system[found]] = [system[found] as Scalar[], system[at] as Scalar[]];
    const pivot = system[at] as Scalar[];
    const inverse = curve.invertVartime(pivot[column] as Scalar);
    system[at] = pivot.map((value) => curve.mul(value, inverse));
    for (const [k, equation] of system.entries()) {
      if (k === at) continue;
      const factor = equation[column] as Scalar;
      system[k] = equation.map((v, m) =>
        curve.sub(v, curve.mul(factor, (system[at] as Scalar[])[m] as Scalar))
      );
    }
    pivots.push(column);
    at++;
  }
  if (system.slice(pivots.length).some((equation) => equation[width] !== 0n)) return undefined;
  const solution = rows.map(() => curve.scalar(0n));
  for (const [k, column] of pivots.entries()) solution[column] = (system[k] as Scalar[])[width] as Scalar;
  return solution;
}

/** Asserts that `act` throws POLICY_INVALID with all the words. */
export function refusesPolicy(act: () => void, ...words: string[]): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, "POLICY_INVALID");
    for (const word of words) assert.ok(error.message.includes(word), error.message);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}
