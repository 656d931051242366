import assert from "node:assert/strict";
import { longTable, type Result, ROWS, shortTable } from "../../scripts/faults.ts";

const ROOT = new URL("../../", import.meta.url);

/** The table in a document, by line. */
function tableIn(path: string): string[] {
  const text = Deno.readTextFileSync(new URL(path, ROOT));
  const [, table = ""] = /<!-- deno task faults -->([^]*?)<!-- \/deno task faults -->/.exec(text) ?? [];
  return table.split("\n").filter((line) => line.startsWith("|")).slice(2);
}

Deno.test("README.md and docs/faults.md show every row of the fault matrix, passed, with the same tests", () => {
  const counts = new Map<string, number>();
  let row = "";
  for (const line of tableIn("docs/faults.md")) {
    const [, name, fault, , result] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (name !== "") row = name as string;
    if (name !== "") assert.equal(fault, ROWS[row]);
    assert.equal(result, "passed", line);
    counts.set(row, (counts.get(row) ?? 0) + 1);
  }
  assert.deepEqual(
    tableIn("README.md"),
    Object.entries(ROWS).map(([row, fault]) => `| ${row} | ${fault} | ${counts.get(row)} | passed |`),
  );
});

Deno.test("longTable() and shortTable() show what failed, and rows without a test", () => {
  const result = (row: string, test: string, result: Result["result"]) => ({ row, test, result, seconds: 0 });
  const results = [
    result("F1", "one | two", "passed"),
    result("F1", "one | two > a step", "failed"),
    result("F2", "x", "ignored"),
  ];
  assert.deepEqual(longTable(["F1", "F2", "F3"], results).split("\n").slice(2), [
    "| F1 | replay | one \\| two | passed |",
    "| | | … a step | failed |",
    "| F2 | reorder, duplicate, delay | x | ignored |",
    "| F3 | truncated and malformed frames | none | missing |",
    "",
    "1 of 3 tests passed, 3 rows",
  ]);
  assert.deepEqual(shortTable(["F1", "F2", "F3"], results).split("\n").slice(2), [
    "| F1 | replay | 2 | 1 passed |",
    "| F2 | reorder, duplicate, delay | 1 | 0 passed |",
    "| F3 | truncated and malformed frames | 0 | missing |",
  ]);
});
