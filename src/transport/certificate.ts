/**
 * Certificates and revocation lists, read from DER.
 *
 * @module
 */

import { DecodeError } from "../base/codec.ts";
import { type DerElement, DerReader, derSequence, DerTag, derTime } from "./der.ts";

/** What our checks need of a leaf certificate. */
export interface LeafFields {
  /** Hexadecimal of the serial number's content. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  /** True where the basic constraints say that it may issue certificates. */
  readonly isAuthority: boolean;
  /** OIDs as hexadecimal; undefined where the extension is missing. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** All names of the kind URI. */
  readonly uriNames: readonly string[];
}

/** A signed list of revoked serial numbers. */
export interface RevocationFields {
  /** The issuer's name, as encoded. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** Milliseconds since 1970. */
  readonly nextUpdate: number;
  /** Serial numbers, as in {@linkcode LeafFields}. */
  readonly revoked: ReadonlySet<string>;
  /** What is signed, how (OID in hexadecimal) and the signature. */
  readonly signed: Uint8Array;
  /** How it is signed: an OID in hexadecimal. */
  readonly algorithm: string;
  /** The signature over `signed`. */
  readonly signature: Uint8Array;
}

/** Reads a certificate of version 3. @throws DecodeError, also for a critical extension that is not known here. */
export function readLeaf(der: Uint8Array): LeafFields {
  const body = new DerReader(derSequence(der).read(DerTag.sequence).content);
  body.read(CONTEXT_0);
  const serial = body.read(DerTag.integer).content.toHex();
  body.read(DerTag.sequence); // signature algorithm
  body.read(DerTag.sequence); // issuer
  const validity = new DerReader(body.read(DerTag.sequence).content);
  const notBefore = derTime(validity.any());
  const notAfter = derTime(validity.any());
  body.read(DerTag.sequence); // subject
  body.read(DerTag.sequence); // public key
  const wrapped = body.read(CONTEXT_3);
  if (!body.done) throw new DecodeError("fields behind the extensions");
  const extensions = readExtensions(wrapped.content, KNOWN_IN_LEAF);
  return {
    serial,
    notBefore,
    notAfter,
    isAuthority: readIsAuthority(extensions.get(Oid.basicConstraints)),
    extendedKeyUsage: readOids(extensions.get(Oid.extendedKeyUsage)),
    uriNames: readUriNames(extensions.get(Oid.subjectAltName)),
  };
}

/** The name of a certificate's subject, as encoded. @throws DecodeError */
export function readSubject(der: Uint8Array): Uint8Array {
  const body = new DerReader(derSequence(der).read(DerTag.sequence).content);
  body.readIf(CONTEXT_0);
  body.read(DerTag.integer);
  body.read(DerTag.sequence);
  body.read(DerTag.sequence);
  body.read(DerTag.sequence);
  return body.read(DerTag.sequence).whole;
}

/** Reads a revocation list of version 2. @throws DecodeError, also for a list that is not complete (delta, partitioned). */
export function readRevocationList(der: Uint8Array): RevocationFields {
  const list = derSequence(der);
  const signed = list.read(DerTag.sequence);
  const algorithm = readAlgorithm(list.read(DerTag.sequence));
  const bits = list.read(DerTag.bitString).content;
  if (bits[0] !== 0 || !list.done) throw new DecodeError("the signature of the list is malformed");
  const body = new DerReader(signed.content);
  if (body.read(DerTag.integer).content.toHex() !== "01") throw new DecodeError("not a list of version 2");
  if (readAlgorithm(body.read(DerTag.sequence)) !== algorithm) {
    throw new DecodeError("two signature algorithms");
  }
  const issuer = body.read(DerTag.sequence).whole;
  const thisUpdate = derTime(body.any());
  const next = body.readIf(DerTag.utcTime) ?? body.readIf(DerTag.generalizedTime);
  if (next === undefined) throw new DecodeError("the list has no nextUpdate");
  const revoked = readRevoked(body.readIf(DerTag.sequence));
  const wrapped = body.readIf(CONTEXT_0);
  if (wrapped !== undefined) readExtensions(wrapped.content, NONE);
  if (!body.done) throw new DecodeError("fields behind the extensions");
  return {
    issuer,
    thisUpdate,
    nextUpdate: derTime(next),
    revoked,
    signed: signed.whole,
    algorithm,
    signature: bits.subarray(1),
  };
}

function readRevoked(entries: DerElement | undefined): ReadonlySet<string> {
  const revoked = new Set<string>();
  if (entries === undefined) return revoked;
  for (const reader = new DerReader(entries.content); !reader.done;) {
    const entry = new DerReader(reader.read(DerTag.sequence).content);
    revoked.add(entry.read(DerTag.integer).content.toHex());
    derTime(entry.any());
    // An indirect list names other issuers in critical entry extensions: refused with all critical ones.
    const extensions = entry.readIf(DerTag.sequence);
    if (extensions !== undefined) readExtensions(extensions.whole, NONE);
  }
  return revoked;
}

/** OID (hexadecimal) to value. A critical extension that nobody here understands must not be ignored (RFC 5280, 4.2). */
function readExtensions(sequence: Uint8Array, known: ReadonlySet<string>): ReadonlyMap<string, Uint8Array> {
  const out = new Map<string, Uint8Array>();
  for (const reader = derSequence(sequence); !reader.done;) {
    const extension = new DerReader(reader.read(DerTag.sequence).content);
    const oid = extension.read(DerTag.oid).content.toHex();
    const critical = extension.readIf(DerTag.boolean)?.content.toHex() === "ff";
    const value = extension.read(DerTag.octetString).content;
    if (!extension.done) throw new DecodeError("an extension has a fourth field");
    if (out.has(oid)) throw new DecodeError("an extension occurs twice");
    if (critical && !known.has(oid)) throw new DecodeError(`a critical extension is not known: ${oid}`);
    out.set(oid, value);
  }
  return out;
}

function readIsAuthority(value: Uint8Array | undefined): boolean {
  return value !== undefined && derSequence(value).readIf(DerTag.boolean)?.content.toHex() === "ff";
}

function readOids(value: Uint8Array | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const out: string[] = [];
  for (const reader = derSequence(value); !reader.done;) out.push(reader.read(DerTag.oid).content.toHex());
  return out;
}

function readUriNames(value: Uint8Array | undefined): readonly string[] {
  const out: string[] = [];
  if (value === undefined) return out;
  for (const reader = derSequence(value); !reader.done;) {
    const name = reader.any();
    if (name.tag === CONTEXT_6_PRIMITIVE) out.push(String.fromCharCode(...name.content));
  }
  return out;
}

function readAlgorithm(element: DerElement): string {
  return new DerReader(element.content).read(DerTag.oid).content.toHex();
}

/** Object identifiers, as hexadecimal of their DER content. */
export const Oid = {
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
  clientAuth: "2b06010505070302",
  ecdsaWithSha256: "2a8648ce3d040302",
  ecdsaWithSha384: "2a8648ce3d040303",
  ed25519: "2b6570",
} as const;

const KNOWN_IN_LEAF: ReadonlySet<string> = new Set([
  Oid.keyUsage,
  Oid.subjectAltName,
  Oid.basicConstraints,
  Oid.extendedKeyUsage,
]);
const NONE: ReadonlySet<string> = new Set();
const CONTEXT_0 = 0xa0;
const CONTEXT_3 = 0xa3;
const CONTEXT_6_PRIMITIVE = 0x86;
