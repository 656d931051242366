import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { lackedItems } from "../../src/voting/comparison.ts";
import type { Evidence } from "../../src/voting/evidence.ts";
import { OPEN_PER_MEMBER_MAX, type Transaction, Transactions } from "../../src/voting/transactions.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { type Question, questionOf, type Vote } from "../../src/voting/vote.ts";
import { council, integer } from "./support.ts";

const { membership } = council(5, 4);
const [ALICE, MALLORY] = [partyId(1), partyId(5)];
const HOUR = 3_600_000;
const YEAR = 366 * 24 * HOUR;
const TIMES = { ttlMs: HOUR, retentionMs: 24 * HOUR };
const FOREVER = 2n ** 64n - 1n;

function approving(txId: string, notAfter: bigint): Question {
  const approval: Approval = {
    kind: "approve",
    cluster: "demo",
    txId,
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
    notAfter,
    lowS: true,
  };
  return questionOf(membership, txId, encodeValue({ schema: "approval", bytes: encodeApproval(approval) }));
}

function voteIn(transactions: Transactions, voter: Vote["voter"], question: Question): Transaction {
  const transaction = transactions.open(question.txId, voter);
  transaction.openedAt ??= 0;
  const vote = { ...question, voter, signature: new Uint8Array(64) };
  transaction.votes.set(voter, [...transaction.votes.get(voter) ?? [], vote]);
  transactions.know(transaction, vote);
  return transaction;
}

Deno.test("Transactions.hasPlace() gives a place back by what its payer has voted for, whatever others add", () => {
  const transactions = new Transactions(TIMES);
  for (let i = 0; i < OPEN_PER_MEMBER_MAX; i++) {
    voteIn(transactions, ALICE, approving(`tx ${i}`, BigInt(HOUR)));
    voteIn(transactions, MALLORY, approving(`tx ${i}`, FOREVER));
  }
  assert.equal(transactions.hasPlace(ALICE, 25 * HOUR), false);
  assert.equal(transactions.hasPlace(ALICE, 25 * HOUR + 1), true);
  // Who says itself that there is no end keeps the place.
  for (let i = 0; i < OPEN_PER_MEMBER_MAX; i++) {
    voteIn(transactions, MALLORY, approving(`mine ${i}`, FOREVER));
  }
  assert.equal(transactions.hasPlace(MALLORY, YEAR), false);
});

Deno.test("Transactions.isRecent() ends some time after what was decided, whatever else was voted for", () => {
  const transactions = new Transactions(TIMES);
  const ends = approving("tx", BigInt(2 * HOUR));
  const transaction = voteIn(transactions, ALICE, ends);
  voteIn(transactions, MALLORY, approving("tx", FOREVER));
  transaction.certificates.push({ ...ends, votes: [] });
  assert.equal(transactions.isRecent(transaction, 26 * HOUR), true);
  assert.equal(transactions.isRecent(transaction, 26 * HOUR + 1), false);
});

Deno.test("Transactions.isRecent() ends for what is not decided too, however long somebody says that it is open", () => {
  const transactions = new Transactions(TIMES);
  const question = questionOf(membership, "tx", integer(1n));
  const transaction = voteIn(transactions, ALICE, question);
  assert.equal(transactions.isRecent(transaction, 25 * HOUR), true);
  assert.equal(transactions.isRecent(transaction, 25 * HOUR + 1), false);
  voteIn(transactions, MALLORY, approving("tx", FOREVER));
  assert.equal(transactions.isRecent(transaction, YEAR), true);
  assert.equal(transactions.isRecent(transaction, YEAR + 25 * HOUR), false);
});

Deno.test("Transactions.between() gives names after one up to another, also of what was opened since", () => {
  const transactions = new Transactions(TIMES);
  const between = (after: string, upTo: string) =>
    [...transactions.between(after, upTo)].map(({ txId }) => txId);
  for (const name of ["c", "a", "e"]) transactions.open(name, ALICE);
  assert.deepEqual(between("", ""), ["a", "c", "e"]);
  for (const name of ["d", "b", "f", "a0", "c"]) transactions.open(name, ALICE);
  assert.deepEqual(between("", ""), ["a", "a0", "b", "c", "d", "e", "f"]);
  assert.deepEqual(between("a0", "d"), ["b", "c", "d"]);
  assert.deepEqual(between("bb", ""), ["c", "d", "e", "f"]);
  assert.deepEqual(between("f", ""), []);
  assert.deepEqual(between("d", "b"), []);
});

Deno.test("lackedItems() looks at what is on the page that a peer asks for, and at nothing else", () => {
  const transactions = new Transactions(TIMES);
  for (const name of ["a", "b", "c"]) voteIn(transactions, ALICE, questionOf(membership, name, integer(1n)));
  Object.defineProperty(transactions, "all", { get: () => assert.fail("it looks at all") });
  const compared = { members: 5, transactions, evidence: { newest: [] } as unknown as Evidence };
  const digest = { after: "a", upTo: "b", transactions: [], offences: [] };
  assert.equal([...lackedItems(compared, digest, 0)].flat().length, 1);
});
