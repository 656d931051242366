import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import { seededRng } from "../../src/base/rng.ts";
import {
  bigintToBytes,
  bytesToBigint,
  type Curve,
  CURVES,
  encodeCurve,
  p256,
  type Point,
  type Scalar,
  secp256k1,
} from "../../src/math/curve.ts";

const curves = Object.values(CURVES);
const rng = seededRng("curve");
const scalarsOf = (curve: Curve) =>
  fc.oneof(
    fc.bigInt(0n, curve.order - 1n),
    fc.constantFrom(0n, 1n, 2n, curve.order - 1n, curve.order - 2n),
  ) as fc.Arbitrary<Scalar>;

Deno.test("CURVES have the generators and orders of their standards", () => {
  assert.equal(secp256k1.order, 2n ** 256n - 0x14551231950b75fc4402da1732fc9bebfn);
  assert.equal(p256.order, 2n ** 256n - 2n ** 224n + 2n ** 192n - 0x4319055258e8617b0c46353d039cdaafn);
  assert.equal(
    secp256k1.encodePoint(secp256k1.base).toHex(),
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
  );
  assert.equal(
    p256.encodePoint(p256.base).toHex(),
    "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
  );
  assert.deepEqual(curves.map((curve) => encodeCurve(curve)), [Uint8Array.of(1), Uint8Array.of(2)]);
});

for (const curve of curves) {
  const codec = curve.pointCodec;
  const point = curve.mulBase(curve.randomScalar(rng));
  const encoded = encode(codec, point);

  Deno.test(`scalars of ${curve.name} are a field`, () => {
    fc.assert(fc.property(scalarsOf(curve), scalarsOf(curve), scalarsOf(curve), (a, b, c) => {
      assert.equal(curve.add(a, b), (a + b) % curve.order);
      assert.equal(curve.sub(a, b), curve.add(a, curve.neg(b)));
      assert.equal(curve.mul(a, curve.add(b, c)), curve.add(curve.mul(a, b), curve.mul(a, c)));
      if (a !== 0n) assert.equal(curve.mul(a, curve.invertVartime(a)), 1n);
    }));
    assert.equal(curve.scalar(-1n), curve.order - 1n);
    assert.throws(() => curve.invertVartime(curve.scalar(0n)), { code: "INVARIANT" });
  });

  Deno.test(`mulBase(), mul1() and mulVartime() of ${curve.name} agree, 0 and the order's neighbours included`, () => {
    fc.assert(
      fc.property(scalarsOf(curve), scalarsOf(curve), (a, b) => {
        const A = curve.mulBase(a);
        assert.ok(A.equals(curve.mul1(curve.base, a)));
        assert.ok(A.equals(curve.mulVartime(curve.base, a)));
        assert.ok(curve.mul1(A, b).equals(curve.mulVartime(A, b)));
        assert.ok(curve.mul1(A, b).equals(curve.mulBase(curve.mul(a, b))));
        assert.ok(A.add(curve.mulBase(b)).equals(curve.mulBase(curve.add(a, b))));
      }),
      { numRuns: 12 },
    );
    assert.ok(curve.mulBase(curve.scalar(0n)).is0() && curve.mul1(curve.base, curve.scalar(0n)).is0());
    assert.ok(curve.mulBase(curve.scalar(-1n)).equals(curve.base.negate()));
  });

  Deno.test(`scalarCodec of ${curve.name} reads exactly the integers below the order`, () => {
    fc.assert(fc.property(scalarsOf(curve), (a) => {
      assert.equal(decode(curve.scalarCodec, encode(curve.scalarCodec, a)), a);
    }));
    for (const bad of [curve.order, curve.order + 1n, 2n ** 256n - 1n]) {
      assert.throws(() => decode(curve.scalarCodec, bigintToBytes(bad, 32)), DecodeError);
    }
    assert.throws(() => decode(curve.scalarCodec, new Uint8Array(31)), DecodeError);
    assert.throws(() => decode(curve.scalarCodec, new Uint8Array(33)), DecodeError);
  });

  Deno.test(`pointCodec of ${curve.name} reads what it wrote`, () => {
    for (let i = 0; i < 20; i++) {
      const P = curve.mulBase(curve.randomScalar(rng));
      const bytes = encode(codec, P);
      assert.equal(bytes.length, 33);
      assert.ok(decode(codec, bytes).equals(P));
      const negated = bytes.slice();
      negated[0] = 5 - (bytes[0] as number);
      assert.ok(decode(codec, negated).equals(P.negate()));
    }
  });

  Deno.test(`pointCodec of ${curve.name} refuses the identity, in every form`, () => {
    assert.throws(() => encode(codec, curve.zero), { code: "INVARIANT" });
    for (const first of [0, 4]) {
      assert.throws(() => decode(codec, concat(Uint8Array.of(first), new Uint8Array(32))), DecodeError);
    }
    assert.throws(() => curve.decodePoint(Uint8Array.of(0)), DecodeError);
  });

  Deno.test(`pointCodec of ${curve.name} refuses uncompressed, hybrid and wrongly sized encodings`, () => {
    const full = point.toBytes(false);
    assert.throws(() => curve.decodePoint(full), DecodeError);
    const hybrid = full.slice();
    for (const first of [6, 7]) {
      hybrid[0] = first;
      assert.throws(() => curve.decodePoint(hybrid), DecodeError);
    }
    for (const first of [0, 1, 4, 5, 6, 7, 255]) {
      assert.throws(() => curve.decodePoint(concat(Uint8Array.of(first), encoded.subarray(1))), DecodeError);
    }
    assert.throws(() => curve.decodePoint(encoded.subarray(1)), DecodeError);
    assert.throws(() => curve.decodePoint(concat(encoded, Uint8Array.of(0))), DecodeError);
  });

  Deno.test(`pointCodec of ${curve.name} refuses x that is not a coordinate of the curve or not below the field`, () => {
    const prime = curve === secp256k1
      ? 2n ** 256n - 2n ** 32n - 977n
      : 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
    let outside = 0;
    for (let x = 1n; x < 20n; x++) {
      const bytes = (value: bigint) => concat(Uint8Array.of(2), bigintToBytes(value, 32));
      let onCurve = true;
      try {
        curve.decodePoint(bytes(x));
      } catch (error) {
        assert.ok(error instanceof DecodeError);
        onCurve = false;
        outside++;
      }
      // x + p is the same coordinate, written otherwise.
      if (onCurve) assert.throws(() => curve.decodePoint(bytes(x + prime)), DecodeError);
    }
    assert.ok(outside > 0 && outside < 19);
  });

  Deno.test(`randomScalar() and reduce() of ${curve.name} use 48 bytes`, () => {
    const asked: number[] = [];
    const fake = (values: Uint8Array<ArrayBuffer>[]) => ({
      bytes: (length: number) => {
        asked.push(length);
        return values.shift() as Uint8Array<ArrayBuffer>;
      },
    });
    const order48 = bigintToBytes(curve.order * 3n, 48);
    // The first draw is 0 modulo the order and is drawn again.
    assert.equal(curve.randomScalar(fake([order48, bigintToBytes(curve.order + 5n, 48)])), 5n);
    assert.deepEqual(asked, [48, 48]);
    assert.equal(curve.reduce(bigintToBytes(2n ** 384n - 1n, 48)), (2n ** 384n - 1n) % curve.order);
    assert.throws(() => curve.reduce(new Uint8Array(47)), { code: "INVARIANT" });
  });

  Deno.test(`encodeScalars(), decodeScalars() and reduce48() of ${curve.name} are the single functions in a row`, () => {
    const values = Array.from({ length: 5 }, () => curve.randomScalar(rng));
    const bytes = curve.encodeScalars(values);
    assert.deepEqual(bytes, concat(...values.map((value) => curve.encodeScalar(value))));
    assert.deepEqual(curve.decodeScalars(bytes), values);
    assert.equal(curve.decodeScalars(concat(bytes, bigintToBytes(curve.order, 32))), undefined);
    const wide = rng.bytes(48 * 4);
    const rows = [0, 1, 2, 3].map((i) => wide.subarray(48 * i, 48 * i + 48));
    assert.deepEqual(curve.reduce48(wide, "big"), rows.map((row) => curve.reduce(row)));
    assert.deepEqual(curve.reduce48(wide, "little"), rows.map((row) => curve.reduce(row.toReversed())));
  });

  Deno.test(`normalize() of ${curve.name} gives the same points`, () => {
    const points: Point[] = Array.from({ length: 3 }, () => curve.mulBase(curve.randomScalar(rng)).double());
    const normal = curve.normalize(points);
    assert.ok(normal.length === 3 && normal.every((P, k) => P.equals(points[k] as Point)));
    assert.deepEqual(curve.normalize([]), []);
  });

  Deno.test(`mulX() of ${curve.name} is the x of the product`, () => {
    const points: Point[] = Array.from({ length: 3 }, () => curve.mulBase(curve.randomScalar(rng)));
    for (const a of [curve.randomScalar(rng), curve.scalar(1n), curve.scalar(-1n)]) {
      assert.deepEqual(curve.mulX(points, a), points.map((P) => bigintToBytes(curve.mul1(P, a).x, 32)));
    }
    assert.throws(() => curve.mulX(points, curve.scalar(0n)), { code: "INVARIANT" });
  });
}

Deno.test("a point of one curve is not decoded on the other", () => {
  let refused = 0;
  for (let i = 0; i < 40; i++) {
    const bytes = p256.encodePoint(p256.mulBase(p256.randomScalar(rng)));
    try {
      // About half of all x are coordinates of the other curve too: then it is another point, and proofs name the curve.
      secp256k1.decodePoint(bytes);
    } catch (error) {
      assert.ok(error instanceof DecodeError);
      refused++;
    }
  }
  assert.ok(refused > 5);
});

Deno.test("bytesToBigint() and bigintToBytes() are inverse, and the latter asserts that the integer fits", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), (bytes) => {
    assert.deepEqual(bigintToBytes(bytesToBigint(bytes), bytes.length), bytes);
  }));
  assert.equal(bytesToBigint(new Uint8Array(0)), 0n);
  for (const length of [1, 31, 32, 48]) {
    assert.throws(() => bigintToBytes(1n << BigInt(8 * length), length), { code: "INVARIANT" });
    assert.throws(() => bigintToBytes(-1n, length), { code: "INVARIANT" });
  }
});
