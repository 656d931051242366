/**
 * Asking peers to cosign a log's newest checkpoint.
 *
 * @module
 */

import { type Bytes, equal } from "../base/bytes.ts";
import { decode, encode } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";
import {
  type Cosigned,
  type NamedKey,
  parseCheckpoint,
  verifyCheckpoint,
  verifyCosignature,
  withSignature,
} from "./checkpoint.ts";
import type { AuditLog } from "./log.ts";
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

/** What came of asking a peer. */
export type CosigningOutcome =
  & {
    /** The peer's name. */
    readonly peer: string;
  }
  & (
    | { readonly kind: "cosigned"; readonly timestamp: number }
    | {
      readonly kind: "refused";
      readonly reason: Refusal;
      /** The size that the peer has. */
      readonly size: number;
      /** True where the peer showed a checkpoint that this party signed and that is not of this log: it was cut or forked. */
      readonly isContradicted: boolean;
    }
    | { readonly kind: "failed"; readonly why: string }
  );

/**
 * Signs a checkpoint and asks all peers at once to cosign it. A refusal that contradicts the log is recorded in it.
 *
 * @param sizes the size that each peer has, by name, from one call to the next.
 * @throws UsageError AUDIT_UNWRITABLE
 */
export async function collectCosignatures(
  log: AuditLog,
  peers: readonly WitnessPeer[],
  ask: AskWitness,
  sizes: Map<string, number> = new Map(),
): Promise<CosigningOutcome[]> {
  const checkpoint = log.checkpoint();
  if (checkpoint === undefined) return [];
  const outcomes = await Promise.all(
    peers.map((peer) => new Cosigning(log, checkpoint, peer, ask, sizes).run()),
  );
  for (const outcome of outcomes) record(log, outcome);
  return outcomes;
}

/** The first answer may tell the size that the second request needs; a third would be for a peer that changes its mind. */
const REQUESTS_MAX = 2;

class Cosigning {
  readonly #log: AuditLog;
  readonly #checkpoint: string;
  readonly #size: number;
  readonly #peer: WitnessPeer;
  readonly #ask: AskWitness;
  readonly #sizes: Map<string, number>;

  constructor(
    log: AuditLog,
    checkpoint: string,
    peer: WitnessPeer,
    ask: AskWitness,
    sizes: Map<string, number>,
  ) {
    this.#log = log;
    this.#checkpoint = checkpoint;
    this.#size = parseCheckpoint(checkpoint).size;
    this.#peer = peer;
    this.#ask = ask;
    this.#sizes = sizes;
  }

  async run(): Promise<CosigningOutcome> {
    const peer = this.#peer.name;
    try {
      for (let request = 1;; request++) {
        const answer = await this.#request(Math.min(this.#sizes.get(peer) ?? 0, this.#size));
        if (answer.kind === "cosigned") return this.#accept(answer.line);
        this.#sizes.set(peer, answer.size);
        const canRetry = answer.reason === "size" && answer.size <= this.#size && request < REQUESTS_MAX;
        if (canRetry) continue;
        const { reason, size } = answer;
        return { peer, kind: "refused", reason, size, isContradicted: this.#isContradicted(answer) };
      }
    } catch (error) {
      // One peer that cannot be reached, or answers nonsense, is no reason to lose the others' cosignatures.
      return { peer, kind: "failed", why: error instanceof Error ? error.message : String(error) };
    }
  }

  async #request(from: number): Promise<CheckpointAnswer> {
    const proof = this.#log.consistencyProof(from, this.#size);
    const request = encode(CHECKPOINT_REQUEST, { from, proof, checkpoint: this.#checkpoint });
    return decode(CHECKPOINT_ANSWER, await this.#ask(this.#peer.name, request));
  }

  #accept(line: string): CosigningOutcome {
    const cosigned = this.#verified(line);
    const peer = this.#peer.name;
    if (cosigned === undefined) return { peer, kind: "failed", why: "the cosignature does not verify" };
    this.#log.addCosignature({ size: this.#size }, line);
    this.#sizes.set(peer, this.#size);
    return { peer, kind: "cosigned", timestamp: cosigned.timestamp };
  }

  #verified(line: string): Cosigned | undefined {
    return verifyCosignature(parseCheckpoint(withSignature(this.#checkpoint, line)), this.#peer.key);
  }

  /** What a peer says is no proof; what this party itself signed is. */
  #isContradicted(answer: CheckpointAnswer): boolean {
    invariant(answer.kind === "refused", "only a refusal contradicts");
    if (answer.checkpoint === undefined) return false;
    const own = this.#log.signed;
    invariant(own !== undefined, "the log has a checkpoint");
    const kept = parseCheckpoint(answer.checkpoint);
    if (!verifyCheckpoint(kept, this.#log.key)) return false;
    return kept.size > this.#log.size || !equal(kept.root, this.#log.rootAt(kept.size));
  }
}

function record(log: AuditLog, outcome: CosigningOutcome): void {
  if (outcome.kind !== "refused" || outcome.reason === "size" || outcome.reason === "unavailable") return;
  const { peer, reason, size } = outcome;
  log.append({
    type: "audit_checkpoint_refused",
    outcome: "refused",
    remote: peer,
    details: { reason, size, offered: log.signed?.size ?? 0 },
  });
}
