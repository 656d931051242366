/**
 * What somebody gets who imports the package.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { API_PATH, apiText, differences, packageExports } from "../../scripts/api.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { VERSION } from "../../src/base/version.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Permissions that were asked for. */
  readonly asked: string;
}

for (const path of packageExports().keys()) {
  const name = join("@quorate/quorate", path);
  Deno.test(`importing ${name} asks for nothing, prints nothing, and ends`, async () => {
    using project = new Project();
    project.write("probe.ts", `import * as all from ${JSON.stringify(name)};\nvoid all;\n`);
    assert.deepEqual(await project.run("probe.ts"), { code: 0, stdout: "", stderr: "", asked: "" });
  });
}

Deno.test("the check of imports sees a module that prints, and one that asks", async () => {
  using project = new Project();
  project.write("probe.ts", `console.log("x"); try { Deno.env.get("HOME"); } catch { console.error("y"); }`);
  const { stdout, stderr, asked } = await project.run("probe.ts");
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

/** A project elsewhere that imports the package, with this checkout in its place; removed when disposed. */
class Project implements Disposable {
  readonly #path = Deno.makeTempDirSync({ prefix: "quorate-test-" });

  constructor() {
    const imports = { "@quorate/quorate": `jsr:@quorate/quorate@${VERSION}` };
    this.write("deno.json", JSON.stringify({ imports, links: [ROOT], lock: false }));
  }

  write(name: string, text: string): void {
    Deno.writeTextFileSync(join(this.#path, name), text);
  }

  /** Runs a module without any permission. */
  async run(module: string): Promise<Ran> {
    const audit = join(this.#path, "audit.jsonl");
    const args = ["run", "--quiet", "--no-prompt", module];
    const ran = await deno(args, this.#path, { DENO_AUDIT_PERMISSIONS: audit });
    return { ...ran, asked: Deno.readTextFileSync(audit) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#path, { recursive: true });
  }
}
