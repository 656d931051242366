/**
 * The only way anything is hashed in the protocols: tagged, arity-framed and length-framed, so that two different lists
 * of parts never give the same input (SPEC 0.2).
 *
 * @module
 */

import { type Bytes, concat, u16, utf8 } from "../base/bytes.ts";
import { sha256 } from "../base/crypto.ts";
import { invariant } from "../base/errors.ts";
import type { Group, Scalar } from "../math/curve.ts";
import type { TagName } from "./tags.ts";

/**
 * `H(tag; p1..pm) = SHA-256(u16 len(tag) ‖ tag ‖ u16 m ‖ u32 len(p1) ‖ p1 ‖ …)`.
 *
 * @param tag from the table of tags; `"quorate/v1/"` is put before it.
 * @returns 32 bytes.
 * @source SPEC 0.2
 */
export function hash(tag: TagName, ...parts: readonly Uint8Array[]): Bytes {
  return sha256(frame(tag, parts));
}

/**
 * {@linkcode hash} of many lists of parts that differ in a few bytes: the parts are changed in place.
 *
 * @param parts of the lengths that all the lists have.
 * @returns `parts`: what is hashed next, not copies; `digest` gives the hash of them as they are. Erase secret ones after.
 */
export function preparedHash(
  tag: TagName,
  ...parts: readonly Uint8Array[]
): { readonly parts: readonly Bytes[]; digest(): Bytes } {
  const framed = frame(tag, parts);
  let at = prefix(tag).length + 2;
  const places = parts.map(({ length }) => {
    const place = framed.subarray(at + 4, at + 4 + length);
    at += 4 + length;
    return place;
  });
  return { parts: places, digest: () => sha256(framed) };
}

/**
 * `XOF(len, tag; …) = T0 ‖ T1 ‖ …` with `seed = H(tag; …)` and `Ti = SHA-256(seed ‖ u32 i)`.
 *
 * @param length in bytes.
 * @source SPEC 0.2
 */
export function xof(length: number, tag: TagName, ...parts: readonly Uint8Array[]): Bytes {
  invariant(length > 0, "an XOF output has at least one byte");
  const input = new Uint8Array(36); // seed ‖ u32 i
  const counter = new DataView(input.buffer, 32);
  input.set(hash(tag, ...parts));
  const out = new Uint8Array(length);
  for (let i = 0, at = 0; at < length; i++, at += 32) {
    counter.setUint32(0, i);
    out.set(sha256(input).subarray(0, Math.min(32, length - at)), at);
  }
  input.fill(0);
  return out;
}

/**
 * `HS(tag; …)`: 48 bytes of XOF modulo the group order, so that the bias is below 2^-128.
 *
 * @source SPEC 0.2
 */
export function hashToScalar(curve: Group, tag: TagName, ...parts: readonly Uint8Array[]): Scalar {
  return curve.reduce(xof(48, tag, ...parts));
}

/** One buffer and one call: a call into the native hash costs more than a few hundred bytes of input. */
function frame(tag: TagName, parts: readonly Uint8Array[]): Bytes {
  const head = prefix(tag);
  invariant(parts.length <= 0xffff, "a hash has at most 65535 parts");
  let length = head.length + 2;
  for (const part of parts) length += 4 + part.length;
  const framed = new Uint8Array(length);
  const view = new DataView(framed.buffer);
  framed.set(head);
  view.setUint16(head.length, parts.length);
  let at = head.length + 2;
  for (const part of parts) {
    view.setUint32(at, part.length);
    framed.set(part, at + 4);
    at += 4 + part.length;
  }
  return framed;
}

const prefixes = new Map<TagName, Bytes>();

function prefix(tag: TagName): Bytes {
  let value = prefixes.get(tag);
  if (value === undefined) {
    const bytes = utf8(`quorate/v1/${tag}`);
    value = concat(u16(bytes.length), bytes);
    prefixes.set(tag, value);
  }
  return value;
}
