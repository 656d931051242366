/**
 * What of a party's files is renewed while it runs: its certificate and key, the authorities, the revocation lists, and the pins
 * in the configuration.
 *
 * @module
 */

import type { AuditEvent } from "../audit/events.ts";
import { UsageError } from "../base/errors.ts";
import { type CertificateDescription, certificatesIn, describeCertificate } from "../pki/inspect.ts";
import { type ListDescription, listsIn } from "../pki/revocation.ts";
import type { MeshMaterial } from "../transport/mesh.ts";
import { checkOwnCertificate } from "../transport/own_identity.ts";
import { LeafPolicy } from "../transport/peer_identity.ts";
import type { Config, PartyConfig } from "./config.ts";
import { withFiles } from "./explain.ts";
import { readPublicText, readSecretText } from "./local_party.ts";

/** What was read and found good, with what it says. */
export interface CertificateMaterial extends MeshMaterial {
  /** The party's own certificate. */
  readonly certificate: CertificateDescription;
  /** The authorities. */
  readonly authorities: readonly CertificateDescription[];
  /** The revocation lists. */
  readonly lists: readonly ListDescription[];
}

/** Something that ends by itself, for metrics and for `doctor`. */
export interface Expiry {
  /** Name of the party or authority, or `revocation list of` and its authority. */
  readonly subject: string;
  /** When. */
  readonly at: Date;
}

/**
 * Reads a party's files and refuses what its peers would refuse: a key of another certificate, a certificate that is not pinned,
 * not of an authority at hand, for another party or out of its dates, a list that nobody signed.
 *
 * @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS
 */
export function loadCertificates(config: Config, party: PartyConfig): CertificateMaterial {
  const material = readMaterial(config, party);
  try {
    checkMaterial(config, party, material);
  } catch (error) {
    throw withFiles(error, filesOf(config, party));
  }
  const { tls, revocationListsPem } = material;
  const authorities = certificatesIn(tls.authoritiesPem);
  return {
    ...material,
    certificate: describeCertificate(tls.certPem, party.certPath),
    authorities: authorities.map((pem) => describeCertificate(pem, config.authorityPath)),
    lists: revocationListsPem === undefined ? [] : listsIn(revocationListsPem, authorities),
  };
}

/** Reads a party's files. @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS */
export function readMaterial(config: Config, party: PartyConfig): MeshMaterial {
  return {
    tls: {
      certPem: readPublicText(party.certPath, `the certificate of ${party.name}`),
      keyPem: readSecretText(party.keyPath, `the TLS key of ${party.name}`),
      authoritiesPem: readPublicText(config.authorityPath, "the authority's certificate"),
    },
    revocationListsPem: config.revocationListPath === undefined
      ? undefined
      : readPublicText(config.revocationListPath, "the revocation list"),
    pins: new Map(config.parties.map(({ index, pins }) => [index, pins])),
  };
}

/** Checks what a party is going to show as its peers will. @throws UsageError IDENTITY_INVALID */
export function checkMaterial(
  { roster }: Config,
  { index }: PartyConfig,
  { tls, revocationListsPem, pins }: MeshMaterial,
): void {
  const policy = new LeafPolicy({
    cluster: roster.cluster,
    authorities: tls.authoritiesPem,
    revocationLists: revocationListsPem,
    parties: roster.parties.map(({ index, name }) => ({ index, name, pins: pins.get(index) ?? [] })),
  });
  checkOwnCertificate({ roster, self: index, tls }, policy);
}

/** What a change of the material is to an audit log. */
export function certificateEvents(former: CertificateMaterial, material: CertificateMaterial): AuditEvent[] {
  const { certificate: { subject, fingerprint, notAfter } } = material;
  const known = new Set(former.lists.flatMap(({ revoked }) => [...revoked]));
  const revoked = material.lists.flatMap(({ issuer = "unknown", revoked }) =>
    [...revoked].filter((serial) => !known.has(serial)).map((serial): AuditEvent => ({
      type: "certificate_revoked",
      outcome: "ok",
      details: { subject: `a certificate of ${issuer}`, serial },
    }))
  );
  if (fingerprint === former.certificate.fingerprint) return revoked;
  const details = { subject, notAfter: notAfter.toISOString() };
  return [{ type: "certificate_renewed", outcome: "ok", details }, ...revoked];
}

/** The files of which the material is read. */
export function filesOf(config: Config, party: PartyConfig): string[] {
  const lists = config.revocationListPath === undefined ? [] : [config.revocationListPath];
  return [party.certPath, party.keyPath, config.authorityPath, ...lists];
}

/** Everything in it that ends by itself. */
export function expiriesOf({ certificate, authorities, lists }: CertificateMaterial): Expiry[] {
  return [certificate, ...authorities].map(({ subject, notAfter }): Expiry => ({ subject, at: notAfter }))
    .concat(
      lists.map(({ issuer, nextUpdate }) => ({ subject: `revocation list of ${issuer}`, at: nextUpdate })),
    );
}

/**
 * Refuses a configuration that is of another cluster, or has other parties: they are in hashes and records of a node that runs.
 *
 * @throws UsageError CONFIG_INVALID
 */
export function requireSameCluster(config: Config, former: Config): void {
  const [now, before] = [config.roster, former.roster].map(({ hash }) => hash.toHex());
  if (now === before) return;
  throw new UsageError(
    "CONFIG_INVALID",
    `${config.path}: the cluster's name, or name, order or identity of a party has changed: restart the node`,
  );
}
