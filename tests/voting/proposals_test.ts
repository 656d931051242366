import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, hex, utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import { type Approval, approvalCore, encodeApproval } from "../../src/voting/approval.ts";
import { gossipCodec } from "../../src/voting/gossip.ts";
import { decodeItem, type Item } from "../../src/voting/items.ts";
import { APPROVAL_LIFETIME_MS, OPEN_PER_MEMBER_MAX, RETENTION_MS } from "../../src/voting/node.ts";
import {
  approvalOf,
  type Proposal,
  proposalCodec,
  proposalFault,
  signProposal,
} from "../../src/voting/proposal.ts";
import type { VoteRecord } from "../../src/voting/store.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { ballotOf, questionOf, signVote, type Vote } from "../../src/voting/vote.ts";
import { Alice, FORTY_TWO, kinds, refused, stored } from "./alice.ts";
import { type Council, council, flipped, integer } from "./support.ts";

const PAYMENT: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx_001",
  keyId: new Uint8Array(32).fill(1),
  publicKey: new Uint8Array(33).fill(2),
  policyHash: new Uint8Array(32).fill(3),
  scheme: "ecdsa-secp256k1",
  path: [],
  mode: "message",
  input: utf8("pay 5 to dave"),
  context: [],
  supersedes: "",
  notBefore: 0n,
  notAfter: 5000n,
  lowS: true,
};
const OTHER: Approval = { ...PAYMENT, input: utf8("pay 6 to dave") };
const LATER: Approval = { ...PAYMENT, notAfter: 6000n };

function question({ membership }: Council, approval: Approval) {
  const value = encodeValue({ schema: "approval", bytes: encodeApproval(approval) });
  return questionOf(membership, approval.txId, value);
}

function signer(here: Council, member: number) {
  return (message: Bytes) => here.signers[member - 1]!.sign(message);
}

/** What a member proposes. */
function proposed(here: Council, proposer: number, approval = PAYMENT): Proposal {
  return signProposal(question(here, approval), partyId(proposer), signer(here, proposer));
}

function item(alice: Alice, proposer: number, approval = PAYMENT): Item {
  return { kind: "proposal", proposal: proposed(alice.council, proposer, approval) };
}

/** What a member votes. */
function voted(here: Council, voter: number, approval = PAYMENT): Vote {
  return signVote(question(here, approval), partyId(voter), signer(here, voter));
}

function ballot(here: Council, approval = PAYMENT): string {
  return hex(ballotOf(question(here, approval)));
}

Deno.test("proposalFault() takes an approval of this transaction in this cluster, signed by its proposer", () => {
  const here = council(5, 4);
  const { membership } = here;
  const good = proposed(here, 2);
  assert.equal(proposalFault(membership, good), undefined);
  assert.deepEqual(decode(proposalCodec, encode(proposalCodec, good)), good);
  const elsewhere = council(5, 4, { epoch: 2 }).membership;
  assert.equal(proposalFault(elsewhere, good), "MEMBERSHIP_MISMATCH");
  assert.equal(proposalFault(membership, { ...good, proposer: partyId(9) }), "MEMBERSHIP_MISMATCH");
  for (
    const wrong of [
      { ...good, proposer: partyId(3) },
      { ...good, signature: flipped(good.signature) },
      // A vote is not a proposal of its voter.
      { ...good, signature: voted(here, 2).signature },
      proposed(here, 2, { ...PAYMENT, kind: "reject" }),
      ...[{ ...question(here, PAYMENT), value: integer(42n) }, { ...question(here, PAYMENT), txId: "tx_002" }]
        .map((
          asked,
        ) => signProposal(asked, partyId(2), signer(here, 2))),
      proposed(here, 2, { ...PAYMENT, cluster: "other" }),
    ]
  ) {
    assert.equal(proposalFault(membership, wrong), "INVALID");
  }
});

Deno.test("approvalOf() finds no approval in other values, or in bytes that are none", () => {
  const asked = { cluster: "demo", txId: "tx_001" };
  assert.equal(approvalOf({ ...asked, value: integer(42n) }), undefined);
  assert.equal(
    approvalOf({ ...asked, value: encodeValue({ schema: "approval", bytes: utf8("x") }) }),
    undefined,
  );
  assert.equal(approvalOf({ ...asked, value: new Uint8Array(1) }), undefined);
});

Deno.test("VotingNode.propose() stores and sends a proposal, and votes for nothing", () => {
  const alice = new Alice();
  const effects = alice.node.propose(PAYMENT, 0);
  assert.deepEqual(kinds(effects), [...[2, 3, 4, 5].map((to) => `send proposal to ${to}`), "proposal"]);
  assert.deepEqual(stored(alice), ["proposal", "opened"]);
  const status = alice.restart().status("tx_001", 0);
  assert.deepEqual(status?.proposals, [proposed(alice.council, 1)]);
  assert.deepEqual([status?.state, status?.tally, status?.own], ["undecided", [], undefined]);
});

Deno.test("VotingNode.propose() does nothing where the same is asked for already, and refuses another request", () => {
  const alice = new Alice();
  alice.node.propose(PAYMENT, 0);
  for (const same of [PAYMENT, LATER]) assert.deepEqual(alice.node.propose(same, 1), []);
  assert.deepEqual(alice.node.propose(PAYMENT, 9_999), [], "also when it is over: what there is stands");
  assert.deepEqual(stored(alice), ["proposal", "opened"]);
  const message = new RegExp(`${hex(approvalCore(PAYMENT))}.*${hex(approvalCore(OTHER))}`);
  assert.throws(() => alice.node.propose(OTHER, 0), { code: "TX_CONFLICT", message });
  const voted = new Alice();
  voted.node.cast("tx_001", FORTY_TWO, 0);
  refused(() => voted.node.propose(PAYMENT, 0), "TX_CONFLICT");
  assert.throws(() => voted.node.propose(PAYMENT, 0), {
    message: new RegExp(hex(ballotOf(questionOf(voted.council.membership, "tx_001", integer(42n))))),
  });
});

Deno.test("VotingNode.propose() refuses what no proposal can be, and what is over", () => {
  const { node, store } = new Alice();
  const long = BigInt(APPROVAL_LIFETIME_MS);
  for (
    const change of [
      { txId: "roster/2" },
      { cluster: "other" },
      { kind: "reject" as const },
      { notBefore: 0n, notAfter: long + 1n },
      { txId: "" },
    ]
  ) {
    refused(() => node.propose({ ...PAYMENT, ...change }, 0), "USAGE");
  }
  refused(() => node.propose(PAYMENT, 5001), "TX_EXPIRED");
  assert.deepEqual(store.records, []);
  node.propose({ ...PAYMENT, notAfter: long }, 0);
});

Deno.test("VotingNode passes on two proposals of a transaction, each once, and no third", () => {
  const alice = new Alice();
  const effects = alice.hears(2, item(alice, 3), item(alice, 3), item(alice, 4));
  // Its signer knows it.
  assert.deepEqual(kinds(effects), [...[2, 4, 5].map((to) => `send proposal to ${to}`), "proposal"]);
  assert.equal(kinds(alice.hears(2, item(alice, 2, OTHER))).at(-1), "proposal");
  assert.deepEqual(kinds(alice.hears(2, item(alice, 2, LATER))), []);
  assert.deepEqual(alice.node.status("tx_001")?.proposals.map(({ proposer }) => proposer), [3, 2]);
});

Deno.test("VotingNode counts proposals that nobody signed, or that are of another membership, and stores none", () => {
  const alice = new Alice();
  const good = proposed(alice.council, 2);
  alice.hears(2, { kind: "proposal", proposal: { ...good, signature: flipped(good.signature) } });
  alice.hears(2, { kind: "proposal", proposal: proposed(council(5, 4, { epoch: 2 }), 2) });
  assert.deepEqual([alice.node.counts.invalid, alice.node.counts.mismatch], [1, 1]);
  assert.equal(alice.node.status("tx_001"), undefined);
});

Deno.test("VotingNode.answer() votes for the ballot that is named, or for its rejection", () => {
  const alice = new Alice();
  alice.hears(2, item(alice, 2), item(alice, 2, OTHER));
  const [first, second] = [ballot(alice.council), ballot(alice.council, OTHER)];
  const unique = [...first].findIndex((digit, i) => digit !== second[i]) + 1;
  refused(() => alice.node.answer("tx_001", "", "approve", 0), "BALLOT_UNKNOWN");
  refused(() => alice.node.answer("tx_001", "not hexadecimal", "approve", 0), "BALLOT_UNKNOWN");
  refused(() => alice.node.answer("tx_002", first, "approve", 0), "BALLOT_UNKNOWN");
  alice.node.answer("tx_001", second.slice(0, unique).toUpperCase(), "approve", 0);
  assert.deepEqual(alice.node.status("tx_001")?.own, question(alice.council, OTHER).value);
  const other = new Alice();
  other.hears(2, item(other, 2), {
    kind: "vote",
    vote: voted(other.council, 3, { ...PAYMENT, kind: "reject" }),
  });
  other.node.answer("tx_001", "", "reject", 0);
  const rejection = question(other.council, { ...PAYMENT, kind: "reject" }).value;
  assert.deepEqual(
    other.node.status("tx_001")?.own,
    rejection,
    "the rejection that is known is no second proposal",
  );
});

Deno.test("VotingNode.cast() refuses an approval of another transaction or cluster", () => {
  const { node } = new Alice();
  for (const change of [{ txId: "tx_002" }, { cluster: "other" }]) {
    const bytes = encodeApproval({ ...PAYMENT, ...change });
    refused(() => node.cast("tx_001", { schema: "approval", bytes }, 0), "USAGE");
  }
});

Deno.test("VotingNode votes for an approval until its last moment, and counts votes after it", () => {
  const alice = new Alice();
  alice.hears(2, item(alice, 2));
  assert.equal(alice.node.status("tx_001", 5000)?.state, "undecided");
  assert.equal(alice.node.status("tx_001", 5001)?.state, "expired");
  refused(() => alice.node.answer("tx_001", "", "approve", 5001), "TX_EXPIRED");
  const votes = [2, 3, 4, 5].map((voter): Item => ({ kind: "vote", vote: voted(alice.council, voter) }));
  alice.hearsAt(9000, 2, ...votes);
  assert.equal(alice.node.status("tx_001")?.state, "decided", "expired, and then decided");
});

Deno.test("VotingNode votes in other transactions for as long as is configured, from when it learned of them", () => {
  const alice = new Alice(5, 4, { ttlMs: 1000 });
  alice.hearsAt(500, 2, alice.vote(2));
  assert.equal(alice.node.status("tx_001", 1500)?.until, 1500);
  assert.equal(alice.node.status("tx_001", 1501)?.state, "expired");
  refused(() => alice.node.cast("tx_001", FORTY_TWO, 1501), "TX_EXPIRED");
  refused(() => alice.restart().cast("tx_001", FORTY_TWO, 1501), "TX_EXPIRED");
  alice.node.cast("tx_001", FORTY_TWO, 1500);
  assert.equal(
    kinds(alice.node.cast("tx_001", FORTY_TWO, 9000)).length,
    4,
    "the own vote is sent again at any time",
  );
  alice.hearsAt(9000, 3, alice.vote(3), alice.vote(4));
  assert.equal(alice.node.status("tx_001", 9000)?.state, "decided");
});

Deno.test("VotingNode votes by itself exactly for the proposals of which it is told to, and never for another value", () => {
  const asked: Proposal[] = [];
  const alice = new Alice(5, 4, {
    approves: (proposal) => asked.push(proposal) > 0 && proposal.proposer === 3,
  });
  alice.hears(2, item(alice, 2));
  assert.deepEqual([asked.length, stored(alice).includes("lock")], [1, false]);
  alice.hears(2, item(alice, 3, OTHER));
  assert.deepEqual(alice.node.status("tx_001")?.own, question(alice.council, OTHER).value);
  alice.hears(
    2,
    item(alice, 3, { ...PAYMENT, txId: "tx_002" }),
    item(alice, 3, { ...OTHER, txId: "tx_002" }),
  );
  assert.equal(asked.length, 3, "who has voted is asked no more");
  alice.hearsAt(5001, 2, item(alice, 3, { ...PAYMENT, txId: "tx_003" }));
  assert.equal(asked.length, 3, "nor whose time is over");
});

Deno.test("VotingNode that crashed between a proposal and its vote is asked again when it comes back", () => {
  const alice = new Alice(5, 4, { approves: () => true });
  alice.store.dies = { commits: 1, after: false };
  assert.throws(() => alice.hears(2, item(alice, 2)));
  alice.store.dies = undefined;
  assert.equal(kinds(alice.restart().resume(0)).at(-1), "vote");
  assert.deepEqual(kinds(alice.restart().resume(0)), []);
});

Deno.test("VotingNode that cannot vote by itself because of a full outbox stores the proposal, and passes it on", () => {
  const fails = (code: "OUTBOX_FULL" | "STORE_UNWRITABLE") => {
    const alice = new Alice();
    const store = {
      load: () => alice.store.load(),
      commit(records: readonly VoteRecord[]) {
        if (records.some(({ kind }) => kind === "lock")) throw new UsageError(code, "no");
        alice.store.commit(records);
      },
    };
    alice.options = { approves: () => true, store };
    alice.restart();
    return alice;
  };
  const full = fails("OUTBOX_FULL");
  assert.equal(kinds(full.hears(2, item(full, 2))).at(-1), "proposal");
  assert.deepEqual(stored(full), ["proposal", "opened"]);
  const broken = fails("STORE_UNWRITABLE");
  refused(() => broken.hears(2, item(broken, 2)), "STORE_UNWRITABLE");
});

Deno.test("VotingNode takes the place of a proposal from its proposer, until it is decided or long over", () => {
  const alice = new Alice();
  const flood = (n: number): Item => item(alice, 2, { ...PAYMENT, txId: `flood ${n}` });
  for (let n = 0; n < OPEN_PER_MEMBER_MAX; n++) alice.hears(2, flood(n));
  alice.hears(2, flood(99));
  assert.equal(alice.node.status("flood 99"), undefined);
  alice.hearsAt(5000 + RETENTION_MS, 2, flood(99));
  assert.equal(alice.node.status("flood 99"), undefined);
  alice.hearsAt(5001 + RETENTION_MS, 2, flood(99));
  assert.ok(alice.node.status("flood 99") !== undefined);
  // These are over when they come: they take their places all the same.
  const now = 5001 + RETENTION_MS;
  for (let n = 100; n < 100 + OPEN_PER_MEMBER_MAX; n++) alice.hearsAt(now, 2, flood(n));
  assert.equal(alice.node.status(`flood ${99 + OPEN_PER_MEMBER_MAX}`), undefined);
});

Deno.test("VotingNode answers a digest with the proposals that the other lacks, and would take", () => {
  const alice = new Alice();
  alice.hears(2, item(alice, 2), item(alice, 2, OTHER));
  const pageOf = (node = alice.node) =>
    node.digestFor(partyId(2)).flatMap((effect) =>
      effect.kind === "send" ? decode(gossipCodec, effect.bytes).items.map(decodeItem) : []
    );
  const empty: Item = { kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } };
  assert.deepEqual(kinds(alice.hears(2, empty)), ["send proposal,proposal to 2"]);
  assert.deepEqual(kinds(alice.hears(2, ...pageOf())), []);
  const other = new Alice();
  other.hears(2, item(other, 2));
  assert.deepEqual(kinds(alice.hears(2, ...pageOf(other.node))), ["send proposal to 2"]);
  const full = new Alice();
  full.hears(2, item(full, 2, LATER), item(full, 2, OTHER));
  assert.deepEqual(kinds(alice.hears(2, ...pageOf(full.node))), [], "who has two takes no third");
});

Deno.test("VotingNode compares what is long over with nobody", () => {
  const alice = new Alice(5, 4, { ttlMs: 1000, retentionMs: 1000 });
  alice.hears(2, alice.vote(2));
  const empty: Item = { kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } };
  const names = () =>
    alice.node.digestFor(partyId(2)).flatMap((effect) =>
      effect.kind === "send" ? decode(gossipCodec, effect.bytes).items.map(decodeItem) : []
    ).flatMap((one) => one.kind === "digest" ? one.digest.transactions.map(({ txId }) => txId) : []);
  assert.deepEqual(kinds(alice.hearsAt(2000, 3, empty)), ["send vote to 3"]);
  assert.deepEqual(names(), ["tx_001"]);
  assert.deepEqual(kinds(alice.hearsAt(2001, 3, empty)), []);
  assert.deepEqual(names(), []);
});

Deno.test("VotingNode.transactions() lists what there is, in the order in which it came", () => {
  const alice = new Alice();
  alice.node.cast("tx_002", FORTY_TWO, 0);
  alice.hears(2, item(alice, 2));
  assert.deepEqual(alice.node.transactions(9999).map(({ txId, state }) => [txId, state]), [
    ["tx_002", "undecided"],
    ["tx_001", "expired"],
  ]);
});
