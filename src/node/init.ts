/**
 * Makes a new cluster: authority, certificates, identity keys, sealing keys and the configuration file. Nothing is
 * overwritten, and nothing is left half-written.
 *
 * @module
 */

import { join } from "node:path";
import { hex, utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { systemRng } from "../base/rng.ts";
import { type CertifiedKey, createAuthority, issueLeaf, issueOperator } from "../pki/authority.ts";
import { generateIdentity } from "../pki/identity.ts";
import { pinOf } from "../pki/pin.ts";
import { faultBounds } from "../voting/membership.ts";
import { DIRECTORY_MODE, FILE_MODE, isThere, reasonOf, syncDirectory, writeWhole } from "../storage/files.ts";
import {
  type Address,
  CLUSTER_EXPECTED,
  CLUSTER_PATTERN,
  formatAddress,
  NAME_EXPECTED,
  NAME_PATTERN,
  parseConfig,
} from "./config.ts";
import { OPERATOR_DIRECTORY } from "./node_config.ts";
import { defaultQuorum } from "./voting_config.ts";

/** What a new cluster is. */
export interface InitOptions {
  /** Names of the parties in index order. */
  readonly names: readonly string[];
  /** Where `quorate.toml`, `certs` and `data` are made. Made itself where it is not there. */
  readonly directory: string;
  /** Name of the cluster. */
  readonly cluster: string;
  /** Port of the first party on this machine; the next has the next one. Default 9101. */
  readonly basePort?: number;
  /** Addresses of all parties, instead of ports on this machine. */
  readonly hosts?: ReadonlyMap<string, Address>;
  /** How many equal votes decide. Default: for 4 parties and more, {@linkcode defaultQuorum}; fewer do not vote. */
  readonly quorum?: number;
  /** How many parties sign: written as the policy of keys that name none. */
  readonly threshold?: number;
  /** Default: the system's. */
  readonly rng?: Rng;
}

/** What was made. */
export interface InitResult {
  /** The configuration file. */
  readonly configPath: string;
  /** The authority's private key: belongs on no party's host. */
  readonly authorityKeyPath: string;
  /** Addresses by name. */
  readonly addresses: ReadonlyMap<string, Address>;
}

/**
 * Makes a new cluster.
 *
 * @throws UsageError USAGE, FILE_EXISTS or FILE_UNWRITABLE, with nothing left behind.
 */
export async function initCluster(options: InitOptions): Promise<InitResult> {
  const { directory, names, threshold } = options;
  checkNames(names);
  if (!CLUSTER_PATTERN.test(options.cluster)) {
    throw new UsageError(
      "USAGE",
      `--cluster must be ${CLUSTER_EXPECTED}: found ${JSON.stringify(options.cluster)}`,
    );
  }
  const addresses = addressesOf(options);
  if (
    threshold !== undefined && !(Number.isInteger(threshold) && threshold >= 2 && threshold <= names.length)
  ) {
    throw new UsageError(
      "USAGE",
      `--threshold is a whole number from 2 to ${names.length}: found ${threshold}`,
    );
  }
  for (const entry of ENTRIES) refuseExisting(join(directory, entry));

  const existed = isThere(directory);
  const workshop = join(directory, `.init-${hex((options.rng ?? systemRng).bytes(8))}`);
  try {
    makeDirectory(workshop, DIRECTORY_MODE);
    await fill(workshop, options, addresses);
    const text = Deno.readTextFileSync(join(workshop, CONFIG));
    parseConfig(text, join(directory, CONFIG));
    moveInto(workshop, directory);
  } catch (error) {
    if (!existed) removeTree(directory);
    if (error instanceof UsageError) throw error;
    throw new UsageError("FILE_UNWRITABLE", `cannot make the cluster in ${directory}: ${reasonOf(error)}`, {
      cause: error,
    });
  } finally {
    removeTree(workshop);
  }
  return {
    configPath: join(directory, CONFIG),
    authorityKeyPath: join(directory, "certs", AUTHORITY_KEY),
    addresses,
  };
}

const CONFIG = "quorate.toml";
/** The smallest membership that survives one member who cheats and one who is away. */
const VOTERS_MIN = 4;
const AUTHORITY_KEY = "ca-key.pem";
/** In the order in which they are moved into place: with the last one the cluster is there. */
const ENTRIES = ["certs", "data", CONFIG] as const;
const PUBLIC_FILE_MODE = 0o644;
const PUBLIC_DIRECTORY_MODE = 0o755;
/** Name of the first operator. */
const OPERATOR = "admin";

async function fill(
  root: string,
  options: InitOptions,
  addresses: ReadonlyMap<string, Address>,
): Promise<void> {
  const rng = options.rng ?? systemRng;
  const { cluster } = options;
  const authority = await createAuthority({ cluster, rng });
  makeDirectory(join(root, "certs"), PUBLIC_DIRECTORY_MODE);
  makeDirectory(join(root, "data"), PUBLIC_DIRECTORY_MODE);
  write(join(root, "certs", "ca.pem"), utf8(authority.certPem), PUBLIC_FILE_MODE);
  write(join(root, "certs", AUTHORITY_KEY), utf8(authority.keyPem), FILE_MODE);

  const operator = await issueOperator({ authority, cluster, operator: OPERATOR, rng });
  makeDirectory(join(root, "certs", OPERATOR_DIRECTORY), DIRECTORY_MODE);
  write(join(root, "certs", OPERATOR_DIRECTORY, "cert.pem"), utf8(operator.certPem), PUBLIC_FILE_MODE);
  write(join(root, "certs", OPERATOR_DIRECTORY, "key.pem"), utf8(operator.keyPem), FILE_MODE);

  const parties: string[] = [];
  for (const [name, address] of addresses) {
    const leaf = await issueLeaf({ authority, cluster, party: name, host: address.host, rng });
    parties.push(fillParty({ root, name, address, leaf, rng }));
  }
  const policy = options.threshold === undefined
    ? ""
    : `key_policy = ${quoted(`${options.threshold} of (${options.names.join(", ")})`)}\n`;
  const head = `cluster = ${
    quoted(cluster)
  }\nca_cert_path = "certs/ca.pem"\ntimeout_seconds = 30\nbit_length = 256\n`;
  const voting = votingSection(options);
  write(join(root, CONFIG), utf8(head + policy + parties.join("") + voting), PUBLIC_FILE_MODE);
}

/** Four and more parties vote: fewer survive no fault, which somebody has to want. */
function votingSection({ names, quorum }: InitOptions): string {
  if (quorum === undefined && names.length < VOTERS_MIN) return "";
  const chosen = quorum ?? defaultQuorum(names.length);
  const { safe, live } = faultBounds(names.length, chosen);
  if (Math.min(safe, live) >= 1) {
    // Written out: a party that is added later does not vote before the members have decided so.
    return `\n[voting]\nmembers = [${names.map(quoted).join(", ")}]\nquorum = ${chosen}\n`;
  }
  throw new UsageError(
    "USAGE",
    `a quorum of ${chosen} of ${names.length} survives no fault: choose ${
      defaultQuorum(names.length)
    } with 4 parties or more, or write faults = 0 beside it in the configuration`,
  );
}

/** Writes a party's files. @returns its table of the configuration. */
function fillParty(
  input: {
    readonly root: string;
    readonly name: string;
    readonly address: Address;
    readonly leaf: CertifiedKey;
    readonly rng: Rng;
  },
): string {
  const { root, name, address, leaf, rng } = input;
  const identity = generateIdentity(rng);
  makeDirectory(join(root, "certs", name), DIRECTORY_MODE);
  makeDirectory(join(root, "data", name), DIRECTORY_MODE);
  write(join(root, "certs", name, "cert.pem"), utf8(leaf.certPem), PUBLIC_FILE_MODE);
  write(join(root, "certs", name, "key.pem"), utf8(leaf.keyPem), FILE_MODE);
  write(join(root, "data", name, "identity.pem"), utf8(identity.privatePem), FILE_MODE);
  write(join(root, "data", name, "sealing.key"), rng.bytes(32), FILE_MODE);
  return `
[[parties]]
name = ${quoted(name)}
address = ${quoted(formatAddress(address))}
cert_path = ${quoted(`certs/${name}/cert.pem`)}
key_path = ${quoted(`certs/${name}/key.pem`)}
tls_pin = [${quoted(pinOf(leaf.certPem))}]
identity = ${quoted(identity.publicText)}
identity_key_path = ${quoted(`data/${name}/identity.pem`)}
`;
}

function checkNames(names: readonly string[]): void {
  if (names.length < 2 || names.length > 64) {
    throw new UsageError("USAGE", `a cluster has 2 to 64 parties: found ${names.length}`);
  }
  const seen = new Set<string>();
  for (const name of names) {
    if (!NAME_PATTERN.test(name)) {
      throw new UsageError("USAGE", `a party's name must be ${NAME_EXPECTED}: found ${JSON.stringify(name)}`);
    }
    if (name.toLowerCase() === OPERATOR_DIRECTORY) {
      throw new UsageError("USAGE", `no party can be named ${name}: operators' certificates have that name`);
    }
    if (seen.size === seen.add(name.toLowerCase()).size) {
      throw new UsageError("USAGE", `the party ${name} is named twice: names must differ in more than case`);
    }
  }
}

function addressesOf({ names, hosts, basePort = 9101 }: InitOptions): Map<string, Address> {
  const taken = new Map<string, string>();
  for (const [name, address] of hosts ?? []) {
    if (!names.includes(name)) {
      throw new UsageError("USAGE", `--hosts names ${name}, which is none of the parties`);
    }
    const text = formatAddress(address);
    const other = taken.get(text);
    if (other !== undefined) throw new UsageError("USAGE", `--hosts puts ${other} and ${name} at ${text}`);
    taken.set(text, name);
  }
  const portMax = 65536 - names.length;
  if (!Number.isInteger(basePort) || basePort < 1 || basePort > portMax) {
    throw new UsageError("USAGE", `--base-port is a whole number from 1 to ${portMax}: found ${basePort}`);
  }
  return new Map(names.map((name, i) => {
    const address = hosts === undefined ? { host: "127.0.0.1", port: basePort + i } : hosts.get(name);
    if (address === undefined) throw new UsageError("USAGE", `--hosts does not say where ${name} is`);
    return [name, address];
  }));
}

function refuseExisting(path: string): void {
  if (!isThere(path)) return;
  throw new UsageError("FILE_EXISTS", `${path} is there already: choose another --dir, or move it away`);
}

function moveInto(workshop: string, directory: string): void {
  const moved: string[] = [];
  try {
    for (const entry of ENTRIES) {
      refuseExisting(join(directory, entry));
      Deno.renameSync(join(workshop, entry), join(directory, entry));
      moved.push(entry);
    }
    syncDirectory(directory);
  } catch (error) {
    for (const entry of moved) removeTree(join(directory, entry));
    throw error;
  }
}

function makeDirectory(path: string, mode: number): void {
  Deno.mkdirSync(path, { recursive: true, mode });
}

function write(path: string, content: Uint8Array, mode: number): void {
  writeWhole(path, content, { mode, code: "FILE_UNWRITABLE" });
}

function removeTree(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // It was never made.
  }
}

/** A TOML string: what is written here has no character that TOML and JSON quote differently. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
