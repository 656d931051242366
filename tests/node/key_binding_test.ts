import assert from "node:assert/strict";
import { QuorateError } from "../../src/base/errors.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { parseConfig } from "../../src/node/config.ts";
import {
  requireBindable,
  requireExportable,
  requirePlain,
  smallestQuorum,
} from "../../src/node/key_binding.ts";
import { exportPrivateKey } from "../../src/node/key_export.ts";
import { parsePublicRecord } from "../../src/node/public_record.ts";
import { recordOf } from "../../src/node/public_key.ts";
import { runCommand } from "../../src/node/command.ts";
import { listCommand } from "../../src/node/key_commands.ts";
import { keyInfo } from "../../src/node/party.ts";
import { Cluster, rejects, values } from "./fixture.ts";

const NAMES = ["alice", "bob", "carol"];

function refuses(work: () => unknown, code: string, message: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof QuorateError);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** A cluster of three whose votes need all, and of which one may vote twice. */
async function votingCluster() {
  const cluster = await Cluster.make(NAMES);
  const text = Deno.readTextFileSync(cluster.configPath) + "\n[voting]\nquorum = 3\nfaults = 0\n";
  Deno.writeTextFileSync(cluster.configPath, text);
  const config = parseConfig(text, cluster.configPath);
  return { cluster: Object.assign(cluster, { config }), config };
}

Deno.test("smallestQuorum() counts how many parties are enough", () => {
  for (
    const [text, expected] of [
      ["3 of (a, b, c, d, e)", 3],
      ["and(a, 2 of (b, c, d))", 3],
      ["or(and(a, b), c, d)", 1],
      ["2 of (and(a, b, c), and(d, e), or(f, g))", 3],
    ] as const
  ) {
    assert.equal(smallestQuorum(parsePolicy(text, { allowSingle: true })), expected, text);
  }
});

Deno.test("requireBindable() refuses a bound key where nobody votes, or where those who may cheat could sign", async () => {
  const { cluster, config } = await votingCluster();
  using _cluster = cluster;
  const purpose = "approved-signing" as const;
  // 3 of 3 decide: 2 may vote twice without two decisions.
  const weak = parsePolicy("2 of (alice, bob, carol)"), strong = parsePolicy("and(alice, bob, carol)");
  refuses(
    () => requireBindable(config, { policy: weak, purpose }),
    "NODE_POLICY_WEAK",
    /2 of the parties can sign/,
  );
  requireBindable(config, { policy: strong, purpose });
  requireBindable(config, { policy: weak });
  requireBindable(config, { policy: weak, purpose: "plain" });
  const silent = { voting: undefined, path: "quorate.toml" };
  refuses(
    () => requireBindable(silent, { policy: strong, purpose }),
    "CONFIG_INVALID",
    /no section \[voting\]/,
  );
});

Deno.test("requirePlain() and requireExportable() refuse bound keys by their names", () => {
  requirePlain({ purpose: "plain" }, "k");
  requireExportable({ purpose: "plain" }, "k");
  refuses(() => requirePlain({ purpose: "approved-signing" }, "k"), "APPROVAL_REQUIRED", /^k signs only/);
  refuses(() => requirePlain({ purpose: "decision" }, "k"), "KEY_PURPOSE", /^k signs decisions/);
  refuses(
    () => requireExportable({ purpose: "approved-signing" }, "k"),
    "APPROVAL_REQUIRED",
    /--without-approval/,
  );
  refuses(() => requireExportable({ purpose: "decision" }, "k"), "KEY_PURPOSE", /--without-approval/);
});

Deno.test("a key that is bound to approval is made, listed and refreshed as such, and signs nothing on request", async () => {
  const { cluster, config } = await votingCluster();
  using _cluster = cluster;
  const policy = parsePolicy("and(alice, bob, carol)"), purpose = "approved-signing" as const;
  const name = "vault";
  const digest = new Uint8Array(32).fill(1);
  const made = values(
    await cluster.all(NAMES, async (party) => {
      await rejects(
        party.generateKey({
          name,
          curve: secp256k1,
          policy: parsePolicy("2 of (alice, bob, carol)"),
          purpose,
        }),
        "NODE_POLICY_WEAK",
        /2 of the parties/,
      );
      const ecdsa = await party.generateKey({ name, curve: secp256k1, policy, purpose });
      const frost = await party.generateFrostKey({ name: "seal", scheme: "ed25519", policy, purpose });
      await rejects(party.sign({ name, digest }), "APPROVAL_REQUIRED", /quorate propose --key vault/);
      await rejects(party.signMessage({ name: "seal", message: digest }), "APPROVAL_REQUIRED", /--key seal/);
      await party.refreshKey({ name });
      await party.refreshKey({ name: "seal" });
      const weaker = { name, policy: parsePolicy("2 of (alice, bob, carol)") };
      await rejects(party.reshareKey(weaker), "NODE_POLICY_WEAK", /2 of the parties/);
      const listed = await runCommand(listCommand, party, {});
      const info = keyInfo(party.local, name);
      return { ecdsa, frost, listed, info };
    }),
  );
  for (const { ecdsa, frost, listed, info } of made) {
    assert.deepEqual([ecdsa.record.purpose, frost.record.purpose], [purpose, purpose]);
    assert.deepEqual(listed.map(({ key, purpose, epoch }) => [key, purpose, epoch]), [
      ["seal", purpose, 1],
      ["vault", purpose, 1],
    ]);
    // The record as a file says what the key is for, and its certificate would not fit another purpose.
    const text = JSON.stringify(recordOf(info));
    assert.equal(parsePublicRecord(text, "the record").record.purpose, purpose);
    const plain = { ...recordOf(info) };
    delete plain["purpose"];
    refuses(() => parsePublicRecord(JSON.stringify(plain), "the record"), "RECORD_INVALID", /another key/);
  }
  const request = { name, parties: NAMES, format: "pem" as const };
  await rejects(exportPrivateKey(config, request), "APPROVAL_REQUIRED", /vault is bound to its purpose/);
  using _text = (await exportPrivateKey(config, { ...request, withoutApproval: true })).text;
});
