/**
 * Results on stdout, errors on stderr.
 *
 * @module
 */

import { QuorateError, UsageError } from "../src/base/errors.ts";
import { whereabouts } from "../src/node/operator_wire.ts";
import { directoryOf, reasonOf, writeWhole } from "../src/storage/files.ts";

/** Prints a result: as JSON, or as the text made for people. */
export function print(json: boolean | undefined, value: unknown, text: string): void {
  writeAll(json === true ? JSON.stringify(value) + "\n" : text);
}

/** Writes a result to a file, whole or not at all; `-` or nothing is stdout. @throws UsageError FILE_UNWRITABLE */
export function writeResult(out: string | undefined, content: Uint8Array): void {
  if (out === undefined || out === "-") return writeAll(content);
  writeWhole(out, content, { mode: 0o644, code: "FILE_UNWRITABLE", shared: true });
}

/**
 * Refuses an output path before any work is done for it: what is signed cannot be taken back because a disk is read-only.
 *
 * @throws UsageError FILE_UNWRITABLE
 */
export function requireWritable(out: string | undefined): void {
  if (out === undefined || out === "-") return;
  const directory = directoryOf(out);
  const there = look(out);
  if (look(directory) === "nothing") throw unwritable(out, `there is no directory ${directory}`);
  if (there === "directory") throw unwritable(out, "it is a directory");
  // A result is moved into place: it would replace a device or a pipe, not go into it.
  if (there === "special") throw unwritable(out, "it is no regular file; - is standard output");
  const probe = `${out}.${Deno.pid}.tmp`;
  try {
    Deno.openSync(probe, { write: true, createNew: true }).close();
    Deno.removeSync(probe);
  } catch (cause) {
    throw unwritable(out, reasonOf(cause), cause);
  }
}

/**
 * Refuses to end with bytes on a terminal, before any work is done for them; `-` insists.
 *
 * @throws UsageError USAGE
 */
export function requireFileForBytes(out: string | undefined): void {
  if (out !== undefined || !Deno.stdout.isTerminal()) return;
  throw new UsageError(
    "USAGE",
    "the result is not text and would go to the terminal: name a file with --out, or ask for --format json",
  );
}

/** Reads an input file; `-` is stdin. @throws UsageError FILE_UNREADABLE */
export async function readInput(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    if (path === "-") return await new Response(Deno.stdin.readable).bytes();
    return await Deno.readFile(path);
  } catch (cause) {
    const name = path === "-" ? "standard input" : path;
    throw new UsageError("FILE_UNREADABLE", `cannot read ${name}: ${reasonOf(cause)}`, { cause });
  }
}

/** One sentence with its code. @returns the exit code. */
export function reportError(error: unknown, json: boolean): number {
  const known = error instanceof QuorateError ? error : permissionError(error);
  const code = known?.code ?? "INVARIANT";
  const exit = known?.exitCode ?? 1;
  const message = known?.message ?? `a bug in this program: an unexpected ${whereabouts(error)}`;
  const party = known?.party;
  const fields = { code, message, exit, ...(party === undefined ? {} : { party }) };
  const label = style("red", `error ${code}:`, Deno.stderr);
  writeError(json ? JSON.stringify({ error: fields }) : `${label} ${message}`);
  return exit;
}

/** What a process with the permissions of one party may not do is no bug. */
function permissionError(error: unknown): UsageError | undefined {
  if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  const what = /^Requires (.*), run again/.exec(error.message)?.[1] ?? "a permission";
  return new UsageError(
    "NOT_PERMITTED",
    `this process would need ${what}: where the configuration has changed, make the party's file again with deno task compile`,
    { cause: error },
  );
}

/**
 * Rows in columns. On a terminal that is too narrow long cells are continued below, and where even that does not help,
 * each row becomes a block of lines. What goes to a file or a pipe is never folded.
 *
 * @param head titles of the columns, if they have any.
 * @param columns width of the terminal; undefined where there is none.
 */
export function table(
  rows: readonly (readonly string[])[],
  head?: readonly string[],
  columns: number | undefined = terminalColumns(Deno.stdout),
): string {
  const all = head === undefined ? rows : [head, ...rows];
  const widths = widthsOf(all, head, columns);
  if (widths === undefined) return rows.map((row) => block(row, head, columns as number)).join("\n");
  const lines = all.map((row) => line(row, widths));
  if (head !== undefined) lines[0] = style("bold", lines[0] as string, Deno.stdout);
  return lines.join("");
}

/** How wide the terminal is; undefined where the stream goes somewhere else. */
export function terminalColumns(stream: { isTerminal(): boolean }): number | undefined {
  if (!stream.isTerminal()) return undefined;
  try {
    // A terminal of an unknown size says 0.
    return Deno.consoleSize().columns || COLUMNS_DEFAULT;
  } catch {
    return COLUMNS_DEFAULT;
  }
}

/** Text as a terminal shows it; unchanged where the stream is none, or NO_COLOR is set. */
export function style(
  kind: keyof typeof STYLES,
  text: string,
  stream: { isTerminal(): boolean },
  noColor: boolean = Deno.noColor,
): string {
  if (noColor || !stream.isTerminal()) return text;
  const [on, off] = STYLES[kind];
  // The end of a line stays plain: some terminals paint the rest of it otherwise.
  return text.replace(/[^\n]+/g, (part) => `\x1b[${on}m${part}\x1b[${off}m`);
}

/** Writes one line to stderr. */
export function writeError(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
}

function writeAll(content: Uint8Array | string): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function unwritable(out: string, problem: string, cause?: unknown): UsageError {
  return new UsageError("FILE_UNWRITABLE", `cannot write ${out}: ${problem}`, { cause });
}

function look(path: string): "nothing" | "directory" | "file" | "special" {
  try {
    const { isDirectory, isFile } = Deno.statSync(path);
    return isDirectory ? "directory" : isFile ? "file" : "special";
  } catch (error) {
    // What may not be looked at is found out by the probe.
    return error instanceof Deno.errors.NotFound ? "nothing" : "file";
  }
}

const COLUMNS_DEFAULT = 80;
const GAP = "  ";
/** A column gets narrower than this only if all its cells are. */
const WIDTH_MIN = 8;
const STYLES = { bold: [1, 22], red: [31, 39], yellow: [33, 39] } as const;

/** How wide each column is; undefined where they do not fit beside each other. */
function widthsOf(
  rows: readonly (readonly string[])[],
  head: readonly string[] | undefined,
  columns: number | undefined,
): number[] | undefined {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  const least = widths.map((width, i) => Math.min(width, Math.max(WIDTH_MIN, head?.[i]?.length ?? 0)));
  const total = (all: readonly number[]) => all.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
  if (columns === undefined || total(widths) <= columns) return widths;
  if (total(least) > columns) return undefined;
  while (total(widths) > columns) {
    const spare = widths.map((width, i) => width > (least[i] as number) ? width : 0);
    const widest = spare.indexOf(Math.max(...spare));
    widths[widest] = (widths[widest] as number) - 1;
  }
  return widths;
}

/** One row beside each other; cells that are too long are continued below. */
function line(row: readonly string[], widths: readonly number[]): string {
  const cells = row.map((cell, i) => wrap(cell, widths[i] as number));
  const height = Math.max(1, ...cells.map((parts) => parts.length));
  return Array.from(
    { length: height },
    (_, at) =>
      cells.map((parts, i) => (parts[at] ?? "").padEnd(widths[i] as number)).join(GAP).trimEnd() + "\n",
  )
    .join("");
}

/** One row as lines of its own, each with its title. */
function block(row: readonly string[], head: readonly string[] | undefined, columns: number): string {
  const width = Math.max(0, ...(head ?? []).map((title) => title.length));
  const rest = Math.max(WIDTH_MIN, columns - width - GAP.length);
  return row.map((cell, i) => cell === "" ? "" : line([head?.[i] ?? "", cell], [width, rest])).join("");
}

/** Breaks at spaces, and inside of words that are longer than a line. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const at = space > 0 ? space : width;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}
