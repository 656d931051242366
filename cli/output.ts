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
  const known = error instanceof QuorateError ? error : undefined;
  const code = known?.code ?? "INVARIANT";
  const exit = known?.exitCode ?? 1;
  const message = known?.message ?? `a bug in this program: an unexpected ${whereabouts(error)}`;
  const party = known?.party;
  const fields = { code, message, exit, ...(party === undefined ? {} : { party }) };
  writeError(json ? JSON.stringify({ error: fields }) : `error ${code}: ${message}`);
  return exit;
}

/** Rows in columns, one per line. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd() + "\n")
    .join("");
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
