/**
 * Canonical JSON, so that a record has exactly one text and its hash can be checked anywhere.
 *
 * @source RFC 8785 (JCS): keys sorted by UTF-16 code units, no white space, strings and numbers as ECMAScript writes them.
 * @module
 */

import { DecodeError } from "../base/codec.ts";
import { invariant } from "../base/errors.ts";

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** Names and values. Names whose value is undefined are left out. */
export interface JsonObject {
  /** A value by its name. */
  readonly [name: string]: Json | undefined;
}

/** The one text of a value. Numbers that JSON lacks and texts that are not Unicode are bugs of the caller. */
export function canonicalJson(value: Json): string {
  if (typeof value === "string") {
    invariant(value.isWellFormed(), "a text of a record is Unicode");
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    invariant(Number.isFinite(value), "a number of a record is finite");
    return JSON.stringify(value);
  }
  if (value === null || typeof value === "boolean") return String(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields = Object.keys(value).sort().flatMap((name) => {
    const field = value[name];
    return field === undefined ? [] : [`${canonicalJson(name)}:${canonicalJson(field)}`];
  });
  return `{${fields.join(",")}}`;
}

/** Reads canonical JSON and nothing else. @throws DecodeError for any other spelling of a value. */
export function parseCanonicalJson(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw new DecodeError("not JSON");
  }
  if (!text.isWellFormed() || !isWritten(value, text)) throw new DecodeError("not canonical JSON");
  return value;
}

function isWritten(value: Json, text: string): boolean {
  try {
    return canonicalJson(value) === text;
  } catch {
    // An escaped half of a surrogate pair, which no canonical text has.
    return false;
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
