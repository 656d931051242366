/**
 * The numbers of messages that users of the transport send: the twelve types of seeds/network.md, in the order of its list.
 *
 * The protocols of this package do not use the rounds among them: their messages travel in signed envelopes of a session
 * (`FrameType.ENVELOPE`), which a user gets from `SessionHost`.
 *
 * @module
 */

import { FrameType } from "../session/links.ts";

/** Message types (u8). 49 to 63 are kept for this package, 64 to 255 are free for whoever uses the transport. */
export const MessageType = {
  DKG_ROUND_1: 32,
  DKG_ROUND_2: 33,
  DKG_ROUND_3: 34,
  SIGN_ROUND_1: 35,
  SIGN_ROUND_2: 36,
  SIGN_ROUND_3: 37,
  SIGN_ROUND_4: 38,
  PRESIGN_ROUND_1: 39,
  PRESIGN_ROUND_2: 40,
  HEARTBEAT: 41,
  ACK: 42,
  ERROR: 43,
} as const;

/** One of the twelve message types. */
export type MessageType = typeof MessageType[keyof typeof MessageType];

/** Messages of this package's own nodes to each other, beside those of sessions. */
export const NodeMessageType = {
  /** Gossip of members who vote. */
  VOTE: 44,
  /** What a party asks of a witness of audit logs, and what that answers. */
  WITNESS: 45,
  /** What signers of an approved payload tell each other outside sessions. */
  APPROVAL: 46,
  /** How a node sees its links, for those who look at another one. */
  VIEW: 47,
  /** A decision that made others the members of those who vote: for parties that were none, and were not told by gossip. */
  ROSTER: 48,
} as const;

/** The name of a frame or message type, for logs and metrics: `SIGN_ROUND_1`; `TYPE_64` where it has none. */
export function typeName(type: number): string {
  return NAMES.get(type) ?? `TYPE_${type}`;
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries({ ...FrameType, ...MessageType, ...NodeMessageType }).map(([name, type]) => [type, name]),
);
