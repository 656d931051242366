/**
 * Frames (WIRE.md 1): a header of 35 bytes, session id, nonce, payload, MAC. All sizes are judged on the header, before
 * anything is allocated.
 *
 * | bytes | field | | bytes | field |
 * |---|---|---|---|---|
 * | 0-1 | version | | 19-26 | timestamp, ms |
 * | 2 | type | | 27-28 | nonce size |
 * | 3-6 | from | | 29-32 | payload size |
 * | 7-10 | to | | 33-34 | MAC size |
 * | 11-18 | sequence | | 35-50 | session id |
 *
 * @module
 */

import type { Bytes } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import { LinkFault } from "./faults.ts";
import { payloadCap } from "./limits.ts";

/** What a sender chooses. */
export interface FrameFields {
  /** Frame type. */
  readonly type: number;
  /** Index of the sender. */
  readonly from: number;
  /** Index of the receiver, or 0xffffffff for all. */
  readonly to: number;
  /** 0 to 2^53 - 1. */
  readonly sequence: number;
  /** Milliseconds; for people only. */
  readonly timestamp: number;
  /** 16 bytes. */
  readonly session: Uint8Array;
}

/** A frame as it came, judged only as far as its sizes and its form. */
export interface RawFrame {
  /** Frame type. */
  readonly type: number;
  /** Index of the sender. */
  readonly from: number;
  /** Index of the receiver, or 0xffffffff for all. */
  readonly to: number;
  /** Per connection and direction, from 0. */
  readonly sequence: number;
  /** Milliseconds; for people only. */
  readonly timestamp: number;
  /** True where it has a nonce and a MAC. */
  readonly sealed: boolean;
  /** All of it. May be a view into a received chunk: copy what is kept. */
  readonly bytes: Uint8Array;
}

/** The session id of a received frame, as a view. */
export function sessionOf(frame: RawFrame): Uint8Array {
  return frame.bytes.subarray(HEADER_BYTES, PREFIX_BYTES);
}

/** The payload of a received frame, as a view; of a sealed one, its ciphertext and tag. */
export function payloadOf(frame: RawFrame): Uint8Array {
  return frame.sealed
    ? frame.bytes.subarray(PREFIX_BYTES + NONCE_BYTES, frame.bytes.length - MAC_BYTES)
    : frame.bytes.subarray(PREFIX_BYTES);
}

/** A frame without nonce and MAC. */
export function encodePlainFrame(fields: FrameFields, payload: Uint8Array): Bytes {
  const out = new Uint8Array(PREFIX_BYTES + payload.length);
  writePrefix(out, fields, { payloadSize: payload.length, sealed: false });
  out.set(payload, PREFIX_BYTES);
  return out;
}

/** Writes header and session id at the front of `out`. */
export function writePrefix(
  out: Uint8Array,
  fields: FrameFields,
  form: { readonly payloadSize: number; readonly sealed: boolean },
): void {
  invariant(fields.session.length === SESSION_BYTES, "a frame's session id has 16 bytes");
  invariant(Number.isSafeInteger(fields.sequence) && fields.sequence >= 0, "a sequence is below 2^53");
  const view = new DataView(out.buffer, out.byteOffset, HEADER_BYTES);
  view.setUint16(0, FRAME_VERSION);
  view.setUint8(2, fields.type);
  view.setUint32(3, fields.from);
  view.setUint32(7, fields.to);
  writeU64(view, 11, fields.sequence);
  writeU64(view, 19, fields.timestamp);
  view.setUint16(27, form.sealed ? NONCE_BYTES : 0);
  view.setUint32(29, form.payloadSize);
  view.setUint16(33, form.sealed ? MAC_BYTES : 0);
  out.set(fields.session, HEADER_BYTES);
}

/** Writes a number below 2^53 as u64. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

/**
 * Cuts a byte stream into frames. A frame that lies whole in one chunk is not copied; one that does not is collected in one
 * buffer, allocated once its header was judged.
 */
export class FrameParser {
  readonly #allowed: (type: number, sealed: boolean) => boolean;
  readonly #cap: (type: number) => number | undefined;
  readonly #prefix: Bytes = new Uint8Array(HEADER_BYTES);
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #prefixFilled = 0;
  #frame: Bytes | undefined;
  #frameFilled = 0;

  /**
   * Begins at a frame border.
   *
   * @param allowed which types may come now, and in which form: asked before a frame is waited for or stored.
   * @param cap the largest payload of a type; default: {@linkcode payloadCap}.
   */
  constructor(
    allowed: (type: number, sealed: boolean) => boolean,
    cap: (type: number) => number | undefined = payloadCap,
  ) {
    this.#allowed = allowed;
    this.#cap = cap;
  }

  /** Hands over the next chunk. All frames of the former one must have been taken with {@linkcode next}. */
  push(chunk: Uint8Array): void {
    invariant(this.#at === this.#chunk.length, "frames of the former chunk were not taken");
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next whole frame, or undefined where more bytes are needed. @throws LinkFault on a header that is refused. */
  next(): RawFrame | undefined {
    if (this.#frame === undefined) {
      if (this.#prefixFilled === 0 && this.#chunk.length - this.#at >= HEADER_BYTES) {
        const whole = this.#takeWhole();
        if (whole !== undefined) return whole;
      }
      if (!this.#fillPrefix()) return undefined;
    }
    return this.#fillFrame();
  }

  /** The frame at the front of the chunk, if it is there entirely. */
  #takeWhole(): RawFrame | undefined {
    const header = this.#chunk.subarray(this.#at, this.#at + HEADER_BYTES);
    const size = this.#judge(header);
    if (this.#chunk.length - this.#at < size) return undefined;
    const bytes = this.#chunk.subarray(this.#at, this.#at + size);
    this.#at += size;
    return readFrame(bytes);
  }

  #fillPrefix(): boolean {
    const take = Math.min(HEADER_BYTES - this.#prefixFilled, this.#chunk.length - this.#at);
    this.#prefix.set(this.#chunk.subarray(this.#at, this.#at + take), this.#prefixFilled);
    this.#at += take;
    this.#prefixFilled += take;
    if (this.#prefixFilled < HEADER_BYTES) return false;
    this.#frame = new Uint8Array(this.#judge(this.#prefix));
    this.#frame.set(this.#prefix);
    this.#frameFilled = HEADER_BYTES;
    return true;
  }

  #fillFrame(): RawFrame | undefined {
    const frame = this.#frame as Bytes;
    const take = Math.min(frame.length - this.#frameFilled, this.#chunk.length - this.#at);
    frame.set(this.#chunk.subarray(this.#at, this.#at + take), this.#frameFilled);
    this.#at += take;
    this.#frameFilled += take;
    if (this.#frameFilled < frame.length) return undefined;
    this.#frame = undefined;
    this.#prefixFilled = 0;
    return readFrame(frame);
  }

  /** The size of the whole frame, from its header alone. */
  #judge(header: Uint8Array): number {
    const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
    if (view.getUint16(0) !== FRAME_VERSION) {
      throw new LinkFault("FRAME_INVALID", `a frame of version ${view.getUint16(0)}: this node speaks 1`);
    }
    const nonceSize = view.getUint16(27);
    const macSize = view.getUint16(33);
    const sealed = nonceSize === NONCE_BYTES;
    if (!(nonceSize === 0 && macSize === 0) && !(nonceSize === NONCE_BYTES && macSize === MAC_BYTES)) {
      throw new LinkFault(
        "FRAME_INVALID",
        `nonce and MAC sizes ${nonceSize} and ${macSize} are not 0 and 0 or 12 and 32`,
      );
    }
    const type = view.getUint8(2);
    const cap = this.#cap(type);
    if (cap === undefined) throw new LinkFault("FRAME_INVALID", `frame type ${type} does not exist`);
    if (!this.#allowed(type, sealed)) {
      throw new LinkFault(
        "FRAME_UNEXPECTED",
        `a ${sealed ? "sealed" : "plain"} frame of type ${type} is not allowed now`,
      );
    }
    const payloadSize = view.getUint32(29);
    const tag = sealed ? TAG_BYTES : 0;
    if (payloadSize > cap + tag || payloadSize < tag) {
      throw new LinkFault(
        "FRAME_INVALID",
        `a payload of ${payloadSize} bytes in a frame of type ${type}: ${cap} at most`,
      );
    }
    // Above 2^53 a sequence would not be a number here; no connection lives that long.
    if (view.getUint32(11) >= 2 ** 21) throw new LinkFault("SEQUENCE", "a sequence number of 2^53 or more");
    return PREFIX_BYTES + nonceSize + payloadSize + macSize;
  }
}

function readFrame(bytes: Uint8Array): RawFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  return {
    type: view.getUint8(2),
    from: view.getUint32(3),
    to: view.getUint32(7),
    sequence: view.getUint32(11) * 2 ** 32 + view.getUint32(15),
    timestamp: view.getUint32(19) * 2 ** 32 + view.getUint32(23),
    sealed: view.getUint16(27) !== 0,
    bytes,
  };
}

/** The only version of the header so far. */
export const FRAME_VERSION = 1;
/** Size of the header. */
export const HEADER_BYTES = 35;
/** Size of the session id behind it. */
export const SESSION_BYTES = 16;
/** Header and session id. */
export const PREFIX_BYTES: number = HEADER_BYTES + SESSION_BYTES;
/** Size of a sealed frame's nonce. */
export const NONCE_BYTES = 12;
/** Size of a sealed frame's MAC. */
export const MAC_BYTES = 32;
/** Size of the AEAD tag at the end of a sealed payload. */
export const TAG_BYTES = 16;
/** The session id of frames outside sessions. */
export const NO_SESSION: Bytes = new Uint8Array(SESSION_BYTES);
