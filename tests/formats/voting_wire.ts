/**
 * One example of what voting nodes say and store beside votes, proposals, certificates and double votes: availability, changes of
 * members, compact certificates, and what signers of an approved payload tell each other.
 */

import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, concat, EMPTY, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { type Ed25519Signer, ed25519Signer } from "../../src/base/crypto.ts";
import {
  type ApprovalMessage,
  decodeApprovalMessage,
  encodeApprovalMessage,
} from "../../src/node/approval_wire.ts";
import { decodeVoteRecord, encodeVoteRecord, type StoredRecord } from "../../src/node/vote_records.ts";
import {
  isReceiptValid,
  isSuspicionValid,
  signReceipt,
  signSuspicion,
} from "../../src/voting/availability.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { gossipCodec, isGossipValid, signGossip } from "../../src/voting/gossip.ts";
import { decodeItem, encodeItem, type Item } from "../../src/voting/items.ts";
import { lockedPrefix, pagesOf } from "../../src/voting/locked.ts";
import {
  doubleVote,
  offenceCodec,
  type OffenceProof,
  verifyOffence,
  voteItem,
} from "../../src/voting/offence.ts";
import { signProposal } from "../../src/voting/proposal.ts";
import { nextMembership, rosterTxId, rosterValue } from "../../src/voting/roster.ts";
import { decisionStatement, verifyCompact } from "../../src/voting/statement.ts";
import { decodeValue, encodeValue, type Value } from "../../src/voting/value.ts";
import { ballotOf, questionOf, signVote } from "../../src/voting/vote.ts";
import { council, flipped } from "../voting/support.ts";
import { filled, type WireExample } from "./example.ts";

const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const { membership, signers, vote } = council(5, 4);
const PREFIX = new Uint8Array(8).fill(6);
const REQUEST = filled(22);
const PLACE = { keyId: filled(12), txId: "tx_001" };

const MESSAGES: readonly ApprovalMessage[] = [
  {
    kind: "invite",
    request: REQUEST,
    certificate: decision(),
    signers: [ALICE, BOB],
    digest: filled(14),
    superseded: EMPTY,
  },
  { kind: "refused", request: REQUEST, txId: "tx_001", code: "POLICY_REFUSED", reason: "bob refuses this" },
  { kind: "ask", ...PLACE },
  { kind: "told", ...PLACE, state: "signed", signature: new Uint8Array(64).fill(3) },
  { kind: "certify", request: REQUEST, ...PLACE, ballot: ballotOf(vote(1)), signers: [ALICE, CAROL] },
];

const ROW = { subject: CAROL, txId: "tx_001", time: 1_800_000_000_000 };
const RECORDS: readonly StoredRecord[] = [
  { kind: "vote", vote: vote(1), payer: BOB },
  {
    kind: "proposal",
    proposal: signProposal(questionOf(membership, "tx_001", vote(1).value), ALICE, signedBy(1)),
    payer: BOB,
  },
  { kind: "opened", epoch: 1, txId: "tx_001", time: ROW.time },
  { kind: "receipt", epoch: 1, receipt: receipt() },
  { kind: "suspicion", epoch: 1, suspicion: suspicion() },
  { kind: "locked", page: { member: BOB, ...page() } },
  { kind: "decision", certificate: decision() },
  { kind: "dissent", dissent: { id: filled(1), kind: "minority", ...ROW, epoch: 1 } },
  {
    kind: "offence",
    offence: {
      id: filled(2),
      kind: "double-vote",
      ...ROW,
      proof: doubleVote(vote(3, 1n), vote(3, 2n)) ?? fail(),
    },
  },
];

const VALUES: readonly Value[] = [
  { schema: "integer", integer: -42n },
  { schema: "bytes", bytes: utf8("pay 5 to dave") },
];

/** All of them, by name. */
export const VOTING_WIRE: readonly (readonly [string, WireExample])[] = [
  ...VALUES.map((value): [string, WireExample] => [`value of the schema ${value.schema}`, {
    make: () => encodeValue(value),
    open: (bytes) => assert.deepEqual(decodeValue(bytes), value),
  }]),
  ["gossip of receipts, suspicions, lists and digests", {
    make: () => encode(gossipCodec, gossip(items().map(encodeItem))),
    open(bytes) {
      const envelope = decode(gossipCodec, bytes);
      assert.ok(isGossipValid(membership, envelope));
      const said = envelope.items.map((item) => decodeItem(item));
      assert.deepEqual(said, items());
      for (const item of said) {
        if (item.kind === "receipt") assert.ok(isReceiptValid(membership, item.receipt));
        if (item.kind === "suspicion") assert.ok(isSuspicionValid(membership, item.suspicion));
      }
    },
  }],
  ["proof of an invalid signature", {
    make: () => encode(offenceCodec, invalidSignature()),
    open(bytes) {
      const proven = verifyOffence(membership, decode(offenceCodec, bytes));
      assert.deepEqual([proven?.kind, proven?.subject], ["invalid-signature", ALICE]);
    },
  }],
  ["change of members", {
    make: () => encodeValue(nextMembers()),
    open(bytes) {
      assert.deepEqual(decodeValue(bytes), nextMembers());
      const { epoch, voters, quorum } = nextMembership(membership, decision(rosterTxId(membership), bytes));
      assert.deepEqual([epoch, voters.map(({ name }) => name).at(-1), quorum], [2, "frank", 4]);
    },
  }],
  ["compact certificate", {
    make: () => concat(decisionStatement(vote(1)), decisionKey().sign(decisionStatement(vote(1)))),
    open(bytes) {
      assert.deepEqual(bytes.slice(0, -64), decisionStatement(vote(1)));
      assert.ok(verifyCompact(decisionKey().publicKey, vote(1), bytes.slice(-64)));
    },
  }],
  ...MESSAGES.map((message): [string, WireExample] => [`message about approvals: ${message.kind}`, {
    make: () => encodeApprovalMessage(message),
    open: (bytes) => assert.deepEqual(decodeApprovalMessage(bytes), message),
  }]),
  ...RECORDS.map((record): [string, WireExample] => [`stored record of voting: ${record.kind}`, {
    make: () => encodeVoteRecord(record),
    open: (bytes) => assert.deepEqual(decodeVoteRecord(record.kind, bytes), record),
  }]),
];

function items(): Item[] {
  return [
    { kind: "receipt", receipt: receipt() },
    { kind: "suspicion", suspicion: suspicion() },
    { kind: "locked", page: page() },
    { kind: "locked-request", request: { epoch: 2, page: 0 } },
    {
      kind: "digest",
      digest: {
        after: "",
        upTo: "tx_002",
        transactions: [{
          txId: "tx_001",
          votes: [{ voter: BOB, ballots: [PREFIX] }],
          decided: PREFIX,
          proposals: [PREFIX],
          seen: 3n,
          abstained: 4n,
          suspicions: [{ subject: CAROL, observers: 3n }],
        }],
        offences: [PREFIX],
      },
    },
  ];
}

function page() {
  return pagesOf(2, [lockedPrefix("tx_001"), lockedPrefix("tx_002")])[0] ?? fail();
}

function receipt() {
  return signReceipt(membership, { txId: "tx_001", state: "seen", member: BOB }, signedBy(2));
}

function suspicion() {
  return signSuspicion(membership, { txId: "tx_001", subject: CAROL, observer: BOB }, signedBy(2));
}

function gossip(encoded: readonly Bytes[]) {
  return signGossip(membership, { from: ALICE, to: BOB, items: [...encoded] }, signedBy(1));
}

function invalidSignature(): OffenceProof {
  const forged = { ...vote(2), signature: flipped(vote(2).signature) };
  return { kind: "invalid-signature", envelope: gossip([voteItem(forged)]), item: 0 };
}

function nextMembers(): Value {
  const kept = membership.voters.filter(({ name }) => name !== "erin");
  const voters = [...kept.map(({ name, key }) => ({ name, key: key.publicKey })), {
    name: "frank",
    key: ed25519Signer(filled(23)).publicKey,
  }];
  return rosterValue(membership, { voters, quorum: 4, faults: 1 });
}

/** What four of five decided. */
function decision(txId = "tx_001", value?: Bytes): QuorumCertificate {
  const question = value === undefined ? undefined : questionOf(membership, txId, value);
  const votes = [1, 2, 3, 5].map((voter) =>
    question === undefined ? vote(voter) : signVote(question, partyId(voter), signedBy(voter))
  );
  return certificateOf(membership, votes) ?? fail();
}

function decisionKey(): Ed25519Signer {
  return ed25519Signer(filled(24));
}

function signedBy(voter: number): (message: Bytes) => Bytes {
  return (message) => (signers[voter - 1] as Ed25519Signer).sign(message);
}

function fail(): never {
  return assert.fail("something is missing");
}
