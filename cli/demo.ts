/**
 * `demo`: the main job with real processes on this machine. Every party is a process of its own that may read its own key
 * files, write its own data and reach its own peers, and nothing else.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { backupDemo, type BackupDemoOptions } from "./demo_backup.ts";
import { DEMO_MESSAGE, type DemoOptions, refresh, signAndVerify, withCluster } from "./demo_stage.ts";
import { optionsOf } from "./options.ts";

/** Adds `demo` and the demos by name. */
export function addDemo(program: Command): void {
  const demo = program.command("demo").description("show the main job with real processes on this machine")
    .option("--message <text>", `what is signed (default: "${DEMO_MESSAGE}")`)
    .option("--parties <number>", "how many parties (default: 4, for agree-random 2)");
  demo.action(() => quorumDemo(optionsOf(demo)));
  const agree = demo.command("agree-random").description("parties agree on a random value");
  agree.action(() => agreeRandomDemo(optionsOf(agree)));
  const pair = demo.command("ecdsa-2pc").description("two parties hold one ECDSA key");
  pair.action(() => twoPartyDemo(optionsOf(pair)));
  const backup = demo.command("ecdsa-backup")
    .description("four parties hold a key on P-256, back it up, lose a share, recover it and refresh the key")
    .option("--policy <text>", "who may sign (default: all four)")
    .option("--save-backup [directory]", "keep the backups, as hexadecimal digits, and what verifies them");
  backup.action(() => backupDemo(optionsOf<BackupDemoOptions>(backup)));
}

/** Four parties make a key, three of them sign, everybody can verify. */
async function quorumDemo(options: DemoOptions): Promise<void> {
  await withCluster(options, 4, async (stage) => {
    const quorum = stage.names.filter((_, i) => i !== 1).slice(0, Math.max(2, stage.names.length - 1));
    const policy = `${quorum.length} of (${stage.names.join(", ")})`;
    await stage.step(`Distributed key generation on secp256k1, policy "${policy}"`, async () => {
      const made = await stage.run(
        stage.names,
        () => ["key", "generate", "--key", "treasury", "--curve", "secp256k1", "--policy", policy],
      );
      stage.each(made, (out) => `public key ${out.trim()}`);
      stage.equalEverywhere(made);
    });
    await signAndVerify(stage, quorum, "treasury");
  });
}

/** Two parties: and(P0, P1). */
async function twoPartyDemo(options: DemoOptions): Promise<void> {
  if (options.parties !== undefined && options.parties !== "2") {
    throw new UsageError("USAGE", `ecdsa-2pc is between two parties: found --parties ${options.parties}`);
  }
  await withCluster(options, 2, async (stage) => {
    const policy = `and(${stage.names.join(", ")})`;
    await stage.step(`Key generation between two parties on secp256k1, policy "${policy}"`, async () => {
      const made = await stage.run(
        stage.names,
        () => ["key", "generate", "--key", "wallet", "--curve", "secp256k1", "--policy", policy],
      );
      stage.each(made, (out) => `public key ${out.trim()}`);
      stage.equalEverywhere(made);
    });
    await signAndVerify(stage, stage.names, "wallet");
    await refresh(stage, "wallet");
  });
}

async function agreeRandomDemo(options: DemoOptions): Promise<void> {
  if (options.message !== undefined) {
    throw new UsageError("USAGE", "agree-random signs nothing: leave out --message");
  }
  await withCluster(options, 2, async (stage) => {
    await stage.step("Agree on 256 random bits: commit, open, confirm", async () => {
      const results = await stage.run(stage.names, () => ["agree-random", "--bits", "256"]);
      stage.say("=== Protocol completed successfully ===");
      stage.each(results, (out) => `result: ${out.trim()}`);
      stage.equalEverywhere(results);
      stage.say("all parties have the same value");
    });
  });
}
