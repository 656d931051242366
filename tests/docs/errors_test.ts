import assert from "node:assert/strict";
import { CODES } from "../../src/base/errors.ts";

const TEXT = Deno.readTextFileSync(new URL("../../docs/errors.md", import.meta.url));

Deno.test("docs/errors.md has every code with its exit code and meaning, and what to do; and no other", () => {
  const rows = [...TEXT.matchAll(/^\| `([A-Z_0-9]+)` \| (\d+) \| ([^|]+) \| ([^|]+) \|$/gm)];
  const listed = rows.map(([, code, exit, meaning]) => `${code} ${exit} ${meaning}`).sort();
  const there = Object.entries(CODES).map(([code, { exit, meaning }]) => `${code} ${exit} ${meaning}`).sort();
  assert.deepEqual(there.filter((code) => !listed.includes(code)), [], "add a row for these");
  assert.deepEqual(
    listed.filter((code) => !there.includes(code)),
    [],
    "these are no codes, or say something else",
  );
  for (const [line, , , , todo] of rows) assert.ok((todo as string).trim().length > 5, line);
});

Deno.test("CODES: each code occurs in a test", () => {
  const sources = testsIn(new URL("../", import.meta.url)).join("\n");
  const missing = Object.keys(CODES).filter((code) => !new RegExp(`\\b${code}\\b`).test(sources));
  assert.deepEqual(missing, []);
});

/** Tests, without those of documents and packages, which list codes. */
function testsIn(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return ["docs", "package"].includes(name) ? [] : testsIn(new URL(`${name}/`, folder));
    return name.endsWith("_test.ts") ? [Deno.readTextFileSync(new URL(name, folder))] : [];
  });
}
