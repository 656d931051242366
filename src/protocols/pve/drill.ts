/**
 * Drills: a backup of a secret that is nobody's shows that a custodian still has its key (SPEC 4.2, caveat).
 *
 * @module
 */

import type { KeyId } from "../../base/brands.ts";
import type { Bytes } from "../../base/bytes.ts";
import { decode, DecodeError } from "../../base/codec.ts";
import { Secret } from "../../base/secret.ts";
import { type Point, secp256k1 } from "../../math/curve.ts";
import { type BackupInput, describeBackup, recoverBackup, sealBackup, type SecretShare } from "./backup.ts";
import type { Decapsulator } from "./custodian.ts";
import type { CustodianPublicKey } from "./pke.ts";

/** A drill, and what its answer is compared with. */
export interface Drill {
  /** The file for the custodian. */
  readonly backup: Bytes;
  /** The secret times the base point of secp256k1. */
  readonly publicShare: Point;
}

/**
 * Makes a drill for one custodian.
 *
 * @param input `id` tells two drills apart: 32 random bytes.
 * @throws UsageError IDENTITY_INVALID
 */
export function createDrill(
  input: Pick<BackupInput, "createdAt" | "rng"> & { readonly to: CustodianPublicKey; readonly id: KeyId },
): Drill {
  const { id: keyId, rng } = input;
  const x = secp256k1.randomScalar(rng);
  const publicShare = secp256k1.mulBase(x);
  using share = new Secret(secp256k1.encodeScalar(x));
  const shares = [{ keyId, epoch: 0, group: secp256k1, leaf: "drill", publicShare, share }];
  return { backup: sealBackup({ ...input, shares }, "drill"), publicShare };
}

/**
 * The custodian's answer: the secret of the drill, which it may show.
 *
 * @throws UsageError BACKUP_INVALID where it is no drill but a backup, whose share is not the custodian's to show.
 */
export function answerDrill(bytes: Uint8Array, key: Decapsulator): Bytes {
  const { shares } = describeBackup(bytes);
  const recovered = recoverBackup(bytes, { key, shares, purpose: "drill" });
  return (recovered.shares[0] as SecretShare).share.expose();
}

/** Whether an answer is the secret of the drill: the custodian has its key. */
export function checkDrill({ publicShare }: Pick<Drill, "publicShare">, answer: Uint8Array): boolean {
  try {
    return secp256k1.mulBase(decode(secp256k1.scalarCodec, answer)).equals(publicShare);
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}
