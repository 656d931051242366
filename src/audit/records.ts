/**
 * Reading a log record by record, and what is wrong with the first one that is.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { type AuditRecord, decodeRecord } from "./events.ts";
import { linesOf, type Segment } from "./segments.ts";

/** The first record that is not what it should be. */
export class LogFault extends Error {
  /** For messages. */
  override name = "LogFault";
  /** Its index. */
  readonly index: number;

  /** Makes a fault of a record. */
  constructor(index: number, what: string) {
    super(what);
    this.index = index;
  }
}

/** A record in its place. */
export interface Entry {
  /** The record. */
  readonly record: AuditRecord;
  /** Its line, which is the leaf of the tree. */
  readonly line: Bytes;
  /** The file that it is in. */
  readonly segment: Segment;
  /** Offset behind it. */
  readonly end: number;
}

/**
 * All records of some files, which follow each other to the end of the log.
 *
 * @param party whose log it is.
 * @returns how many bytes behind the last record are no whole record: what a crash can leave.
 * @throws LogFault or UsageError AUDIT_UNREADABLE
 */
export function* readRecords(segments: readonly Segment[], party: string): Generator<Entry, number> {
  let index = segments[0]?.first ?? 0;
  for (const [place, segment] of segments.entries()) {
    requireNext(segment, index);
    const lines = linesOf(segment.path);
    let next = lines.next();
    for (; next.done !== true; next = lines.next()) {
      const { bytes, end } = next.value;
      yield { record: recordOf(bytes, index, party), line: bytes, segment, end };
      index++;
    }
    if (place === segments.length - 1) return next.value;
    if (next.value > 0) throw new LogFault(index, `record ${index} is not whole, and others follow it`);
  }
  return 0;
}

function requireNext({ first, path }: Segment, index: number): void {
  if (first === index) return;
  throw new LogFault(
    Math.min(first, index),
    first > index
      ? `records ${index} to ${first - 1} are missing: ${path} begins with record ${first}`
      : `record ${first} is there twice: ${path} begins with it, and the file before ends with ${index - 1}`,
  );
}

function recordOf(line: Bytes, index: number, party: string): AuditRecord {
  let record: AuditRecord;
  try {
    record = decodeRecord(line);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new LogFault(index, `record ${index} was changed: ${error.message}`);
  }
  if (record.index !== index) {
    throw new LogFault(
      index,
      `record ${index} is missing or was moved: record ${record.index} stands in its place`,
    );
  }
  if (record.party !== party) {
    throw new LogFault(index, `record ${index} is of ${record.party}'s log and not of ${party}'s`);
  }
  return record;
}
