import assert from "node:assert/strict";
import { keyId } from "../../src/base/brands.ts";
import { CheaterError, type Code, TransportError } from "../../src/base/errors.ts";
import { secp256k1 } from "../../src/math/curve.ts";
import { decodeRecord } from "../../src/audit/events.ts";
import { readRecords } from "../../src/audit/records.ts";
import { listSegments } from "../../src/audit/segments.ts";
import { runCommand } from "../../src/node/command.ts";
import { partyConfig } from "../../src/node/config.ts";
import { type ApprovedRequest, type ApprovedSession, signApproved } from "../../src/node/approved_signing.ts";
import { NodeReport, type ReportOptions } from "../../src/node/daemon_report.ts";
import { signWithFrost, type StartSession } from "../../src/node/frost_keys.ts";
import { Secret } from "../../src/base/secret.ts";
import { listCommand, showCommand, unbanCommand } from "../../src/node/key_commands.ts";
import type { Party } from "../../src/node/party.ts";
import { noteFailedSigning } from "../../src/node/signers.ts";
import { parsePolicy } from "../../src/primitives/access.ts";
import { Cluster, rejects, values } from "./fixture.ts";

const DIGEST = new Uint8Array(32).fill(5);
const ID = keyId(new Uint8Array(32));
const PLACE = { keyId: ID, epoch: 3, signers: [1, 2, 4] };

/** An error, and what is concluded from it. */
function conclusions(error: unknown): { readonly counted: unknown[]; readonly banned: unknown[] } {
  const counted: unknown[] = [], banned: unknown[] = [];
  noteFailedSigning(
    {
      signersFailed: (place) => void counted.push(place),
      banSigner: (ban) => void banned.push(ban),
    },
    PLACE,
    error,
  );
  return { counted, banned };
}

function cheater(code: Code, ...culprits: number[]): CheaterError {
  return new CheaterError({ code, round: 2, culprits, what: "the sum is wrong" });
}

/** As a session ends whose last round has left. */
function afterRelease(cause: unknown): TransportError {
  return new TransportError("OUTCOME_UNKNOWN", "a signature may exist", { cause });
}

Deno.test("noteFailedSigning() counts failures with nobody to name, also after the last round, and no others", () => {
  for (const error of [cheater("UNATTRIBUTABLE"), afterRelease(cheater("UNATTRIBUTABLE"))]) {
    assert.deepEqual(conclusions(error), { counted: [PLACE], banned: [] });
  }
  for (const code of ["ECHO_MISMATCH", "CHEATED", "PAIR_BURNED"] as const) {
    assert.deepEqual(conclusions(cheater(code)), { counted: [], banned: [] });
  }
  assert.deepEqual(conclusions(new TransportError("TIMEOUT", "nobody came")), { counted: [], banned: [] });
});

Deno.test("noteFailedSigning() bans whom this party's own check has named", () => {
  for (const code of ["CHEATED", "EQUIVOCATION", "INVALID_MESSAGE"] as const) {
    for (const error of [cheater(code, 2, 4), afterRelease(cheater(code, 2, 4))]) {
      const ban = { keyId: ID, epoch: 3, code, reason: "the sum is wrong" };
      assert.deepEqual(conclusions(error), {
        counted: [],
        banned: [{ ...ban, party: 2 }, { ...ban, party: 4 }],
      });
    }
  }
});

Deno.test("noteFailedSigning() bans nobody for a pair that is banned, for what a peer says, or who does not sign", () => {
  const nothing = { counted: [], banned: [] };
  assert.deepEqual(conclusions(cheater("PAIR_BURNED", 2)), nothing);
  assert.deepEqual(conclusions(cheater("CHEATED", 3)), nothing);
  for (const code of ["PEER_ABORTED", "PEER_REFUSED", "TIMEOUT", "PAIR_MISSING"] as const) {
    const relayed = new TransportError(code, "bob cheated", { parties: [2], cause: cheater("CHEATED", 2) });
    assert.deepEqual(conclusions(relayed), nothing);
    assert.deepEqual(conclusions(afterRelease(relayed)), nothing);
  }
});

/** The report of a node that reaches everybody. */
function reportOf(party: Party): NodeReport {
  const peers = [["bob", 2], ["carol", 3]].map(([name, peer]) => ({
    name,
    peer,
    role: "dialler",
    state: "up",
    directions: { in: "up", out: "up" },
  }));
  return new NodeReport({
    local: party.local,
    links: () => ({ peers, counts: { peers: [] } }),
  } as unknown as ReportOptions);
}

Deno.test("signWithFrost() and signApproved() ban who is named when they fail, and sign with nobody who is banned", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const asked = { name: "f", scheme: "ed25519", policy: parsePolicy("2 of (alice, bob)") } as const;
  values(await cluster.all(["alice", "bob"], (party) => party.generateFrostKey(asked)));
  await using alice = await cluster.open("alice");
  const failing = () => Promise.resolve({ result: Promise.reject(cheater("CHEATED", 2)) });
  const signing = signWithFrost(alice.local, failing as unknown as StartSession, {
    name: "f",
    message: DIGEST,
  });
  await rejects(signing, "CHEATED", /the sum is wrong/);
  const { store } = alice.local;
  const { keyId } = store.active("f");
  assert.deepEqual(store.bans(keyId).map(({ party }) => party), [2]);
  // What was approved is signed with the same parties, or not.
  const approved = () =>
    signApproved(alice.local, { start: failing } as unknown as ApprovedSession, {
      keyId,
      signers: [1, 2],
      approved: { scheme: "ed25519", mode: "message", input: DIGEST, path: [], lowS: true },
    } as unknown as ApprovedRequest);
  await rejects(approved(), "SIGNER_BANNED", /with bob/);
  store.unbanSigner(keyId, 2);
  await rejects(approved(), "CHEATED", /the sum is wrong/);
  assert.deepEqual(store.bans(keyId).map(({ party }) => party), [2]);
});

Deno.test("Party signs nothing with a banned signer, in any epoch, until an operator lifts the ban", async () => {
  const all = ["alice", "bob", "carol"];
  using cluster = await Cluster.make(all);
  const policy = parsePolicy("2 of (alice, bob, carol)");
  const asked = { name: "f", scheme: "ed25519", policy } as const;
  values(await cluster.all(all, (party) => party.generateFrostKey(asked)));
  const sign = (party: Party, signers: readonly string[]) =>
    party.signMessage({ name: "f", message: DIGEST, signers });
  {
    await using alice = await cluster.open("alice");
    const { keyId } = alice.local.store.active("f");
    alice.local.store.banSigner({ keyId, epoch: 0, party: 2, code: "CHEATED", reason: "its share is wrong" });
  }
  values(await cluster.all(all, (party) => party.refreshKey({ name: "f" })));
  {
    await using alice = await cluster.open("alice");
    const refusal = /^nothing is signed with bob: .*its share is wrong; .* quorate key unban$/;
    await rejects(sign(alice, ["alice", "bob"]), "SIGNER_BANNED", refusal);
    assert.equal(alice.network, undefined, "nobody was asked");
    assert.deepEqual((await runCommand(listCommand, alice, {}))[0]?.banned, ["bob"]);
    const { bans: [ban] } = await runCommand(showCommand, alice, { key: "f" });
    assert.deepEqual([ban?.signer, ban?.code, ban?.reason], ["bob", "CHEATED", "its share is wrong"]);
    const [standing] = reportOf(alice).keys();
    assert.deepEqual([standing?.reachable, standing?.banned, standing?.margin], [all, ["bob"], 0]);
  }
  values(await cluster.all(["alice", "carol"], (party) => sign(party, ["alice", "carol"])));
  {
    await using alice = await cluster.open("alice");
    const request = { key: "f", signer: "bob" };
    assert.deepEqual(await runCommand(unbanCommand, alice, request), { ...request, unbanned: true });
    assert.deepEqual(await runCommand(unbanCommand, alice, request), { ...request, unbanned: false });
  }
  values(await cluster.all(["alice", "bob"], (party) => sign(party, ["alice", "bob"])));
  const { directory } = partyConfig(cluster.config, "alice").audit;
  const records = [...readRecords(listSegments(directory), "alice")].map(({ line }) => decodeRecord(line));
  const bans = records.filter(({ type }) => type.includes("banned"));
  assert.deepEqual(bans.map(({ type, remote }) => [type, remote]), [["signer_banned", "bob"], [
    "signer_unbanned",
    "bob",
  ]]);
});

Deno.test("Party refuses signers whose signatures failed three times with nobody to name, in this epoch alone", async () => {
  using cluster = await Cluster.make(["alice", "bob", "carol"]);
  const policy = parsePolicy("2 of (alice, bob, carol)");
  const request = { name: "k", curve: secp256k1, policy };
  values(await cluster.all(["alice", "bob", "carol"], (party) => party.generateKey(request)));
  const alice = await cluster.open("alice");
  const { store } = alice.local;
  const { keyId, epoch } = store.active("k");
  const signers = ["alice", "bob"];
  const bob = await cluster.open("bob");
  // It signs with another share than its own.
  const openKey = bob.local.openKey.bind(bob.local);
  bob.local.openKey = (entry) => {
    const { share, ...rest } = openKey(entry);
    const other = new Secret(share.share.expose().map((byte, i) => i === 31 ? byte ^ 1 : byte));
    return { ...rest, share: { ...share, share: other } };
  };
  const lied = [alice, bob].map((party) => party.sign({ name: "k", digest: DIGEST, signers }));
  await Promise.allSettled(lied);
  await rejects(lied[0] as Promise<unknown>, "CHEATED", /bob/);
  await bob.close();
  assert.deepEqual(store.bans(keyId).map(({ party, code }) => [party, code]), [[2, "CHEATED"]]);
  assert.ok(store.unbanSigner(keyId, 2));
  for (let i = 0; i < 3; i++) store.signersFailed({ keyId, epoch, signers: [1, 2] });
  await rejects(
    alice.sign({ name: "k", digest: DIGEST, signers }),
    "FAILURE_BUDGET",
    /3 signatures of these signers failed/,
  );
  store.banSigner({ keyId, epoch, party: 2, code: "CHEATED", reason: "its share is wrong" });
  await rejects(alice.sign({ name: "k", digest: DIGEST, signers }), "SIGNER_BANNED", /with bob/);
  store.admitSigners({ keyId, epoch, signers: [1, 3] });
  assert.ok(store.unbanSigner(keyId, 2));
  store.admitSigners({ keyId, epoch: epoch + 1, signers: [1, 2] });
  await alice.close();
  const others = values(
    await cluster.all(
      ["alice", "carol"],
      (party) => party.sign({ name: "k", digest: DIGEST, signers: ["alice", "carol"] }),
    ),
  );
  assert.ok(others.every(({ signature }) => signature !== undefined));
});
