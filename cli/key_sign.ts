/**
 * `quorate key sign`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { type Bytes, hex, utf8 } from "../src/base/bytes.ts";
import type { SignResult } from "../src/node/party.ts";
import { formatPath } from "../src/protocols/ecdsa/derive.ts";
import type { EcdsaSignature } from "../src/protocols/ecdsa/signature.ts";
import { addMessageOptions, digestOf, type MessageOptions } from "./message.ts";
import { namesOf, optionsOf, withParty } from "./options.ts";
import { print, requireFileForBytes, requireWritable, writeError, writeResult } from "./output.ts";

interface SignOptions extends MessageOptions {
  readonly key: string;
  readonly signers?: string;
  readonly path?: string;
  readonly out?: string;
  readonly format: "der" | "compact" | "json";
}

/** Adds the command. */
export function addKeySign(key: Command): void {
  addMessageOptions(
    key.command("sign")
      .description("sign together with a quorum")
      .requiredOption("--key <name>", "name of the key")
      .option("--signers <names>", "who is at hand, as alice,bob (default: all members)")
      .option("--path <path>", "sign with a child of the key, as m/0/5"),
  )
    .option("--out <file>", "file instead of stdout")
    .addOption(
      new Option("--format <form>", "form of the signature").choices(["der", "compact", "json"]).default(
        "der",
      ),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<SignOptions>(command);
      requireWritable(options.out);
      if (options.format !== "json" && options.json !== true) requireFileForBytes(options.out);
      const signers = options.signers === undefined ? undefined : namesOf(options.signers, "--signers");
      const digest = await digestOf(options);
      await withParty(options, `key sign --key ${options.key}`, async (party) => {
        const result = await party.sign({
          name: options.key,
          digest,
          ...(signers === undefined ? {} : { signers }),
          ...(options.path === undefined ? {} : { path: options.path }),
        });
        const { signature } = result;
        if (signature === undefined) {
          writeError(`${options.party} is not needed: ${result.signers.join(", ")} sign`);
          if (options.json === true) {
            print(true, { key: result.name, needed: false, signers: result.signers }, "");
          }
          return;
        }
        const described = describe(result, signature, digest);
        const toStdout = options.out === undefined || options.out === "-";
        if (toStdout && options.json === true) return print(true, described, "");
        writeResult(options.out, encoded(signature, described, options.format));
        if (options.json === true) print(true, described, "");
      });
    });
}

function describe(
  { name, record, signers, signingKey }: SignResult,
  signature: EcdsaSignature,
  digest: Bytes,
): Record<string, unknown> {
  return {
    key: name,
    keyId: hex(record.keyId),
    epoch: record.epoch,
    curve: record.curve.name,
    publicKey: hex(record.curve.encodePoint(signingKey.publicKey)),
    ...(signingKey.depth === 0 ? {} : { path: formatPath(signingKey.path) }),
    signers,
    digest: hex(digest),
    r: hex(signature.r),
    s: hex(signature.s),
    recoveryId: signature.recoveryId,
    der: hex(signature.der),
    compact: hex(signature.compact),
  };
}

function encoded(signature: EcdsaSignature, described: object, format: SignOptions["format"]): Bytes {
  if (format === "json") return utf8(JSON.stringify(described) + "\n");
  return format === "der" ? signature.der : signature.compact;
}
