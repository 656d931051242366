import assert from "node:assert/strict";
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  privateDecrypt,
} from "node:crypto";
import { type Bytes, concat, copy, u16 } from "../../src/base/bytes.ts";
import { rsaGenerate, rsaOaepDecrypt } from "../../src/base/crypto.ts";
import { nobleCrypto } from "../../src/base/crypto_noble.ts";
import {
  rsaFromSpki,
  rsaOaepEncrypt,
  type RsaPublicKey,
  rsaSpkiOfPrivate,
} from "../../src/base/crypto_rsa.ts";
import { UsageError } from "../../src/base/errors.ts";
import { seededRng } from "../../src/base/rng.ts";
import { RSA_TEST_KEY } from "./rsa_test_key.ts";

const rng = seededRng("rsa");
const pkcs8 = RSA_TEST_KEY;
const spki = rsaSpkiOfPrivate(pkcs8) as Bytes;
const key = rsaFromSpki(spki) as RsaPublicKey;

/** The SubjectPublicKeyInfo of any modulus of 128 to 65,000 bytes whose first bit is set. */
function spkiOf(modulus: Uint8Array): Bytes {
  const wrap = (tag: number, ...content: Uint8Array[]) => {
    const body = concat(...content);
    return concat(Uint8Array.of(tag, 0x82), u16(body.length), body);
  };
  const key = wrap(0x30, wrap(0x02, new Uint8Array(1), modulus), Uint8Array.of(2, 3, 1, 0, 1));
  return wrap(0x30, Uint8Array.fromHex("300d06092a864886f70d0101010500"), wrap(0x03, new Uint8Array(1), key));
}

Deno.test("rsaSpkiOfPrivate() gives the public key that node:crypto gives", () => {
  const privateKey = createPrivateKey({ key: pkcs8 as never, format: "der", type: "pkcs8" });
  const expected = createPublicKey(privateKey as never).export({ format: "der", type: "spki" });
  assert.equal(spki.toHex(), copy(expected as Uint8Array).toHex());
  assert.equal(key.modulusBytes, 384);
});

Deno.test("rsaGenerate() makes a key of that size with the exponent 65537", () => {
  const made = rsaFromSpki(rsaSpkiOfPrivate(rsaGenerate(3072)) as Bytes);
  assert.equal(made?.modulus.toString(2).length, 3072);
});

Deno.test("rsaOaepEncrypt() makes what node:crypto, WebCrypto and rsaOaepDecrypt() open", async () => {
  const privateKey = createPrivateKey({ key: pkcs8 as never, format: "der", type: "pkcs8" });
  const webKey = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "RSA-OAEP", hash: "SHA-256" }, false, [
    "decrypt",
  ]);
  for (const length of [0, 1, 32, 318]) {
    const message = rng.bytes(length), seed = rng.bytes(32);
    const sealed = rsaOaepEncrypt(key, message, seed);
    assert.equal(sealed.length, 384);
    assert.deepEqual(rsaOaepEncrypt(key, message, seed), sealed);
    assert.notDeepEqual(rsaOaepEncrypt(key, message, rng.bytes(32)), sealed);
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    assert.deepEqual(copy(privateDecrypt({ key: privateKey, padding, oaepHash: "sha256" }, sealed)), message);
    assert.deepEqual(new Uint8Array(await crypto.subtle.decrypt("RSA-OAEP", webKey, sealed)), message);
    assert.deepEqual(rsaOaepDecrypt(pkcs8, sealed), message);
  }
});

Deno.test("rsaOaepDecrypt() opens nothing that was changed", () => {
  const sealed = rsaOaepEncrypt(key, rng.bytes(32), rng.bytes(32));
  for (const at of [0, 1, 100, 383]) {
    const changed = sealed.slice();
    changed[at] = (changed[at] as number) ^ 1;
    assert.equal(rsaOaepDecrypt(pkcs8, changed), undefined);
  }
  assert.equal(rsaOaepDecrypt(pkcs8, sealed.slice(1)), undefined);
});

Deno.test("rsaFromSpki() refuses short and even moduli, other exponents and other encodings", () => {
  for (
    const [bytes, isGood] of [[256, false], [383, false], [384, true], [1024, true], [1025, false]] as const
  ) {
    assert.equal(
      rsaFromSpki(spkiOf(new Uint8Array(bytes).fill(0xff))) !== undefined,
      isGood,
      `${bytes} bytes`,
    );
  }
  const even = spki.slice();
  even[spki.length - 6] = (even[spki.length - 6] as number) & 0xfe; // the last byte of N stands before the exponent
  assert.equal(rsaFromSpki(even), undefined);
  assert.equal(rsaFromSpki(concat(spki, new Uint8Array(1))), undefined);
  // Everything around the 384 bytes of N is fixed.
  for (let at = 0; at < spki.length; at++) {
    if (at === 33) at += 384;
    const changed = spki.slice();
    changed[at] = (changed[at] as number) ^ 0x40;
    assert.equal(rsaFromSpki(changed), undefined, `byte ${at}`);
  }
  for (let length = 0; length < spki.length; length += 7) {
    assert.equal(rsaFromSpki(spki.slice(0, length)), undefined);
  }
});

Deno.test("rsaSpkiOfPrivate() refuses keys of other kinds, other exponents and truncated ones", () => {
  const exponent = pkcs8.toHex().indexOf("0203010001") / 2 + 4;
  const other = pkcs8.slice();
  other[exponent] = 3;
  assert.equal(rsaSpkiOfPrivate(other), undefined);
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  assert.equal(rsaSpkiOfPrivate(copy(ec.export({ format: "der", type: "pkcs8" }))), undefined);
  for (let length = 0; length < 430; length += 11) {
    assert.equal(rsaSpkiOfPrivate(pkcs8.slice(0, length)), undefined);
  }
  const otherAlgorithm = pkcs8.slice();
  otherAlgorithm[19] = (otherAlgorithm[19] as number) ^ 1;
  assert.equal(rsaSpkiOfPrivate(otherAlgorithm), undefined);
});

Deno.test("RSA private keys are refused where only noble is, with what to do", () => {
  assert.throws(() => nobleCrypto.rsaGenerate(3072), UsageError);
  assert.throws(() => nobleCrypto.rsaOaepDecrypt(pkcs8, new Uint8Array(384)), /use Deno or Node/);
});
