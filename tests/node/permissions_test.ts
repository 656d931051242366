import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { type Config, formatAddress, loadConfig, parseConfig } from "../../src/node/config.ts";
import { partyPermissions, permissionFlags } from "../../src/node/permissions.ts";
import { generateIdentity } from "../../src/pki/identity.ts";
import { Cluster } from "./fixture.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

Deno.test("partyPermissions() lists the own address, those that are dialled, and the own files", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const { config, root } = cluster;
  const addresses = config.parties.map(({ address }) => formatAddress(address));
  const own = config.parties.map(({ address, node }) =>
    [address, node.operatorListen, node.telemetryListen].map(formatAddress)
  );
  assert.deepEqual(partyPermissions(config, "alice").net, [...own[0] ?? [], addresses[1], addresses[2]]);
  assert.deepEqual(partyPermissions(config, "carol").net, own[2]);
  const { read, write } = partyPermissions(config, "bob", { read: ["/in/m.txt"], write: ["/out"] });
  const demo = `${root}/demo`;
  assert.deepEqual(read, [
    `${demo}/quorate.toml`,
    `${demo}/certs/ca.pem`,
    `${demo}/certs/bob/cert.pem`,
    `${demo}/certs/operator/cert.pem`,
    `${demo}/certs/operator/key.pem`,
    `${demo}/certs/bob/key.pem`,
    `${demo}/data/bob`,
    "/in/m.txt",
    "/out",
  ]);
  assert.deepEqual(write, [`${demo}/data/bob`, "/out"]);
  const moved = loadConfig(cluster.configPath, { QUORATE_STORAGE_SEALING_KEY_FILE: "/run/{party}.key" });
  assert.ok(partyPermissions(moved, "bob").read.includes("/run/bob.key"));
});

Deno.test("partyPermissions() lists the addresses of the party's stores, and the certificates by which they know it", () => {
  const { net, read, write } = partyPermissions(withStores(), "bob");
  assert.deepEqual(net, [
    ...["127.0.0.1:9001", "0.0.0.0:7000", "127.0.0.1:7000", "127.0.0.1:9201"],
    ...["10.0.0.1:2379", "[::1]:2379", "db:5432"],
  ]);
  for (
    const path of ["etcd/ca.pem", "etcd/bob.pem", "etcd/bob.key", "pg/ca.pem", "pg/bob.pem", "pg/bob.key"]
  ) {
    assert.ok(read.includes(`/q/${path}`), path);
  }
  assert.ok(!read.some((path) => path.includes("alice")));
  assert.deepEqual(write, ["/q/data/bob"]);
});

Deno.test("partyPermissions() refuses an endpoint that would end an entry of the list", () => {
  for (const endpoint of ["https://a,b:1", "https://a@b:1", "https://a:0"]) {
    assert.throws(() => partyPermissions(withStores(endpoint), "bob"), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.code, "CONFIG_INVALID");
      assert.match(error.message, /the endpoint .* cannot stand in a list of permissions/);
      return true;
    });
  }
});

Deno.test("partyPermissions() refuses a path that would end an entry of the list", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  for (const path of ["/a,b", '/a"b', "/a'b", "/a\nb", ""]) {
    assert.throws(() => partyPermissions(cluster.config, "alice", { read: [path] }), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.code, "CONFIG_INVALID");
      return true;
    });
  }
});

Deno.test("permissionFlags() suffice for every command of a party, and for nothing of another", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const out = `${cluster.root}/out`;
  Deno.mkdirSync(out);
  const run = async (party: string, args: readonly string[]) => {
    const flags = permissionFlags(cluster.config, party, { write: [out] });
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--frozen", "--no-prompt", ...flags, `${ROOT}cli/main.ts`, ...args]
        .concat("--config", cluster.configPath, "--party", party),
      env: { QUORATE_TIMEOUT_SECONDS: "20" },
      cwd: ROOT,
    });
    const { code, stdout, stderr } = await command.output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(code, 0, `${party} ${args.join(" ")}: ${decode(stderr)}`);
    return decode(stdout);
  };
  const both = (args: readonly string[]) => Promise.all(["alice", "bob"].map((party) => run(party, args)));

  const [one, two] = await both(["agree-random", "--bits", "128"]);
  assert.equal(one, two);
  await both(["key", "generate", "--key", "treasury", "--curve", "p256", "--policy", "2 of (alice, bob)"]);
  await both(["key", "sign", "--key", "treasury", "--message", "m", "--out", `${out}/m.sig`]);
  assert.deepEqual(
    [...Deno.readDirSync(out)].map(({ name }) => name),
    ["m.sig"],
    "no temporary file is left",
  );
  const valid = await run("bob", [
    ...["key", "verify", "--key", "treasury", "--message", "m", "--signature", `${out}/m.sig`],
  ]);
  assert.equal(valid, "the signature is valid\n");
  await run("alice", ["key", "list"]);

  const probe = `${cluster.root}/probe.ts`;
  const [alice, bob] = cluster.config.parties;
  Deno.writeTextFileSync(
    probe,
    `const denied = (action) => { try { action(); } catch (error) { return error instanceof Deno.errors.NotCapable; } return false; };
     const paths = ${JSON.stringify([bob?.keyPath, bob?.identityKeyPath, bob?.sealing.path])};
     const all = [
       ...paths.map((path) => () => Deno.readFileSync(path)),
       () => Deno.readFileSync(${JSON.stringify(`${cluster.root}/demo/certs/ca-key.pem`)}),
       () => Deno.writeTextFileSync(${JSON.stringify(cluster.configPath)}, ""),
       () => Deno.writeTextFileSync(${JSON.stringify(alice?.keyPath)}, ""),
       () => Deno.listen({ port: 1 }),
       () => new Deno.Command("true").outputSync(),
       () => Deno.hostname(),
     ];
     console.log(all.map(denied).join());`,
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...permissionFlags(cluster.config, "alice"), probe],
  }).output();
  assert.equal(new TextDecoder().decode(stdout).trim(), Array(9).fill("true").join());
});

/** Two parties with etcd and PostgreSQL, whose operators may ask from anywhere. */
function withStores(endpoint = "https://[::1]:2379"): Config {
  const parties = ["alice", "bob"].map((name, i) => `
[[parties]]
name = "${name}"
address = "127.0.0.1:${9000 + i}"
cert_path = "certs/${name}/cert.pem"
key_path = "certs/${name}/key.pem"
tls_pin = ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
identity = "${generateIdentity(systemRng).publicText}"
identity_key_path = "data/${name}/identity.pem"
`).join("");
  const text = `cluster = "c"
ca_cert_path = "certs/ca.pem"
${parties}
[node]
operator_listen = "0.0.0.0:7000"
[storage]
coordination = "etcd"
etcd_endpoints = ["https://10.0.0.1:2379", "${endpoint}"]
etcd_ca_path = "etcd/ca.pem"
etcd_cert_path = "etcd/{party}.pem"
etcd_key_path = "etcd/{party}.key"
records = "postgres"
postgres_address = "db:5432"
postgres_ca_path = "pg/ca.pem"
postgres_cert_path = "pg/{party}.pem"
postgres_key_path = "pg/{party}.key"
`;
  return parseConfig(text, "/q/quorate.toml");
}
