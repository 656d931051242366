import assert from "node:assert/strict";
import type { Bytes } from "../../../src/base/bytes.ts";
import { EMPTY, utf8 } from "../../../src/base/bytes.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { bigintToBytes, p256 } from "../../../src/math/curve.ts";
import { decodeP256, type Kem, makeHpke, P256_KEM, X25519_KEM } from "../../../src/protocols/pve/hpke.ts";
import { flipped } from "../support.ts";

interface Vector {
  readonly kem: Kem;
  readonly ikmE: string;
  readonly ikmR: string;
  readonly skRm: string;
  readonly pkRm: string;
  readonly enc: string;
  readonly sharedSecret?: string;
  readonly ciphertext?: string;
}

// The test vectors published with RFC 9180, mode_base, HKDF-SHA256. Those without a ciphertext are of AES-128-GCM (A.1.1 and
// A.3.1 of the RFC): their KEM is the same. info "Ode on a Grecian Urn", aad "Count-0".
const VECTORS: readonly Vector[] = [
  {
    kem: X25519_KEM,
    ikmE: "2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9",
    ikmR: "dac33b0e9db1b59dbbea58d59a14e7b5896e9bdf98fad6891e99d1686492b9ee",
    skRm: "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
    pkRm: "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c",
    enc: "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
    ciphertext: "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a",
  },
  {
    kem: X25519_KEM,
    ikmE: "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234",
    ikmR: "6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037",
    skRm: "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
    pkRm: "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
    enc: "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
    sharedSecret: "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc",
  },
  {
    kem: P256_KEM,
    ikmE: "a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c",
    ikmR: "a0ce15d49e28bd47a18a97e147582d814b08cbe00109fed5ec27d1b4e9f6f5e3",
    skRm: "317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2",
    pkRm: "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c68513" +
      "6f853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c",
    enc: "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f0" +
      "3e0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0",
    sharedSecret: "48893fecd82f7c3456af6a42d8f56325d21e08c10fa81299986aaff54cde7b49",
    ciphertext: "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f",
  },
  {
    kem: P256_KEM,
    ikmE: "4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e",
    ikmR: "668b37171f1072f3cf12ea8a236a45df23fc13b82af3609ad1e354f6ef817550",
    skRm: "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
    pkRm: "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a" +
      "826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
    enc: "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325a" +
      "c98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
    sharedSecret: "c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8",
  },
];
const INFO = utf8("Ode on a Grecian Urn");
const AAD = utf8("Count-0");
const TEXT = utf8("Beauty is truth, truth beauty");
const bytes = (hex: string): Bytes => Uint8Array.fromHex(hex);

Deno.test("makeHpke() gives the results of RFC 9180 on both KEMs, from the seed of the ephemeral key", () => {
  for (const vector of VECTORS) {
    const hpke = makeHpke(vector.kem, INFO);
    const recipient = vector.kem.deriveKeyPair(bytes(vector.ikmR));
    assert.equal(recipient.privateKey.toHex(), vector.skRm);
    assert.equal(recipient.publicKey.toHex(), vector.pkRm);
    const sent = hpke.encapsulate(recipient.publicKey, bytes(vector.ikmE));
    assert.ok(sent !== undefined);
    assert.equal(sent.encapsulation.toHex(), vector.enc);
    if (vector.sharedSecret !== undefined) assert.equal(sent.sharedSecret.toHex(), vector.sharedSecret);
    const received = hpke.decapsulate(recipient.privateKey, recipient.publicKey, sent.encapsulation);
    assert.deepEqual(received, sent.sharedSecret);
    const sealed = hpke.seal(sent.sharedSecret, AAD, TEXT);
    if (vector.ciphertext !== undefined) assert.equal(sealed.toHex(), vector.ciphertext);
    assert.deepEqual(hpke.open(sent.sharedSecret, AAD, sealed), TEXT);
  }
});

Deno.test("makeHpke() opens nothing that was changed, and nothing of another info, recipient or encapsulation", () => {
  const rng = seededRng("hpke");
  for (const kem of [X25519_KEM, P256_KEM]) {
    const hpke = makeHpke(kem, INFO);
    const recipient = kem.deriveKeyPair(rng.bytes(32)), other = kem.deriveKeyPair(rng.bytes(32));
    const sent = hpke.encapsulate(recipient.publicKey, rng.bytes(32));
    assert.ok(sent !== undefined);
    const { encapsulation, sharedSecret } = sent;
    const sealed = hpke.seal(sharedSecret, AAD, TEXT);
    for (let at = 0; at < sealed.length; at++) {
      assert.equal(hpke.open(sharedSecret, AAD, flipped(sealed, at)), undefined);
    }
    assert.equal(hpke.open(sharedSecret, EMPTY, sealed), undefined);
    assert.equal(makeHpke(kem, EMPTY).open(sharedSecret, AAD, sealed), undefined);
    assert.notDeepEqual(hpke.decapsulate(other.privateKey, recipient.publicKey, encapsulation), sharedSecret);
    assert.notDeepEqual(hpke.decapsulate(recipient.privateKey, other.publicKey, encapsulation), sharedSecret);
    assert.notDeepEqual(
      hpke.decapsulate(recipient.privateKey, recipient.publicKey, other.publicKey),
      sharedSecret,
    );
  }
});

Deno.test("X25519_KEM has no shared value with points of small order", () => {
  const hpke = makeHpke(X25519_KEM, INFO);
  const { privateKey, publicKey } = X25519_KEM.deriveKeyPair(new Uint8Array(32));
  for (const point of ["00".repeat(32), "01" + "00".repeat(31), "ec" + "ff".repeat(30) + "7f"].map(bytes)) {
    assert.equal(hpke.encapsulate(point, new Uint8Array(32)), undefined);
    assert.equal(hpke.decapsulate(privateKey, publicKey, point), undefined);
  }
});

Deno.test("P256_KEM has no shared value with what is not a point of the curve in 65 bytes", () => {
  const { privateKey, publicKey } = P256_KEM.deriveKeyPair(new Uint8Array(32));
  const hybrid = publicKey.slice();
  hybrid[0] = 6 + ((publicKey[64] as number) & 1);
  // x is the order of the field: a second encoding of x = 0.
  const field = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
  const outside = publicKey.slice();
  outside.set(bigintToBytes(field, 32), 1);
  for (
    const point of [
      flipped(publicKey, 64),
      flipped(publicKey, 20),
      hybrid,
      outside,
      publicKey.slice(0, 64),
      p256.encodePoint(p256.base),
      new Uint8Array(65),
      new Uint8Array(1),
    ]
  ) {
    assert.equal(decodeP256(point), undefined);
    assert.equal(P256_KEM.diffieHellman(privateKey, point), undefined);
  }
  assert.ok(decodeP256(publicKey)?.equals(p256.mulBase(p256.scalar(BigInt("0x" + privateKey.toHex())))));
});

Deno.test("P256_KEM.publicKeyOf() refuses private keys out of range", () => {
  for (const value of [0n, p256.order, p256.order + 1n, 2n ** 256n - 1n]) {
    assert.equal(P256_KEM.publicKeyOf(bigintToBytes(value, 32)), undefined);
  }
  assert.deepEqual(P256_KEM.publicKeyOf(bigintToBytes(1n, 32)), new Uint8Array(p256.base.toBytes(false)));
});
