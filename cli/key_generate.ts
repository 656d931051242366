/**
 * `quorate key generate`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { type Curve, CURVES } from "../src/math/curve.ts";
import { formatPublicKey, recordOf } from "../src/node/public_key.ts";
import { parsePolicy } from "../src/primitives/access.ts";
import type { FrostScheme } from "../src/protocols/frost/suite.ts";
import { optionsOf, withParty } from "./options.ts";
import { print } from "./output.ts";

interface GenerateOptions {
  readonly key: string;
  readonly curve: string;
  readonly scheme?: string;
  readonly policy?: string;
}

/** Adds the command. */
export function addKeyGenerate(key: Command): void {
  key.command("generate")
    .description("make a key together with all parties of its policy")
    .requiredOption("--key <name>", "name of the new key")
    .option("--curve <name>", "secp256k1, p256 or ed25519", "secp256k1")
    .addOption(
      new Option("--scheme <name>", "kind of signature, where the curve has several").choices([
        "ecdsa",
        "bip340",
      ]),
    )
    .option("--policy <text>", 'who may sign, as "and(alice, 2 of (bob, carol, dave))"')
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<GenerateOptions>(command);
      const kind = kindOf(options);
      const given = options.policy === undefined ? undefined : parsePolicy(options.policy);
      await withParty(options, `key generate --key ${options.key}`, async (party) => {
        const policy = given ?? party.local.config.keyPolicy;
        if (policy === undefined) {
          throw new UsageError(
            "USAGE",
            '--policy is missing: it says who may sign, as "2 of (alice, bob, carol)"',
          );
        }
        const { key: name } = options;
        const made = "scheme" in kind
          ? await party.generateFrostKey({ name, scheme: kind.scheme, policy })
          : await party.generateKey({ name, curve: kind.curve, policy });
        print(options.json, { ...recordOf(made), outcome: made.outcome }, formatPublicKey(made, "hex"));
      });
    });
}

/** What a key is for: ECDSA on a curve, or one of the schemes of FROST. */
export type KeyKind = { readonly curve: Curve } | { readonly scheme: FrostScheme };

/** Reads `--curve` and `--scheme`. @throws UsageError USAGE */
export function kindOf(
  { curve: name, scheme }: { readonly curve: string; readonly scheme?: string },
): KeyKind {
  if (scheme === "bip340") {
    if (name === "secp256k1") return { scheme };
    throw new UsageError("USAGE", `--scheme bip340 is for --curve secp256k1: found ${JSON.stringify(name)}`);
  }
  if (name === "ed25519" && scheme === undefined) return { scheme: "ed25519" };
  const curve = Object.values(CURVES).find((known) => known.name === name);
  if (curve !== undefined) return { curve };
  throw new UsageError(
    "USAGE",
    scheme === undefined
      ? `--curve is one of ${Object.keys(CURVES).join(", ")}, ed25519: found ${JSON.stringify(name)}`
      : `--scheme ecdsa is for --curve ${Object.keys(CURVES).join(" or ")}: found ${JSON.stringify(name)}`,
  );
}
