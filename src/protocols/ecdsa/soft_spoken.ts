/**
 * SoftSpokenOT: extends the 32 punctured trees of a pair to ξ correlated columns (Roy, eprint 2022/192; SPEC 2.5).
 *
 * The receiver of the VOLE knows all leaves and chooses e; it ends with rows V. The sender knows all leaves but the one at
 * Δ_y of each tree; it ends with rows W = V ⊕ Δ·e. Whether the sender's check passes depends on Δ, which lives as long as
 * the pair: a failed check burns the pair (SPEC 2.7).
 *
 * @module
 */

import { type Bytes, concat, u16, u8 } from "../../base/bytes.ts";
import { type Codec, fixed, struct } from "../../base/codec.ts";
import { aes128Ecb } from "../../base/crypto.ts";
import { invariant } from "../../base/errors.ts";
import { hash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type BitMatrix, bytesOf, mapColumns, mulX, transpose, words } from "./bits.ts";
import {
  CHECK_BITS,
  CHECK_WORDS,
  LEAF_BYTES,
  LEAVES,
  PAYLOAD_WORDS,
  ROW_BYTES,
  ROW_WORDS,
  ROWS,
  SEED_BYTES,
  type SymSuite,
  TREE_DEPTH,
  TREES,
  XI,
} from "./params.ts";

/** The receiver's message. */
export interface ExtensionMessage {
  /** U_0 to U_31: e masked by all leaves of each tree. */
  readonly u: Bytes;
  /** comb(e). */
  readonly x: Bytes;
  /** comb(V_i) for every row. */
  readonly t: Bytes;
}

/** 6,816 bytes. */
export const extensionMessageCodec: Codec<ExtensionMessage> = struct({
  u: fixed(TREES * ROW_BYTES),
  x: fixed(CHECK_BITS / 8),
  t: fixed(ROWS * CHECK_BITS / 8),
});

/** What binds an extension to its session and suite. */
export interface ExtensionContext {
  /** How leaves and pads are expanded. */
  readonly suite: SymSuite;
  /** `H("vole"; sid, R, S)`: never used twice. */
  readonly vsid: Bytes;
}

/**
 * The receiver's side.
 *
 * @param leaves all 512 leaves of this direction.
 * @param e 84 bytes: ξ choice bits and 256 random bits.
 * @returns the message, and ξ columns of V of 128 bits each.
 * @source SPEC 2.5, "R, message 1"
 */
export function extendReceiver(
  context: ExtensionContext,
  leaves: Bytes,
  e: Bytes,
): { readonly message: ExtensionMessage; readonly columns: BitMatrix } {
  invariant(e.length === ROW_BYTES, "the extended choice vector is one row");
  const choice = words(e);
  const expanded = expandLeaves(context, leaves);
  const V = new Uint32Array(ROWS * ROW_WORDS);
  const U = new Uint32Array(TREES * ROW_WORDS);
  const sum = new Uint32Array(ROW_WORDS);
  for (let y = 0; y < TREES; y++) {
    foldTree(expanded, y, sum, V); // V_{4y+m} = ⊕_{z: bit m of z = 1} r_{y,z}
    for (let w = 0; w < ROW_WORDS; w++) {
      U[y * ROW_WORDS + w] = (choice[w] as number) ^ (sum[w] as number); // U_y = e ⊕ ⊕_z r_{y,z}
    }
  }
  const map = challengeMap(context.vsid, bytesOf(U));
  const columns = transpose({ words: V, stride: ROW_WORDS }, { rows: ROWS, columns: XI });
  const t = combineRows(map, columns, V);
  const x = combineOne(map, choice);
  expanded.words.fill(0);
  V.fill(0);
  return { message: { u: bytesOf(U), x: bytesOf(x), t: bytesOf(t) }, columns };
}

/**
 * The sender's side, with the check of the receiver's message.
 *
 * @param leaves all 512 leaves, those at Δ_y being anything.
 * @param delta Δ_0 to Δ_31, each below 16.
 * @returns ξ columns of W of 128 bits each, or undefined where the check fails: the pair is burned then.
 * @source SPEC 2.5, "S, message 2", up to the check
 */
export function extendSender(
  context: ExtensionContext,
  state: { readonly leaves: Bytes; readonly delta: Bytes },
  message: ExtensionMessage,
): BitMatrix | undefined {
  const U = words(message.u);
  const expanded = expandLeaves(context, state.leaves);
  const W = new Uint32Array(ROWS * ROW_WORDS);
  const sum = new Uint32Array(ROW_WORDS);
  for (let y = 0; y < TREES; y++) {
    const Delta_y = state.delta[y] as number;
    clearPunctured(expanded, y, Delta_y);
    // With r at Δ_y cleared, the leaves with bit m of z ⊕ Δ_y set are those with bit m of z set, or all the others.
    foldTree(expanded, y, sum, W);
    for (let m = 0; m < TREE_DEPTH; m++) {
      const mask = -(Delta_y >>> m & 1);
      const row = (TREE_DEPTH * y + m) * ROW_WORDS;
      for (let w = 0; w < ROW_WORDS; w++) {
        W[row + w] = (W[row + w] as number) ^
          (mask & ((sum[w] as number) ^ (U[y * ROW_WORDS + w] as number)));
      }
    }
  }
  const map = challengeMap(context.vsid, message.u);
  const columns = transpose({ words: W, stride: ROW_WORDS }, { rows: ROWS, columns: XI });
  const expected = combineRows(map, columns, W);
  const x = words(message.x), t = words(message.t);
  let difference = 0;
  for (let i = 0; i < ROWS; i++) { // t_i == comb(W_i) ⊕ Δ_i·x
    const mask = -((state.delta[i >> 2] as number) >>> (i & 3) & 1);
    for (let w = 0, at = i * CHECK_WORDS; w < CHECK_WORDS; w++, at++) {
      difference |= (t[at] as number) ^ (expected[at] as number) ^ (mask & (x[w] as number));
    }
  }
  expanded.words.fill(0);
  W.fill(0);
  return difference === 0 ? columns : undefined;
}

/** Δ as a column of 128 bits: bit 4y+m is bit m of Δ_y. */
export function deltaColumn(delta: Bytes): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(ROWS / 32);
  for (let y = 0; y < TREES; y++) {
    out[y >> 3] = (out[y >> 3] as number) | (delta[y] as number) << (TREE_DEPTH * (y & 7));
  }
  return out;
}

interface Expanded {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly stride: number;
}

/** r_{y,z} for every leaf: 84 bytes each. */
function expandLeaves({ suite, vsid }: ExtensionContext, leaves: Bytes): Expanded {
  invariant(leaves.length === LEAF_BYTES, "leaves of one direction");
  return suite === "aes" ? expandLeavesAes(vsid, leaves) : expandLeavesHash(vsid, leaves);
}

function expandLeavesHash(vsid: Bytes, leaves: Bytes): Expanded {
  const out = new Uint8Array(TREES * LEAVES * ROW_BYTES);
  for (let y = 0; y < TREES; y++) {
    for (let z = 0; z < LEAVES; z++) {
      const i = y * LEAVES + z;
      const leaf = leaves.subarray(i * SEED_BYTES, (i + 1) * SEED_BYTES);
      out.set(xof(ROW_BYTES, Tag.softSpokenPrg, vsid, u16(y), u8(z), leaf), i * ROW_BYTES);
    }
  }
  return { words: new Uint32Array(out.buffer), stride: ROW_WORDS };
}

/** B_i = π(s ⊕ i) ⊕ s ⊕ i with a key of the session (MMO: Guo, Katz, Wang, Yu, eprint 2019/074). */
function expandLeavesAes(vsid: Bytes, leaves: Bytes): Expanded {
  const key = hash(Tag.voleAesPrg, vsid).subarray(0, 16);
  const seeds = words(leaves);
  const input = new Uint32Array(TREES * LEAVES * PRG_BLOCKS * 4);
  for (let leaf = 0, at = 0; leaf < TREES * LEAVES; leaf++) {
    const s = leaf * SEED_BYTES / 4;
    for (let i = 0; i < PRG_BLOCKS; i++, at += 4) {
      input[at] = (seeds[s] as number) ^ i;
      input[at + 1] = seeds[s + 1] as number;
      input[at + 2] = seeds[s + 2] as number;
      input[at + 3] = seeds[s + 3] as number;
    }
  }
  const output = words(aes128Ecb(key, bytesOf(input)));
  for (let at = 0; at < input.length; at++) input[at] = (input[at] as number) ^ (output[at] as number);
  output.fill(0);
  return { words: input, stride: PRG_BLOCKS * 4 };
}

/** Writes ⊕_z r_{y,z} to `sum`, and ⊕_{z: bit m of z = 1} r_{y,z} to row 4y+m of `rows`. */
function foldTree(expanded: Expanded, y: number, sum: Uint32Array, rows: Uint32Array): void {
  const { words: r, stride } = expanded;
  const first = y * LEAVES * stride;
  const row = TREE_DEPTH * y * ROW_WORDS;
  for (let w = 0; w < ROW_WORDS; w++) {
    let all = 0, s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (let z = 0, at = first + w; z < LEAVES; z++, at += stride) {
      const value = r[at] as number;
      all ^= value;
      if ((z & 1) !== 0) s0 ^= value;
      if ((z & 2) !== 0) s1 ^= value;
      if ((z & 4) !== 0) s2 ^= value;
      if ((z & 8) !== 0) s3 ^= value;
    }
    sum[w] = all;
    rows[row + w] = s0;
    rows[row + ROW_WORDS + w] = s1;
    rows[row + 2 * ROW_WORDS + w] = s2;
    rows[row + 3 * ROW_WORDS + w] = s3;
  }
}

/** Clears r_{y,Δ_y} without showing which one that is. */
function clearPunctured(expanded: Expanded, y: number, Delta_y: number): void {
  const { words: r, stride } = expanded;
  for (let z = 0; z < LEAVES; z++) {
    const keep = -((z ^ Delta_y) + 15 >>> 4); // 0 where z = Δ_y, else all ones
    const first = (y * LEAVES + z) * stride;
    for (let w = 0; w < ROW_WORDS; w++) r[first + w] = (r[first + w] as number) & keep;
  }
}

/**
 * The linear map comb_p(row) = Σ_q χ_{p,q}·P[128q..128q+127] + check bits, without its check bits: 256 outputs × ξ inputs.
 * Public: χ comes from a hash of U.
 */
function challengeMap(vsid: Bytes, u: Bytes): BitMatrix {
  const U = Array.from({ length: TREES }, (_, y) => u.subarray(y * ROW_BYTES, (y + 1) * ROW_BYTES));
  const d = hash(Tag.softSpokenU, vsid, ...U);
  const byInput = new Uint32Array(XI * CHECK_WORDS);
  for (let q = 0; q < Math.ceil(XI / ROWS); q++) {
    const chi = [0, 1].map((p) => xof(16, Tag.softSpokenChi, vsid, d, u8(p), u8(q)));
    const element = words(concat(...chi));
    for (let i = ROWS * q; i < Math.min(XI, ROWS * (q + 1)); i++) {
      byInput.set(element, i * CHECK_WORDS);
      mulX(element, 0);
      mulX(element, 4);
    }
  }
  return transpose({ words: byInput, stride: CHECK_WORDS }, { rows: XI, columns: CHECK_BITS });
}

/** comb of every row, from the columns of the payload and the rows' own check bits. */
function combineRows(map: BitMatrix, columns: BitMatrix, rows: Uint32Array): Uint32Array<ArrayBuffer> {
  const mapped = mapColumns(map, columns, XI);
  const out = transpose(mapped, { rows: CHECK_BITS, columns: ROWS }).words;
  for (let i = 0; i < ROWS; i++) {
    for (let w = 0; w < CHECK_WORDS; w++) {
      const at = i * CHECK_WORDS + w;
      out[at] = (out[at] as number) ^ (rows[i * ROW_WORDS + PAYLOAD_WORDS + w] as number);
    }
  }
  return out;
}

/** comb of one secret row: output bit k is the parity of row k of the map and the payload. */
function combineOne(map: BitMatrix, row: Uint32Array): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(CHECK_WORDS);
  for (let k = 0; k < CHECK_BITS; k++) {
    let folded = 0;
    for (let w = 0; w < PAYLOAD_WORDS; w++) {
      folded ^= (map.words[k * map.stride + w] as number) & (row[w] as number);
    }
    for (let width = 16; width !== 0; width >>= 1) folded ^= folded >>> width;
    out[k >> 5] = (out[k >> 5] as number) | (folded & 1) << (k & 31);
  }
  for (let w = 0; w < CHECK_WORDS; w++) {
    out[w] = (out[w] as number) ^ (row[PAYLOAD_WORDS + w] as number);
  }
  return out;
}

// Blocks of 16 bytes for one row of 84 bytes.
const PRG_BLOCKS = 6;
