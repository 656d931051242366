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
  /** Who is in the cluster. */
  readonly roster: Roster;
  /** This party. */
  readonly self: PartyId;
  /** Signs envelopes, OPEN and READY. */
  readonly identity: Ed25519Signer;
  /** To the other parties. */
  readonly links: Links;
  /** Time. */
  readonly clock: Clock;
  /** Randomness. */
  readonly rng: Rng;
  /** What survives a crash. */
  readonly journal: Journal;
  /** How long a round waits without progress. */
  readonly timeoutMs: number;
  /** What the operator asked for, in words: shown to a peer that wants something else. At most 256 bytes. */
  readonly command: string;
}

/** A transition of a session, for progress and logs. Never holds a secret. */
export interface SessionEvent {
  /** Which transition. */
  readonly kind: "opening" | "mending" | "round" | "done" | "failed" | "dropped";
  /** Name of the protocol. */
  readonly protocol: string;
  /** The agreed id, once there is one. */
  readonly sid?: SessionId;
  /** 0 while the session opens. */
  readonly round: number;
  /** How many the protocol has. */
  readonly rounds: number;
  /** For people. */
  readonly roundName: string;
  /** Everybody in the session. */
  readonly participants: readonly PartyId[];
  /** Whose message is missing. */
  readonly waitingFor: readonly PartyId[];
  /** Milliseconds until the wait ends, restarted by progress. */
  readonly deadlineMs: number;
  /** For `failed`. */
  readonly error?: QuorateError;
  /** For `failed`: what proves it. */
  readonly evidence?: readonly Evidence[];
  /** For `dropped`: what was not accepted, and from whom. */
  readonly peer?: PartyId;
  /** For `dropped`: the reason. */
  readonly why?: string;
}
