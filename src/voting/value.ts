/**
 * What is voted on: a transaction's name and a value under one of four schemas, each with one encoding (VOTING 2).
 *
 * @module
 */

import { type Bytes, concat, copy, fromUtf8, u16, utf8 } from "../base/bytes.ts";
import { DecodeError } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";

/** Numbers of the schemas. */
export const SCHEMAS = { integer: 1, bytes: 2, approval: 3, roster: 4 } as const;

/** Name of a schema. */
export type SchemaName = keyof typeof SCHEMAS;

/** A value that is voted on. */
export type Value =
  /** i64. */
  | { readonly schema: "integer"; readonly integer: bigint }
  /** Any bytes. */
  | { readonly schema: "bytes"; readonly bytes: Bytes }
  /** The encoding of an approval (VOTING 8). */
  | { readonly schema: "approval"; readonly bytes: Bytes }
  /** The encoding of the next membership (VOTING 7). */
  | { readonly schema: "roster"; readonly bytes: Bytes };

/** Longest encoded value, in bytes. */
export const VALUE_BYTES_MAX = 64 * 1024;
/** Longest name of a transaction, in bytes. */
export const TX_ID_BYTES_MAX = 128;
/** Names that only changes of members have. */
export const ROSTER_PREFIX = "roster/";

const INTEGER_BYTES = 8;
const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;

/** u16 schema ‖ canonical bytes of that schema. @throws UsageError USAGE */
export function encodeValue(value: Value): Bytes {
  const body = value.schema === "integer" ? encodeInteger(value.integer) : value.bytes;
  const encoded = concat(u16(SCHEMAS[value.schema]), body);
  if (encoded.length <= VALUE_BYTES_MAX) return encoded;
  throw new UsageError("USAGE", `a value has at most ${VALUE_BYTES_MAX} bytes: found ${encoded.length}`);
}

/** Reads a value. @throws DecodeError for what no encoder writes. */
export function decodeValue(encoded: Uint8Array): Value {
  if (encoded.length < 2 || encoded.length > VALUE_BYTES_MAX) {
    throw new DecodeError("a value of a wrong length");
  }
  const number = ((encoded[0] as number) << 8) | (encoded[1] as number);
  const body = copy(encoded.subarray(2));
  switch (number) {
    case SCHEMAS.integer:
      return { schema: "integer", integer: decodeInteger(body) };
    case SCHEMAS.bytes:
      return { schema: "bytes", bytes: body };
    case SCHEMAS.approval:
      return { schema: "approval", bytes: body };
    case SCHEMAS.roster:
      return { schema: "roster", bytes: body };
  }
  throw new DecodeError(`a value of an unknown schema ${number}`);
}

/** A value for people: an integer as it is, text in quotes, bytes as hexadecimal. */
export function formatValue(value: Value): string {
  if (value.schema === "integer") return value.integer.toString();
  if (value.schema !== "bytes") return `${value.schema} of ${value.bytes.length} bytes`;
  const text = fromUtf8(value.bytes);
  // What a terminal would obey, or would show in another order, is not shown as text.
  return text !== undefined && !/\p{C}/u.test(text) ? JSON.stringify(text) : `0x${value.bytes.toHex()}`;
}

/** Why a text is no name of a transaction, in words; undefined where it is one. */
export function txIdFault(txId: string): string | undefined {
  const length = utf8(txId).length;
  if (length < 1 || length > TX_ID_BYTES_MAX) {
    return `a transaction's name has 1 to ${TX_ID_BYTES_MAX} bytes: found ${length}`;
  }
  if (txId.normalize("NFC") !== txId || !isClean(txId)) {
    return "a transaction's name is NFC and has no control characters";
  }
  return undefined;
}

function isClean(text: string): boolean {
  return !/\p{Cc}/u.test(text);
}

function encodeInteger(value: bigint): Bytes {
  if (value < INTEGER_MIN || value > INTEGER_MAX) {
    throw new UsageError("USAGE", `an integer is from ${INTEGER_MIN} to ${INTEGER_MAX}: found ${value}`);
  }
  const bytes = new Uint8Array(INTEGER_BYTES);
  new DataView(bytes.buffer).setBigInt64(0, value);
  return bytes;
}

function decodeInteger(body: Bytes): bigint {
  if (body.length !== INTEGER_BYTES) throw new DecodeError("an integer of other than 8 bytes");
  return new DataView(body.buffer, body.byteOffset).getBigInt64(0);
}
