/**
 * All limits of the transport, in one place. Each is crossed by a test.
 *
 * @module
 */

import { FrameType } from "../session/links.ts";
import { MessageType, NodeMessageType } from "./message_types.ts";
import type { ConnectionRates, RateLimits } from "./rate.ts";

/** Sizes, counts and times. Every one can be changed per mesh. */
export interface TransportLimits {
  /** TCP connection of a dial. */
  readonly tcpDeadlineMs: number;
  /** From the TCP connection to the end of the TLS handshake. */
  readonly tlsDeadlineMs: number;
  /** From there to a verified HELLO_ACK. */
  readonly helloDeadlineMs: number;
  /** From the TCP connection until the link is up (WIRE.md 2). */
  readonly upDeadlineMs: number;
  /** How long an old link may take to answer before another process of the party replaces it. */
  readonly duplicateProbeMs: number;
  /** A link on which nothing came for this long is asked with a PING. */
  readonly pingIntervalMs: number;
  /** A link on which nothing came for this long is closed. */
  readonly silenceMs: number;
  /** A link is made anew after this time: sealing has forward secrecy, only new key agreement heals. */
  readonly linkAgeMs: number;
  /** First wait before a dial is repeated, from this ... */
  readonly retryFirstMinMs: number;
  /** ... to this. */
  readonly retryFirstMaxMs: number;
  /** The wait doubles up to this, each time with jitter. */
  readonly retryMaxMs: number;
  /** The wait begins anew only after a link was up for this long. */
  readonly retryResetMs: number;
  /** Dials in a row that fail before the party is given up until `Mesh.connect`; without end by default. */
  readonly dialAttemptsMax: number;
  /** Connections that have not authenticated, per remote address ... */
  readonly strangersPerAddress: number;
  /** ... and in total. */
  readonly strangersTotal: number;
  /** How often addresses may connect: those that go on are refused before TLS. */
  readonly connectionRates: ConnectionRates;
  /** What one peer may send before it has to wait. */
  readonly rates: RateLimits;
  /** Bytes waiting to be sent to one peer above which `Transport.send` waits. */
  readonly sendBufferBytes: number;
  /** How long `Transport.send` waits for room, and how many calls of it may wait for one peer. */
  readonly sendTimeoutMs: number;
  /** Calls of `Transport.send` that may wait for one peer. */
  readonly sendersMax: number;
  /** Bytes waiting to be sent to one peer; more ends the link. */
  readonly sendBacklogBytes: number;
  /** A peer for whom something waits and who takes nothing for this long is dropped. */
  readonly slowDeadlineMs: number;
  /** Frames waiting for the receiver of one link; more pauses reading. */
  readonly receiveBacklogFrames: number;
  /** Bytes waiting for the receiver of one link; more pauses reading. */
  readonly receiveBacklogBytes: number;
  /** Largest payload by frame type, where it differs from {@linkcode payloadCap}; for types from {@linkcode USER_TYPE_MIN} on. */
  readonly payloadCaps: Readonly<Record<number, number>>;
  /** Sealed frames, bytes and time per key epoch. */
  readonly rotation: RotationLimits;
  /** A peer whose clock differs by more is logged, ... */
  readonly clockSkewWarnMs: number;
  /** ... and by more than this refused; without end by default, because nothing here rests on clocks being equal. */
  readonly clockSkewMaxMs: number;
  /** What is still to be sent when a link is closed in good order may take this long. */
  readonly lingerMs: number;
  /** One probe of the start-up self-test. */
  readonly selfTestDeadlineMs: number;
}

/** When a direction of a sealed channel moves to its next keys. */
export interface RotationLimits {
  /** Frames sealed under one key. */
  readonly frames: number;
  /** Bytes sealed under one key. */
  readonly bytes: number;
  /** Age of a key. */
  readonly ms: number;
}

/** What a mesh uses where its options name nothing else. */
export const DEFAULT_LIMITS: TransportLimits = {
  tcpDeadlineMs: 3_000,
  tlsDeadlineMs: 1_500,
  helloDeadlineMs: 1_500,
  upDeadlineMs: 3_000,
  duplicateProbeMs: 2_000,
  pingIntervalMs: 5_000,
  silenceMs: 15_000,
  linkAgeMs: 24 * 3_600_000,
  retryFirstMinMs: 20,
  retryFirstMaxMs: 50,
  retryMaxMs: 2_000,
  retryResetMs: 30_000,
  dialAttemptsMax: Number.POSITIVE_INFINITY,
  strangersPerAddress: 16,
  strangersTotal: 64,
  connectionRates: {
    perAddress: { perSecond: 100, burst: 200 },
    total: { perSecond: 200, burst: 400 },
  },
  rates: {
    frames: { perSecond: 5_000, burst: 5_000, floor: 100, ceiling: 10_000 },
    bytes: { perSecond: 64 << 20, burst: 64 << 20 },
    types: {
      // Each of these costs a signature check or more.
      [FrameType.OPEN]: { perSecond: 500, burst: 1_000 },
      [FrameType.READY]: { perSecond: 1_000, burst: 2_000 },
      [FrameType.SESSION_REFUSED]: { perSecond: 500, burst: 1_000 },
      [FrameType.ABORT]: { perSecond: 500, burst: 1_000 },
      // Answers that nobody asked for, and requests above the witness's own limit, are dropped: this bounds their number.
      [NodeMessageType.WITNESS]: { perSecond: 50, burst: 100 },
      // Each may hold many signatures to check; members who have much to say put it into few.
      [NodeMessageType.VOTE]: { perSecond: 1_000, burst: 2_000 },
      [NodeMessageType.APPROVAL]: { perSecond: 200, burst: 400 },
      [NodeMessageType.VIEW]: { perSecond: 5, burst: 20 },
      [NodeMessageType.ROSTER]: { perSecond: 20, burst: 200 },
    },
  },
  sendBufferBytes: 4 << 20,
  sendTimeoutMs: 30_000,
  sendersMax: 1_024,
  sendBacklogBytes: 64 << 20,
  slowDeadlineMs: 30_000,
  receiveBacklogFrames: 1_024,
  receiveBacklogBytes: 8 << 20,
  payloadCaps: {},
  rotation: { frames: 2 ** 20, bytes: 2 ** 36, ms: 3_600_000 },
  clockSkewWarnMs: 200,
  clockSkewMaxMs: Number.POSITIVE_INFINITY,
  lingerMs: 250,
  selfTestDeadlineMs: 3_000,
};

/** Largest plaintext of a frame type; undefined for a type that does not exist. */
export function payloadCap(
  type: number,
  limits: Pick<TransportLimits, "payloadCaps"> = DEFAULT_LIMITS,
): number | undefined {
  const own = PAYLOAD_CAPS[type];
  if (type < USER_TYPE_MIN || type > 0xff) return own;
  return limits.payloadCaps[type] ?? own ?? USER_PAYLOAD_MAX;
}

/** True for types that the transport carries for its users; the others are its own. */
export function isUserType(type: number): boolean {
  return payloadCap(type) !== undefined && !OWN_TYPES.has(type);
}

/** Frame types from here on belong to users of the transport. */
export const USER_TYPE_MIN = 32;

const USER_PAYLOAD_MAX = 1 << 20;
const ENVELOPE_MAX = 4 << 20;

const PAYLOAD_CAPS: Readonly<Record<number, number>> = {
  [FrameType.HELLO]: 256,
  [FrameType.HELLO_ACK]: 64,
  [FrameType.PING]: 8,
  [FrameType.PONG]: 8,
  [FrameType.OPEN]: 4 << 10,
  [FrameType.READY]: 64 << 10,
  [FrameType.SESSION_REFUSED]: 8 << 10,
  [FrameType.ENVELOPE]: ENVELOPE_MAX,
  [FrameType.DONE]: 256,
  // An ABORT may carry two envelopes as evidence.
  [FrameType.ABORT]: 2 * ENVELOPE_MAX + (8 << 10),
  [FrameType.BATCH]: 256 << 10,
  [MessageType.HEARTBEAT]: 256,
  [MessageType.ACK]: 256,
  [MessageType.ERROR]: 8 << 10,
  [NodeMessageType.WITNESS]: 8 << 10,
  [NodeMessageType.VIEW]: 64 << 10,
};

const OWN_TYPES: ReadonlySet<number> = new Set([
  FrameType.HELLO,
  FrameType.HELLO_ACK,
  FrameType.PING,
  FrameType.PONG,
  FrameType.BATCH,
]);
