/** What of the audit log reads bytes that a peer, a disk or an operator may have damaged. */

import { cosign, parseCheckpoint, signCheckpoint, withSignature } from "../../src/audit/checkpoint.ts";
import { canonicalJson, type Json } from "../../src/audit/canonical.ts";
import { decodeRecord, encodeRecord } from "../../src/audit/events.ts";
import { formatNote } from "../../src/audit/note.ts";
import { formatProof, parseProof, proofToJson } from "../../src/audit/proof.ts";
import { CHECKPOINT_ANSWER, CHECKPOINT_REQUEST, WITNESS_MESSAGE } from "../../src/audit/witness_messages.ts";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { type Codec, decode, DecodeError, encode } from "../../src/base/codec.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import type { Rng } from "../../src/base/rng.ts";
import type { Target } from "./targets.ts";

/** The targets. */
export function auditTargets(rng: Rng): Target[] {
  const signer = ed25519Signer(rng.bytes(32));
  const note = signCheckpoint({ origin: "quorate/demo/alice", size: 9, root: rng.bytes(32) }, signer);
  const line = cosign(parseCheckpoint(note), { name: "quorate/demo/bob", signer, seconds: 1_700_000_000 });
  const checkpoint = withSignature(note, line);
  const record = utf8(
    encodeRecord({ type: "random_agreed", outcome: "ok", details: { bits: 256 } }, {
      index: 3,
      time: 1_700_000_000_000,
      party: "alice",
    }),
  );
  const proof = { index: 3, line: record, hashes: [rng.bytes(32), rng.bytes(32)], checkpoint };
  return [
    {
      name: "audit record",
      inputs: [record],
      words: ['"', ":", "1e9", "\\u0041", "null", "{}", "[]", '"__proto__":1,', "\n"],
      read: (input) => utf8(canonicalJson(decodeRecord(input) as unknown as Json)),
      refuses: DOES_NOT_DECODE,
    },
    {
      name: "audit checkpoint",
      inputs: [utf8(checkpoint)],
      words: ["\n", "\n\n", "\u2014 ", "0", "=", "+", "\u00a0"],
      read: (input) => utf8(formatNote(parseCheckpoint(textOf(input)).note)),
      refuses: DOES_NOT_DECODE,
    },
    {
      name: "audit proof",
      inputs: [utf8(formatProof(proof)), utf8(JSON.stringify(proofToJson(proof)))],
      words: ["\n", "index 0", "extra ", "{", "}", "null"],
      read(input) {
        const text = textOf(input);
        const parsed = parseProof(text, "x");
        return text.startsWith("{") ? undefined : utf8(formatProof(parsed));
      },
      refuses: (error) =>
        DOES_NOT_DECODE(error) || (error instanceof UsageError && error.code === "AUDIT_PROOF_INVALID"),
    },
    message("witness request", CHECKPOINT_REQUEST, [{ from: 3, proof: [rng.bytes(32)], checkpoint: note }]),
    message("witness message", WITNESS_MESSAGE, [{ id: 7, isAnswer: true, body: rng.bytes(40) }]),
    message("witness answer", CHECKPOINT_ANSWER, [
      { kind: "cosigned", line },
      { kind: "refused", reason: "fork", size: 9, checkpoint },
    ]),
  ];
}

const DOES_NOT_DECODE = (error: unknown) => error instanceof DecodeError;

function message<T>(name: string, codec: Codec<T>, values: readonly T[]): Target {
  return {
    name,
    inputs: values.map((value) => encode(codec, value)),
    read: (input) => encode(codec, decode(codec, input)),
    refuses: DOES_NOT_DECODE,
  };
}

function textOf(input: Uint8Array): string {
  const text = fromUtf8(input);
  if (text === undefined) throw new DecodeError("not text");
  return text;
}
