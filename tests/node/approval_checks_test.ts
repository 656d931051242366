import assert from "node:assert/strict";
import { type PartyId, partyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { UsageError } from "../../src/base/errors.ts";
import { type ApprovalCheck, approvesByItself, checkApproval } from "../../src/node/approval_checks.ts";
import type { ApprovalKey } from "../../src/node/approval_key.ts";
import { parseConfig } from "../../src/node/config.ts";
import { isInWindow, type PolicyConfig } from "../../src/node/policy_config.ts";
import { type Approval, approvalCore, approvalHash, encodeApproval } from "../../src/voting/approval.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { ballotOf, questionOf, signVote } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";
import { PARTIES } from "./config_text.ts";

/** A Wednesday, noon. */
const NOW = BigInt(Date.UTC(2026, 10, 18, 12));
const HOUR = 3_600_000n;
const COUNCIL = council(5, 4);
const NAMES = ["alice", "bob", "carol", "dave", "erin"];
const POLICY = policy("");

const KEY: ApprovalKey = {
  name: "treasury",
  keyId: new Uint8Array(32).fill(1),
  epoch: 3,
  purpose: "approved-signing",
  scheme: "ecdsa-secp256k1",
  publicKey: new Uint8Array(33).fill(2),
  policyHash: new Uint8Array(32).fill(3),
  members: NAMES.map((name, i) => ({ index: partyId(i + 1), name, identity: new Uint8Array(32) })),
  quorum: (parties) => parties.length < 3 ? undefined : parties.toSorted((a, b) => a - b).slice(0, 3),
  pathFault: (path) => path[0] === 13 ? "this derivation has no key: use the next index" : undefined,
  verifies: () => true,
};

const APPROVAL: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx_001",
  keyId: KEY.keyId,
  publicKey: KEY.publicKey,
  policyHash: KEY.policyHash,
  scheme: "ecdsa-secp256k1",
  path: [0, 5],
  mode: "message",
  input: utf8("pay 5 to dave"),
  context: [],
  supersedes: "",
  notBefore: NOW - HOUR,
  notAfter: NOW + HOUR,
  lowS: true,
};

function policy(section: string): PolicyConfig {
  return parseConfig(`${PARTIES}\n[policy]\n${section}\n`, "/q/quorate.toml").policy;
}

function certificate(
  value: Bytes,
  voters: readonly number[] = [1, 2, 3, 4],
  { membership, signers } = COUNCIL,
  txId = "tx_001",
): QuorumCertificate {
  const question = questionOf(membership, txId, value);
  const votes = voters.map((voter) =>
    signVote(question, partyId(voter), (message) => signers[voter - 1]!.sign(message))
  );
  return certificateOf(membership, votes) ?? { ...question, votes };
}

function approved(changes: Partial<Approval> = {}, voters?: readonly number[]): QuorumCertificate {
  const bytes = encodeApproval({ ...APPROVAL, ...changes });
  return certificate(encodeValue({ schema: "approval", bytes }), voters);
}

const BASE: ApprovalCheck = {
  node: "bob",
  condition: { pausedSince: undefined, unwritable: undefined, alarm: undefined, clockOffsetMs: 200 },
  membership: COUNCIL.membership,
  certificate: approved(),
  held: approved({}, [2, 3, 4, 5]),
  keyOf: () => KEY,
  digest: sha256(APPROVAL.input),
  signers: [1, 2, 3].map(partyId),
  burned: () => false,
  barred: () => undefined,
  clocks: [NOW, NOW - 7n],
  policy: POLICY,
  voters: ["alice", "bob"],
  strangers: [],
  proposer: "alice",
  superseded: () => undefined,
};

function key(changes: Partial<ApprovalKey>): Partial<ApprovalCheck> {
  return { keyOf: () => ({ ...KEY, ...changes }) };
}

function node(changes: Partial<ApprovalCheck["condition"]>): Partial<ApprovalCheck> {
  return { condition: { ...BASE.condition, ...changes } };
}

Deno.test("checkApproval() gives what may be signed, with the latest of all clocks", () => {
  const checked = checkApproval(BASE);
  assert.deepEqual(checked.approval, APPROVAL);
  assert.deepEqual(checked.ballot, ballotOf(BASE.certificate));
  assert.deepEqual(checked.core, approvalCore(APPROVAL));
  assert.deepEqual(checked.approvalHash, approvalHash(APPROVAL));
  assert.deepEqual(checked.digest, sha256(APPROVAL.input));
  assert.deepEqual([checked.key.name, checked.time], ["treasury", NOW]);
  // What an initiator does not know yet is not checked.
  checkApproval({ ...BASE, held: undefined, digest: undefined, signers: undefined });
});

const other = council(5, 4, { epoch: 2 });
const superseding = approved({ supersedes: "tx_000" });
const former = (notAfter: bigint) => () => ({ ...APPROVAL, txId: "tx_000", notAfter });
const tampered = { ...BASE.certificate, value: approved({ input: utf8("pay 6 to dave") }).value };

for (
  const [what, changes, code, message] of [
    [
      "a paused node",
      node({ pausedSince: 0 }),
      "SIGNING_PAUSED",
      /check 1 \(node\) at bob: .*since 1970-01-01/,
    ],
    ["a node that cannot record", node({ unwritable: "9 wait" }), "OUTBOX_FULL", /check 1 .*9 wait/],
    ["a node that has stopped", node({ alarm: "SAFETY_VIOLATION" }), "VOTING_STOPPED", /check 1 .*SAFETY/],
    ["a clock that is ahead", node({ clockOffsetMs: 30_001 }), "CLOCK_OFFSET", /check 1 .*30\.001 s .* 30 s/],
    ["a clock that is behind", node({ clockOffsetMs: -30_001 }), "CLOCK_OFFSET", /check 1 .*-30\.001 s/],
    [
      "one vote less",
      { certificate: approved({}, [1, 2, 3]), held: undefined },
      "CERTIFICATE_INVALID",
      /check 2 .*3 votes, and 4 decide/,
    ],
    [
      "a tampered message",
      { certificate: tampered, held: undefined },
      "CERTIFICATE_INVALID",
      /check 2 .*the vote of alice does not verify/,
    ],
    [
      "a certificate of other members",
      { certificate: certificate(BASE.certificate.value, [1, 2, 3, 4], other), held: undefined },
      "CERTIFICATE_INVALID",
      /check 2 .*another membership \(members there: epoch 2, .*; here: epoch 1/,
    ],
    [
      "another decision",
      { held: approved({ input: utf8("pay 6") }) },
      "CERTIFICATE_INVALID",
      /check 2 .*tx_001 is decided here for the ballot .*, and this certificate is for/,
    ],
    [
      "an integer",
      { certificate: certificate(encodeValue({ schema: "integer", integer: 42n })), held: undefined },
      "APPROVAL_INVALID",
      /check 3 .*schema integer/,
    ],
    [
      "bytes that are no approval",
      { certificate: certificate(encodeValue({ schema: "approval", bytes: utf8("x") })), held: undefined },
      "APPROVAL_INVALID",
      /check 3 .*cannot be read as an approval/,
    ],
    [
      "an approval with a byte more",
      {
        certificate: certificate(
          encodeValue({ schema: "approval", bytes: new Uint8Array([...encodeApproval(APPROVAL), 0]) }),
        ),
        held: undefined,
      },
      "APPROVAL_INVALID",
      /check 3 .*cannot be read/,
    ],
    [
      "an approval of another transaction",
      { certificate: certificate(BASE.certificate.value, [1, 2, 3, 4], COUNCIL, "tx_002"), held: undefined },
      "APPROVAL_INVALID",
      /check 3 .*for tx_001, and the vote was on tx_002/,
    ],
    [
      "an approval of another cluster",
      { certificate: approved({ cluster: "other" }), held: undefined },
      "APPROVAL_INVALID",
      /check 3 .*for other, and this is demo/,
    ],
    [
      "a rejection",
      { certificate: approved({ kind: "reject" }), held: undefined },
      "APPROVAL_INVALID",
      /check 3 .*the decision is to reject tx_001/,
    ],
    [
      "a key that is not here",
      { keyOf: () => undefined },
      "APPROVAL_KEY",
      /check 4 .*0101010101010101… *, of which no share/,
    ],
    [
      "another key",
      key({ keyId: new Uint8Array(32).fill(9) }),
      "APPROVAL_KEY",
      /check 4 .*0101.*and here is 0909/,
    ],
    [
      "another public key",
      key({ publicKey: new Uint8Array(33).fill(9) }),
      "APPROVAL_KEY",
      /check 4 .*0202.*treasury has 0909/,
    ],
    [
      "another policy of the key",
      key({ policyHash: new Uint8Array(32).fill(9) }),
      "APPROVAL_KEY",
      /check 4 .*0303.*0909.*propose it again/,
    ],
    [
      "another scheme",
      key({ scheme: "ecdsa-p256" }),
      "APPROVAL_KEY",
      /check 4 .*ecdsa-secp256k1, and treasury signs ecdsa-p256/,
    ],
    ["a plain key", key({ purpose: "plain" }), "APPROVAL_KEY", /check 4 .*a key for plain/],
    ["a decision key", key({ purpose: "decision" }), "APPROVAL_KEY", /check 4 .*a key for decision/],
    [
      "another digest",
      { digest: new Uint8Array(32).fill(9) },
      "APPROVAL_DIGEST",
      /check 5 .*to sign 0909.*was approved is/,
    ],
    [
      "a path that is not allowed",
      { policy: policy('paths = ["m/1", "m/0/4"]') },
      "APPROVAL_DIGEST",
      /check 5 .*m\/0\/5, .*m\/1, m\/0\/4/,
    ],
    [
      "a child that there is not",
      { certificate: approved({ path: [13] }), held: undefined },
      "APPROVAL_DIGEST",
      /check 5 .*has no key/,
    ],
    [
      "an approval that lasts too long",
      { policy: policy("max_lifetime_seconds = 7199.9") },
      "APPROVAL_EXPIRED",
      /check 6 .*lasts 7200 s, and at most 7199\.9 s/,
    ],
    [
      "an approval of tomorrow",
      { clocks: [NOW - HOUR - 1n] },
      "APPROVAL_EXPIRED",
      /check 6 .*begins at 2026-11-18T11:00:00\.000Z, and it is 2026-11-18T10:59:59\.999Z/,
    ],
    [
      "an approval that ends too soon",
      { clocks: [NOW + HOUR - 59_999n] },
      "APPROVAL_EXPIRED",
      /check 6 .*ends at 2026-11-18T13:00:00\.000Z, .*may take 60 s/,
    ],
    ["one clock that is after the end", { clocks: [NOW, NOW + HOUR, NOW] }, "APPROVAL_EXPIRED", /check 6/],
    [
      "a signer without a share",
      { signers: [1, 2, 9].map(partyId) },
      "APPROVAL_SIGNERS",
      /check 7 .*party 9 is to sign, and has no share/,
    ],
    [
      "too few signers",
      { signers: [1, 2].map(partyId) },
      "APPROVAL_SIGNERS",
      /check 7 .*alice, bob are to sign, and are too few/,
    ],
    [
      "signers in another order",
      { signers: [1, 3, 2].map(partyId) },
      "APPROVAL_SIGNERS",
      /check 7 .*alice, carol, bob are to sign, and alice, bob, carol of them would/,
    ],
    [
      "more signers than are needed",
      { signers: [1, 2, 3, 4].map(partyId) },
      "APPROVAL_SIGNERS",
      /check 7 .*alice, bob, carol of them would/,
    ],
    [
      "a banned pair",
      { burned: (_: ApprovalKey, peer: PartyId) => peer === 3 },
      "APPROVAL_SIGNERS",
      /check 7 .*carol is to sign, and the pair with it is banned/,
    ],
    [
      "signers of whom one is banned",
      { barred: (_: ApprovalKey, signers: readonly PartyId[]) => `nothing is signed with ${signers[1]}` },
      "APPROVAL_SIGNERS",
      /check 7 .*alice, bob, carol are to sign, and nothing is signed with 2/,
    ],
    [
      "a key that is not allowed",
      { policy: policy('keys = ["petty-cash"]') },
      "APPROVAL_POLICY",
      /check 8 .*treasury, and allowed here are petty-cash/,
    ],
    [
      "a digest",
      { certificate: approved({ mode: "digest", input: sha256(APPROVAL.input) }), held: undefined },
      "APPROVAL_POLICY",
      /check 8 .*allow_digest/,
    ],
    [
      "a long message",
      { policy: policy("max_message_bytes = 12") },
      "APPROVAL_POLICY",
      /check 8 .*has 13 bytes, and at most 12/,
    ],
    [
      "the wrong hour",
      { policy: policy('window = "12:01-18:00"') },
      "APPROVAL_POLICY",
      /check 8 .*12:00:00\.000Z, .*12:01-18:00 UTC/,
    ],
    [
      "the wrong day",
      { policy: policy('days = ["mon", "thu"]') },
      "APPROVAL_POLICY",
      /check 8 .*on mon, thu, all day/,
    ],
    [
      "an approver who did not vote",
      { policy: policy('approvers = ["erin"]') },
      "APPROVAL_POLICY",
      /check 8 .*of erin at least 1 must approve, and nobody did/,
    ],
    [
      "an approver under whose name another key votes",
      { policy: policy('approvers = ["alice", "bob"]'), strangers: ["alice", "bob"] },
      "APPROVAL_POLICY",
      /check 8 .*of alice, bob at least 1 must approve, and nobody did/,
    ],
    [
      "too few approvers",
      { policy: policy('approvers = ["erin", "dave"]\napprovers_required = 2') },
      "APPROVAL_POLICY",
      /check 8 .*at least 2 must approve, and dave did/,
    ],
    [
      "one person where two are needed",
      { policy: policy('approvers = ["alice", "erin"]\ntwo_persons = true') },
      "APPROVAL_POLICY",
      /check 8 .*two persons must approve, and alice did, on a proposal of alice/,
    ],
    [
      "something superseded that nobody knows",
      { certificate: superseding, held: undefined },
      "APPROVAL_SUPERSEDED",
      /check 9 .*takes the place of tx_000, of which nobody here knows/,
    ],
    [
      "something superseded that may still be signed",
      { certificate: superseding, held: undefined, superseded: former(NOW - HOUR - 59_999n) },
      "APPROVAL_SUPERSEDED",
      /check 9 .*tx_000 may be signed until .*, so that tx_001 may begin at .*, and it begins at/,
    ],
  ] as readonly (readonly [string, Partial<ApprovalCheck>, string, RegExp])[]
) {
  Deno.test(`checkApproval() refuses ${what}`, () => {
    assert.throws(() => checkApproval({ ...BASE, ...changes }), (error: unknown) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      assert.match(error.message, / at bob: /);
      assert.equal(error.party, "bob");
      return true;
    });
  });
}

Deno.test("checkApproval() allows what is just within every limit", () => {
  for (
    const changes of [
      node({ pausedSince: undefined, clockOffsetMs: 30_000 }),
      node({ clockOffsetMs: undefined }),
      { clocks: [NOW - HOUR] },
      { clocks: [NOW + HOUR - 60_000n] },
      { policy: policy("max_lifetime_seconds = 7200\nmax_message_bytes = 13") },
      {
        policy: policy('keys = ["treasury"]\npaths = ["m/1", "m/0"]\nwindow = "12:00-12:01"\ndays = ["wed"]'),
      },
      // A vote counts that is in no certificate, but held here.
      { policy: policy('approvers = ["erin"]'), voters: ["erin"] },
      { policy: policy('approvers = ["alice", "erin"]\ntwo_persons = true'), voters: ["erin", "erin"] },
      {
        policy: policy("allow_digest = true"),
        certificate: approved({ mode: "digest", input: sha256(APPROVAL.input) }),
        held: undefined,
      },
      { certificate: superseding, held: undefined, superseded: former(NOW - HOUR - 60_000n) },
    ]
  ) checkApproval({ ...BASE, ...changes });
});

Deno.test("approvesByItself() needs the proposer's name, and everything that the policy says of the payload", () => {
  const willing = policy('auto_approve = true\nproposers = ["alice", "carol"]');
  const check = { ...BASE, policy: willing, approval: APPROVAL, proposer: "alice" };
  assert.equal(approvesByItself(check), true);
  for (
    const changes of [
      { policy: POLICY },
      { proposer: "bob" },
      { approval: { ...APPROVAL, kind: "reject" as const } },
      { approval: { ...APPROVAL, mode: "digest" as const, input: new Uint8Array(32) } },
      { approval: { ...APPROVAL, notAfter: NOW } },
      { approval: { ...APPROVAL, path: [13] } },
      { keyOf: () => ({ ...KEY, purpose: "plain" as const }) },
    ]
  ) assert.equal(approvesByItself({ ...check, ...changes }), false);
});

Deno.test("isInWindow() knows windows over midnight", () => {
  const night = policy('window = "22:00-06:00"');
  const at = (hour: number, minute: number) => isInWindow(night, Date.UTC(2026, 0, 1, hour, minute));
  assert.deepEqual(
    [at(21, 59), at(22, 0), at(0, 0), at(5, 59), at(6, 0)],
    [false, true, true, true, false],
  );
});

Deno.test("[policy] refuses what contradicts itself or names strangers", () => {
  for (
    const [section, message] of [
      ['approvers = ["zoe"]', /policy\.approvers names zoe/],
      ['proposers = ["zoe"]', /policy\.proposers names zoe/],
      ["approvers_required = 1", /approvers_required is 1, and policy\.approvers names 0/],
      ['approvers = ["erin", "erin"]\napprovers_required = 2', /is 2, and policy\.approvers names 1/],
      ["auto_approve = true", /needs policy\.proposers/],
      ['window = "9-5"', /policy\.window must be a time of day/],
      ['days = ["funday"]', /policy\.days\[1\] must be/],
      ['paths = ["0/5"]', /policy\.paths\[1\] must be a path/],
      ['paths = ["m/4294967296"]', /policy\.paths: /],
      ["colour = 1", /there is no key policy\.colour/],
    ] as const
  ) assert.throws(() => policy(section), { code: "CONFIG_INVALID", message });
});
