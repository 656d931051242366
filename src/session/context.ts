/**
 * What every session of one party shares.
 *
 * @module
 */

import type { PartyId, SessionId } from "../base/brands.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import type { QuorateError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Evidence } from "./evidence.ts";
import type { Journal } from "./journal.ts";
import type { Clock, Links } from "./links.ts";
import type { Roster } from "./roster.ts";

/** The surroundings of a party's sessions. */
export interface SessionContext {
  readonly roster: Roster;
  readonly self: PartyId;
  /** Signs envelopes, OPEN and READY. */
  readonly identity: Ed25519Signer;
  readonly links: Links;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly journal: Journal;
  /** How long a round waits without progress. */
  readonly timeoutMs: number;
  /** What the operator asked for, in words: shown to a peer that wants something else. At most 256 bytes. */
  readonly command: string;
}

/** A transition of a session, for progress and logs. Never holds a secret. */
export interface SessionEvent {
  readonly kind: "opening" | "mending" | "round" | "done" | "failed" | "dropped";
  readonly protocol: string;
  /** The agreed id, once there is one. */
  readonly sid?: SessionId;
  /** 0 while the session opens. */
  readonly round: number;
  readonly rounds: number;
  readonly roundName: string;
  readonly participants: readonly PartyId[];
  readonly waitingFor: readonly PartyId[];
  /** Milliseconds until the wait ends, restarted by progress. */
  readonly deadlineMs: number;
  readonly error?: QuorateError;
  readonly evidence?: readonly Evidence[];
  /** For `dropped`: what was not accepted, and from whom. */
  readonly peer?: PartyId;
  readonly why?: string;
}
