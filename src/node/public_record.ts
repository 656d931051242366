/**
 * The public record of a key as a file: what `key export-public --format record` writes is read again and checked, so that a
 * stranger knows from it alone which public share a party has in which epoch.
 *
 * @module
 */

import { z } from "zod";
import { keyId, partyId } from "../base/brands.ts";
import { hex } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { type CurveName, CURVES } from "../math/curve.ts";
import { parseIdentityText } from "../pki/identity.ts";
import { parsePolicy } from "../primitives/access.ts";
import { verifyCertificate } from "../protocols/dkg/certificate.ts";
import { KEY_NAME_BYTES_MAX } from "../protocols/dkg/stored_key.ts";
import { verifyFrostCertificate } from "../protocols/frost/certificate.ts";
import { type FrostKeyRecord, thresholdOf } from "../protocols/frost/key.ts";
import { FROST_SUITES, type FrostScheme } from "../protocols/frost/suite.ts";
import { checkMembers, type PublicKeyRecord } from "../protocols/key_share.ts";
import type { KeyInfo } from "./party.ts";

/**
 * Reads a public record and checks its certificate: every member endorsed this epoch, with these public shares.
 *
 * Whose identity keys are in it is for the reader to judge: anybody can make a key of their own with members of any name.
 *
 * @param what for the message: the name of the file.
 * @throws UsageError RECORD_INVALID
 */
export function parsePublicRecord(text: string, what: string): KeyInfo {
  const refuse = (why: string, cause?: unknown) =>
    new UsageError("RECORD_INVALID", `${what} holds no valid public record: ${why}`, { cause });
  const value = jsonOf(text);
  const result = isFrostRecord(value) ? FROST_RECORD.safeParse(value) : RECORD.safeParse(value);
  if (!result.success) {
    const { path, message } = result.error.issues[0] as z.core.$ZodIssue;
    throw refuse(`${path.join(".") || "the file"}: ${message}`);
  }
  const { key: name, certificate: certified } = result.data;
  const certificate = Uint8Array.fromHex(certified);
  try {
    if ("scheme" in result.data) {
      const record = frostRecordFrom(result.data);
      verifyFrostCertificate(record, certificate);
      return { name, record, certificate };
    }
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

const member = (publicShare: z.ZodString) =>
  z.strictObject({
    index: z.number().int().min(1).max(0xffff),
    name: z.string().max(64),
    identity: z.string().max(64),
    publicShare,
  });

const COMMON = {
  version: z.literal(1),
  key: z.string().min(1).refine((name) => new TextEncoder().encode(name).length <= KEY_NAME_BYTES_MAX, {
    error: `expected are at most ${KEY_NAME_BYTES_MAX} bytes`,
  }),
  keyId: digits(32),
  epoch: z.number().int().min(0).max(0xffffffff),
  purpose: z.enum(["approved-signing", "decision"]).optional(),
  policy: z.string().max(64 * 1024),
  certificate: z.string().max(256 * 1024).regex(/^(?:[0-9a-f]{2})*$/, {
    error: "expected are hexadecimal digits",
  }),
};

const RECORD = z.strictObject({
  ...COMMON,
  curve: z.enum(Object.keys(CURVES) as [CurveName, ...CurveName[]]),
  publicKey: digits(33),
  chainCode: digits(32),
  members: z.array(member(digits(33))).min(1).max(64),
});

const POINT = z.string().regex(/^(?:[0-9a-f]{64}|[0-9a-f]{66})$/, {
  error: "expected are the digits of a point",
});

const FROST_RECORD = z.strictObject({
  ...COMMON,
  curve: z.string().max(16),
  scheme: z.enum(Object.keys(FROST_SUITES) as [FrostScheme, ...FrostScheme[]]),
  publicKey: digits(32),
  point: POINT,
  members: z.array(member(POINT)).min(1).max(64),
});

function isFrostRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && "scheme" in value;
}

function frostRecordFrom(file: z.infer<typeof FROST_RECORD>): FrostKeyRecord {
  const suite = FROST_SUITES[file.scheme];
  const { members, policy } = membersFrom(file);
  thresholdOf(policy);
  const pointOf = (text: string) => suite.group.decodePoint(Uint8Array.fromHex(text));
  const publicKey = pointOf(file.point);
  // The certificate says nothing of what is written twice.
  if (file.curve !== suite.group.name || hex(suite.publicKeyBytes(publicKey)) !== file.publicKey) {
    throw new DecodeError("curve, public key and point are not of one key");
  }
  return {
    keyId: keyId(Uint8Array.fromHex(file.keyId)),
    purpose: file.purpose ?? "plain",
    epoch: file.epoch,
    suite,
    policy,
    members,
    publicKey,
    publicShares: new Map(
      file.members.map(({ index, publicShare }) => [partyId(index), pointOf(publicShare)]),
    ),
  };
}

function membersFrom(file: Pick<z.infer<typeof FROST_RECORD>, "members" | "policy">) {
  const policy = parsePolicy(file.policy);
  const members = file.members.map(({ index, name, identity }) => ({
    index: partyId(index),
    name,
    identity: parseIdentityText(identity, name),
  }));
  checkMembers(policy, members);
  return { policy, members };
}

function recordFrom(file: z.infer<typeof RECORD>): PublicKeyRecord {
  const curve = CURVES[file.curve];
  const { members, policy } = membersFrom(file);
  const pointOf = (text: string) => curve.decodePoint(Uint8Array.fromHex(text));
  return {
    keyId: keyId(Uint8Array.fromHex(file.keyId)),
    purpose: file.purpose ?? "plain",
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
