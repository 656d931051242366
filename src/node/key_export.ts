/**
 * Export: the private key of a threshold key is put together from the stores of a quorum, on one machine. After it the key exists
 * whole.
 *
 * @module
 */

import { equal } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { bytesToBigint, type Curve, type Scalar } from "../math/curve.ts";
import { formatPolicy } from "../primitives/access.ts";
import { encodeRecord, type KeyShare, quorumOf } from "../protocols/key_share.ts";
import type { Config } from "./config.ts";
import { requireExportable } from "./key_binding.ts";
import { formatPrivateKey, type PrivateKeyFormat } from "./private_key.ts";
import { withStoreCopy } from "./store_copy.ts";

/** What an export needs. */
export interface ExportRequest {
  /** Name of the key. */
  readonly name: string;
  /** Names of the parties whose data directories are here. */
  readonly parties: readonly string[];
  /** Their data directories, where those are not where the configuration has them. */
  readonly directories?: ReadonlyMap<string, string>;
  /** Form of the private key. */
  readonly format: PrivateKeyFormat;
  /** Allows it for a key that signs only what a quorum has approved: whoever has the file asks nobody any more. Default: no. */
  readonly withoutApproval?: boolean;
}

/** A private key as text. Disposing it erases the text. */
export interface ExportedKey {
  /** The text. */
  readonly text: Secret;
  /** Its curve. */
  readonly curve: Curve;
  /** Whose shares it was made of. */
  readonly parties: readonly string[];
  /** Their epoch. */
  readonly epoch: number;
}

/**
 * Puts the private key together, and checks it against the public key that all members certified. Nothing changes in the stores,
 * and none of the parties may run. Where a party's directory is the configured one, its audit log says what was done.
 *
 * @throws UsageError NOT_QUALIFIED, EPOCH_MISMATCH, KEY_SCHEME, APPROVAL_REQUIRED, and whatever {@linkcode withStoreCopy} throws.
 */
export async function exportPrivateKey(config: Config, request: ExportRequest): Promise<ExportedKey> {
  const shares: KeyShare[] = [];
  try {
    for (const party of request.parties) shares.push(await openShare(config, request, party));
    const record = sameRecord(shares, request);
    const quorum = quorumOf(record, shares.map(({ self }) => self));
    if (quorum === undefined) {
      throw new UsageError(
        "NOT_QUALIFIED",
        `${request.parties.join(", ")} do not have ${request.name} between them: its policy is ${
          formatPolicy(record.policy)
        }`,
      );
    }
    const { curve } = record;
    let x = curve.scalar(0n);
    for (const { self, share } of shares) {
      const c_i = quorum.coefficients.get(self);
      if (c_i !== undefined) x = curve.add(x, curve.mul(c_i, scalarOf(curve, share)));
    }
    if (!curve.mulBase(x).equals(record.publicKey)) {
      throw new UsageError("STORE_CORRUPT", `the shares of ${request.name} do not make its private key`);
    }
    using scalar = new Secret(curve.encodeScalar(x));
    return {
      text: new Secret(formatPrivateKey({ curve, scalar }, request.format)),
      curve,
      parties: quorum.active.map((index) => config.roster.nameOf(index)),
      epoch: record.epoch,
    };
  } finally {
    for (const { share } of shares) share[Symbol.dispose]();
  }
}

async function openShare(config: Config, request: ExportRequest, party: string): Promise<KeyShare> {
  const directory = request.directories?.get(party);
  try {
    return await withStoreCopy(
      config,
      { party, ...(directory === undefined ? {} : { directory }) },
      (local) => {
        const entry = local.store.active(request.name);
        const { share } = local.openKey(entry);
        try {
          if (request.withoutApproval !== true) requireExportable(share.record, request.name);
        } catch (error) {
          share.share[Symbol.dispose]();
          throw error;
        }
        // What leaves a party's own store is on record before it is out; a directory that was carried here may be read-only.
        if (directory === undefined) local.audit.noteKeyHere("key_exported", entry);
        return share;
      },
    );
  } catch (error) {
    // A store speaks of the one party whose it is; here it is one of several.
    if (!(error instanceof UsageError) || error.party !== undefined) throw error;
    throw new UsageError(error.code, `at ${party}: ${error.message}`, { party, cause: error });
  }
}

/** The record that all shares are of: of one key, one epoch, and one dealing of it. @throws UsageError EPOCH_MISMATCH */
function sameRecord(shares: readonly KeyShare[], { name, parties }: ExportRequest): KeyShare["record"] {
  const [first] = shares;
  if (first === undefined) throw new UsageError("USAGE", "no party is named");
  const encoded = encodeRecord(first.record);
  const at = shares.findIndex(({ record }) => !equal(encodeRecord(record), encoded));
  const other = shares[at]?.record;
  if (other === undefined) return first.record;
  const [mine, its] = [parties[0], parties[at]];
  throw new UsageError(
    "EPOCH_MISMATCH",
    !equal(other.keyId, first.record.keyId)
      ? `${its} and ${mine} have different keys under the name ${name}`
      : other.epoch !== first.record.epoch
      ? `${its} has epoch ${other.epoch} of ${name}, and ${mine} epoch ${first.record.epoch}: shares of different epochs do not combine`
      : `${its} and ${mine} have different shares of ${name} in epoch ${other.epoch}: its members were changed twice, by others`,
  );
}

function scalarOf(curve: Curve, share: Secret): Scalar {
  return curve.scalar(bytesToBigint(share.expose()));
}
