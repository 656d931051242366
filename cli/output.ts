/**
 * Results on stdout, errors on stderr.
 *
 * @module
 */

import { QuorateError, UsageError } from "../src/base/errors.ts";
import { directoryOf, isThere, reasonOf, writeWhole } from "../src/storage/files.ts";

/** Prints a result: as JSON, or as the text made for people. */
export function print(json: boolean | undefined, value: unknown, text: string): void {
  writeAll(json === true ? JSON.stringify(value) + "\n" : text);
}

/** Writes a result to a file, whole or not at all; `-` or nothing is stdout. @throws UsageError FILE_UNWRITABLE */
export function writeResult(out: string | undefined, content: Uint8Array): void {
  if (out === undefined || out === "-") return writeAll(content);
  writeWhole(out, content, { mode: 0o644, code: "FILE_UNWRITABLE", shared: true });
}

/** Refuses an output path before any work is done for it. @throws UsageError FILE_UNWRITABLE */
export function requireWritable(out: string | undefined): void {
  if (out === undefined || out === "-") return;
  if (!isThere(directoryOf(out))) {
    throw new UsageError("FILE_UNWRITABLE", `cannot write ${out}: there is no directory ${directoryOf(out)}`);
  }
  if (isDirectory(out)) throw new UsageError("FILE_UNWRITABLE", `cannot write ${out}: it is a directory`);
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
  // What is not ours has no promise about what it says: its class is enough, and no secret can be in it.
  const name = error instanceof Error ? error.constructor.name : typeof error;
  const message = known?.message ?? `a bug in this program: an unexpected ${name}`;
  const party = known?.party;
  const fields = { code, message, exit, ...(party === undefined ? {} : { party }) };
  writeError(json ? JSON.stringify({ error: fields }) : `error ${code}: ${message}`);
  return exit;
}

/** Writes one line to stderr. */
export function writeError(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
}

function writeAll(content: Uint8Array | string): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
