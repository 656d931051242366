/**
 * What a key is for, said when it is made and part of its key id from then on (VOTING 8.2, 9): a key that a quorum has to ask never
 * becomes one that its holders use as they like.
 *
 * @module
 */

import { type Bytes, utf8 } from "../base/bytes.ts";
import { type Codec, DecodeError, map, U8 } from "../base/codec.ts";
import { UsageError } from "../base/errors.ts";
import type { Fact } from "./protocol.ts";

/** The numbers of the purposes in encodings. A key that was made before there were any is `plain`. */
export const KEY_PURPOSES = { plain: 0, "approved-signing": 1, decision: 2 } as const;

/**
 * `plain`: its holders sign what they are told to. `approved-signing`: they sign what a quorum of voters has approved, and nothing
 * else. `decision`: they sign what was decided, each only what it has decided itself.
 */
export type KeyPurpose = keyof typeof KEY_PURPOSES;

/** What a key id is the hash of beside the rest: nothing for a plain key, whose id is the one it had before there were purposes. */
export function purposeParts(purpose: KeyPurpose): readonly Bytes[] {
  return purpose === "plain" ? [] : [utf8(purpose)];
}

/** What is compared before a key is made. */
export function purposeFacts(purpose: KeyPurpose): readonly Fact[] {
  return purpose === "plain" ? [] : [{ name: "key purpose", value: utf8(purpose) }];
}

/** Reads a purpose. @throws UsageError USAGE */
export function parseKeyPurpose(text: string): KeyPurpose {
  if (Object.hasOwn(KEY_PURPOSES, text)) return text as KeyPurpose;
  throw new UsageError(
    "USAGE",
    `the purpose of a key is one of ${Object.keys(KEY_PURPOSES).join(", ")}: found ${JSON.stringify(text)}`,
  );
}

/**
 * Refuses a use of a key that it was not made for.
 *
 * @param what the use, which is what keys of `purpose` are for.
 * @throws UsageError APPROVAL_REQUIRED or KEY_PURPOSE
 */
export function requirePurpose(
  key: { readonly purpose: KeyPurpose },
  purpose: KeyPurpose,
  what: string,
): void {
  if (key.purpose === purpose) return;
  if (key.purpose === "approved-signing") {
    throw new UsageError(
      "APPROVAL_REQUIRED",
      `this key signs only what a quorum has approved, and ${what} is something else: propose what it is to sign`,
    );
  }
  throw new UsageError(
    "KEY_PURPOSE",
    key.purpose === "decision"
      ? `this key signs decisions and nothing else: ${what} needs another key`
      : `this is a plain key: ${what} needs one that was made with --purpose ${purpose}`,
  );
}

/** A purpose other than `plain`, in a record that has one. */
export const boundPurposeCodec: Codec<KeyPurpose> = map(
  U8,
  (purpose: KeyPurpose): number => KEY_PURPOSES[purpose],
  (number) => {
    const known = (Object.keys(KEY_PURPOSES) as KeyPurpose[]).find((name) => KEY_PURPOSES[name] === number);
    if (known === undefined || known === "plain") {
      throw new DecodeError("a key with a purpose of an unknown number");
    }
    return known;
  },
);
