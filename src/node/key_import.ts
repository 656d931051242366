/**
 * Import: a private key that exists whole is split among parties. Its owner deals it on as if it were the only member of an epoch
 * 0; what follows is a reshare (SPEC 2.10), so that the key has the same records, certificates and later life as any other.
 *
 * @module
 */

import { sessionId } from "../base/brands.ts";
import { type Bytes, EMPTY, equal, utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { bytesToBigint } from "../math/curve.ts";
import { type AccessTree, parsePolicy } from "../primitives/access.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import type { StoredKey } from "../protocols/dkg/stored_key.ts";
import { makeKeyId, policyHashOf } from "../protocols/key_share.ts";
import { HeldKey, membersNamed, openHeld } from "./key_epochs.ts";
import type { LocalParty } from "./local_party.ts";
import type { PrivateKey } from "./private_key.ts";

/** What an import needs. */
export interface ImportRequest {
  /** Name of the new key. */
  readonly name: string;
  /** Who may sign together from now on. */
  readonly policy: AccessTree;
  /** Name of the party that has the private key. */
  readonly from: string;
  /** At that party: the private key. It stays the caller's to dispose. */
  readonly privateKey?: PrivateKey;
  /** At that party: 32 bytes for the derivation of children. Default: a hash of the public key. */
  readonly chainCode?: Bytes;
  /** At the others: the compressed public key that they expect. */
  readonly publicKey?: Bytes;
}

/**
 * What the owner holds: the key as it was before, and what an earlier run of the same import left. Once an epoch is active the
 * private key is not needed any more.
 *
 * @throws UsageError KEY_EXISTS where another key has the name.
 */
export function openImported(local: LocalParty, request: ImportRequest): HeldKey {
  const { name, privateKey } = request;
  const stored = openHeld(local, name);
  if (privateKey === undefined) return stored;
  const whole = wholeKey(local, request, privateKey);
  const isOther = stored.epochs.some(({ key }) =>
    !equal(("share" in key ? key.share.record : key.record).keyId, whole.share.record.keyId)
  );
  if (isOther) {
    stored[Symbol.dispose]();
    whole.share.share[Symbol.dispose]();
    throw new UsageError("KEY_EXISTS", `another key ${name} is stored here: choose another name`);
  }
  if (stored.epochs.some(({ state }) => state !== "pending")) {
    whole.share.share[Symbol.dispose]();
    return stored;
  }
  return new HeldKey([{ state: "active", key: whole }, ...stored.epochs]);
}

/** The key as its only member has it. A run that is repeated makes the same one. */
function wholeKey(local: LocalParty, request: ImportRequest, privateKey: PrivateKey): StoredKey {
  const { name, from } = request;
  const { curve, scalar } = privateKey;
  const { cluster, roster } = local.config;
  const publicKey = curve.mulBase(curve.scalar(bytesToBigint(scalar.expose())));
  const encoded = curve.encodePoint(publicKey);
  const policy = parsePolicy(from, { allowSingle: true });
  const members = membersNamed(roster, [from]);
  const sid = sessionId(hash(Tag.keyImport, utf8(cluster), utf8(name), utf8(from), encoded));
  const record = {
    keyId: makeKeyId({
      curve,
      sid,
      publicKey,
      policyHash: policyHashOf({ policy, members }),
      purpose: "plain",
    }),
    // Whoever has the private key whole can sign without asking anybody: approval would be a promise that nothing keeps.
    purpose: "plain" as const,
    epoch: 0,
    curve,
    policy,
    members,
    publicKey,
    publicShares: new Map([[local.party.index, publicKey]]),
    chainCode: request.chainCode ?? hash(Tag.keyImportChain, encoded),
  };
  return {
    keyName: name,
    share: { record, self: local.party.index, share: scalar.clone() },
    sid,
    transcript: hash(Tag.keyImport, sid),
    // Nobody certifies what one party alone says; the next epoch has the signatures of all.
    endorsement: EMPTY,
  };
}
