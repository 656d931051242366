/**
 * `quorate cert create-ca` and `cert rotate-ca`.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { isIssuedBy, putFiles } from "../src/node/certificate_files.ts";
import { CLUSTER_EXPECTED, CLUSTER_PATTERN, type Config } from "../src/node/config.ts";
import { readPublicText } from "../src/node/local_party.ts";
import { createAuthority, createRevocationList, generationOf } from "../src/pki/authority.ts";
import { certificatesIn } from "../src/pki/inspect.ts";
import { listsIn } from "../src/pki/revocation.ts";
import { isThere } from "../src/storage/files.ts";
import { daysOf } from "./cert_options.ts";
import { configOf, optionsOf } from "./options.ts";
import { print } from "./output.ts";

interface CreateOptions {
  readonly cluster: string;
  readonly out: string;
  readonly days?: string;
  readonly force?: boolean;
}

interface RotateOptions {
  readonly days?: string;
  readonly finish?: boolean;
}

/** Adds `cert create-ca`. */
export function addCertCreateCa(cert: Command): void {
  cert.command("create-ca")
    .description("make an authority: ca.pem for all hosts, ca-key.pem for none of them")
    .requiredOption("--cluster <name>", "name of the cluster")
    .option("--out <directory>", "where to make it", "certs")
    .option("--days <number>", "how long it holds (default: 3650)")
    .option("--force", "replace files that are there, and keep copies of them")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<CreateOptions>(command);
      const { cluster, out } = options;
      if (!CLUSTER_PATTERN.test(cluster)) {
        throw new UsageError(
          "USAGE",
          `--cluster must be ${CLUSTER_EXPECTED}: found ${JSON.stringify(cluster)}`,
        );
      }
      const made = await createAuthority({ cluster, days: daysOf(options.days, 3650, 7300) });
      const [certPath, keyPath] = [join(out, "ca.pem"), join(out, "ca-key.pem")];
      const copies = putFiles([
        { path: certPath, content: made.certPem },
        { path: keyPath, content: made.keyPem, secret: true },
      ], options);
      print(
        options.json,
        { certificate: certPath, key: keyPath, copies },
        `${certPath}\n${keyPath}\nkeep ${keyPath} on no party's host\n`,
      );
    });
}

/** Adds `cert rotate-ca`. */
export function addCertRotateCa(cert: Command): void {
  cert.command("rotate-ca")
    .description("add a second authority beside the first one; with --finish, drop the first one")
    .option("--days <number>", "how long the new one holds (default: 3650)")
    .option("--finish", "keep only the newest: when all parties have certificates of it")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<RotateOptions>(command);
      const config = configOf(options);
      const path = config.authorityPath;
      const bundle = certificatesIn(readPublicText(path, "the authority's certificate"));
      const newest = bundle.at(-1);
      if (newest === undefined) throw new UsageError("IDENTITY_INVALID", `${path} holds no certificate`);
      if (options.finish === true) return finish(options.json, config, bundle);
      if (bundle.length > 1) {
        throw new UsageError(
          "USAGE",
          `${path} holds ${bundle.length} authorities already: run rotate-ca --finish when all parties have certificates of the newest`,
        );
      }
      const listPath = listPathOf(config);
      const lists = isThere(listPath) ? readPublicText(listPath, "the revocation lists") : undefined;
      const generation = generationOf(newest) + 1;
      const made = await createAuthority({
        cluster: config.cluster,
        generation,
        days: daysOf(options.days, 3650, 7300),
      });
      const keyPath = join(dirname(path), `ca-key-${generation}.pem`);
      putFiles([{ path: keyPath, content: made.keyPem, secret: true }]);
      // Once the older one is gone, the file must hold a list of this one.
      const added = lists === undefined ? [] : [{
        path: listPath,
        content: lists + await createRevocationList({ authority: made, revoked: [], number: 1 }),
      }];
      const copies = putFiles([{ path, content: newest + made.certPem }, ...added], { force: true });
      print(
        options.json,
        { certificate: path, key: keyPath, copies },
        `${
          [path, ...added.map(({ path }) => path)].join(" and ")
        } now hold both authorities: give them to all hosts, ` +
          `then renew every certificate, then run rotate-ca --finish\n`,
      );
    });
}

function finish(json: boolean | undefined, config: Config, bundle: readonly string[]): void {
  const path = config.authorityPath;
  const newest = bundle.at(-1) as string;
  const files = config.parties.flatMap(({ certPath, node }) => [certPath, node.operatorCertPath]);
  const left = [...new Set(files)].filter((leaf) =>
    isThere(leaf) && !isIssuedBy(readPublicText(leaf, "a certificate"), newest)
  );
  if (left.length > 0) {
    throw new UsageError(
      "USAGE",
      `${left.join(", ")} ${left.length === 1 ? "is" : "are"} not of the newest authority: renew first`,
    );
  }
  // A node refuses a list that none of its authorities has signed.
  const listPath = listPathOf(config);
  const lists = isThere(listPath)
    ? listsIn(readPublicText(listPath, "the revocation lists"), [newest])
      .filter(({ issuer }) => issuer !== undefined)
    : [];
  const changed = lists.length === 0
    ? []
    : [{ path: listPath, content: lists.map(({ pem }) => pem).join("") }];
  const copies = putFiles([{ path, content: newest }, ...changed], { force: true });
  const written = [path, ...changed.map(({ path }) => path)];
  print(
    json,
    { certificate: path, copies },
    `${
      written.join(" and ")
    }: the newest authority alone. Give them to all hosts, and destroy the key of the older one\n`,
  );
}

/** The revocation lists that are kept beside the authority. */
function listPathOf(config: Config): string {
  return config.revocationListPath ?? join(dirname(config.authorityPath), "crl.pem");
}
