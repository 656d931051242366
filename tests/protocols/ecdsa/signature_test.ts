import assert from "node:assert/strict";
import { secp256k1 as noble } from "@noble/curves/secp256k1.js";
import { seededRng } from "../../../src/base/rng.ts";
import { bigintToBytes, secp256k1 } from "../../../src/math/curve.ts";
import { encodeDer, finishSignature } from "../../../src/protocols/ecdsa/signature.ts";

Deno.test("encodeDer() writes what noble writes, short and high integers included", () => {
  const rng = seededRng("der");
  const values = [
    1n,
    0x7fn,
    0x80n,
    0xffn,
    1n << 248n,
    (1n << 255n) - 1n,
    1n << 255n,
    noble.Point.Fn.ORDER - 1n,
  ];
  for (let i = 0; i < 20; i++) values.push(secp256k1.randomScalar(rng));
  for (const r of values) {
    for (const s of values.slice(0, 8)) {
      const expected = new noble.Signature(r, s).toBytes("der");
      assert.deepEqual(encodeDer(bigintToBytes(r, 32), bigintToBytes(s, 32)), new Uint8Array(expected));
    }
  }
});

Deno.test("finishSignature() verifies before it gives anything out", () => {
  const rng = seededRng("finish");
  const x = secp256k1.randomScalar(rng), k = secp256k1.randomScalar(rng);
  const digest = rng.bytes(32), R = secp256k1.mulBase(k);
  const m = secp256k1.scalar(BigInt("0x" + digest.toHex()));
  const s = secp256k1.mul(
    secp256k1.add(m, secp256k1.mul(secp256k1.scalar(R.x), x)),
    secp256k1.invertVartime(k),
  );
  const input = { curve: secp256k1, publicKey: secp256k1.mulBase(x), digest, R, s, lowS: true };
  const signature = finishSignature(input);
  assert.deepEqual(finishSignature({ ...input, s: secp256k1.neg(s) })?.compact, signature?.compact, "low s");
  for (
    const wrong of [
      { s: secp256k1.add(s, secp256k1.scalar(1n)) },
      { digest: new Uint8Array(32) },
      { publicKey: R },
      { R: R.double() },
    ]
  ) {
    assert.equal(finishSignature({ ...input, ...wrong }), undefined);
  }
  const recovered = (value: typeof s) => {
    const done = finishSignature({ ...input, s: value, lowS: false });
    assert(done !== undefined);
    return noble.Signature.fromBytes(done.compact).addRecoveryBit(done.recoveryId).recoverPublicKey(digest);
  };
  assert.deepEqual(recovered(s).toBytes(), input.publicKey.toBytes(true));
});
