/** The codes that a node writes to its log are in the documents. */

import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
const DOCUMENTS = ["node", "audit", "errors"]
  .map((name) => Deno.readTextFileSync(new URL(`docs/${name}.md`, ROOT))).join("\n");

Deno.test("docs: every code that a node's log has is in docs/node.md, docs/audit.md or docs/errors.md", () => {
  const codes = sourcesIn(new URL("src/node/", ROOT)).flatMap(codesOf);
  for (const code of ["TX_DECIDED", "NODE_STARTED", "MEMBER_SILENT"]) assert.ok(codes.includes(code), code);
  const missing = new Set(codes.filter((code) => !DOCUMENTS.includes(`\`${code}\``)));
  assert.deepEqual([...missing], []);
});

/** The codes in calls that write to a log. */
function codesOf(source: string): string[] {
  const calls = source.matchAll(/\blog\??\.write\(([^]*?)\);\n/g);
  return [...calls].flatMap(([, call = ""]) => {
    const [, value = ""] = /\bcode: ([^]*)/.exec(call) ?? [];
    return [...value.matchAll(/"([A-Z][A-Z_]+)"/g)].map(([, code]) => code as string);
  });
}

function sourcesIn(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".ts"))
    .map(({ name }) => Deno.readTextFileSync(new URL(name, folder)));
}
