/**
 * Looking at a log before it is continued: only what a crash can leave is repaired.
 *
 * @module
 */

import { type Bytes, equal } from "../base/bytes.ts";
import type { TreeHead } from "./checkpoint.ts";
import { CompactRange, leafHash, type Node, rootAt } from "./merkle.ts";
import { LogFault, readRecords } from "./records.ts";
import type { Segment } from "./segments.ts";
import type { TreeFile } from "./tree_file.ts";

/** Where a log is continued. */
export interface Continuation {
  /** The right edge of its tree. */
  readonly range: CompactRange;
  /** Bytes of whole records in the last file. */
  readonly length: number;
  /** Bytes behind them, which a crash left. */
  readonly torn: number;
}

/** What is there of a log. */
export interface Found {
  /** Its files. */
  readonly segments: readonly Segment[];
  /** Its hashes, which are made good. */
  readonly tree: TreeFile;
  /** Whose log it is. */
  readonly party: string;
  /** Checkpoints that its party signed. */
  readonly signed: readonly TreeHead[];
}

/**
 * Reads the last file of a log, or all of it where the hashes of the others are not there, and compares it with the hashes that
 * were kept and with the last checkpoint.
 *
 * @throws LogFault for everything but a last line that is not whole and that no checkpoint covers.
 */
export function continuationOf(found: Found): Continuation {
  const { segments, tree, signed } = found;
  const kept = tree.leaves;
  const [first] = segments;
  if (first !== undefined && first.first > 0) {
    throw new LogFault(0, `records 0 to ${first.first - 1} are missing: ${first.path} is the first file`);
  }
  const lastFirst = segments.at(-1)?.first ?? 0;
  const from = kept >= lastFirst ? Math.max(segments.length - 1, 0) : 0;
  let continuation = replay(found, from);
  // The records say which of them is not the one that was signed, unless its hash was changed with it.
  if (from > 0 && misfit(continuation, found) !== undefined) continuation = replay(found, 0);
  const { range, torn } = continuation;
  requireTail({ size: range.size, torn, kept, signed });
  const wrong = misfit(continuation, found);
  if (wrong !== undefined) {
    throw new LogFault(0, `the first ${wrong.size} records are not those that a checkpoint was signed of`);
  }
  return continuation;
}

/** True iff nothing was kept: a power failure leaves zeros where a write did not arrive. */
export function isBlank(hash: Bytes): boolean {
  return hash.every((byte) => byte === 0);
}

/** Hashes that are written at once. */
const NODES_AT_ONCE = 4096;

function replay({ segments, tree, party }: Found, from: number): Continuation {
  const kept = tree.leaves;
  const range = CompactRange.of(
    segments[from]?.first ?? 0,
    (level, index) => tree.node(level, index),
  );
  const last = segments.at(-1);
  let length = 0;
  let completed: Node[] = [];
  const entries = readRecords(segments.slice(from), party);
  let next = entries.next();
  for (; next.done !== true; next = entries.next()) {
    const { line, end, segment } = next.value;
    const index = range.size;
    const hash = leafHash(line);
    if (index < kept) requireKept(index, hash, tree.node(0, index));
    completed.push(...range.append(hash));
    if (completed.length > NODES_AT_ONCE) {
      tree.append(completed);
      completed = [];
    }
    if (segment === last) length = end;
  }
  tree.append(completed);
  return { range, length, torn: next.value };
}

function requireKept(index: number, hash: Bytes, kept: Bytes): void {
  if (equal(hash, kept) || isBlank(kept)) return;
  throw new LogFault(index, `record ${index} is not the one whose hash was kept when it was written`);
}

/** A checkpoint that is not of these records. */
function misfit({ range }: Continuation, { tree, signed }: Found): TreeHead | undefined {
  return signed.find(({ size, root }) =>
    size <= range.size && !equal(rootAt(size, (level, index) => tree.node(level, index)), root)
  );
}

/** Hashes are kept, and checkpoints signed, after their records have reached the disk. */
function requireTail(
  { size, torn, kept, signed }: {
    readonly size: number;
    readonly torn: number;
    readonly kept: number;
    readonly signed: readonly TreeHead[];
  },
): void {
  const signedSize = Math.max(0, ...signed.map((head) => head.size));
  if (signedSize > size) {
    throw new LogFault(
      size,
      `records from ${size} on are missing: a signed checkpoint has ${signedSize} records`,
    );
  }
  // A last line of which a part is gone may have its hash; whole lines do not go by themselves.
  if (kept > size + (torn > 0 ? 1 : 0)) {
    throw new LogFault(size, `records from ${size} on are missing: the hashes of ${kept} were kept`);
  }
}
