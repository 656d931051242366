import assert from "node:assert/strict";
import { parseConfig } from "../../src/node/config.ts";
import { generateIdentity } from "../../src/pki/identity.ts";
import { systemRng } from "../../src/base/rng.ts";

const PARTIES = ["alice", "bob"].map((name, i) => `
[[parties]]
name = "${name}"
address = "127.0.0.1:${9000 + i}"
cert_path = "certs/${name}/cert.pem"
key_path = "certs/${name}/key.pem"
tls_pin = ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
identity = "${generateIdentity(systemRng).publicText}"
identity_key_path = "data/${name}/identity.pem"
`).join("");

function stores(storage: string, environment: Record<string, string> = {}) {
  const text = `cluster = "c"\nca_cert_path = "certs/ca.pem"\n${PARTIES}\n[storage]\n${storage}`;
  return parseConfig(text, "/q/quorate.toml", environment).parties.map((party) => party.stores);
}

const ETCD = `
coordination = "etcd"
etcd_endpoints = ["https://10.0.0.1:2379", "https://[::1]:2379"]
etcd_ca_path = "etcd/ca.pem"
etcd_cert_path = "etcd/{party}.pem"
etcd_key_path = "etcd/{party}.key"
`;

const POSTGRES = `
records = "postgres"
postgres_address = "db:5432"
postgres_user = "quorate_{party}"
postgres_ca_path = "/pg/ca.pem"
postgres_cert_path = "pg/{party}.pem"
postgres_key_path = "pg/{party}.key"
`;

Deno.test("parseConfig() keeps decisions and records in SQLite where nothing else is said", () => {
  const [alice] = stores("");
  assert.deepEqual(alice, {
    coordination: { kind: "sqlite" },
    records: { kind: "sqlite" },
    outboxLimit: 100_000,
    outboxKeepMs: 7 * 24 * 3600 * 1000,
  });
});

Deno.test("parseConfig() gives each party its own files and role for etcd and PostgreSQL", () => {
  const [, bob] = stores(`${ETCD}${POSTGRES}\noutbox_limit = 1000\noutbox_keep_days = 2`);
  assert.deepEqual(bob, {
    coordination: {
      kind: "etcd",
      endpoints: ["https://10.0.0.1:2379", "https://[::1]:2379"],
      tls: { authorityPath: "/q/etcd/ca.pem", certPath: "/q/etcd/bob.pem", keyPath: "/q/etcd/bob.key" },
    },
    records: {
      kind: "postgres",
      address: { host: "db", port: 5432 },
      database: "quorate",
      user: "quorate_bob",
      tls: { authorityPath: "/pg/ca.pem", certPath: "/q/pg/bob.pem", keyPath: "/q/pg/bob.key" },
    },
    outboxLimit: 1000,
    outboxKeepMs: 2 * 24 * 3600 * 1000,
  });
});

Deno.test("parseConfig() names the key of [storage] that is missing or wrong", () => {
  for (const line of [...ETCD.trim().split("\n").slice(1), ...POSTGRES.trim().split("\n").slice(1)]) {
    const [key] = line.split(" ") as [string];
    if (key === "postgres_user") continue;
    const without = `${ETCD}${POSTGRES}`.replace(line, "");
    assert.throws(() => stores(without), {
      code: "CONFIG_INVALID",
      message: new RegExp(`storage\\.${key} is missing`),
    });
  }
  const wrong = [
    ['coordination = "consul"', /storage\.coordination must be "sqlite" or "etcd": found "consul"/],
    ['records = "etcd"', /storage\.records must be "sqlite" or "postgres"/],
    [ETCD.replace("https://10.0.0.1", "http://10.0.0.1"), /storage\.etcd_endpoints\[1\] must be/],
    [`${ETCD}\netcd_password = "x"`, /there is no key storage\.etcd_password/],
    [POSTGRES.replace("db:5432", "db"), /storage\.postgres_address must be HOST:PORT/],
    ["outbox_limit = 5", /storage\.outbox_limit must be/],
  ] as const;
  for (const [storage, message] of wrong) {
    assert.throws(() => stores(storage), { code: "CONFIG_INVALID", message });
  }
});

Deno.test("parseConfig() lets the environment choose stores", () => {
  const [alice] = stores(ETCD, {
    QUORATE_STORAGE_COORDINATION: "sqlite",
    QUORATE_STORAGE_OUTBOX_LIMIT: "200",
  });
  assert.equal(alice?.coordination.kind, "sqlite");
  assert.equal(alice?.outboxLimit, 200);
});
