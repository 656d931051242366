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
import { isThere, reasonOf, writeNew } from "../src/storage/files.ts";
import { type DemoOptions, lastLineOf, type Stage, withCluster } from "./demo_stage.ts";
import { generate, refresh, signAndVerify } from "./demo_steps.ts";
import { requireWritable } from "./output.ts";
import type { Finished } from "./processes.ts";

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
    if (options.saveBackup !== undefined) requireRoom(members, options.saveBackup);
    const quorum = solve(policy, new Set(members), p256)?.active ?? members;
    const text = formatPolicy(policy);

    await stage.step(`Access structure: ${text}`, () => {
      stage.say(`${members.length} parties get a share; ${quorum.join(", ")} sign together`);
      stage.results["policy"] = text;
      return Promise.resolve();
    });
    await generate(stage, { key: KEY, members, curve: "p256", policy: text });
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

/** One signer less is refused before anybody is asked. */
async function refuseTooFew(stage: Stage, quorum: readonly string[]): Promise<void> {
  const few = quorum.slice(0, -1);
  await stage.step(`Signing without a quorum: ${few.join(", ")}`, async () => {
    const first = few[0] as string;
    const refused = await stage.attempt(first, [
      ...["key", "sign", "--key", KEY, "--signers", few.join(","), "--message", stage.message],
      ...["--format", "json"],
    ]);
    requireCode(refused, 2, "a set that is no quorum was not refused");
    stage.say(`[${first}] ${lastLineOf(refused.stderr)}`);
  });
}

/** The custodian is no party: its private key is where no party can read it. */
async function backUp(stage: Stage, members: readonly string[]): Promise<void> {
  await stage.step("Backup: each party encrypts its share to a custodian's key", async () => {
    const own = stage.own(CUSTODIAN);
    const made = await stage.stranger(["backup", "custodian", "--out", join(own, CUSTODIAN)], {
      write: [own],
    });
    requireCode(made, 0, "the custodian has no key");
    const custodian = stage.publish(CUSTODIAN, "custodian.pub");
    const paths = (party: string) => ({ read: [stage.published], write: [stage.own(party)] });
    const backups = await stage.run(members, (party) => [
      ...[
        "backup",
        "create",
        "--key",
        KEY,
        "--custodian",
        custodian,
        "--out",
        join(stage.own(party), BACKUP),
      ],
    ], paths);
    for (const [party, { stdout }] of backups) {
      const place = join(stage.own(party), BACKUP);
      Deno.copyFileSync(place, backupOf(stage, party));
      const said = stdout.trim().replace(` in ${place}`, "");
      stage.say(`[${party}] ${said}, in ${Deno.statSync(place).size} bytes`);
    }
    const first = members[0] as string;
    await stage.run([first], () => [
      ...["key", "export-public", "--key", KEY, "--format", "record"],
      ...["--out", join(stage.own(first), RECORD)],
    ], paths);
    stage.publish(first, RECORD);
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
    stage.say(`one bit changed: ${lastLineOf(refused.stderr)}`);
  });
}

function verifyOne(stage: Stage, backup: string): Promise<Finished> {
  return stage.stranger([
    ...["backup", "verify", "--backup", backup, "--custodian", stage.file("custodian.pub")],
    ...["--record", stage.file(RECORD)],
  ], { read: [stage.published] });
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
    stage.say(`[${lost}] ${lastLineOf(gone.stderr)}`);
    const restored = await stage.run([lost], (party) => [
      ...recovery(stage, party),
      ...["--record", stage.file(RECORD)],
    ], () => recoveryPaths(stage));
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
    const stale = await stage.attempt(party, recovery(stage, party), recoveryPaths(stage));
    requireCode(stale, 1, "a backup of an earlier epoch was taken");
    stage.say(`[${party}] ${lastLineOf(stale.stderr)}`);
  });
}

function recovery(stage: Stage, party: string): string[] {
  const key = join(stage.own(CUSTODIAN), "custodian.key");
  return ["backup", "recover", "--backup", backupOf(stage, party), "--custodian-key", key];
}

/** In the recovery alone a party sees the custodian's private key. */
function recoveryPaths(stage: Stage): { readonly read: readonly string[] } {
  return { read: [stage.published, join(stage.own(CUSTODIAN), "custodian.key")] };
}

/** Where backups are to be kept is looked at first, not when the demo is over. @throws UsageError FILE_EXISTS or FILE_UNWRITABLE */
function requireRoom(members: readonly string[], place: string | true): void {
  const directory = directoryOf(place);
  try {
    Deno.mkdirSync(directory, { recursive: true });
  } catch (cause) {
    throw new UsageError("FILE_UNWRITABLE", `cannot make ${directory}: ${reasonOf(cause)}`, { cause });
  }
  for (const file of [...members.map(savedBackup), ...SAVED]) {
    const path = join(directory, file);
    requireWritable(path);
    if (isThere(path)) {
      throw new UsageError(
        "FILE_EXISTS",
        `${path} is there already: name another directory with --save-backup`,
      );
    }
  }
}

function save(stage: Stage, members: readonly string[], place: string | true): void {
  const directory = directoryOf(place);
  for (const party of members) {
    const digits = utf8(hex(Deno.readFileSync(backupOf(stage, party))) + "\n");
    writeNew(join(directory, savedBackup(party)), digits, PUBLIC);
  }
  for (const file of SAVED) writeNew(join(directory, file), Deno.readFileSync(stage.file(file)), PUBLIC);
  stage.results["saved"] = directory;
  stage.say(
    `\nThe backups of epoch 0 are in ${directory}, with what verifies them: xxd -r -p ${
      savedBackup(members[0] as string)
    } makes one that quorate backup verify reads. The custodian's key is gone.`,
  );
}

function directoryOf(place: string | true): string {
  return place === true ? "." : place;
}

function savedBackup(party: string): string {
  return `backup-${party}.hex`;
}

function backupOf(stage: Stage, party: string): string {
  return stage.file(`${party}.pve`);
}

function requireCode({ code, stderr }: Finished, expected: number, otherwise: string): void {
  if (code === expected) return;
  throw new TransportError(
    "PEER_ABORTED",
    `${otherwise}: the process ended with code ${code}: ${lastLineOf(stderr)}`,
  );
}

const CUSTODIAN = "custodian";
const BACKUP = "share.pve";
const RECORD = "treasury.json";
const SAVED = ["custodian.pub", RECORD] as const;
/** Nothing in these files is secret. */
const PUBLIC = { mode: 0o644, code: "FILE_UNWRITABLE" } as const;
