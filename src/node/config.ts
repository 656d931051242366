/**
 * The cluster's configuration: one TOML file, the same on every host (DESIGN 4). Every message says in one sentence which
 * key, what was found and what was expected.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { type PartyId, partyId } from "../base/brands.ts";
import { UsageError } from "../base/errors.ts";
import { parseIdentityText } from "../pki/identity.ts";
import { type AccessTree, leavesOf, parsePolicy } from "../primitives/access.ts";
import { AGREE_BITS_MAX, AGREE_BITS_MIN } from "../protocols/agree_random.ts";
import { makeRoster, type Roster } from "../session/roster.ts";
import { directoryOf, reasonOf } from "../storage/files.ts";
import type { TransportLimits } from "../transport/limits.ts";
import { AUDIT_SHAPE, type AuditConfig, auditOf } from "./audit_config.ts";
import { type ConfigKey, keysOf, namesAt } from "./config_schema.ts";
import { NODE_SHAPE, type NodeConfig, nodeOf, TELEMETRY_SHAPE } from "./node_config.ts";
import { type Address, address, number, parseAddress, path, text, whole } from "./config_values.ts";
import { STORES_SHAPE, type StoresConfig, storesOf } from "./store_config.ts";
import { TRANSPORT_SHAPE, transportOf } from "./transport_config.ts";
import { POLICY_SHAPE, type PolicyConfig, policyOf } from "./policy_config.ts";
import { VOTING_SHAPE, type VotingConfig, votingOf } from "./voting_config.ts";

export { type Address, formatAddress, parseAddress } from "./config_values.ts";

/** One party of the cluster. */
export interface PartyConfig {
  /** Place in the file, from 1. */
  readonly index: PartyId;
  /** Name. */
  readonly name: string;
  /** What the others dial. */
  readonly address: Address;
  /** Where it listens. */
  readonly listen: Address;
  /** Its certificate. */
  readonly certPath: string;
  /** The certificate's private key: read on its own host only. */
  readonly keyPath: string;
  /** Hashes of certificate public keys, any of which matches. */
  readonly pins: readonly string[];
  /** Its private identity key: read on its own host only. */
  readonly identityKeyPath: string;
  /** Where its store and lock are. */
  readonly dataDirectory: string;
  /** What its store is sealed with. */
  readonly sealing: { readonly kind: "key" | "passphrase"; readonly path: string };
  /** Where decisions and records go. */
  readonly stores: StoresConfig;
  /** Its audit log. */
  readonly audit: AuditConfig;
  /** Its listeners for operators and monitoring. */
  readonly node: NodeConfig;
}

/** A checked configuration. */
export interface Config {
  /** The file. Paths in it are relative to its directory; here they are absolute if this one is. */
  readonly path: string;
  /** Name of the cluster. */
  readonly cluster: string;
  /** Certificates of the authorities. */
  readonly authorityPath: string;
  /** Lists of revoked certificates. */
  readonly revocationListPath: string | undefined;
  /** How long a round waits without progress. */
  readonly timeoutMs: number;
  /** Default length of agree-random. */
  readonly bitLength: number;
  /** Policy of a key that names none. */
  readonly keyPolicy: AccessTree | undefined;
  /** Index, name and identity key of every party. */
  readonly roster: Roster;
  /** All parties, ascending by index. */
  readonly parties: readonly PartyConfig[];
  /** What differs from the transport's defaults. */
  readonly transport: Partial<TransportLimits>;
  /** How the parties vote; undefined where they do not. */
  readonly voting: VotingConfig | undefined;
  /** What this party signs of what was approved. */
  readonly policy: PolicyConfig;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string>>;

/**
 * Reads and checks a configuration file.
 *
 * @param environment variables `QUORATE_<SECTION>_<KEY>` override values outside `[[parties]]`; unknown ones are refused.
 * @throws UsageError CONFIG_UNREADABLE, CONFIG_INVALID or IDENTITY_INVALID
 */
export function loadConfig(path: string, environment: Environment = {}): Config {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    const hint = cause instanceof Deno.errors.NotFound
      ? "there is no such file; quorate init makes one"
      : reasonOf(cause);
    throw new UsageError("CONFIG_UNREADABLE", `cannot read the configuration ${path}: ${hint}`, { cause });
  }
  return parseConfig(text, path, environment);
}

/**
 * Checks the text of a configuration file.
 *
 * @param path of the file: paths in it are relative to its directory.
 * @throws UsageError CONFIG_INVALID or IDENTITY_INVALID
 */
export function parseConfig(text: string, path: string, environment: Environment = {}): Config {
  const raw = overridden(tomlOf(text, path), environment);
  const result = FILE.safeParse(raw);
  if (!result.success) {
    const issue = result.error.issues[0] as z.core.$ZodIssue;
    throw invalid(sourceOf(issue.path, path, environment), sentenceOf(issue, raw));
  }
  const file = result.data;
  refuseDuplicates(file, path);
  const at = (relative: string) => isAbsolute(relative) ? relative : join(directoryOf(path), relative);

  const roster = makeRoster(
    file.cluster,
    file.parties.map(({ name, identity }) => ({ name, identity: parseIdentityText(identity, name) })),
  );
  const parties = file.parties.map((party, i) => partyOf(file, path, party, partyId(i + 1), at));
  return {
    path,
    cluster: file.cluster,
    authorityPath: at(file.ca_cert_path),
    revocationListPath: file.crl_path === undefined ? undefined : at(file.crl_path),
    timeoutMs: file.timeout_seconds * 1000,
    bitLength: file.bit_length,
    keyPolicy: keyPolicyOf(file, sourceOf(["key_policy"], path, environment)),
    roster,
    parties,
    transport: transportOf(file.transport ?? {}, (sentence) => {
      throw invalid(path, sentence);
    }),
    voting: votingIn(file, path, roster),
    policy: policyIn(file, path, roster),
  };
}

/** The configuration of one party. @throws UsageError NOT_A_MEMBER that names the parties there are. */
export function partyConfig(config: Config, name: string): PartyConfig {
  return config.parties[config.roster.named(name).index - 1] as PartyConfig;
}

/** Every key that a configuration may have. */
export function configKeys(): ConfigKey[] {
  return keysOf(FILE);
}

/** What a party's name is: it appears in policies, lists, paths and certificates. */
export const NAME_PATTERN = /^(?!(?:and|or|of|all|\d+)$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/i;
/** {@linkcode NAME_PATTERN} in words. */
export const NAME_EXPECTED =
  "a name of 1 to 64 letters, digits, _, - and . that is no number and none of and, or, of, all";

/** What a cluster's name is: it appears in certificates. */
export const CLUSTER_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
/** {@linkcode CLUSTER_PATTERN} in words. */
export const CLUSTER_EXPECTED = "a name of 1 to 64 letters, digits, _, - and .";

const ENVIRONMENT_PREFIX = "QUORATE_";
const PARTY_PLACEHOLDER = "{party}";

const PARTY = z.strictObject({
  name: text(NAME_EXPECTED, NAME_PATTERN),
  address: address(),
  listen: address().optional(),
  cert_path: path("a certificate"),
  key_path: path("a private key"),
  tls_pin: z.array(text("sha256/ and 44 base64 characters", /^sha256\/[A-Za-z0-9+/]{43}=$/), {
    error: "a list of 1 to 3 pins",
  }).min(1, { error: "a list of 1 to 3 pins" }).max(3, { error: "a list of 1 to 3 pins" }),
  identity: text("ed25519/ and 44 base64 characters"),
  identity_key_path: path("a private key"),
}, { error: "a table" });

const TRANSPORT = z.strictObject(TRANSPORT_SHAPE, { error: "a table" });

const STORAGE = z.strictObject({
  sealing_key_file: path("a file of 32 bytes").optional(),
  passphrase_file: path("a file with one line").optional(),
  ...STORES_SHAPE,
}, { error: "a table" });

const AUDIT = z.strictObject(AUDIT_SHAPE, { error: "a table" });

const NODE = z.strictObject(NODE_SHAPE, { error: "a table" });

const TELEMETRY = z.strictObject(TELEMETRY_SHAPE, { error: "a table" });

const VOTING = z.strictObject(VOTING_SHAPE, { error: "a table" });

const POLICY = z.strictObject(POLICY_SHAPE, { error: "a table" });

const FILE = z.strictObject({
  cluster: text(CLUSTER_EXPECTED, CLUSTER_PATTERN),
  ca_cert_path: path("the authority's certificate"),
  crl_path: path("a revocation list").optional(),
  timeout_seconds: number(1, 3600, "a number of seconds").default(30),
  bit_length: whole(AGREE_BITS_MIN, AGREE_BITS_MAX, "a multiple of 8").multipleOf(8, {
    error: `a multiple of 8 from ${AGREE_BITS_MIN} to ${AGREE_BITS_MAX}`,
  }).default(256),
  key_policy: text("a policy such as 2 of (alice, bob, carol)").optional(),
  data_dir: path("a directory").default(`data/${PARTY_PLACEHOLDER}`),
  parties: z.array(PARTY, { error: "2 to 64 [[parties]]" }).min(2, { error: "2 to 64 [[parties]]" })
    .max(64, { error: "2 to 64 [[parties]]" }),
  transport: TRANSPORT.optional(),
  storage: STORAGE.optional(),
  audit: AUDIT.optional(),
  node: NODE.optional(),
  telemetry: TELEMETRY.optional(),
  voting: VOTING.optional(),
  policy: POLICY.optional(),
}, { error: "a table" });

type File = z.infer<typeof FILE>;

/** Every value outside `[[parties]]` by the variable that overrides it; tables within sections have none. */
const OVERRIDES: ReadonlyMap<string, ConfigKey> = new Map(
  configKeys().filter(({ path }) => path[0] !== "parties" && path.length < 3).map((key) => [
    variableOf(key.path),
    key,
  ]),
);

function variableOf(path: readonly PropertyKey[]): string {
  return ENVIRONMENT_PREFIX + path.join("_").toUpperCase();
}

function tomlOf(text: string, path: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const reason = (cause.message.split("\n")[0] ?? "").replace(/^Invalid TOML document: /, "");
    throw invalid(path, `line ${cause.line}, column ${cause.column} is not TOML: ${reason}`, cause);
  }
}

function overridden(raw: Record<string, unknown>, environment: Environment): Record<string, unknown> {
  const out = structuredClone(raw);
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX)) continue;
    const override = OVERRIDES.get(name);
    if (override === undefined) {
      const known = [...OVERRIDES.keys()].join(", ");
      throw new UsageError(
        "CONFIG_INVALID",
        `the environment variable ${name} overrides nothing: there are ${known}`,
      );
    }
    const [key, inner] = override.path as [string, string?];
    const parsed = valueOf(override.type, value);
    if (inner === undefined) out[key] = parsed;
    else out[key] = { ...(out[key] as object | undefined), [inner]: parsed };
  }
  return out;
}

/** What a variable's text stands for. What it cannot stand for stays text, which the schema refuses. */
function valueOf(type: ConfigKey["type"], text: string): unknown {
  if (type === "number" && /^\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type === "boolean" && /^(?:true|false)$/.test(text)) return text === "true";
  return type === "list" ? text.split(",").map((entry) => entry.trim()) : text;
}

/** Where the value came from that is wrong. */
function sourceOf(key: readonly PropertyKey[], file: string, environment: Environment): string {
  const variable = variableOf(key);
  return variable in environment ? `the environment variable ${variable}` : file;
}

/** `parties[1].tls_pin must be a list of 1 to 3 pins: found nothing`. */
function sentenceOf(issue: z.core.$ZodIssue, raw: unknown): string {
  if (issue.code === "unrecognized_keys") {
    const where = placeOf(issue.path);
    const keys = issue.keys.map((key) => where === "" ? key : `${where}.${key}`);
    return `there is no ${keys.length === 1 ? "key" : "keys"} ${keys.join(", ")}: expected are ${
      namesAt(FILE, issue.path).join(", ")
    }`;
  }
  const found = issue.path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown>)?.[key],
    raw,
  );
  return `${placeOf(issue.path) || "the file"} must be ${issue.message}: found ${described(found)}`;
}

function placeOf(path: readonly PropertyKey[]): string {
  return path.map((key, i) =>
    typeof key === "number" ? `[${key + 1}]` : `${i === 0 ? "" : "."}${String(key)}`
  ).join("");
}

function described(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    return JSON.stringify(value.length > 80 ? value.slice(0, 77) + "..." : value);
  }
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return value instanceof Date ? "a date" : "a table";
}

function refuseDuplicates({ parties, storage }: File, path: string): void {
  const keys = ["name", "address", "key_path", "identity_key_path"] as const;
  for (const key of keys) {
    const seen = new Map<string, number>();
    for (const [i, party] of parties.entries()) {
      const value = key === "name" ? party[key].toLowerCase() : party[key];
      const first = seen.get(value);
      if (first !== undefined) {
        throw invalid(
          path,
          `parties[${first}].${key} and parties[${i + 1}].${key} are both ${described(party[key])}`,
        );
      }
      seen.set(value, i + 1);
    }
  }
  if (storage?.sealing_key_file !== undefined && storage.passphrase_file !== undefined) {
    throw invalid(
      path,
      "storage.sealing_key_file and storage.passphrase_file exclude each other: keep one of them",
    );
  }
}

function partyOf(
  { data_dir, storage, audit, node, telemetry, ca_cert_path }: File,
  source: string,
  party: File["parties"][number],
  index: PartyId,
  at: (relative: string) => string,
): PartyConfig {
  const named = (template: string) => template.replaceAll(PARTY_PLACEHOLDER, party.name);
  const own = (template: string) => at(named(template));
  const dataDirectory = own(data_dir);
  const listen = parseAddress(party.listen ?? party.address) as Address;
  return {
    index,
    name: party.name,
    address: parseAddress(party.address) as Address,
    listen,
    certPath: at(party.cert_path),
    keyPath: at(party.key_path),
    pins: party.tls_pin,
    identityKeyPath: at(party.identity_key_path),
    dataDirectory,
    sealing: storage?.passphrase_file === undefined
      ? {
        kind: "key",
        path: storage?.sealing_key_file === undefined
          ? join(dataDirectory, "sealing.key")
          : own(storage.sealing_key_file),
      }
      : { kind: "passphrase", path: own(storage.passphrase_file) },
    stores: storesOf(storage ?? {}, named, at, (key, why) => {
      throw invalid(source, `storage.${key} is missing: ${why}`);
    }),
    audit: auditOf(audit ?? {}, dataDirectory, own),
    node: nodeOf({ node: node ?? {}, telemetry: telemetry ?? {} }, listen, at(ca_cert_path), own),
  };
}

function keyPolicyOf({ key_policy, parties }: File, source: string): AccessTree | undefined {
  if (key_policy === undefined) return undefined;
  try {
    const policy = parsePolicy(key_policy);
    const stranger = leavesOf(policy).find((name) => parties.every((party) => party.name !== name));
    if (stranger === undefined) return policy;
    throw new UsageError("POLICY_INVALID", `${stranger} is none of the parties`);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw invalid(source, `key_policy must be a policy over the parties: ${cause.message}`, cause);
  }
}

function votingIn({ voting }: File, source: string, roster: Roster): VotingConfig | undefined {
  if (voting === undefined) return undefined;
  try {
    return votingOf(voting, roster);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw invalid(source, `voting: ${cause.message}`, cause);
  }
}

function policyIn({ policy }: File, source: string, roster: Roster): PolicyConfig {
  try {
    return policyOf(policy ?? {}, roster);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw invalid(source, cause.message, cause);
  }
}

function invalid(path: string, sentence: string, cause?: unknown): UsageError {
  return new UsageError("CONFIG_INVALID", `${path}: ${sentence}`, { cause });
}
