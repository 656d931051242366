import assert from "node:assert/strict";
import { createPublicKey, createVerify } from "node:crypto";
import { secp256k1 as nobleSecp256k1 } from "@noble/curves/secp256k1.js";
import { p256 as nobleP256 } from "@noble/curves/nist.js";
import { sha256 } from "../../../src/base/crypto.ts";
import { utf8 } from "../../../src/base/bytes.ts";
import { type Curve, CURVES, p256, type Point, secp256k1 } from "../../../src/math/curve.ts";
import type { EcdsaSignature } from "../../../src/protocols/ecdsa/signature.ts";
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
