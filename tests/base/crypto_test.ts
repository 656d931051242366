import assert from "node:assert/strict";
import fc from "fast-check";
import { concat, EMPTY } from "../../src/base/bytes.ts";
import { type AeadName, cryptoBackendName, hkdfExpand, hkdfExtract } from "../../src/base/crypto.ts";
import { isPrimeOrderEd25519, nobleCrypto } from "../../src/base/crypto_noble.ts";
import { nodeCrypto } from "../../src/base/crypto_node.ts";
import { seededRng } from "../../src/base/rng.ts";
import { CURVES } from "../../src/math/curve.ts";
import strictFile from "./ed25519_strict.json" with { type: "json" };
import { type StrictCase, strictCases } from "./ed25519_strict_cases.ts";

const node = nodeCrypto() ?? nobleCrypto;
const noble = nobleCrypto;
const backends = [node, noble];
const rng = seededRng("crypto");
const someBytes = fc.uint8Array({ maxLength: 300 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>;
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

Deno.test("the native back-end runs here, and both say which they are", () => {
  assert.deepEqual(backends.map((backend) => backend.name), ["node", "noble"]);
  assert.equal(cryptoBackendName, "node");
});

for (const name of ["sha256", "sha512"] as const) {
  Deno.test(`${name}() gives the same bytes on both back-ends, whatever the split into parts`, () => {
    fc.assert(fc.property(fc.array(someBytes, { maxLength: 4 }), (parts) => {
      const expected = node[name](...parts);
      assert.deepEqual(noble[name](...parts), expected);
      assert.deepEqual(node[name](concat(...parts)), expected);
      assert.ok(expected.constructor === Uint8Array);
    }));
  });
}

for (const name of ["hmacSha256", "hmacSha512"] as const) {
  Deno.test(`${name}() gives the same bytes on both back-ends`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(someBytes, { maxLength: 3 }), (key, parts) => {
        assert.deepEqual(noble[name](key, ...parts), node[name](key, ...parts));
      }),
    );
  });
}

Deno.test("hmacKey() gives what hmacSha256() gives, again and again, short and long", () => {
  for (const backend of backends) {
    for (const size of [0, 16, 32, 64]) {
      const key = rng.bytes(size);
      using keyed = backend.hmacKey(key);
      for (const length of [300, 0, 1, 1_024, 1_025, 20, 70_000]) {
        const input = rng.bytes(length);
        const mac = keyed.mac(input);
        assert.deepEqual(mac, backend.hmacSha256(key, input), `${backend.name} ${size} ${length}`);
        assert.ok(mac.constructor === Uint8Array);
      }
    }
  }
});

Deno.test("hmacKey() keeps no view of its key, and makes no MAC once it was erased", () => {
  for (const backend of backends) {
    const key = rng.bytes(32), input = rng.bytes(100);
    const expected = backend.hmacSha256(key, input);
    const keyed = backend.hmacKey(key);
    key.fill(0);
    assert.deepEqual(keyed.mac(input), expected);
    keyed[Symbol.dispose]();
    assert.throws(() => keyed.mac(input), { code: "INVARIANT" });
  }
  assert.throws(() => node.hmacKey(rng.bytes(65)), { code: "INVARIANT" });
});

Deno.test("aeadSealInto() writes what aeadSeal() gives, and takes no memory of another size", () => {
  const key = rng.bytes(32), nonce = rng.bytes(12), aad = rng.bytes(20);
  for (const backend of backends) {
    for (const name of ["aes-256-gcm", "chacha20-poly1305"] as const) {
      for (const size of [0, 1, 16, 70_000]) {
        const text = rng.bytes(size), memory = rng.bytes(size + 36);
        backend.aeadSealInto(memory.subarray(10, size + 26), name, key, nonce, aad, text);
        assert.deepEqual(memory.slice(10, size + 26), backend.aeadSeal(name, key, nonce, aad, text));
      }
      for (const size of [40, 42]) {
        const seal = () =>
          backend.aeadSealInto(new Uint8Array(size), name, key, nonce, aad, new Uint8Array(25));
        assert.throws(seal, { code: "INVARIANT" });
      }
    }
  }
});

Deno.test("aes128Ecb() gives the same bytes on both back-ends, and those of FIPS 197", () => {
  const key = Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f");
  const block = Uint8Array.fromHex("00112233445566778899aabbccddeeff");
  for (const backend of backends) {
    assert.equal(backend.aes128Ecb(key, block).toHex(), "69c4e0d86a7b0430d8cdb78070b4c55a");
    assert.equal(backend.aes128Ecb(key, EMPTY).length, 0);
  }
  fc.assert(fc.property(bytesOf(16), fc.integer({ min: 1, max: 40 }), (k, blocks) => {
    const input = rng.bytes(16 * blocks);
    assert.deepEqual(noble.aes128Ecb(k, input), node.aes128Ecb(k, input));
  }));
});

for (const name of ["aes-256-gcm", "chacha20-poly1305"] as AeadName[]) {
  Deno.test(`${name} seals alike on both back-ends, and each opens the other's`, () => {
    fc.assert(fc.property(bytesOf(32), bytesOf(12), someBytes, someBytes, (key, nonce, aad, text) => {
      const sealed = node.aeadSeal(name, key, nonce, aad, text);
      assert.equal(sealed.length, text.length + 16);
      assert.deepEqual(noble.aeadSeal(name, key, nonce, aad, text), sealed);
      for (const backend of backends) assert.deepEqual(backend.aeadOpen(name, key, nonce, aad, sealed), text);
    }));
  });

  Deno.test(`${name} opens nothing that was changed`, () => {
    const [key, nonce, aad, text] = [rng.bytes(32), rng.bytes(12), rng.bytes(5), rng.bytes(40)];
    const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
    for (const backend of backends) {
      const sealed = backend.aeadSeal(name, key, nonce, aad, text);
      for (let at = 0; at < sealed.length; at++) {
        assert.equal(backend.aeadOpen(name, key, nonce, aad, changed(sealed, at)), undefined);
      }
      assert.equal(backend.aeadOpen(name, changed(key, 3), nonce, aad, sealed), undefined);
      assert.equal(backend.aeadOpen(name, key, changed(nonce, 3), aad, sealed), undefined);
      assert.equal(backend.aeadOpen(name, key, nonce, changed(aad, 3), sealed), undefined);
      for (const length of [0, 15, 16, sealed.length - 1]) {
        assert.equal(backend.aeadOpen(name, key, nonce, aad, sealed.subarray(0, length)), undefined);
      }
    }
  });
}

Deno.test("ed25519Signer() gives the signatures of RFC 8032 on both back-ends", () => {
  // RFC 8032, 7.1, TEST 2.
  const seed = Uint8Array.fromHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  for (const backend of backends) {
    const signer = backend.ed25519Signer(seed);
    assert.equal(
      signer.publicKey.toHex(),
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    );
    assert.equal(
      signer.sign(Uint8Array.of(0x72)).toHex(),
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
  }
});

Deno.test("ed25519Signer() and ed25519Verifier() agree across back-ends", () => {
  fc.assert(
    fc.property(bytesOf(32), someBytes, (seed, message) => {
      const signature = node.ed25519Signer(seed).sign(message);
      assert.deepEqual(noble.ed25519Signer(seed).sign(message), signature);
      const { publicKey } = noble.ed25519Signer(seed);
      for (const backend of backends) {
        const verifier = backend.ed25519Verifier(publicKey);
        assert.deepEqual(verifier?.publicKey, publicKey);
        assert.equal(verifier?.verify(message, signature), true);
        assert.equal(verifier?.verify(concat(message, Uint8Array.of(0)), signature), false);
        assert.equal(verifier?.verify(message, signature.subarray(1)), false);
        assert.equal(verifier?.verify(message, concat(signature, Uint8Array.of(0))), false);
        assert.equal(verifier?.verify(message, EMPTY), false);
      }
    }),
    { numRuns: 10 },
  );
});

Deno.test("ed25519_strict.json is what its generator makes", () => {
  assert.deepEqual(strictFile, strictCases());
});

for (const backend of backends) {
  Deno.test(`ed25519Verifier() answers every strict case as SPEC 0.2 says over ${backend.name}`, () => {
    for (const strict of strictFile as StrictCase[]) {
      const [publicKey, message, signature] = [strict.publicKey, strict.message, strict.signature].map((
        text,
      ) => Uint8Array.fromHex(text)) as [Uint8Array, Uint8Array, Uint8Array];
      const verifier = backend.ed25519Verifier(publicKey);
      assert.equal(verifier !== undefined, strict.keyValid, `${strict.name}: key`);
      assert.equal(isPrimeOrderEd25519(publicKey), strict.keyValid);
      assert.equal(verifier?.verify(message, signature) ?? false, strict.valid, strict.name);
    }
  });
}

Deno.test("ed25519Verifier() refuses keys of another length", () => {
  for (const backend of backends) {
    for (const length of [0, 31, 33, 64]) {
      assert.equal(backend.ed25519Verifier(new Uint8Array(length)), undefined);
    }
  }
});

Deno.test("x25519() gives the results of RFC 7748 and the same on both back-ends", () => {
  for (const backend of backends) {
    // RFC 7748, 6.1.
    const alice = Uint8Array.fromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const bob = Uint8Array.fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    assert.equal(
      backend.x25519PublicKey(alice).toHex(),
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    );
    assert.equal(
      backend.x25519(alice, backend.x25519PublicKey(bob))?.toHex(),
      "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    );
  }
  fc.assert(
    fc.property(bytesOf(32), bytesOf(32), (mine, theirs) => {
      const point = node.x25519PublicKey(theirs);
      assert.deepEqual(noble.x25519PublicKey(theirs), point);
      assert.deepEqual(noble.x25519(mine, point), node.x25519(mine, point));
    }),
    { numRuns: 20 },
  );
});

Deno.test("x25519() has no result for points of small order and keys of another length", () => {
  const small = [
    "00".repeat(32),
    "01" + "00".repeat(31),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ].map((text) => Uint8Array.fromHex(text));
  for (const backend of backends) {
    for (const point of [...small, new Uint8Array(31), new Uint8Array(33)]) {
      assert.equal(backend.x25519(rng.bytes(32), point), undefined);
    }
  }
});

Deno.test("ecKey() gives the same points on both back-ends and those of the curve", () => {
  for (const [name, curve] of Object.entries(CURVES)) {
    for (let i = 0; i < 10; i++) {
      const k = curve.randomScalar(rng);
      const point = curve.mul1(curve.base, curve.randomScalar(rng));
      const xy = concat(point.toBytes(false).subarray(1));
      const keys = backends.map((backend) =>
        backend.ecKey(name as keyof typeof CURVES, curve.encodeScalar(k))
      );
      for (const key of keys) {
        assert.deepEqual(key.publicXy(), concat(curve.mul1(curve.base, k).toBytes(false).subarray(1)));
        assert.deepEqual(key.sharedX(xy), concat(curve.mul1(point, k).toBytes(true).subarray(1)));
      }
    }
  }
});

Deno.test("hkdfExtract() and hkdfExpand() give the results of RFC 5869", () => {
  // RFC 5869, A.1 and A.3.
  const inputKey = new Uint8Array(22).fill(0x0b);
  const salt = Uint8Array.fromHex("000102030405060708090a0b0c");
  const info = Uint8Array.fromHex("f0f1f2f3f4f5f6f7f8f9");
  const prk = hkdfExtract(salt, inputKey);
  assert.equal(prk.toHex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  assert.equal(
    hkdfExpand(prk, info, 42).toHex(),
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  );
  assert.equal(
    hkdfExpand(hkdfExtract(EMPTY, inputKey), EMPTY, 42).toHex(),
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  );
});
