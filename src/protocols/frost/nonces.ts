/**
 * The nonces of one signature: hedged, used once, and gone before the share that they made leaves (FAULTS 17, SPEC 8.14).
 *
 * They exist in memory only. A process that ends between commitment and response loses them, and with them that attempt;
 * nothing that could sign again was ever on disk.
 *
 * @module
 */

import type { Nonces } from "@noble/curves/abstract/frost.js";
import { type Bytes, erase, u32 } from "../../base/bytes.ts";
import { decode } from "../../base/codec.ts";
import { invariant } from "../../base/errors.ts";
import type { Rng } from "../../base/rng.ts";
import type { Point, Scalar } from "../../math/curve.ts";
import { hash, xof } from "../../primitives/hash.ts";
import { Tag } from "../../primitives/tags.ts";
import type { Session } from "../protocol.ts";
import { type FrostKeyShare, publicPackage, secretPackage } from "./key.ts";
import { nobleRng } from "./suite.ts";

/** What a signer publishes of its nonces: D_i and E_i of RFC 9591. */
export interface NonceCommitment {
  /** D_i. */
  readonly hiding: Point;
  /** E_i. */
  readonly binding: Point;
}

/** Everybody's commitments as noble takes them. */
export type CommitmentList = readonly {
  readonly identifier: string;
  readonly hiding: Uint8Array;
  readonly binding: Uint8Array;
}[];

/** A pair of nonces that makes one signature share. */
export class SigningNonces implements Disposable {
  /** What is published of them. */
  readonly commitment: NonceCommitment;
  readonly #share: FrostKeyShare;
  #nonces: Nonces | undefined;

  /**
   * Draws a pair.
   *
   * @param rng from {@linkcode nonceRng}: noble hashes its bytes with the share once more (RFC 9591, 4.1).
   */
  constructor(share: FrostKeyShare, rng: Rng) {
    const { frost, group } = share.record.suite;
    const { nonces, commitments } = frost.commit(secretPackage(share), nobleRng(rng));
    this.#share = share;
    this.#nonces = nonces;
    this.commitment = {
      hiding: group.decodePoint(commitments.hiding),
      binding: group.decodePoint(commitments.binding),
    };
  }

  /**
   * Makes the share z_i and forgets the nonces, also where noble refuses.
   *
   * @source RFC 9591, 5.2
   * @throws InvariantError at the second call.
   */
  respond(commitments: CommitmentList, message: Uint8Array): Scalar {
    const nonces = this.#nonces;
    invariant(nonces !== undefined, "a pair of nonces makes one share");
    this.#nonces = undefined;
    const { record } = this.#share;
    try {
      const share = record.suite.frost.signShare(
        secretPackage(this.#share),
        publicPackage(record),
        nonces,
        [...commitments],
        message,
      );
      return decode(record.suite.group.scalarCodec, share);
    } finally {
      erase(nonces.hiding, nonces.binding);
    }
  }

  /** Forgets the nonces. */
  [Symbol.dispose](): void {
    erase(this.#nonces?.hiding, this.#nonces?.binding);
    this.#nonces = undefined;
  }
}

/**
 * `XOF(len, "frost/nonce"; key of the share, 32 fresh bytes, sid, payload hash, counter)`: noble hashes nonces from random bytes
 * and the share alone, which two sessions would have in common where the generator repeats itself.
 */
export function nonceRng(
  session: Pick<Session, "id" | "rng">,
  { record, share }: FrostKeyShare,
  payload: Bytes,
): Rng {
  const key = hash(Tag.hedgeKey, record.keyId, u32(record.epoch), share.expose());
  let counter = 0;
  return {
    bytes: (length) =>
      xof(length, Tag.frostNonce, key, session.rng.bytes(32), session.id, payload, u32(counter++)),
  };
}
