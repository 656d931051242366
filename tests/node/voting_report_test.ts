import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { utf8 } from "../../src/base/bytes.ts";
import type { VotingService } from "../../src/node/voting.ts";
import { VotingReports } from "../../src/node/voting_report.ts";
import { encodeApproval } from "../../src/voting/approval.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote } from "../../src/voting/vote.ts";
import { Alice } from "../voting/alice.ts";

Deno.test("VotingReports.transactions() shows a vote for an approval that ends when no date has", () => {
  const alice = new Alice();
  const { membership, signers } = alice.council;
  const approval = encodeApproval({
    kind: "approve",
    cluster: "demo",
    txId: "tx_001",
    keyId: new Uint8Array(32),
    publicKey: new Uint8Array(33),
    policyHash: new Uint8Array(32),
    scheme: "ecdsa-secp256k1",
    path: [],
    mode: "message",
    input: utf8("pay 5"),
    context: [],
    supersedes: "",
    notBefore: 0n,
    notAfter: 2n ** 64n - 1n,
    lowS: true,
  });
  const question = questionOf(membership, "tx_001", encodeValue({ schema: "approval", bytes: approval }));
  const vote = signVote(question, partyId(2), (message) => signers[1]!.sign(message));
  alice.hears(2, { kind: "vote", vote });
  const reports = new VotingReports(alice.node as unknown as VotingService, "alice", 0);
  const [report] = reports.transactions(10);
  assert.deepEqual([report?.txId, report?.until], ["tx_001", "18446744073709552000"]);
});
