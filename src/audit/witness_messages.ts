/**
 * What a log and its witnesses say to each other. The meaning is that of C2SP tlog-witness (`add-checkpoint`); the form is the
 * project's own, because it travels over links and not over HTTP.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import {
  BOOL,
  bytes,
  type Codec,
  DecodeError,
  fixed,
  list,
  map,
  optional,
  struct,
  text,
  U32,
  U64,
  U8,
  type ValueOf,
} from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import { HASH_BYTES, PROOF_HASHES_MAX } from "./merkle.ts";

/** A log asks for a cosignature. */
export const CHECKPOINT_REQUEST: Codec<CheckpointRequest> = struct({
  from: sizeCodec(),
  proof: list(fixed(HASH_BYTES), PROOF_HASHES_MAX),
  checkpoint: text(4096),
});

/** What a log asks with. */
export interface CheckpointRequest {
  /** The size that the witness has, as far as the log knows. */
  readonly from: number;
  /** That the log only grew since. */
  readonly proof: readonly Uint8Array<ArrayBuffer>[];
  /** The signed note. */
  readonly checkpoint: string;
}

/** Why a witness does not cosign. */
export const REFUSALS = [
  /** The request does not decode. */
  "malformed",
  /** The checkpoint is of another log than that of the party that asks. */
  "foreign",
  /** The log's key did not sign the checkpoint. */
  "unsigned",
  /** The witness has another size than the proof begins with: ask again with a proof from it. */
  "size",
  /** The witness has seen a longer log. */
  "rollback",
  /** The witness has seen another log of the same size. */
  "fork",
  /** The proof does not show that the log only grew. */
  "inconsistent",
  /** The witness cannot keep what it would cosign. */
  "unavailable",
] as const;

/** One of the reasons. */
export type Refusal = typeof REFUSALS[number];

/** What a witness answers. */
export type CheckpointAnswer = { readonly kind: "cosigned"; readonly line: string } | {
  readonly kind: "refused";
  /** Why. */
  readonly reason: Refusal;
  /** The size that the witness has. */
  readonly size: number;
  /** The checkpoint that it has, which the log's own key signed. */
  readonly checkpoint: string | undefined;
};

/** A witness's answer. */
export const CHECKPOINT_ANSWER: Codec<CheckpointAnswer> = map(
  struct({
    cosignature: optional(text(1024)),
    refusal: optional(
      struct({ reason: refusalCodec(), size: sizeCodec(), checkpoint: optional(text(4096)) }),
    ),
  }),
  (answer: CheckpointAnswer) =>
    answer.kind === "cosigned"
      ? { cosignature: answer.line, refusal: undefined }
      : { cosignature: undefined, refusal: answer },
  ({ cosignature, refusal }): CheckpointAnswer => {
    if (cosignature !== undefined && refusal === undefined) return { kind: "cosigned", line: cosignature };
    if (cosignature === undefined && refusal !== undefined) return { kind: "refused", ...refusal };
    throw new DecodeError("a witness cosigns or refuses");
  },
);

/** A request or an answer on its way over a link. */
export interface WitnessMessage {
  /** Which request; its answer has the same. Of the party that asks. */
  readonly id: number;
  /** Whether it is the answer. */
  readonly isAnswer: boolean;
  /** {@linkcode CHECKPOINT_REQUEST} or {@linkcode CHECKPOINT_ANSWER}. */
  readonly body: Bytes;
}

/** A request or an answer on its way over a link. */
export const WITNESS_MESSAGE: Codec<WitnessMessage> = struct({
  id: U32,
  isAnswer: BOOL,
  body: bytes(Math.max(CHECKPOINT_REQUEST.sizeMax, CHECKPOINT_ANSWER.sizeMax)),
});

function sizeCodec(): Codec<number> {
  return map(U64, (size: number) => BigInt(size), (size: ValueOf<typeof U64>) => {
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new DecodeError("a size is below 2^53");
    return Number(size);
  });
}

function refusalCodec(): Codec<Refusal> {
  return map(U8, (refusal: Refusal) => {
    invariant(REFUSALS.includes(refusal), "the refusal is one of the reasons");
    return REFUSALS.indexOf(refusal);
  }, (byte: number) => {
    const refusal = REFUSALS[byte];
    if (refusal === undefined) throw new DecodeError("the reason of a refusal is unknown");
    return refusal;
  });
}
