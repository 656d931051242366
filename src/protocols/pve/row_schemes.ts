/**
 * How rows are made and sealed: one secret to one custodian, many secrets to one, and any number to a quorum (SPEC 4.2).
 *
 * | | first half, from its seed | sealed in it | second half |
 * |---|---|---|---|
 * | one | r0 gives x0 and ρ0 | x0 | r1 gives ρ1; x1 |
 * | many | s0 gives all x0, t0 gives ρ0 | s0 | t1 gives ρ1; all x1 |
 * | quorum | s0 gives all x0, t0 gives K, its sharing and all ρ | s0 | t1 likewise; all x1 |
 *
 * Where a seed is what is sealed, the randomness of the encryption comes from another one: nothing is ever encrypted under
 * something that follows from itself.
 *
 * @module
 */

import { type Bytes, concat, erase, u16, u8 } from "../../base/bytes.ts";
import { aeadOpen, aeadSeal } from "../../base/crypto.ts";
import { decode, DecodeError } from "../../base/codec.ts";
import { type Group, type Scalar, secp256k1 } from "../../math/curve.ts";
import { coefficientCount, handDown, leavesOf, solve } from "../../primitives/access.ts";
import { hash, hashToScalar, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import { type CustodianGroup, encodeCustodianGroup } from "./custodian.ts";
import { type Column, type Half, type RowScheme, SCALAR_BYTES } from "./cut_and_choose.ts";
import { type CustodianPublicKey, PKES, SEAL_BYTES, sealedBytes, sealTo } from "./pke.ts";

/** What a backup is about, and whom it is for. */
export interface Subject<To> {
  /** The secrets. */
  readonly columns: readonly Column[];
  /** The canonical label. */
  readonly label: Bytes;
  /** Who opens it. */
  readonly to: To;
}

/** A quorum's scheme, and how its ciphertexts are opened. */
export interface QuorumScheme extends RowScheme {
  /** Where the ciphertext of each leaf stands in that of a row. */
  leafPart(name: string, sealed: Uint8Array): Uint8Array;
  /**
   * The text of a row.
   *
   * @param shares what the leaves hold, by name: 32 bytes each.
   * @returns undefined where the leaves are no quorum, or it does not open.
   */
  openBody(
    row: number,
    half: Half,
    sealed: Uint8Array,
    shares: ReadonlyMap<string, Bytes>,
  ): Bytes | undefined;
}

/** One secret to one custodian. */
export function singleScheme({ columns, label, to }: Subject<CustodianPublicKey>): RowScheme {
  const [{ group, publicShare }] = columns as readonly [Column];
  const aad = hash(
    Tag.pveAad,
    u8(PKES[to.suite].id),
    to.bytes,
    u8(group.id),
    label,
    group.encodePoint(publicShare),
  );
  const length = sealedBytes(to, SCALAR_BYTES);
  const split = (row: number, r0: Bytes) => {
    const drawn = xof(48 + SEED_BYTES, Tag.pveRow0, aad, u16(row), r0); // x0 ‖ ρ0
    const x0 = group.reduce(drawn.subarray(0, 48)), seed = drawn.slice(48);
    erase(drawn);
    return { x0, seed };
  };
  return {
    columns,
    aad,
    seedBytes: [SEED_BYTES, SEED_BYTES],
    sealedBytes: [length, length],
    draw: (row, r0) => [split(row, r0).x0],
    first(row, r0) {
      const { x0, seed } = split(row, r0);
      const text = group.encodeScalar(x0);
      const sealed = sealTo(to, { aad, text, seed });
      erase(seed, text);
      return sealed;
    },
    second(row, r1, text) {
      const seed = xof(SEED_BYTES, Tag.pveRow1, aad, u16(row), r1); // ρ1
      const sealed = sealTo(to, { aad, text, seed });
      erase(seed);
      return sealed;
    },
    scalarsOf: (_row, text) => [decode(group.scalarCodec, text)],
  };
}

/** Many secrets to one custodian. */
export function batchScheme({ columns, label, to }: Subject<CustodianPublicKey>): RowScheme {
  const aad = hash(
    Tag.pveBatchAad,
    u8(PKES[to.suite].id),
    to.bytes,
    u16(columns.length),
    label,
    ...encodeColumns(columns),
  );
  return seededScheme(columns, aad, {
    sealedBytes: (textBytes) => sealedBytes(to, textBytes),
    seal(row, half, text, t) {
      const seed = xof(SEED_BYTES, Tag.pveBatchSeal, aad, u16(row), u8(half), t);
      const sealed = sealTo(to, { aad, text, seed });
      erase(seed);
      return sealed;
    },
  });
}

/** Any number of secrets to a quorum of custodians. */
export function quorumScheme({ columns, label, to }: Subject<CustodianGroup>): QuorumScheme {
  const { policy, keys } = to;
  const leaves = leavesOf(policy);
  const keyOf = (name: string) => keys.get(name) as CustodianPublicKey;
  const aad = hash(
    Tag.pveQuorumAad,
    u16(columns.length),
    label,
    ...encodeColumns(columns),
    ...encodeCustodianGroup(to),
  );
  const ends = new Map<string, number>();
  let leafBytes = 0;
  for (const name of leaves) ends.set(name, leafBytes += sealedBytes(keyOf(name), SCALAR_BYTES));
  const place = (row: number, half: Half) => [aad, u16(row), u8(half)] as const;

  function bodyKey(row: number, half: Half, K: Scalar): Bytes {
    const encoded = FIELD.encodeScalar(K);
    const key = hash(Tag.pveQuorumBody, ...place(row, half), encoded);
    erase(encoded);
    return key;
  }

  const scheme = seededScheme(columns, aad, {
    sealedBytes: (textBytes) => leafBytes + textBytes + SEAL_BYTES,
    seal(row, half, text, t) {
      const at = place(row, half);
      const K = hashToScalar(FIELD, Tag.pveQuorumKey, ...at, t);
      const shares = handDown(policy, [K, ...coefficients(coefficientCount(policy) - 1, [...at, t])], {
        add: FIELD.add,
        timesSmall: (a, factor) => FIELD.mul(a, FIELD.scalar(BigInt(factor))),
      });
      const seeds = xof(SEED_BYTES * leaves.length, Tag.pveQuorumSeal, ...at, t);
      const sealedShares = leaves.map((name, l) => {
        const share = FIELD.encodeScalar(shares.get(name) as Scalar);
        const seed = seeds.subarray(SEED_BYTES * l, SEED_BYTES * (l + 1));
        const sealed = sealTo(keyOf(name), { aad, text: share, seed });
        erase(share);
        return sealed;
      });
      const key = bodyKey(row, half, K);
      const body = aeadSeal("aes-256-gcm", key, NONCE, aad, text);
      erase(seeds, key);
      return concat(...sealedShares, body);
    },
  });
  return {
    ...scheme,
    leafPart(name, sealed) {
      const end = ends.get(name) as number;
      return sealed.subarray(end - sealedBytes(keyOf(name), SCALAR_BYTES), end);
    },
    openBody(row, half, sealed, shares) {
      const solution = solve(policy, new Set(shares.keys()), FIELD);
      if (solution === undefined) return undefined;
      let K = FIELD.scalar(0n);
      try {
        for (const [name, c] of solution.coefficients) {
          K = FIELD.add(K, FIELD.mul(c, decode(FIELD.scalarCodec, shares.get(name) as Bytes)));
        }
      } catch (error) {
        if (error instanceof DecodeError) return undefined;
        throw error;
      }
      const key = bodyKey(row, half, K);
      const text = aeadOpen("aes-256-gcm", key, NONCE, aad, sealed.subarray(leafBytes));
      erase(key);
      return text;
    },
  };
}

/** Rows whose first half holds a seed s0; each half is sealed with randomness from a seed t of its own. */
function seededScheme(
  columns: readonly Column[],
  aad: Bytes,
  sealer: {
    sealedBytes(textBytes: number): number;
    seal(row: number, half: Half, text: Bytes, t: Bytes): Bytes;
  },
): RowScheme {
  const scalarsOf = (row: number, s0: Bytes): Scalar[] => {
    const drawn = xof(48 * columns.length, Tag.pveBatchScalars, aad, u16(row), s0);
    const scalars = columns.map(({ group }, j) => group.reduce(drawn.subarray(48 * j, 48 * (j + 1))));
    erase(drawn);
    return scalars;
  };
  return {
    columns,
    aad,
    seedBytes: [2 * SEED_BYTES, SEED_BYTES],
    sealedBytes: [sealer.sealedBytes(SEED_BYTES), sealer.sealedBytes(SCALAR_BYTES * columns.length)],
    draw: (row, seeds) => scalarsOf(row, seeds.subarray(0, SEED_BYTES)),
    first: (row, seeds) => sealer.seal(row, 0, seeds.subarray(0, SEED_BYTES), seeds.subarray(SEED_BYTES)),
    second: (row, t1, scalars) => sealer.seal(row, 1, scalars, t1),
    scalarsOf,
  };
}

/** The random coefficients of a sharing. A tree of `or` alone has none. */
function coefficients(count: number, input: readonly Uint8Array[]): Scalar[] {
  if (count === 0) return [];
  const drawn = xof(48 * count, Tag.pveQuorumShares, ...input);
  const scalars = Array.from({ length: count }, (_, k) => FIELD.reduce(drawn.subarray(48 * k, 48 * (k + 1))));
  erase(drawn);
  return scalars;
}

function encodeColumns(columns: readonly Column[]): Bytes[] {
  return columns.flatMap(({ group, publicShare }) => [u8(group.id), group.encodePoint(publicShare)]);
}

const SEED_BYTES = 32;
const NONCE = new Uint8Array(12);
/** K is shared over the scalars of one group, whatever the groups of the secrets are. */
const FIELD: Group = secp256k1;
