/**
 * What is read of keys for Ed25519 and BIP340: from disks, from peers, and as public records from people.
 */

import { partyId } from "../../src/base/brands.ts";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { DecodeError } from "../../src/base/codec.ts";
import { CheaterError, UsageError } from "../../src/base/errors.ts";
import { formatPublicKey, parsePublicKey } from "../../src/node/public_key.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { decodeFrostCertificate, encodeFrostCertificate } from "../../src/protocols/frost/certificate.ts";
import { encodeFrostHeld, readFrostHeld } from "../../src/protocols/frost/held.ts";
import { decodeFrostRecord, encodeFrostRecord } from "../../src/protocols/frost/key.ts";
import {
  decodeFrostStoredKey,
  encodeFrostStoredKey,
  type FrostStoredKey,
} from "../../src/protocols/frost/stored_key.ts";
import { FROST_SUITES } from "../../src/protocols/frost/suite.ts";
import { runFrostDkg, SCHEMES } from "../protocols/frost/support.ts";
import { makeGroup, valuesOf } from "../protocols/support.ts";
import type { Target } from "./targets.ts";

const ALICE = partyId(1);

/** All targets. Their inputs are of one key per scheme, which does not depend on the seed and is made once. */
export function frostTargets(): readonly Target[] {
  targets ??= makeTargets();
  return targets;
}

let targets: readonly Target[] | undefined;

function makeTargets(): readonly Target[] {
  const keys = SCHEMES.map((scheme) => {
    const stored: FrostStoredKey[] = [];
    const made = runFrostDkg(makeGroup("2 of (alice, bob, carol)"), scheme, {
      onPersist(party, record) {
        if (party !== ALICE || record.kind !== "key-pending") return;
        stored.push(decodeFrostStoredKey(record.key.expose()));
      },
    });
    const result = valuesOf(made).get(ALICE);
    const [key] = stored;
    if (result === undefined || key === undefined) throw new Error("alice has no key");
    const { certificate, share: { record } } = result;
    return { key, certificate, info: { name: "seal", record, certificate } };
  });
  const isUsage = (code: string) => (error: unknown) => error instanceof UsageError && error.code === code;
  const isDecode = (error: unknown) => error instanceof DecodeError;
  return [
    {
      name: "FROST, stored key",
      inputs: keys.map(({ key }) => encodeFrostStoredKey(key).expose()),
      read: (input) => encodeFrostStoredKey(decodeFrostStoredKey(input)).expose(),
      refuses: isDecode,
    },
    {
      name: "FROST, record",
      inputs: keys.map(({ info }) => encodeFrostRecord(info.record)),
      read: (input) => encodeFrostRecord(decodeFrostRecord(input)),
      refuses: isDecode,
    },
    ...SCHEMES.map((scheme, i): Target => {
      const { group } = FROST_SUITES[scheme];
      return {
        name: `FROST, certificate of ${scheme}`,
        inputs: keys.slice(i, i + 1).map(({ certificate }) => certificate),
        read: (input) => encodeFrostCertificate(group, decodeFrostCertificate(group, input)),
        refuses: isDecode,
      };
    }),
    {
      name: "FROST, offer of epochs",
      inputs: keys.map(({ key }) => encodeFrostHeld([{ state: "active", key }])),
      read: (input) => void readFrostHeld(ALICE, input),
      refuses: (error) => error instanceof CheaterError && error.code === "INVALID_MESSAGE",
    },
    {
      name: "public record, text",
      inputs: keys.map(({ info }) => utf8(formatPublicKey(info, "record"))),
      words: [
        '"scheme"',
        '"bip340"',
        '"ed25519"',
        '"curve"',
        "null",
        "[]",
        "{}",
        "-1",
        "1e9",
        '"',
        ",",
        "\\u0000",
      ],
      read: (input) => void parsePublicRecord(fromUtf8(input) ?? "", "file"),
      refuses: isUsage("RECORD_INVALID"),
    },
    {
      name: "public key, text",
      inputs: [
        formatPublicKey(infoOf(0), "pem"),
        formatPublicKey(infoOf(0), "jwk"),
        formatPublicKey(infoOf(1), "hex"),
      ].map(utf8),
      words: ['"OKP"', '"EC"', '"Ed25519"', '"Ed448"', '"x"', '""', "{}", "=", "-----BEGIN PUBLIC KEY-----"],
      read: (input) => void parsePublicKey(fromUtf8(input) ?? "", "file"),
      refuses: isUsage("FILE_UNREADABLE"),
    },
  ];

  function infoOf(index: number) {
    return (keys[index] as typeof keys[number]).info;
  }
}
