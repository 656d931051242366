/**
 * `demo ecdsa-backup`: four parties make a key on P-256, sign, back their shares up so that anyone can verify it, lose one, recover
 * it and refresh the key.
 *
 * @module
 */

import { join } from "node:path";
import { hex, utf8 } from "../src/base/bytes.ts";
import { TransportError, UsageError } from "../src/base/errors.ts";
import { formatPolicy, leavesOf, parsePolicy, solve } from "../src/primitives/access.ts";
import { p256 } from "../src/math/curve.ts";
import { writeNew } from "../src/storage/files.ts";
import { type DemoOptions, refresh, signAndVerify, type Stage, withCluster } from "./demo_stage.ts";
import { type Finished, runStranger } from "./processes.ts";

/** What this demo takes beside what all take. */
export interface BackupDemoOptions extends DemoOptions {
  readonly policy?: string;
  readonly saveBackup?: string | true;
}

const KEY = "treasury";

/** Runs the demo. */
export async function backupDemo(options: BackupDemoOptions): Promise<void> {
  if (options.parties !== undefined && options.parties !== "4") {
    throw new UsageError("USAGE", `ecdsa-backup is between four parties: found --parties ${options.parties}`);
  }
  await withCluster(options, 4, async (stage) => {
    const policy = parsePolicy(options.policy ?? `4 of (${stage.names.join(", ")})`);
    const members = leavesOf(policy);
    const stranger = members.find((name) => !stage.names.includes(name));
    if (stranger !== undefined) {
      throw new UsageError(
        "POLICY_INVALID",
        `${stranger} is none of the parties: ${stage.names.join(", ")} are`,
      );
    }
    const quorum = solve(policy, new Set(members), p256)?.active ?? members;
    const text = formatPolicy(policy);

    await stage.step(`Access structure: ${text}`, () => {
      stage.say(`${members.length} parties get a share; ${quorum.join(", ")} sign together`);
      return Promise.resolve();
    });
    await generate(stage, members, text);
    await signAndVerify(stage, quorum, KEY);
    await refuseTooFew(stage, quorum);
    await backUp(stage, members);
    await verifyBackups(stage, members);
    const lost = quorum.at(-1) as string;
    await recover(stage, lost, members.find((name) => name !== lost) as string);
    await signAndVerify(stage, quorum, KEY);
    await refresh(stage, KEY, members);
    await refuseStale(stage, lost);
    await signAndVerify(stage, quorum, KEY);
    if (options.saveBackup !== undefined) save(stage, members, options.saveBackup);
  });
}

async function generate(stage: Stage, members: readonly string[], policy: string): Promise<void> {
  await stage.step(`Distributed key generation on P-256, policy "${policy}"`, async () => {
    const made = await stage.run(
      members,
      () => ["key", "generate", "--key", KEY, "--curve", "p256", "--policy", policy],
    );
    stage.each(made, (out) => `public key ${out.trim()}`);
    stage.equalEverywhere(made);
    stage.results["publicKey"] = [...made.values()][0]?.stdout.trim();
  });
}

/** One signer less is refused before anybody is asked. */
async function refuseTooFew(stage: Stage, quorum: readonly string[]): Promise<void> {
  const few = quorum.slice(0, -1);
  await stage.step(`Signing without a quorum: ${few.join(", ")}`, async () => {
    const first = few[0] as string;
    const args = [
      "key",
      "sign",
      "--key",
      KEY,
      "--signers",
      few.join(","),
      "--message",
      stage.message,
      "--json",
    ];
    const refused = await stage.attempt(first, args);
    requireCode(refused, 2, "a set that is no quorum was not refused");
    stage.say(`[${first}] ${errorOf(refused)}`);
  });
}

async function backUp(stage: Stage, members: readonly string[]): Promise<void> {
  await stage.step("Backup: each party encrypts its share to a custodian's key", async () => {
    const custodian = stage.file("custodian");
    const first = members[0] as string;
    const write = () => ({ read: [stage.work], write: [stage.work] });
    await stage.run([first], () => ["backup", "custodian", "--out", custodian], write);
    const made = await stage.run(members, (party) => [
      ...[
        "backup",
        "create",
        "--key",
        KEY,
        "--custodian",
        `${custodian}.pub`,
        "--out",
        backupOf(stage, party),
      ],
    ], write);
    stage.each(made, (out) => out.trim());
    for (const party of members) stage.say(`[${party}] ${Deno.statSync(backupOf(stage, party)).size} bytes`);
    await stage.run([first], () => [
      ...["key", "export-public", "--key", KEY, "--format", "record", "--out", stage.file("treasury.json")],
    ], write);
  });
}

/** A process that may read the public files and nothing else checks them. */
async function verifyBackups(stage: Stage, members: readonly string[]): Promise<void> {
  await stage.step("Verification by a stranger, from public files alone", async () => {
    for (const party of members) {
      const checked = await verifyOne(stage, backupOf(stage, party));
      requireCode(checked, 0, `the backup of ${party} does not verify`);
      stage.say(checked.stdout.trim());
    }
    const forged = stage.file("forged.pve");
    const bytes = Deno.readFileSync(backupOf(stage, members[0] as string));
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
    Deno.writeFileSync(forged, bytes);
    const refused = await verifyOne(stage, forged);
    requireCode(refused, 65, "a changed backup was not refused");
    stage.say(`one bit changed: ${errorOf(refused)}`);
  });
}

function verifyOne(stage: Stage, backup: string): Promise<Finished> {
  return runStranger([
    ...["backup", "verify", "--backup", backup, "--custodian", stage.file("custodian.pub")],
    ...["--record", stage.file("treasury.json")],
  ], { read: [stage.work] });
}

/** The disk of one party is gone; what the custodian opens takes its place. */
async function recover(stage: Stage, lost: string, helper: string): Promise<void> {
  await stage.step(`Recovery: ${lost} lost its share`, async () => {
    const { dataDirectory } = stage.party(lost);
    for (const { name } of [...Deno.readDirSync(dataDirectory)]) {
      if (/^(quorate\.sqlite|high-water)/.test(name)) Deno.removeSync(join(dataDirectory, name));
    }
    const gone = await stage.attempt(lost, ["key", "show", "--key", KEY]);
    requireCode(gone, 64, "the share is still there");
    stage.say(`[${lost}] ${errorOf(gone)}`);
    const restored = await stage.run([lost], () => [
      ...[
        "backup",
        "recover",
        "--backup",
        backupOf(stage, lost),
        "--custodian-key",
        stage.file("custodian.key"),
      ],
      ...["--record", stage.file("treasury.json")],
    ], () => ({ read: [stage.work] }));
    stage.each(restored, (out) => out.trim());
    const shown = await stage.run(
      [lost, helper],
      () => ["key", "export-public", "--key", KEY, "--format", "record"],
    );
    stage.equalEverywhere(shown);
    stage.say(`the record at ${lost} is the one at ${helper}`);
  });
}

/** After the refresh the backup restores nothing: it is told apart from one of the new epoch. */
async function refuseStale(stage: Stage, party: string): Promise<void> {
  await stage.step("The backup from before the refresh", async () => {
    const stale = await stage.attempt(party, [
      ...[
        "backup",
        "recover",
        "--backup",
        backupOf(stage, party),
        "--custodian-key",
        stage.file("custodian.key"),
      ],
    ], { read: [stage.work] });
    requireCode(stale, 1, "a backup of an earlier epoch was taken");
    stage.say(`[${party}] ${errorOf(stale)}`);
  });
}

function save(stage: Stage, members: readonly string[], place: string | true): void {
  const directory = place === true ? "." : place;
  Deno.mkdirSync(directory, { recursive: true });
  const files: [string, Uint8Array][] = [
    ...members.map((party): [string, Uint8Array] => {
      return [`backup-${party}.hex`, utf8(hex(Deno.readFileSync(backupOf(stage, party))) + "\n")];
    }),
    ...["custodian.pub", "treasury.json"].map((file): [string, Uint8Array] => [
      file,
      Deno.readFileSync(stage.file(file)),
    ]),
  ];
  for (const [file, content] of files) writeNew(join(directory, file), content);
  stage.results["saved"] = directory;
  stage.say(
    `\nThe backups of epoch 0 are in ${directory}, with what verifies them. The custodian's key is gone.`,
  );
}

function backupOf(stage: Stage, party: string): string {
  return stage.file(`${party}.pve`);
}

function requireCode({ code, stderr }: Finished, expected: number, otherwise: string): void {
  if (code === expected) return;
  throw new TransportError(
    "PEER_ABORTED",
    `${otherwise}: its process ended with code ${code}: ${stderr.trim()}`,
  );
}

/** The sentence of an error, without what progress said before it. */
function errorOf({ stderr }: Finished): string {
  return stderr.trim().split("\n").at(-1) as string;
}
