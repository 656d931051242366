import assert from "node:assert/strict";
import { join } from "node:path";
import { bundle } from "../../scripts/bundle.ts";
import { compile, type CompileOptions, PROGRAM } from "../../scripts/compile.ts";
import type { UsageError } from "../../src/base/errors.ts";
import { initCluster } from "../../src/node/init.ts";

const { root } = PROGRAM;

Deno.test("bundle() makes the same bytes in two directories, and names neither of them", async () => {
  using copy = new Directory();
  for (const part of ["deno.json", "deno.lock", "src", "cli"]) {
    const { success } = await new Deno.Command("cp", { args: ["-r", join(root, part), copy.path] }).output();
    assert.ok(success);
  }
  const here = await bundle(PROGRAM);
  const there = await bundle({ ...PROGRAM, root: copy.path });
  assert.ok(here === there, "the two files differ");
  assert.ok(!here.includes(root) && !here.includes(copy.path));
  assert.doesNotMatch(here, /^\s*(?:\/\/ |")\.\.\//m, "nothing is named by its way from the checkout");
  assert.match(here, /^\/\/ npm\/zod\//m);
  assert.doesNotMatch(here, /\bimport\(\s*["'](?!node:)/, "nothing is left to be loaded later");
});

Deno.test("compile() lists the permissions beside the file, for the place where the configuration will be", async () => {
  using cluster = await Cluster.make();
  const { path, flags, programHash } = await compile({
    ...cluster.options,
    workDir: "/srv/in",
    installedAt: "/etc/quorate/quorate.toml",
  });
  assert.deepEqual(Deno.readTextFileSync(`${path}.permissions`).trim().split("\n"), flags);
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o755);
  const [, header = ""] = Deno.readTextFileSync(path).split("\n");
  for (const flag of flags) assert.ok(header.includes(` '${flag}' `), flag);
  const lists = flags.filter((flag) => /read|write/.test(flag));
  assert.deepEqual(lists, [
    "--allow-read=/etc/quorate/quorate.toml,/etc/quorate/certs/ca.pem,/etc/quorate/certs/alice/cert.pem," +
    "/etc/quorate/certs/operator/cert.pem,/etc/quorate/certs/operator/key.pem,/etc/quorate/certs/alice/key.pem," +
    "/etc/quorate/data/alice,/srv/in",
    "--allow-write=/etc/quorate/data/alice,/srv/in",
  ]);
  assert.match(programHash, /^[0-9a-f]{64}$/);
});

Deno.test("compile() refuses a target for a script, a party that is none, and a place that it cannot write", async () => {
  using cluster = await Cluster.make();
  const cases = [
    [{ target: "aarch64-apple-darwin" }, "USAGE", /--target is for --format binary/],
    [{ party: "mallory" }, "NOT_A_MEMBER", /mallory/],
    [{ out: "/dev/null/x" }, "FILE_UNWRITABLE", /cannot write \/dev\/null\/x/],
    [{ workDir: "/a,b" }, "CONFIG_INVALID", /cannot stand in a list of permissions/],
  ] as const;
  for (const [change, code, message] of cases) {
    await assert.rejects(compile({ ...cluster.options, program: "", ...change }), isError(code, message));
  }
});

const PROVIDE =
  /: take denort from denort-\S+\.zip of Deno's release v\d+\.\d+\.\d+, and name the file in DENORT_BIN; or use --format script, which needs only deno\n?$/;

Deno.test("compile() says in one sentence that DENORT_BIN names no runtime, and leaves no file", async () => {
  using cluster = await Cluster.make();
  const binary = { ...cluster.options, format: "binary", program: "" } as const;
  const refuse = async (runtime: string, ...messages: RegExp[]) => {
    for (const message of messages) {
      await assert.rejects(compile({ ...binary, runtime }), isError("FILE_UNWRITABLE", message));
      assert.throws(() => Deno.statSync(binary.out as string), Deno.errors.NotFound);
    }
  };
  await refuse(join(cluster.path, "denort"), /DENORT_BIN names \S+, which is not there/, PROVIDE);
  // The program deno makes a file too, which is only deno again.
  await refuse(Deno.execPath(), /DENORT_BIN names \S+, which is not the runtime denort of Deno \d/);
});

Deno.test("deno task compile says in one sentence how to provide a runtime that cannot be downloaded", async () => {
  using cluster = await Cluster.make();
  const { DENORT_BIN: _, ...env } = Deno.env.toObject();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "-A", join(root, "scripts/compile.ts")]
      .concat(
        "--config",
        cluster.options.config,
        "--party",
        "alice",
        "--out",
        join(cluster.path, "quorate-alice"),
      )
      // Nobody keeps the runtime of another system.
      .concat("--target", "aarch64-apple-darwin"),
    cwd: root,
    clearEnv: true,
    // Nothing is at this address.
    env: { ...env, NO_COLOR: "1", HTTPS_PROXY: "http://127.0.0.1:1" },
  }).output();
  const sentence = new TextDecoder().decode(stderr);
  assert.deepEqual([code, stdout.length], [73, 0], sentence);
  assert.match(sentence, /^error FILE_UNWRITABLE: .* denort is not on this machine and cannot be downloaded/);
  assert.match(sentence, PROVIDE);
});

function isError(code: string, message: RegExp): (error: unknown) => true {
  return (error) => {
    assert.equal((error as UsageError).code, code);
    assert.match((error as UsageError).message, message);
    return true;
  };
}

/** A temporary directory, removed when disposed. */
class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "quorate-test-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** The configuration of a new cluster. */
class Cluster extends Directory {
  get options(): CompileOptions {
    const config = join(this.path, "cluster", "quorate.toml");
    return { config, party: "alice", format: "script", out: join(this.path, "quorate-alice") };
  }

  static async make(): Promise<Cluster> {
    const cluster = new Cluster();
    await initCluster({ names: ["alice", "bob"], directory: join(cluster.path, "cluster"), cluster: "test" });
    return cluster;
  }
}
