import assert from "node:assert/strict";
import { type Bytes, hex } from "../../src/base/bytes.ts";
import { InvariantError } from "../../src/base/errors.ts";
import {
  CompactRange,
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  nodeHash,
  type NodeReader,
  rootAt,
  verifyConsistency,
  verifyInclusion,
} from "../../src/audit/merkle.ts";

/** The reference leaves and heads of Certificate Transparency, which RFC 6962's implementations share. */
const LEAVES = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const ROOTS = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const INCLUSION = [
  [0, 1, []],
  [0, 8, [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
  ]],
  [5, 8, [
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  ]],
  [2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]],
  [1, 5, [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
  ]],
] as const;
const CONSISTENCY = [
  [1, 1, []],
  [1, 8, [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
  ]],
  [6, 8, [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  ]],
  [2, 5, [
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
  ]],
] as const;

const bytes = (text: string) => Uint8Array.fromHex(text);

function grown(leaves: readonly Bytes[]): { readonly node: NodeReader; readonly range: CompactRange } {
  const nodes = new Map<string, Bytes>();
  const range = new CompactRange();
  for (const leaf of leaves) {
    for (const { level, index, hash } of range.append(leaf)) nodes.set(`${level}/${index}`, hash);
  }
  const node: NodeReader = (level, index) => {
    const hash = nodes.get(`${level}/${index}`);
    assert.ok(hash !== undefined, `there is no node ${level}/${index}`);
    return hash;
  };
  return { node, range };
}

/** MTH of RFC 6962, 2.1, as it is written there. */
function mth(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0) return emptyRoot();
  if (leaves.length === 1) return leaves[0] as Bytes;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(mth(leaves.slice(0, split)), mth(leaves.slice(split)));
}

Deno.test("the tree's roots are those that RFC 6962 implementations publish, at every size", () => {
  const leaves = LEAVES.map((leaf) => leafHash(bytes(leaf)));
  const { node } = grown(leaves);
  for (const [size, root] of ROOTS.entries()) {
    assert.equal(hex(rootAt(size, node)), root);
    assert.equal(hex(grown(leaves.slice(0, size)).range.root()), root);
    const resumed = CompactRange.of(size, node);
    for (const leaf of leaves.slice(size)) resumed.append(leaf);
    assert.equal(hex(resumed.root()), ROOTS[8], `resumed at ${size}`);
    assert.equal(resumed.size, 8);
  }
});

Deno.test("inclusionProof() gives the published proofs", () => {
  const leaves = LEAVES.map((leaf) => leafHash(bytes(leaf)));
  const { node } = grown(leaves);
  for (const [index, size, proof] of INCLUSION) {
    assert.deepEqual(inclusionProof(index, size, node).map(hex), proof);
    const leaf = leaves[index] as Bytes;
    const root = bytes(ROOTS[size] as string);
    assert.ok(verifyInclusion({ index, size, leaf, proof: proof.map(bytes), root }));
  }
  assert.throws(() => inclusionProof(8, 8, node), InvariantError);
});

Deno.test("consistencyProof() gives the published proofs", () => {
  const { node } = grown(LEAVES.map((leaf) => leafHash(bytes(leaf))));
  for (const [from, to, proof] of CONSISTENCY) {
    assert.deepEqual(consistencyProof(from, to, node).map(hex), proof);
    const [fromRoot, toRoot] = [from, to].map((size) => bytes(ROOTS[size] as string)) as [Bytes, Bytes];
    assert.ok(verifyConsistency({ from, to, proof: proof.map(bytes), fromRoot, toRoot }));
  }
  assert.throws(() => consistencyProof(9, 8, node), InvariantError);
});

Deno.test("every proof in trees of up to 40 leaves verifies, and none does with a bit, a hash or a number changed", () => {
  const leaves = Array.from({ length: 40 }, (_, i) => leafHash(new Uint8Array([i])));
  const { node } = grown(leaves);
  const roots = Array.from({ length: 41 }, (_, size) => rootAt(size, node));
  const flipped = (hash: Bytes) => hash.with(7, (hash[7] as number) ^ 16);
  for (let size = 1; size <= 40; size++) {
    const root = roots[size] as Bytes;
    assert.deepEqual(root, mth(leaves.slice(0, size)));
    for (let index = 0; index < size; index++) {
      const proof = inclusionProof(index, size, node);
      const right = { index, size, leaf: leaves[index] as Bytes, proof, root };
      assert.ok(verifyInclusion(right));
      assert.ok(!verifyInclusion({ ...right, leaf: flipped(right.leaf) }));
      assert.ok(!verifyInclusion({ ...right, root: flipped(root) }));
      assert.ok(!verifyInclusion({ ...right, proof: [...proof, root] }));
      if (size > 1) {
        assert.ok(!verifyInclusion({ ...right, index: (index + 1) % size }));
        assert.ok(!verifyInclusion({ ...right, proof: proof.slice(1) }));
        assert.ok(!verifyInclusion({ ...right, proof: proof.with(0, flipped(proof[0] as Bytes)) }));
      }
    }
    for (let from = 0; from <= size; from++) {
      const proof = consistencyProof(from, size, node);
      const right = { from, to: size, proof, fromRoot: roots[from] as Bytes, toRoot: root };
      assert.ok(verifyConsistency(right), `${from} to ${size}`);
      assert.ok(!verifyConsistency({ ...right, fromRoot: flipped(right.fromRoot) }), `${from} to ${size}`);
      assert.ok(!verifyConsistency({ ...right, proof: [...proof, root] }));
      if (from > 0) assert.ok(!verifyConsistency({ ...right, toRoot: flipped(root) }));
      for (const i of proof.keys()) {
        assert.ok(!verifyConsistency({ ...right, proof: proof.with(i, flipped(proof[i] as Bytes)) }));
        assert.ok(!verifyConsistency({ ...right, proof: proof.toSpliced(i, 1) }));
      }
    }
  }
});

Deno.test("verifyInclusion() and verifyConsistency() refuse numbers outside the tree", () => {
  const [a, b] = [leafHash(bytes("00")), leafHash(bytes("10"))] as const;
  const root = nodeHash(a, b);
  assert.ok(!verifyInclusion({ index: 2, size: 2, leaf: b, proof: [a], root }));
  assert.ok(!verifyInclusion({ index: -1, size: 2, leaf: b, proof: [a], root }));
  assert.ok(!verifyInclusion({ index: 1, size: 1, leaf: a, proof: [], root: a }));
  assert.ok(!verifyInclusion({ index: 0, size: 2, leaf: root, proof: [], root }));
  assert.ok(!verifyConsistency({ from: 2, to: 1, proof: [], fromRoot: root, toRoot: root }));
  assert.ok(!verifyConsistency({ from: 1, to: 2, proof: [], fromRoot: root, toRoot: root }));
  assert.ok(!verifyConsistency({ from: 0, to: 2, proof: [], fromRoot: a, toRoot: root }));
  assert.ok(!verifyConsistency({ from: 0, to: 2, proof: [a], fromRoot: emptyRoot(), toRoot: root }));
});

Deno.test("a node is not taken for a leaf", () => {
  const [a, b] = [leafHash(bytes("00")), leafHash(bytes("10"))] as const;
  const joined = new Uint8Array([...a, ...b]);
  assert.notDeepEqual(leafHash(joined), nodeHash(a, b));
});
