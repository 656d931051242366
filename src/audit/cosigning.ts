/**
 * Asking peers to cosign a log's newest checkpoint.
 *
 * @module
 */

import { type Bytes, equal } from "../base/bytes.ts";
import { decode, encode } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import {
  type Checkpoint,
  type Cosigned,
  type NamedKey,
  parseCheckpoint,
  verifyCheckpoint,
  verifyCosignatureLine,
  withoutOthers,
} from "./checkpoint.ts";
import type { AuditLog } from "./log.ts";
import { contradictionPath, writeCheckpoint } from "./stored_checkpoints.ts";
import {
  CHECKPOINT_ANSWER,
  CHECKPOINT_REQUEST,
  type CheckpointAnswer,
  type Refusal,
} from "./witness_messages.ts";

/** Carries a request to a peer's {@linkcode Witness.handle} and its answer back. */
export type AskWitness = (peer: string, request: Bytes) => Promise<Bytes>;

/** A peer that may cosign. */
export interface WitnessPeer {
  /** Its name. */
  readonly name: string;
  /** Its key. */
  readonly key: NamedKey;
}

/** A checkpoint that the log's party signed once, and that is not of the log. */
export interface Contradiction {
  /** The signed note. */
  readonly checkpoint: string;
  /** How many records it has. */
  readonly size: number;
}

/** What is known of witnesses from one call to the next, by name. */
export type WitnessMemory = Map<string, {
  /** The size that it has. */
  readonly size: number;
  /** The refusal of it that was recorded last. */
  readonly recorded?: string;
}>;

/** What came of asking a peer. */
export type CosigningOutcome =
  & {
    /** The peer's name. */
    readonly peer: string;
  }
  & (
    | {
      readonly kind: "cosigned";
      /** How many records it cosigned. */
      readonly size: number;
      /** When, in seconds, by the peer's clock. */
      readonly timestamp: number;
    }
    | {
      readonly kind: "refused";
      readonly reason: Refusal;
      /** The size that the peer has. */
      readonly size: number;
      /**
       * A checkpoint that the peer showed, that this party signed, and that is not of this log: the log was cut or forked. It is
       * kept beside the log, where {@linkcode verifyLog} finds it. Undefined where the peer showed no such thing.
       */
      readonly contradiction: Contradiction | undefined;
    }
    | { readonly kind: "failed"; readonly why: string }
  );

/**
 * Signs a checkpoint and asks all peers at once to cosign it. What they cosigned is kept when all have answered. A refusal is
 * recorded in the log, once until the peer says something else.
 *
 * @param memory from the last call.
 * @throws UsageError AUDIT_UNWRITABLE
 */
export async function collectCosignatures(
  log: AuditLog,
  peers: readonly WitnessPeer[],
  ask: AskWitness,
  memory: WitnessMemory = new Map(),
): Promise<CosigningOutcome[]> {
  const signed = log.checkpoint();
  if (signed === undefined) return [];
  // What other witnesses said is none of a witness's business, and would make the request longer with each of them.
  const checkpoint = withoutOthers(signed, log.key);
  const cosignings = peers.map((peer) => new Cosigning(log, checkpoint, peer, ask, memory));
  const outcomes = await Promise.all(cosignings.map((cosigning) => cosigning.run()));
  const lines = cosignings.flatMap(({ line }) => line === undefined ? [] : [line]);
  log.addCosignatures(parseCheckpoint(checkpoint), lines);
  for (const outcome of outcomes) record(log, outcome, memory);
  return outcomes;
}

/** The first answer may tell the size that the second request needs; a third would be for a peer that changes its mind. */
const REQUESTS_MAX = 2;

class Cosigning {
  readonly #log: AuditLog;
  readonly #checkpoint: string;
  readonly #signed: Checkpoint;
  readonly #peer: WitnessPeer;
  readonly #ask: AskWitness;
  readonly #memory: WitnessMemory;
  /** What the peer cosigned with. */
  line: string | undefined;

  constructor(
    log: AuditLog,
    checkpoint: string,
    peer: WitnessPeer,
    ask: AskWitness,
    memory: WitnessMemory,
  ) {
    this.#log = log;
    this.#checkpoint = checkpoint;
    this.#signed = parseCheckpoint(checkpoint);
    this.#peer = peer;
    this.#ask = ask;
    this.#memory = memory;
  }

  async run(): Promise<CosigningOutcome> {
    const peer = this.#peer.name;
    try {
      for (let request = 1;; request++) {
        const answer = await this.#request(Math.min(this.#memory.get(peer)?.size ?? 0, this.#signed.size));
        if (answer.kind === "cosigned") return this.#accept(answer.line);
        this.#memory.set(peer, { ...this.#memory.get(peer), size: answer.size });
        const canRetry = answer.reason === "size" && answer.size <= this.#signed.size &&
          request < REQUESTS_MAX;
        if (canRetry) continue;
        const { reason, size } = answer;
        return { peer, kind: "refused", reason, size, contradiction: this.#contradictionIn(answer) };
      }
    } catch (error) {
      // One peer that cannot be reached, or answers nonsense, is no reason to lose the others' cosignatures.
      return { peer, kind: "failed", why: error instanceof Error ? error.message : String(error) };
    }
  }

  async #request(from: number): Promise<CheckpointAnswer> {
    const proof = this.#log.consistencyProof(from, this.#signed.size);
    const request = encode(CHECKPOINT_REQUEST, { from, proof, checkpoint: this.#checkpoint });
    return decode(CHECKPOINT_ANSWER, await this.#ask(this.#peer.name, request));
  }

  #accept(line: string): CosigningOutcome {
    const cosigned: Cosigned | undefined = verifyCosignatureLine(this.#signed, line, this.#peer.key);
    const peer = this.#peer.name;
    if (cosigned === undefined) return { peer, kind: "failed", why: "the cosignature does not verify" };
    this.line = line;
    this.#memory.set(peer, { size: this.#signed.size });
    return { peer, kind: "cosigned", size: this.#signed.size, timestamp: cosigned.timestamp };
  }

  /** What a peer says is no proof; what this party itself signed is. */
  #contradictionIn(answer: CheckpointAnswer): Contradiction | undefined {
    invariant(answer.kind === "refused", "only a refusal contradicts");
    if (answer.checkpoint === undefined) return undefined;
    const kept = parseCheckpoint(answer.checkpoint);
    if (!verifyCheckpoint(kept, this.#log.key)) return undefined;
    if (kept.size <= this.#log.size && equal(kept.root, this.#log.rootAt(kept.size))) return undefined;
    return { checkpoint: answer.checkpoint, size: kept.size };
  }
}

function record(log: AuditLog, outcome: CosigningOutcome, memory: WitnessMemory): void {
  if (outcome.kind !== "refused" || outcome.reason === "size" || outcome.reason === "unavailable") return;
  const { peer, reason, size, contradiction } = outcome;
  const recorded = `${reason} ${size} ${contradiction?.size}`;
  if (memory.get(peer)?.recorded === recorded) return;
  const contradicted = contradiction !== undefined;
  if (contradicted) writeCheckpoint(contradictionPath(log.directory, peer), contradiction.checkpoint);
  memory.set(peer, { size, recorded });
  log.append({
    type: "audit_checkpoint_refused",
    outcome: "refused",
    remote: peer,
    details: { reason, size, offered: log.signed?.size ?? 0, contradicted },
  });
}
