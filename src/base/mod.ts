/**
 * What all parts of the package have in common: names of parties, byte strings and their codecs, errors, randomness, secrets.
 *
 * @module
 */

export * from "./brands.ts";
export type { Bytes } from "./bytes.ts";
export { type Codec, decode, DecodeError, encode, Reader, Writer } from "./codec.ts";
export {
  type AeadName,
  type CryptoBackend,
  type EcKey,
  type EcName,
  type Ed25519Signer,
  ed25519Signer,
  type Ed25519Verifier,
  ed25519Verifier,
  type HmacKey,
} from "./crypto.ts";
export {
  CheaterError,
  type Code,
  type CodeMeaning,
  CODES,
  type ErrorDetails,
  InvariantError,
  QuorateError,
  TransportError,
  UsageError,
} from "./errors.ts";
export { type Rng, seededRng, systemRng } from "./rng.ts";
export { Secret } from "./secret.ts";
