/**
 * How a session ends, and what it tells its host meanwhile.
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import type { QuorateError } from "../base/errors.ts";
import type { SessionEvent } from "./context.ts";
import type { Evidence } from "./evidence.ts";
import type { SessionFrame } from "./links.ts";

/** How a session ended. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: QuorateError; readonly evidence: readonly Evidence[] };

/** Who is known to have a result, when a session is over. */
export interface Settled {
  /** Who said so. */
  readonly doneBy: readonly PartyId[];
  /** True iff everybody is. */
  readonly all: boolean;
}

/** What a session tells its host. */
export interface SessionHooks {
  event(event: SessionEvent): void;
  /** Frames with this id belong to this session now; an earlier id of it is void. */
  candidate(sid: SessionId): void;
  outcome(outcome: Outcome): void;
  /** A farewell that a process of a peer could not be given, because its link is down. */
  unsaid(peer: PartyId, bootId: Bytes, frame: SessionFrame): void;
  /** It opens or runs no more: another one of the same proposal may begin. */
  leave(): void;
  /** What a peer that is missing in the opening wants instead, in words. */
  wishOf(peer: PartyId): string | undefined;
  /** The session needs nothing any more. */
  over(settled: Settled): void;
}
