import { deepEqual, equal, throws } from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { concat, hex, utf8 } from "../../src/base/bytes.ts";
import { decode } from "../../src/base/codec.ts";
import { approvalReport, describeValue, VotingReports } from "../../src/node/voting_report.ts";
import type { VotingService } from "../../src/node/voting.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { doubleVote, offenceCodec, type OffenceProof } from "../../src/voting/offence.ts";
import type { TxStatus } from "../../src/voting/node.ts";
import type { StoredOffence } from "../../src/voting/store.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { council, integer, text } from "../voting/support.ts";

const { membership, vote } = council(5, 4, { epoch: 0 });
const APPROVAL: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx",
  keyId: new Uint8Array(32).fill(1),
  publicKey: new Uint8Array(32).fill(2),
  policyHash: new Uint8Array(32).fill(3),
  scheme: "ed25519",
  path: [0, 5],
  mode: "message",
  input: utf8("pay 5 to dave"),
  context: [],
  supersedes: "",
  notBefore: 0n,
  notAfter: 1000n,
  lowS: false,
};
const approval = (change: Partial<Approval>) =>
  encodeValue({ schema: "approval", bytes: encodeApproval({ ...APPROVAL, ...change }) });

function offence(first: number): StoredOffence {
  const id = new Uint8Array(32).fill(7);
  id[31] = first;
  const proof = doubleVote(vote(2, 1n), vote(2, 2n)) as OffenceProof;
  return { id, kind: "double-vote", subject: partyId(2), txId: "tx", proof, time: 1000 };
}

/** Reports of a node that knows this. */
function reportsOf(knows: Partial<VotingService>): VotingReports {
  const nothing: Partial<VotingService> = {
    membership,
    memberships: [membership],
    offences: [],
    status: () => undefined,
    certificate: () => undefined,
  };
  return new VotingReports({ ...nothing, ...knows } as VotingService, "alice", 0);
}

Deno.test("describeValue() says approve and reject of what is meant for here, and shows no text that hides another", () => {
  const shown = (value: Parameters<typeof describeValue>[2]) => describeValue("tx", "demo", value);
  equal(shown(integer(-42n)), "-42");
  equal(shown(approval({})), "approve");
  equal(shown(approval({ kind: "reject" })), "reject");
  for (const elsewhere of [{ txId: "tx2" }, { cluster: "other" }]) {
    equal(/^approval of \d+ bytes$/.test(shown(approval(elsewhere))), true);
  }
  equal(shown(text("yes")), '"yes"');
  for (const hidden of ["a\nb", "a\u{1b}[2J", "a\u{9b}31m", "a\u{202e}b", "a\u{200b}"]) {
    equal(shown(text(hidden)), `0x${hex(utf8(hidden))}`);
  }
});

Deno.test("approvalReport() shows a message as text only where nothing of it is hidden, and times that are none as numbers", () => {
  const input = (change: Partial<Approval>) => approvalReport({ ...APPROVAL, ...change }).input;
  equal(input({}), "pay 5 to dave");
  for (const hidden of ["a\nb", "a\u{1b}[2J", "a\u{202e}b"]) {
    equal(input({ input: utf8(hidden) }), `0x${hex(utf8(hidden))}`);
  }
  equal(input({ input: Uint8Array.of(0xff) }), "0xff");
  const digest = concat(utf8("digest of text, 32 bytes of it !"));
  equal(input({ mode: "digest", input: digest }), `0x${hex(digest)}`);
  const { notBefore, notAfter, path } = approvalReport({ ...APPROVAL, notAfter: 2n ** 63n });
  deepEqual([notBefore, notAfter, path], ["1970-01-01T00:00:00.000Z", String(2n ** 63n), "m/0/5"]);
});

Deno.test("VotingReports.proof() wants as much of an id as is unique", () => {
  const reports = reportsOf({ offences: [offence(1), offence(2)] });
  throws(() => reports.proof("0707"), {
    code: "USAGE",
    message: "2 offences begin with 0707: write more of it",
  });
  throws(() => reports.proof("abcd"), { code: "USAGE", message: "no offence begins with abcd" });
  const { offence: shown, proof } = reports.proof(`${"07".repeat(31)}02`);
  deepEqual([shown.subject, shown.time], ["bob", "1970-01-01T00:00:01.000Z"]);
  deepEqual(decode(offenceCodec, proof), offence(2).proof);
});

Deno.test("VotingReports tells of transactions that nobody knows, that are open, and that are decided", () => {
  throws(() => reportsOf({}).certificate("tx"), {
    code: "TX_UNDECIDED",
    message: "tx is not decided at alice: there is no certificate yet",
  });
  const unknown = reportsOf({}).transaction("tx");
  deepEqual([unknown.state, unknown.missing.length, unknown.quorum], ["unknown", 5, 4]);
  const status: TxStatus = {
    txId: "tx",
    epoch: 0,
    state: "decided",
    value: integer(42n),
    tally: [{ value: integer(42n), voters: ["alice"] }, {
      value: approval({ kind: "reject" }),
      voters: ["bob"],
    }],
    missing: [],
    presence: {},
    proposals: [],
    own: text("mine"),
    until: Number.POSITIVE_INFINITY,
  };
  const report = reportsOf({ status: () => status }).transaction("tx");
  deepEqual([report.value, report.own, report.until], ["42", '"mine"', null]);
  deepEqual(report.tally.map(({ value, voters }) => [value, ...voters]), [["42", "alice"], [
    "reject",
    "bob",
  ]]);
  const certificate = certificateOf(membership, [1, 2, 3, 4].map((i) => vote(i))) as QuorumCertificate;
  equal(reportsOf({ certificate: () => certificate }).certificate("tx").txId, "tx");
  const many = reportsOf({ transactions: () => ["a", "b", "c"].map((txId) => ({ ...status, txId })) });
  deepEqual(many.transactions(2).map(({ txId }) => txId), ["b", "c"]);
});
