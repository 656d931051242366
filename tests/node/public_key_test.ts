import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { UsageError } from "../../src/base/errors.ts";
import { partyId } from "../../src/base/brands.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { seededRng } from "../../src/base/rng.ts";
import { CURVES } from "../../src/math/curve.ts";
import type { PublicKeyInfo } from "../../src/node/party.ts";
import {
  formatPublicKey,
  parsePublicKey,
  parseSignature,
  type PublicKey,
} from "../../src/node/public_key.ts";
import { parsePolicy } from "../../src/primitives/access.ts";

const NODE_NAMES = { secp256k1: "secp256k1", p256: "prime256v1" } as const;
const MESSAGE = new TextEncoder().encode("message");

function infoOf(name: keyof typeof CURVES): PublicKeyInfo {
  const curve = CURVES[name];
  const rng = seededRng(name);
  const shares = [1, 2].map((index) => [partyId(index), curve.mulBase(curve.randomScalar(rng))] as const);
  const members = ["alice", "bob"].map((member, i) => ({
    index: partyId(i + 1),
    name: member,
    identity: rng.bytes(32),
  }));
  return {
    name: "treasury",
    certificate: rng.bytes(10),
    record: {
      keyId: rng.bytes(32) as never,
      purpose: "plain",
      epoch: 3,
      curve,
      policy: parsePolicy("2 of (alice, bob)"),
      members,
      publicKey: curve.mulBase(curve.randomScalar(rng)),
      publicShares: new Map(shares),
      chainCode: rng.bytes(32),
    },
  };
}

function refused(action: () => unknown, code: string, match: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, match);
    return true;
  });
}

Deno.test("formatPublicKey() writes PEM and JWK that node:crypto reads, and parsePublicKey() reads back", () => {
  for (const name of ["secp256k1", "p256"] as const) {
    const info = infoOf(name);
    const pem = createPublicKey(formatPublicKey(info, "pem"));
    const jwk = createPublicKey({ key: JSON.parse(formatPublicKey(info, "jwk")), format: "jwk" });
    assert.ok(pem.equals(jwk));
    assert.equal(pem.asymmetricKeyDetails?.namedCurve, NODE_NAMES[name]);
    for (const format of ["pem", "jwk"] as const) {
      const { curve, point } = parseEcdsaKey(formatPublicKey(info, format), "file");
      assert.equal(curve.name, name);
      assert.ok(point.equals(info.record.publicKey));
    }
  }
});

Deno.test("formatPublicKey() writes the compressed point and the whole record", () => {
  const info = infoOf("p256");
  assert.match(formatPublicKey(info, "hex"), /^0[23][0-9a-f]{64}\n$/);
  const record = JSON.parse(formatPublicKey(info, "record"));
  assert.equal(record.policy, "2 of (alice, bob)");
  assert.equal(record.epoch, 3);
  assert.deepEqual(record.members.map(({ name }: { name: string }) => name), ["alice", "bob"]);
  assert.match(record.members[1].publicShare, /^0[23][0-9a-f]{64}$/);
});

Deno.test("parsePublicKey() refuses what is no point of a known curve", () => {
  const pem = formatPublicKey(infoOf("p256"), "pem");
  const x25519 = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "pem" }).toString();
  const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).publicKey
    .export({ type: "spki", format: "pem" }).toString();
  const body = Uint8Array.fromBase64(pem.split("\n").slice(1, 3).join(""));
  body[90] = (body[90] as number) ^ 1;
  const offCurve = `-----BEGIN PUBLIC KEY-----\n${body.toBase64()}\n-----END PUBLIC KEY-----\n`;
  // y = 0 is a point of order 4: it verifies signatures that nobody made.
  const order4 = [...Uint8Array.fromHex("302a300506032b6570032100"), ...new Uint8Array(32)];
  const torsion = `-----BEGIN PUBLIC KEY-----\n${
    Uint8Array.from(order4).toBase64()
  }\n-----END PUBLIC KEY-----\n`;
  const noPem = pem.replace("-----END", "-----AND");
  for (const text of ["", "{}", "nonsense", noPem, x25519, p384, offCurve, "f".repeat(64), torsion]) {
    refused(() => parsePublicKey(text, "key.pem"), "FILE_UNREADABLE", /key\.pem holds no public key/);
  }
});

Deno.test("parseSignature() reads DER, 64 bytes and JSON of one signature as the same", () => {
  for (const name of ["secp256k1", "p256"] as const) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: NODE_NAMES[name] });
    const { curve, point } = parseEcdsaKey(
      publicKey.export({ type: "spki", format: "pem" }).toString(),
      "key",
    );
    // Enough of them that some have short or padded integers.
    for (let i = 0; i < 60; i++) {
      const der = new Uint8Array(sign("sha256", MESSAGE, privateKey));
      const compact = parseSignature(der, "m.sig");
      const check = { publicKey: point, digest: sha256(MESSAGE), signature: compact, lowS: false };
      assert.ok(curve.verifyEcdsa(check));
      assert.deepEqual(parseSignature(compact, "m.sig"), compact);
      const json = new TextEncoder().encode(JSON.stringify({ compact: compact.toHex() }));
      assert.deepEqual(parseSignature(json, "m.sig"), compact);
    }
  }
});

Deno.test("parseSignature() refuses what is not canonical DER, 64 bytes or JSON", () => {
  const wrong = [
    "",
    "00".repeat(63),
    "00".repeat(65),
    "3006020101020101ff",
    "30060201010201",
    "3006020181020101",
    "300702020001020101",
    "3005020002 0101".replace(" ", ""),
    "3006030101020101",
    "7b7d",
    "7b",
  ];
  for (const text of wrong) {
    refused(
      () => parseSignature(Uint8Array.fromHex(text), "m.sig"),
      "SIGNATURE_INVALID",
      /m\.sig holds no signature/,
    );
  }
  assert.equal(parseSignature(Uint8Array.fromHex("3006020101020102"), "m.sig").length, 64);
});

function parseEcdsaKey(text: string, what: string): PublicKey {
  const key = parsePublicKey(text, what);
  assert.ok("curve" in key);
  return key;
}
