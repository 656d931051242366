/**
 * What a session needs from the transport, and the frame types of WIRE.md 1.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";

/** Frame types (u8). 1 to 11 are ours; 32 and above are for users of the transport API. */
export const FrameType = {
  HELLO: 1,
  HELLO_ACK: 2,
  PING: 3,
  PONG: 4,
  OPEN: 5,
  READY: 6,
  SESSION_REFUSED: 7,
  ENVELOPE: 8,
  DONE: 9,
  ABORT: 10,
  BATCH: 11,
} as const;

/** One of the frame types. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** What travels over a link that is up: sealed, in order, from an authenticated peer. */
export interface SessionFrame {
  /** One of {@linkcode FrameType}, or 32 to 255 for a message of a user of the transport. */
  readonly type: number;
  /** First 16 bytes of the session id, or 16 zero bytes outside sessions. */
  readonly session: Bytes;
  /** Its content. */
  readonly payload: Bytes;
}

/** What the transport tells its user. */
export type LinkEvent =
  | {
    readonly kind: "up";
    readonly peer: PartyId;
    /** 16 bytes, random per process of the peer. */
    readonly bootId: Bytes;
  }
  | { readonly kind: "down"; readonly peer: PartyId; readonly reason: string }
  | { readonly kind: "frame"; readonly peer: PartyId; readonly frame: SessionFrame };

/** Authenticated links to the other parties, at most one per peer. */
export interface Links {
  /** This party. */
  readonly self: PartyId;
  /** Sends on the link that is up; false, and nothing is kept, where there is none. Order is kept per peer. */
  send(peer: PartyId, frame: SessionFrame): boolean;
  /** The peer's process id while its link is up. */
  bootId(peer: PartyId): Bytes | undefined;
  /** Ends a link because of what the peer sent; the transport may connect again. */
  closeLink(peer: PartyId, code: string, why: string): void;
  /** Registers the one receiver of events. Events are delivered one at a time and never from inside `send`. */
  listen(receiver: (event: LinkEvent) => void): void;
}

/** Time, so that simulations can have their own. Milliseconds on a clock that never goes back. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls back once after `delayMs`; the returned function cancels. */
  timer(delayMs: number, callback: () => void): () => void;
}
