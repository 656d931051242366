/**
 * The kinds of values that a configuration has. Each schema says in words what it expects.
 *
 * @module
 */

import { isIP } from "node:net";
import { z } from "zod";

/** A host and a port. */
export interface Address {
  /** Name or IP address, without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reads `host:port`; undefined where it is not that. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  const host = match[1] ?? match[2] as string;
  if (port < 1 || port > 65535 || (match[1] !== undefined && isIP(host) !== 6)) return undefined;
  return { host, port };
}

const ADDRESS_EXPECTED = "HOST:PORT with a port from 1 to 65535";

/** Text of a form. */
export function text(expected: string, pattern: RegExp = /./): z.ZodString {
  return z.string({ error: expected }).max(1024, { error: expected }).regex(pattern, { error: expected });
}

/** A path. */
export function path(what: string): z.ZodString {
  return text(`the path of ${what}`, /^[^\0\n]+$/);
}

/** A number in a range. */
export function number(min: number, max: number, what: string): z.ZodNumber {
  const expected = `${what} from ${min} to ${max}`;
  return z.number({ error: expected }).min(min, { error: expected }).max(max, { error: expected });
}

/** A whole number in a range. */
export function whole(min: number, max: number, what: string): z.ZodNumber {
  return number(min, max, what).int({ error: `${what} from ${min} to ${max}` });
}

/** `HOST:PORT`. */
export function address(): z.ZodString {
  return z.string({ error: ADDRESS_EXPECTED }).refine((value) => parseAddress(value) !== undefined, {
    error: ADDRESS_EXPECTED,
  });
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(words: T): z.ZodType<T[number]> {
  return z.enum(words, { error: words.map((word) => `"${word}"`).join(" or ") });
}
