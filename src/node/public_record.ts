/**
 * The public record of a key as a file: what `key export-public --format record` writes is read again and checked, so that a
 * stranger knows from it alone which public share a party has in which epoch.
 *
 * @module
 */

import { z } from "zod";
import { keyId, partyId } from "../base/brands.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { type CurveName, CURVES } from "../math/curve.ts";
import { parseIdentityText } from "../pki/identity.ts";
import { parsePolicy } from "../primitives/access.ts";
import { verifyCertificate } from "../protocols/dkg/certificate.ts";
import { KEY_NAME_BYTES_MAX } from "../protocols/dkg/stored_key.ts";
import { checkMembers, type PublicKeyRecord } from "../protocols/key_share.ts";
import type { PublicKeyInfo } from "./party.ts";

/**
 * Reads a public record and checks its certificate: every member endorsed this epoch, with these public shares.
 *
 * Whose identity keys are in it is for the reader to judge: anybody can make a key of their own with members of any name.
 *
 * @param what for the message: the name of the file.
 * @throws UsageError RECORD_INVALID
 */
export function parsePublicRecord(text: string, what: string): PublicKeyInfo {
  const refuse = (why: string, cause?: unknown) =>
    new UsageError("RECORD_INVALID", `${what} holds no valid public record: ${why}`, { cause });
  const result = RECORD.safeParse(jsonOf(text));
  if (!result.success) {
    const { path, message } = result.error.issues[0] as z.core.$ZodIssue;
    throw refuse(`${path.join(".") || "the file"}: ${message}`);
  }
  const { key: name, certificate: certified } = result.data;
  const certificate = Uint8Array.fromHex(certified);
  try {
    const record = recordFrom(result.data);
    verifyCertificate(record, certificate);
    return { name, record, certificate };
  } catch (error) {
    if (error instanceof UsageError || error instanceof DecodeError) throw refuse(error.message, error);
    throw error;
  }
}

const digits = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`), {
    error: `expected are ${2 * bytes} hexadecimal digits`,
  });

const MEMBER = z.strictObject({
  index: z.number().int().min(1).max(0xffff),
  name: z.string().max(64),
  identity: z.string().max(64),
  publicShare: digits(33),
});

const RECORD = z.strictObject({
  version: z.literal(1),
  key: z.string().min(1).refine((name) => new TextEncoder().encode(name).length <= KEY_NAME_BYTES_MAX, {
    error: `expected are at most ${KEY_NAME_BYTES_MAX} bytes`,
  }),
  keyId: digits(32),
  epoch: z.number().int().min(0).max(0xffffffff),
  curve: z.enum(Object.keys(CURVES) as [CurveName, ...CurveName[]]),
  policy: z.string().max(64 * 1024),
  publicKey: digits(33),
  chainCode: digits(32),
  members: z.array(MEMBER).min(1).max(64),
  certificate: z.string().max(256 * 1024).regex(/^(?:[0-9a-f]{2})*$/, {
    error: "expected are hexadecimal digits",
  }),
});

function recordFrom(file: z.infer<typeof RECORD>): PublicKeyRecord {
  const curve = CURVES[file.curve];
  const policy = parsePolicy(file.policy);
  const members = file.members.map(({ index, name, identity }) => ({
    index: partyId(index),
    name,
    identity: parseIdentityText(identity, name),
  }));
  checkMembers(policy, members);
  const pointOf = (text: string) => curve.decodePoint(Uint8Array.fromHex(text));
  return {
    keyId: keyId(Uint8Array.fromHex(file.keyId)),
    epoch: file.epoch,
    curve,
    policy,
    members,
    publicKey: pointOf(file.publicKey),
    publicShares: new Map(
      file.members.map(({ index, publicShare }) => [partyId(index), pointOf(publicShare)]),
    ),
    chainCode: Uint8Array.fromHex(file.chainCode),
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema says that nothing was found.
    return undefined;
  }
}
