import assert from "node:assert/strict";
import { UsageError } from "../../src/base/errors.ts";
import { formatAddress, loadConfig } from "../../src/node/config.ts";
import { partyPermissions, permissionFlags } from "../../src/node/permissions.ts";
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
