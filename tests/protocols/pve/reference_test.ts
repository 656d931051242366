import assert from "node:assert/strict";
import { p256, secp256k1 } from "../../../src/math/curve.ts";
import { ed25519 } from "../../../src/math/ed25519.ts";
import { parsePolicy } from "../../../src/primitives/access.ts";
import { createBackup, type SecretShare } from "../../../src/protocols/pve/backup.ts";
import { flipped } from "../support.ts";
import { type ReferenceInput, referenceVerify } from "./reference.ts";
import { custodian, makeShare, rng } from "./support.ts";

const CREATED_AT = 1_790_000_000_000;
const NAMES = ["north", "south", "east"];

function described(shares: readonly SecretShare[]): ReferenceInput["shares"] {
  return shares.map(({ keyId, epoch, group, leaf, publicShare }) => ({
    keyId,
    epoch,
    curve: group.id as 1 | 2 | 3,
    leaf,
    publicShare: group.encodePoint(publicShare),
  }));
}

for (
  const { kind, groups } of [
    { kind: "single", groups: [p256] },
    { kind: "batch", groups: [secp256k1, ed25519] },
    { kind: "quorum", groups: [secp256k1] },
  ] as const
) {
  Deno.test(`createBackup() makes what a verifier written from the specification accepts: ${kind}`, () => {
    const shares = groups.map((group) => makeShare(group));
    const recipients = NAMES.map((name) => custodian("x25519", name).publicKey);
    const keys = new Map(NAMES.map((name) => [name, custodian("x25519", name).publicKey]));
    const [to] = recipients;
    assert.ok(to !== undefined);
    const file = createBackup({
      to: kind === "quorum" ? { policy: parsePolicy("2 of (north, south, east)"), keys } : to,
      shares,
      createdAt: CREATED_AT,
      rng,
    });
    const input: ReferenceInput = {
      kind,
      recipients: recipients.map(({ bytes }) => bytes),
      ...(kind === "quorum" ? { names: NAMES, minimum: 2 } : {}),
      createdAt: CREATED_AT,
      shares: described(shares),
    };
    assert.equal(referenceVerify(file, input), true);
    assert.equal(referenceVerify(flipped(file, file.length - 1), input), false);
  });
}
