/**
 * `quorate cert revoke`.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { isIssuedBy, putFiles } from "../src/node/certificate_files.ts";
import { partyConfig } from "../src/node/config.ts";
import { readPublicText } from "../src/node/local_party.ts";
import { type CertifiedKey, createRevocationList, readRevocationList } from "../src/pki/authority.ts";
import { certificatesIn, describeCertificate } from "../src/pki/inspect.ts";
import { type ListDescription, listsIn } from "../src/pki/revocation.ts";
import { isThere } from "../src/storage/files.ts";
import {
  addAuthorityOptions,
  authoritiesOf,
  authorityPath,
  type AuthorityPlace,
  daysOf,
} from "./cert_options.ts";
import { configOf, optionsOf } from "./options.ts";
import { print } from "./output.ts";

interface RevokeOptions extends AuthorityPlace {
  readonly cert?: string;
  readonly crl?: string;
  readonly days?: string;
  readonly refresh?: boolean;
}

/** A list as it is written. */
interface MadeList {
  readonly issuer: string;
  readonly pem: string;
}

/** Adds `cert revoke`. */
export function addCertRevoke(cert: Command): void {
  addAuthorityOptions(
    cert.command("revoke").description(
      "put a certificate on its authority's revocation list, or make the lists anew",
    ),
  )
    .option("--cert <file>", "the certificate (default: that of --party)")
    .option("--refresh", "revoke nothing more: only lists with a later end")
    .option(
      "--crl <file>",
      "the lists (default: those of the configuration, or crl.pem beside the authority)",
    )
    .option(
      "--days <number>",
      "after which a list lets nobody in any more, if it is not made anew (default: 30)",
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RevokeOptions>(command);
      const authorities = authoritiesOf(options);
      const revoked = options.refresh === true ? undefined : certificateOf(options);
      const path = listPath(options);
      const former = formerLists(options, path);
      const made: MadeList[] = [];
      for (const authority of revoked === undefined ? authorities : [issuerOf(revoked, authorities)]) {
        made.push(await nextList(authority, revoked, former, daysOf(options.days, 30, 365)));
      }
      // Lists of authorities whose key is elsewhere stay as they are.
      const kept = former.filter(({ issuer }) => made.every((list) => list.issuer !== issuer));
      // The lists before are not lost: every entry of them is on the new ones.
      const content = [...kept, ...made].map(({ pem }) => pem).join("");
      for (const copy of putFiles([{ path, content }], { force: true })) Deno.removeSync(copy);
      report(options, path, made, revoked);
    });
}

async function nextList(
  authority: CertifiedKey,
  revoked: string | undefined,
  former: readonly ListDescription[],
  days: number,
): Promise<MadeList> {
  const issuer = describeCertificate(authority.certPem, "the authority's certificate").subject;
  const before = former.find((list) => list.issuer === issuer);
  const { number, entries } = before === undefined
    ? { number: 0, entries: [] }
    : readRevocationList(before.pem);
  const pem = await createRevocationList({
    authority,
    revoked: revoked === undefined ? [] : [revoked],
    former: entries,
    number: number + 1,
    days,
  });
  return { issuer, pem };
}

function report(
  { json }: RevokeOptions,
  path: string,
  made: readonly MadeList[],
  revoked: string | undefined,
): void {
  const lists = made.map(({ issuer, pem }) => {
    const { number, entries } = readRevocationList(pem);
    return { issuer, number, entries: entries.length };
  });
  const serials = revoked === undefined ? [] : [describeCertificate(revoked, "the certificate").serial];
  const lines = lists.map(({ issuer, number, entries }) =>
    `${issuer}: list ${number}, ${entries} certificate${entries === 1 ? "" : "s"}\n`
  );
  print(
    json,
    { file: path, lists, revoked: serials },
    `${path}\n${lines.join("")}give it to all hosts, and name it as crl_path in the configuration\n`,
  );
}

function certificateOf({ cert, party, ...options }: RevokeOptions): string {
  if (cert !== undefined) return readPublicText(cert, "the certificate");
  if (party !== undefined) {
    return readPublicText(partyConfig(configOf(options), party).certPath, "the certificate");
  }
  throw new UsageError("USAGE", "--cert or --party is needed: it names the certificate that holds no longer");
}

function issuerOf(certPem: string, authorities: readonly CertifiedKey[]): CertifiedKey {
  describeCertificate(certPem, "the certificate to revoke");
  const issuer = authorities.find((authority) => isIssuedBy(certPem, authority.certPem));
  if (issuer !== undefined) return issuer;
  throw new UsageError(
    "IDENTITY_INVALID",
    "the certificate is of no authority whose key is here: run this where its key is kept",
  );
}

/** What is in the file now. A list that none of the authorities signed would be carried on for ever. */
function formerLists(options: RevokeOptions, path: string): readonly (ListDescription & MadeList)[] {
  if (!isThere(path)) return [];
  const bundle = certificatesIn(readPublicText(authorityPath(options), "the authority's certificate"));
  return listsIn(readPublicText(path, "the revocation lists"), bundle).map((list) => {
    const { issuer } = list;
    if (issuer !== undefined) return { ...list, issuer };
    throw new UsageError(
      "IDENTITY_INVALID",
      `${path} holds a list that no authority in use has signed: take it out, or name another file with --crl`,
    );
  });
}

function listPath(options: RevokeOptions): string {
  if (options.crl !== undefined) return options.crl;
  const configured = isThere(options.config) ? configOf(options).revocationListPath : undefined;
  return configured ?? join(dirname(authorityPath(options)), "crl.pem");
}
