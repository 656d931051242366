/**
 * Checking a log offline: every record, the tree, and every checkpoint that anybody has of it.
 *
 * @module
 */

import { type Bytes, equal, hex } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { cosignaturesOf, type Cosigned, type NamedKey, verifyCheckpoint } from "./checkpoint.ts";
import { CompactRange, inclusionProof, leafHash, verifyInclusion } from "./merkle.ts";
import { LogFault, readRecords } from "./records.ts";
import { isBlank } from "./recover.ts";
import { listSegments } from "./segments.ts";
import {
  checkpointOf,
  cosignedPath,
  listContradictions,
  newestPath,
  readCheckpoint,
  type StoredCheckpoint,
} from "./stored_checkpoints.ts";
import { TreeFile } from "./tree_file.ts";

/** What is checked, and with whose keys. */
export interface VerifyOptions {
  /** Where the log is. */
  readonly directory: string;
  /** Whose log it is. */
  readonly party: string;
  /** Its key; the name is the log's. */
  readonly key: NamedKey;
  /** Keys of those that may cosign. */
  readonly cosigners: readonly NamedKey[];
  /** Checkpoints of the log from elsewhere: those that peers keep as its witnesses. */
  readonly checkpoints?: readonly { readonly source: string; readonly text: string }[];
  /** How many peers must have cosigned the newest checkpoint that enough of them cosigned. Default: none. */
  readonly witnesses?: number;
}

/** Something that is wrong with a log. */
export interface AuditFinding {
  /** The first record that it is about, where it is about one. */
  readonly index?: number;
  /** One sentence. */
  readonly what: string;
}

/** A checkpoint that the log's key signed. */
export interface CheckpointReport {
  /** Where it was found. */
  readonly source: string;
  /** How many records it covers. */
  readonly size: number;
  /** Who cosigned it. */
  readonly cosigned: readonly Cosigned[];
}

/** What was found out about a log. */
export interface AuditReport {
  /** True iff nothing is wrong. */
  readonly ok: boolean;
  /** Whose log it is. */
  readonly party: string;
  /** Name of the log. */
  readonly origin: string;
  /** Records that are right, from the first one on. */
  readonly size: number;
  /** Root of the tree over them, as hexadecimal digits. */
  readonly root: string;
  /** What is wrong; the first one has the lowest index. */
  readonly findings: readonly AuditFinding[];
  /** What need not be wrong, and should be looked at. */
  readonly warnings: readonly AuditFinding[];
  /** Checkpoints that were compared. */
  readonly checkpoints: readonly CheckpointReport[];
}

/**
 * Checks a log. Reads only, and may run while the log is written.
 *
 * @throws UsageError AUDIT_UNREADABLE for a file that cannot be read, or a checkpoint from elsewhere that is none.
 */
export function verifyLog(options: VerifyOptions): AuditReport {
  return new Verification(options).run();
}

/** A warning per place would drown the others where a clock jumps about. */
const WARNINGS_MAX = 100;
const DIFFERING_MAX = 1000;

class Verification {
  readonly #options: VerifyOptions;
  readonly #findings: AuditFinding[] = [];
  readonly #warnings: AuditFinding[] = [];
  readonly #reports: CheckpointReport[] = [];
  readonly #range = new CompactRange();
  readonly #roots = new Map<number, Bytes>();
  #isComplete = false;
  #torn = 0;
  /** Records whose kept hash is another one, as far as they are worth remembering. */
  readonly #differing: number[] = [];

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  run(): AuditReport {
    const { directory, party, key } = this.#options;
    // Checkpoints and hashes are written after the records that they are of: whoever reads them first misses no record.
    const checkpoints = this.#checkpoints();
    using tree = openTree(directory);
    const kept = tree?.leaves ?? 0;
    this.#walk(new Set(checkpoints.map(({ size }) => size)), tree, kept);
    const covered = this.#compare(checkpoints, tree, kept);
    if (this.#isComplete) this.#judgeHashes(covered, kept);
    this.#judgeWitnesses();
    const findings = this.#findings.sort((a, b) => (a.index ?? Infinity) - (b.index ?? Infinity));
    return {
      ok: findings.length === 0,
      party,
      origin: key.name,
      size: this.#range.size,
      root: hex(this.#range.root()),
      findings,
      warnings: this.#warnings,
      checkpoints: this.#reports,
    };
  }

  /** All checkpoints that the log's key signed, from the smallest to the largest. */
  #checkpoints(): (StoredCheckpoint & { readonly source: string })[] {
    const { directory, checkpoints = [], key } = this.#options;
    const sources = [newestPath(directory), cosignedPath(directory), ...listContradictions(directory)];
    const own = sources.flatMap((source) => {
      const checkpoint = this.#ownCheckpoint(source);
      return checkpoint === undefined ? [] : [{ ...checkpoint, source }];
    });
    const others = checkpoints.map(({ source, text }) => ({ ...checkpointOf(text, source), source }));
    const signed = [...own, ...others].filter((checkpoint) => {
      if (verifyCheckpoint(checkpoint, key)) return true;
      const what = checkpoint.origin === key.name
        ? `is not signed by ${this.#options.party}`
        : `is of another log: ${checkpoint.origin}`;
      this.#findings.push({ what: `the checkpoint in ${checkpoint.source} ${what}` });
      return false;
    });
    for (const checkpoint of signed) this.#report(checkpoint);
    return signed.sort((a, b) => a.size - b.size);
  }

  #ownCheckpoint(path: string): StoredCheckpoint | undefined {
    try {
      return readCheckpoint(path);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#findings.push({ what: error.message });
      return undefined;
    }
  }

  #report(checkpoint: StoredCheckpoint & { readonly source: string }): void {
    const { cosigned, invalid } = cosignaturesOf(checkpoint, this.#options.cosigners);
    for (const name of invalid) {
      this.#findings.push({ what: `the cosignature of ${name} in ${checkpoint.source} does not verify` });
    }
    this.#reports.push({ source: checkpoint.source, size: checkpoint.size, cosigned });
  }

  /** Reads all records, up to the first one that is none or is not in its place. */
  #walk(sizes: ReadonlySet<number>, tree: TreeFile | undefined, kept: number): void {
    const { directory, party } = this.#options;
    const segments = listSegments(directory);
    const keep = () => {
      if (sizes.has(this.#range.size)) this.#roots.set(this.#range.size, this.#range.root());
    };
    let before = -Infinity;
    keep();
    try {
      if (segments[0] !== undefined && segments[0].first > 0) {
        throw new LogFault(0, `records 0 to ${segments[0].first - 1} are missing: no file has them`);
      }
      const entries = readRecords(segments, party);
      let next = entries.next();
      for (; next.done !== true; next = entries.next()) {
        const { line, record } = next.value;
        const hash = leafHash(line);
        if (record.index < kept) this.#compareHash(record.index, hash, tree?.node(0, record.index));
        this.#range.append(hash);
        keep();
        const time = Date.parse(record.time);
        if (time < before) this.#clockSetBack(record.index, before - time);
        before = time;
      }
      this.#torn = next.value;
      this.#isComplete = true;
    } catch (error) {
      if (!(error instanceof LogFault)) throw error;
      this.#findings.push({ index: error.index, what: error.message });
    }
    if (this.#torn > 0) {
      const what =
        `${this.#torn} bytes behind the last record are no whole record: a crash left them, or one is being written`;
      this.#warnings.push({ index: this.#range.size, what });
    }
  }

  #compareHash(index: number, hash: Bytes, kept: Bytes | undefined): void {
    if (kept === undefined || isBlank(kept) || equal(kept, hash)) return;
    if (this.#differing.length < DIFFERING_MAX) this.#differing.push(index);
  }

  #clockSetBack(index: number, byMs: number): void {
    if (this.#warnings.length >= WARNINGS_MAX) return;
    this.#warnings.push({
      index,
      what: `the clock went back by ${byMs / 1000} s between records ${index - 1} and ${index}`,
    });
  }

  /** @returns how many records, from the first one on, are those that were signed. */
  #compare(
    checkpoints: readonly (StoredCheckpoint & { readonly source: string })[],
    tree: TreeFile | undefined,
    kept: number,
  ): number {
    let covered = 0;
    const right: StoredCheckpoint[] = [];
    for (const checkpoint of checkpoints) {
      const { size, source } = checkpoint;
      const root = this.#roots.get(size);
      if (root === undefined) {
        // Where reading ended before, what is wrong is said already.
        if (this.#isComplete) this.#cut(size, source);
        break;
      }
      if (!equal(root, checkpoint.root)) {
        const before = right.filter((other) => this.#isBefore(other, checkpoint)).map(({ size }) => size);
        this.#changed(checkpoint, Math.max(0, ...before), size > kept ? undefined : tree);
        break;
      }
      covered = size;
      right.push(checkpoint);
    }
    return covered;
  }

  /**
   * Whether the log of one checkpoint is known to be the beginning of that of another. A peer cosigns what grows; a log that was
   * forked has checkpoints of its own that fit it, and say nothing of the one that it was forked from.
   */
  #isBefore(smaller: StoredCheckpoint, larger: StoredCheckpoint): boolean {
    const names = (checkpoint: StoredCheckpoint) =>
      cosignaturesOf(checkpoint, this.#options.cosigners).cosigned.map(({ name }) => name);
    const witnesses = names(larger);
    return witnesses.length === 0 || names(smaller).some((name) => witnesses.includes(name));
  }

  #cut(size: number, source: string): void {
    const report = this.#reports.find((report) => report.source === source);
    const by = (report?.cosigned ?? []).map(({ name }) => name).join(", ");
    const index = this.#range.size;
    const who = by === "" ? "" : `, cosigned by ${by},`;
    this.#findings.push({
      index,
      what: `records ${index} to ${
        size - 1
      } are missing: the checkpoint in ${source}${who} has ${size} records`,
    });
  }

  #changed(
    { size, root, source }: StoredCheckpoint & { readonly source: string },
    covered: number,
    tree: TreeFile | undefined,
  ): void {
    if (covered === size) {
      this.#findings.push({
        what: `the log was forked: the checkpoint in ${source} has the same size, ${size}, and another root`,
      });
      return;
    }
    // A kept hash that leads to the signed root is that of the signed record, and the record has another one.
    const exact = tree && this.#differing.find((at) => at < size && isSigned(tree, at, { size, root }));
    const index = exact ?? covered;
    const which = exact !== undefined || covered === size - 1
      ? `record ${index} was changed`
      : `one of the records ${covered} to ${size - 1} was changed`;
    this.#findings.push({
      index,
      what: `${which}: it is not what the checkpoint in ${source} was signed of`,
    });
  }

  #judgeHashes(covered: number, kept: number): void {
    const size = this.#range.size;
    if (kept > size + (this.#torn > 0 ? 1 : 0) && this.#findings.length === 0) {
      this.#findings.push({
        index: size,
        what: `records ${size} to ${kept - 1} are missing: their hashes were kept`,
      });
    }
    const [index] = this.#differing;
    if (index === undefined || this.#findings.some((finding) => finding.index !== undefined)) return;
    if (index < covered) {
      this.#warnings.push({
        index,
        what: `the kept hash of record ${index} was changed, and the record was not: remove the file tree`,
      });
    } else {
      this.#findings.push({
        index,
        what: `record ${index} was changed: another hash was kept when it was written`,
      });
    }
  }

  #judgeWitnesses(): void {
    const { witnesses = 0 } = this.#options;
    if (witnesses === 0) return;
    if (this.#reports.some(({ cosigned }) => cosigned.length >= witnesses)) return;
    this.#findings.push({ what: `no checkpoint is cosigned by ${witnesses} peers` });
  }
}

function openTree(directory: string): TreeFile | undefined {
  try {
    return TreeFile.read(`${directory}/tree`);
  } catch (cause) {
    // Without kept hashes, checkpoints still say whether a record was changed, but not which one.
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new UsageError("AUDIT_UNREADABLE", `cannot read ${directory}/tree of the audit log`, { cause });
  }
}

function isSigned(
  tree: TreeFile,
  index: number,
  { size, root }: { readonly size: number; readonly root: Bytes },
): boolean {
  const proof = inclusionProof(index, size, (level, place) => tree.node(level, place));
  return verifyInclusion({ index, size, leaf: tree.node(0, index), proof, root });
}
