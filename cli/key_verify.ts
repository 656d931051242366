/**
 * `quorate key verify`.
 *
 * @module
 */

import type { Command } from "commander";
import { type Bytes, fromUtf8 } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { childKey } from "../src/node/derivation.ts";
import { isFrostInfo } from "../src/node/frost_keys.ts";
import {
  type FrostPublicKey,
  parseFrostSignature,
  parsePublicKey,
  parseSignature,
  type PublicKey,
} from "../src/node/public_key.ts";
import { frostMessageOf } from "../src/node/key_commands.ts";
import { addMessageOptions, type Message, messageOf, type MessageOptions } from "./message.ts";
import { keyInfoOf, requireEcdsa } from "./key_derive.ts";
import { type GlobalOptions, optionsOf } from "./options.ts";
import { print, readInput } from "./output.ts";

interface VerifyOptions extends MessageOptions {
  readonly key?: string;
  readonly public?: string;
  readonly record?: string;
  readonly path?: string;
  readonly signature: string;
}

/** Adds the command. */
export function addKeyVerify(key: Command): void {
  addMessageOptions(
    key.command("verify")
      .description("check a signature; needs no other party")
      .option("--key <name>", "name of a key of this party")
      .option(
        "--public <file>",
        "or a public key: PEM, a JSON Web Key, or the hexadecimal digits of a BIP340 key",
      )
      .option("--record <file>", "or a public record")
      .option("--path <path>", "the signature is of a child of the key, as m/0/5")
      .requiredOption("--signature <file>", "DER, 64 bytes, or the JSON of key sign"),
  ).action(async (_options: unknown, command: Command) => {
    const options = optionsOf<VerifyOptions>(command);
    if ([options.signature, options.messageFile, options.public].filter((path) => path === "-").length > 1) {
      throw new UsageError("USAGE", "only one of the inputs can be -: standard input is read once");
    }
    const message = await messageOf(options);
    const bytes = await readInput(options.signature);
    const valid = isValid(await publicKeyOf(options), message, bytes, options.signature);
    if (!valid) {
      throw new UsageError(
        "SIGNATURE_INVALID",
        `the signature in ${options.signature} is not one of this key on this message`,
      );
    }
    print(options.json, { valid }, "the signature is valid\n");
  });
}

function isValid(key: PublicKey | FrostPublicKey, message: Message, signature: Bytes, what: string): boolean {
  if ("suite" in key) {
    const { suite, point } = key;
    return suite.verify(
      point,
      frostMessageOf({ message: message.bytes, digest: message.digest }, suite.scheme),
      parseFrostSignature(signature, what),
    );
  }
  const { curve, point } = key;
  const { digest } = message;
  return curve.verifyEcdsa({
    publicKey: point,
    digest,
    signature: parseSignature(signature, what),
    lowS: false,
  });
}

async function publicKeyOf(options: GlobalOptions & VerifyOptions): Promise<PublicKey | FrostPublicKey> {
  const { key, public: file, record, path } = options;
  if ([key, file, record].filter((source) => source !== undefined).length !== 1) {
    throw new UsageError("USAGE", "exactly one of --key, --public and --record is needed");
  }
  if (file !== undefined) {
    if (path === undefined) return parsePublicKey(fromUtf8(await readInput(file)) ?? "", file);
    throw new UsageError("USAGE", "children follow from a record or a key here, not from a public key alone");
  }
  const info = await keyInfoOf(options, "key verify");
  if (isFrostInfo(info) && path === undefined) {
    return { suite: info.record.suite, point: info.record.publicKey };
  }
  const { curve, publicKey } = childKey(requireEcdsa(info), path ?? "m");
  return { curve, point: publicKey };
}
