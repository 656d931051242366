import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { ApprovalTask } from "../../src/node/approval_task.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf } from "../../src/voting/vote.ts";
import { council } from "../voting/support.ts";

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
  notAfter: 1n,
  lowS: true,
};

/** A task, and the time for it. */
function task(): { readonly task: ApprovalTask; readonly clock: { ms: number } } {
  const clock = { ms: 0 };
  const value = encodeValue({ schema: "approval", bytes: encodeApproval(APPROVAL) });
  const certificate = { ...questionOf(council(5, 4).membership, "tx", value), votes: [] };
  return {
    task: new ApprovalTask(certificate, APPROVAL, { now: () => clock.ms, timer: () => () => {} }),
    clock,
  };
}

Deno.test("ApprovalTask.mayAsk() lets each member ask a few times at once, and then every two minutes", () => {
  const { task: one, clock } = task();
  const asked = (peer: number) =>
    Array.from({ length: 20 }, () => one.mayAsk(partyId(peer))).filter(Boolean).length;
  assert.equal(asked(2), 8);
  assert.equal(asked(3), 8, "another one is not made to wait");
  clock.ms += 120_000;
  assert.equal(asked(2), 1);
});

Deno.test("ApprovalTask.refuse() says what is to be told: what is new, and not too much of it", () => {
  const { task: one, clock } = task();
  const refuse = (reason: string, code = "APPROVAL_POLICY") =>
    one.refuse(partyId(2), { node: "bob", code, reason });
  assert.equal(refuse("no"), true);
  assert.equal(refuse("no"), false, "the same again");
  assert.equal(refuse("no", "APPROVAL_KEY"), true);
  const told = Array.from({ length: 20 }, (_, i) => refuse(`no ${i}`)).filter(Boolean).length;
  assert.equal(told, 6);
  assert.equal(one.refusals.get(partyId(2))?.reason, "no 19", "it is taken all the same");
  clock.ms += 60_000;
  assert.equal(refuse("never"), true);
});
