/**
 * What is signed or verified: a message that is hashed here, or a digest that is named as one.
 *
 * @module
 */

import type { Command } from "commander";
import { type Bytes, fromHex, utf8 } from "../src/base/bytes.ts";
import { sha256 } from "../src/base/crypto.ts";
import { UsageError } from "../src/base/errors.ts";
import { readInput } from "./output.ts";

/** The three ways to name it. */
export interface MessageOptions {
  /** The text itself. */
  readonly message?: string;
  /** A file, or `-`. */
  readonly messageFile?: string;
  /** 64 hexadecimal digits. */
  readonly digest?: string;
}

/** Adds the options. */
export function addMessageOptions(command: Command): Command {
  return command
    .option("--message <text>", "the message itself")
    .option("--message-file <file>", "a file with the message; - is standard input")
    .option("--digest <hex>", "the SHA-256 digest of the message, where the message is not at hand");
}

/** What is signed or verified. */
export interface Message {
  /** Its bytes; undefined where only the digest was given. */
  readonly bytes: Bytes | undefined;
  /** SHA-256 of them. */
  readonly digest: Bytes;
}

/** What the options name. @throws UsageError USAGE or FILE_UNREADABLE */
export async function messageOf({ message, messageFile, digest }: MessageOptions): Promise<Message> {
  const given = [message, messageFile, digest].filter((value) => value !== undefined).length;
  if (given !== 1) {
    throw new UsageError(
      "USAGE",
      `exactly one of --message, --message-file and --digest is needed: found ${given}`,
    );
  }
  if (digest !== undefined) return { bytes: undefined, digest: digestFrom(digest) };
  const bytes = message === undefined ? await readInput(messageFile as string) : utf8(message);
  return { bytes, digest: sha256(bytes) };
}

function digestFrom(digits: string): Bytes {
  const bytes = fromHex(digits);
  if (bytes?.length === 32) return bytes;
  throw new UsageError("USAGE", `--digest has 64 hexadecimal digits: found ${JSON.stringify(digits)}`);
}
