/** docs/promises.md: every row leads to a test that exists, to a measurement, or says plainly that a promise is not kept. */

import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
const TEXT = Deno.readTextFileSync(new URL("docs/promises.md", ROOT));
const SYSTEMS = ["agree-random-mtls", "ecdsa-2pc-mtls", "ecdsa-mpc-with-backup", "network", "voting"];

interface Row {
  readonly promise: string;
  readonly shownBy: string;
  readonly test: string;
}

function rows(text: string): Row[] {
  return text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| promise "))
    .map((line) => {
      const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
      assert.equal(cells.length, 4, line);
      const [promise = "", , shownBy = "", test = ""] = cells;
      return { promise, shownBy, test };
    });
}

/** Whether a file has a test of this name; names that are templates stand for what they become. */
function hasTest(source: string, name: string): boolean {
  const names = source.matchAll(
    /\b(?:Deno\.test|t\.step)\(\s*(?:\{\s*name:\s*)?(?:"((?:[^"\\]|\\.)+)"|`((?:[^`\\]|\\.)+)`)/g,
  );
  for (const [, plain, template] of names) {
    if (plain === name) return true;
    if (template === undefined) continue;
    const pattern = template.split(/\$\{[^}]*\}/).map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    if (new RegExp(`^${pattern.join(".*")}$`).test(name)) return true;
  }
  return false;
}

Deno.test("docs/promises.md has a part for each system that is replaced", () => {
  const titles = [...TEXT.matchAll(/^## ([a-z0-9-]+):/gm)].map(([, title]) => title);
  assert.deepEqual(titles, SYSTEMS);
});

Deno.test("docs/promises.md: every row leads to a test that exists, to a measurement, or says why a promise is not kept", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const wrong: string[] = [];
  for (const { promise, shownBy, test } of rows(TEXT)) {
    if (shownBy === "not kept") {
      if (test.length < 10) wrong.push(`${promise}: no reason`);
    } else if (shownBy === "measured") {
      const task = /^`deno task ([a-z]+)`$/.exec(test)?.[1];
      if (task === undefined || !(task in tasks)) wrong.push(`${promise}: ${test}`);
    } else {
      assert.match(shownBy, /^tests\/[\w/]+_test\.ts$/, promise);
      const source = readOrEmpty(shownBy);
      if (!hasTest(source, test)) wrong.push(`${promise}: ${shownBy} has no test "${test}"`);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("hasTest() knows names and templates, and nothing else", () => {
  const source = 'Deno.test("a() does b", f); Deno.test(`c() ${d} e`, g); Deno.test({ name: "h", fn });';
  for (const name of ["a() does b", "c() anything e", "h"]) assert.ok(hasTest(source, name), name);
  for (const name of ["a()", "c() e", "c() d e f", "x"]) assert.ok(!hasTest(source, name), name);
});

function readOrEmpty(path: string): string {
  try {
    return Deno.readTextFileSync(new URL(path, ROOT));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
