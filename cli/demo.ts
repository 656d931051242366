/**
 * `demo`: the main job with real processes on this machine. Every party is a process of its own that may read its own key
 * files, write its own data and reach its own peers, and nothing else.
 *
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../src/base/errors.ts";
import { backupDemo, type BackupDemoOptions } from "./demo_backup.ts";
import { DEMO_MESSAGE, type DemoOptions, withCluster } from "./demo_stage.ts";
import { generate, refresh, signAndVerify } from "./demo_steps.ts";
import { votingDemo } from "./demo_voting.ts";
import { optionsOf } from "./options.ts";

/** What two parties sign where no message is given. */
const PAIR_MESSAGE = "Hello, MPC ECDSA with mTLS!";

/** Adds `demo` and the demos by name. */
export function addDemo(program: Command): void {
  const demo = program.command("demo").description("show the main job with real processes on this machine")
    .option(
      "--message <text>",
      `what is signed (default: "${DEMO_MESSAGE}", for ecdsa-2pc "${PAIR_MESSAGE}")`,
    )
    .option("--parties <number>", "how many parties (default: 4, for agree-random 2)");
  demo.action(() => quorumDemo(demoOptions(demo)));
  const agree = demo.command("agree-random").description("parties agree on a random value");
  agree.action(() => agreeRandomDemo(demoOptions(agree)));
  const pair = demo.command("ecdsa-2pc").description("two parties hold one ECDSA key");
  pair.action(() => twoPartyDemo(demoOptions(pair)));
  const backup = demo.command("ecdsa-backup")
    .description("four parties hold a key on P-256, back it up, lose a share, recover it and refresh the key")
    .option("--policy <text>", "who may sign (default: all four)")
    .option("--save-backup [directory]", "keep the backups, as hexadecimal digits, and what verifies them");
  const voting = demo.command("voting").description("five nodes vote: four equal votes decide");
  voting.action(() => votingDemo(demoOptions(voting)));
  backup.action(() => backupDemo(demoOptions<BackupDemoOptions>(backup)));
}

/** Four parties make a key, three of them sign, everybody can verify; or as many as are asked for, and all but one. */
async function quorumDemo(options: DemoOptions): Promise<void> {
  await withCluster(options, 4, async (stage) => {
    // Bob stays away, where there are enough others.
    const quorum = stage.names.filter((_, i) => i !== 1 || stage.names.length === 2);
    const policy = `${quorum.length} of (${stage.names.join(", ")})`;
    await generate(stage, { key: "treasury", members: stage.names, curve: "secp256k1", policy });
    await signAndVerify(stage, quorum, "treasury");
  });
}

/** Two parties, and(alice, bob): they sign before the refresh and after it. */
async function twoPartyDemo(options: DemoOptions): Promise<void> {
  if (options.parties !== undefined && options.parties !== "2") {
    throw new UsageError("USAGE", `ecdsa-2pc is between two parties: found --parties ${options.parties}`);
  }
  await withCluster({ ...options, message: options.message ?? PAIR_MESSAGE }, 2, async (stage) => {
    const policy = `and(${stage.names.join(", ")})`;
    await generate(stage, { key: "wallet", members: stage.names, curve: "secp256k1", policy });
    await signAndVerify(stage, stage.names, "wallet");
    await refresh(stage, "wallet");
    await signAndVerify(stage, stage.names, "wallet");
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
      stage.results["value"] = [...results.values()][0]?.stdout.trim();
      stage.say("all parties have the same value");
    });
  });
}

/** A demo is all parties of a cluster of its own. @throws UsageError USAGE for an option that names another one. */
function demoOptions<T extends object = object>(command: Command): DemoOptions & T {
  const other = ["config", "party"].find((option) => {
    const source = command.getOptionValueSourceWithGlobals(option);
    return source !== undefined && source !== "default";
  });
  if (other === undefined) return optionsOf<T>(command);
  throw new UsageError(
    "USAGE",
    `a demo makes a cluster of its own and runs all its parties: leave out --${other}`,
  );
}
