/**
 * One file per party: each is alone with its own party's material, is started with nothing but `deno` on PATH, and may do what is
 * written beside it and nothing else. With DENORT_BIN the same is done with binaries.
 */

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import type { CompileOptions } from "../../scripts/compile.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { systemRng } from "../../src/base/rng.ts";
import { formatAddress, partyConfig } from "../../src/node/config.ts";
import { formatCustodianKey, generateCustodianKey } from "../../src/protocols/pve/custodian.ts";
import { freePorts } from "./cluster.ts";
import { Hosts, Stranger } from "./hosts.ts";

const NAMES = ["alice", "bob", "carol"];
const FORMATS: readonly CompileOptions["format"][] = Deno.env.has("DENORT_BIN")
  ? ["script", "binary"]
  : ["script"];

for (const format of FORMATS) {
  Deno.test(`compile() makes a ${format} per party; they make a key, sign, refresh and back up with all that is listed and no more`, async () => {
    using hosts = await Hosts.make(NAMES, format);
    const treasury = ["--key", "treasury"];
    await hosts.all(NAMES, "key", "generate", ...treasury, "--policy", "2 of (alice, bob, carol)");
    const [exported] = await hosts.all(["carol"], "key", "export-public", ...treasury);
    const sign = ["key", "sign", ...treasury, "--message", "m", "--out"];
    await hosts.all(NAMES, ...sign, "work/first.sig", "--signers", NAMES.join());
    requireSignature(exported?.stdout, hosts.path("alice", "work/first.sig"));
    // Whether a binary's runtime writes down what it used is not promised.
    const audited = format === "script" ? NAMES : [];
    for (const party of audited) {
      assert.deepEqual(hosts.used(party), { unused: nodeEntries(hosts, party), unlisted: [] }, party);
    }

    const nodes = await hosts.nodes(NAMES);
    await hosts.all(NAMES, "key", "refresh", ...treasury);
    await hosts.all(["bob", "carol"], ...sign, "work/second.sig", "--signers", "bob,carol");
    requireSignature(exported?.stdout, hosts.path("carol", "work/second.sig"));
    using custodian = generateCustodianKey("x25519", systemRng);
    Deno.writeTextFileSync(hosts.path("alice", "work/c.pub"), formatCustodianKey(custodian.publicKey));
    const backup = ["backup", "create", ...treasury, "--custodian", "work/c.pub", "--out", "work/alice.pve"];
    await hosts.all(["alice"], ...backup);
    await nodes.stop();
    for (const party of audited) assert.deepEqual(hosts.used(party), { unused: [], unlisted: [] }, party);
  });

  Deno.test(`a party's ${format} reads no key of another party, dials nobody else and listens nowhere else`, async () => {
    using hosts = await Hosts.make(["alice", "bob"], format);
    const stolen = hosts.path("bob", "certs/bob/key.pem");
    const read = ["key", "verify", "--message", "x", "--signature", stolen, "--public", stolen];
    await requireRefused(hosts, read, /Requires read access|cannot read/);
    await requireRefused(hosts, ["agree-random", "--party", "bob"], /cannot read|Requires/);
    const [listed] = await hosts.all(["alice"], "cert", "list", "--json");
    const certificates = JSON.parse(listed?.stdout ?? "") as { name: string; status: string }[];
    const statusOf = (party: string) => certificates.find(({ name }) => name === party)?.status;
    assert.deepEqual(["alice", "bob"].map(statusOf), ["good", "not here"]);

    // Whoever changes a party's configuration does not change what the party's file may do.
    const path = hosts.path("alice", "quorate.toml");
    const original = Deno.readTextFileSync(path);
    const move = (party: string, port: number) => {
      const address = formatAddress(partyConfig(hosts.config, party).address);
      assert.ok(original.includes(address));
      Deno.writeTextFileSync(path, original.replaceAll(address, `127.0.0.1:${port}`));
    };
    using stranger = await Stranger.listen();
    move("bob", stranger.port);
    await requireRefused(hosts, ["agree-random", "--timeout", "1"], /Requires net access to "127/);
    assert.equal(stranger.connections, 0);
    const [elsewhere] = await freePorts(1);
    move("alice", elsewhere as number);
    const sentence =
      /^error NOT_PERMITTED: this process would need net access to "127[^\n]*deno task compile\n$/m;
    await requireRefused(hosts, ["agree-random", "--timeout", "1"], sentence, 77);
  });
}

Deno.test("the header of a party's script allows nothing that is not listed, whatever is behind it", async () => {
  using hosts = await Hosts.make(["alice", "bob"], "script");
  const [elsewhere] = await freePorts(1);
  const bob = partyConfig(hosts.config, "bob");
  const probe = `
    import { connect } from "node:net";
    const event = (emitter, good) => new Promise((resolve, reject) => emitter.once("error", reject).once(good, resolve));
    const own = ${JSON.stringify(hosts.path("alice", ""))};
    const attempts = {
      readOwnDirectory: () => [...Deno.readDirSync(own)],
      readKey: () => Deno.readFileSync(${JSON.stringify(hosts.path("bob", "certs/bob/key.pem"))}),
      readIdentity: () => Deno.readFileSync(${JSON.stringify(hosts.path("bob", "data/bob/identity.pem"))}),
      writeConfiguration: () => Deno.writeTextFileSync(own + "/quorate.toml", ""),
      writeCertificate: () => Deno.writeTextFileSync(own + "/certs/alice/cert.pem", ""),
      dial: () => event(connect(${elsewhere}, "127.0.0.1"), "connect"),
      dialOnAnotherHost: () => event(connect(${bob.address.port}, "127.0.0.2"), "connect"),
      fetch: () => fetch("http://127.0.0.1:${elsewhere}/"),
      listen: () => Deno.listen({ hostname: "127.0.0.1", port: ${elsewhere} }),
      listenOnAllHosts: () => Deno.listen({ port: ${bob.address.port} }),
      run: () => new Deno.Command("/bin/sh").outputSync(),
      askForTheHost: () => Deno.hostname(),
      // A host from which Deno loads programs unless told otherwise; no literal, which it would look for before it starts.
      loadProgram: () => import(["https://jsr.io", "x.js"].join("/")),
      loadLibrary: () => Deno.dlopen("libc.so.6", {}),
    };
    const done = [];
    for (const [name, attempt] of Object.entries(attempts)) {
      try { await attempt(); done.push(name); }
      catch (error) { if (!/Requires .* access|--no-remote/.test(error.message)) done.push(name + ": " + error.message); }
    }
    const seen = Object.keys(Deno.env.toObject());
    console.log(JSON.stringify({ done, seen }));
    Deno.exit(0);`;
  const file = hosts.path("alice", "quorate");
  const header = Deno.readTextFileSync(file).split("\n").slice(0, 2);
  Deno.writeTextFileSync(file, [...header, probe].join("\n"));
  const { code, stdout, stderr } = await hosts.run("alice");
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { done: [], seen: [] });
});

Deno.test("a party's script reaches the server of records that the configuration names", async () => {
  using server = await Stranger.listen();
  using hosts = await Hosts.make(
    ["alice", "bob"],
    "script",
    `
[voting]
quorum = 2
faults = 0
[storage]
records = "postgres"
postgres_address = "127.0.0.1:${server.port}"
postgres_ca_path = "certs/ca.pem"
postgres_cert_path = "certs/{party}/cert.pem"
postgres_key_path = "certs/{party}/key.pem"
`,
  );
  const nodes = await hosts.nodes(["alice"]);
  await server.visited;
  await nodes.stop();
  assert.ok(!hosts.used("alice").unused.includes(`net 127.0.0.1:${server.port}`));
});

/** What only a node uses, and commands that ask it. */
function nodeEntries(hosts: Hosts, party: string): string[] {
  const { operatorListen, telemetryListen } = partyConfig(hosts.config, party).node;
  return [
    ...[operatorListen, telemetryListen].map((address) => `net ${formatAddress(address)}`),
    ...["cert.pem", "key.pem"].map((file) => `read ${hosts.path(party, `certs/operator/${file}`)}`),
  ];
}

function requireSignature(pem: string | undefined, path: string): void {
  assert.ok(pem !== undefined && verify("sha256", utf8("m"), createPublicKey(pem), Deno.readFileSync(path)));
}

async function requireRefused(
  hosts: Hosts,
  args: readonly string[],
  why: RegExp,
  exit?: number,
): Promise<void> {
  const { code, stderr } = await hosts.run("alice", ...args);
  assert.match(stderr, why);
  if (exit === undefined) assert.notEqual(code, 0);
  else assert.equal(code, exit);
}
