import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { compile } from "../../scripts/compile.ts";
import { partyConfig } from "../../src/node/config.ts";
import { Cluster } from "../e2e/cluster.ts";

Deno.test("compile() makes one script per party that does its party's work and cannot read another's key", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const scripts = new Map<string, string>();
  for (const party of cluster.names) {
    const out = join(cluster.directory, `quorate-${party}`);
    const { path, flags } = await compile({ config: cluster.config.path, party, out, format: "script" });
    assert.deepEqual(Deno.readTextFileSync(`${path}.permissions`).trim().split("\n"), flags);
    scripts.set(party, path);
  }
  const run = (party: string, ...args: string[]) =>
    new Deno.Command(scripts.get(party) as string, {
      args: [...args, "--config", cluster.config.path],
      cwd: "/",
      env: { PATH: `${dirname(Deno.execPath())}:/usr/bin:/bin`, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    }).output();

  const results = await Promise.all(
    cluster.names.map((party) => run(party, "agree-random", "--party", party)),
  );
  const values = results.map(({ code, stdout, stderr }) => {
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  });
  assert.equal(values[0], values[1]);

  const key = partyConfig(cluster.config, "bob").keyPath;
  const theft = await run(
    "alice",
    "key",
    "verify",
    "--public",
    key,
    "--signature",
    key,
    "--message",
    "x",
    "--party",
    "alice",
  );
  assert.notEqual(theft.code, 0);
  assert.match(new TextDecoder().decode(theft.stderr), /Requires read access|cannot read/);
  const impersonation = await run("alice", "agree-random", "--party", "bob");
  assert.notEqual(impersonation.code, 0);
});
