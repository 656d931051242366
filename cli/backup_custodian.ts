/**
 * `quorate backup custodian` and `backup drill`: the keys of those who open backups.
 *
 * @module
 */

import { type Command, Option } from "commander";
import { fromHex, hex, utf8 } from "../src/base/bytes.ts";
import { keyId } from "../src/base/brands.ts";
import { UsageError } from "../src/base/errors.ts";
import { systemRng } from "../src/base/rng.ts";
import { secp256k1 } from "../src/math/curve.ts";
import { describeBackup, verifyBackup } from "../src/protocols/pve/backup.ts";
import { custodianName, formatCustodianKey, generateCustodianKey } from "../src/protocols/pve/custodian.ts";
import { answerDrill, checkDrill, createDrill, type Drill } from "../src/protocols/pve/drill.ts";
import { type CustodianSuite, isSameCustodian } from "../src/protocols/pve/pke.ts";
import { isThere, writeNew } from "../src/storage/files.ts";
import { readCustodian, readCustodianSecret } from "./backup_options.ts";
import { optionsOf } from "./options.ts";
import { print, readInput, requireWritable, writeResult } from "./output.ts";

interface CustodianOptions {
  readonly out: string;
  readonly suite: keyof typeof SUITES;
}

interface DrillOptions {
  readonly custodian?: string;
  readonly custodianKey?: string;
  readonly drill?: string;
  readonly answer?: string;
  readonly out?: string;
}

/** Adds `backup custodian`. */
export function addBackupCustodian(backup: Command): void {
  backup.command("custodian")
    .description("make the key pair of a custodian, who opens backups; keep it away from the parties")
    .requiredOption("--out <name>", "writes NAME.key, which is secret, and NAME.pub")
    .addOption(
      new Option("--suite <kind>", "kind of key; the others are for hardware that has no X25519")
        .choices(Object.keys(SUITES)).default("x25519"),
    )
    .action((_options: unknown, command: Command) => {
      const options = optionsOf<CustodianOptions>(command);
      const paths = { key: `${options.out}.key`, pub: `${options.out}.pub` };
      for (const path of Object.values(paths)) {
        requireWritable(path);
        if (isThere(path)) {
          throw new UsageError("FILE_EXISTS", `${path} is there already: choose another --out`);
        }
      }
      using key = generateCustodianKey(SUITES[options.suite], systemRng);
      // A public key whose private key was never written would make backups that nobody opens.
      writeNew(paths.key, utf8(key.toPem()), { code: "FILE_UNWRITABLE" });
      writeNew(paths.pub, utf8(formatCustodianKey(key.publicKey)), { mode: 0o644, code: "FILE_UNWRITABLE" });
      const custodian = custodianName(key.publicKey);
      print(
        options.json,
        { custodian, suite: options.suite, privateKey: paths.key, publicKey: paths.pub },
        `custodian ${custodian}: ${paths.pub} for the parties, ${paths.key} for the custodian alone\n`,
      );
    });
}

/** Adds `backup drill`. */
export function addBackupDrill(backup: Command): void {
  backup.command("drill")
    .description(
      "prove with a throw-away backup that a custodian still has its key: at once, or in three steps " +
        "(--custodian --out; the custodian: --drill --custodian-key; --drill --custodian --answer)",
    )
    .option("--custodian <file>", "public key of the custodian")
    .option("--custodian-key <file>", "private key of the custodian")
    .option(
      "--drill <file>",
      "a drill that was made before; whoever made it keeps a copy to check the answer with",
    )
    .option("--answer <hex>", "what the custodian answered to the drill")
    .option("--out <file>", "file for a new drill")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<DrillOptions>(command);
      const { custodian, custodianKey, drill, answer, out } = options;
      const given = [custodian, custodianKey, drill, answer, out].map((value) => value === undefined ? 0 : 1)
        .join("");
      switch (given) {
        case "11000":
          await drillAtOnce(custodian as string, custodianKey as string);
          return printPassed(options.json);
        case "10001": {
          requireWritable(out);
          return writeResult(out, (await newDrill(custodian as string)).backup);
        }
        case "01100": {
          using key = readCustodianSecret(custodianKey as string);
          const secret = hex(answerDrill(await readInput(drill as string), key));
          return print(options.json, { answer: secret }, `${secret}\n`);
        }
        case "10110":
          await checkAnswer(custodian as string, drill as string, answer as string);
          return printPassed(options.json);
        default:
          throw new UsageError(
            "USAGE",
            "a drill needs --custodian and --custodian-key; or, step by step, --custodian and --out, then " +
              "--drill and --custodian-key, then --drill, --custodian and --answer",
          );
      }
    });
}

async function drillAtOnce(publicPath: string, privatePath: string): Promise<void> {
  const { backup, publicShare } = await newDrill(publicPath);
  using key = readCustodianSecret(privatePath);
  const custodian = await readCustodian(publicPath);
  if (!isSameCustodian(key.publicKey, custodian)) {
    throw new UsageError("DRILL_FAILED", `${privatePath} is not the private key of ${publicPath}`);
  }
  requirePassed({ publicShare }, answerDrill(backup, key));
}

async function newDrill(publicPath: string): Promise<Drill> {
  const id = keyId(systemRng.bytes(32));
  const to = await readCustodian(publicPath);
  return createDrill({ to, id, createdAt: Date.now(), rng: systemRng });
}

async function checkAnswer(publicPath: string, drillPath: string, answer: string): Promise<void> {
  const bytes = await readInput(drillPath);
  const { shares } = describeBackup(bytes);
  verifyBackup(bytes, { to: await readCustodian(publicPath), shares, purpose: "drill" });
  const secret = fromHex(answer.trim());
  if (secret === undefined) {
    throw new UsageError("USAGE", "--answer has 64 hexadecimal digits, as the custodian's step prints them");
  }
  const [share] = shares;
  if (share === undefined || share.group.id !== secp256k1.id) {
    throw new UsageError("BACKUP_INVALID", `${drillPath} is no drill that was made here`);
  }
  requirePassed(share, secret);
}

function requirePassed(drill: Pick<Drill, "publicShare">, answer: Uint8Array): void {
  if (checkDrill(drill, answer)) return;
  throw new UsageError(
    "DRILL_FAILED",
    "the answer is not the secret of the drill: the custodian lost its key",
  );
}

function printPassed(json: boolean | undefined): void {
  print(json, { passed: true }, "the custodian has its key\n");
}

const SUITES = { x25519: "x25519", p256: "p256", rsa3072: "rsa" } as const satisfies Record<
  string,
  CustodianSuite
>;
