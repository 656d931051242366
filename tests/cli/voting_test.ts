/** Commands about votes, at a node that answers what the test says. */

import assert from "node:assert/strict";
import { hex, utf8 } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import { UsageError } from "../../src/base/errors.ts";
import type { SignatureReport } from "../../src/node/approval_routes.ts";
import { readMaterial } from "../../src/node/certificates.ts";
import { partyConfig } from "../../src/node/config.ts";
import { type OperatorCall, OperatorServer } from "../../src/node/operator_server.ts";
import type { TxReport } from "../../src/node/voting_report.ts";
import { identitySigner } from "../../src/pki/identity.ts";
import { certificateCodec, certificateOf } from "../../src/voting/certificate.ts";
import type { Membership } from "../../src/voting/membership.ts";
import { doubleVote, offenceCodec, type OffenceProof, verifyOffence } from "../../src/voting/offence.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../../src/voting/vote.ts";
import { Cluster } from "../node/fixture.ts";
import { type Output, quorate } from "./quorate.ts";

const NAMES = ["alice", "bob", "carol", "dave"];
const UNDECIDED: TxReport = {
  txId: "tx",
  state: "undecided",
  value: null,
  tally: [{ value: "42", ballot: "ab".repeat(32), voters: ["alice", "bob"] }],
  proposals: [],
  own: "42",
  missing: ["carol", "dave"],
  quorum: 3,
  until: null,
  signing: null,
};
const SIGNED: SignatureReport = {
  txId: "tx",
  state: "signed",
  outcome: "signed",
  key: "bound",
  reason: null,
  refusals: [],
  signature: utf8("DER of it"),
  compact: new Uint8Array(64).fill(7),
};

type Answers = Readonly<Record<string, (call: OperatorCall) => unknown>>;

/** Commands at alice's node. */
class Desk {
  readonly cluster: Cluster;
  readonly asked: { readonly path: string; readonly input: unknown }[] = [];
  answers: Answers = {};

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  async alice(...args: readonly string[]): Promise<Output> {
    return await quorate(...args, "--config", this.cluster.configPath, "--party", "alice");
  }

  /** A command that ends with one value as JSON, or the error that it ends with. */
  async json(exit: number, ...args: readonly string[]) {
    const { code, stdout, stderr } = await this.alice(...args, "--json");
    assert.equal(code, exit, `${args.join(" ")}: ${stdout}${stderr}`);
    const value = JSON.parse(exit === 0 ? stdout : stderr.trimEnd().split("\n").at(-1) as string);
    return exit === 0 ? value : value.error;
  }

  /** What is refused before anybody is asked. */
  async refused(message: RegExp, ...args: readonly string[]): Promise<void> {
    const before = this.asked.length;
    const error = await this.json(64, ...args);
    assert.equal(error.code, "USAGE", args.join(" "));
    assert.match(error.message, message);
    assert.equal(this.asked.length, before, `${args.join(" ")} asked the node`);
  }

  answer(path: string, call: OperatorCall): unknown {
    this.asked.push({ path, input: call.input });
    return this.answers[path]?.(call);
  }
}

const STREAMED = ["/v1/voting/cast", "/v1/voting/answer", "/v1/voting/status", "/v1/approvals/signature"];
const ASKED = ["/v1/voting/propose", "/v1/approvals/adopt", "/v1/approvals/pause", "/v1/approvals/resume"]
  .concat(["/v1/voting/certificate", "/v1/voting/proof"]);
const READ = ["/v1/voting/evidence", "/v1/voting/reputation", "/v1/voting/reputation/recomputed"];

async function atDesk(test: (desk: Desk) => Promise<void>): Promise<void> {
  using cluster = await Cluster.make(NAMES);
  const desk = new Desk(cluster);
  const alice = partyConfig(cluster.config, "alice");
  await using _server = await OperatorServer.start({
    listen: alice.node.operatorListen,
    cluster: "demo",
    material: readMaterial(cluster.config, alice),
    routes: new Map([
      ...STREAMED.map((path) => ["POST " + path, { streams: true, serve: serve(path) }] as const),
      ...ASKED.map((path) => ["POST " + path, { serve: serve(path) }] as const),
      ...READ.map((path) => ["GET " + path, { serve: serve(path) }] as const),
    ]),
  });
  await test(desk);

  function serve(path: string) {
    return (call: OperatorCall) => desk.answer(path, call);
  }
}

Deno.test("vote says what is voted for in one way, and nothing else", () =>
  atDesk(async (desk) => {
    desk.answers = { "/v1/voting/cast": () => UNDECIDED, "/v1/voting/answer": () => UNDECIDED };
    const vote = ["vote", "--tx-id", "tx"];
    const wrong: readonly (readonly [RegExp, ...string[]])[] = [
      [/needs exactly one of/],
      [/needs exactly one of/, "--value", "1", "--text", "a"],
      [/whole number of 64 bits: found "1.5"/, "--value", "1.5"],
      [/whole number of 64 bits/, "--value", "12345678901234567890"],
      [/a vote is one thing/, "--approve", "abcd", "--reject", "abcd"],
      [/a vote is one thing/, "--approve", "abcd", "--value", "1"],
      [/16 to 64 hexadecimal digits: found "abcdabcdabcdabc"/, "--approve", "abcdabcdabcdabc"],
      [/16 to 64 hexadecimal digits/, "--reject", "ghijghijghijghij"],
      [/--wait is a whole number/, "--value", "1", "--wait", "soon"],
      [/--wait is at most 3600 seconds: found "3601"/, "--value", "1", "--wait", "3601"],
    ];
    for (const [message, ...args] of wrong) await desk.refused(message, ...vote, ...args);
    assert.deepEqual(await desk.json(0, ...vote, "--value", "-7"), UNDECIDED);
    await desk.json(0, ...vote, "--text", "yes");
    await desk.json(0, ...vote, "--reject", "ABCDABCDABCDABCD");
    await desk.json(2, ...vote, "--value", "1", "--wait", "3600");
    assert.deepEqual(desk.asked.map(({ input }) => input), [
      { txId: "tx", waitMs: 0, value: { integer: "-7" } },
      { txId: "tx", waitMs: 0, value: { text: "yes" } },
      { txId: "tx", waitMs: 0, kind: "reject", ballot: "abcdabcdabcdabcd" },
      { txId: "tx", waitMs: 3_600_000, value: { integer: "1" } },
    ]);
  }));

Deno.test("status --tx-id ends with what the state means", () =>
  atDesk(async (desk) => {
    let report = UNDECIDED;
    desk.answers = { "/v1/voting/status": () => report };
    const look = ["status", "--tx-id", "tx"];
    const undecided = await desk.json(2, ...look);
    assert.deepEqual([undecided.code, undecided.message], [
      "TX_UNDECIDED",
      "tx is not decided: 2 for 42, and 3 equal votes decide; no vote of carol, dave",
    ]);
    report = { ...UNDECIDED, state: "violated" };
    assert.equal((await desk.json(1, ...look)).code, "VOTING_STOPPED");
    report = { ...UNDECIDED, state: "decided", value: "42" };
    assert.deepEqual(await desk.json(0, ...look), report);
    const { stdout } = await desk.alice(...look);
    assert.match(stdout, /state +decided: 42/);
    assert.match(stdout, /42 +2\/3 +alice, bob +ballot abababababababab/);
  }));

Deno.test("status shows what others wrote so that a terminal obeys nothing of it", () =>
  atDesk(async (desk) => {
    const context = [{ name: "to\u{202e}", value: "\u{9b}31mdave" }];
    const approval = {
      ...{ keyId: "12".repeat(32), scheme: "ed25519", path: "m", mode: "message", input: "m", context },
      ...{ supersedes: "", notBefore: "a", notAfter: "b" },
    } as const;
    const proposals = [{ ballot: "cd".repeat(32), proposer: "bob", approval }];
    desk.answers = {
      "/v1/voting/status": () => ({ ...UNDECIDED, proposals, state: "decided", value: "approve" }),
    };
    const { stdout } = await desk.alice("status", "--tx-id", "tx");
    assert.match(stdout, /"to\\u\{202e\}" +"\\u\{9b\}31mdave"/);
    assert.doesNotMatch(stdout.replaceAll("\n", ""), /\p{C}/u);
  }));

Deno.test("propose says exactly what is to be signed, and when", () =>
  atDesk(async (desk) => {
    desk.answers = { "/v1/voting/propose": () => UNDECIDED };
    const propose = ["propose", "--tx-id", "tx", "--key", "bound"];
    const wrong: readonly (readonly [RegExp, ...string[]])[] = [
      [/exactly one of --message, --message-file and --digest/],
      [/--context is NAME=VALUE: found "to"/, "--message", "m", "--context", "to"],
      [/--context is NAME=VALUE/, "--message", "m", "--context", "=dave"],
      [/--not-before is a time as .*: found "noon"/, "--message", "m", "--not-before", "noon"],
      [/--not-after is a time/, "--message", "m", "--not-after", "2026-11-21"],
      [/--not-after is a time/, "--message", "m", "--not-after", "1950-01-01T00:00:00Z"],
      [/--digest has 64 hexadecimal digits/, "--digest", "ab"],
    ];
    for (const [message, ...args] of wrong) await desk.refused(message, ...propose, ...args);
    const times = ["--not-before", "2026-11-21T12:00:00Z"];
    await desk.json(0, ...propose, "--message", "m", ...times, "--context", "to=a=b");
    const digest = "ab".repeat(32);
    await desk.json(0, ...propose, "--digest", digest, ...times, "--not-after", "2026-11-21T12:00:01Z");
    const notBefore = Date.parse("2026-11-21T12:00:00Z");
    const common = { txId: "tx", key: "bound", notBefore };
    assert.deepEqual(desk.asked.map(({ input }) => input), [
      {
        ...common,
        message: utf8("m"),
        context: [{ name: "to", value: "a=b" }],
        notAfter: notBefore + 3_600_000,
      },
      { ...common, digest: Uint8Array.fromHex(digest), context: [], notAfter: notBefore + 1000 },
    ]);
  }));

Deno.test("signature show writes the form that was asked for, or ends with what is known", () =>
  atDesk(async (desk) => {
    let report = SIGNED;
    desk.answers = { "/v1/approvals/signature": () => report };
    const show = ["signature", "show", "--tx-id", "tx"];
    const out = `${desk.cluster.root}/signature`;
    const forms = { compact: SIGNED.compact, der: SIGNED.signature, hex: SIGNED.signature };
    for (const [format, bytes] of Object.entries(forms)) {
      const shown = await desk.json(0, ...show, "--format", format, "--out", out);
      assert.deepEqual(Deno.readFileSync(out), bytes);
      assert.equal(shown.compact, "07".repeat(64));
      const text = await desk.alice(...show, "--format", format, "--out", out);
      assert.match(text.stdout, /signature +\S+\/signature\n$/);
      const { stdout } = await desk.alice(...show, "--format", format);
      const plain = format === "der" ? "DER of it" : "\u{7}".repeat(64);
      assert.equal(stdout, format === "hex" ? `${hex(bytes as Uint8Array)}\n` : plain);
    }
    await desk.refused(/--wait is at most/, ...show, "--wait", "4000");
    const none = { ...SIGNED, signature: null, compact: null, state: "none" } as const;
    report = { ...none, outcome: "pending" };
    assert.equal((await desk.json(4, ...show)).message, "tx is not signed yet: it is worked on");
    report = { ...none, outcome: "unknown", reason: "bob was lost" };
    const unknown = await desk.json(4, ...show);
    assert.deepEqual([unknown.code, unknown.message], [
      "OUTCOME_UNKNOWN",
      "a valid signature on tx may exist, and is not here: bob was lost",
    ]);
    report = {
      ...none,
      outcome: "failed",
      refusals: [{ node: "bob", code: "APPROVAL_POLICY", reason: "not on Sundays" }],
    };
    const failed = await desk.json(3, ...show);
    assert.deepEqual([failed.code, failed.message], [
      "APPROVAL_REFUSED",
      "tx is not signed: bob: not on Sundays; another signer may know more",
    ]);
  }));

Deno.test("signature adopt takes 64 bytes, from one place", () =>
  atDesk(async (desk) => {
    desk.answers = { "/v1/approvals/adopt": () => SIGNED };
    const adopt = ["signature", "adopt", "--tx-id", "tx"];
    const file = `${desk.cluster.root}/compact`;
    Deno.writeFileSync(file, new Uint8Array(64).fill(7));
    await desk.refused(/exactly one of --signature and --in/, ...adopt);
    await desk.refused(/exactly one of/, ...adopt, "--signature", "07".repeat(64), "--in", file);
    await desk.refused(/has 64 bytes/, ...adopt, "--signature", "07".repeat(63));
    await desk.refused(/has 64 bytes/, ...adopt, "--signature", "no digits");
    await desk.json(0, ...adopt, "--in", file);
    assert.deepEqual(desk.asked[0]?.input, { txId: "tx", signature: new Uint8Array(64).fill(7) });
  }));

Deno.test("pause and resume say what the node says, and give the reason on", () =>
  atDesk(async (desk) => {
    desk.answers = {
      "/v1/approvals/pause": ({ input }) => ({
        pausedSince: "2026-11-21T12:00:00.000Z",
        votingPausedSince: (input as { voting?: boolean }).voting ? "2026-11-21T12:00:01.000Z" : null,
      }),
      "/v1/approvals/resume": () => ({ pausedSince: null, votingPausedSince: null }),
    };
    const { stdout } = await desk.alice("pause", "--reason", "a drill");
    assert.equal(stdout, "signing is paused since 2026-11-21T12:00:00.000Z\n");
    assert.equal((await desk.alice("resume")).stdout, "signing goes on\n");
    const both = await desk.alice("pause", "--voting");
    assert.match(both.stdout, /\nvoting is paused since 2026-11-21T12:00:01.000Z\n$/);
    assert.deepEqual(desk.asked.map(({ input }) => input), [{ reason: "a drill" }, {}, { voting: true }]);
  }));

Deno.test("evidence show and decision show believe no node: both are verified here", () =>
  atDesk(async (desk) => {
    const { config } = desk.cluster;
    const membership = config.voting?.membership as Membership;
    const voteOf = (name: string, integer: bigint, cluster = membership.cluster): Vote => {
      const party = partyConfig(config, name);
      const signer = identitySigner(Deno.readTextFileSync(party.identityKeyPath), name);
      const question = questionOf(membership, "tx", encodeValue({ schema: "integer", integer }));
      return signVote({ ...question, cluster }, party.index, (message) => signer.sign(message));
    };
    const proof = doubleVote(voteOf("dave", 1n), voteOf("dave", 2n)) as OffenceProof;
    const id = hex(verifyOffence(membership, proof)?.id as Uint8Array);
    const offence = {
      id,
      kind: "double-vote",
      subject: "dave",
      txId: "tx",
      time: "2026-11-21T12:00:00.000Z",
    };
    let proofBytes = encode(offenceCodec, proof);
    const ofDecision = (cluster?: string) =>
      certificateOf(membership, ["alice", "bob", "carol"].map((name) => voteOf(name, 42n, cluster)));
    let certificate = encode(certificateCodec, ofDecision() as NonNullable<ReturnType<typeof ofDecision>>);
    desk.answers = {
      "/v1/voting/proof": ({ input }) => {
        const { id } = input as { readonly id: string };
        if (id === "abcd") throw new UsageError("USAGE", "2 offences begin with abcd: write more of it");
        return { offence, proof: proofBytes };
      },
      "/v1/voting/certificate": () => ({ certificate }),
      "/v1/voting/evidence": () => ({ view: "alice", offences: [offence] }),
    };
    const out = `${desk.cluster.root}/out`;
    await desk.refused(/4 to 64 hexadecimal digits: found "abc"/, "evidence", "show", "abc");
    assert.match((await desk.json(64, "evidence", "show", "abcd")).message, /2 offences begin with abcd/);
    const shown = await desk.json(0, "evidence", "show", id.slice(0, 8).toUpperCase(), "--out", out);
    assert.deepEqual([shown.id, shown.subject], [id, "dave"]);
    assert.equal((await desk.json(0, "evidence", "verify", out)).id, id);
    assert.match((await desk.alice("evidence", "list")).stdout, /1 offences[^]*dave +double-vote/);
    proofBytes = proofBytes.slice(0, -1);
    assert.equal((await desk.json(1, "evidence", "show", id)).code, "EVIDENCE_INVALID");
    // Both votes are for the same: no offence.
    const same = { kind: "double-vote", votes: [voteOf("dave", 1n), voteOf("dave", 1n)] } as const;
    proofBytes = encode(offenceCodec, same as OffenceProof);
    assert.equal((await desk.json(1, "evidence", "show", id)).code, "EVIDENCE_INVALID");

    const decision = await desk.json(0, "decision", "show", "tx", "--out", out);
    assert.deepEqual([decision.value, decision.voters], ["42", ["alice", "bob", "carol"]]);
    assert.equal((await desk.json(0, "decision", "verify", out)).ballot, decision.ballot);
    certificate = encode(certificateCodec, ofDecision("other") as NonNullable<ReturnType<typeof ofDecision>>);
    assert.match((await desk.json(1, "decision", "show", "tx")).message, /it is of another membership/);
    Deno.writeTextFileSync(out, "garbage");
    assert.match((await desk.json(1, "decision", "verify", out)).message, /it is not one, or was changed/);
    assert.equal((await desk.json(1, "evidence", "verify", out)).code, "EVIDENCE_INVALID");
  }));

Deno.test("reputation shows a member's score beside how often it voted, and says what is not proven", () =>
  atDesk(async (desk) => {
    const member = { name: "dave", score: 90, offences: 1, dissents: 0, silent: 2 };
    const members = [{ ...member, availability: 0.755 }, { ...member, name: "bob", availability: null }];
    let recomputed = {
      view: "alice",
      scores: [{ name: "dave", score: 90 }],
      equal: true,
      unproven: [] as string[],
    };
    desk.answers = {
      "/v1/voting/reputation": () => ({ view: "alice", members, history: [] }),
      "/v1/voting/reputation/recomputed": () => recomputed,
    };
    const { stdout } = await desk.alice("reputation");
    assert.match(stdout, /SILENT\ndave +90\.0 +1 +76 % +2\nbob +90\.0 +1 +- +2\n/);
    assert.deepEqual((await desk.json(0, "reputation")).members, members);
    assert.deepEqual(await desk.json(0, "reputation", "--recompute"), recomputed);
    recomputed = { ...recomputed, unproven: ["ab"] };
    assert.match(
      (await desk.json(1, "reputation", "--recompute")).message,
      /is not what its proofs prove: ab$/,
    );
    recomputed = { ...recomputed, equal: false, unproven: [] };
    assert.match((await desk.json(1, "reputation", "--recompute")).message, /other scores$/);
  }));
