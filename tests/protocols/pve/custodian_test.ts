import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { concat, copy } from "../../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../../src/base/codec.ts";
import { toPem } from "../../../src/base/pem.ts";
import { p256 } from "../../../src/math/curve.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import {
  checkCustodianGroup,
  custodianId,
  custodianKeyCodec,
  custodianName,
  formatCustodianKey,
  generateCustodianKey,
  parseCustodianKey,
  parseCustodianPrivateKey,
} from "../../../src/protocols/pve/custodian.ts";
import {
  checkCustodianKey,
  type CustodianSuite,
  encapsulationOf,
  isSameCustodian,
  openWith,
  pkeOf,
  sealedBytes,
  sealTo,
} from "../../../src/protocols/pve/pke.ts";
import { RSA_TEST_KEY } from "../../base/rsa_test_key.ts";
import { flipped } from "../support.ts";
import { custodian, refuses, rng } from "./support.ts";

const SUITES: readonly CustodianSuite[] = ["x25519", "p256", "rsa"];
const AAD = rng.bytes(32);
const invalid = (what: RegExp) => refuses("IDENTITY_INVALID", what);

for (const suite of SUITES) {
  Deno.test(`sealTo() and openWith() agree, and give the same bytes for the same seed, with ${suite}`, () => {
    const key = custodian(suite), { publicKey } = key;
    const text = rng.bytes(50), seed = rng.bytes(32);
    const sealed = sealTo(publicKey, { aad: AAD, text, seed });
    assert.equal(sealed.length, sealedBytes(publicKey, 50));
    assert.deepEqual(sealTo(publicKey, { aad: AAD, text, seed }), sealed);
    assert.notDeepEqual(sealTo(publicKey, { aad: AAD, text, seed: rng.bytes(32) }), sealed);
    const sharedSecret = key.decapsulate(encapsulationOf(publicKey, sealed));
    assert.ok(sharedSecret?.length === 32);
    assert.deepEqual(openWith(publicKey, { aad: AAD, sealed, sharedSecret }), text);
    assert.equal(openWith(publicKey, { aad: rng.bytes(32), sealed, sharedSecret }), undefined);
    assert.equal(
      openWith(publicKey, { aad: AAD, sealed: flipped(sealed, sealed.length - 1), sharedSecret }),
      undefined,
    );
    assert.equal(openWith(publicKey, { aad: AAD, sealed, sharedSecret: flipped(sharedSecret) }), undefined);
    const wrong = key.decapsulate(flipped(encapsulationOf(publicKey, sealed), 20));
    assert.ok(
      wrong === undefined || openWith(publicKey, { aad: AAD, sealed, sharedSecret: wrong }) === undefined,
    );
  });

  Deno.test(`custodian key files of ${suite} are those of node:crypto, both ways`, () => {
    const key = custodian(suite);
    const pem = key.toPem(), publicPem = formatCustodianKey(key.publicKey);
    const theirs = createPublicKey(createPrivateKey(pem) as never).export({ format: "pem", type: "spki" });
    assert.equal(theirs, publicPem);
    using again = parseCustodianPrivateKey(pem, "custodian.key");
    assert.equal(again.toPem(), pem);
    assert.deepEqual(again.publicKey, key.publicKey);
    assert.deepEqual(parseCustodianKey(publicPem, "custodian.pub"), key.publicKey);
    assert.deepEqual(decode(custodianKeyCodec, encode(custodianKeyCodec, key.publicKey)), key.publicKey);

    if (suite === "rsa") return; // the key is one that openssl made
    const pair = suite === "p256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("x25519");
    const made = {
      privatePem: pair.privateKey.export({ format: "pem", type: "pkcs8" }) as string,
      publicPem: pair.publicKey.export({ format: "pem", type: "spki" }) as string,
    };
    using read = parseCustodianPrivateKey(made.privatePem, "made elsewhere");
    assert.deepEqual(parseCustodianKey(made.publicPem, "made elsewhere"), read.publicKey);
  });

  Deno.test(`a custodian key of ${suite} never shows its private half, and is erased`, () => {
    const key = generateCustodianKey(suite, rng);
    const der = copy(Uint8Array.fromBase64(key.toPem().replace(/-----[^-]+-----|\s/g, "")));
    const from = { x25519: 16, p256: 36, rsa: 500 }[suite];
    const secret = der.slice(from, from + 32).toHex();
    const shown = [`${key}`, JSON.stringify(key), Deno.inspect(key, { depth: 9, showHidden: true })].join();
    assert.ok(secret.length === 64 && !shown.includes(secret));
    key[Symbol.dispose]();
    assert.throws(() => key.toPem(), /erased/);
    assert.throws(() => key.decapsulate(new Uint8Array(32)), /erased/);
  });
}

const SMALL_ORDER = [
  "00".repeat(32),
  "01" + "00".repeat(31),
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ec" + "ff".repeat(30) + "7f",
].map((text) => Uint8Array.fromHex(text));

Deno.test("parseCustodianKey(), checkCustodianKey() and custodianKeyCodec refuse X25519 keys of small order", () => {
  for (const bytes of SMALL_ORDER) {
    const publicKey = { suite: "x25519", bytes } as const;
    assert.throws(
      () => parseCustodianKey(formatCustodianKey(publicKey), "custodian.pub"),
      invalid(/small order/),
    );
    assert.throws(
      () => checkCustodianKey(publicKey, "the key"),
      invalid(/^the key cannot be used: .*small order/),
    );
    assert.throws(() => decode(custodianKeyCodec, encode(custodianKeyCodec, publicKey)), DecodeError);
    assert.equal(pkeOf(publicKey).encapsulate(bytes, rng.bytes(32)), undefined);
  }
});

Deno.test("checkCustodianKey() refuses keys that are not canonical, not on the curve, or of another length", () => {
  const x25519 = custodian("x25519").publicKey.bytes, rsa = custodian("rsa").publicKey.bytes;
  const highBit = x25519.slice();
  highBit[31] = (highBit[31] as number) | 0x80;
  const unreduced = Uint8Array.fromHex("f6" + "ff".repeat(30) + "7f"); // 9 + 2^255 − 19
  const cases: readonly (readonly [CustodianSuite, Uint8Array<ArrayBuffer>, RegExp])[] = [
    ["x25519", highBit, /canonical/],
    ["x25519", unreduced, /canonical/],
    ["x25519", x25519.slice(1), /32 bytes/],
    ["p256", flipped(custodian("p256").publicKey.bytes, 64), /not a point/],
    ["p256", p256.encodePoint(p256.base), /not a point/],
    ["rsa", concat(rsa, Uint8Array.of(0)), /3072 to 8192 bits/],
    ["rsa", x25519, /3072 to 8192 bits/],
  ];
  for (const [suite, bytes, what] of cases) {
    assert.throws(() => checkCustodianKey({ suite, bytes }, "the key"), invalid(what));
  }
  const encoded = encode(custodianKeyCodec, custodian("x25519").publicKey);
  encoded[0] = 4;
  assert.throws(() => decode(custodianKeyCodec, encoded), /unknown suite/);
});

Deno.test("parseCustodianPrivateKey() refuses other files without repeating them", () => {
  const p256Der = Uint8Array.fromBase64(custodian("p256").toPem().replace(/-----[^-]+-----|\s/g, ""));
  const zero = copy(p256Der);
  zero.fill(0, 36, 68);
  const even = copy(RSA_TEST_KEY);
  const end = even.toHex().indexOf("0203010001") / 2 - 1; // the last byte of N
  even[end] = (even[end] as number) ^ 1;
  const texts = [
    toPem("PRIVATE KEY", flipped(p256Der, p256Der.length - 1)), // another public key than that of the private one
    toPem("PRIVATE KEY", flipped(p256Der, 69)),
    toPem("PRIVATE KEY", zero),
    toPem("PRIVATE KEY", concat(p256Der, Uint8Array.of(0))),
    toPem("PRIVATE KEY", Uint8Array.of(0x30, 0)),
    toPem("PRIVATE KEY", new Uint8Array(0)),
    generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }) as string,
    toPem("PRIVATE KEY", even),
  ];
  for (const text of texts) {
    assert.throws(
      () => parseCustodianPrivateKey(text, "custodian.key"),
      invalid(/^custodian\.key holds no private key/),
    );
  }
  for (const text of ["", "custodian", formatCustodianKey(custodian("p256").publicKey)]) {
    assert.throws(() => parseCustodianPrivateKey(text, "custodian.key"), invalid(/not one PEM block/));
  }
  assert.throws(() => parseCustodianPrivateKey(" ".repeat(20_000), "custodian.key"), invalid(/too long/));
  assert.throws(() => parseCustodianKey("x".repeat(20_000), "custodian.pub"), invalid(/too long/));
  assert.throws(
    () => parseCustodianKey(toPem("PUBLIC KEY", new Uint8Array(40)), "custodian.pub"),
    invalid(/cannot be used/),
  );
});

Deno.test("custodianId() differs between keys and suites, and custodianName() begins with it", () => {
  const keys = [...SUITES.map((suite) => custodian(suite).publicKey), custodian("x25519", "two").publicKey];
  assert.equal(new Set(keys.map((key) => custodianId(key).toHex())).size, keys.length);
  const { bytes } = custodian("x25519").publicKey;
  assert.equal(isSameCustodian({ suite: "x25519", bytes }, { suite: "p256", bytes }), false);
  assert.notDeepEqual(custodianId({ suite: "x25519", bytes }), custodianId({ suite: "p256", bytes }));
  for (const key of keys) assert.ok(custodianId(key).toHex().startsWith(custodianName(key)));
});

Deno.test("checkCustodianGroup() wants a good key of its own for every leaf, and no other", () => {
  const policy = parsePolicy("2 of (north, south, east)");
  const [north, south, east] = ["one", "two", "three"].map((name) => custodian("x25519", name).publicKey);
  assert.ok(north && south && east);
  checkCustodianGroup({ policy, keys: new Map(Object.entries({ north, south, east })) });
  const wrong = (keys: Record<string, typeof north>) => () =>
    checkCustodianGroup({ policy, keys: new Map(Object.entries(keys)) });
  const policyInvalid = (what: RegExp) => refuses("POLICY_INVALID", what);
  assert.throws(wrong({ north, south }), policyInvalid(/no key is given for the custodian east/));
  assert.throws(
    wrong({ north, south, east, west: custodian("p256").publicKey }),
    policyInvalid(/given for west/),
  );
  assert.throws(wrong({ north, south, east: north }), policyInvalid(/north and east have one key/));
  const small = { suite: "x25519", bytes: new Uint8Array(32) } as const;
  assert.throws(wrong({ north, south, east: small }), invalid(/custodian east .*small order/));
});
