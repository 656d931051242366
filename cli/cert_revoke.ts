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
import { createRevocationList, readRevocationList } from "../src/pki/authority.ts";
import { describeCertificate } from "../src/pki/inspect.ts";
import { isThere } from "../src/storage/files.ts";
import {
  addAuthorityOptions,
  authorityOf,
  authorityPaths,
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

/** Adds `cert revoke`. */
export function addCertRevoke(cert: Command): void {
  addAuthorityOptions(
    cert.command("revoke").description(
      "put a certificate on the authority's revocation list, or make the list anew",
    ),
  )
    .option("--cert <file>", "the certificate (default: that of --party)")
    .option("--refresh", "revoke nothing more: only a list with a later end")
    .option("--crl <file>", "the list (default: that of the configuration, or crl.pem beside the authority)")
    .option(
      "--days <number>",
      "after which the list lets nobody in any more, if it is not made anew (default: 30)",
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RevokeOptions>(command);
      const authority = authorityOf(options);
      const revoked = options.refresh === true ? [] : [certificateOf(options)];
      for (const pem of revoked) {
        if (isIssuedBy(pem, authority.certPem)) continue;
        throw new UsageError("IDENTITY_INVALID", "the certificate is not one of this authority");
      }
      const path = listPath(options);
      const former = isThere(path)
        ? readRevocationList(readPublicText(path, "the revocation list"))
        : undefined;
      const list = await createRevocationList({
        authority,
        revoked,
        ...(former === undefined ? {} : { former: former.entries }),
        number: (former?.number ?? 0) + 1,
        days: daysOf(options.days, 30, 365),
      });
      // The list before is not lost: every entry of it is on the new one.
      const copies = putFiles([{ path, content: list }], { force: true });
      for (const copy of copies) Deno.removeSync(copy);
      const { entries, number } = readRevocationList(list);
      const serials = revoked.map((pem) => describeCertificate(pem, "the certificate").serial);
      print(
        options.json,
        { list: path, number, revoked: serials, entries: entries.length },
        `${path} (number ${number}, ${entries.length} certificates): give it to all hosts, and name it as crl_path\n`,
      );
    });
}

function certificateOf({ cert, party, ...options }: RevokeOptions): string {
  if (cert !== undefined) return readPublicText(cert, "the certificate");
  if (party !== undefined) {
    return readPublicText(partyConfig(configOf(options), party).certPath, "the certificate");
  }
  throw new UsageError("USAGE", "--cert or --party is needed: it names the certificate that holds no longer");
}

function listPath(options: RevokeOptions): string {
  if (options.crl !== undefined) return options.crl;
  const configured = isThere(options.config) ? configOf(options).revocationListPath : undefined;
  return configured ?? join(dirname(authorityPaths(options).cert), "crl.pem");
}
