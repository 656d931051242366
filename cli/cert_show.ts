/**
 * `quorate cert list`, `cert inspect` and `cert needs-renewal`.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { isIssuedBy } from "../src/node/certificate_files.ts";
import type { Config, PartyConfig } from "../src/node/config.ts";
import { readPublicText } from "../src/node/local_party.ts";
import {
  type CertificateDescription,
  certificatesIn,
  daysUntil,
  describeCertificate,
} from "../src/pki/inspect.ts";
import { type ListDescription, listsIn } from "../src/pki/revocation.ts";
import { isThere } from "../src/storage/files.ts";
import { daysOf } from "./cert_options.ts";
import { configOf, type GlobalOptions, optionsOf } from "./options.ts";
import { print, table } from "./output.ts";

/** How a certificate stands. */
type Status =
  | "good"
  | "not here"
  | "expired"
  | "not yet valid"
  | "revoked"
  | "other authority"
  | "not pinned";

interface Listed {
  readonly name: string;
  readonly file: string;
  readonly status: Status;
  readonly daysLeft?: number;
  readonly notAfter?: string;
  readonly issuer?: string;
  readonly serial?: string;
  readonly pin?: string;
}

/** What stands for a revocation list where certificates have their names. */
const REVOKED_BY = "revocation list";
/** A revocation list is to be made anew this long before it ends. */
const LIST_DAYS = 7;

/** Adds `cert list`. */
export function addCertList(cert: Command): void {
  cert.command("list").description("authorities and certificates of the configuration that are on this host")
    .action((_options: unknown, command: Command) => {
      const options = optionsOf(command);
      const listed = listOf(configOf(options));
      const rows = listed.map(({ name, status, daysLeft, issuer, file }) => [
        name,
        status,
        daysLeft === undefined ? "" : `${daysLeft} days`,
        issuer ?? "",
        file,
      ]);
      print(options.json, listed, table(rows));
    });
}

/** Adds `cert inspect`. */
export function addCertInspect(cert: Command): void {
  cert.command("inspect").description("what certificates say").argument("<file...>", "PEM, also bundles")
    .action((files: string[], _options: unknown, command: Command) => {
      const options = optionsOf(command);
      const all = files.flatMap((file) => {
        const found = certificatesIn(readPublicText(file, "a certificate"));
        if (found.length === 0) throw new UsageError("IDENTITY_INVALID", `${file} holds no certificate`);
        return found.map((pem) => ({ file, ...describeCertificate(pem, file) }));
      });
      const text = all.map((one) =>
        table(Object.entries(jsonOf(one)).map(([key, value]) => [key, String(value)]))
      );
      print(options.json, all.map(jsonOf), text.join("\n"));
    });
}

/** Adds `cert needs-renewal`. */
export function addCertNeedsRenewal(cert: Command): void {
  cert.command("needs-renewal")
    .description("exit code 1 where a certificate on this host ends soon, or is good for nothing")
    .option("--days <number>", "how soon (default: 30)")
    .action((_options: unknown, command: Command) => {
      const options = optionsOf<GlobalOptions & { readonly days?: string }>(command);
      const within = daysOf(options.days, 30, 3650);
      const due = listOf(configOf(options)).filter(({ name, status, daysLeft }) => {
        // Lists are made for a month: they would be due all the time.
        const limit = name === REVOKED_BY ? Math.min(within, LIST_DAYS) : within;
        return (options.party === undefined || name === options.party) && status !== "not here" &&
          (status !== "good" || (daysLeft ?? 0) < limit);
      });
      print(options.json, due, due.length === 0 ? "none\n" : "");
      if (due.length === 0) return;
      const said = due.map(({ name, status, daysLeft }) =>
        `${name} (${status === "good" ? `${daysLeft} days left` : status})`
      );
      throw new UsageError(
        "CERT_DUE",
        `renew ${
          said.join(", ")
        }: cert renew, cert rotate-ca for an authority, cert revoke --refresh for a list`,
      );
    });
}

function listOf(config: Config): Listed[] {
  const now = Date.now();
  const path = config.authorityPath;
  const bundle = certificatesIn(readPublicText(path, "the authority's certificate"));
  const listPath = config.revocationListPath;
  const lists = listPath === undefined || !isThere(listPath)
    ? []
    : listsIn(readPublicText(listPath, "the revocation lists"), bundle);
  const authorities = bundle.map((pem) => {
    const one = describeCertificate(pem, path);
    return listed(one.subject, path, one, dateStatus(one, now), now);
  });
  return [
    ...authorities,
    ...lists.map((list) => listedList(listPath as string, list, now)),
    ...config.parties.map((party) => leafOf(party, bundle, lists, now)),
    ...operatorsOf(config, bundle, lists, now),
  ];
}

/** The certificates by which the parties' operators are known; most clusters have one for all. */
function operatorsOf(
  config: Config,
  bundle: readonly string[],
  lists: readonly ListDescription[],
  now: number,
): Listed[] {
  const paths = new Set(config.parties.map(({ node }) => node.operatorCertPath));
  return [...paths].filter(isHere).map((certPath) => {
    const { subject } = describeCertificate(readPublicText(certPath, "an operator's certificate"), certPath);
    return leafOf({ name: `operator ${subject}`, certPath }, bundle, lists, now);
  });
}

function leafOf(
  party: Pick<PartyConfig, "name" | "certPath"> & Partial<Pick<PartyConfig, "pins">>,
  bundle: readonly string[],
  lists: readonly ListDescription[],
  now: number,
): Listed {
  const { name, certPath, pins } = party;
  if (!isHere(certPath)) return { name, file: certPath, status: "not here" };
  const pem = readPublicText(certPath, `the certificate of ${name}`);
  const one = describeCertificate(pem, certPath);
  const status = !bundle.some((authority) => isIssuedBy(pem, authority))
    ? "other authority"
    : lists.some(({ issuer, revoked }) => issuer === one.issuer && revoked.has(one.serial))
    ? "revoked"
    : pins?.includes(one.pin) === false
    ? "not pinned"
    : dateStatus(one, now);
  return listed(name, certPath, one, status, now);
}

/** A party's own process may not look at what belongs to others: for it, that is not here. */
function isHere(path: string): boolean {
  try {
    return isThere(path);
  } catch (error) {
    if (error instanceof UsageError && error.cause instanceof Deno.errors.NotCapable) return false;
    throw error;
  }
}

function listed(
  name: string,
  file: string,
  one: CertificateDescription,
  status: Status,
  now: number,
): Listed {
  const { notAfter, issuer, serial, pin } = one;
  return {
    name,
    file,
    status,
    daysLeft: daysUntil(notAfter, now),
    notAfter: notAfter.toISOString(),
    issuer,
    serial,
    pin,
  };
}

function listedList(file: string, { issuer, nextUpdate }: ListDescription, now: number): Listed {
  return {
    name: REVOKED_BY,
    file,
    status: issuer === undefined ? "other authority" : now > nextUpdate.getTime() ? "expired" : "good",
    daysLeft: daysUntil(nextUpdate, now),
    notAfter: nextUpdate.toISOString(),
    ...(issuer === undefined ? {} : { issuer }),
  };
}

function dateStatus({ notBefore, notAfter }: CertificateDescription, now: number): Status {
  if (now > notAfter.getTime()) return "expired";
  return now < notBefore.getTime() ? "not yet valid" : "good";
}

function jsonOf(one: CertificateDescription & { readonly file: string }): Record<string, unknown> {
  return {
    file: one.file,
    subject: one.subject,
    issuer: one.issuer,
    serial: one.serial,
    notBefore: one.notBefore.toISOString(),
    notAfter: one.notAfter.toISOString(),
    daysLeft: daysUntil(one.notAfter, Date.now()),
    authority: one.isAuthority,
    uris: one.uris,
    hosts: one.hosts,
    purposes: one.purposes,
    pin: one.pin,
    fingerprint: one.fingerprint,
  };
}
