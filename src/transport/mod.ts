/**
 * Sessions and links: {@linkcode SessionHost} runs protocols between processes, {@linkcode Mesh} makes links of mutual TLS,
 * {@linkcode Transport} carries messages of other programs over them, and {@linkcode SealedChannel} seals without any of that.
 *
 * @module
 */

export * from "../base/mod.ts";
export type * from "../protocols/mod.ts";
export type { SessionContext, SessionEvent } from "../session/context.ts";
export { type Evidence, verifyEvidence } from "../session/evidence.ts";
export * from "../session/host.ts";
export type { Journal } from "../session/journal.ts";
export * from "../session/links.ts";
export type { Mend } from "../session/opening.ts";
export * from "../session/roster.ts";
export type { Outcome, Settled } from "../session/session_types.ts";
export type { Turn, TurnSession } from "../session/turn.ts";
export type { Traffic, TrafficByType } from "./counters.ts";
export type { EventReceiver } from "./event_queue.ts";
export { LINK_CODES, type LinkCode } from "./faults.ts";
export type { Directions } from "./heartbeat.ts";
export type { ReceiveOptions } from "./inbox.ts";
export type { LinkFigures } from "./link.ts";
export * from "./limits.ts";
export * from "./memory.ts";
export * from "./mesh.ts";
export {
  ackMessage,
  errorMessage,
  type ErrorReport,
  heartbeatMessage,
  type Message,
  MessageKind,
  type ReceivedMessage,
} from "./message.ts";
export * from "./message_types.ts";
export * from "./rate.ts";
export type { FrameFields, RawFrame } from "./frame.ts";
export {
  type LinkRole,
  type MasterKeyOptions,
  SealedChannel,
  type SealedChannelOptions,
  type Suite,
  SUITES,
} from "./sealed_channel.ts";
export type { TlsMaterial } from "./tls_listener.ts";
export * from "./transport.ts";
export * from "./switchboard.ts";
