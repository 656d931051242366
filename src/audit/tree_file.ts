/**
 * The file that keeps the hashes of a log's tree, so that proofs need a few of them and not all records.
 *
 * Hashes stand in the order in which they are completed: a leaf, then the subtrees that it completes. The file can be made again
 * from the records; it is compared with them, never trusted.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { concat, copy } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import { HASH_BYTES, type Node } from "./merkle.ts";

/** An open file of hashes. */
export class TreeFile implements Disposable {
  readonly #file: Deno.FsFile;
  /** Completed subtrees that could not be written yet. */
  #waiting: Node[] = [];

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Opens the file, or makes it. The operating system's errors are thrown as they are. */
  static open(path: string): TreeFile {
    return new TreeFile(Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 }));
  }

  /** Opens the file to read it. */
  static read(path: string): TreeFile {
    return new TreeFile(Deno.openSync(path, { read: true }));
  }

  /** Of how many leaves all hashes are there. */
  get leaves(): number {
    const hashes = Math.floor(this.#file.statSync().size / HASH_BYTES);
    // n leaves have 2n - popcount(n) hashes, which grows with n.
    let leaves = Math.floor(hashes / 2);
    while (hashesBefore(leaves + 1) <= hashes) leaves++;
    return leaves;
  }

  /** The hash of a complete subtree. @throws InvariantError where the file does not have it. */
  node(level: number, index: number): Bytes {
    const waiting = this.#waiting.find((node) => node.level === level && node.index === index);
    if (waiting !== undefined) return waiting.hash;
    const hash = new Uint8Array(HASH_BYTES);
    this.#file.seekSync(placeOf(level, index), Deno.SeekMode.Start);
    for (let at = 0; at < HASH_BYTES;) {
      const read = this.#file.readSync(hash.subarray(at));
      invariant(read !== null, "the tree has this subtree");
      at += read;
    }
    return hash;
  }

  /** Adds completed subtrees, which follow those that are there. What cannot be written waits for the next call. */
  append(nodes: readonly Node[]): void {
    this.#waiting.push(...nodes);
    const [first] = this.#waiting;
    if (first === undefined) return;
    const content = concat(...this.#waiting.map(({ hash }) => copy(hash)));
    this.#file.seekSync(placeOf(first.level, first.index), Deno.SeekMode.Start);
    for (let at = 0; at < content.length;) at += this.#file.writeSync(content.subarray(at));
    this.#waiting = [];
  }

  /** Makes what was written survive a crash. */
  sync(): void {
    this.append([]);
    this.#file.syncSync();
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** Where the hash of a subtree stands: behind those of the leaves before its last one, and of its own descendants. */
function placeOf(level: number, index: number): number {
  const lastLeaf = (index + 1) * 2 ** level - 1;
  return (hashesBefore(lastLeaf) + level) * HASH_BYTES;
}

function hashesBefore(leaves: number): number {
  let ones = 0;
  for (let left = leaves; left > 0; left = Math.floor(left / 2)) ones += left % 2;
  return 2 * leaves - ones;
}
