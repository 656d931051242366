import assert from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { ApprovalView, type ViewOptions } from "../../src/node/approval_view.ts";
import { type Approval, encodeApproval } from "../../src/voting/approval.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { council } from "../voting/support.ts";

Deno.test("ApprovalView.approvalOf() knows until when a transaction may be signed from votes too", () => {
  const { membership } = council(5, 4);
  const approval = (notAfter: bigint): Approval => ({
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
    notAfter,
    lowS: true,
  });
  const tally = [1000n, 3000n, 2000n].map((notAfter) => ({
    value: encodeValue({ schema: "approval", bytes: encodeApproval(approval(notAfter)) }),
    voters: ["alice"],
  }));
  const view = new ApprovalView({
    votes: {
      membership,
      certificate: () => undefined,
      status: () => ({ state: "undecided", tally, proposals: [] }),
    },
  } as unknown as ViewOptions);
  assert.equal(view.approvalOf("tx")?.notAfter, 3000n);
});
