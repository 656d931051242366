/** Documents that sources, links and tables point to. */

import assert from "node:assert/strict";
import { documents } from "./blocks.ts";

const ROOT = new URL("../../", import.meta.url);
const DOCUMENTS = documents();

function* sources(folder: string): Generator<readonly [string, string]> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (isDirectory) yield* sources(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield [folder + name, Deno.readTextFileSync(new URL(folder + name, ROOT))];
  }
}

/** The anchors of a document, as its headings make them. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    (title as string).toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

Deno.test("docs/protocols.md has each section that a source names", () => {
  const text = DOCUMENTS.find(({ path }) => path === "docs/protocols.md")?.text ?? "";
  const numbers = new Set([...text.matchAll(/^#+ (\d+(?:\.\d+)?)\.? /gm)].map(([, number]) => number));
  const missing: string[] = [];
  for (const folder of ["src/", "cli/", "scripts/"]) {
    for (const [path, source] of sources(folder)) {
      for (const [, number] of source.matchAll(/\bSPEC (\d+(?:\.\d+)?)/g)) {
        if (!numbers.has(number as string)) missing.push(`${path}: SPEC ${number}`);
      }
    }
  }
  assert.deepEqual(missing, []);
});

Deno.test("documents: every link to a file of the project leads to it, and to a heading that it has", () => {
  const wrong: string[] = [];
  for (const { path, text } of DOCUMENTS) {
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target as string)) continue;
      const [file, anchor] = (target as string).split("#");
      const url = file === "" ? new URL(path, ROOT) : new URL(file as string, new URL(path, ROOT));
      let found: string | undefined;
      try {
        found = Deno.statSync(url).isDirectory ? "" : Deno.readTextFileSync(url);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      if (found === undefined) wrong.push(`${path}: ${target}: there is no such file`);
      else if (anchor !== undefined && !anchorsOf(found).includes(anchor)) {
        wrong.push(`${path}: ${target}: there is no such heading`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("documents: every file of the project that a sentence names is there", () => {
  const missing: string[] = [];
  // deploy/cluster is made by deploy/prepare.ts.
  for (const { path, text } of DOCUMENTS) {
    for (
      const [, name] of text.matchAll(
        /`((?:src|tests|cli|scripts|deploy|examples|docs)\/(?!cluster)[\w./-]+)`/g,
      )
    ) {
      try {
        Deno.statSync(new URL(name as string, ROOT));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        missing.push(`${path}: ${name}`);
      }
    }
  }
  assert.deepEqual(missing, []);
});

Deno.test("docs/README.md and README name every document", () => {
  const index = DOCUMENTS.find(({ path }) => path === "docs/README.md")?.text ?? "";
  const names = DOCUMENTS.map(({ path }) => path.replace(/^docs\//, "")).filter((name) =>
    name !== "README.md"
  );
  assert.deepEqual(names.filter((name) => !index.includes(`](${name})`)), []);
});
