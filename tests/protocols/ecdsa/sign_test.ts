import assert from "node:assert/strict";
import { createPublicKey, createVerify } from "node:crypto";
import { secp256k1 as nobleSecp256k1 } from "@noble/curves/secp256k1.js";
import { p256 as nobleP256 } from "@noble/curves/nist.js";
import { sha256 } from "../../../src/base/crypto.ts";
import { type Bytes, utf8 } from "../../../src/base/bytes.ts";
import { sessionId } from "../../../src/base/brands.ts";
import { type Rng, seededRng } from "../../../src/base/rng.ts";
import { bytesToBigint, type Curve, CURVES, p256, type Point, secp256k1 } from "../../../src/math/curve.ts";
import { hedgedRng } from "../../../src/protocols/ecdsa/hedge.ts";
import type { EcdsaSignature } from "../../../src/protocols/ecdsa/signature.ts";
import type { KeyShare } from "../../../src/protocols/key_share.ts";
import { allValues, dealKey, runSign } from "./support.ts";

const MESSAGE = utf8("pay alice 5");
const DIGEST = sha256(MESSAGE);

function verifyEverywhere(curve: Curve, publicKey: Point, signature: EcdsaSignature): void {
  const noble = curve.name === "secp256k1" ? nobleSecp256k1 : nobleP256;
  const key = publicKey.toBytes(true);
  assert(noble.verify(signature.compact, DIGEST, key, { prehash: false, lowS: true }), "noble, low s");
  const recovered = noble.Signature.fromBytes(signature.compact).addRecoveryBit(signature.recoveryId);
  assert.deepEqual(recovered.recoverPublicKey(DIGEST).toBytes(true), key, "recovery id");
  const xy = publicKey.toBytes(false);
  const jwk = {
    kty: "EC",
    crv: curve.name === "secp256k1" ? "secp256k1" : "P-256",
    x: xy.slice(1, 33).toBase64({ alphabet: "base64url", omitPadding: true }),
    y: xy.slice(33).toBase64({ alphabet: "base64url", omitPadding: true }),
  };
  const verify = createVerify("sha256").update(MESSAGE);
  assert(verify.verify(createPublicKey({ key: jwk, format: "jwk" }), signature.der), "node:crypto, DER");
}

for (const curve of [secp256k1, p256]) {
  for (const sym of ["aes", "hash"] as const) {
    Deno.test(`sign() makes a verified signature with two signers on ${curve.name}, suite ${sym}`, () => {
      const key = dealKey(curve, "and(alice, bob)");
      const [a, b] = allValues(runSign(key, { digest: DIGEST, sym }));
      assert.deepEqual(a, b);
      verifyEverywhere(curve, key.record.publicKey, a as EcdsaSignature);
    });
  }

  for (
    const [policy, signers] of [
      ["2 of (alice, bob, carol)", [1, 3]],
      ["3 of (alice, bob, carol)", [1, 2, 3]],
      ["and(alice, 2 of (bob, carol, dave))", [1, 2, 4]],
    ] as const
  ) {
    Deno.test(`sign() makes a verified signature for ${policy} on ${curve.name}`, () => {
      const key = dealKey(curve, policy);
      const values = allValues(runSign(key, { digest: DIGEST }, { signers }));
      assert.equal(values.length, signers.length);
      verifyEverywhere(curve, key.record.publicKey, values[0] as EcdsaSignature);
    });
  }
}

Deno.test("sign() gives the signature to receivers only", () => {
  const key = dealKey(secp256k1, "3 of (alice, bob, carol)");
  const receivers = [...key.shares.keys()].slice(1, 2);
  const [alice, bob, carol] = allValues(runSign(key, { digest: DIGEST, receivers }));
  assert.equal(alice, undefined);
  assert.equal(carol, undefined);
  verifyEverywhere(secp256k1, key.record.publicKey, bob as EcdsaSignature);
});

Deno.test("sign() signs for a derived key with a tweak", () => {
  for (const curve of Object.values(CURVES)) {
    const key = dealKey(curve, "2 of (alice, bob, carol)");
    const tweak = curve.scalar(12345678901234567890n);
    const [signature] = allValues(runSign(key, { digest: DIGEST, tweak }, { signers: [1, 2] }));
    verifyEverywhere(curve, key.record.publicKey.add(curve.mulBase(tweak)), signature as EcdsaSignature);
  }
});

Deno.test("sign() leaves a high s as it is where low s is not asked for", () => {
  let high = 0;
  for (let i = 0; i < 6; i++) {
    const key = dealKey(p256, "and(alice, bob)");
    const rng = seededRng(`high ${i}`);
    const [signature] = allValues(runSign(key, { digest: DIGEST, lowS: false }, { rng }));
    assert(signature !== undefined);
    const s = bytesToBigint(signature.s);
    if (2n * s > p256.order) high++;
    const compact = nobleP256.Signature.fromBytes(signature.compact).addRecoveryBit(signature.recoveryId);
    assert.deepEqual(compact.recoverPublicKey(DIGEST).toBytes(), key.record.publicKey.toBytes(true));
  }
  assert(high > 0);
});

Deno.test("sign() draws other secrets in another session, even where the generator repeats itself", () => {
  const key = dealKey(secp256k1, "and(alice, bob)");
  const stuck: Rng = { bytes: (length) => new Uint8Array(length).fill(7) };
  const of = (seed: number, digest = DIGEST) =>
    allValues(runSign(key, { digest }, { rng: stuck, sid: sessionId(new Uint8Array(32).fill(seed)) }))[0];
  const first = of(1), same = of(1), second = of(2), third = of(3, sha256(DIGEST));
  assert.deepEqual(first, same);
  assert.equal(new Set([first, second, third].map((signature) => signature?.r.toHex())).size, 3);
});

Deno.test("hedgedRng() depends on generator, share, key, session and call", () => {
  const key = dealKey(secp256k1, "and(alice, bob)");
  const [alice, bob] = [...key.shares.values()] as [KeyShare, KeyShare];
  const session = {
    id: sessionId(new Uint8Array(32)),
    rng: { bytes: (length: number) => new Uint8Array(length) },
  };
  const first = hedgedRng(session, alice);
  const values = [
    first.bytes(40),
    first.bytes(40),
    hedgedRng(session, bob).bytes(40),
    hedgedRng({ ...session, id: sessionId(new Uint8Array(32).fill(1)) }, alice).bytes(40),
    hedgedRng({ ...session, rng: seededRng("another") }, alice).bytes(40),
    hedgedRng(session, { ...alice, record: { ...alice.record, epoch: 1 } }).bytes(40),
  ];
  assert.equal(new Set(values.map((bytes) => bytes.toHex())).size, values.length);
  assert(values.every((bytes) => bytes.length === 40));
});

Deno.test("sign() has messages of the documented sizes, frozen for a seed", () => {
  const digests = [secp256k1, p256].flatMap((curve) =>
    (["aes", "hash"] as const).map((sym) => {
      const sizes = new Set<string>();
      const bodies: Bytes[] = [];
      const key = dealKey(curve, "2 of (alice, bob, carol)");
      const [signature] = allValues(runSign(key, { digest: DIGEST, sym }, {
        signers: [1, 3],
        tamper: ({ round, body }) => {
          sizes.add(`${round}: ${body.length}`);
          bodies.push(body);
          return body;
        },
      }));
      assert.deepEqual([...sizes], ["1: 6848", "2: 40228", "3: 96"]);
      assert(signature !== undefined);
      return sha256(...bodies, signature.der, new Uint8Array([signature.recoveryId])).toHex();
    })
  );
  assert.deepEqual(digests, [
    "27fcf45231125543dcb5e0572aa5efb4b871f5664cf4190fc8d3b1146f79948b",
    "7a4f7e9afbdb9eae36ded8a28d8f0a5f930d6b3429575c63e3284c949db3362f",
    "ab8e5b67d77dbd7734f60f786e75b074bf8fe0247b0e91576674311e059e2b5f",
    "b7f3778f60cee4c0b90abeaabddfdb8aa3d042105b9f7734514c2a81a5f3d690",
  ]);
});
