/**
 * What somebody gets who imports the package.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { API_PATH, apiText, differences, packageExports } from "../../scripts/api.ts";
import { utf8 } from "../../src/base/bytes.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Permissions that were asked for. */
  readonly asked: string;
}

for (const [path, module] of packageExports()) {
  Deno.test(`importing the package's ${path} asks for nothing, prints nothing, and ends`, async () => {
    using directory = new Directory();
    const probe = join(directory.path, "probe.ts");
    Deno.writeTextFileSync(probe, `import * as all from ${JSON.stringify(module)};\nvoid all;\n`);
    assert.deepEqual(await run(probe, directory), { code: 0, stdout: "", stderr: "", asked: "" });
  });
}

Deno.test("the check of imports sees a module that prints, and one that asks", async () => {
  using directory = new Directory();
  const probe = join(directory.path, "probe.ts");
  Deno.writeTextFileSync(
    probe,
    `console.log("x"); try { Deno.env.get("HOME"); } catch { console.error("y"); }`,
  );
  const { stdout, stderr, asked } = await run(probe, directory);
  assert.deepEqual([stdout, stderr], ["x\n", "y\n"]);
  assert.match(asked, /"permission":"env","value":"HOME"/);
});

Deno.test("the protocols are imported without sessions, links, files and certificates", async () => {
  const { stdout } = await deno(["info", "--json", packageExports().get("./protocols") as string]);
  const { modules } = JSON.parse(stdout) as { modules: { specifier: string }[] };
  assert.ok(modules.length > 50);
  assert.deepEqual(
    modules.map(({ specifier }) => specifier).filter((specifier) =>
      /\/src\/(?:session|transport|pki|storage|audit|telemetry|voting|node)\//.test(specifier)
    ),
    [],
  );
});

Deno.test("the package's public surface is the accepted one", async () => {
  const changes = differences(Deno.readTextFileSync(API_PATH), await apiText());
  assert.deepEqual(
    changes,
    [],
    "the public surface changed: see docs/api.md for what that means, and deno task api --write accepts it",
  );
});

Deno.test("examples/two_party imports the package by its name and makes a signature of two", async () => {
  const { code, stdout, stderr } = await deno(
    ["run", "--quiet", "--check", "--no-prompt", "main.ts"],
    join(ROOT, "examples/two_party"),
  );
  assert.equal(code, 0, stderr);
  const [, publicKey = "", signature = ""] =
    /^public key ([0-9a-f]{66})\nsignature {2}([0-9a-f]+)\n$/.exec(stdout) ?? [];
  const [der, key] = [signature, publicKey].map((text) => Uint8Array.fromHex(text)) as [
    Uint8Array,
    Uint8Array,
  ];
  assert.ok(secp256k1.verify(der, utf8("pay 5 to dave"), key, { format: "der", lowS: true }), stdout);
});

async function run(module: string, { path }: Directory): Promise<Ran> {
  const audit = join(path, "audit.jsonl");
  const args = ["run", "--quiet", "--frozen", "--no-prompt", "--config", join(ROOT, "deno.json"), module];
  const ran = await deno(args, ROOT, { DENO_AUDIT_PERMISSIONS: audit });
  return { ...ran, asked: Deno.readTextFileSync(audit) };
}

async function deno(
  args: readonly string[],
  cwd = ROOT,
  env: Record<string, string> = {},
): Promise<Omit<Ran, "asked">> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: [...args], cwd, env })
    .output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A temporary directory, removed when disposed. */
class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "quorate-test-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
