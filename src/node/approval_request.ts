/**
 * What an operator asks the members to approve, as the value that they vote on (VOTING 8.1).
 *
 * @module
 */

import { z } from "zod";
import { type Bytes, compare, utf8 } from "../base/bytes.ts";
import { UsageError } from "../base/errors.ts";
import { parsePath } from "../protocols/ecdsa/derive.ts";
import { policyHashOf } from "../protocols/key_share.ts";
import { type Approval, APPROVED_BYTES_MAX } from "../voting/approval.ts";
import type { LocalParty } from "./local_party.ts";
import { type KeyInfo, keyInfo } from "./party.ts";

/** The fields of an approval that a key determines. */
export type ApprovedKey = Pick<Approval, "keyId" | "publicKey" | "policyHash" | "scheme">;

const BYTES = z.instanceof(Uint8Array) as z.ZodType<Bytes>;
const TIME = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** What is asked. */
export const PROPOSAL = z.strictObject({
  txId: z.string().min(1).max(128),
  /** Name of the key that is to sign. */
  key: z.string().min(1).max(64),
  /** Either the message ... */
  message: BYTES.optional(),
  /** ... or its digest, 32 bytes. */
  digest: BYTES.optional(),
  /** Child of the key, as `m/0/5`. */
  path: z.string().max(128).optional(),
  /** What approvers are shown. */
  context: z.array(z.strictObject({ name: z.string().min(1).max(256), value: z.string().max(4096) })).max(64)
    .default([]),
  /** The transaction whose place this one takes. */
  supersedes: z.string().max(128).default(""),
  /** Milliseconds since 1970. */
  notBefore: TIME,
  /** Milliseconds since 1970. */
  notAfter: TIME,
});

/** See {@linkcode PROPOSAL}. */
export type ProposalRequest = z.infer<typeof PROPOSAL>;

/**
 * The approval that a request asks for: a function of the request and the key alone, so that the same request at two nodes is one
 * ballot.
 *
 * @throws UsageError USAGE, KEY_UNKNOWN or KEY_PENDING; KEY_PURPOSE for a key that does not sign on approval
 */
export function approvalFor(local: LocalParty, request: ProposalRequest): Approval {
  const { txId, key, message, digest, path, supersedes, notBefore, notAfter } = request;
  const info = keyInfo(local, key);
  if (info.record.purpose !== "approved-signing") {
    throw new UsageError(
      "KEY_PURPOSE",
      `the key ${key} does not sign on approval: a key is bound to it when it is made, with key generate --purpose approved-signing`,
    );
  }
  if ((message === undefined) === (digest === undefined)) {
    throw new UsageError("USAGE", "a proposal has either a message or a digest");
  }
  const input = message ?? digest as Bytes;
  if (input.length > APPROVED_BYTES_MAX) {
    throw new UsageError("USAGE", `a message to be approved has at most ${APPROVED_BYTES_MAX} bytes`);
  }
  const names = request.context.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError("USAGE", `the context names ${twice} twice`);
  return {
    kind: "approve",
    cluster: local.config.cluster,
    txId,
    ...approvedKey(info),
    path: path === undefined ? [] : parsePath(path),
    mode: message === undefined ? "digest" : "message",
    input,
    context: request.context.toSorted((a, b) => compare(utf8(a.name), utf8(b.name))),
    supersedes,
    notBefore: BigInt(notBefore),
    notAfter: BigInt(notAfter),
    lowS: "curve" in info.record,
  };
}

/** What of an approval the key's record says. */
export function approvedKey({ record }: KeyInfo): ApprovedKey {
  const { keyId } = record;
  const policyHash = policyHashOf(record);
  if ("curve" in record) {
    const { curve, publicKey } = record;
    const scheme = curve.name === "p256" ? "ecdsa-p256" : "ecdsa-secp256k1";
    return { keyId, publicKey: curve.encodePoint(publicKey), policyHash, scheme };
  }
  const { suite, publicKey } = record;
  return { keyId, publicKey: suite.group.encodePoint(publicKey), policyHash, scheme: suite.scheme };
}
