/**
 * `quorate key sign`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { type Bytes, hex, utf8 } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { frostKeyInfo, isFrostKey } from "../src/node/frost_keys.ts";
import type { Party, SignRequest, SignResult } from "../src/node/party.ts";
import { formatPath } from "../src/protocols/ecdsa/derive.ts";
import type { EcdsaSignature } from "../src/protocols/ecdsa/signature.ts";
import { requireEcdsa } from "./key_derive.ts";
import {
  addMessageOptions,
  frostMessageOf,
  type Message,
  messageOf,
  type MessageOptions,
} from "./message.ts";
import { namesOf, optionsOf, withParty } from "./options.ts";
import { print, requireFileForBytes, requireWritable, writeError, writeResult } from "./output.ts";

interface SignOptions extends MessageOptions {
  readonly key: string;
  readonly signers?: string;
  readonly path?: string;
  readonly out?: string;
  readonly format?: "der" | "compact" | "json";
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
      new Option(
        "--format <form>",
        "form of the signature (default: der for ECDSA, compact for Ed25519 and BIP340)",
      ).choices(["der", "compact", "json"]),
    )
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<SignOptions>(command);
      requireWritable(options.out);
      if (options.format !== "json" && options.json !== true) requireFileForBytes(options.out);
      const signers = options.signers === undefined ? undefined : namesOf(options.signers, "--signers");
      const message = await messageOf(options);
      await withParty(options, `key sign --key ${options.key}`, async (party) => {
        const request = { name: options.key, ...(signers === undefined ? {} : { signers }) };
        const signed = isFrostKey(party.local.store.active(options.key))
          ? await signWithFrost(party, request, options, message)
          : await signWithEcdsa(party, request, options, message);
        if (signed.signature === undefined) {
          writeError(`${options.party} is not needed: ${signed.signers.join(", ")} sign`);
          if (options.json === true) {
            print(true, { key: options.key, needed: false, signers: signed.signers }, "");
          }
          return;
        }
        const toStdout = options.out === undefined || options.out === "-";
        if (toStdout && options.json === true) return print(true, signed.described, "");
        const asJson = utf8(JSON.stringify(signed.described) + "\n");
        writeResult(options.out, options.format === "json" ? asJson : signed.signature);
        if (options.json === true) print(true, signed.described, "");
      });
    });
}

/** A signature in the form asked for, and what is said of it; undefined where this party was not needed. */
type Signed = {
  readonly signers: readonly string[];
  readonly signature: Bytes | undefined;
  readonly described?: object;
};

async function signWithEcdsa(
  party: Party,
  request: Pick<SignRequest, "name" | "signers">,
  { path, format }: SignOptions,
  { digest }: Message,
): Promise<Signed> {
  const result = await party.sign({ ...request, digest, ...(path === undefined ? {} : { path }) });
  const { signature, signers } = result;
  if (signature === undefined) return { signers, signature };
  return {
    signers,
    signature: format === "compact" ? signature.compact : signature.der,
    described: describe(result, signature, digest),
  };
}

async function signWithFrost(
  party: Party,
  request: Pick<SignRequest, "name" | "signers">,
  { path, format }: SignOptions,
  message: Message,
): Promise<Signed> {
  const info = frostKeyInfo(party.local, request.name);
  if (path !== undefined) requireEcdsa(info);
  const { scheme } = info.record.suite;
  if (format === "der") {
    throw new UsageError(
      "KEY_SCHEME",
      `a signature of ${scheme} has 64 bytes and no DER form: --format is compact or json`,
    );
  }
  const signed = frostMessageOf(message, scheme);
  const { record, name, signers, signature } = await party.signMessage({ ...request, message: signed });
  if (signature === undefined) return { signers, signature };
  const described = {
    key: name,
    keyId: hex(record.keyId),
    epoch: record.epoch,
    curve: record.suite.group.name,
    scheme,
    publicKey: hex(record.suite.publicKeyBytes(record.publicKey)),
    signers,
    digest: hex(message.digest),
    compact: hex(signature),
  };
  return { signers, signature, described };
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
