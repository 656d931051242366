/**
 * `deno task faults [ROW...]`: runs the tests that are named after a row of the fault matrix, and prints the row, the test and what
 * came of it. `--write` puts both tables where people read them.
 *
 * @module
 */

import { parseArgs } from "node:util";

/** What is injected, by row. */
export const ROWS: Readonly<Record<string, string>> = {
  N1: "partition",
  N2: "one-way partition",
  N3: "non-transitive connections",
  N4: "latency, jitter, little bandwidth",
  N5: "slow party",
  N6: "link flap",
  N7: "half-open connection",
  F1: "replay",
  F2: "reorder, duplicate, delay",
  F3: "truncated and malformed frames",
  F4: "oversized frames",
  F5: "malformed payloads",
  F6: "bombs",
  T1: "wrong certificate",
  T2: "another party's certificate",
  T3: "another sender's name",
  T4: "expiry, renewal, change of authority",
  T5: "slow handshakes, many connections",
  T6: "other protocols, resumption",
  T7: "simultaneous dial, replacement",
  R1: "floods",
  K1: "clock skew",
  X1: "audit log",
  C1: "crash at every write",
  C3: "crash after signing, before sending",
  D1: "full disk",
  P1: "PostgreSQL down",
  P2: "etcd down",
  B1: "equivocation",
  B2: "selective sending",
  V1: "double votes",
  V2: "minority votes",
  V3: "forged votes",
  V4: "votes of strangers and other epochs",
  V5: "late votes, silence",
  V6: "members that cheat together",
  V7: "floods of transactions",
  V8: "reputation",
};
const FOLDERS = ["tests/faults", "tests/transport", "tests/audit", "tests/pki", "tests/node"];
const USAGE = `deno task faults [--json | --summary | --write] [ROW...]

  ROW        N1 to N7, F1 to F6, T1 to T7, R1, K1, X1; of voting C1, C3, D1, P1, P2, B1, B2, V1 to V8; default: all
  --json     one JSON object per test
  --summary  one line per row
  --write    puts the tables into README.md and docs/faults.md, where all rows passed`;
/** The documents, and the comments between which a table stands. */
const PAGES = { long: "docs/faults.md", short: "README.md" } as const;
const MARKS = ["<!-- deno task faults -->", "<!-- /deno task faults -->"] as const;

/** What came of one test. */
export interface Result {
  readonly row: string;
  readonly test: string;
  readonly result: "passed" | "failed" | "ignored";
  readonly seconds: number;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      json: { type: "boolean", default: false },
      summary: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const rows = positionals.length > 0 ? positionals : Object.keys(ROWS);
  if (rows.some((row) => ROWS[row] === undefined) || (values.write && positionals.length > 0)) {
    console.error(USAGE);
    return 64;
  }
  const { results, output } = await run(rows);
  if (values.json) { for (const result of results) console.log(JSON.stringify(result)); }
  else console.log((values.summary ? shortTable : longTable)(rows, results));
  const without = rows.filter((row) => !results.some((result) => result.row === row));
  const failed = results.filter(({ result }) => result === "failed");
  if (without.length > 0) console.error(`without a test: ${without.join(", ")}`);
  if (failed.length > 0 || results.length === 0) console.error(output);
  if (without.length + failed.length > 0) return 1;
  if (values.write) {
    await writeTable(PAGES.long, longTable(rows, results));
    await writeTable(PAGES.short, shortTable(rows, results));
  }
  return 0;
}

/** A row for every test. */
export function longTable(rows: readonly string[], results: readonly Result[]): string {
  const lines = rows.flatMap((row) => {
    const own = results.filter((result) => result.row === row);
    if (own.length === 0) return [`| ${row} | ${ROWS[row]} | none | missing |`];
    return own.map(({ test, result }, i) => {
      const head = i === 0 ? `| ${row} | ${ROWS[row]}` : "| |";
      // Steps follow the test that they are of.
      const name = test.replace(/^.* > /, "… ").replaceAll("|", "\\|");
      return `${head} | ${name} | ${result} |`;
    });
  });
  const end = `${passedOf(results)} of ${results.length} tests passed, ${rows.length} rows`;
  return ["| row | fault | test | result |", "|---|---|---|---|", ...lines, "", end].join("\n");
}

/** A row for every fault. */
export function shortTable(rows: readonly string[], results: readonly Result[]): string {
  const lines = rows.map((row) => {
    const own = results.filter((result) => result.row === row);
    const passed = passedOf(own);
    const verdict = own.length === 0 ? "missing" : passed === own.length ? "passed" : `${passed} passed`;
    return `| ${row} | ${ROWS[row]} | ${own.length} | ${verdict} |`;
  });
  return ["| row | fault | tests | result |", "|---|---|---|---|", ...lines].join("\n");
}

async function writeTable(path: string, table: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const [start, end] = MARKS.map((mark) => text.indexOf(mark)) as [number, number];
  if (start < 0 || end < start) throw new Error(`${path} has no place for the table`);
  const until = start + MARKS[0].length;
  await Deno.writeTextFile(path, `${text.slice(0, until)}\n\n${table}\n\n${text.slice(end)}`);
}

function passedOf(results: readonly Result[]): number {
  return results.filter(({ result }) => result === "passed").length;
}

async function run(
  rows: readonly string[],
): Promise<{ readonly results: Result[]; readonly output: string }> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const folders: string[] = [];
    for (const folder of FOLDERS) if (await isFolder(folder)) folders.push(folder);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "test",
        "--frozen",
        "-A",
        `--filter=/^(${rows.join("|")}) /`,
        `--junit-path=${report}`,
        ...folders,
      ],
      env: { NO_COLOR: "1", FAULTS: "all" },
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { results: resultsIn(await Deno.readTextFile(report)), output };
  } finally {
    await Deno.remove(report);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}

function resultsIn(xml: string): Result[] {
  const cases = xml.matchAll(
    /<testcase name="([^"]*)"[^>]*?time="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g,
  );
  const results = [...cases].flatMap(([, name = "", seconds = "0", body = ""]) => {
    const [, row, test] = /^([A-Z]\d) ([\s\S]*)$/.exec(unescape(name)) ?? [];
    if (row === undefined || test === undefined) return [];
    const result = body.includes("<failure") ? "failed" : body.includes("<skipped") ? "ignored" : "passed";
    return [{ row, test, result, seconds: Number(seconds) } as const];
  });
  const order = Object.keys(ROWS);
  return results.sort((a, b) => order.indexOf(a.row) - order.indexOf(b.row));
}

function unescape(text: string): string {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
  return text.replace(
    /&(lt|gt|amp|quot|apos|#(\d+));/g,
    (_, name, code) => code === undefined ? entities[name] as string : String.fromCodePoint(Number(code)),
  );
}

if (import.meta.main) Deno.exit(await main(Deno.args));
