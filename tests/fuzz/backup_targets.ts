/** What of backups reads files of others: backups, answers of custodians, custodians' keys. */

import { type Bytes, fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { toPem } from "../../src/base/pem.ts";
import { p256, secp256k1 } from "../../src/math/curve.ts";
import { ed25519 } from "../../src/math/ed25519.ts";
import { leavesOf, parsePolicy } from "../../src/primitives/access.ts";
import { createBackup } from "../../src/protocols/pve/backup.ts";
import {
  formatCustodianKey,
  parseCustodianKey,
  parseCustodianPrivateKey,
} from "../../src/protocols/pve/custodian.ts";
import { decodeBackup, encodeBackup } from "../../src/protocols/pve/format.ts";
import { answerBackup, recoverQuorumBackup } from "../../src/protocols/pve/quorum.ts";
import { RSA_TEST_KEY } from "../base/rsa_test_key.ts";
import { custodian, makeShare, rng } from "../protocols/pve/support.ts";
import type { Target } from "./targets.ts";

const CREATED_AT = 1_790_000_000_000;

/** All targets. Their inputs do not depend on the seed and are made once. */
export function backupTargets(): readonly Target[] {
  targets ??= [backups(), answers(), ...custodianKeys()];
  return targets;
}

let targets: readonly Target[] | undefined;

const share = makeShare(secp256k1);

function groupOf(text: string) {
  const policy = parsePolicy(text, { allowSingle: true });
  const keys = new Map(leavesOf(policy).map((name) => [name, custodian("x25519", name).publicKey]));
  return { policy, keys };
}

function backups(): Target {
  const make = (to: Parameters<typeof createBackup>[0]["to"], shares = [share]) =>
    createBackup({ to, shares, createdAt: CREATED_AT, rng });
  return {
    name: "backup",
    inputs: [
      make(custodian("x25519").publicKey),
      make(custodian("p256").publicKey, [makeShare(p256)]),
      make(custodian("rsa").publicKey, [makeShare(ed25519)]),
      make(custodian("x25519").publicKey, [share, makeShare(p256)]),
      make(groupOf("and(north, or(south, east))")),
    ],
    read: (input) => encodeBackup(decodeBackup(input)),
    refuses: (error) => error instanceof DecodeError,
  };
}

/** Whatever a custodian answers, the shares are those of the backup, or there are none. */
function answers(): Target {
  const custodians = groupOf("or(north, south)");
  const backup = createBackup({ to: custodians, shares: [share], createdAt: CREATED_AT, rng });
  const answer = answerBackup(backup, custodian("x25519", "north")).expose();
  const wanted = share.share.expose();
  return {
    name: "answer of a custodian",
    inputs: [answer as Bytes],
    read(input) {
      const options = { custodians, answers: [input], shares: [share], verify: false };
      const { shares } = recoverQuorumBackup(backup, options);
      if (shares[0]?.share.expose().toHex() !== wanted.toHex()) {
        throw new Error("another share was recovered");
      }
      return undefined;
    },
    refuses: (error) =>
      error instanceof UsageError && ["BACKUP_INVALID", "BACKUP_UNOPENED"].includes(error.code),
  };
}

function custodianKeys(): Target[] {
  const text = (input: Uint8Array) => fromUtf8(input) ?? "";
  const words = ["-----BEGIN PUBLIC KEY-----", "-----END", "=", "A", "\n", "\r\n"];
  const refuses = (error: unknown) => error instanceof UsageError && error.code === "IDENTITY_INVALID";
  return [
    {
      name: "custodian, public key",
      inputs: (["x25519", "p256", "rsa"] as const).map((suite) =>
        utf8(formatCustodianKey(custodian(suite).publicKey))
      ),
      words,
      read: (input) => void formatCustodianKey(parseCustodianKey(text(input), "file")),
      refuses,
    },
    {
      name: "custodian, private key",
      inputs: [
        ...(["x25519", "p256"] as const).map((suite) => utf8(custodian(suite).toPem())),
        utf8(toPem("PRIVATE KEY", RSA_TEST_KEY)),
      ],
      words,
      read(input) {
        using _key = parseCustodianPrivateKey(text(input), "file");
      },
      refuses,
    },
  ];
}
