/**
 * The numbers of threshold ECDSA (SPEC 0.1), in one place.
 *
 * @module
 */

/** λc: computational security; also the number of base oblivious transfers and of rows. */
export const ROWS = 128;
/** k: bits of one puncturable tree. */
export const TREE_DEPTH = 4;
/** Q = 2^k: leaves of one tree. */
export const LEAVES = 16;
/** NB = λc / k: trees of one direction of a pair. */
export const TREES = 32;
/** Bytes of a seed: base-OT key, tree node, leaf. */
export const SEED_BYTES = 32;
/** All leaves of one direction. */
export const LEAF_BYTES = TREES * LEAVES * SEED_BYTES;
/** ξ = |q| + 2·λs, with λs = 80: oblivious transfers of one VOLE. */
export const XI = 416;
/** Bits of a row behind the payload that only serve the consistency check: 2 × GF(2^128). */
export const CHECK_BITS = 256;
/** A row: ξ payload bits and the check bits. */
export const ROW_BYTES = (XI + CHECK_BITS) / 8;
/** Words of 32 bits in the payload of a row. */
export const PAYLOAD_WORDS = XI / 32;
/** Words of 32 bits in a row. */
export const ROW_WORDS = ROW_BYTES / 4;
/** Words of 32 bits in the result of the check's combination. */
export const CHECK_WORDS = CHECK_BITS / 32;
/** ρ + ℓ: columns of the VOLE, two inputs and one check. */
export const WIDTH = 3;

/**
 * How leaves and pads are expanded (SPEC 2.5): `"hash"` is the reference, over SHA-256; `"aes"` uses fixed-key AES-128 and is
 * what makes signing fast. Both sides of a session use the same one: it is part of what round 0 compares.
 */
export type SymSuite = "hash" | "aes";
