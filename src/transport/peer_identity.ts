/**
 * Whose certificate is it? Our own check of a leaf after the TLS handshake (WIRE.md 2), every time and at both ends, because
 * runtimes have been seen to skip parts of it or all of it (PLATFORM.md).
 *
 * @module
 */

import { createHash, verify, X509Certificate } from "node:crypto";
import type { PartyId } from "../base/brands.ts";
import { type Bytes, copy, equal, hex } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { sha256 } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import {
  type LeafFields,
  Oid,
  readLeaf,
  readRevocationList,
  readSubject,
  type RevocationFields,
} from "./certificate.ts";
import { LinkFault } from "./faults.ts";

/** A party that may connect. */
export interface KnownParty {
  /** Its index in the roster. */
  readonly index: PartyId;
  /** Its name in the roster. */
  readonly name: string;
  /** `sha256/<base64>`; any of them matches. */
  readonly pins: readonly string[];
}

/** What certificates are judged by. */
export interface LeafPolicyOptions {
  /** Name of the cluster: part of every party's URI name. */
  readonly cluster: string;
  /** One or more PEM certificates of authorities. */
  readonly authorities: string;
  /** PEM revocation lists, one per authority at most. */
  readonly revocationLists?: string | undefined;
  /** Who may connect, self included. */
  readonly parties: readonly KnownParty[];
}

/** A certificate that passed all checks. */
export interface CheckedLeaf {
  /** Whose it is. */
  readonly party: PartyId;
  /** SHA-256 of the DER. */
  readonly fingerprint: Bytes;
  /** The DER: it is judged again when authorities, lists or pins change. */
  readonly raw: Bytes;
  /** `sha256/<base64>` of its public key. */
  readonly pin: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** An operator's certificate that passed all checks. */
export interface CheckedOperator {
  /** Name of the operator. */
  readonly operator: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** Judges leaf certificates. */
export class LeafPolicy {
  readonly #authorities: readonly Authority[];
  readonly #operatorPrefix: string;
  readonly #parties: ReadonlyMap<string, KnownParty>;
  /** Certificates with a good signature of an authority, by their bytes: that does not change, all else is looked at again. */
  readonly #issued = new Map<string, Issued>();

  /**
   * Reads the authorities and their lists.
   *
   * @throws UsageError IDENTITY_INVALID for an authority or list that cannot be used.
   */
  constructor(options: LeafPolicyOptions) {
    this.#authorities = readAuthorities(options.authorities);
    attachLists(this.#authorities, options.revocationLists);
    this.#operatorPrefix = operatorUri(options.cluster, "");
    this.#parties = new Map(
      options.parties.map((party) => [partyUri(options.cluster, party.name), party]),
    );
  }

  /**
   * Checks, in this order: readable, issued and signed by a configured authority itself (no intermediates), dates, a leaf, its
   * key, extended key usage, one URI name of a party, revocation, pin, the age of the revocation list.
   *
   * @param raw DER as TLS showed it.
   * @param nowMs milliseconds since 1970.
   * @throws LinkFault with the class of the first failure.
   */
  check(raw: Uint8Array | undefined, nowMs: number): CheckedLeaf {
    const { bytes, certificate, authority, fields } = this.#examine(raw, nowMs);
    checkUsage(fields, [Oid.serverAuth, Oid.clientAuth]);
    const party = this.#partyOf(fields);
    if (authority.list?.revoked.has(fields.serial)) throw new LinkFault("CERT_REVOKED");
    const pin = pinOfCertificate(certificate);
    if (!party.pins.includes(pin)) {
      throw new LinkFault(
        "PIN_MISMATCH",
        `the certificate's key is none of the pinned keys of ${party.name}`,
      );
    }
    // Last: links that are up outlive an old list, but not what it and the pins say (WIRE.md 2).
    if (authority.list !== undefined && nowMs > authority.list.nextUpdate) throw new LinkFault("CRL_EXPIRED");
    return { party: party.index, fingerprint: sha256(bytes), raw: bytes, pin, notAfter: fields.notAfter };
  }

  /**
   * Checks the certificate of an operator as that of a party, but for the pin, which it has none: extended key usage for clients,
   * and one URI name `quorate://CLUSTER/operator/NAME`.
   *
   * @throws LinkFault with the class of the first failure.
   */
  checkOperator(raw: Uint8Array | undefined, nowMs: number): CheckedOperator {
    const { authority, fields } = this.#examine(raw, nowMs);
    checkUsage(fields, [Oid.clientAuth]);
    const [uri = "", ...more] = fields.uriNames;
    const operator = uri.startsWith(this.#operatorPrefix) ? uri.slice(this.#operatorPrefix.length) : "";
    if (!OPERATOR_PATTERN.test(operator) || more.length > 0) {
      throw new LinkFault("CERT_NAME", "the certificate is not that of an operator of this cluster");
    }
    if (authority.list?.revoked.has(fields.serial)) throw new LinkFault("CERT_REVOKED");
    if (authority.list !== undefined && nowMs > authority.list.nextUpdate) throw new LinkFault("CRL_EXPIRED");
    return { operator, notAfter: fields.notAfter };
  }

  #examine(raw: Uint8Array | undefined, nowMs: number): Issued & { readonly fields: LeafFields } {
    if (raw === undefined || raw.length === 0) throw new LinkFault("CERT_MISSING");
    const issued = this.#issuedLeaf(copy(raw));
    if (issued === undefined || !isWithin(issued.authority, nowMs)) throw new LinkFault("CERT_UNKNOWN_CA");
    const { certificate } = issued;
    const fields = issued.fields ??= parseFields(issued.bytes);
    if (nowMs < fields.notBefore) throw new LinkFault("CERT_NOT_YET_VALID");
    if (nowMs > fields.notAfter) throw new LinkFault("CERT_EXPIRED");
    if (fields.isAuthority) throw new LinkFault("CERT_NOT_A_LEAF");
    if (!isStrongKey(certificate)) throw new LinkFault("CERT_WEAK_KEY");
    return { ...issued, fields };
  }

  #issuedLeaf(bytes: Bytes): Issued | undefined {
    const name = hex(sha256(bytes));
    const known = this.#issued.get(name);
    if (known !== undefined) return known;
    const certificate = parseCertificate(bytes);
    const authority = this.#authorities.find(({ certificate: ca }) => isIssuedBy(certificate, ca));
    if (authority === undefined) return undefined;
    const [oldest] = this.#issued.keys();
    if (oldest !== undefined && this.#issued.size >= ISSUED_MAX) this.#issued.delete(oldest);
    const issued: Issued = { bytes, certificate, authority, fields: undefined };
    this.#issued.set(name, issued);
    return issued;
  }

  /**
   * Refuses to follow a policy that knows less of what was revoked: a list that is gone, or older than the one in use, would let a
   * revoked party in again.
   *
   * @throws UsageError IDENTITY_INVALID
   */
  requireNoOlderLists(former: LeafPolicy): void {
    for (const { certificate, list } of this.#authorities) {
      const before = former.#authorities.find((other) =>
        other.certificate.fingerprint256 === certificate.fingerprint256
      );
      if (before?.list === undefined || (list !== undefined && list.thisUpdate >= before.list.thisUpdate)) {
        continue;
      }
      throw new UsageError(
        "IDENTITY_INVALID",
        `the revocation list ${
          list === undefined ? "that is in use is gone" : "is older than the one in use"
        }: get the newest one from the authority`,
      );
    }
  }

  #partyOf(fields: LeafFields): KnownParty {
    const [uri, ...more] = fields.uriNames;
    const party = uri === undefined || more.length > 0 ? undefined : this.#parties.get(uri);
    if (party === undefined) throw new LinkFault("CERT_NAME");
    return party;
  }
}

/** The URI name by which a certificate says whose it is. */
export function partyUri(cluster: string, party: string): string {
  return `quorate://${encodeURIComponent(cluster)}/${encodeURIComponent(party)}`;
}

/** The URI name of an operator's certificate. No party's name holds a slash. */
export function operatorUri(cluster: string, operator: string): string {
  return `quorate://${encodeURIComponent(cluster)}/operator/${encodeURIComponent(operator)}`;
}

/** `sha256/<base64 of SHA-256 of SubjectPublicKeyInfo>`. */
export function pinOfCertificate(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return `sha256/${createHash("sha256").update(spki).digest("base64")}`;
}

/** A certificate that an authority has signed. */
interface Issued {
  readonly bytes: Bytes;
  readonly certificate: X509Certificate;
  readonly authority: Authority;
  /** What it says, once that was read. */
  fields: LeafFields | undefined;
}

/** Certificates whose signature is remembered. */
const ISSUED_MAX = 64;

interface Authority {
  readonly certificate: X509Certificate;
  readonly notBefore: number;
  readonly notAfter: number;
  list: RevocationFields | undefined;
}

function readAuthorities(bundle: string): Authority[] {
  const blocks = pemBlocks("CERTIFICATE", bundle);
  if (blocks.length === 0) {
    throw new UsageError("IDENTITY_INVALID", "the authority file holds no PEM certificate");
  }
  return blocks.map((der) => {
    try {
      const certificate = new X509Certificate(der);
      return {
        certificate,
        notBefore: Date.parse(certificate.validFrom),
        notAfter: Date.parse(certificate.validTo),
        list: undefined,
      };
    } catch (cause) {
      throw new UsageError("IDENTITY_INVALID", "a certificate of the authority file cannot be read", {
        cause,
      });
    }
  });
}

/** A list counts only with the signature of one of the authorities: who can write it could revoke, or restore, anyone. */
function attachLists(authorities: readonly Authority[], lists: string | undefined): void {
  if (lists === undefined) return;
  const blocks = [...pemBlocks("X509 CRL", lists), ...pemBlocks("CRL", lists)];
  if (blocks.length === 0) throw new UsageError("IDENTITY_INVALID", "the revocation file holds no PEM list");
  for (const block of blocks) {
    const list = parseList(block);
    const authority = authorities.find(({ certificate }) => isListOf(list, certificate));
    if (authority === undefined) {
      throw new UsageError(
        "IDENTITY_INVALID",
        "a revocation list is not signed by a configured authority: get it from the authority again",
      );
    }
    if (authority.list === undefined || authority.list.thisUpdate < list.thisUpdate) authority.list = list;
  }
}

function parseList(der: Bytes): RevocationFields {
  try {
    return readRevocationList(der);
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", "a revocation list cannot be read", { cause });
  }
}

/** Whether an authority made and signed a revocation list. */
export function isListOf(list: RevocationFields, authority: X509Certificate): boolean {
  return equal(readSubject(authority.raw), list.issuer) && isListSignedBy(list, authority);
}

function isListSignedBy(list: RevocationFields, authority: X509Certificate): boolean {
  if (!Object.hasOwn(DIGESTS, list.algorithm)) return false;
  try {
    const digest = DIGESTS[list.algorithm as keyof typeof DIGESTS];
    return verify(digest, list.signed, authority.publicKey, list.signature);
  } catch {
    return false;
  }
}

function parseCertificate(bytes: Bytes): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch {
    throw new LinkFault("CERT_MALFORMED");
  }
}

function parseFields(bytes: Bytes): LeafFields {
  try {
    return readLeaf(bytes);
  } catch (error) {
    if (error instanceof DecodeError) {
      throw new LinkFault("CERT_MALFORMED", `the certificate cannot be read: ${error.message}`);
    }
    throw error;
  }
}

function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  try {
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  } catch {
    return false;
  }
}

function isWithin(authority: Authority, nowMs: number): boolean {
  return authority.notBefore <= nowMs && nowMs <= authority.notAfter;
}

function isStrongKey(certificate: X509Certificate): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  if (asymmetricKeyType === "ed25519") return true;
  const curve = asymmetricKeyDetails?.namedCurve ?? "";
  return asymmetricKeyType === "ec" && CURVES.includes(curve);
}

/** The runtime lets a certificate without this extension through, so that absence is judged here too. */
function checkUsage(fields: LeafFields, needed: readonly string[]): void {
  const usage = fields.extendedKeyUsage;
  if (usage === undefined) throw new LinkFault("CERT_USAGE", "the certificate has no extended key usage");
  if (!needed.every((use) => usage.includes(use))) throw new LinkFault("CERT_USAGE");
}

function pemBlocks(label: string, text: string): Bytes[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, "g");
  return [...text.matchAll(pattern)].map(([, body]) => {
    try {
      return Uint8Array.fromBase64((body as string).replace(/\s/g, ""));
    } catch (cause) {
      throw new UsageError("IDENTITY_INVALID", `a PEM block "${label}" is not base64`, { cause });
    }
  });
}

/** As a party's name. */
const OPERATOR_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
const CURVES: readonly string[] = ["prime256v1", "P-256", "secp384r1", "P-384"];
const DIGESTS = {
  [Oid.ecdsaWithSha256]: "sha256",
  [Oid.ecdsaWithSha384]: "sha384",
  [Oid.ed25519]: null,
} as const;
