import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { EMPTY } from "../../src/base/bytes.ts";
import { approvedDigest } from "../../src/node/approval_key.ts";
import { encodeApprovalMessage } from "../../src/node/approval_wire.ts";
import { NO_SESSION } from "../../src/session/opening.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import { NAMES, World } from "./approvals_world.ts";

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    assert.ok(waited < 15_000, "it took too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("Approvals at a node do not suffer from what others say", async (t) => {
  await using world = await World.make(["ecdsa"]);
  await world.linked();
  const { approvals } = world.node("alice");

  await t.step(
    "a bad invitation is no reason for the node itself not to sign, and who has let a share out makes the outcome unknown",
    async () => {
      for (const name of ["bob", "carol", "dave"] as const) world.node(name).approvals.pause();
      const approval = world.approval();
      const certificate = world.certificate(approval);
      world.decide(certificate);
      await until(() => approvals.state(approval.txId)?.refusals.length === 3);
      const { mesh } = world.node("erin").party.network!;
      const invite = {
        kind: "invite" as const,
        request: new Uint8Array(32),
        certificate,
        signers: [1, 2, 5].map(partyId),
        digest: approvedDigest(approval),
        superseded: EMPTY,
      };
      for (
        const bad of [
          { ...invite, digest: new Uint8Array(32) },
          { ...invite, signers: [1, 5].map(partyId) },
          { ...invite, certificate: { ...certificate, votes: certificate.votes.slice(0, 3) } },
        ]
      ) {
        const before = world.node("erin").events.length;
        const payload = encodeApprovalMessage(bad);
        mesh.send(partyId(1), { type: NodeMessageType.APPROVAL, session: NO_SESSION, payload });
        await until(() => world.node("erin").events.length > before);
      }
      const nodes = approvals.state(approval.txId)?.refusals.map(({ node }) => node).sort();
      assert.deepEqual(nodes?.filter((node) => node !== "erin"), ["bob", "carol", "dave"]);
      assert.equal(approvals.state(approval.txId)?.outcome, "failed");
      const told = { kind: "told" as const, keyId: approval.keyId, txId: approval.txId, signature: EMPTY };
      const payload = encodeApprovalMessage({ ...told, state: "released" });
      mesh.send(partyId(1), { type: NodeMessageType.APPROVAL, session: NO_SESSION, payload });
      await until(() => approvals.state(approval.txId)?.outcome === "unknown");
      for (const name of NAMES) world.node(name).approvals.resume();
    },
  );

  await t.step("a signer whose clock is ahead is named, and moves nobody's clock", async () => {
    await world.restart("bob", { now: () => Date.now() + 300_000 });
    for (const name of ["dave", "erin"] as const) world.node(name).approvals.pause();
    const approval = world.approval();
    world.decide(world.certificate(approval));
    await until(() => approvals.state(approval.txId)?.outcome !== "pending");
    assert.match(
      approvals.state(approval.txId)?.reason ?? "",
      /bob refuses \(the clock of bob is (299|300) s ahead of the one at (alice|carol), and at most 30 s are allowed/,
    );
    for (const name of ["alice", "carol"] as const) {
      assert.ok(world.node(name).approvals.locks.highWater < Date.now() + 30_000, name);
    }
  });

  await t.step("what fails at a node for a peer does not end its process", async () => {
    const { events } = world.node("alice");
    approvals.pause();
    const approval = world.approval();
    const certificate = world.certificate(approval);
    world.decide(certificate, ["alice"]);
    let failed = 0;
    events.push = () => {
      failed++;
      throw new Error("the log is broken");
    };
    const invite = encodeApprovalMessage({
      kind: "invite",
      request: new Uint8Array(32),
      certificate,
      signers: [1, 3, 5].map(partyId),
      digest: approvedDigest(approval),
      superseded: EMPTY,
    });
    const { mesh } = world.node("erin").party.network!;
    mesh.send(partyId(1), { type: NodeMessageType.APPROVAL, session: NO_SESSION, payload: invite });
    await until(() => failed > 1);
    events.push = Array.prototype.push;
    // Nor is the node done with it.
    for (const name of ["alice", "dave", "erin"] as const) world.node(name).approvals.resume();
    world.decide(certificate);
    assert.equal((await approvals.settled(approval.txId, 15_000))?.outcome, "signed");
  });
});
