/**
 * Results on stdout, errors on stderr.
 *
 * @module
 */

import { QuorateError, UsageError } from "../src/base/errors.ts";
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
 * Refuses an output path before any work is done for it, as far as this process may look.
 *
 * @throws UsageError FILE_UNWRITABLE
 */
export function requireWritable(out: string | undefined): void {
  if (out === undefined || out === "-") return;
  const directory = directoryOf(out);
  const problem = look(directory) === "nothing"
    ? `there is no directory ${directory}`
    : look(out) === "directory"
    ? "it is a directory"
    : undefined;
  if (problem !== undefined) throw new UsageError("FILE_UNWRITABLE", `cannot write ${out}: ${problem}`);
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

/** Class and place only: what an error that is not ours says might be anything. */
function whereabouts(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /[\w.-]+:\d+:\d+/.exec(error.stack?.split("\n").slice(1).join("\n") ?? "");
  return `${error.constructor.name}${place === null ? "" : ` at ${place[0]}`}`;
}

/** Writes one line to stderr. */
export function writeError(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
}

function writeAll(content: Uint8Array | string): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function look(path: string): "nothing" | "directory" | "something" {
  try {
    return Deno.statSync(path).isDirectory ? "directory" : "something";
  } catch (error) {
    // What cannot be looked at is found out when it is written.
    return error instanceof Deno.errors.NotFound ? "nothing" : "something";
  }
}
