import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { EMPTY } from "../../src/base/bytes.ts";
import { ApprovalView } from "../../src/node/approval_view.ts";
import { UsageError } from "../../src/base/errors.ts";
import { approvedDigest } from "../../src/node/approval_key.ts";
import {
  type ApprovalMessage,
  encodeApprovalMessage,
  type Invitation,
} from "../../src/node/approval_wire.ts";
import { NO_SESSION } from "../../src/session/opening.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import type { QuorumCertificate } from "../../src/voting/certificate.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { type Name, NAMES, World } from "./approvals_world.ts";

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    assert.ok(waited < 15_000, `it took too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function say(world: World, from: Name, to: Name, message: ApprovalMessage): void {
  const payload = encodeApprovalMessage(message);
  const frame = { type: NodeMessageType.APPROVAL, session: NO_SESSION, payload };
  world.node(from).party.network!.mesh.send(partyId(NAMES.indexOf(to) + 1), frame);
}

Deno.test("Approvals get on with members that fail, lie or never end", async (t) => {
  await using world = await World.make(["ed25519"]);
  await world.linked();
  const approved = () => {
    const approval = world.approval({ key: "seal" });
    return { approval, certificate: world.certificate(approval), ...approval };
  };
  const invitation = (certificate: QuorumCertificate, signers: readonly number[]): Invitation => ({
    kind: "invite",
    request: crypto.getRandomValues(new Uint8Array(32)),
    certificate,
    signers: signers.map(partyId),
    digest: approvedDigest(world.approval({ key: "seal" })),
    superseded: EMPTY,
  });

  /** Nodes that know of a decision, and begin nothing. */
  const standAside = async (certificate: QuorumCertificate, names: readonly Name[]) => {
    for (const name of names) {
      const { approvals } = world.node(name);
      approvals.pause();
      world.decide(certificate, [name]);
      await until(() => approvals.state(certificate.txId)?.outcome !== "pending", `${name} stands aside`);
      approvals.resume();
    }
  };

  await t.step("to look at a transaction reads no key twice, and no locks of others", async () => {
    const { party, votes, approvals } = world.node("alice");
    const { policy } = party.local.config;
    const view = new ApprovalView({
      party,
      votes,
      policy,
      outbox: undefined,
      locks: approvals.locks,
      now: Date.now,
    });
    const { keyId } = world.approval({ key: "seal" });
    const key = view.keyOf(keyId);
    assert.ok(key !== undefined && view.keyOf(keyId) === key);
    await Promise.all(world.nodes.map(({ party }) => party.refreshKey({ name: "seal" })));
    assert.equal(view.keyOf(keyId)?.epoch, key.epoch + 1);
    const integer = world.decision("tx_integer", encodeValue({ schema: "integer", integer: 1n }));
    votes.certificates.set("tx_integer", integer);
    const { all } = approvals.locks;
    approvals.locks.all = () => assert.fail("it looks through all locks");
    assert.equal(approvals.state("tx_integer"), undefined);
    approvals.locks.all = all;
  });

  await t.step(
    "a signer that is banned is left out, and the others sign; where it asks it is refused",
    async () => {
      const { certificate, keyId, txId } = approved();
      const ban = { keyId, party: 2, epoch: 1, code: "CHEATED", reason: "its share did not verify" };
      for (const { name, party } of world.nodes) if (name !== "bob") party.local.store.banSigner(ban);
      world.decide(certificate);
      const [state] = await world.settled(txId, ["alice"]);
      assert.equal(state?.outcome, "signed", state?.reason);
      const other = approved();
      world.decide(other.certificate, ["bob"]);
      const refusalsOf = () => world.node("bob").approvals.state(other.txId)?.refusals ?? [];
      say(world, "bob", "alice", invitation(other.certificate, [1, 2, 3]));
      await until(() => refusalsOf().some(({ node }) => node === "alice"), "alice refuses");
      assert.match(refusalsOf()[0]!.reason, /check 7 \(signers\) at alice: .* nothing is signed with bob/);
      for (const { party } of world.nodes) party.local.store.unbanSigner(keyId, 2);
    },
  );

  await t.step("a signer that cannot begin says why at once, and the others sign", async () => {
    const { certificate, txId } = approved();
    const { audit } = world.node("bob").party.local;
    const { requireStart } = audit;
    audit.requireStart = () => {
      throw new UsageError("AUDIT_UNWRITABLE", "the audit log cannot be written: the disk is full");
    };
    world.decide(certificate);
    await world.settled(txId, ["alice"]);
    audit.requireStart = requireStart;
    const told = world.node("alice").events.filter((event) =>
      event.kind === "refused" && event.txId === txId
    );
    assert.deepEqual(told.map((event) => event.kind === "refused" && event.refusal), [
      { node: "bob", code: "AUDIT_UNWRITABLE", reason: "the audit log cannot be written: the disk is full" },
    ]);
    assert.equal(world.node("alice").approvals.state(txId)?.outcome, "signed");
  });

  await t.step("signers whose signatures failed too often are not taken together again", async () => {
    const { certificate, keyId, txId } = approved();
    const { epoch } = world.node("alice").party.local.store.active("seal");
    for (const { party } of world.nodes) {
      for (let i = 0; i < 3; i++) party.local.store.signersFailed({ keyId, epoch, signers: [1, 2, 3] });
    }
    world.decide(certificate);
    const [state] = await world.settled(txId, ["alice"]);
    assert.equal(state?.outcome, "signed", state?.reason);
  });

  await t.step("who asks without end gets few sessions, and who refuses without end few lines", async () => {
    const { certificate, txId } = approved();
    const { approvals, events, party } = world.node("alice");
    await standAside(certificate, ["alice", "erin"]);
    const records = party.local.audit.log;
    const before = records.size;
    for (let i = 0; i < 150; i++) say(world, "erin", "alice", invitation(certificate, [1, 4, 5]));
    const refusals = () => world.node("erin").approvals.state(txId)?.refusals ?? [];
    await until(() => refusals().length > 0, "erin is told");
    await pause(500);
    say(world, "erin", "alice", invitation(certificate, [1, 4, 5]));
    await until(() => refusals().some(({ reason }) => /again and again/.test(reason)), "erin is told why");
    assert.ok(records.size - before < 60, `${records.size - before} records of 150 invitations`);
    const told = events.length;
    for (let i = 0; i < 150; i++) {
      const request = new Uint8Array(32);
      say(world, "erin", "alice", {
        kind: "refused",
        request,
        txId,
        code: "APPROVAL_POLICY",
        reason: `no ${i}`,
      });
    }
    const heard = () => events.slice(told).filter(({ kind }) => kind === "refused").length;
    await until(() => heard() > 0, "alice has heard a refusal");
    await pause(500);
    assert.ok(heard() < 10, `${heard()} lines of 150 refusals`);
    // What is refused here is said as seldom.
    approvals.pause();
    const refused = events.length;
    for (let i = 0; i < 150; i++) say(world, "erin", "alice", invitation(certificate, [1, 4, 5]));
    await pause(500);
    assert.ok(events.length - refused < 10, `${events.length - refused} lines of 150 invitations`);
    approvals.resume();
  });

  await t.step("while one has a session of a node nobody else gets one of the same approval", async () => {
    const { certificate, txId } = approved();
    await standAside(certificate, ["alice", "dave"]);
    const mine = invitation(certificate, [1, 4, 5]);
    say(world, "erin", "alice", mine);
    await until(() => world.node("alice").approvals.state(txId)?.outcome === "pending", "erin has a session");
    say(world, "dave", "alice", invitation(certificate, [1, 4, 5]));
    const refusals = () => world.node("dave").approvals.state(txId)?.refusals ?? [];
    await until(() => refusals().some(({ code }) => code === "PARTY_BUSY"), "dave is told");
    // Who has asked may give up.
    const { request } = mine;
    say(world, "erin", "alice", { kind: "refused", request, txId, code: "CANCELLED", reason: "" });
    await until(
      () =>
        world.node("alice").approvals.locks.get(world.approval({ key: "seal", txId }))?.state === "failed",
      "it ends",
    );
  });

  await t.step("a member that begins sessions and ends them does not keep the turn", async () => {
    await world.restart("bob", { stricter: { sessionLimitMs: 1_500 } });
    const { certificate, txId } = approved();
    world.decide(certificate, ["bob", "carol", "dave", "erin"]);
    const { approvals } = world.node("bob");
    for (let i = 0; i < 16 && approvals.signature(txId) === undefined; i++) {
      const mine = invitation(certificate, [1, 2, 4]);
      const { request } = mine;
      say(world, "alice", "bob", mine);
      await pause(300);
      say(world, "alice", "bob", { kind: "refused", request, txId, code: "CANCELLED", reason: "" });
      await pause(200);
    }
    assert.notEqual(approvals.signature(txId), undefined, approvals.state(txId)?.reason);
  });

  await t.step(
    "what a signer said before a session says nothing of it, nor is it forgotten in a restart who took part",
    async () => {
      await world.restart("alice", { stricter: { sessionLimitMs: 1_000 } });
      const others = ["bob", "carol", "dave", "erin"] as const;
      for (const name of others) await world.node(name).approvals[Symbol.asyncDispose]();
      const { certificate, keyId, txId } = approved();
      const outcome = () => world.node("alice").approvals.state(txId)?.outcome;
      const tell = (state: "none" | "prepared" | "failed" | "released", names: readonly Name[] = others) => {
        for (const name of names) {
          say(world, name, "alice", { kind: "told", keyId, txId, state, signature: EMPTY });
        }
      };
      world.decide(certificate, ["alice"]);
      tell("none");
      await until(() => outcome() !== "pending", "nobody answers any more");
      assert.equal(outcome(), "unknown", "nobody has said how the session ended");
      tell("failed", ["bob", "carol", "dave"]);
      tell("prepared", ["erin"]);
      await pause(100);
      assert.equal(outcome(), "unknown", "erin is still in the session");
      tell("failed", ["erin"]);
      await until(() => outcome() === "failed", "everybody says that no share has left");
      await world.restart("alice", { stricter: { sessionLimitMs: 1_000 } });
      await until(() => outcome() !== "pending", "alice has asked around again");
      assert.equal(outcome(), "unknown", "whoever took part may know more");
      tell("failed");
      await until(() => outcome() === "failed", "everybody has said so again");
    },
  );
});
