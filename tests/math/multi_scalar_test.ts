import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../src/base/rng.ts";
import { CURVES, type Scalar } from "../../src/math/curve.ts";
import { multiScalarVartime } from "../../src/math/multi_scalar.ts";

for (const curve of Object.values(CURVES)) {
  const rng = seededRng(`multi ${curve.name}`);

  Deno.test(`multiScalarVartime() is the sum of the single products on ${curve.name}`, () => {
    const scalar = fc.oneof(
      fc.bigInt(0n, curve.order - 1n),
      fc.bigInt(0n, 70n),
      fc.integer({ min: 0, max: 255 }).map((i) => (1n << BigInt(i)) - 1n),
      fc.constantFrom(curve.order - 1n, curve.order - 16n, curve.order - 17n),
    );
    fc.assert(
      fc.property(fc.array(scalar, { maxLength: 5 }), (values) => {
        const scalars = values.map((value) => curve.scalar(value));
        const logs = values.map(() => curve.randomScalar(rng));
        const points = logs.map((a) => curve.mulBase(a));
        const expected = scalars.reduce<Scalar>(
          (sum, a, k) => curve.add(sum, curve.mul(a, logs[k] as Scalar)),
          curve.scalar(0n),
        );
        assert.ok(multiScalarVartime(curve, points, scalars).equals(curve.mulBase(expected)));
      }),
      { numRuns: 25 },
    );
  });

  Deno.test(`multiScalarVartime() is right for every small scalar on ${curve.name}`, () => {
    let sum = curve.zero;
    for (let a = 0n; a < 200n; a++) {
      assert.ok(
        multiScalarVartime(curve, [curve.base, curve.base], [curve.scalar(a), curve.scalar(0n)]).equals(sum),
      );
      sum = sum.add(curve.base);
    }
  });

  Deno.test(`multiScalarVartime() adds equal and opposite points on ${curve.name}`, () => {
    const [P, a] = [curve.mulBase(curve.randomScalar(rng)), curve.randomScalar(rng)];
    assert.ok(multiScalarVartime(curve, [P, P.negate()], [a, a]).is0());
    assert.ok(multiScalarVartime(curve, [P, P], [a, curve.neg(a)]).is0());
    assert.ok(multiScalarVartime(curve, [P, P], [a, a]).equals(curve.mulVartime(P, curve.add(a, a))));
    assert.ok(multiScalarVartime(curve, [], []).is0());
    assert.throws(() => multiScalarVartime(curve, [P], []), { code: "INVARIANT" });
  });
}
