/** What an example of a format is. */

import assert from "node:assert/strict";
import type { Bytes } from "../../src/base/bytes.ts";
import { type Codec, decode, encode } from "../../src/base/codec.ts";

/** Something that travels, or is stored. */
export interface WireExample {
  /** Makes the same bytes each time. */
  make(): Bytes;
  /** Fails where the bytes do not open, or say something else. */
  open(bytes: Bytes): void;
}

/** An example of what a codec writes and reads. */
export function canonical<T>(name: string, codec: Codec<T>, value: T): [string, WireExample] {
  return [name, {
    make: () => encode(codec, value),
    open(bytes) {
      assert.deepEqual(decode(codec, bytes), value);
    },
  }];
}

/** 32 equal bytes. */
export function filled(byte: number): Bytes {
  return new Uint8Array(32).fill(byte);
}
