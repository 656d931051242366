/**
 * In a node that is asked for several things at once, sessions about one thing run one after the other. A session opens at once,
 * so that everybody knows of it; it goes on to READY when its turn has come.
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import type { QuorateError } from "../base/errors.ts";

/** A session, as far as turns are concerned. */
export interface TurnSession {
  /** Hash of what is proposed: the same at all participants, which makes it an order that they share. */
  readonly prop: Bytes;
  /** Asks {@linkcode Turn.admits} again. */
  wake(): void;
  /** Ends the session before its first round without a word to the peers, who come to the same conclusion. */
  retire(error: QuorateError): void;
}

/** The place of one request among others about the same thing. */
export interface Turn {
  /** A session of the request was started. */
  enter(session: TurnSession): void;
  /**
   * Whether a session may agree to run. Where not, it is woken later.
   *
   * @param isComplete whether all its participants have opened it.
   */
  admits(session: TurnSession, isComplete: boolean): boolean;
  /** Its first round begins. */
  runs(session: TurnSession): void;
}
