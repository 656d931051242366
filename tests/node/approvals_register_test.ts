/** Signatures that nodes offer to the store that they share. */

import assert from "node:assert/strict";
import type { Approval } from "../../src/voting/approval.ts";
import type { MadeSignature } from "../../src/node/signature_register.ts";
import { World } from "./approvals_world.ts";

const DAY_MS = 24 * 3_600_000;

Deno.test("Approvals offer what they sign to the store, and after a start the signatures of the last day, but no compact certificates", async () => {
  await using world = await World.make(["ed25519", "decision"]);
  await world.linked();
  const chosen: MadeSignature[] = [];
  const added: MadeSignature[] = [];
  const register = {
    choose: (made: MadeSignature) => {
      chosen.push(made);
      return Promise.resolve(made.signature);
    },
    add: (made: MadeSignature) => void added.push(made),
  };
  await world.restart("alice", { register });
  const approval: Approval = world.approval({ key: "seal" });
  world.decide(world.certificate(approval));
  const { txId, keyId } = approval;
  for (const state of await world.settled(txId)) assert.equal(state?.outcome, "signed");
  const { compact } = world.node("alice").approvals.signature(txId)!;
  assert.deepEqual(chosen.map((made) => [made.txId, made.keyId, made.signature]), [[txId, keyId, compact]]);
  assert.equal(chosen[0]?.verifies(compact), true);
  assert.equal(chosen[0]?.verifies(new Uint8Array(64)), false);
  assert.equal(added.length, 0);

  // A lock of the same name, under a key that signs decisions.
  await world.node("alice").approvals.certify(txId, "notary");
  await world.restart("alice", { register });
  assert.deepEqual(added.map((made) => [made.txId, made.keyId, made.signature]), [[txId, keyId, compact]]);
  assert.equal(added[0]?.verifies(compact), true);
  world.ahead = DAY_MS + 60_000;
  await world.restart("alice", { register });
  assert.equal(added.length, 1, "older ones were offered in their day");
});
