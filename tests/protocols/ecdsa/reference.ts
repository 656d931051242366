/**
 * SoftSpoken and the VOLE sender once more, word for word from SPEC 2.5, slow and without regard to side channels: an oracle
 * for the fast implementation, and the workshop of the attackers.
 *
 * @module
 */

import { type Bytes, concat, u16, u8 } from "../../../src/base/bytes.ts";
import { aes128Ecb } from "../../../src/base/crypto.ts";
import { bytesToBigint, encodeCurve, type Scalar } from "../../../src/math/curve.ts";
import { hash, xof } from "../../../src/primitives/hash.ts";
import { Tag } from "../../../src/primitives/tags.ts";
import type { ExtensionContext, ExtensionMessage } from "../../../src/protocols/ecdsa/soft_spoken.ts";
import type { VoleContext, VoleMessage } from "../../../src/protocols/ecdsa/vole.ts";

const ROW = 84, XI = 416;

/** r_{y,z}: 84 bytes. */
export function expandLeaf({ suite, vsid }: ExtensionContext, y: number, z: number, leaf: Uint8Array): Bytes {
  if (suite === "hash") return xof(ROW, Tag.softSpokenPrg, vsid, u16(y), u8(z), leaf);
  const key = hash(Tag.voleAesPrg, vsid).slice(0, 16);
  const blocks = [0, 1, 2, 3, 4, 5].map((i) => {
    const x = xor(leaf.slice(0, 16), littleEndian(i));
    return xor(aes128Ecb(key, x), x);
  });
  return concat(...blocks).slice(0, ROW);
}

/** All r_{y,z} of a direction. */
export function expandAll(context: ExtensionContext, leaves: Uint8Array): Bytes[][] {
  return Array.from({ length: 32 }, (_, y) =>
    Array.from(
      { length: 16 },
      (_, z) => expandLeaf(context, y, z, leaves.slice((y * 16 + z) * 32, (y * 16 + z + 1) * 32)),
    ));
}

/** V_i for i < 128. */
export function rowsV(r: readonly (readonly Bytes[])[]): Bytes[] {
  return Array.from(
    { length: 128 },
    (_, i) => xorAll((r[i >> 2] as Bytes[]).filter((_, z) => (z >> (i & 3) & 1) === 1)),
  );
}

/** U_y for y < 32. */
export function rowsU(r: readonly (readonly Bytes[])[], e: Uint8Array): Bytes[] {
  return r.map((tree) => xorAll([e, ...tree]));
}

/** W_i for i < 128. */
export function rowsW(r: readonly (readonly Bytes[])[], delta: Uint8Array, u: Uint8Array): Bytes[] {
  return Array.from({ length: 128 }, (_, i) => {
    const y = i >> 2, m = i & 3, Delta_y = delta[y] as number;
    const used = (r[y] as Bytes[]).filter((_, z) => z !== Delta_y && ((z ^ Delta_y) >> m & 1) === 1);
    const U_y = u.slice(y * ROW, (y + 1) * ROW);
    return xorAll([new Uint8Array(ROW), ...used, ...((Delta_y >> m & 1) === 1 ? [U_y] : [])]);
  });
}

/** comb under the challenge that belongs to U. */
export function combiner(vsid: Bytes, u: Uint8Array): (row: Uint8Array) => Bytes {
  const U = Array.from({ length: 32 }, (_, y) => u.slice(y * ROW, (y + 1) * ROW));
  const d = hash(Tag.softSpokenU, vsid, ...U);
  const chi = [0, 1].map((p) =>
    [0, 1, 2, 3].map((q) => fromLittleEndian(xof(16, Tag.softSpokenChi, vsid, d, u8(p), u8(q))))
  );
  return (row) => {
    const payload = concat(row.slice(0, 52), new Uint8Array(12));
    return concat(...[0, 1].map((p) => {
      let sum = fromLittleEndian(row.slice(52 + 16 * p, 68 + 16 * p));
      for (let q = 0; q < 4; q++) {
        sum ^= multiply(
          (chi[p] as bigint[])[q] as bigint,
          fromLittleEndian(payload.slice(16 * q, 16 * q + 16)),
        );
      }
      return littleEndian(sum);
    }));
  };
}

/** What a receiver sends that adds `error` to e in tree `y` and shifts its t values by a guess of Δ_y. */
export function guessingReceiver(
  context: ExtensionContext,
  leaves: Uint8Array,
  attack: { readonly y: number; readonly guess: number; readonly error: Uint8Array; readonly e: Uint8Array },
): ExtensionMessage {
  const r = expandAll(context, leaves);
  const U = rowsU(r, attack.e);
  U[attack.y] = xor(U[attack.y] as Bytes, attack.error);
  const comb = combiner(context.vsid, concat(...U));
  const t = rowsV(r).map((row, i) => {
    const shifted = i >> 2 === attack.y && (attack.guess >> (i & 3) & 1) === 1;
    return shifted ? xor(comb(row), comb(attack.error)) : comb(row);
  });
  return { u: concat(...U), x: comb(attack.e), t: concat(...t) };
}

/** Three scalars of pad j. */
export function padOf({ suite, vsid, curve }: VoleContext, j: number, column: Uint8Array): Scalar[] {
  let bytes: Bytes;
  if (suite === "hash") bytes = xof(144, Tag.softSpokenPad, vsid, u16(j), column);
  else {
    const key = hash(Tag.voleAesPad, vsid).slice(0, 16);
    const inner = aes128Ecb(key, column);
    bytes = concat(
      ...Array.from(
        { length: 9 },
        (_, i) => xor(aes128Ecb(key, xor(inner, littleEndian(16 * j + i))), inner),
      ),
    );
  }
  return [0, 1, 2].map((c) => {
    const part = bytes.slice(48 * c, 48 * c + 48);
    return curve.scalar(suite === "hash" ? bytesToBigint(part) : fromLittleEndian(part));
  });
}

const gadgets = new Map<string, Scalar>();

/** g_j. */
export function gadgetOf({ curve }: VoleContext, j: number): Scalar {
  const known = gadgets.get(`${curve.name}/${j}`);
  if (known !== undefined) return known;
  const g_j = curve.scalar(bytesToBigint(xof(48, Tag.voleGadget, encodeCurve(curve), u16(j))));
  gadgets.set(`${curve.name}/${j}`, g_j);
  return g_j;
}

/** alpha0 and alpha1, from ξ columns of W of 16 bytes each, and Δ as a column. */
export function padsOf(
  context: VoleContext,
  columns: Uint8Array,
  delta: Uint8Array,
): [Scalar[][], Scalar[][]] {
  const of = (shift: Uint8Array) =>
    Array.from({ length: XI }, (_, j) => padOf(context, j, xor(columns.slice(16 * j, 16 * j + 16), shift)));
  return [of(new Uint8Array(16)), of(delta)];
}

/** The sender's answer; a cheat adds `delta` to ã_{j,0} and hopes that beta_j is `guess`. */
export function referenceSend(
  context: VoleContext,
  input: {
    /** alpha0 and alpha1 of {@linkcode padsOf}. */
    readonly pads: readonly [readonly Scalar[][], readonly Scalar[][]];
    readonly a: readonly [Scalar, Scalar];
    readonly eta: Scalar;
    /** Changes the corrections before anything is computed from them. */
    readonly rewrite?: (aTilde: Bytes) => Bytes;
    readonly cheat?: { readonly j: number; readonly delta: Scalar; readonly guess: 0 | 1 };
  },
): { readonly message: VoleMessage; readonly c: readonly [Scalar, Scalar] } {
  const { curve, vsid } = context;
  const { a, eta, cheat } = input;
  const [alpha0, alpha1] = input.pads;
  const { rewrite = (bytes: Bytes) => bytes } = input;
  const aTilde = rewrite(concat(...alpha0.flatMap((pad, j) =>
    [a[0], a[1], eta].map((value, c) => {
      const honest = curve.add(curve.sub(pad[c] as Scalar, (alpha1[j] as Scalar[])[c] as Scalar), value);
      return curve.encodeScalar(cheat?.j === j && c === 0 ? curve.add(honest, cheat.delta) : honest);
    })
  )));
  const [theta0, theta1] = [0, 1].map((i) =>
    curve.scalar(bytesToBigint(xof(48, Tag.voleTheta, vsid, hash(Tag.voleA, aTilde), u8(i))))
  ) as [Scalar, Scalar];
  const fold = (x: readonly Scalar[]) =>
    curve.add(
      x[2] as Scalar,
      curve.add(curve.mul(theta0, x[0] as Scalar), curve.mul(theta1, x[1] as Scalar)),
    );
  const folded = alpha0.map((pad, j) =>
    cheat?.j === j && cheat.guess === 1 ? curve.add(fold(pad), curve.mul(theta0, cheat.delta)) : fold(pad)
  );
  const mu = hash(Tag.voleMu, vsid, concat(...folded.map((value) => curve.encodeScalar(value))));
  const c = [0, 1].map((k) =>
    curve.neg(alpha0.reduce(
      (sum, pad, j) => curve.add(sum, curve.mul(gadgetOf(context, j), pad[k] as Scalar)),
      curve.scalar(0n),
    ))
  ) as [Scalar, Scalar];
  return { message: { aTilde, epsilon: fold([...a, eta]), mu }, c };
}

/** Product in GF(2)[x]/(x^128 + x^7 + x^2 + x + 1). */
export function multiply(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let i = 127; i >= 0; i--) {
    product <<= 1n;
    if (product >> 128n) product ^= 1n << 128n | 0x87n;
    if (b >> BigInt(i) & 1n) product ^= a;
  }
  return product;
}

/** a ⊕ b. */
export function xor(a: Uint8Array, b: Uint8Array): Bytes {
  return new Uint8Array(a.map((byte, i) => byte ^ (b[i] as number)));
}

/** 16 bytes. */
export function littleEndian(value: bigint | number): Bytes {
  return Uint8Array.fromHex(value.toString(16).padStart(32, "0")).reverse();
}

/** The integer of little-endian bytes. */
export function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt("0x" + bytes.slice().reverse().toHex());
}

function xorAll(values: readonly Uint8Array[]): Bytes {
  return values.reduce((sum: Bytes, value) => xor(sum, value), new Uint8Array(ROW));
}
