/**
 * The files that hold the records: one line each, in files that are named after their first record.
 *
 * @module
 */

import { type Bytes, concat, copy } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { reasonOf } from "../storage/files.ts";
import { RECORD_BYTES_MAX } from "./events.ts";

/** One file of records. */
export interface Segment {
  /** Where it is. */
  readonly path: string;
  /** Index of its first record. */
  readonly first: number;
}

/** A line, and where the next one begins. */
export interface Line {
  /** Without the line end. */
  readonly bytes: Bytes;
  /** Offset behind the line end. */
  readonly end: number;
}

/** The file of the records from an index on. */
export function segmentPath(directory: string, first: number): string {
  return `${directory}/${String(first).padStart(INDEX_DIGITS, "0")}.jsonl`;
}

/** All files of records, in order; none where there is no directory. @throws UsageError AUDIT_UNREADABLE */
export function listSegments(directory: string): Segment[] {
  const segments: Segment[] = [];
  try {
    for (const { name } of Deno.readDirSync(directory)) {
      const first = SEGMENT_NAME.exec(name)?.[1];
      if (first !== undefined) segments.push({ path: `${directory}/${name}`, first: Number(first) });
    }
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw unreadable(directory, cause);
  }
  return segments.sort((a, b) => a.first - b.first);
}

/**
 * The whole lines of a file, one at a time: a file is never in memory as a whole.
 *
 * @param from offset at which a line begins.
 * @returns how many bytes follow the last line end: more than none where the last line is not whole.
 * @throws UsageError AUDIT_UNREADABLE
 */
export function* linesOf(path: string, from = 0): Generator<Line, number> {
  using file = opened(path);
  file.seekSync(from, Deno.SeekMode.Start);
  const chunk = new Uint8Array(CHUNK_BYTES);
  let rest: Bytes = new Uint8Array(0);
  let end = from;
  for (let read = readInto(file, chunk, path); read > 0; read = readInto(file, chunk, path)) {
    const data = concat(rest, chunk.subarray(0, read));
    let start = 0;
    for (let at = data.indexOf(LINE_END); at >= 0; at = data.indexOf(LINE_END, start)) {
      const bytes = copy(data.subarray(start, at));
      end += bytes.length + 1;
      start = at + 1;
      yield { bytes, end };
    }
    rest = data.slice(start);
    // What is longer than any record is no line, and is not gathered.
    if (rest.length > RECORD_BYTES_MAX) {
      yield { bytes: rest, end: end + rest.length };
      return 0;
    }
  }
  return rest.length;
}

/** The line end. */
export const LINE_END = 10;

const INDEX_DIGITS = 16;
const SEGMENT_NAME = /^(\d{16})\.jsonl$/;
const CHUNK_BYTES = 64 * 1024;

function opened(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true });
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function readInto(file: Deno.FsFile, chunk: Uint8Array, path: string): number {
  try {
    return file.readSync(chunk) ?? 0;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): UsageError {
  return new UsageError("AUDIT_UNREADABLE", `cannot read ${path} of the audit log: ${reasonOf(cause)}`, {
    cause,
  });
}
