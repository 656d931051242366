/**
 * Secrets at rest: AES-256-GCM under keys that come from a key file or a passphrase and belong to one party of one cluster.
 *
 * @module
 */

import { scrypt } from "@noble/hashes/scrypt.js";
import { type Bytes, concat, copy, equalSecret, u16, utf8 } from "../base/bytes.ts";
import { aeadOpen, aeadSeal, hkdfExpand, hkdfExtract, type HmacKey, hmacKey } from "../base/crypto.ts";
import { UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { Secret } from "../base/secret.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";

const NONCE_BYTES = 12;
const SEALING_KEY_BYTES = 32;

/** Whose secrets they are: goes into the keys and into every AAD. */
export interface SealOwner {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the party. */
  readonly party: string;
  /** Its index. */
  readonly index: number;
}

/** Where the sealing keys come from. */
export type SealingSource =
  | { readonly kind: "key"; /** 32 random bytes. */ readonly key: Secret }
  | { readonly kind: "passphrase"; readonly passphrase: Secret };

/** What is stored, in clear, to derive the same keys again. */
export interface SealingParameters {
  /** What the keys are derived from. */
  readonly kind: SealingSource["kind"];
  /** 16 random bytes. */
  readonly salt: Bytes;
  /** log2 of scrypt's N; 0 for a key file. */
  readonly scryptLogN: number;
}

/** scrypt's cost: 128 MB and about half a second. */
export const SCRYPT_LOG_N = 17;
// A larger stored value would be a way to exhaust memory, a smaller one to weaken a passphrase: both are refused.
const SCRYPT_LOG_N_MIN = 14;
const SCRYPT_LOG_N_MAX = 20;

/** Parameters for a new store. @param scryptLogN cost for a passphrase. */
export function newSealingParameters(
  kind: SealingSource["kind"],
  rng: Rng,
  scryptLogN: number = SCRYPT_LOG_N,
): SealingParameters {
  return { kind, salt: rng.bytes(16), scryptLogN: kind === "key" ? 0 : scryptLogN };
}

/** Seals and opens, and authenticates what need not be secret. */
export class Sealer implements Disposable {
  readonly #sealKey: Secret;
  readonly #guard: HmacKey;
  readonly #rng: Rng;

  /**
   * Derives the keys.
   *
   * @throws UsageError STORE_CORRUPT where the parameters are not ones that this program writes, IDENTITY_INVALID where the
   * source is of the wrong kind.
   */
  constructor(source: SealingSource, parameters: SealingParameters, owner: SealOwner, rng: Rng) {
    using root = rootKey(source, parameters);
    const info = hash(Tag.storeSeal, utf8(owner.cluster), utf8(owner.party), u16(owner.index));
    this.#sealKey = new Secret(hkdfExpand(root.expose(), concat(info, utf8("seal")), 32));
    using guardKey = new Secret(hkdfExpand(root.expose(), concat(info, utf8("guard")), 32));
    // Every row is authenticated when a store is opened: the key is prepared once.
    this.#guard = hmacKey(guardKey.expose());
    this.#rng = rng;
  }

  /** Nonce, ciphertext and tag. @param aad says what it is and where it belongs. */
  seal(aad: Bytes, plaintext: Secret): Bytes {
    const nonce = this.#rng.bytes(NONCE_BYTES);
    return concat(nonce, aeadSeal("aes-256-gcm", this.#sealKey.expose(), nonce, aad, plaintext.expose()));
  }

  /** The plaintext, or undefined where key, AAD or bytes are not those of {@linkcode seal}. */
  open(aad: Bytes, sealed: Bytes): Secret | undefined {
    if (sealed.length < NONCE_BYTES) return undefined;
    const plaintext = aeadOpen(
      "aes-256-gcm",
      this.#sealKey.expose(),
      sealed.subarray(0, NONCE_BYTES),
      aad,
      sealed.subarray(NONCE_BYTES),
    );
    return plaintext === undefined ? undefined : new Secret(plaintext);
  }

  /** 32 bytes that only the holder of the sealing key can make. */
  authenticate(message: Bytes): Bytes {
    return this.#guard.mac(message);
  }

  /** Checks {@linkcode authenticate}. */
  isAuthentic(message: Bytes, tag: Bytes): boolean {
    return equalSecret(this.authenticate(message), tag);
  }

  /** Erases the keys. */
  [Symbol.dispose](): void {
    this.#sealKey[Symbol.dispose]();
    this.#guard[Symbol.dispose]();
  }
}

function rootKey(source: SealingSource, parameters: SealingParameters): Secret {
  if (source.kind !== parameters.kind) {
    const has = { key: "a sealing-key file", passphrase: "a passphrase" };
    throw new UsageError(
      "IDENTITY_INVALID",
      `the store is sealed with ${has[parameters.kind]}, and the configuration names ${has[source.kind]}`,
    );
  }
  if (source.kind === "key") {
    if (source.key.expose().length !== SEALING_KEY_BYTES) {
      throw new UsageError(
        "IDENTITY_INVALID",
        `a sealing key has ${SEALING_KEY_BYTES} bytes: found ${source.key.expose().length}`,
      );
    }
    return new Secret(hkdfExtract(parameters.salt, source.key.expose()));
  }
  if (source.passphrase.expose().length === 0) {
    throw new UsageError("IDENTITY_INVALID", "the passphrase is empty: write it into the file on one line");
  }
  const { scryptLogN } = parameters;
  if (!(scryptLogN >= SCRYPT_LOG_N_MIN && scryptLogN <= SCRYPT_LOG_N_MAX)) {
    throw new UsageError(
      "STORE_CORRUPT",
      `the store asks for scrypt with N = 2^${scryptLogN}, which is refused`,
    );
  }
  const N = 2 ** scryptLogN;
  using stretched = new Secret(
    copy(
      scrypt(source.passphrase.expose(), parameters.salt, {
        N,
        r: 8,
        p: 1,
        dkLen: 32,
        maxmem: 1024 * N + 2 ** 21,
      }),
    ),
  );
  return new Secret(hkdfExtract(parameters.salt, stretched.expose()));
}
