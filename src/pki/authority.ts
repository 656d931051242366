/**
 * The cluster's certificate authority: it issues one leaf certificate per party and says which are revoked. P-256 with
 * ECDSA-SHA-256 throughout.
 *
 * @module
 */

// @peculiar/x509 needs the metadata API before it is loaded.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { UsageError } from "../base/errors.ts";
import { type Rng, systemRng } from "../base/rng.ts";
import { operatorUri, partyUri } from "../transport/peer_identity.ts";
import { ALGORITHM, exportKey, generateKeys, importKey, isIpAddress } from "./keys.ts";
import { fromPem, toPem } from "./pem.ts";
import { requestedKey } from "./request.ts";

/** A certificate and its private key, both PEM. */
export interface CertifiedKey {
  /** The certificate. */
  readonly certPem: string;
  /** PKCS #8. Secret. */
  readonly keyPem: string;
}

/** When a certificate begins and how long it holds. */
export interface Validity {
  /** Default: now, less five minutes for clocks that are behind. */
  readonly notBefore?: Date;
  /** Days from `notBefore`. */
  readonly days?: number;
}

/** What {@linkcode createAuthority} needs. */
export interface AuthorityOptions extends Validity {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Which authority of the cluster it is, from 1: two that overlap differ in their names. Default: 1. */
  readonly generation?: number;
  /** Draws the serial number; default: the system's. */
  readonly rng?: Rng;
}

/** What {@linkcode issueLeaf} needs. */
export interface LeafOptions extends Validity {
  /** Who signs. */
  readonly authority: CertifiedKey;
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the party. */
  readonly party: string;
  /** DNS name or IP address under which the others dial the party. */
  readonly host: string;
  /** Draws the serial number; default: the system's. */
  readonly rng?: Rng;
}

/** What {@linkcode issueOperator} needs. */
export interface OperatorOptions extends Validity {
  /** Who signs. */
  readonly authority: CertifiedKey;
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the operator. */
  readonly operator: string;
  /** Draws the serial number; default: the system's. */
  readonly rng?: Rng;
}

/** One certificate on a list. */
export interface RevokedEntry {
  /** Hexadecimal of its serial number. */
  readonly serial: string;
  /** Since when it holds no longer. */
  readonly date: Date;
}

/** What {@linkcode createRevocationList} needs. */
export interface RevocationListOptions {
  /** Who signs. */
  readonly authority: CertifiedKey;
  /** Certificates (PEM) that hold no longer. */
  readonly revoked: readonly string[];
  /** What an earlier list has: it stays on the new one. */
  readonly former?: readonly RevokedEntry[];
  /** Grows with each list of one authority. */
  readonly number: number;
  /** Default: now. */
  readonly thisUpdate?: Date;
  /** After this many days the list refuses new links, default 30. */
  readonly days?: number;
}

/** Makes a self-signed authority that may issue leaves but no further authorities. Default: ten years. */
export async function createAuthority(options: AuthorityOptions): Promise<CertifiedKey> {
  const keys = await generateKeys();
  const { notBefore, notAfter } = validity(options, 3650);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(options.rng ?? systemRng),
    name: [{ O: ["quorate"] }, { CN: [authorityName(options)] }],
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: text(certificate.toString("pem")), keyPem: await exportKey(keys.privateKey) };
}

/**
 * Issues the certificate by which a party is known on the wire: exactly one URI name, `quorate://CLUSTER/PARTY`, beside the
 * name of its host, for both sides of TLS. Default: 90 days.
 *
 * @throws UsageError IDENTITY_INVALID if the authority's certificate or key is malformed.
 */
export async function issueLeaf(options: LeafOptions): Promise<CertifiedKey> {
  const keys = await generateKeys();
  return {
    certPem: await certify(partySubject(options), keys.publicKey),
    keyPem: await exportKey(keys.privateKey),
  };
}

/**
 * Issues the same certificate for a key that was made elsewhere. Of the request only the key is used.
 *
 * @returns the certificate, PEM.
 * @throws UsageError IDENTITY_INVALID if the request is malformed or not signed by its own key.
 */
export async function issueRequested(
  options: LeafOptions & { readonly requestPem: string },
): Promise<string> {
  return await certify(partySubject(options), await requestedKey(options.requestPem));
}

/**
 * Issues the certificate by which an operator is known to nodes: the URI name `quorate://CLUSTER/operator/NAME`, for clients only,
 * so that no party takes it for one of a peer. Default: 90 days.
 *
 * @throws UsageError IDENTITY_INVALID if the authority's certificate or key is malformed.
 */
export async function issueOperator(options: OperatorOptions): Promise<CertifiedKey> {
  const keys = await generateKeys();
  const { operator, cluster } = options;
  const subject = {
    ...options,
    name: operator,
    usages: [x509.ExtendedKeyUsage.clientAuth],
    names: [{ type: "url" as const, value: operatorUri(cluster, operator) }],
  };
  return { certPem: await certify(subject, keys.publicKey), keyPem: await exportKey(keys.privateKey) };
}

/** Whom a certificate is about. */
interface Subject extends Validity {
  readonly authority: CertifiedKey;
  readonly name: string;
  readonly usages: x509.ExtendedKeyUsage[];
  readonly names: { readonly type: "url" | "ip" | "dns"; readonly value: string }[];
  readonly rng?: Rng;
}

function partySubject(options: LeafOptions): Subject {
  const { cluster, party, host } = options;
  return {
    ...options,
    name: party,
    usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
    names: [
      { type: "url", value: partyUri(cluster, party) },
      { type: isIpAddress(host) ? "ip" : "dns", value: host },
    ],
  };
}

async function certify(options: Subject, publicKey: CryptoKey | x509.PublicKey): Promise<string> {
  const issuer = readCertificate(options.authority.certPem, "the authority's certificate");
  const { notBefore, notAfter } = validity(options, 90);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(options.rng ?? systemRng),
    subject: [{ O: ["quorate"] }, { CN: [options.name] }],
    issuer: issuer.subject,
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    signingKey: await importKey(options.authority.keyPem),
    publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(options.usages),
      new x509.SubjectAlternativeNameExtension(options.names),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return text(certificate.toString("pem"));
}

/**
 * Signs the list of revoked certificates.
 *
 * @returns PEM with the label that OpenSSL reads, `X509 CRL`.
 * @throws UsageError IDENTITY_INVALID if a certificate or the authority's key is malformed.
 */
export async function createRevocationList(options: RevocationListOptions): Promise<string> {
  const issuer = readCertificate(options.authority.certPem, "the authority's certificate");
  const thisUpdate = options.thisUpdate ?? new Date();
  const list = await x509.X509CrlGenerator.create({
    issuer: issuer.subject,
    thisUpdate,
    nextUpdate: new Date(thisUpdate.getTime() + (options.days ?? 30) * DAY_MS),
    entries: entriesOf(options, thisUpdate),
    signingAlgorithm: ALGORITHM,
    signingKey: await importKey(options.authority.keyPem),
    extensions: [
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      new x509.Extension(CRL_NUMBER, false, derInteger(options.number)),
    ],
  });
  return toPem("X509 CRL", new Uint8Array(list.rawData));
}

/** The generation of an authority by its name; 1 for one that was not made here. */
export function generationOf(certPem: string): number {
  const { subject } = readCertificate(certPem, "the authority's certificate");
  return Number(/ CA ([0-9]{1,4})$/m.exec(subject)?.[1] ?? 1);
}

function authorityName({ cluster, generation = 1 }: AuthorityOptions): string {
  return generation === 1 ? `${cluster} CA` : `${cluster} CA ${generation}`;
}

/** What a revocation list has, for the next one. @throws UsageError IDENTITY_INVALID */
export function readRevocationList(
  pem: string,
): { readonly number: number; readonly entries: readonly RevokedEntry[] } {
  const der = fromPem("X509 CRL", pem, "the revocation list");
  try {
    const list = new x509.X509Crl(der);
    const number = list.extensions.find(({ type }) => type === CRL_NUMBER)?.value;
    return {
      number: number === undefined ? 0 : readDerInteger(new Uint8Array(number)),
      entries: list.entries.map(({ serialNumber, revocationDate }) => ({
        serial: serialNumber,
        date: revocationDate,
      })),
    };
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", "the revocation list cannot be read", { cause });
  }
}

function entriesOf({ revoked, former = [] }: RevocationListOptions, now: Date) {
  const entries = new Map(former.map(({ serial, date }) => [serial.toLowerCase(), date]));
  for (const pem of revoked) {
    const { serialNumber } = readCertificate(pem, "a certificate to revoke");
    if (!entries.has(serialNumber.toLowerCase())) entries.set(serialNumber.toLowerCase(), now);
  }
  return [...entries].map(([serialNumber, revocationDate]) => ({ serialNumber, revocationDate }));
}

function validity(options: Validity, defaultDays: number): { notBefore: Date; notAfter: Date } {
  const notBefore = options.notBefore ?? new Date(Date.now() - CLOCK_SLACK_MS);
  return { notBefore, notAfter: new Date(notBefore.getTime() + (options.days ?? defaultDays) * DAY_MS) };
}

function readCertificate(pem: string, what: string): x509.X509Certificate {
  const der = fromPem("CERTIFICATE", pem, what);
  try {
    return new x509.X509Certificate(der);
  } catch (cause) {
    throw new UsageError("IDENTITY_INVALID", `${what} is not an X.509 certificate`, { cause });
  }
}

/** 16 random bytes whose first is 0x40 to 0x7f: positive, and of one length whichever way it is written. */
function serial(rng: Rng): string {
  const bytes = rng.bytes(16);
  bytes[0] = (bytes[0] as number) & 0x3f | 0x40;
  return bytes.toHex();
}

/** @peculiar/x509 writes no last newline; other tools expect one when files are joined. */
function text(pem: string): string {
  return pem.endsWith("\n") ? pem : pem + "\n";
}

function derInteger(value: number): Uint8Array<ArrayBuffer> {
  const hexadecimal = value.toString(16);
  const bytes = Uint8Array.fromHex(hexadecimal.length % 2 === 0 ? hexadecimal : `0${hexadecimal}`);
  const padded = (bytes[0] as number) >= 0x80 ? Uint8Array.of(0, ...bytes) : bytes;
  return Uint8Array.of(0x02, padded.length, ...padded);
}

function readDerInteger(der: Uint8Array): number {
  return Number(BigInt(`0x${der.subarray(2).toHex() || "0"}`));
}

const DAY_MS = 86_400_000;
const CLOCK_SLACK_MS = 300_000;
/** id-ce-cRLNumber (RFC 5280, 5.2.3). */
const CRL_NUMBER = "2.5.29.20";
