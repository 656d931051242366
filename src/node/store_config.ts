/**
 * Which stores a node uses (VOTING 10): the section `[storage]` of the configuration, apart from the sealing of secrets.
 *
 * @module
 */

import { z } from "zod";
import { type Address, address, choice, number, parseAddress, path, text, whole } from "./config_values.ts";

/** Where decisions are handed off. */
export type CoordinationConfig = { readonly kind: "sqlite" } | {
  readonly kind: "etcd";
  /** Client addresses of the members. */
  readonly endpoints: readonly string[];
  /** Files of the client's side of TLS. */
  readonly tls: TlsFiles;
};

/** Where records go. */
export type RecordsConfig = { readonly kind: "sqlite" } | {
  readonly kind: "postgres";
  /** Of the server. */
  readonly address: Address;
  /** Name of the database. */
  readonly database: string;
  /** Role. */
  readonly user: string;
  /** Files of the client's side of TLS. */
  readonly tls: TlsFiles;
};

/** Files of one side of TLS. */
export interface TlsFiles {
  /** Authorities of the servers. */
  readonly authorityPath: string;
  /** Own certificate. */
  readonly certPath: string;
  /** Its private key. */
  readonly keyPath: string;
}

/** The stores of one party. */
export interface StoresConfig {
  /** Where decisions are handed off. */
  readonly coordination: CoordinationConfig;
  /** Where records go. */
  readonly records: RecordsConfig;
  /** Records that may wait. */
  readonly outboxLimit: number;
  /** How long records are kept after the store had them. */
  readonly outboxKeepMs: number;
}

const ENDPOINTS = "a list of 1 to 9 addresses https://HOST:PORT";

/** Keys of `[storage]`. In paths and in `postgres_user`, `{party}` stands for the party's name. */
export const STORES_SHAPE = {
  coordination: choice(["sqlite", "etcd"]).optional(),
  etcd_endpoints: z.array(text(ENDPOINTS, /^https:\/\/[^\s/]+:\d+$/), { error: ENDPOINTS })
    .min(1, { error: ENDPOINTS }).max(9, { error: ENDPOINTS }).optional(),
  etcd_ca_path: path("the authority of etcd's certificates").optional(),
  etcd_cert_path: path("the client certificate for etcd").optional(),
  etcd_key_path: path("its private key").optional(),
  records: choice(["sqlite", "postgres"]).optional(),
  postgres_address: address().optional(),
  postgres_database: text("a name", /^[A-Za-z0-9_.-]{1,63}$/).optional(),
  postgres_user: text("a role", /^[A-Za-z0-9_.{}-]{1,63}$/).optional(),
  postgres_ca_path: path("the authority of PostgreSQL's certificate").optional(),
  postgres_cert_path: path("the client certificate for PostgreSQL").optional(),
  postgres_key_path: path("its private key").optional(),
  outbox_limit: whole(100, 10_000_000, "a number of records").optional(),
  outbox_keep_days: number(1, 365, "a number of days").optional(),
};

/** The section's values. */
export type StoresSection = z.infer<z.ZodObject<typeof STORES_SHAPE>>;

/**
 * The stores of one party.
 *
 * @param own puts the party's name into a text.
 * @param at makes a path absolute.
 * @param missing refuses: the key that is not there, and why it must be.
 */
export function storesOf(
  section: StoresSection,
  own: (template: string) => string,
  at: (path: string) => string,
  missing: (key: string, why: string) => never,
): StoresConfig {
  const need = <K extends keyof StoresSection>(key: K, why: string): NonNullable<StoresSection[K]> =>
    section[key] ?? missing(key, why);
  const tls = (server: "etcd" | "postgres", why: string): TlsFiles => ({
    authorityPath: at(own(need(`${server}_ca_path`, why))),
    certPath: at(own(need(`${server}_cert_path`, why))),
    keyPath: at(own(need(`${server}_key_path`, why))),
  });
  const etcd = 'coordination is "etcd"';
  const postgres = 'records is "postgres"';
  return {
    coordination: section.coordination === "etcd"
      ? { kind: "etcd", endpoints: need("etcd_endpoints", etcd), tls: tls("etcd", etcd) }
      : { kind: "sqlite" },
    records: section.records === "postgres"
      ? {
        kind: "postgres",
        address: parseAddress(need("postgres_address", postgres)) as Address,
        database: section.postgres_database ?? "quorate",
        user: own(section.postgres_user ?? "quorate"),
        tls: tls("postgres", postgres),
      }
      : { kind: "sqlite" },
    outboxLimit: section.outbox_limit ?? 100_000,
    outboxKeepMs: (section.outbox_keep_days ?? 7) * 24 * 3600 * 1000,
  };
}
