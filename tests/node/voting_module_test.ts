/** What operators ask of voting, at one node whose peers are away. */

import assert from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { Changes } from "../../src/node/changes.ts";
import { generateCommand } from "../../src/node/key_commands.ts";
import { runCommand } from "../../src/node/command.ts";
import { KeyTurns } from "../../src/node/key_turns.ts";
import { openParty } from "../../src/node/party.ts";
import type { PolicyConfig } from "../../src/node/policy_config.ts";
import { VotingModule } from "../../src/node/voting_module.ts";
import type { VotingConfig } from "../../src/node/voting_config.ts";
import { Log } from "../../src/telemetry/log.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { Cluster, values } from "./fixture.ts";

const NAMES = ["alice", "bob", "carol", "dave"];

type Ask = (route: string, input?: unknown) => Promise<Record<string, unknown>>;

async function atNode(
  test: (ask: Ask, place: { readonly lines: readonly string[]; metrics(): string }) => Promise<void>,
  policy: Partial<PolicyConfig> = {},
): Promise<void> {
  using cluster = await Cluster.make(NAMES);
  const common = { curve: "ed25519", policy: `2 of (${NAMES.join()})` } as const;
  const bound = { ...common, key: "bound", purpose: "approved-signing" } as const;
  values(
    await cluster.all(NAMES, async (party) => {
      await runCommand(generateCommand, party, bound);
      await runCommand(generateCommand, party, { ...common, key: "free" });
    }),
  );
  const config = { ...cluster.config, policy: { ...cluster.config.policy, ...policy } };
  const party = await openParty(config, "alice", { command: "test", timeoutMs: 10_000, mode: "daemon" });
  await party.connect();
  const lines: string[] = [];
  const counted = new Metrics();
  const module = await VotingModule.start({
    party,
    voting: cluster.config.voting as VotingConfig,
    log: new Log({
      party: "alice",
      cluster: "demo",
      format: "json",
      level: "info",
      write: (line) => lines.push(line),
    }),
    metrics: counted,
    turns: new KeyTurns(() => ""),
    changes: new Changes(),
  });
  const ask: Ask = async (route, input) => {
    const { signal } = new AbortController();
    const found = module.routes.get(route);
    assert.ok(found !== undefined, route);
    return await found.serve({ operator: "admin", input, signal, emit: () => {} }) as Record<string, unknown>;
  };
  try {
    const metrics = () => {
      module.collect(counted);
      return counted.text();
    };
    await test(ask, { lines, metrics });
  } finally {
    await module[Symbol.asyncDispose]();
    await party.close();
  }
}

Deno.test("VotingModule refuses what operators ask for in no form that it knows, and says which part", () =>
  atNode(async (ask) => {
    const value = { integer: "1" };
    const ballot = "abcd".repeat(4), kind = "approve";
    const times = { notBefore: Date.now(), notAfter: Date.now() + 1000 };
    const proposal = { txId: "tx", key: "bound", message: utf8("m"), ...times };
    const wrong: readonly (readonly [route: string, input: unknown, match: RegExp])[] = [
      ["cast", undefined, /no valid form/],
      ["cast", { txId: "", value }, /no valid txId/],
      ["cast", { txId: "x".repeat(129), value }, /no valid txId/],
      ["cast", { txId: "tx", value: { integer: "1.5" } }, /no valid value/],
      ["cast", { txId: "tx", value: { integer: 1 } }, /no valid value/],
      ["cast", { txId: "tx", value: { ...value, text: "a" } }, /no valid value/],
      ["cast", { txId: "tx", value: {} }, /no valid value/],
      ["cast", { txId: "tx", value, waitMs: 3_600_001 }, /no valid waitMs/],
      ["cast", { txId: "tx", value, waitMs: -1 }, /no valid waitMs/],
      ["cast", { txId: "tx", value, extra: 1 }, /no valid form/],
      ["cast", { txId: "tx", value: { integer: "9223372036854775808" } }, /an integer is from/],
      ["cast", { txId: "a\nb", value }, /no control characters/],
      ["cast", { txId: "roster/1", value }, /reserved/],
      ["cast", { txId: "tx", value: { bytes: new Uint8Array(64 * 1024) } }, /at most 65536 bytes/],
      ["answer", { txId: "tx", ballot: "abcdabcdabcdabc", kind }, /no valid ballot/],
      ["answer", { txId: "tx", ballot: "ABCD".repeat(4), kind }, /no valid ballot/],
      ["answer", { txId: "tx", ballot, kind: "maybe" }, /no valid kind/],
      ["status", { txId: "tx", waitMs: 3_600_001 }, /no valid waitMs/],
      ["certificate", { txId: 1 }, /no valid txId/],
      ["proof", { id: "abc" }, /no valid id/],
      ["propose", { ...proposal, message: "m" }, /no valid message/],
      ["propose", { ...proposal, message: undefined }, /either a message or a digest/],
      ["propose", { ...proposal, digest: new Uint8Array(32) }, /either a message or a digest/],
      ["propose", { ...proposal, message: undefined, digest: new Uint8Array(31) }, /a digest has 32 bytes/],
      ["propose", { ...proposal, message: new Uint8Array(48 * 1024 + 1) }, /at most 49152 bytes/],
      ["propose", { ...proposal, path: "0/5" }, /path/],
      ["propose", { ...proposal, notBefore: -1 }, /no valid notBefore/],
      ["propose", { ...proposal, notAfter: 2 ** 60 }, /no valid notAfter/],
      ["propose", { ...proposal, notAfter: times.notBefore - 1 }, /ends after it begins/],
      ["propose", { ...proposal, notAfter: times.notBefore + 25 * 3_600_000 }, /open for at most 86400 s/],
      [
        "propose",
        { ...proposal, context: ["to", "to"].map((name) => ({ name, value: "" })) },
        /names to twice/,
      ],
      ["propose", { ...proposal, context: [{ name: "", value: "" }] }, /no valid context/],
      ["propose", {
        ...proposal,
        context: Array.from({ length: 65 }, (_, i) => ({ name: `${i}`, value: "" })),
      }, /no valid context/],
      ["propose", { ...proposal, supersedes: "a\nb" }, /no control characters/],
    ];
    for (const [route, input, match] of wrong) {
      await assert.rejects(
        ask(`POST /v1/voting/${route}`, input),
        (error: { code: string; message: string }) => {
          assert.deepEqual(
            [error.code, match.test(error.message)],
            ["USAGE", true],
            `${route}: ${error.message}`,
          );
          return true;
        },
      );
    }
    const codes: readonly (readonly [route: string, input: unknown, code: string])[] = [
      ["voting/propose", { ...proposal, key: "free" }, "KEY_PURPOSE"],
      ["voting/propose", { ...proposal, key: "none" }, "KEY_UNKNOWN"],
      ["voting/propose", { ...proposal, notBefore: 0, notAfter: 1000 }, "TX_EXPIRED"],
      ["voting/answer", { txId: "tx", ballot, kind }, "BALLOT_UNKNOWN"],
      ["voting/certificate", { txId: "tx" }, "TX_UNDECIDED"],
      ["approvals/signature", { txId: "tx" }, "TX_UNDECIDED"],
      ["approvals/signature", { txId: "tx", waitMs: -1 }, "USAGE"],
      ["approvals/signature", { txId: "tx", waitMs: 3_600_001 }, "USAGE"],
      ["approvals/signature", { txId: "" }, "USAGE"],
      ["approvals/adopt", { txId: "tx", signature: "00" }, "USAGE"],
      ["approvals/pause", { reason: "x".repeat(257) }, "USAGE"],
      ["approvals/pause", { voting: "yes" }, "USAGE"],
      ["approvals/resume", { why: "not" }, "USAGE"],
      ["approvals/resume", { voting: true }, "USAGE"],
    ];
    for (const [route, input, code] of codes) {
      await assert.rejects(ask(`POST /v1/${route}`, input), { code }, route);
    }
    assert.deepEqual(await ask("GET /v1/voting/transactions"), { transactions: [] });
    assert.deepEqual(await ask("GET /v1/approvals/pause"), { pausedSince: null, votingPausedSince: null });
  }));

Deno.test("VotingModule votes, proposes and pauses as it is asked, and says so", () =>
  atNode(async (ask, { lines }) => {
    const cast = await ask("POST /v1/voting/cast", { txId: "a", value: { text: "yes" }, waitMs: 1 });
    assert.deepEqual([cast.state, cast.own, cast.missing], ["undecided", '"yes"', ["bob", "carol", "dave"]]);
    await assert.rejects(ask("POST /v1/voting/cast", { txId: "a", value: { text: "no" } }), {
      code: "ALREADY_VOTED",
    });
    const times = { notBefore: Date.now(), notAfter: Date.now() + 60_000 };
    const context = [{ name: "to", value: "dave" }, { name: "amount", value: "5" }];
    const proposal = {
      txId: "b",
      key: "bound",
      digest: new Uint8Array(32),
      path: "m/0/5",
      context,
      ...times,
    };
    const proposed = await ask("POST /v1/voting/propose", proposal);
    const [{ ballot, proposer, approval }] = proposed.proposals as [
      { ballot: string; proposer: string; approval: Record<string, unknown> },
    ];
    assert.deepEqual([proposer, approval.mode, approval.path], ["alice", "digest", "m/0/5"]);
    assert.deepEqual(approval.context, context.toReversed());
    // The same again is the same request; another one has another name.
    assert.deepEqual(await ask("POST /v1/voting/propose", proposal), proposed);
    await assert.rejects(ask("POST /v1/voting/propose", { ...proposal, path: "m/0/6" }), {
      code: "TX_CONFLICT",
    });
    const answered = await ask("POST /v1/voting/answer", {
      txId: "b",
      ballot: ballot.slice(0, 16),
      kind: "reject",
    });
    assert.deepEqual([answered.own, (answered.tally as { value: string }[])[0]?.value], ["reject", "reject"]);
    const { transactions } = await ask("GET /v1/voting/transactions") as { transactions: { txId: string }[] };
    assert.deepEqual(transactions.map(({ txId }) => txId), ["a", "b"]);
    const { pausedSince } = await ask("POST /v1/approvals/pause", { reason: "a test" });
    assert.equal(typeof pausedSince, "string");
    assert.deepEqual(await ask("GET /v1/approvals/pause"), { pausedSince, votingPausedSince: null });
    // Voting goes on while signing alone is paused.
    await ask("POST /v1/voting/cast", { txId: "c", value: { text: "yes" } });
    const resumed = { pausedSince: null, votingPausedSince: null };
    assert.deepEqual(await ask("POST /v1/approvals/resume", {}), resumed);
    const codes = lines.map((line) => JSON.parse(line).code);
    for (
      const code of [
        "VOTING_STARTED",
        "VOTE_ASKED",
        "PROPOSED",
        "PROPOSAL",
        "SIGNING_PAUSED",
        "SIGNING_RESUMED",
      ]
    ) {
      assert.ok(codes.includes(code), code);
    }
  }));

Deno.test("VotingModule casts no vote while voting is paused, and stores what others ask for", () =>
  atNode(async (ask, { metrics }) => {
    const times = { notBefore: Date.now(), notAfter: Date.now() + 600_000 };
    const proposal = { txId: "b", key: "bound", message: utf8("m"), ...times };
    const paused = await ask("POST /v1/approvals/pause", { voting: true });
    assert.equal(typeof paused.pausedSince, "string");
    assert.equal(typeof paused.votingPausedSince, "string");
    const { proposals } = await ask("POST /v1/voting/propose", proposal);
    const [{ ballot }] = proposals as [{ ballot: string }];
    const others = { members: ["alice", "bob", "carol", "dave"], quorum: 3, faults: 1 };
    const casts = [
      ["POST /v1/voting/cast", { txId: "a", value: { integer: "1" } }],
      ["POST /v1/voting/answer", { txId: "b", ballot, kind: "approve" }],
      ["POST /v1/voting/members", others],
    ] as const;
    for (const [route, input] of casts) {
      await assert.rejects(ask(route, input), { code: "VOTING_PAUSED" }, route);
    }
    const { transactions } = await ask("GET /v1/voting/transactions");
    assert.deepEqual((transactions as { txId: string; own: unknown }[]).map(({ txId, own }) => [txId, own]), [
      ["b", null],
    ]);
    assert.match(metrics(), /quorate_paused\{[^}]*what="voting"[^}]*\} 1/);
    await ask("POST /v1/approvals/resume", {});
    assert.match(metrics(), /quorate_paused\{[^}]*what="voting"[^}]*\} 0/);
    for (const [route, input] of casts.slice(0, 2)) await ask(route, input);
    const { own } = await ask("POST /v1/voting/propose", { ...proposal, txId: "d" });
    assert.equal(own, "approve", "what was proposed while it was paused is nobody's vote; this is");
  }, { autoApprove: ["alice"] }));
