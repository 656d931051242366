/**
 * Canonical binary codecs (SPEC 0.2): fixed widths, big-endian, every list preceded by its length, one encoding per value.
 * Decoding refuses trailing bytes and everything that would not be encoded the same way again.
 *
 * @module
 */

import { type Bytes, concat, copy, EMPTY, fromUtf8, u16, u32, u64, u8, utf8 } from "./bytes.ts";
import { invariant } from "./errors.ts";

/** The bytes are not the canonical encoding of a value. The message names the field, never its content. */
export class DecodeError extends Error {
  /** For messages. */
  override name = "DecodeError";
}

/** One field type: how it is written, read and how large it can be. The type of a record is derived from its codec. */
export interface Codec<T> {
  /** Appends the canonical encoding. */
  write(out: Writer, value: T): void;
  /** Reads one value. @throws DecodeError */
  read(input: Reader): T;
  /** The largest encoding in bytes: judged before anything is allocated. */
  readonly sizeMax: number;
}

/** The value type of a codec. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** Collects encoded parts. */
export class Writer {
  readonly #parts: Uint8Array[] = [];

  /** Appends bytes as they are. */
  put(part: Uint8Array): void {
    this.#parts.push(part);
  }

  /** All parts, concatenated. */
  finish(): Bytes {
    return concat(...this.#parts);
  }
}

/** Walks over encoded bytes. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** Starts at the first byte; the bytes are not copied. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** The next `length` bytes, as a copy. @throws DecodeError if there are fewer. */
  take(length: number, what = "bytes"): Bytes {
    if (length > this.left) throw new DecodeError(`${what}: ${length} bytes expected, ${this.left} left`);
    const out = copy(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
    return out;
  }

  /** The next `width` bytes as an unsigned integer. */
  number(width: 1 | 2 | 4, what = "integer"): number {
    if (width > this.left) throw new DecodeError(`${what}: ${width} bytes expected, ${this.left} left`);
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + (this.#bytes[this.#at++] as number);
    return value;
  }
}

/** The canonical encoding of a value. */
export function encode<T>(codec: Codec<T>, value: T): Bytes {
  const out = new Writer();
  codec.write(out, value);
  const bytes = out.finish();
  invariant(
    bytes.length <= codec.sizeMax,
    `an encoding of ${bytes.length} bytes is larger than its cap ${codec.sizeMax}`,
  );
  return bytes;
}

/** Reads a value that fills the bytes exactly. @throws DecodeError */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  if (bytes.length > codec.sizeMax) {
    throw new DecodeError(`${bytes.length} bytes are more than the cap of ${codec.sizeMax}`);
  }
  const input = new Reader(bytes);
  const value = codec.read(input);
  if (input.left !== 0) throw new DecodeError(`${input.left} trailing bytes`);
  return value;
}

/** u8. */
export const U8: Codec<number> = unsigned(1, u8);
/** u16, big-endian. */
export const U16: Codec<number> = unsigned(2, u16);
/** u32, big-endian. */
export const U32: Codec<number> = unsigned(4, u32);
/** u64, big-endian. */
export const U64: Codec<bigint> = {
  sizeMax: 8,
  write: (out, value) => out.put(u64(value)),
  read: (input) => {
    let value = 0n;
    for (const byte of input.take(8, "u64")) value = value << 8n | BigInt(byte);
    return value;
  },
};

/** Nothing: zero bytes. For messages that carry no field. */
export const NOTHING: Codec<null> = { sizeMax: 0, write: () => {}, read: () => null };

/** One byte, 0 or 1. */
export const BOOL: Codec<boolean> = {
  sizeMax: 1,
  write: (out, value) => out.put(u8(value ? 1 : 0)),
  read: (input) => {
    const value = input.number(1, "boolean");
    if (value > 1) throw new DecodeError("a boolean is 0 or 1");
    return value === 1;
  },
};

/** Exactly `length` bytes. */
export function fixed(length: number): Codec<Bytes> {
  return {
    sizeMax: length,
    write: (out, value) => {
      invariant(value.length === length, `${length} bytes expected, ${value.length} given`);
      out.put(value);
    },
    read: (input) => input.take(length),
  };
}

/** A u32 length and at most `max` bytes. */
export function bytes(max: number): Codec<Bytes> {
  return {
    sizeMax: 4 + max,
    write: (out, value) => {
      invariant(value.length <= max, `at most ${max} bytes expected, ${value.length} given`);
      out.put(u32(value.length));
      out.put(value);
    },
    read: (input) => {
      const length = input.number(4, "length");
      if (length > max) throw new DecodeError(`${length} bytes are more than the cap of ${max}`);
      return length === 0 ? EMPTY : input.take(length);
    },
  };
}

/** A u16 length and at most `maxBytes` bytes of UTF-8 in NFC. */
export function text(maxBytes: number): Codec<string> {
  return {
    sizeMax: 2 + maxBytes,
    write: (out, value) => {
      const encoded = utf8(value);
      invariant(
        encoded.length <= maxBytes,
        `a text of at most ${maxBytes} bytes expected, ${encoded.length} given`,
      );
      out.put(u16(encoded.length));
      out.put(encoded);
    },
    read: (input) => {
      const length = input.number(2, "length");
      if (length > maxBytes) {
        throw new DecodeError(`a text of ${length} bytes is longer than the cap of ${maxBytes}`);
      }
      const value = fromUtf8(input.take(length));
      if (value === undefined) throw new DecodeError("a text is not UTF-8 in NFC");
      return value;
    },
  };
}

/** A u16 count and at most `countMax` items. */
export function list<T>(item: Codec<T>, countMax: number): Codec<readonly T[]> {
  return {
    sizeMax: 2 + countMax * item.sizeMax,
    write: (out, values) => {
      invariant(values.length <= countMax, `at most ${countMax} items expected, ${values.length} given`);
      out.put(u16(values.length));
      for (const value of values) item.write(out, value);
    },
    read: (input) => {
      const count = input.number(2, "count");
      if (count > countMax) throw new DecodeError(`${count} items are more than the cap of ${countMax}`);
      return Array.from({ length: count }, () => item.read(input));
    },
  };
}

/** Exactly `count` items; the count itself is not written, because both sides know it. */
export function vector<T>(item: Codec<T>, count: number): Codec<readonly T[]> {
  return {
    sizeMax: count * item.sizeMax,
    write: (out, values) => {
      invariant(values.length === count, `${count} items expected, ${values.length} given`);
      for (const value of values) item.write(out, value);
    },
    read: (input) => Array.from({ length: count }, () => item.read(input)),
  };
}

/** Named fields in the order in which they are written here. */
export function struct<F extends Record<string, Codec<unknown>>>(
  fields: F,
): Codec<{ readonly [K in keyof F]: ValueOf<F[K]> }> {
  const entries = Object.entries(fields);
  return {
    sizeMax: entries.reduce((sum, [, codec]) => sum + codec.sizeMax, 0),
    write: (out, value) => {
      for (const [name, codec] of entries) codec.write(out, value[name as keyof F]);
    },
    read: (input) => {
      const out: Record<string, unknown> = {};
      for (const [name, codec] of entries) {
        try {
          out[name] = codec.read(input);
        } catch (error) {
          if (error instanceof DecodeError) throw new DecodeError(`${name}: ${error.message}`);
          throw error;
        }
      }
      return out as { readonly [K in keyof F]: ValueOf<F[K]> };
    },
  };
}

/** A codec whose values are made from those of another; `from` may refuse with {@linkcode DecodeError}. */
export function map<A, B>(inner: Codec<A>, to: (value: B) => A, from: (value: A) => B): Codec<B> {
  return {
    sizeMax: inner.sizeMax,
    write: (out, value) => inner.write(out, to(value)),
    read: (input) => from(inner.read(input)),
  };
}

/** A presence byte, then the value. */
export function optional<T>(inner: Codec<T>): Codec<T | undefined> {
  return {
    sizeMax: 1 + inner.sizeMax,
    write: (out, value) => {
      BOOL.write(out, value !== undefined);
      if (value !== undefined) inner.write(out, value);
    },
    read: (input) => BOOL.read(input) ? inner.read(input) : undefined,
  };
}

function unsigned(width: 1 | 2 | 4, write: (value: number) => Bytes): Codec<number> {
  return {
    sizeMax: width,
    write: (out, value) => out.put(write(value)),
    read: (input) => input.number(width),
  };
}
