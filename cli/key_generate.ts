/**
 * `quorate key generate`.
 *
 * @module
 */

import type { Command } from "commander";
import { hex } from "../src/base/bytes.ts";
import { UsageError } from "../src/base/errors.ts";
import { type Curve, CURVES } from "../src/math/curve.ts";
import { recordOf } from "../src/node/public_key.ts";
import { parsePolicy } from "../src/primitives/access.ts";
import { optionsOf, withParty } from "./options.ts";
import { print } from "./output.ts";

interface GenerateOptions {
  readonly key: string;
  readonly curve: string;
  readonly policy?: string;
}

/** Adds the command. */
export function addKeyGenerate(key: Command): void {
  key.command("generate")
    .description("make a key together with all parties of its policy")
    .requiredOption("--key <name>", "name of the new key")
    .option("--curve <name>", "secp256k1 or p256", "secp256k1")
    .option("--policy <text>", 'who may sign, as "and(alice, 2 of (bob, carol, dave))"')
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<GenerateOptions>(command);
      const curve = curveNamed(options.curve);
      const given = options.policy === undefined ? undefined : parsePolicy(options.policy);
      await withParty(options, `key generate --key ${options.key}`, async (party) => {
        const policy = given ?? party.local.config.keyPolicy;
        if (policy === undefined) {
          throw new UsageError(
            "USAGE",
            '--policy is missing: it says who may sign, as "2 of (alice, bob, carol)"',
          );
        }
        const made = await party.generateKey({ name: options.key, curve, policy });
        print(
          options.json,
          { ...recordOf(made), outcome: made.outcome },
          hex(curve.encodePoint(made.record.publicKey)) + "\n",
        );
      });
    });
}

function curveNamed(name: string): Curve {
  const curve = Object.values(CURVES).find((known) => known.name === name);
  if (curve !== undefined) return curve;
  throw new UsageError(
    "USAGE",
    `--curve is one of ${Object.keys(CURVES).join(", ")}: found ${JSON.stringify(name)}`,
  );
}
