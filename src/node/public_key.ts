/**
 * Public keys and signatures in the forms that other programs read and write.
 *
 * @module
 */

import { createPublicKey } from "node:crypto";
import { type Bytes, concat, copy, fromHex, fromUtf8, hex } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { type Curve, CURVES, type Point } from "../math/curve.ts";
import { fromPem, toPem } from "../pki/pem.ts";
import { identityText } from "../pki/identity.ts";
import { formatPolicy } from "../primitives/access.ts";
import type { KeyPurpose } from "../protocols/key_purpose.ts";
import { FROST_SUITES, type FrostSuite } from "../protocols/frost/suite.ts";
import { type FrostKeyInfo, isFrostInfo } from "./frost_keys.ts";
import type { KeyInfo } from "./party.ts";

/** Forms of a public key. */
export type PublicKeyFormat = "pem" | "hex" | "jwk" | "record";

/** A key for ECDSA: a point and its curve. */
export interface PublicKey {
  /** The curve. */
  readonly curve: Curve;
  /** Q. */
  readonly point: Point;
}

/** A key for Ed25519 or BIP340: a point and its scheme. */
export interface FrostPublicKey {
  /** The scheme. */
  readonly suite: FrostSuite;
  /** Q; of BIP340 the one with even y, where only its x was given. */
  readonly point: Point;
}

/**
 * The text of a public key: SubjectPublicKeyInfo, hexadecimal (the compressed point; 32 bytes for Ed25519 and BIP340), JSON Web Key,
 * or the whole public record.
 *
 * @throws UsageError KEY_SCHEME where its kind does not have the form.
 */
export function formatPublicKey(info: KeyInfo, format: PublicKeyFormat): string {
  if (isFrostInfo(info)) return formatFrostKey(info, format);
  const { curve, publicKey } = info.record;
  switch (format) {
    case "pem":
      return toPem("PUBLIC KEY", spkiOf({ curve, point: publicKey }));
    case "hex":
      return hex(curve.encodePoint(publicKey)) + "\n";
    case "jwk":
      return JSON.stringify(jwkOf({ curve, point: publicKey })) + "\n";
    case "record":
      return JSON.stringify(recordOf(info), undefined, 2) + "\n";
  }
}

/** The public record as JSON: what everybody may know of a key. */
export function recordOf(info: KeyInfo): Record<string, unknown> {
  if (isFrostInfo(info)) return frostRecordOf(info);
  const { name, record, certificate } = info;
  const { curve } = record;
  return {
    version: 1,
    key: name,
    keyId: hex(record.keyId),
    epoch: record.epoch,
    ...purposeOf(record),
    curve: curve.name,
    policy: formatPolicy(record.policy),
    publicKey: hex(curve.encodePoint(record.publicKey)),
    chainCode: hex(record.chainCode),
    members: record.members.map(({ index, name, identity }) => ({
      index,
      name,
      identity: identityText(identity),
      publicShare: hex(curve.encodePoint(record.publicShares.get(index) as Point)),
    })),
    certificate: hex(certificate),
  };
}

/**
 * Reads a public key: PEM, a JSON Web Key, or for BIP340 the 64 hexadecimal digits of its x.
 *
 * @param what for the message: the name of the file.
 * @throws UsageError FILE_UNREADABLE
 */
export function parsePublicKey(text: string, what: string): PublicKey | FrostPublicKey {
  const trimmed = text.trim();
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return bip340Key(trimmed, what);
  const spki = trimmed.startsWith("-----") ? spkiOfPem(trimmed, what) : spkiOfJwk(trimmed, what);
  if (spki.length === ED25519_SPKI.length + 32 && ED25519_SPKI.every((byte, at) => byte === spki[at])) {
    return frostKey("ed25519", spki.subarray(ED25519_SPKI.length), what);
  }
  for (const curve of Object.values(CURVES)) {
    const prefix = SPKI_PREFIX[curve.name];
    if (spki.length !== prefix.length + 65 || !prefix.every((byte, at) => byte === spki[at])) continue;
    const xy = spki.subarray(prefix.length);
    const compressed = concat(Uint8Array.of(2 + ((xy[64] as number) & 1)), xy.subarray(1, 33));
    try {
      const point = curve.decodePoint(compressed);
      if (hex(point.toBytes(false)) === hex(xy)) return { curve, point };
    } catch {
      // Not on the curve: the sentence below says so.
    }
  }
  throw notAKey(what);
}

/**
 * Reads a signature: JSON with a field `compact`, DER, or 64 bytes r ‖ s.
 *
 * @returns r ‖ s
 * @throws UsageError SIGNATURE_INVALID where it is none of these.
 */
export function parseSignature(bytes: Uint8Array, what: string): Bytes {
  const compact = fromJson(bytes) ?? fromDer(bytes) ?? (bytes.length === 64 ? copy(bytes) : undefined);
  if (compact !== undefined) return compact;
  throw new UsageError("SIGNATURE_INVALID", `${what} holds no signature: expected is DER, 64 bytes, or JSON`);
}

/**
 * Reads a signature for Ed25519 or BIP340: JSON with a field `compact`, or 64 bytes.
 *
 * @throws UsageError SIGNATURE_INVALID where it is neither.
 */
export function parseFrostSignature(bytes: Uint8Array, what: string): Bytes {
  const signature = fromJson(bytes) ?? (bytes.length === 64 ? copy(bytes) : undefined);
  if (signature !== undefined) return signature;
  throw new UsageError("SIGNATURE_INVALID", `${what} holds no signature: expected is 64 bytes, or JSON`);
}

// RFC 8410: id-Ed25519, and a BIT STRING with the key.
const ED25519_SPKI = Uint8Array.fromHex("302a300506032b6570032100");

function formatFrostKey(info: FrostKeyInfo, format: PublicKeyFormat): string {
  const { suite, publicKey } = info.record;
  const key = suite.publicKeyBytes(publicKey);
  if (format === "hex") return hex(key) + "\n";
  if (format === "record") return JSON.stringify(frostRecordOf(info), undefined, 2) + "\n";
  if (suite.scheme !== "ed25519") {
    throw new UsageError("KEY_SCHEME", `a public key for BIP340 is the x of a point: --format hex prints it`);
  }
  if (format === "pem") return toPem("PUBLIC KEY", concat(ED25519_SPKI, key));
  const x = key.toBase64({ alphabet: "base64url", omitPadding: true });
  return JSON.stringify({ kty: "OKP", crv: "Ed25519", x }) + "\n";
}

function frostRecordOf({ name, record, certificate }: FrostKeyInfo): Record<string, unknown> {
  const { suite, suite: { group } } = record;
  return {
    version: 1,
    key: name,
    keyId: hex(record.keyId),
    epoch: record.epoch,
    ...purposeOf(record),
    curve: group.name,
    scheme: suite.scheme,
    policy: formatPolicy(record.policy),
    publicKey: hex(suite.publicKeyBytes(record.publicKey)),
    // Of BIP340 the public key above has only the x.
    point: hex(group.encodePoint(record.publicKey)),
    members: record.members.map(({ index, name, identity }) => ({
      index,
      name,
      identity: identityText(identity),
      publicShare: hex(group.encodePoint(record.publicShares.get(index) as Point)),
    })),
    certificate: hex(certificate),
  };
}

/** Records of plain keys are as they were before there were purposes. */
function purposeOf({ purpose }: KeyInfo["record"]): { readonly purpose?: KeyPurpose } {
  return purpose === "plain" ? {} : { purpose };
}

function bip340Key(digits: string, what: string): FrostPublicKey {
  return frostKey("bip340", concat(Uint8Array.of(2), Uint8Array.fromHex(digits)), what);
}

function frostKey(scheme: FrostSuite["scheme"], encoded: Uint8Array, what: string): FrostPublicKey {
  const suite = FROST_SUITES[scheme];
  try {
    return { suite, point: suite.group.decodePoint(encoded) };
  } catch {
    throw notAKey(what);
  }
}

// RFC 5480: id-ecPublicKey with the curve's object identifier, and a BIT STRING with an uncompressed point.
const SPKI_PREFIX = {
  p256: Uint8Array.fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
  secp256k1: Uint8Array.fromHex("3056301006072a8648ce3d020106052b8104000a034200"),
} as const;
const JWK_CURVES = { p256: "P-256", secp256k1: "secp256k1" } as const;

function spkiOf({ curve, point }: PublicKey): Bytes {
  return concat(SPKI_PREFIX[curve.name], point.toBytes(false));
}

function jwkOf({ curve, point }: PublicKey): Record<string, string> {
  const xy = point.toBytes(false);
  const coordinate = (from: number) =>
    xy.slice(from, from + 32).toBase64({ alphabet: "base64url", omitPadding: true });
  return { kty: "EC", crv: JWK_CURVES[curve.name], x: coordinate(1), y: coordinate(33) };
}

function spkiOfPem(text: string, what: string): Bytes {
  try {
    return fromPem("PUBLIC KEY", text, what);
  } catch {
    throw notAKey(what);
  }
}

function spkiOfJwk(text: string, what: string): Bytes {
  try {
    const key = createPublicKey({ key: JSON.parse(text), format: "jwk" });
    return copy(key.export({ type: "spki", format: "der" }));
  } catch {
    throw notAKey(what);
  }
}

function notAKey(what: string): UsageError {
  return new UsageError(
    "FILE_UNREADABLE",
    `${what} holds no public key on secp256k1, p256 or ed25519: expected is PEM or a JSON Web Key, as key export-public prints with --format pem and jwk, or the 64 hexadecimal digits of a BIP340 key`,
  );
}

function fromJson(bytes: Uint8Array): Bytes | undefined {
  const text = bytes[0] === 0x7b ? fromUtf8(bytes) : undefined;
  if (text === undefined) return undefined;
  try {
    const { compact } = JSON.parse(text) as { compact?: unknown };
    const value = typeof compact === "string" ? fromHex(compact) : undefined;
    return value?.length === 64 ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `SEQUENCE { r INTEGER, s INTEGER }`, canonical. */
function fromDer(bytes: Uint8Array): Bytes | undefined {
  if (bytes[0] !== 0x30 || bytes[1] !== bytes.length - 2 || bytes.length > 72) return undefined;
  const r = derInteger(bytes, 2);
  const s = r === undefined ? undefined : derInteger(bytes, r.end);
  if (r === undefined || s === undefined || s.end !== bytes.length) return undefined;
  return concat(r.value, s.value);
}

function derInteger(
  bytes: Uint8Array,
  at: number,
): { readonly value: Bytes; readonly end: number } | undefined {
  const length = bytes[at + 1] ?? 0;
  const end = at + 2 + length;
  if (bytes[at] !== 0x02 || length < 1 || length > 33 || end > bytes.length) return undefined;
  const first = bytes[at + 2] as number;
  const padded = first === 0 && length > 1;
  if (first >= 0x80 || (padded && (bytes[at + 3] as number) < 0x80) || (length === 33 && !padded)) {
    return undefined;
  }
  const value = new Uint8Array(32);
  const digits = bytes.subarray(at + 2 + (padded ? 1 : 0), end);
  value.set(digits, 32 - digits.length);
  return { value, end };
}
