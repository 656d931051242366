/**
 * Five nodes as processes of their own sign what four of their operators approved, and nothing else.
 */

import assert from "node:assert/strict";
import { NodeStage } from "../../cli/node_stage.ts";
import { type PartyProcess, startParty } from "../../cli/processes.ts";
import { loadConfig } from "../../src/node/config.ts";
import { Approvers } from "./approvers.ts";

const NODES = ["n1", "n2", "n3", "n4", "n5"] as const;

Deno.test("five nodes sign what four approved: openssl verifies it, and nothing else is signed", async (t) => {
  await using stage = await NodeStage.start(NODES);
  const desk = new Approvers(stage, { key: "treasury", message: "pay 5 to dave" });
  const { message } = desk;
  const all = (args: readonly string[]) => Promise.all(NODES.map((name) => desk.run(name, args)));

  await all([
    "key",
    "generate",
    "--key",
    "treasury",
    "--policy",
    `3 of (${NODES.join(", ")})`,
    "--purpose",
    "approved-signing",
  ]);
  const pem = desk.file("treasury.pem");
  await desk.run("n1", ["key", "export-public", "--key", "treasury", "--out", pem]);

  await t.step("it is bound to approval", async () => {
    assert.match(await desk.run("n2", ["key", "list"]), /treasury {2}secp256k1 for approved-signing/);
    const sign = ["key", "sign", "--key", "treasury", "--signers", "n1,n2,n3", "--message-file", message];
    assert.match(await desk.run("n1", [...sign, "--out", desk.file("no.sig")], 64), /APPROVAL_REQUIRED/);
  });

  await t.step("three approvals are none", async () => {
    await desk.approve("pay-1", await desk.propose("pay-1"), ["n1", "n2", "n3"]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const name of NODES) {
      const report = await stage.status(name, "pay-1");
      assert.equal(report.state, "undecided");
      assert.equal(report.signing ?? null, null);
    }
  });

  await t.step("the fourth is enough, at every node", async () => {
    await desk.approve("pay-1", (await stage.status("n4", "pay-1")).proposals[0]!.ballot, ["n4"]);
    for (const name of ["n1", "n5"] as const) {
      const out = desk.file(`${name}.sig`);
      await desk.run(name, ["signature", "show", "--tx-id", "pay-1", "--wait", "20", "--out", out]);
      const openssl = new Deno.Command("openssl", {
        args: ["dgst", "-sha256", "-verify", pem, "-signature", out, message],
      });
      assert.match(new TextDecoder().decode((await openssl.output()).stdout), /Verified OK/);
    }
    assert.deepEqual(Deno.readFileSync(desk.file("n1.sig")), Deno.readFileSync(desk.file("n5.sig")));
    // The request is idempotent: the same again is the same transaction, another payload is none.
    await desk.propose("pay-1");
    const other = ["propose", "--tx-id", "pay-1", "--key", "treasury", "--message", "pay 9 to eve"];
    assert.match(await desk.run("n2", other, 1), /TX_CONFLICT/);
  });

  await t.step(
    "a digest, which no policy here allows, gets no signature, and every reason names its node",
    async () => {
      const digest = "11".repeat(32);
      await desk.answer("pay-2", await desk.propose("pay-2", "--digest", digest), ["n1", "n2", "n3", "n4"]);
      const said = await desk.show("n1", "pay-2", 3);
      assert.match(said, /n1: check 8 \(policy\) at n1: a digest is to be signed/);
    },
  );

  await t.step("a rejection is decided, and signs nothing", async () => {
    await desk.answer("pay-3", await desk.propose("pay-3"), ["n1", "n2", "n3", "n4"], "reject");
    assert.equal((await stage.status("n5", "pay-3", 10_000)).state, "decided");
    for (const name of NODES) assert.equal((await stage.status(name, "pay-3")).signing ?? null, null);
  });

  await t.step("a decision has a compact certificate that openssl verifies", async () => {
    const input = {
      key: "notary",
      curve: "ed25519",
      policy: `4 of (${NODES.join(", ")})`,
      purpose: "decision",
    };
    await Promise.all(NODES.map((name) => {
      const path = "/v1/commands/key.generate";
      return stage.client(name).follow({ method: "POST", path, input: { command: "test", input } }, () => {});
    }));
    const notary = desk.file("notary.pem"),
      [out, statement] = [desk.file("pay-1.compact"), desk.file("pay-1.statement")];
    await desk.run("n2", ["key", "export-public", "--key", "notary", "--out", notary]);
    const args = ["decision", "compact", "pay-1", "--key", "notary", "--out", out, "--statement", statement];
    await desk.run("n1", [...args, "--json"]);
    const openssl = new Deno.Command("openssl", {
      args: ["pkeyutl", "-verify", "-pubin", "-inkey", notary, "-rawin", "-in", statement, "-sigfile", out],
    });
    assert.match(
      new TextDecoder().decode((await openssl.output()).stdout),
      /Signature Verified Successfully/,
    );
  });

  await t.step(
    "a node with a stricter policy keeps its share, paused nodes too, and the reasons name who and why",
    async () => {
      const strict = desk.file("strict.toml");
      const text = Deno.readTextFileSync(stage.config.path);
      Deno.writeTextFileSync(strict, `${text}\n[policy]\nmax_message_bytes = 3\n`);
      await stage.killNode("n1");
      const node: PartyProcess = startParty(loadConfig(strict), "n1", [
        "node",
        "run",
        "--log-level",
        "error",
      ]);
      try {
        await stage.ready();
        await desk.run("n2", ["pause", "--voting"]);
        assert.match(await desk.run("n2", ["status"]), /\npaused +signing since .*\npaused +voting since /);
        assert.match(await desk.run("n2", ["vote", "--tx-id", "tx", "--value", "1"], 3), /VOTING_PAUSED/);
        await desk.answer("pay-4", await desk.propose("pay-4"), ["n1", "n3", "n4", "n5"]);
        // Three are left, and enough.
        await desk.show("n5", "pay-4", 0);
        await desk.run("n3", ["pause"]);
        await desk.answer("pay-5", await desk.propose("pay-5"), ["n1", "n3", "n4", "n5"]);
        const said = await desk.show("n4", "pay-5", 3);
        assert.match(said, /n1.*check 8 \(policy\) at n1: the message has 13 bytes, and at most 3/);
        assert.match(said, /n2.*paused/);
        assert.match(said, /n3.*paused/);
      } finally {
        node.kill();
        await node.finished;
        stage.startNode("n1");
      }
      await stage.ready();
      for (const name of ["n2", "n3"]) await desk.run(name, ["resume"]);
      // The same request again begins anew, after all checks.
      await desk.propose("pay-5");
      await desk.show("n4", "pay-5", 0);
    },
  );
});
