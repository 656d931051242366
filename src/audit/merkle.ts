/**
 * The Merkle tree of a log: its hashes, its growth one leaf at a time, and the two proofs.
 *
 * Sizes and indices are whole numbers below 2^53.
 *
 * @source RFC 6962, 2.1 (the tree and how proofs are made); RFC 9162, 2.1.3.2 and 2.1.4.2 (how they are verified).
 * @module
 */

import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import { sha256 } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";

/** Length of every hash in the tree. */
export const HASH_BYTES = 32;
/** A proof between trees of fewer than 2^53 leaves is never longer. */
export const PROOF_HASHES_MAX = 63;

/** A complete subtree: at level 0 a leaf, at level `k` a tree of `2^k` leaves, the `index`-th of them from the left. */
export interface Node {
  /** Height. */
  readonly level: number;
  /** Place among the nodes of its level, from 0. */
  readonly index: number;
  /** Its hash. */
  readonly hash: Bytes;
}

/** Looks up the hash of a complete subtree that the tree has. */
export type NodeReader = (level: number, index: number) => Bytes;

/** Hash of a leaf: the prefix keeps a leaf from being passed off as a node. */
export function leafHash(content: Uint8Array): Bytes {
  return sha256(LEAF_PREFIX, content);
}

/** Hash of a node over those of its two children. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256(NODE_PREFIX, left, right);
}

/** Root of the tree without leaves. */
export function emptyRoot(): Bytes {
  return sha256(EMPTY);
}

/** The right edge of a growing tree: at most one hash per level, whatever the number of leaves. */
export class CompactRange {
  #size = 0;
  /** Roots of the complete subtrees that the tree consists of, from the largest to the smallest. */
  #peaks: Bytes[] = [];

  /** The right edge of a tree of which the complete subtrees can be looked up. */
  static of(size: number, node: NodeReader): CompactRange {
    const range = new CompactRange();
    range.#size = size;
    range.#peaks = peaksOf(size).map(({ level, index }) => node(level, index));
    return range;
  }

  /** How many leaves there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds a leaf. @returns the subtrees that it completes, from the leaf upwards. */
  append(hash: Bytes): Node[] {
    let node: Node = { level: 0, index: this.#size, hash };
    const completed = [node];
    // A right child completes its parent.
    while (node.index % 2 === 1) {
      const left = this.#peaks.pop();
      invariant(left !== undefined, "a right child has a left sibling");
      node = { level: node.level + 1, index: (node.index - 1) / 2, hash: nodeHash(left, node.hash) };
      completed.push(node);
    }
    this.#peaks.push(node.hash);
    this.#size++;
    return completed;
  }

  /** Root of the tree as it is now. */
  root(): Bytes {
    return joined(this.#peaks);
  }
}

/** Root of the tree of the first `size` leaves. */
export function rootAt(size: number, node: NodeReader): Bytes {
  return joined(peaksOf(size).map(({ level, index }) => node(level, index)));
}

/** Proof that a leaf is in the tree of the first `size` leaves: siblings from the leaf upwards. */
export function inclusionProof(index: number, size: number, node: NodeReader): Bytes[] {
  invariant(index >= 0 && index < size, "the leaf is in the tree");
  return path({ index, start: 0, end: size }, node);
}

/** Proof that the tree of the first `from` leaves is the beginning of that of the first `to`. */
export function consistencyProof(from: number, to: number, node: NodeReader): Bytes[] {
  invariant(from >= 0 && from <= to, "a tree is consistent with a larger one");
  return from === 0 || from === to ? [] : subproof({ from, start: 0, end: to, isWhole: true }, node);
}

/** Checks an inclusion proof. */
export function verifyInclusion(
  { index, size, leaf, proof, root }: {
    readonly index: number;
    readonly size: number;
    /** Hash of the leaf. */
    readonly leaf: Uint8Array;
    readonly proof: readonly Uint8Array[];
    readonly root: Uint8Array;
  },
): boolean {
  if (index < 0 || index >= size) return false;
  let place = index;
  let last = size - 1;
  let hash: Uint8Array = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      hash = nodeHash(sibling, hash);
      // Levels at which the node has no sibling on its right are not in the proof.
      while (place % 2 === 0 && place !== 0) {
        place /= 2;
        last = half(last);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    place = half(place);
    last = half(last);
  }
  return last === 0 && equal(hash, root);
}

/** Checks a consistency proof. From the tree without leaves nothing has to be proved, and the proof is empty. */
export function verifyConsistency(
  { from, to, proof, fromRoot, toRoot }: {
    readonly from: number;
    readonly to: number;
    readonly proof: readonly Uint8Array[];
    readonly fromRoot: Uint8Array;
    readonly toRoot: Uint8Array;
  },
): boolean {
  if (from < 0 || from > to) return false;
  if (from === to) return proof.length === 0 && equal(fromRoot, toRoot);
  if (from === 0) return proof.length === 0 && equal(fromRoot, emptyRoot());
  // A smaller tree that is one complete subtree is itself the first hash.
  const hashes = levelOf(from) === undefined ? [...proof] : [fromRoot, ...proof];
  const [first, ...rest] = hashes;
  if (first === undefined) return false;
  let place = from - 1;
  let last = to - 1;
  while (place % 2 === 1) {
    place = half(place);
    last = half(last);
  }
  let smaller: Uint8Array = first;
  let larger: Uint8Array = first;
  for (const hash of rest) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      smaller = nodeHash(hash, smaller);
      larger = nodeHash(hash, larger);
      while (place % 2 === 0 && place !== 0) {
        place /= 2;
        last = half(last);
      }
    } else {
      larger = nodeHash(larger, hash);
    }
    place = half(place);
    last = half(last);
  }
  return last === 0 && equal(smaller, fromRoot) && equal(larger, toRoot);
}

const LEAF_PREFIX = new Uint8Array([0]);
const NODE_PREFIX = new Uint8Array([1]);

interface Span {
  /** First leaf. */
  readonly start: number;
  /** Leaf behind the last one. */
  readonly end: number;
}

/** PATH(m, D[n]) of RFC 6962, 2.1.1. */
function path({ index, start, end }: Span & { readonly index: number }, node: NodeReader): Bytes[] {
  if (end - start === 1) return [];
  const middle = start + splitOf(end - start);
  return index < middle
    ? [...path({ index, start, end: middle }, node), rootOf({ start: middle, end }, node)]
    : [...path({ index, start: middle, end }, node), rootOf({ start, end: middle }, node)];
}

/** SUBPROOF(m, D[n], b) of RFC 6962, 2.1.2. */
function subproof(
  { from, start, end, isWhole }: Span & { readonly from: number; readonly isWhole: boolean },
  node: NodeReader,
): Bytes[] {
  if (from === end) return isWhole ? [] : [rootOf({ start, end }, node)];
  const middle = start + splitOf(end - start);
  return from <= middle
    ? [...subproof({ from, start, end: middle, isWhole }, node), rootOf({ start: middle, end }, node)]
    : [
      ...subproof({ from, start: middle, end, isWhole: false }, node),
      rootOf({ start, end: middle }, node),
    ];
}

/** Root of the leaves of a span that begins where a complete subtree of at least its length begins. */
function rootOf({ start, end }: Span, node: NodeReader): Bytes {
  const level = levelOf(end - start);
  if (level !== undefined) return node(level, start / (end - start));
  const middle = start + splitOf(end - start);
  return nodeHash(rootOf({ start, end: middle }, node), rootOf({ start: middle, end }, node));
}

/** The height of a complete subtree of so many leaves; undefined where there is none. */
function levelOf(count: number): number | undefined {
  let level = 0;
  let left = count;
  for (; left > 1 && left % 2 === 0; left /= 2) level++;
  return left === 1 ? level : undefined;
}

/** The largest power of two below a number of at least two. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** The complete subtrees of a tree, from the largest to the smallest. */
function peaksOf(size: number): { readonly level: number; readonly index: number }[] {
  const peaks: { readonly level: number; readonly index: number }[] = [];
  for (let level = 0, left = size; left > 0; level++, left = half(left)) {
    if (left % 2 === 1) peaks.unshift({ level, index: left - 1 });
  }
  return peaks;
}

function joined(peaks: readonly Bytes[]): Bytes {
  if (peaks.length === 0) return emptyRoot();
  return peaks.reduceRight((right, left) => nodeHash(left, right));
}

/** Shifts by one; the operator of the language would cut to 32 bits. */
function half(value: number): number {
  return Math.floor(value / 2);
}
