/**
 * The value that approves one signature: which key signs what, when at the latest, and what the approvers were shown (VOTING 8.1).
 *
 * @module
 */

import { type Bytes, compare, concat, u16, u32, u64, u8, utf8 } from "../base/bytes.ts";
import {
  bytes,
  type Codec,
  decode,
  DecodeError,
  encode,
  fixed,
  list,
  map,
  struct,
  text,
  U32,
  U64,
  U8,
} from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { hash } from "../primitives/hash.ts";
import { Tag } from "../primitives/tags.ts";
import { TX_ID_BYTES_MAX, txIdFault } from "./value.ts";

/** Numbers of the schemes. */
export const APPROVAL_SCHEMES = { "ecdsa-secp256k1": 1, "ecdsa-p256": 2, ed25519: 3, bip340: 4 } as const;
/** How signers come to what they sign. */
export const INPUT_MODES = { message: 1, digest: 2 } as const;

/** What is approved, or rejected. */
export interface Approval {
  /** A rejection repeats everything and signs nothing. */
  readonly kind: "approve" | "reject";
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the transaction, and of the request. */
  readonly txId: string;
  /** Which key signs. */
  readonly keyId: Bytes;
  /** Its public key Q, encoded. */
  readonly publicKey: Bytes;
  /** Its policy at the time of the proposal. */
  readonly policyHash: Bytes;
  /** Which signature. */
  readonly scheme: keyof typeof APPROVAL_SCHEMES;
  /** Child of the key; empty for the key itself. */
  readonly path: readonly number[];
  /** Whether `input` is the message, which every signer hashes, or a digest. */
  readonly mode: keyof typeof INPUT_MODES;
  /** The message, at most 48 KiB, or 32 bytes. */
  readonly input: Bytes;
  /** What approvers were shown, sorted by name, each name once. */
  readonly context: readonly { readonly name: string; readonly value: string }[];
  /** Name of the transaction that this one takes the place of; empty for none. */
  readonly supersedes: string;
  /** Milliseconds since 1970. */
  readonly notBefore: bigint;
  /** Milliseconds since 1970. */
  readonly notAfter: bigint;
  /** Signatures with the smaller s. */
  readonly lowS: boolean;
}

/** Longest message, in bytes. */
export const APPROVED_BYTES_MAX: number = 48 * 1024;
const VERSION = 1;
const KINDS = { approve: 1, reject: 2 } as const;
const PATH_MAX = 10;
const CONTEXT_MAX = 64;

/** The canonical bytes. @throws UsageError USAGE for what no signer would accept. */
export function encodeApproval(approval: Approval): Bytes {
  const fault = approvalFault(approval);
  if (fault !== undefined) throw new UsageError("USAGE", fault);
  return encode(approvalCodec, { version: VERSION, ...approval });
}

/** Reads an approval. @throws DecodeError */
export function decodeApproval(encoded: Uint8Array): Approval {
  const { version: _, ...approval } = decode(approvalCodec, encoded);
  const fault = approvalFault(approval);
  if (fault !== undefined) throw new DecodeError(fault);
  return approval;
}

/** `H("vote/core"; fields 1, 3-13, 15)`: what a request is, whenever it is allowed and whether it is approved. */
export function approvalCore(approval: Approval): Bytes {
  const [version, , ...rest] = fieldsOf(approval);
  const flags = rest.pop() as Bytes;
  return hash(Tag.voteCore, version as Bytes, ...rest.slice(0, -2), flags);
}

/** `H("vote/approval"; all fields)`. */
export function approvalHash(approval: Approval): Bytes {
  return hash(Tag.voteApproval, ...fieldsOf(approval));
}

/** Why nobody could sign it, in words. */
function approvalFault(approval: Approval): string | undefined {
  const { mode, input, context, notBefore, notAfter, path } = approval;
  const names = context.map(({ name }) => utf8(name));
  if (input.length > APPROVED_BYTES_MAX) {
    return `a message to be approved has at most ${APPROVED_BYTES_MAX} bytes`;
  }
  if (mode === "digest" && input.length !== 32) return "a digest has 32 bytes";
  if (!names.every((name, i) => i === 0 || compare(names[i - 1] as Bytes, name) < 0)) {
    return "what approvers are shown is sorted by name, each name once";
  }
  if (notAfter < notBefore) return "an approval ends after it begins";
  if (path.length > PATH_MAX) return `a path has at most ${PATH_MAX} steps`;
  return txIdFault(approval.txId) ??
    (approval.supersedes === "" ? undefined : txIdFault(approval.supersedes));
}

/** All fields in their order, each as one part of a hash; the two times are two parts. */
function fieldsOf(approval: Approval): Bytes[] {
  const { kind, cluster, txId, keyId, publicKey, policyHash, scheme, path, mode, input, context } = approval;
  return [
    u8(VERSION),
    u8(KINDS[kind]),
    utf8(cluster),
    utf8(txId),
    keyId,
    publicKey,
    policyHash,
    u8(APPROVAL_SCHEMES[scheme]),
    concat(u16(path.length), ...path.map(u32)),
    u8(INPUT_MODES[mode]),
    input,
    encode(contextCodec, context),
    utf8(approval.supersedes),
    u64(approval.notBefore),
    u64(approval.notAfter),
    u8(approval.lowS ? 1 : 0),
  ];
}

/** A number that stands for a word. */
function word<K extends string>(numbers: Readonly<Record<K, number>>, what: string): Codec<K> {
  return map(U8, (key: K): number => numbers[key], (number) => {
    const found = (Object.keys(numbers) as K[]).find((key) => numbers[key] === number);
    if (found === undefined) throw new DecodeError(`${what} of an unknown number`);
    return found;
  });
}

const contextCodec = list(struct({ name: text(256), value: text(4096) }), CONTEXT_MAX);

const approvalCodec: Codec<Approval & { readonly version: number }> = struct({
  version: map(U8, (version: number) => version, (version) => {
    if (version !== VERSION) throw new DecodeError("an approval of an unknown version");
    return version;
  }),
  kind: word(KINDS, "an approval"),
  cluster: text(64),
  txId: text(TX_ID_BYTES_MAX),
  keyId: fixed(32),
  publicKey: bytes(33),
  policyHash: fixed(32),
  scheme: word(APPROVAL_SCHEMES, "a scheme"),
  path: list(U32, PATH_MAX),
  mode: word(INPUT_MODES, "an input mode"),
  input: bytes(APPROVED_BYTES_MAX),
  context: contextCodec,
  supersedes: text(TX_ID_BYTES_MAX),
  notBefore: U64,
  notAfter: U64,
  lowS: map(U8, (low: boolean) => low ? 1 : 0, (flags) => {
    if (flags > 1) throw new DecodeError("an approval with unknown flags");
    return flags === 1;
  }),
});
