/**
 * Child keys of a party's keys, in the forms that other programs read.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import { type DerivedKey, deriveKey, formatPath, formatXpub, parsePath } from "../protocols/ecdsa/derive.ts";
import type { PublicKeyInfo } from "./party.ts";
import { formatPublicKey } from "./public_key.ts";

/** Forms of a child's public key. */
export type ChildKeyFormat = "pem" | "hex" | "jwk" | "xpub" | "tpub";

/** The child of a key. @param path as `m/0/5`. @throws UsageError USAGE */
export function childKey({ record }: Pick<PublicKeyInfo, "record">, path: string): DerivedKey {
  return deriveKey(record, parsePath(path));
}

/** The text of a child's public key. @throws UsageError USAGE where its curve does not have the form. */
export function formatChildKey(info: PublicKeyInfo, child: DerivedKey, format: ChildKeyFormat): string {
  if (format === "xpub") return formatXpub(child) + "\n";
  if (format === "tpub") return formatXpub(child, "test") + "\n";
  return formatPublicKey({ ...info, record: { ...info.record, publicKey: child.publicKey } }, format);
}

/** A child as JSON: what everybody may know of it. */
export function childRecordOf({ name, record }: PublicKeyInfo, child: DerivedKey): Record<string, unknown> {
  const { curve } = record;
  return {
    key: name,
    keyId: hex(record.keyId),
    curve: curve.name,
    path: formatPath(child.path),
    publicKey: hex(curve.encodePoint(child.publicKey)),
    chainCode: hex(child.chainCode),
    ...(curve.name === "secp256k1" ? { xpub: formatXpub(child) } : {}),
  };
}
