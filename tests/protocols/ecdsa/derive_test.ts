import assert from "node:assert/strict";
import { secp256k1 as nobleSecp256k1 } from "@noble/curves/secp256k1.js";
import { p256 as nobleP256 } from "@noble/curves/nist.js";
import { type Bytes, concat, u32, utf8 } from "../../../src/base/bytes.ts";
import { hmacSha512, sha256 } from "../../../src/base/crypto.ts";
import { base58CheckDecode, base58CheckEncode } from "../../../src/base/crypto_bitcoin.ts";
import { UsageError } from "../../../src/base/errors.ts";
import { seededRng } from "../../../src/base/rng.ts";
import { bigintToBytes, type Curve, CURVES, p256, type Scalar, secp256k1 } from "../../../src/math/curve.ts";
import {
  childOf,
  deriveKey,
  type ExtendedPublicKey,
  formatPath,
  formatXpub,
  parsePath,
  parseXpub,
} from "../../../src/protocols/ecdsa/derive.ts";
import type { EcdsaSignature } from "../../../src/protocols/ecdsa/signature.ts";
import { allValues, dealKey, runSign } from "./support.ts";

// BIP32, test vectors 1 to 4: the public keys whose path from the one before is not hardened have an index.
const BIP32: readonly (readonly (readonly [xpub: string, index?: number])[])[] = [
  [
    ["xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"],
    ["xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw"],
    [
      "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
      1,
    ],
    ["xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5"],
    [
      "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
      2,
    ],
    [
      "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
      1000000000,
    ],
  ],
  [
    ["xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB"],
    [
      "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
      0,
    ],
    ["xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a"],
    [
      "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
      1,
    ],
    ["xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL"],
    [
      "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
      2,
    ],
  ],
  [
    ["xpub661MyMwAqRbcEZVB4dScxMAdx6d4nFc9nvyvH3v4gJL378CSRZiYmhRoP7mBy6gSPSCYk6SzXPTf3ND1cZAceL7SfJ1Z3GC8vBgp2epUt13"],
    ["xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y"],
  ],
  [
    ["xpub661MyMwAqRbcGczjuMoRm6dXaLDEhW1u34gKenbeYqAix21mdUKJyuyu5F1rzYGVxyL6tmgBUAEPrEz92mBXjByMRiJdba9wpnN37RLLAXa"],
    ["xpub69AUMk3qDBi3uW1sXgjCmVjJ2G6WQoYSnNHyzkmdCHEhSZ4tBok37xfFEqHd2AddP56Tqp4o56AePAgCjYdvpW2PU2jbUPFKsav5ut6Ch1m"],
    ["xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWdMf17C9T5XnxkopaeS7jGk1GyyVziaMt"],
  ],
];

// BIP32, test vector 5: the public keys that must be refused, with what is wrong.
const BIP32_INVALID: readonly (readonly [xpub: string, what: RegExp])[] = [
  [
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm",
    /not a point/,
  ],
  [
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn",
    /not a point/,
  ],
  [
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
    /not a point/,
  ],
  [
    "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ",
    /no parent/,
  ],
  [
    "xpub661MyMwAuDcm6CRQ5N4qiHKrJ39Xe1R1NyfouMKTTWcguwVcfrZJaNvhpebzGerh7gucBvzEQWRugZDuDXjNDRmXzSZe4c7mnTK97pTvGS8",
    /no parent/,
  ],
  [
    "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHGMQzT7ayAmfo4z3gY5KfbrZWZ6St24UVf2Qgo6oujFktLHdHY4",
    /version/,
  ],
  [
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY",
    /not a point/,
  ],
];

// SLIP-0010, test vectors 1 and 2 and the one with a retry, nist256p1: parent and child where the step is not hardened.
const SLIP10: readonly {
  readonly parent: readonly [chainCode: string, publicKey: string];
  readonly index: number;
  readonly child: readonly [chainCode: string, publicKey: string, parentFingerprint: string];
}[] = [
  {
    parent: [
      "3460cea53e6a6bb5fb391eeef3237ffd8724bf0a40e94943c98b83825342ee11",
      "0384610f5ecffe8fda089363a41f56a5c7ffc1d81b59a612d0d649b2d22355590c",
    ],
    index: 1,
    child: [
      "4187afff1aafa8445010097fb99d23aee9f599450c7bd140b6826ac22ba21d0c",
      "03526c63f8d0b4bbbf9c80df553fe66742df4676b241dabefdef67733e070f6844",
      "9b02312f",
    ],
  },
  {
    parent: [
      "98c7514f562e64e74170cc3cf304ee1ce54d6b6da4f880f313e8204c2a185318",
      "0359cf160040778a4b14c5f4d7b76e327ccc8c4a6086dd9451b7482b5a4972dda0",
    ],
    index: 2,
    child: [
      "ba96f776a5c3907d7fd48bde5620ee374d4acfd540378476019eab70790c63a0",
      "029f871f4cb9e1c97f9f4de9ccd0d4a2f2a171110c61178f84430062230833ff20",
      "0e9f3274",
    ],
  },
  {
    parent: [
      "ba96f776a5c3907d7fd48bde5620ee374d4acfd540378476019eab70790c63a0",
      "029f871f4cb9e1c97f9f4de9ccd0d4a2f2a171110c61178f84430062230833ff20",
    ],
    index: 1000000000,
    child: [
      "b9b7b82d326bb9cb5b5b121066feea4eb93d5241103c9e7a18aad40f1dde8059",
      "02216cd26d31147f72427a453c443ed2cde8a1e53c9cc44e5ddf739725413fe3f4",
      "8b2b5c4b",
    ],
  },
  {
    parent: [
      "96cd4465a9644e31528eda3592aa35eb39a9527769ce1855beafc1b81055e75d",
      "02c9e16154474b3ed5b38218bb0463e008f89ee03e62d22fdcc8014beab25b48fa",
    ],
    index: 0,
    child: [
      "84e9c258bb8557a40e0d041115b376dd55eda99c0042ce29e81ebe4efed9b86a",
      "039b6df4bece7b6c81e2adfeea4bcf5c8c8a6e40ea7ffa3cf6e8494c61a1fc82cc",
      "607f628f",
    ],
  },
  {
    parent: [
      "f235b2bc5c04606ca9c30027a84f353acf4e4683edbd11f635d0dcc1cd106ea6",
      "02f89c5deb1cae4fedc9905f98ae6cbf6cbab120d8cb85d5bd9a91a72f4c068c76",
    ],
    index: 1,
    child: [
      "7c0b833106235e452eba79d2bdd58d4086e663bc8cc55e9773d2b5eeda313f3b",
      "03abe0ad54c97c1d654c1852dfdc32d6d3e487e75fa16f0fd6304b9ceae4220c64",
      "218182d8",
    ],
  },
  {
    parent: [
      "5794e616eadaf33413aa309318a26ee0fd5163b70466de7a4512fd4b1a5c9e6a",
      "03cb8cb067d248691808cd6b5a5a06b48e34ebac4d965cba33e6dc46fe13d9b933",
    ],
    index: 2,
    child: [
      "3bfb29ee8ac4484f09db09c2079b520ea5616df7820f071a20320366fbe226a7",
      "020ee02e18967237cf62672983b253ee62fa4dd431f8243bfeccdf39dbe181387f",
      "956c4629",
    ],
  },
  { // The first hash is not below the order here.
    parent: [
      "e94c8ebe30c2250a14713212f6449b20f3329105ea15b652ca5bdfc68f6c65c2",
      "02519b5554a4872e8c9c1c847115363051ec43e93400e030ba3c36b52a3e70a5b7",
    ],
    index: 33941,
    child: [
      "9e87fe95031f14736774cd82f25fd885065cb7c358c1edf813c72af535e83071",
      "0235bfee614c0d5b2cae260000bb1d0d84b270099ad790022c1ae0b2e782efe120",
      "3e2b7bc6",
    ],
  },
];

const MESSAGE = utf8("pay alice 5");
const refuses = (what: RegExp) => (error: unknown) =>
  error instanceof UsageError && error.code === "USAGE" && what.test(error.message);

Deno.test("childOf() and formatXpub() give the public keys of BIP32, test vectors 1 to 4", () => {
  let steps = 0;
  for (const chain of BIP32) {
    let parent: ExtendedPublicKey | undefined;
    for (const [xpub, index] of chain) {
      const key = parseXpub(xpub);
      assert.equal(formatXpub(key), xpub);
      if (index !== undefined) {
        assert.equal(formatXpub(childOf(parent as ExtendedPublicKey, index, hmacSha512).child), xpub);
        steps++;
      }
      parent = key;
    }
  }
  assert.equal(steps, 6);
});

Deno.test("parseXpub() refuses the public keys of BIP32, test vector 5, and says why", () => {
  for (const [xpub, what] of BIP32_INVALID) assert.throws(() => parseXpub(xpub), refuses(what), xpub);
});

Deno.test("parseXpub() refuses other lengths, characters, checksums and private keys", () => {
  const [[xpub]] = BIP32[0] as readonly (readonly [string])[] as [[string]];
  const changed = xpub.slice(0, -1) + (xpub.endsWith("8") ? "9" : "8");
  for (const text of ["", "xpub", changed, xpub.slice(1), "1" + xpub, xpub + " ", "0" + xpub.slice(1)]) {
    assert.throws(() => parseXpub(text), refuses(/characters, length or checksum/), text);
  }
  const prv =
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
  assert.throws(() => parseXpub(prv), refuses(/version/));
});

Deno.test("base58CheckDecode() reads what base58CheckEncode() writes, zeros in front included", () => {
  const rng = seededRng("base58");
  for (let length = 0; length < 40; length++) {
    for (const payload of [rng.bytes(length), new Uint8Array(length), concat(u32(0), rng.bytes(length))]) {
      const text = base58CheckEncode(payload);
      assert.deepEqual(base58CheckDecode(text, payload.length), payload);
      assert.equal(base58CheckDecode(text, payload.length + 1), undefined);
      assert.equal(base58CheckDecode("1" + text, payload.length), undefined);
    }
  }
  // The genesis address of Bitcoin.
  const genesis = "0062e907b15cbf27d5425399ebf6f0fb50ebb88f18";
  assert.equal(base58CheckEncode(Uint8Array.fromHex(genesis)), "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
  for (const length of [1, 111, 112, 113, 114, 120, 131, 132, 1_000_000]) {
    assert.equal(base58CheckDecode("z".repeat(length), 78), undefined);
  }
});

Deno.test("deriveKey() gives the public keys of SLIP-0010 for nist256p1, also after a retry", () => {
  for (const { parent, index, child } of SLIP10) {
    const [chainCode, publicKey] = parent.map((text) => Uint8Array.fromHex(text)) as [Bytes, Bytes];
    const key = deriveKey({ curve: p256, publicKey: p256.decodePoint(publicKey), chainCode }, [index]);
    assert.deepEqual(
      [key.chainCode.toHex(), p256.encodePoint(key.publicKey).toHex(), key.parentFingerprint.toHex()],
      child,
    );
    assert.equal(key.childNumber, index);
  }
});

for (const curve of Object.values(CURVES)) {
  Deno.test(`deriveKey() gives a child of Q + tweak·G, step by step, on ${curve.name}`, () => {
    const { record } = dealKey(curve, "2 of (alice, bob, carol)");
    const child = deriveKey(record, parsePath("m/0/5/2147483647"));
    assert.ok(child.publicKey.equals(record.publicKey.add(curve.mulBase(child.tweak))));
    const half = deriveKey(record, [0]);
    const rest = childOf(childOf(half, 5, hmacSha512).child, 2147483647, hmacSha512).child;
    assert.ok(rest.publicKey.equals(child.publicKey));
    assert.deepEqual(rest.chainCode, child.chainCode);
    assert.deepEqual([child.depth, child.childNumber, child.path], [3, 2147483647, [0, 5, 2147483647]]);
    const root = deriveKey(record, parsePath("m"));
    assert.ok(root.publicKey.equals(record.publicKey) && root.tweak === 0n && root.depth === 0);
    assert.deepEqual(root.chainCode, record.chainCode);
  });

  Deno.test(`sign() with the tweak of deriveKey() signs under the child key on ${curve.name}`, () => {
    const key = dealKey(curve, "and(alice, 2 of (bob, carol, dave))");
    const { tweak, publicKey } = deriveKey(key.record, parsePath("m/0/5"));
    const digest = sha256(MESSAGE);
    const [signature] = allValues(runSign(key, { digest, tweak }, { signers: [1, 3, 4] })) as [
      EcdsaSignature,
    ];
    const noble = curve.name === "secp256k1" ? nobleSecp256k1 : nobleP256;
    const verify = (key: Uint8Array) => noble.verify(signature.compact, digest, key, { prehash: false });
    assert.ok(verify(publicKey.toBytes(true)));
    assert.ok(!verify(key.record.publicKey.toBytes(true)));
  });
}

/** A hash whose first results are given. */
function scripted(...results: readonly Bytes[]): { mac: typeof hmacSha512; inputs: string[] } {
  const inputs: string[] = [];
  return {
    inputs,
    mac(key, ...parts) {
      inputs.push(concat(...parts).toHex());
      return results[inputs.length - 1] ?? hmacSha512(key, ...parts);
    },
  };
}

/** A key, and results of the hash that give it no child: I_L = q, and the child that is the identity. */
function childless(curve: Curve): { root: ExtendedPublicKey; results: Bytes[] } {
  const x = curve.scalar(987654321n);
  const root = deriveKey({ curve, publicKey: curve.mulBase(x), chainCode: new Uint8Array(32).fill(7) }, []);
  const right = new Uint8Array(32).fill(9);
  const opposite = curve.encodeScalar(curve.neg(x) as Scalar);
  return { root, results: [concat(bigintToBytes(curve.order, 32), right), concat(opposite, right)] };
}

Deno.test("childOf() says on secp256k1 that an index without a key is followed by the next", () => {
  const { root, results } = childless(secp256k1);
  for (const result of results) {
    assert.throws(() => childOf(root, 5, scripted(result).mac), refuses(/index 5 has no key here: use 6/));
  }
});

Deno.test("childOf() hashes 1 ‖ I_R ‖ index again on P-256 where there is no key", () => {
  const { root, results } = childless(p256);
  for (const result of results) {
    const { mac, inputs } = scripted(result);
    const { child, delta } = childOf(root, 5, mac);
    assert.deepEqual(inputs, [
      p256.encodePoint(root.publicKey).toHex() + "00000005",
      "01" + "09".repeat(32) + "00000005",
    ]);
    assert.ok(child.publicKey.equals(root.publicKey.add(p256.mulBase(delta))));
  }
});

Deno.test("parsePath() reads m/0/5 and refuses everything else, hardened indices by name", () => {
  assert.deepEqual(parsePath("m"), []);
  assert.deepEqual(parsePath("m/0/5"), [0, 5]);
  assert.equal(formatPath(parsePath("m/2147483647/0")), "m/2147483647/0");
  assert.equal(formatPath([]), "m");
  for (const text of ["m/0'", "m/44h/0", "m/1/5H", "m/2147483648", "m/4294967295"]) {
    assert.throws(() => parsePath(text), refuses(/hardened: that needs the private key/), text);
  }
  const malformed = [
    "",
    "M/0",
    "0/5",
    "/0",
    "m/",
    "m//1",
    "m/-1",
    "m/01",
    "m/1.5",
    "m/ 1",
    "m/0x1",
    "m/4294967296",
  ];
  for (const text of malformed) assert.throws(() => parsePath(text), refuses(/path|index/), text);
  assert.throws(() => parsePath("m" + "/0".repeat(256)), refuses(/at most 255/));
});

Deno.test("deriveKey() and childOf() refuse hardened and impossible indices, and depths above 255", () => {
  const { record } = dealKey(secp256k1, "2 of (alice, bob, carol)");
  for (const index of [2 ** 31, 2 ** 32 - 1]) {
    assert.throws(() => deriveKey(record, [index]), refuses(/hardened/));
  }
  for (const index of [-1, 0.5, NaN, 2 ** 32]) {
    assert.throws(() => deriveKey(record, [index]), refuses(/an index is/));
  }
  const deep = { ...deriveKey(record, []), depth: 255 };
  assert.throws(() => childOf(deep, 0, hmacSha512), refuses(/at most 255/));
  assert.throws(() => childOf({ ...deep, depth: 1 }, 2 ** 31, hmacSha512), refuses(/hardened/));
});

Deno.test("formatXpub() writes tpub for the test network, and refuses P-256", () => {
  const key = parseXpub((BIP32[0] as [[string]])[0][0]);
  const tpub = formatXpub(key, "test");
  assert.match(tpub, /^tpub/);
  assert.deepEqual(parseXpub(tpub).chainCode, key.chainCode);
  const { record } = dealKey(p256, "2 of (alice, bob, carol)");
  assert.throws(() => formatXpub(deriveKey(record, [1])), refuses(/secp256k1 only/));
});
