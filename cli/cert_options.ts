/**
 * What the commands on certificates have in common: where the authority is, and for whom a certificate is.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { readAuthorities } from "../src/node/certificate_files.ts";
import {
  CLUSTER_PATTERN,
  type Config,
  NAME_PATTERN,
  type PartyConfig,
  partyConfig,
} from "../src/node/config.ts";
import type { CertifiedKey } from "../src/pki/authority.ts";
import { isThere } from "../src/storage/files.ts";
import { configOf, type GlobalOptions, wholeNumber } from "./options.ts";

/** Where the authority is. */
export interface AuthorityPlace extends GlobalOptions {
  readonly ca?: string;
  readonly caKey?: string;
}

/** For whom a certificate is, where no configuration says so. */
export interface SubjectOptions extends GlobalOptions {
  readonly cluster?: string;
  readonly host?: string;
}

/** Adds the options that say where the authority is. */
export function addAuthorityOptions(command: Command): Command {
  return command
    .option("--ca <file>", "the authority's certificate (default: that of the configuration)")
    .option("--ca-key <file>", "its private key (default: ca-key.pem or ca-key-N.pem beside it)");
}

/** Adds the options that say for whom a certificate is. */
export function addSubjectOptions(command: Command): Command {
  return command
    .option("--cluster <name>", "name of the cluster (default: that of the configuration)")
    .option("--host <host>", "name or address that the others dial (default: that of the configuration)");
}

/** Where the authorities' certificates are. */
export function authorityPath({ ca, ...rest }: AuthorityPlace): string {
  return ca ?? configOf(rest).authorityPath;
}

/** The authorities whose keys are here, the newest last; at least one. @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS */
export function authoritiesOf(options: AuthorityPlace): readonly CertifiedKey[] {
  const { caKey } = options;
  return readAuthorities({
    certPath: authorityPath(options),
    ...(caKey === undefined ? {} : { keyPath: caKey }),
  });
}

/** The newest authority whose key is here. @throws UsageError IDENTITY_INVALID or LOOSE_PERMISSIONS */
export function authorityOf(options: AuthorityPlace): CertifiedKey {
  return authoritiesOf(options).at(-1) as CertifiedKey;
}

/** The party's name, cluster and host. @throws UsageError USAGE */
export function subjectOf(
  options: SubjectOptions,
): { readonly cluster: string; readonly party: string; readonly host: string; readonly known?: PartyConfig } {
  const { party } = options;
  if (party === undefined || !NAME_PATTERN.test(party)) {
    throw new UsageError("USAGE", "--party is missing: it names the party that the certificate is for");
  }
  const config = configIfThere(options);
  const known = config?.parties.some(({ name }) => name === party) === true
    ? partyConfig(config, party)
    : undefined;
  const cluster = clusterNameOf(options);
  const host = options.host ?? known?.address.host;
  if (host === undefined) {
    throw new UsageError("USAGE", `--host is missing: ${party} is not in the configuration`);
  }
  return { cluster, party, host, ...(known === undefined ? {} : { known }) };
}

/** Name of the cluster. @throws UsageError USAGE */
export function clusterNameOf(options: Omit<SubjectOptions, "host">): string {
  const cluster = options.cluster ?? configIfThere(options)?.cluster;
  if (cluster !== undefined && CLUSTER_PATTERN.test(cluster)) return cluster;
  throw new UsageError("USAGE", "--cluster is missing: there is no configuration that names it");
}

/** A number of days. @throws UsageError USAGE */
export function daysOf(text: string | undefined, otherwise: number, most: number): number {
  const days = text === undefined ? otherwise : wholeNumber(text, "--days");
  if (days >= 1 && days <= most) return days;
  throw new UsageError("USAGE", `--days is a whole number from 1 to ${most}: found ${days}`);
}

function configIfThere(options: GlobalOptions): Config | undefined {
  return isThere(options.config) ? configOf(options) : undefined;
}
