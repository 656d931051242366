/**
 * What is not signed on approval, with five nodes that are processes of their own: what lacks a vote, what was altered on the way, and
 * anything else under a name after a crash inside the session. The key is one for BIP340.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { schnorr } from "@noble/curves/secp256k1.js";
import { NodeStage } from "../../cli/node_stage.ts";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, copy, EMPTY } from "../../src/base/bytes.ts";
import { approvedDigest } from "../../src/node/approval_key.ts";
import type { SignatureReport } from "../../src/node/approval_routes.ts";
import {
  decodeApprovalMessage,
  encodeApprovalMessage,
  type Invitation,
} from "../../src/node/approval_wire.ts";
import { openParty, type Party } from "../../src/node/party.ts";
import { decodeVoteRecord } from "../../src/node/vote_records.ts";
import type { Links } from "../../src/session/links.ts";
import { NO_SESSION } from "../../src/session/opening.ts";
import { SIGN_LOCKS, VOTING } from "../../src/storage/tables.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { approvalOf } from "../../src/voting/proposal.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { signVote, type Vote } from "../../src/voting/vote.ts";
import { Approvers } from "./approvers.ts";
import { poll } from "./nodes.ts";

const NODES = ["n1", "n2", "n3", "n4", "n5"] as const;
const MESSAGE = "pay 5 to dave";

Deno.test("five nodes sign nothing that lacks a vote, that was altered, or that is another payload after a crash", async (t) => {
  await using stage = await NodeStage.start(NODES, { more: "[policy]\nsession_limit_seconds = 8\n" });
  const desk = new Approvers(stage, { key: "coin", message: MESSAGE });
  const made = await Promise.all(
    NODES.map((name) =>
      desk.ask<{ readonly publicKey: Bytes | string }>(name, "/v1/commands/key.generate", {
        command: "test",
        input: {
          key: "coin",
          curve: "secp256k1",
          scheme: "bip340",
          policy: `3 of (${NODES.join(", ")})`,
          purpose: "approved-signing",
        },
      })
    ),
  );
  assert.equal(made.length, NODES.length);
  const signatureAt = (name: string, txId: string, waitMs: number) =>
    desk.ask<SignatureReport>(name, "/v1/approvals/signature", { txId, waitMs });

  await t.step(
    "three of four votes: no signature anywhere, and both commands name who is missing",
    async () => {
      await desk.answer("pay-1", await desk.propose("pay-1"), ["n2", "n3", "n4"]);
      await poll(() => stage.status("n1", "pay-1"), ({ tally }) => tally[0]?.voters.length === 3);
      const status = await desk.run("n1", ["status", "--tx-id", "pay-1"], 2);
      assert.match(
        status,
        /TX_UNDECIDED: pay-1 is not decided: 3 for approve, and 4 equal votes decide; no vote of n1, n5/,
      );
      for (const name of ["n1", "n3"]) {
        assert.match(
          await desk.show(name, "pay-1", 2, "0"),
          /TX_UNDECIDED: no approval .* pay-1 is decided here/,
        );
      }
    },
  );

  await t.step("another message under the name at one node is refused there, with both digests", async () => {
    const altered = desk.file("altered.txt");
    Deno.writeTextFileSync(altered, "pay 9 to eve!");
    const args = ["propose", "--tx-id", "pay-1", "--key", "coin", "--message-file", altered];
    assert.match(await desk.run("n2", args, 1), /TX_CONFLICT.*[0-9a-f]{16}.*[0-9a-f]{16}/);
  });

  await t.step(
    "what the asker has altered on the way gets a refusal of each signer, and no signature",
    async () => {
      await stage.killNode("n1");
      const rogue = await Rogue.open(stage, "pay-1");
      try {
        const { certificate, approval } = rogue;
        const eve: Approval = { ...approval, input: new TextEncoder().encode("pay 9 to eve!") };
        const value = encodeValue({ schema: "approval", bytes: encodeApproval(eve) });
        for (
          const [name, changes, why] of [
            [
              "n2",
              { certificate: { ...certificate, value } },
              /check 2 \(certificate\) at n2: the vote of n1 does not verify/,
            ],
            ["n3", { digest: approvedDigest(eve) }, /check 5 \(digest\) at n3: the session is to sign/],
            [
              "n4",
              { certificate: { ...certificate, votes: certificate.votes.slice(1) } },
              /check 2 \(certificate\) at n4: it has 3 votes, and 4 decide/,
            ],
          ] as const
        ) {
          assert.match(await rogue.invite(name, changes), why);
        }
      } finally {
        await rogue.close();
      }
      for (const name of ["n2", "n3", "n4", "n5"]) {
        assert.equal((await stage.status(name, "pay-1")).state, "undecided");
      }
      stage.startNode("n1");
      await stage.ready();
    },
  );

  await t.step("the vote that was missing makes it a signature for BIP340, the same at all", async () => {
    await desk.answer("pay-1", (await stage.status("n5", "pay-1")).proposals[0]!.ballot, ["n5"]);
    const signatures = await Promise.all(NODES.map((name) => signatureAt(name, "pay-1", 20_000)));
    const [first] = signatures;
    assert.ok(first?.compact != null, JSON.stringify(signatures));
    for (const { compact, outcome } of signatures) {
      assert.equal(outcome, "signed");
      assert.deepEqual(compact, first.compact);
    }
    const { keyId: _, ...shown } = (await stage.status("n5", "pay-1")).proposals[0]!.approval;
    assert.equal(shown.scheme, "bip340");
    const x = (await desk.run("n1", ["key", "export-public", "--key", "coin", "--format", "hex"])).trim();
    const digest = createHash("sha256").update(MESSAGE).digest();
    assert.ok(schnorr.verify(first.compact, digest, Uint8Array.fromHex(x)));
  });

  await t.step(
    "C1: kill -9 after the lock and before the share: one answer, and nothing else under the name",
    async () => {
      const ballot = await desk.propose("pay-2");
      await Promise.all(NODES.map((name) => desk.heard(name, "pay-2")));
      // Those with the lowest numbers are asked. Without n3 the session of n2 waits.
      stage.signalNode("n3", "SIGSTOP");
      try {
        await desk.answer("pay-2", ballot, ["n1", "n2", "n4", "n5"]);
        await poll(() => stage.status("n2", "pay-2"), ({ signing }) => signing?.state === "prepared");
        await stage.killNode("n2");
        const held = await lockAt(stage, "n2", "pay-2");
        assert.deepEqual(held, { state: "prepared", released: 0 });
      } finally {
        stage.signalNode("n3", "SIGCONT");
      }
      stage.startNode("n2");
      await stage.ready();
      // Whoever asked says that it has failed, until it is tried again or another one has the signature.
      const isSigned = ({ outcome }: SignatureReport) => outcome === "signed";
      const reports = await Promise.all(
        NODES.map((name) => poll(() => signatureAt(name, "pay-2", 1_000), isSigned)),
      );
      for (const { compact } of reports) assert.deepEqual(compact, reports[0]?.compact);
      const other = ["propose", "--tx-id", "pay-2", "--key", "coin", "--message", "pay 9 to eve!"];
      assert.match(await desk.run("n2", other, 1), /TX_CONFLICT/);
      assert.match(
        await desk.run("n2", ["vote", "--tx-id", "pay-2", "--value", "9"], 1),
        /ALREADY_DECIDED/,
      );
    },
  );
});

/** How far the signature of a transaction is in the file of a party that does not run. */
async function lockAt(
  stage: NodeStage,
  name: string,
  txId: string,
): Promise<{ readonly state: string | undefined; readonly released: number }> {
  const party = await openParty(stage.config, name, { command: "test" });
  try {
    const { ledger } = party.local.store;
    const [lock] = ledger.find(SIGN_LOCKS, { txId });
    const releases = party.local.store.releases(lock?.keyId ?? EMPTY);
    const shares = releases.filter(({ outcome }) => outcome === "unknown");
    return { state: lock?.state, released: shares.length };
  } finally {
    await party.close();
  }
}

/** A member that asks others to sign what is not what was approved. It has the votes of others, and its own key. */
class Rogue {
  readonly #party: Party;
  readonly #answers = new Map<number, (reason: string) => void>();
  readonly #links: Links;
  /** With its own vote: enough to sign what was approved. */
  readonly certificate: QuorumCertificate;
  /** What was approved. */
  readonly approval: Approval;

  private constructor(party: Party, certificate: QuorumCertificate, approval: Approval) {
    this.#party = party;
    this.certificate = certificate;
    this.approval = approval;
    this.#links = party.network!.board.channel(NodeMessageType.APPROVAL);
    this.#links.listen((event) => {
      if (event.kind !== "frame") return;
      const said = decodeApprovalMessage(event.frame.payload);
      if (said.kind === "refused") this.#answers.get(event.peer)?.(said.reason);
    });
  }

  /** Opens the party n1, whose node does not run, on what that has stored. */
  static async open(stage: NodeStage, txId: string): Promise<Rogue> {
    const party = await openParty(stage.config, "n1", { command: "test", mode: "daemon" });
    await party.connect();
    const votes = party.local.store.ledger.find(VOTING, {}).flatMap(({ kind, body }): Vote[] => {
      const record = decodeVoteRecord(kind, copy(body));
      return record.kind === "vote" && record.vote.txId === txId ? [record.vote] : [];
    });
    const own = signVote(votes[0]!, partyId(1), (message) => party.local.identity().sign(message));
    const certificate = certificateOf(stage.config.voting!.membership, [...votes, own])!;
    return new Rogue(party, certificate, approvalOf(certificate)!);
  }

  /** Asks a node to sign. @returns why it does not. */
  async invite(name: string, changes: Partial<Invitation>): Promise<string> {
    const peer = this.#party.local.config.roster.named(name).index;
    const answer = Promise.withResolvers<string>();
    this.#answers.set(peer, answer.resolve);
    const invitation: Invitation = {
      kind: "invite",
      request: crypto.getRandomValues(new Uint8Array(32)),
      certificate: this.certificate,
      signers: [partyId(1), peer, partyId(5)],
      digest: approvedDigest(this.approval),
      superseded: EMPTY,
      ...changes,
    };
    const frame = {
      type: NodeMessageType.APPROVAL,
      session: NO_SESSION,
      payload: encodeApprovalMessage(invitation),
    };
    await poll(() => Promise.resolve(this.#links.send(peer, frame)), (isSent) => isSent);
    return await answer.promise;
  }

  async close(): Promise<void> {
    await this.#party.close();
  }
}
