/**
 * BATCH: several frames of one link in one sealed frame, so that small messages of one moment share one encryption
 * (WIRE.md 1). Inside: `u8 type ‖ 16 session id ‖ u32 length ‖ payload` for each.
 *
 * @module
 */

import { type Bytes, copy } from "../base/bytes.ts";
import { FrameType, type SessionFrame } from "../session/links.ts";
import { LinkFault } from "./faults.ts";
import { NO_SESSION, SESSION_BYTES } from "./frame.ts";
import { payloadCap } from "./limits.ts";

/** Joins small neighbours into batches as long as they fit; order is kept. What is not small, or is alone, stays as it is. */
export function joinSmall(frames: readonly SessionFrame[]): SessionFrame[] {
  if (frames.length === 1) return [...frames];
  const out: SessionFrame[] = [];
  const cap = payloadCap(FrameType.BATCH) as number;
  let group: SessionFrame[] = [];
  let size = 0;
  const finish = () => {
    if (group.length === 1) out.push(group[0] as SessionFrame);
    if (group.length > 1) {
      out.push({ type: FrameType.BATCH, session: NO_SESSION, payload: encodeBatch(group) });
    }
    group = [];
    size = 0;
  };
  for (const frame of frames) {
    const isLarge = frame.payload.length > SMALL_BYTES;
    if (isLarge || size + batchedSize(frame) > cap) finish();
    if (isLarge) out.push(frame);
    else {
      group.push(frame);
      size += batchedSize(frame);
    }
  }
  finish();
  return out;
}

/** Size of a frame inside a batch. */
function batchedSize(frame: SessionFrame): number {
  return ITEM_HEADER_BYTES + frame.payload.length;
}

/** Joins frames. Their sizes together must be below the cap of a BATCH. */
export function encodeBatch(frames: readonly SessionFrame[]): Bytes {
  const out = new Uint8Array(frames.reduce((sum, frame) => sum + batchedSize(frame), 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const frame of frames) {
    view.setUint8(at, frame.type);
    out.set(frame.session, at + 1);
    view.setUint32(at + 1 + SESSION_BYTES, frame.payload.length);
    out.set(frame.payload, at + ITEM_HEADER_BYTES);
    at += batchedSize(frame);
  }
  return out;
}

/**
 * Takes a batch apart.
 *
 * @param allowed which types may be inside.
 * @param cap the largest payload of a type.
 * @throws LinkFault where it is not whole, empty, or holds what is not allowed.
 */
export function decodeBatch(
  bytes: Uint8Array,
  allowed: (type: number) => boolean,
  cap: (type: number) => number | undefined = payloadCap,
): SessionFrame[] {
  const out: SessionFrame[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < ITEM_HEADER_BYTES) throw new LinkFault("FRAME_INVALID", "a batch is cut off");
    const type = view.getUint8(at);
    const length = view.getUint32(at + 1 + SESSION_BYTES);
    const payloadAt = at + ITEM_HEADER_BYTES;
    if (!allowed(type)) throw new LinkFault("FRAME_UNEXPECTED", `a frame of type ${type} inside a batch`);
    if (length > (cap(type) ?? 0)) {
      throw new LinkFault("FRAME_INVALID", "a frame inside a batch is above its cap");
    }
    if (length > bytes.length - payloadAt) throw new LinkFault("FRAME_INVALID", "a batch is cut off");
    out.push({
      type,
      session: copy(bytes.subarray(at + 1, at + 1 + SESSION_BYTES)),
      payload: copy(bytes.subarray(payloadAt, payloadAt + length)),
    });
    at = payloadAt + length;
  }
  if (out.length === 0) throw new LinkFault("FRAME_INVALID", "an empty batch");
  return out;
}

const ITEM_HEADER_BYTES = 1 + SESSION_BYTES + 4;
/** Above this, an encryption of its own costs less than copying the frame into a batch and out of it. */
const SMALL_BYTES = 8 << 10;
