/**
 * Messages of users of the transport: a type, a session id, a payload; and payloads with a codec.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, copy } from "../base/bytes.ts";
import { bytes, type Codec, decode, encode, fixed, struct, text, U64, U8 } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import { NO_SESSION, SESSION_BYTES } from "./frame.ts";
import { payloadCap, type TransportLimits, USER_TYPE_MIN } from "./limits.ts";
import { MessageType, typeName } from "./message_types.ts";

/** What is sent. */
export interface Message {
  /** One of {@linkcode MessageType}, or 64 to 255. */
  readonly type: number;
  /** 16 bytes that say what it belongs to; zero by default. */
  readonly session?: Bytes;
  /** Its content, up to the largest size of its type. */
  readonly payload: Bytes;
}

/** What has come: authenticated, whole, once, and in the order in which its sender sent it. */
export interface ReceivedMessage extends Message {
  /** The party of the link that it came on. */
  readonly from: PartyId;
  /** 16 bytes. */
  readonly session: Bytes;
}

/**
 * A message type whose payload has a codec: what does not decode exactly closes the link of its sender.
 *
 * @example
 * ```ts
 * import { struct, text, U64 } from "../base/codec.ts";
 * import { MessageKind } from "./message.ts";
 *
 * const Price = new MessageKind(64, struct({ asset: text(16), cents: U64 }));
 * const message = Price.encode({ asset: "BTC", cents: 9_400_000n });
 * if (Price.decode(message).cents !== 9_400_000n) throw new Error("not what was encoded");
 * ```
 */
export class MessageKind<T> {
  /** Its number. */
  readonly type: number;
  /** How its payload is written. */
  readonly codec: Codec<T>;

  /**
   * Joins a number and a codec.
   *
   * @throws UsageError USAGE for a number that is the transport's own.
   */
  constructor(type: number, codec: Codec<T>) {
    checkType(type);
    this.type = type;
    this.codec = codec;
  }

  /** A message with this value. */
  encode(value: T, session?: Bytes): Message {
    const payload = encode(this.codec, value);
    return session === undefined ? { type: this.type, payload } : { type: this.type, payload, session };
  }

  /** The value of a message. @throws DecodeError where its payload is not exactly the encoding of one. */
  decode(message: { readonly payload: Bytes }): T {
    return decode(this.codec, message.payload);
  }
}

/** HEARTBEAT of an application; links have a heartbeat of their own. */
export const heartbeatMessage: MessageKind<{ readonly clockMs: bigint }> = new MessageKind(
  MessageType.HEARTBEAT,
  struct({ clockMs: U64 }),
);

/** ACK: which message of which session was taken. */
export const ackMessage: MessageKind<{ readonly type: number; readonly digest: Bytes }> = new MessageKind(
  MessageType.ACK,
  struct({ type: U8, digest: fixed(32) }),
);

/** What an ERROR says. */
export interface ErrorReport {
  /** A stable code. */
  readonly code: string;
  /** One sentence for people. */
  readonly text: string;
  /** What a program may want to know. */
  readonly detail: Bytes;
}

/** ERROR: the word of its sender. */
export const errorMessage: MessageKind<ErrorReport> = new MessageKind(
  MessageType.ERROR,
  struct({ code: text(64), text: text(1_024), detail: bytes(4_096) }),
);

/** A number that users may send. @throws UsageError USAGE */
export function checkType(type: number): void {
  if (Number.isInteger(type) && type >= USER_TYPE_MIN && type <= 0xff) return;
  throw new UsageError(
    "USAGE",
    `a message type is a whole number from ${USER_TYPE_MIN} to 255: found ${type}`,
  );
}

/**
 * What is sent for a message: checked, and copied, so that the caller may go on using its buffers.
 *
 * @throws UsageError USAGE, MESSAGE_TOO_LARGE
 */
export function frameOf(message: Message, limits: TransportLimits): Required<Message> {
  const { type, session = NO_SESSION, payload } = message;
  checkType(type);
  if (session.length !== SESSION_BYTES) {
    throw new UsageError("USAGE", `a session id has ${SESSION_BYTES} bytes: found ${session.length}`);
  }
  const cap = payloadCap(type, limits) ?? 0;
  if (payload.length > cap) {
    throw new UsageError(
      "MESSAGE_TOO_LARGE",
      `a message of type ${
        typeName(type)
      } has ${cap} bytes at most: found ${payload.length}; send it in parts`,
    );
  }
  return { type, session: copy(session), payload: copy(payload) };
}
