import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { UsageError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { loadConfig, partyConfig } from "../../src/node/config.ts";
import { initCluster, type InitOptions } from "../../src/node/init.ts";
import { identitySigner } from "../../src/pki/identity.ts";
import { pinOf } from "../../src/pki/pin.ts";
import { LeafPolicy } from "../../src/transport/peer_identity.ts";
import { formatPolicy } from "../../src/primitives/access.ts";

class Scratch implements Disposable {
  readonly root: string = Deno.makeTempDirSync();
  readonly directory: string = `${this.root}/demo`;

  options(changes: Partial<InitOptions> = {}): InitOptions {
    return { names: ["alice", "bob", "carol"], directory: this.directory, cluster: "demo", ...changes };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

async function refused(options: InitOptions, code: string, match: RegExp): Promise<void> {
  await assert.rejects(initCluster(options), (error: unknown) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, match);
    return true;
  });
}

Deno.test("initCluster() makes a cluster that the configuration accepts and whose keys fit", async () => {
  using scratch = new Scratch();
  const made = await initCluster(scratch.options({ basePort: 9201, threshold: 2 }));
  const config = loadConfig(made.configPath);
  assert.equal(config.cluster, "demo");
  assert.equal(config.keyPolicy && formatPolicy(config.keyPolicy), "2 of (alice, bob, carol)");
  for (const [i, party] of config.parties.entries()) {
    assert.deepEqual(party.address, { host: "127.0.0.1", port: 9201 + i });
    assert.deepEqual(party.pins, [pinOf(Deno.readTextFileSync(party.certPath))]);
    const signer = identitySigner(Deno.readTextFileSync(party.identityKeyPath), party.name);
    assert.deepEqual(signer.publicKey, config.roster.named(party.name).identity.publicKey);
    assert.equal(Deno.readFileSync(party.sealing.path).length, 32);
    for (const secret of [party.keyPath, party.identityKeyPath, party.sealing.path, made.authorityKeyPath]) {
      assert.equal((Deno.statSync(secret).mode ?? 0) & 0o777, 0o600, secret);
    }
    assert.equal((Deno.statSync(party.dataDirectory).mode ?? 0) & 0o777, 0o700);
  }
  const { operatorCertPath, operatorKeyPath } = partyConfig(config, "alice").node;
  const authorities = Deno.readTextFileSync(config.authorityPath);
  const policy = new LeafPolicy({ cluster: "demo", authorities, parties: [] });
  const { raw } = new X509Certificate(Deno.readTextFileSync(operatorCertPath));
  assert.equal(policy.checkOperator(raw, Date.now()).operator, "admin");
  assert.equal((Deno.statSync(operatorKeyPath).mode ?? 0) & 0o777, 0o600);
  assert.deepEqual([...Deno.readDirSync(scratch.directory)].map(({ name }) => name).toSorted(), [
    "certs",
    "data",
    "quorate.toml",
  ]);
});

Deno.test("initCluster() writes the hosts it is given", async () => {
  using scratch = new Scratch();
  const hosts = new Map([["alice", { host: "10.0.0.5", port: 9000 }], ["bob", { host: "::1", port: 9000 }]]);
  const made = await initCluster(scratch.options({ names: ["alice", "bob"], hosts }));
  assert.deepEqual(loadConfig(made.configPath).parties.map((party) => party.address), [...hosts.values()]);
});

Deno.test("initCluster() overwrites nothing and leaves nothing behind", async () => {
  for (const entry of ["quorate.toml", "certs", "data"]) {
    using scratch = new Scratch();
    Deno.mkdirSync(scratch.directory);
    Deno.writeTextFileSync(`${scratch.directory}/${entry}`, "mine");
    await refused(scratch.options(), "FILE_EXISTS", new RegExp(`${entry} is there already`));
    assert.deepEqual([...Deno.readDirSync(scratch.directory)].map(({ name }) => name), [entry]);
    assert.equal(Deno.readTextFileSync(`${scratch.directory}/${entry}`), "mine");
  }
});

Deno.test("initCluster() that fails half-way leaves nothing behind", async () => {
  using scratch = new Scratch();
  let draws = 0;
  const rng = {
    bytes(length: number) {
      if (++draws > 6) throw new Error("no more randomness");
      return systemRng.bytes(length);
    },
  };
  await refused(scratch.options({ rng }), "FILE_UNWRITABLE", /no more randomness/);
  assert.deepEqual([...Deno.readDirSync(scratch.root)], []);
  Deno.writeTextFileSync(scratch.directory, "a file");
  await refused(scratch.options(), "FILE_UNWRITABLE", /cannot make the cluster in .*demo/);
});

Deno.test("initCluster() refuses names, ports, hosts and thresholds that make no cluster", async () => {
  using scratch = new Scratch();
  const host = { host: "10.0.0.5", port: 9000 };
  const wrong: readonly (readonly [Partial<InitOptions>, RegExp])[] = [
    [{ names: ["alice"] }, /2 to 64 parties: found 1/],
    [{ names: [] }, /2 to 64 parties: found 0/],
    [{ names: ["alice", "Alice"] }, /Alice is named twice/],
    [{ names: ["alice", "and"] }, /found "and"/],
    [{ names: ["alice", "Operator"] }, /no party can be named Operator/],
    [{ names: ["alice", "../x"] }, /found "..\/x"/],
    [{ names: ["alice", "7"] }, /found "7"/],
    [{ basePort: 65534 }, /--base-port is a whole number from 1 to 65533/],
    [{ basePort: Number.NaN }, /--base-port/],
    [{ hosts: new Map([["alice", host]]) }, /--hosts does not say where bob is/],
    [{ hosts: new Map([["dave", host]]) }, /--hosts names dave/],
    [{ threshold: 1 }, /--threshold is a whole number from 2 to 3: found 1/],
    [{ threshold: 4 }, /--threshold/],
  ];
  for (const [changes, match] of wrong) await refused(scratch.options(changes), "USAGE", match);
  await refused(scratch.options({ cluster: "a b" }), "USAGE", /--cluster must be .*: found "a b"/);
  assert.deepEqual([...Deno.readDirSync(scratch.root)], []);
});
