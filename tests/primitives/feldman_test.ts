import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../src/base/rng.ts";
import { CURVES, type Point, type Scalar, secp256k1 } from "../../src/math/curve.ts";
import {
  coefficientCount,
  leavesOf,
  parsePolicy,
  shareMatrix,
  solve,
  topCoefficients,
} from "../../src/primitives/access.ts";
import {
  commitmentsFault,
  deal,
  isShareOf,
  publicSharesVartime,
  publicShareVartime,
  sumCommitments,
} from "../../src/primitives/feldman.ts";
import { anyTree } from "./support.ts";

const NESTED = parsePolicy("2 of (alice, 7: and(bob, carol), 250: 2 of (dave, erin, 255: frank))");

for (const curve of Object.values(CURVES)) {
  Deno.test(`deal() gives shares that match the commitments and add up to the secret on ${curve.name}`, () => {
    const rng = seededRng(`feldman ${curve.name}`);
    fc.assert(
      fc.property(fc.oneof(fc.constant(NESTED), anyTree), (tree) => {
        const secret = curve.randomScalar(rng);
        const dealing = deal(tree, secret, curve, rng);
        assert.equal(dealing.commitments.length, coefficientCount(tree));
        assert.equal(commitmentsFault(tree, dealing.commitments), undefined);
        const all = publicSharesVartime(tree, dealing.commitments);
        assert.deepEqual([...all.keys()], leavesOf(tree));
        for (const [name, share] of dealing.shares) {
          assert.ok(isShareOf({ tree, commitments: dealing.commitments, curve }, name, share));
          assert.ok(publicShareVartime(tree, dealing.commitments, name).equals(all.get(name) as Point));
        }
        let sum = curve.scalar(0n);
        for (const [name, c] of solve(tree, new Set(leavesOf(tree)), curve)?.coefficients ?? []) {
          sum = curve.add(sum, curve.mul(c, dealing.shares.get(name) as Scalar));
        }
        assert.equal(sum, secret);
      }),
      { numRuns: 15 },
    );
  });
}

Deno.test("deal() gives the shares that the share matrix says", () => {
  const rng = seededRng("matrix");
  const { coefficients, shares } = deal(NESTED, secp256k1.randomScalar(rng), secp256k1, rng);
  for (const [name, row] of shareMatrix(NESTED, secp256k1)) {
    const expected = row.reduce(
      (sum, r, k) => secp256k1.add(sum, secp256k1.mul(r, coefficients[k] as Scalar)),
      secp256k1.scalar(0n),
    );
    assert.equal(shares.get(name), expected);
  }
});

Deno.test("deal() deals zero as the identity, and adds nothing to a key", () => {
  const rng = seededRng("zero");
  const { commitments } = deal(NESTED, secp256k1.scalar(0n), secp256k1, rng);
  assert.ok(commitments[0]?.is0());
  assert.ok(commitments.slice(1).every((point) => !point.is0()));
  assert.equal(commitmentsFault(NESTED, commitments), undefined);
});

Deno.test("isShareOf() refuses another share, another leaf and other commitments", () => {
  const rng = seededRng("refuse");
  const tree = NESTED;
  const { commitments, shares } = deal(tree, secp256k1.randomScalar(rng), secp256k1, rng);
  const alice = shares.get("alice") as Scalar;
  const dealing = { tree, commitments, curve: secp256k1 };
  assert.ok(isShareOf(dealing, "alice", alice));
  assert.equal(isShareOf(dealing, "alice", secp256k1.add(alice, secp256k1.scalar(1n))), false);
  assert.equal(isShareOf(dealing, "alice", secp256k1.scalar(0n)), false);
  assert.equal(isShareOf(dealing, "bob", alice), false);
  for (const k of [0, 1]) {
    const changed = commitments.map((point, m) => m === k ? point.double() : point);
    assert.equal(isShareOf({ ...dealing, commitments: changed }, "alice", alice), false);
  }
});

Deno.test("commitmentsFault() refuses every other length and every vanishing highest coefficient", () => {
  const rng = seededRng("fault");
  const { commitments } = deal(NESTED, secp256k1.randomScalar(rng), secp256k1, rng);
  assert.match(commitmentsFault(NESTED, commitments.slice(1)) ?? "", /3 coefficients instead of 4/);
  assert.match(
    commitmentsFault(NESTED, [...commitments, secp256k1.base]) ?? "",
    /5 coefficients instead of 4/,
  );
  assert.match(commitmentsFault(NESTED, []) ?? "", /0 coefficients/);
  for (const k of topCoefficients(NESTED)) {
    const changed = commitments.map((point, m) => m === k ? secp256k1.zero : point);
    assert.match(commitmentsFault(NESTED, changed) ?? "", /vanishes/);
  }
});

Deno.test("publicSharesVartime() multiplies by every index from 1 to 255 as a slow sum does", () => {
  const point = secp256k1.mulBase(secp256k1.scalar(77n));
  const leaves = Array.from({ length: 64 }, (_, i) => i);
  for (const offset of [1, 65, 129, 192]) {
    const tree = parsePolicy(`2 of (${leaves.map((i) => `${i + offset}: p${i}`).join(", ")})`);
    const shares = publicSharesVartime(tree, [secp256k1.zero, point]);
    let sum = secp256k1.mulVartime(point, secp256k1.scalar(BigInt(offset)));
    for (const i of leaves) {
      assert.ok(shares.get(`p${i}`)?.equals(sum), `index ${i + offset}`);
      sum = sum.add(point);
    }
  }
});

Deno.test("sumCommitments() adds dealings coefficient by coefficient", () => {
  const rng = seededRng("sum");
  const dealings = [1, 2, 3].map(() => deal(NESTED, secp256k1.randomScalar(rng), secp256k1, rng));
  const sum = sumCommitments(dealings.map((dealing) => dealing.commitments));
  const shares = publicSharesVartime(NESTED, sum);
  for (const name of leavesOf(NESTED)) {
    const total = dealings.reduce(
      (x, d) => secp256k1.add(x, d.shares.get(name) as Scalar),
      secp256k1.scalar(0n),
    );
    assert.ok(shares.get(name)?.equals(secp256k1.mulBase(total)));
  }
  assert.deepEqual(sumCommitments([]), []);
});
