/**
 * Byte strings: the only form in which values are hashed, sent and stored.
 *
 * @module
 */

/** A byte string. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The empty byte string. */
export const EMPTY: Bytes = new Uint8Array(0);

/** Returns the concatenation of the parts. Never hash the result: use `hash(tag, ...parts)`, which frames them. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Compares public byte strings. May stop at the first difference: for secrets use {@linkcode equalSecret}. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return compare(a, b) === 0;
}

/** Lexicographic order of public byte strings: negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Compares two byte strings of public length without stopping at the first difference (algorithmic constant time). */
export function equalSecret(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

/** Overwrites byte strings with zeros. JavaScript may have made copies: this is an effort, not a proof. */
export function erase(...values: readonly (Uint8Array | undefined)[]): void {
  for (const value of values) value?.fill(0);
}

/** A copy that shares no memory with the original. */
export function copy(value: Uint8Array): Bytes {
  return new Uint8Array(value);
}

/** u8, big-endian as all integers here. */
export function u8(value: number): Bytes {
  return integer(value, 1);
}

/** u16 big-endian. */
export function u16(value: number): Bytes {
  return integer(value, 2);
}

/** u32 big-endian. */
export function u32(value: number): Bytes {
  return integer(value, 4);
}

/** u64 big-endian. */
export function u64(value: bigint): Bytes {
  if (value < 0n || value >= 1n << 64n) throw new RangeError(`u64 out of range: ${value}`);
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, value);
  return out;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 of the NFC form of a string (SPEC 0.2). */
export function utf8(text: string): Bytes {
  return encoder.encode(text.normalize("NFC"));
}

/** The string of canonical (NFC) UTF-8 bytes, or undefined where the bytes are not that. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    const text = decoder.decode(bytes);
    return text.normalize("NFC") === text ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Lower-case hexadecimal, for people: CLI, configuration and logs only. */
export function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Reads hexadecimal of either case; undefined where the text is not that. */
export function fromHex(text: string): Bytes | undefined {
  try {
    return Uint8Array.fromHex(text);
  } catch {
    return undefined;
  }
}

function integer(value: number, width: 1 | 2 | 4): Bytes {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
    throw new RangeError(`u${8 * width} out of range: ${value}`);
  }
  const out = new Uint8Array(width);
  for (let i = 0; i < width; i++) out[i] = value >>> (8 * (width - 1 - i));
  return out;
}
