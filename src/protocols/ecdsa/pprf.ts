/**
 * Trees of seeds with one leaf missing at one side (GGM, depth 4), from base oblivious transfers (SPEC 2.3 (2)).
 *
 * @module
 */

import { type Bytes, concat, equalSecret, u16 } from "../../base/bytes.ts";
import { type Codec, fixed, struct } from "../../base/codec.ts";
import { hash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import type { OtKeys } from "./base_ot.ts";
import { LEAF_BYTES, LEAVES, SEED_BYTES, TREE_DEPTH, TREES } from "./params.ts";

/** What the holder of all leaves sends. */
export interface TreeMessage {
  /** t_{i,c} for the levels 1 to 3 of each tree. */
  readonly corrections: Bytes;
  /** T_y, the sum of the tags of all leaves. */
  readonly tagSums: Bytes;
  /** h_y, the hash of all tags. */
  readonly tagHashes: Bytes;
}

/** 10,240 bytes. */
export const treeMessageCodec: Codec<TreeMessage> = struct({
  corrections: fixed(TREES * (TREE_DEPTH - 1) * 2 * SEED_BYTES),
  tagSums: fixed(TREES * 64),
  tagHashes: fixed(TREES * 64),
});

/**
 * The side of the VOLE receiver: all leaves.
 *
 * @param keys (m_0, m_1) of the 128 base OTs, four per tree.
 */
export function growTrees(
  psid: Bytes,
  keys: readonly OtKeys[],
): { readonly leaves: Bytes; readonly message: TreeMessage } {
  const leaves = new Uint8Array(LEAF_BYTES);
  const corrections: Bytes[] = [], tagSums: Bytes[] = [], tagHashes: Bytes[] = [];
  for (let y = 0; y < TREES; y++) {
    let nodes: readonly Bytes[] = keys[TREE_DEPTH * y] as OtKeys;
    for (let i = 1; i < TREE_DEPTH; i++) {
      nodes = children(psid, y, nodes);
      for (const c of [0, 1] as const) {
        // t_{i,c} = m_c ⊕ all children of parity c
        corrections.push(
          xorAll([(keys[TREE_DEPTH * y + i] as OtKeys)[c], ...nodes.filter((_, k) => k % 2 === c)]),
        );
      }
    }
    leaves.set(concat(...nodes), y * LEAVES * SEED_BYTES);
    const tags = nodes.map((leaf) => leafTag(psid, y, leaf));
    tagSums.push(xorAll(tags));
    tagHashes.push(tagHash(psid, y, tags));
  }
  return {
    leaves,
    message: {
      corrections: concat(...corrections),
      tagSums: concat(...tagSums),
      tagHashes: concat(...tagHashes),
    },
  };
}

/**
 * The side of the VOLE sender: all leaves but the one at Δ_y, which is zero.
 *
 * @param chosen m_β of the 128 base OTs.
 * @param choices β of each, 0 or 1.
 * @returns undefined where a tree does not have the tags that the peer sent: the choices are lost then.
 */
export function punctureTrees(
  psid: Bytes,
  input: {
    readonly chosen: readonly Bytes[];
    readonly choices: readonly number[];
    readonly message: TreeMessage;
  },
): { readonly leaves: Bytes; readonly delta: Bytes } | undefined {
  const leaves = new Uint8Array(LEAF_BYTES);
  const delta = new Uint8Array(TREES);
  let good = true;
  for (let y = 0; y < TREES; y++) {
    const tree = punctureTree(psid, y, input);
    good = equalSecret(tree.expectedHash, part(input.message.tagHashes, y, 64)) && good;
    leaves.set(concat(...tree.nodes), y * LEAVES * SEED_BYTES);
    delta[y] = tree.punctured;
  }
  return good ? { leaves, delta } : undefined;
}

function punctureTree(
  psid: Bytes,
  y: number,
  { chosen, choices, message }: {
    readonly chosen: readonly Bytes[];
    readonly choices: readonly number[];
    readonly message: TreeMessage;
  },
): { readonly nodes: readonly Bytes[]; readonly punctured: number; readonly expectedHash: Bytes } {
  const l = TREE_DEPTH * y;
  let punctured = 1 - (choices[l] as number);
  let nodes: readonly Bytes[] = [0, 1].map((k) => masked(chosen[l] as Bytes, differs(k, punctured)));
  for (let i = 1; i < TREE_DEPTH; i++) {
    const b = choices[l + i] as number;
    const missing = 2 * punctured + b;
    const empty = 2 * punctured + 1 - b;
    // The children of the punctured node are not known: cleared, before the one of parity b is found as t_{i,b} ⊕ m ⊕ others.
    const known = children(psid, y, nodes).map((child, k) => masked(child, differs(k >> 1, punctured)));
    const corrections = [0, 1].map((c) =>
      part(message.corrections, (y * (TREE_DEPTH - 1) + i - 1) * 2 + c, SEED_BYTES)
    );
    const found = xorAll([
      chosen[l + i] as Bytes,
      ...corrections.map((t, c) => masked(t, 1 - differs(c, b))),
      ...known.map((child, k) => masked(child, 1 - differs(k & 1, b))),
    ]);
    nodes = known.map((child, k) => xorAll([child, masked(found, 1 - differs(k, missing))]));
    punctured = empty;
  }
  const known = nodes.map((leaf, z) => masked(leafTag(psid, y, leaf), differs(z, punctured)));
  const missingTag = xorAll([part(message.tagSums, y, 64), ...known]);
  const tags = known.map((tag, z) => xorAll([tag, masked(missingTag, 1 - differs(z, punctured))]));
  return { nodes, punctured, expectedHash: tagHash(psid, y, tags) };
}

/** Left and right child of every node. */
function children(psid: Bytes, y: number, nodes: readonly Bytes[]): Bytes[] {
  return nodes.flatMap((seed) => [
    hash(Tag.pprfLeft, psid, u16(y), seed),
    hash(Tag.pprfRight, psid, u16(y), seed),
  ]);
}

/** τ_z. */
function leafTag(psid: Bytes, y: number, leaf: Bytes): Bytes {
  return xof(64, Tag.pprfProof, psid, u16(y), leaf);
}

/** h_y. */
function tagHash(psid: Bytes, y: number, tags: readonly Bytes[]): Bytes {
  return xof(64, Tag.pprfCheck, psid, u16(y), ...tags);
}

/** 1 where two small numbers differ, else 0, without a branch. */
function differs(a: number, b: number): number {
  return (a ^ b) + 15 >> 4;
}

/** The bytes where `keep` is 1, zeros where it is 0. */
function masked(bytes: Uint8Array, keep: number): Bytes {
  const mask = -keep;
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < out.length; i++) out[i] = (bytes[i] as number) & mask;
  return out;
}

function xorAll(values: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array((values[0] as Uint8Array).length);
  for (const value of values) {
    for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) ^ (value[i] as number);
  }
  return out;
}

function part(bytes: Uint8Array, i: number, length: number): Uint8Array {
  return bytes.subarray(i * length, (i + 1) * length);
}
