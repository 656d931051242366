/**
 * Proof by cut and choose that a ciphertext holds discrete logarithms (SPEC 4.2).
 *
 * Each row splits every secret, x = x0 + x1, and seals both halves, each from a seed. The hash of all ciphertexts and of the
 * X0 = x0·G says for every row which half is opened: anyone seals that one again from its seed and finds the same hash. A row
 * whose two halves do not add up to x, or do not open, is caught when the wrong half is chosen: m bad rows pass with
 * probability 2^-m.
 *
 * @module
 */

import { type Bytes, concat, EMPTY, equal, erase, u16 } from "../../base/bytes.ts";
import { decode, DecodeError } from "../../base/codec.ts";
import { invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import type { Group, Point, Scalar } from "../../math/curve.ts";
import { hash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";

/** Which half of a row. The first is drawn, the second is what is missing to the secrets. */
export type Half = 0 | 1;

/** One of the secrets: its group, and what its discrete logarithm is proven of. */
export interface Column {
  /** The group. */
  readonly group: Group;
  /** X = x·G, never the identity. */
  readonly publicShare: Point;
}

/** How rows are made and sealed: the part that differs between one secret, many, and a quorum of custodians. */
export interface RowScheme {
  /** The secrets. */
  readonly columns: readonly Column[];
  /** Hash of everything that the backup is about. */
  readonly aad: Bytes;
  /** Length of the seed of each half. */
  readonly seedBytes: readonly [number, number];
  /** Length of each half's ciphertext. */
  readonly sealedBytes: readonly [number, number];
  /** The scalars of the first half, from its seed. */
  draw(row: number, seed: Bytes): readonly Scalar[];
  /** The ciphertext of the first half. */
  first(row: number, seed: Bytes): Bytes;
  /** The ciphertext of the second half. @param scalars encoded, one after the other. */
  second(row: number, seed: Bytes, scalars: Bytes): Bytes;
  /** The scalars of the first half from what its ciphertext holds; of a text that is none, any. @throws DecodeError */
  scalarsOf(row: number, text: Bytes): readonly Scalar[];
}

/** What is published of a row. */
export interface Row {
  /** The seed of the half that is opened. */
  readonly seed: Bytes;
  /** The scalars of the second half, where that one is opened: 32 bytes each. Empty otherwise. */
  readonly scalars: Bytes;
  /** The ciphertext of the other half. */
  readonly sealed: Bytes;
}

/** A proof. */
export interface Proof {
  /** e: bit i says which half of row i is opened. */
  readonly challenge: Bytes;
  /** In order. */
  readonly rows: readonly Row[];
}

/** What a row adds to the hash that is the challenge. */
export interface Commitment {
  /** c0, c1. */
  readonly sealed: readonly [Bytes, Bytes];
  /** X0 of every column. */
  readonly points: readonly Point[];
}

/** What a proof gave back. */
export interface Recovered {
  /** x of every column; undefined where no row gives them. */
  readonly secrets: readonly Scalar[] | undefined;
  /** How many rows did not open to the secrets, among those that were tried. */
  readonly badRows: number;
}

/** Opens the ciphertext of a half of a row: its text, or undefined. */
export type OpenRow = (row: number, half: Half, sealed: Bytes) => Bytes | undefined;

/** Number of rows: a prover that cheats guesses 128 bits. Tests of the soundness use fewer. */
export const ROWS = 128;

/** Length of the challenge. */
export const CHALLENGE_BYTES = 16;

/** Which half the challenge opens in a row. */
export function openedHalf(challenge: Uint8Array, row: number): Half {
  return ((challenge[row >> 3] as number) >> (row & 7) & 1) as Half;
}

/** Makes a proof. @param secrets one per column. */
export function prove(scheme: RowScheme, secrets: readonly Scalar[], rng: Rng, rows = ROWS): Proof {
  const { columns, seedBytes } = scheme;
  invariant(
    secrets.length === columns.length &&
      columns.every(({ group, publicShare }, j) => group.mulBase(secrets[j] as Scalar).equals(publicShare)),
    "a backup is made of the secrets of its public shares",
  );
  const encoded = concat(...columns.map(({ group }, j) => group.encodeScalar(secrets[j] as Scalar)));
  // The secrets are mixed in: a generator that fails repeats a backup, and does not give the secrets away.
  const fresh = rng.bytes(32);
  const made = Array.from({ length: rows }, (_, row) => {
    const both = xof(seedBytes[0] + seedBytes[1], Tag.pveSeeds, scheme.aad, encoded, fresh, u16(row));
    const seeds = [both.slice(0, seedBytes[0]), both.slice(seedBytes[0])] as const;
    erase(both);
    const x0 = scheme.draw(row, seeds[0]);
    const x1 = concat(
      ...columns.map(({ group }, j) => group.encodeScalar(group.sub(secrets[j] as Scalar, x0[j] as Scalar))),
    );
    const points = columns.map(({ group }, j) => group.mulBase(x0[j] as Scalar));
    return {
      seeds,
      x1,
      sealed: [scheme.first(row, seeds[0]), scheme.second(row, seeds[1], x1)] as const,
      points,
    };
  });
  erase(encoded, fresh);
  const challenge = challengeOf(scheme, made);
  const published = made.map(({ seeds, x1, sealed }, row): Row => {
    const half = openedHalf(challenge, row);
    erase(seeds[1 - half]);
    if (half === 0) erase(x1);
    return { seed: seeds[half], scalars: half === 1 ? x1 : EMPTY, sealed: sealed[1 - half] as Bytes };
  });
  return { challenge, rows: published };
}

/**
 * Checks a proof. Variable time: everything in it is public.
 *
 * @returns what is wrong in words, or undefined.
 */
export function proofFault(scheme: RowScheme, { challenge, rows }: Proof, count = ROWS): string | undefined {
  if (rows.length !== count) return `it has ${rows.length} rows instead of ${count}`;
  const commitments: Commitment[] = [];
  for (const [row, published] of rows.entries()) {
    const half = openedHalf(challenge, row);
    const fault = shapeFault(scheme, half, published);
    if (fault !== undefined) return `row ${row}: ${fault}`;
    const commitment = commitmentOf(scheme, row, half, published);
    if (typeof commitment === "string") return `row ${row}: ${commitment}`;
    commitments.push(commitment);
  }
  return equal(challengeOf(scheme, commitments), challenge)
    ? undefined
    : "its rows are not those that its challenge was made of";
}

/**
 * Finds the secrets: the first row that opens and fits the public shares has them.
 *
 * @param options `allRows` goes on after that row, to count the bad ones.
 */
export function recover(
  scheme: RowScheme,
  { challenge, rows }: Proof,
  open: OpenRow,
  options: { readonly allRows: boolean },
): Recovered {
  let secrets: readonly Scalar[] | undefined;
  let badRows = 0;
  for (const [row, published] of rows.entries()) {
    const found = secretsOf(scheme, row, openedHalf(challenge, row), published, open);
    if (found === undefined) badRows++;
    secrets ??= found;
    if (secrets !== undefined && !options.allRows) break;
  }
  return { secrets, badRows };
}

/** e: the first 128 bits of the hash of all commitments. */
export function challengeOf({ aad, columns }: RowScheme, commitments: readonly Commitment[]): Bytes {
  // One inversion for all rows of a column.
  const points = columns.map(({ group }, j) =>
    group.normalize(commitments.map((commitment) => commitment.points[j] as Point))
  );
  const parts = commitments.flatMap(({ sealed }, row) => [
    ...sealed,
    concat(...columns.map(({ group }, j) => group.encodePoint(points[j]?.[row] as Point))),
  ]);
  return hash(Tag.pveChallenge, aad, ...parts).slice(0, CHALLENGE_BYTES);
}

function shapeFault(scheme: RowScheme, half: Half, { seed, scalars, sealed }: Row): string | undefined {
  if (seed.length !== scheme.seedBytes[half]) return "its seed has another length";
  if (sealed.length !== scheme.sealedBytes[1 - half]) return "its ciphertext has another length";
  if (scalars.length !== (half === 1 ? SCALAR_BYTES * scheme.columns.length : 0)) {
    return "its scalars are not there, or there are too many";
  }
  return undefined;
}

/** Makes the opened half again. */
function commitmentOf(scheme: RowScheme, row: number, half: Half, published: Row): Commitment | string {
  const { columns } = scheme;
  if (half === 0) {
    const x0 = scheme.draw(row, published.seed);
    const points = columns.map(({ group }, j) => group.mulBase(x0[j] as Scalar));
    if (points.some((X0) => X0.is0())) return VANISHES;
    return { sealed: [scheme.first(row, published.seed), published.sealed], points };
  }
  let x1: readonly Scalar[];
  try {
    x1 = decodeScalars(columns, published.scalars);
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
  // X0 = X − X1
  const points = columns.map(({ group, publicShare }, j) =>
    publicShare.subtract(group.mulBase(x1[j] as Scalar))
  );
  if (points.some((X0) => X0.is0())) return VANISHES;
  return { sealed: [published.sealed, scheme.second(row, published.seed, published.scalars)], points };
}

/** Both halves of a row added up; undefined where they are not the secrets. */
function secretsOf(
  scheme: RowScheme,
  row: number,
  half: Half,
  published: Row,
  open: OpenRow,
): readonly Scalar[] | undefined {
  const { columns } = scheme;
  if (shapeFault(scheme, half, published) !== undefined) return undefined;
  const text = open(row, (1 - half) as Half, published.sealed);
  if (text === undefined) return undefined;
  try {
    const x0 = half === 0 ? scheme.draw(row, published.seed) : scheme.scalarsOf(row, text);
    const x1 = decodeScalars(columns, half === 1 ? published.scalars : text);
    const secrets = columns.map(({ group }, j) => group.add(x0[j] as Scalar, x1[j] as Scalar));
    const isRight = columns.every(({ group, publicShare }, j) =>
      group.mulBase(secrets[j] as Scalar).equals(publicShare)
    );
    return isRight ? secrets : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  } finally {
    erase(text);
  }
}

/** One scalar per column, each 32 bytes and below the order of its group. @throws DecodeError */
function decodeScalars(columns: readonly Column[], bytes: Bytes): Scalar[] {
  if (bytes.length !== SCALAR_BYTES * columns.length) throw new DecodeError("another number of scalars");
  return columns.map(({ group }, j) =>
    decode(group.scalarCodec, bytes.subarray(SCALAR_BYTES * j, SCALAR_BYTES * (j + 1)))
  );
}

/** Length of an encoded scalar, in every group here. */
export const SCALAR_BYTES = 32;
const VANISHES = "half of a secret is 0 there, so that the other half is the secret";
