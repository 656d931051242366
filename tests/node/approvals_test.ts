import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { formatPublicKey } from "../../src/node/public_key.ts";
import { keyInfo } from "../../src/node/party.ts";
import { World } from "./approvals_world.ts";

Deno.test("Approvals", async (t) => {
  await using world = await World.make();
  await world.linked();
  const pem = (key: string) =>
    createPublicKey(formatPublicKey(keyInfo(world.nodes[0]!.party.local, key), "pem"));

  await t.step("sign what four of five approved, and every node has the signature", async () => {
    for (const [key, algorithm] of [["treasury", "sha256"], ["seal", null]] as const) {
      const approval = world.approval({ key });
      world.decide(world.certificate(approval));
      const states = await world.settled(approval.txId);
      assert.deepEqual(
        states.map((state) => [state?.outcome, state?.reason]),
        states.map(() => ["signed", undefined]),
      );
      const signature = states[0]!.signature!;
      assert.ok(verify(algorithm, approval.input, pem(key), signature));
      for (const { approvals } of world.nodes) {
        assert.deepEqual(approvals.signature(approval.txId)?.signature, signature);
      }
    }
  });
});
