import assert from "node:assert/strict";
import { CODES } from "../../src/base/errors.ts";
import { LINK_CODES } from "../../src/transport/faults.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("docs/errors.md names codes that exist, and tests that exist", async () => {
  const doc = await Deno.readTextFile(new URL("docs/errors.md", ROOT));
  const rows = doc.split("\n").filter((line) => line.startsWith("| Err"));
  assert.equal(rows.length, 15, "the seed names fifteen");
  for (const row of rows) {
    const [, seed, here, file, test] = row.split("|").map((cell) => cell.trim()) as string[];
    const codes = [...(here as string).matchAll(/`([A-Z_0-9]+)`/g)].map(([, code]) => code as string);
    assert.ok(codes.length > 0, seed);
    for (const code of codes) assert.ok(code in CODES || code in LINK_CODES, `${seed}: ${code}`);
    const source = await Deno.readTextFile(new URL(file as string, ROOT));
    assert.ok(source.includes(`"${test}"`), `${seed}: ${file} has no test "${test}"`);
  }
});

Deno.test("LINK_CODES: each reason occurs in a test", async () => {
  const sources: string[] = [];
  for (const folder of ["transport", "faults", "session", "node"]) {
    const path = new URL(`tests/${folder}/`, ROOT);
    for await (const { name, isFile } of Deno.readDir(path)) {
      if (isFile && name.endsWith(".ts")) sources.push(await Deno.readTextFile(new URL(name, path)));
    }
  }
  const all = sources.join("\n");
  const missing = Object.keys(LINK_CODES).filter((code) =>
    !all.includes(`"${code}"`) && !all.includes(`.${code}`)
  );
  assert.deepEqual(missing, []);
});
