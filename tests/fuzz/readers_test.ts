import assert from "node:assert/strict";
import { makeTargets } from "./targets.ts";

/** By the file that reads: names of targets, or how they begin; or, in words, why it needs none. */
const READERS: Readonly<Record<string, readonly string[] | string>> = {
  "audit/canonical.ts": ["audit record"],
  "audit/cosigning.ts": ["witness answer"],
  "audit/proof.ts": ["audit proof"],
  "audit/witness.ts": ["witness request"],
  "node/approval_wire.ts": ["APPROVAL"],
  "node/audit_exchange.ts": ["witness message", "witness answer"],
  "node/dashboard_page.ts": "runs in a browser, with what the own node says",
  "node/hand_off.ts": ["ROSTER"],
  "node/operator_wire.ts": ["operators, "],
  "node/peer_views.ts": ["VIEW"],
  "node/private_key.ts": ["private key to import"],
  "node/public_key.ts": ["public key, text", "signature, "],
  "node/public_record.ts": ["public record, text"],
  "node/vote_records.ts": ["stored row of votes"],
  "node/voting.ts": ["ROSTER"],
  "primitives/access.ts": ["policy, binary"],
  "protocols/bound.ts": "eight bytes, each of which is a time",
  "protocols/dkg/certificate.ts": ["certificate of a key"],
  "protocols/dkg/dkg.ts": "what this party has stored",
  "protocols/dkg/stored_key.ts": ["stored key", "stored departure", "offer of a generated key"],
  "protocols/ecdsa/pair_state.ts": ["pair state"],
  "protocols/frost/activate.ts": "what this party has stored",
  "protocols/frost/certificate.ts": ["FROST, certificate of "],
  "protocols/frost/dkg.ts": "what this party has computed",
  "protocols/frost/held.ts": ["FROST, offer of epochs"],
  "protocols/frost/key.ts": ["FROST, record", "FROST, stored key"],
  "protocols/frost/nonces.ts": "what this party has computed",
  "protocols/frost/stored_key.ts": ["FROST, stored key"],
  "protocols/key_share.ts": ["key share", "public record"],
  "protocols/local.ts": "rounds of protocols, each of which is a target",
  "protocols/pve/backup.ts": "shares of this party, which go into a backup",
  "protocols/pve/cut_and_choose.ts": ["backup", "answer of a custodian"],
  "protocols/pve/drill.ts": "32 bytes, in tests/protocols/pve",
  "protocols/pve/quorum.ts": ["answer of a custodian"],
  "protocols/pve/row_schemes.ts": ["answer of a custodian"],
  "protocols/reshare/certify.ts": "what this party has stored",
  "protocols/reshare/held.ts": ["offer of epochs"],
  "session/evidence.ts": ["OPEN", "envelope"],
  "session/host.ts": ["OPEN", "READY", "SESSION_REFUSED", "ABORT", "DONE"],
  "session/running.ts": "rounds of protocols, each of which is a target",
  "storage/high_water.ts": "authenticated before it is read, in tests/storage/tamper_test.ts",
  "storage/ledger.ts": "authenticated before it is read, in tests/storage/tamper_test.ts",
  "storage/lock.ts": "who holds the lock of the own directory",
  "storage/postgres_migrations.ts": "a function of PostgreSQL",
  "transport/hello.ts": ["HELLO"],
  "transport/message.ts": ["ACK", "HEARTBEAT", "ERROR"],
  "voting/approval.ts": ["approval"],
  "voting/items.ts": ["gossip, item"],
  "voting/node.ts": ["gossip"],
  "voting/offence.ts": ["gossip, item"],
  "voting/roster.ts": ["roster that was decided"],
};

const READS = /(?:^|[^#\w.]|\.\.\.)decode\(\w|JSON\.parse\(/m;

Deno.test("every file that decodes is fuzzed, or says why not", async () => {
  const source = new URL("../../src/", import.meta.url);
  const found = [];
  for await (const path of filesIn(source, "")) {
    const text = (await Deno.readTextFile(new URL(path, source))).replaceAll(/^\s*(\/?\*|\/\/).*$/gm, "");
    if (READS.test(text) && path !== "base/codec.ts") found.push(path);
  }
  assert.deepEqual(found.sort(), Object.keys(READERS).sort());
  const targets = (await makeTargets("readers")).map(({ name }) => name);
  for (const [path, names] of Object.entries(READERS)) {
    if (typeof names === "string") continue;
    for (const name of names) {
      assert.ok(targets.some((target) => target.startsWith(name)), `${path}: no target ${name}`);
    }
  }
});

async function* filesIn(root: URL, folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) yield* filesIn(root, `${folder}${name}/`);
    else if (name.endsWith(".ts")) yield folder + name;
  }
}
