import assert from "node:assert/strict";
import { type PartyId, partyId, type SessionId, sessionId } from "../../src/base/brands.ts";
import { concat, u16, utf8 } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import { seededRng } from "../../src/base/rng.ts";
import { CURVES, p256, type Point, type Scalar, secp256k1 } from "../../src/math/curve.ts";
import { hashToScalar } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import { proofCodec, prove, type Statement, verify } from "../../src/zk/schnorr_pok.ts";

function example(curve = secp256k1, m = 3) {
  const rng = seededRng(`pok ${curve.name} ${m}`);
  const witness = Array.from({ length: m }, () => curve.randomScalar(rng));
  const statement: Statement = {
    sid: sessionId(rng.bytes(32)),
    use: "dkg/coeff",
    prover: partyId(1),
    curve,
    points: witness.map((a) => curve.mulBase(a)),
  };
  return { rng, witness, statement, proof: prove(statement, witness, rng) };
}

for (const curve of Object.values(CURVES)) {
  Deno.test(`verify() accepts an honest proof of 1 to 8 logarithms on ${curve.name}`, () => {
    for (const m of [1, 2, 3, 8]) {
      const { statement, proof } = example(curve, m);
      assert.ok(verify(statement, proof));
      assert.equal(encode(proofCodec(curve), proof).length, 65);
    }
  });
}

Deno.test("prove() computes what SPEC 0.4 says", () => {
  const { statement, witness, proof } = example();
  const e = hashToScalar(
    secp256k1,
    Tag.pok,
    statement.sid,
    utf8("dkg/coeff"),
    u16(1),
    Uint8Array.of(1),
    secp256k1.encodePoint(proof.T),
    ...statement.points.map((A) => secp256k1.encodePoint(A)),
  );
  let expected = secp256k1.scalar(0n); // s − r = e·a_1 + e²·a_2 + e³·a_3
  let power = e;
  for (const a of witness) {
    expected = secp256k1.add(expected, secp256k1.mul(power, a));
    power = secp256k1.mul(power, e);
  }
  assert.ok(secp256k1.mulBase(proof.s).equals(proof.T.add(secp256k1.mulBase(expected))));
});

const { rng, witness, statement, proof } = example();
const [A1, A2, A3] = statement.points as [Point, Point, Point];
for (
  const [what, change] of [
    ["another session", { sid: sessionId(new Uint8Array(32)) as SessionId }],
    ["another use", { use: "dkg/share" }],
    ["another refresh", { use: "refresh/coeff" }],
    ["another party", { prover: partyId(2) as PartyId }],
    ["other points", { points: [A1, A2, A3.double()] }],
    ["the points in another order", { points: [A2, A1, A3] }],
    ["fewer points", { points: [A1, A2] }],
    ["more points", { points: [A1, A2, A3, A3] }],
    ["no points", { points: [] }],
  ] as [string, Partial<Statement>][]
) {
  Deno.test(`verify() refuses a proof made for ${what}`, () => {
    assert.equal(verify({ ...statement, ...change }, proof), false);
  });
}

Deno.test("verify() refuses a proof made on another curve", () => {
  const other = { ...statement, curve: p256, points: witness.map((a) => p256.mulBase(a)) };
  const moved = prove(other, witness, rng);
  assert.ok(verify(other, moved));
  assert.equal(verify(statement, { T: proof.T, s: moved.s }), false);
  // The challenge names the curve, so that not even the encodings of one curve's points can stand for the other's.
  assert.equal(verify({ ...statement, curve: { ...secp256k1, id: p256.id } }, proof), false);
});

Deno.test("verify() refuses a changed T or s", () => {
  assert.equal(verify(statement, { ...proof, T: proof.T.negate() }), false);
  assert.equal(verify(statement, { ...proof, T: proof.T.add(secp256k1.base) }), false);
  assert.equal(verify(statement, { ...proof, s: secp256k1.add(proof.s, secp256k1.scalar(1n)) }), false);
  assert.equal(verify(statement, { ...proof, s: secp256k1.neg(proof.s) }), false);
  assert.equal(verify(statement, { ...proof, s: secp256k1.scalar(0n) }), false);
});

Deno.test("verify() refuses the identity as commitment or statement", () => {
  assert.equal(verify({ ...statement, points: [secp256k1.zero] }, proof), false);
  assert.equal(verify({ ...statement, points: [A1, secp256k1.zero, A3] }, proof), false);
  assert.equal(verify(statement, { T: secp256k1.zero, s: proof.s }), false);
});

Deno.test("verify() refuses a proof by one who knows all logarithms but one", () => {
  for (const k of [0, 1, 2]) {
    const wrong = witness.map((a, m) => m === k ? secp256k1.scalar(1n) : a);
    assert.equal(verify(statement, prove(statement, wrong, rng)), false);
  }
});

Deno.test("prove() hides the witness: two proofs of one statement share nothing, and s is not the witness", () => {
  const again = prove(statement, witness, rng);
  assert.ok(!again.T.equals(proof.T));
  assert.notEqual(again.s, proof.s);
  const sum = witness.reduce((x, a) => secp256k1.add(x, a), secp256k1.scalar(0n) as Scalar);
  assert.notEqual(proof.s, sum);
});

Deno.test("prove() asserts that there is one logarithm per point, and one at least", () => {
  assert.throws(() => prove(statement, witness.slice(1), rng), { code: "INVARIANT" });
  assert.throws(() => prove({ ...statement, points: [] }, [], rng), { code: "INVARIANT" });
});

Deno.test("proofCodec() refuses trailing bytes, the identity, and a scalar that is not below the order", () => {
  const codec = proofCodec(secp256k1);
  const bytes = encode(codec, proof);
  assert.deepEqual(encode(codec, decode(codec, bytes)), bytes);
  assert.throws(() => decode(codec, concat(bytes, new Uint8Array(1))), DecodeError);
  assert.throws(() => decode(codec, concat(new Uint8Array(33), bytes.subarray(33))), DecodeError);
  const order = Uint8Array.fromHex(secp256k1.order.toString(16));
  assert.throws(() => decode(codec, concat(bytes.subarray(0, 33), order)), DecodeError);
});
