import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import type { Bytes } from "../../src/base/bytes.ts";
import { hex } from "../../src/base/bytes.ts";
import { UsageError } from "../../src/base/errors.ts";
import type { FrostKeyInfo } from "../../src/node/frost_keys.ts";
import { formatPublicKey, parseFrostSignature, parsePublicKey } from "../../src/node/public_key.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { quorumAmong } from "../../src/node/signers.ts";
import { frostQuorumOf } from "../../src/protocols/frost/key.ts";
import type { FrostScheme } from "../../src/protocols/frost/suite.ts";
import { runFrostDkg, SCHEMES } from "../protocols/frost/support.ts";
import { makeGroup, valuesOf } from "../protocols/support.ts";

/** A key that three parties made. */
function frostInfo(scheme: FrostScheme, seed = "frost"): FrostKeyInfo {
  const group = makeGroup("2 of (alice, bob, carol)", { seed });
  const [made] = valuesOf(runFrostDkg(group, scheme)).values();
  assert.ok(made !== undefined);
  return {
    name: group.input(group.parties[0] as never).keyName,
    record: made.share.record,
    certificate: made.certificate,
  };
}

function refused(action: () => unknown, code: string, match: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, match);
    return true;
  });
}

Deno.test("formatPublicKey() writes an Ed25519 key as node:crypto reads it, and parsePublicKey() reads it back", () => {
  const info = frostInfo("ed25519");
  const pem = createPublicKey(formatPublicKey(info, "pem"));
  const jwk = createPublicKey({ key: JSON.parse(formatPublicKey(info, "jwk")), format: "jwk" });
  assert.ok(pem.equals(jwk));
  for (const format of ["pem", "jwk"] as const) {
    const key = parsePublicKey(formatPublicKey(info, format), "key");
    assert.ok("suite" in key && key.suite.scheme === "ed25519" && key.point.equals(info.record.publicKey));
  }
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const key = parsePublicKey(publicKey.export({ type: "spki", format: "pem" }).toString(), "key");
  const message = new TextEncoder().encode("m");
  assert.ok("suite" in key && key.suite.verify(key.point, message, sign(null, message, privateKey)));
});

Deno.test("formatPublicKey() writes a BIP340 key as its x alone", () => {
  const info = frostInfo("bip340");
  const digits = formatPublicKey(info, "hex").trim();
  const key = parsePublicKey(digits, "key");
  assert.ok("suite" in key && key.suite.scheme === "bip340");
  assert.equal(hex(key.suite.publicKeyBytes(key.point)), digits);
  for (const format of ["pem", "jwk"] as const) {
    refused(() => formatPublicKey(info, format), "KEY_SCHEME", /--format hex/);
  }
});

Deno.test("parsePublicRecord() reads what key export-public writes of each scheme, and nothing that was changed", () => {
  for (const scheme of SCHEMES) {
    const info = frostInfo(scheme);
    const text = formatPublicKey(info, "record");
    assert.deepEqual(hexed(parsePublicRecord(text, "file")), hexed(info));
    const value = JSON.parse(text);
    const other = frostInfo(scheme, "another").record;
    const changes: Record<string, unknown>[] = [
      { ...value, epoch: 1 },
      { ...value, keyId: "0".repeat(64) },
      { ...value, curve: "p256" },
      { ...value, publicKey: hex(other.suite.publicKeyBytes(other.publicKey)) },
      { ...value, point: hex(other.suite.group.encodePoint(other.publicKey)) },
      { ...value, policy: "3 of (alice, bob, carol)" },
      { ...value, policy: "and(alice, 2 of (bob, carol))" },
      { ...value, scheme: scheme === "ed25519" ? "bip340" : "ed25519" },
      { ...value, scheme: "ecdsa" },
      {
        ...value,
        certificate: value.certificate.replace(/.$/, (digit: string) => digit === "0" ? "1" : "0"),
      },
      { ...value, members: [value.members[1], value.members[0], value.members[2]] },
      {
        ...value,
        members: [
          { ...value.members[0], publicShare: value.members[1].publicShare },
          ...value.members.slice(1),
        ],
      },
      { ...value, more: 1 },
    ];
    for (const change of changes) {
      refused(() => parsePublicRecord(JSON.stringify(change), "file"), "RECORD_INVALID", /file/);
    }
  }
});

Deno.test("parsePublicRecord() takes the curve of a record from its scheme", () => {
  const info = frostInfo("ed25519");
  const value = { ...JSON.parse(formatPublicKey(info, "record")), curve: "secp256k1" };
  refused(() => parsePublicRecord(JSON.stringify(value), "file"), "RECORD_INVALID", /not of one key/);
});

Deno.test("parseFrostSignature() reads 64 bytes and JSON, and nothing else", () => {
  const signature = Uint8Array.from({ length: 64 }, (_, i) => i);
  assert.deepEqual(parseFrostSignature(signature, "s"), signature);
  const json = new TextEncoder().encode(JSON.stringify({ compact: hex(signature) }));
  assert.deepEqual(parseFrostSignature(json, "s"), signature);
  for (const bytes of [signature.subarray(1), new Uint8Array(65), new Uint8Array()]) {
    refused(() => parseFrostSignature(bytes, "s"), "SIGNATURE_INVALID", /64 bytes/);
  }
});

Deno.test("quorumAmong() finds the signers, or says who is none", () => {
  const { record } = frostInfo("ed25519");
  const among = (signers: string[] | undefined, self: string) =>
    quorumAmong(record, { name: "seal", ...(signers === undefined ? {} : { signers }) }, self, frostQuorumOf);
  assert.deepEqual(among(undefined, "carol"), [1, 2]);
  assert.deepEqual(among(["carol", "bob"], "bob"), [2, 3]);
  refused(
    () => among(["dave", "bob"], "bob"),
    "NOT_A_MEMBER",
    /dave has no share of the key seal: alice, bob, carol have/,
  );
  refused(() => among(["bob"], "bob"), "NOT_QUALIFIED", /bob may not sign with seal: its policy is 2 of/);
  refused(() => among(["alice", "bob"], "carol"), "USAGE", /carol is not among the signers: alice, bob are/);
});

function hexed(
  info: { readonly name: string; readonly record: object; readonly certificate: Bytes },
): unknown {
  const { record, certificate, name } = info as FrostKeyInfo;
  const { group } = record.suite;
  return {
    name,
    certificate: hex(certificate),
    keyId: hex(record.keyId),
    epoch: record.epoch,
    publicKey: hex(group.encodePoint(record.publicKey)),
    shares: [...record.publicShares].map(([party, point]) => [party, hex(group.encodePoint(point))]),
    members: record.members.map(({ index, name, identity }) => [index, name, hex(identity)]),
  };
}
