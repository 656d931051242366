/**
 * What one party's process must be allowed to do, and nothing else (WIRE.md 7).
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { directoryOf } from "../storage/files.ts";
import {
  type Address,
  type Config,
  formatAddress,
  parseAddress,
  type PartyConfig,
  partyConfig,
} from "./config.ts";
import type { StoresConfig } from "./store_config.ts";

/** Lists of what is allowed. */
export interface Permissions {
  /** Hosts and ports. Deno does not tell listening from connecting. */
  readonly net: readonly string[];
  /** Paths. */
  readonly read: readonly string[];
  /** Paths. */
  readonly write: readonly string[];
}

/** What a command reads and writes beside the party's own files. */
export interface ExtraPermissions {
  /** Paths of input files. */
  readonly read?: readonly string[];
  /** Directories of output files. They are readable too: a rename, without which files could be half-written, needs it. */
  readonly write?: readonly string[];
}

/**
 * What the process of one party needs: its own listening addresses, for peers, operators and monitoring, those of the parties
 * that it dials, and those of its stores; the configuration, the authority, its own certificate and data directory, the
 * certificates by which stores know it, and the operator's certificate, with which a command asks the node that runs.
 *
 * @throws UsageError CONFIG_INVALID for a path or an endpoint that a permission list cannot hold.
 */
export function partyPermissions(config: Config, name: string, extra: ExtraPermissions = {}): Permissions {
  const party = partyConfig(config, name);
  const dialled = config.parties.filter(({ index }) => index > party.index).map(({ address }) => address);
  const outside = (path: string) => !isWithin(path, party.dataDirectory);
  const audit = [party.audit.directory].filter(outside);
  const read = [
    config.path,
    config.authorityPath,
    ...(config.revocationListPath === undefined ? [] : [config.revocationListPath]),
    party.certPath,
    party.node.operatorCertPath,
    party.node.operatorKeyPath,
    ...[party.keyPath, party.identityKeyPath, party.sealing.path].filter(outside),
    ...storeFilesOf(party.stores).filter(outside),
    party.dataDirectory,
    ...audit,
    ...(extra.read ?? []),
    ...(extra.write ?? []),
  ];
  const write = [party.dataDirectory, ...audit, ...(extra.write ?? [])];
  for (const path of [...read, ...write]) requireListable(path);
  return {
    net: unique([...ownAddressesOf(party), ...dialled, ...storeAddressesOf(party.stores)].map(formatAddress)),
    read: unique(read),
    write: unique(write),
  };
}

/**
 * The flags of `deno run` for one party's process, to which the caller adds `--no-prompt`. The environment is hidden but for
 * the variables that override the configuration.
 *
 * @throws UsageError see {@linkcode partyPermissions}
 */
export function permissionFlags(config: Config, name: string, extra: ExtraPermissions = {}): string[] {
  const { net, read, write } = partyPermissions(config, name, extra);
  return [
    "--ignore-env",
    "--allow-env=QUORATE_*",
    `--allow-net=${net.join(",")}`,
    `--allow-read=${read.join(",")}`,
    `--allow-write=${write.join(",")}`,
  ];
}

function ownAddressesOf({ listen, node }: PartyConfig): Address[] {
  const { operatorListen, telemetryListen } = node;
  // Commands ask a node that listens everywhere on this machine's own address.
  const asked = ["0.0.0.0", "::"].includes(operatorListen.host)
    ? [{ ...operatorListen, host: "127.0.0.1" }]
    : [];
  return [listen, operatorListen, ...asked, telemetryListen];
}

function storeAddressesOf({ coordination, records }: StoresConfig): Address[] {
  const etcd = coordination.kind === "etcd" ? coordination.endpoints : [];
  return [
    ...etcd.map(addressOfEndpoint),
    ...(records.kind === "postgres" ? [records.address] : []),
  ];
}

function addressOfEndpoint(endpoint: string): Address {
  const address = parseAddress(endpoint.replace("https://", ""));
  if (address !== undefined) return address;
  throw new UsageError(
    "CONFIG_INVALID",
    `the endpoint ${
      JSON.stringify(endpoint)
    } cannot stand in a list of permissions: write it as https://HOST:PORT`,
  );
}

function storeFilesOf({ coordination, records }: StoresConfig): string[] {
  return [coordination, records].flatMap((store) =>
    store.kind === "sqlite" ? [] : [store.tls.authorityPath, store.tls.certPath, store.tls.keyPath]
  );
}

function isWithin(path: string, directory: string): boolean {
  return directoryOf(path) === directory || path.startsWith(`${directory}/`);
}

function requireListable(path: string): void {
  // A comma would end the entry, and what follows would be granted as a path of its own.
  if (!/[,\n\r"'\0]/.test(path) && path !== "") return;
  throw new UsageError(
    "CONFIG_INVALID",
    `the path ${
      JSON.stringify(path)
    } cannot stand in a list of permissions: rename it without comma, quote and line end`,
  );
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
