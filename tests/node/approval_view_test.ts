import assert from "node:assert/strict";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import type { Ed25519Verifier } from "../../src/base/crypto.ts";
import type { ApprovalKey } from "../../src/node/approval_key.ts";
import { ApprovalView, type ViewOptions } from "../../src/node/approval_view.ts";
import { parseConfig } from "../../src/node/config.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import type { QuorumCertificate } from "../../src/voting/certificate.ts";
import type { Membership, Voter } from "../../src/voting/membership.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";
import { PARTIES } from "./config_text.ts";

const APPROVAL: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx",
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
  notAfter: 1000n,
  lowS: true,
};

function valueOf(changes: Partial<Approval> = {}): Bytes {
  return encodeValue({ schema: "approval", bytes: encodeApproval({ ...APPROVAL, ...changes }) });
}

/** What bob knows, who votes with others unless said otherwise. */
function viewOf({ votes = {}, name = "bob", parties = COUNCIL.membership.voters }: {
  readonly votes?: object;
  readonly name?: string;
  readonly parties?: readonly { readonly name: string; readonly key: Ed25519Verifier }[];
} = {}): ApprovalView {
  const roster = { parties: parties.map(({ name, key }) => ({ name, identity: key })) };
  return new ApprovalView({
    party: { local: { party: { index: 2, name }, config: { roster } } },
    locks: { pausedSince: undefined, highWater: 0 },
    policy:
      parseConfig(`${PARTIES}\n[policy]\nauto_approve = true\nproposers = ["alice"]\n`, "/q/q.toml").policy,
    now: () => 0,
    votes: {
      membership: COUNCIL.membership,
      certificate: () => undefined,
      status: () => undefined,
      ...votes,
    },
  } as unknown as ViewOptions);
}

function certificate(membership: Membership = COUNCIL.membership): QuorumCertificate {
  return { ...questionOf(membership, "tx", valueOf()), votes: [] };
}

const COUNCIL = council(5, 4);

Deno.test("ApprovalView.approvalOf() knows until when a transaction may be signed from votes too", () => {
  const tally = [1000n, 3000n, 2000n].map((notAfter) => ({
    value: valueOf({ notAfter }),
    voters: ["alice"],
  }));
  const view = viewOf({ votes: { status: () => ({ state: "undecided", tally, proposals: [] }) } });
  assert.equal(view.approvalOf("tx")?.notAfter, 3000n);
});

Deno.test("ApprovalView.check() counts votes for the ballot itself, not for the same value in another epoch", () => {
  const tally = [{ value: valueOf(), voters: ["alice", "bob"] }];
  for (const [epoch, voters] of [[COUNCIL.membership.epoch, ["alice", "bob"]], [7, []]] as const) {
    const view = viewOf({ votes: { status: () => ({ state: "undecided", epoch, tally, proposals: [] }) } });
    assert.deepEqual(view.check(certificate()).voters, voters);
  }
});

Deno.test("ApprovalView.check() takes the word of whoever asks for a later end of what is superseded, and for no earlier one", () => {
  const superseded = encodeApproval({ ...APPROVAL, notAfter: 2000n });
  const known = (notAfter: bigint) => ({
    votes: { status: () => ({ tally: [{ value: valueOf({ notAfter }), voters: [] }], proposals: [] }) },
  });
  const decided = { votes: { certificate: () => certificate() } };
  for (
    const [options, expected] of [
      [known(1000n), 2000n],
      [known(3000n), 3000n],
      [decided, 1000n],
      [{}, undefined],
      [{ name: "zoe" }, 2000n],
    ] as const
  ) {
    assert.equal(viewOf(options).check(certificate(), { superseded }).superseded("tx")?.notAfter, expected);
  }
});

Deno.test("ApprovalView knows members by their keys: a policy that names one means the one that this party knows", () => {
  const { voters } = COUNCIL.membership;
  const [alice, bob, ...others] = voters as [Voter, Voter, ...Voter[]];
  const renamed = [{ name: "alice", key: bob.key }, { name: "bob", key: alice.key }, ...others.slice(1)];
  assert.deepEqual(viewOf().check(certificate()).strangers, []);
  assert.deepEqual(viewOf({ parties: renamed }).check(certificate()).strangers, ["alice", "bob", "carol"]);
});

Deno.test("ApprovalView.approves() what a proposer of the policy asks for, and nothing under its name by another key", () => {
  const { voters } = COUNCIL.membership;
  const [alice, bob, ...others] = voters as [Voter, Voter, ...Voter[]];
  const key: ApprovalKey = {
    ...APPROVAL,
    name: "treasury",
    epoch: 1,
    purpose: "approved-signing",
    members: [],
    quorum: () => undefined,
    pathFault: () => undefined,
    verifies: () => false,
  };
  const approves = (changes: Parameters<typeof viewOf>[0]) => {
    const view = Object.assign(viewOf(changes), { keyOf: () => key });
    const question = questionOf(COUNCIL.membership, "tx", valueOf({ notAfter: 3_600_000n }));
    return view.approves({ ...question, proposer: alice.index, signature: new Uint8Array(64) });
  };
  assert.equal(approves({}), true);
  assert.equal(approves({ parties: [{ name: "alice", key: bob.key }, ...others] }), false);
});
