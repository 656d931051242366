import assert from "node:assert/strict";
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, EMPTY, equal } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { approvalKey } from "../../src/node/approval_key.ts";
import { type ApprovalMessage, encodeApprovalMessage } from "../../src/node/approval_wire.ts";
import { childKey } from "../../src/node/derivation.ts";
import { keyInfo, publicKeyInfo } from "../../src/node/party.ts";
import { formatPublicKey } from "../../src/node/public_key.ts";
import { NO_SESSION } from "../../src/session/opening.ts";
import { NodeMessageType } from "../../src/transport/message_types.ts";
import { type Approval, approvalCore, approvalHash } from "../../src/voting/approval.ts";
import { makeMembership } from "../../src/voting/membership.ts";
import { decisionStatement, verifyCompact } from "../../src/voting/statement.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { ballotOf } from "../../src/voting/vote.ts";
import type { FrostKeyRecord } from "../../src/protocols/frost/key.ts";
import { type Name, NAMES, World } from "./approvals_world.ts";
import { rejects } from "./fixture.ts";

const OUTCOME_MS = 12_000;
/** What two nodes began at once, or what was lost in a restart, is tried again after the time of a session. */
const PATIENCE_MS = 90_000;

function keyOf(world: World, name: string): KeyObject {
  return createPublicKey(formatPublicKey(keyInfo(world.nodes[0]!.party.local, name), "pem"));
}

function payloadOf(world: World, approval: Approval) {
  return {
    keyId: approval.keyId,
    txId: approval.txId,
    core: approvalCore(approval),
    approvalHash: approvalHash(approval),
    ballot: ballotOf(world.certificate(approval)),
    notAfter: Number(approval.notAfter),
  };
}

/** What nobody signs: says why at each of the nodes that were told. */
async function unsigned(world: World, txId: string, names: readonly Name[] = NAMES) {
  const states = await world.settled(txId, names, OUTCOME_MS);
  assert.equal(world.hasSignature(txId), false, "there is a signature");
  return states.map((state) => ({
    outcome: state?.outcome,
    reason: state?.reason ?? "",
    state: state?.state,
  }));
}

/** Who refused has its own reason to say so until it hears of the signature. */
async function signed(world: World, approval: Approval, names: readonly Name[] = NAMES): Promise<Bytes> {
  const nodes = names.map((name) => world.node(name).approvals);
  await until(() => nodes.every((approvals) => approvals.state(approval.txId)?.outcome === "signed"));
  return nodes[0]!.signature(approval.txId)!.signature;
}

function say(world: World, from: Name, to: Name, message: ApprovalMessage): void {
  const { mesh } = world.node(from).party.network!;
  const frame = {
    type: NodeMessageType.APPROVAL,
    session: NO_SESSION,
    payload: encodeApprovalMessage(message),
  };
  mesh.send(partyId(NAMES.indexOf(to) + 1), frame);
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    assert.ok(waited < PATIENCE_MS, "it took too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("Approvals sign what a quorum approved, and nothing else", async (t) => {
  await using world = await World.make();
  await world.linked();

  await t.step(
    "what four of five approved is signed by both kinds of keys, and every node has the signature",
    async () => {
      for (const [key, algorithm] of [["treasury", "sha256"], ["seal", null]] as const) {
        const approval = world.approval({ key });
        world.decide(world.certificate(approval));
        const signature = await signed(world, approval);
        assert.ok(verify(algorithm, approval.input, keyOf(world, key), signature));
        for (const { approvals, events } of world.nodes) {
          assert.deepEqual(approvals.signature(approval.txId)?.signature, signature);
          const told = events.filter((event) => event.kind === "signed" && event.txId === approval.txId);
          assert.equal(told.length, 1, "each node is told once");
        }
        // Once more: the same bytes, and no session.
        const before = world.nodes.map(({ party }) => party.local.store.releases(approval.keyId).length);
        world.decide(world.certificate(approval, [1, 2, 3, 4]));
        assert.deepEqual(await signed(world, approval), signature);
        assert.deepEqual(
          world.nodes.map(({ party }) => party.local.store.releases(approval.keyId).length),
          before,
        );
      }
    },
  );

  await t.step("a child of a key signs what was approved for it, and for nothing else", async () => {
    const approval = world.approval({ path: [0, 5] });
    world.decide(world.certificate(approval));
    const signature = await signed(world, approval);
    const info = publicKeyInfo(world.nodes[0]!.party.local, "treasury");
    const { publicKey } = childKey(info, "m/0/5");
    const { curve } = info.record;
    const compact = world.nodes[4]!.approvals.signature(approval.txId)!.compact;
    const input = { publicKey, digest: sha256(approval.input), signature: compact, lowS: true };
    assert.ok(curve.verifyEcdsa(input));
    assert.equal(verify("sha256", approval.input, keyOf(world, "treasury"), signature), false);
    const other = world.approval({ key: "seal", path: [1] });
    world.decide(world.certificate(other));
    for (const { reason } of await unsigned(world, other.txId)) {
      assert.match(reason, /check 5 \(digest\).*no children/);
    }
  });

  await t.step("what lacks a vote, was tampered with, or is of other members is not signed", async () => {
    const fresh = () => world.approval();
    const other = makeMembership({
      cluster: "demo",
      epoch: 1,
      quorum: 4,
      voters: world.membership.voters.map(({ name, key }) => ({ name, key: key.publicKey })),
    });
    const [lacking, tampered, foreign] = [fresh(), fresh(), fresh()];
    const honest = world.certificate(tampered);
    const changed = world.certificate({ ...tampered, input: new TextEncoder().encode("pay 9 to eve") });
    for (
      const [certificate, why] of [
        [
          world.certificate(lacking, [0, 1, 2]),
          /check 2 \(certificate\) at [a-z]+: it has 3 votes, and 4 decide/,
        ],
        [{ ...changed, votes: honest.votes }, /check 2 .*the vote of alice does not verify/],
        [world.certificate(foreign, [0, 1, 2, 3], other), /check 2 .*another membership/],
      ] as const
    ) {
      world.decide(certificate);
      for (const { reason, outcome, state } of await unsigned(world, certificate.txId)) {
        assert.match(reason, why);
        assert.deepEqual([outcome, state], ["failed", "none"]);
      }
    }
  });

  await t.step("what is no approval of a key here is not signed", async () => {
    for (
      const [changes, why] of [
        [{ keyId: sha256(EMPTY) }, /no share of the key/],
        [{ publicKey: world.approval({ key: "seal" }).publicKey }, /check 4 \(key\)/],
        [{ policyHash: sha256(EMPTY) }, /check 4 \(key\).*propose it again/],
        [{ scheme: "ecdsa-p256" }, /check 4 \(key\).*ecdsa-p256/],
        [{ mode: "digest", input: sha256(EMPTY) }, /check 8 \(policy\).*a digest/],
        [({ notAfter }) => ({ notBefore: notAfter, notAfter: notAfter + 1n }), /check 6 \(time\).*begins at/],
        [({ notBefore }) => ({ notAfter: notBefore + 5_000n }), /check 6 \(time\).*may take 20 s/],
        [({ notBefore }) => ({ notAfter: notBefore }), /the time of the approval is over/],
        [({ notBefore }) => ({ notAfter: notBefore + 86_400_001n }), /check 6 \(time\).*lasts/],
        [{ supersedes: "tx_nobody_knows" }, /check 9 \(supersedes\)/],
      ] as readonly (readonly [Partial<Approval> | ((fresh: Approval) => Partial<Approval>), RegExp])[]
    ) {
      const fresh = world.approval(), { txId } = fresh;
      const changed = typeof changes === "function" ? changes(fresh) : changes;
      world.decide(world.certificate({ ...fresh, ...changed }));
      for (const { reason } of await unsigned(world, txId)) assert.match(reason, why);
    }
    const reject = world.approval({ kind: "reject" });
    world.decide(world.certificate(reject));
    assert.equal(world.node("alice").approvals.state(reject.txId), undefined);
  });

  await t.step(
    "a certificate of a rejection, of an integer or of too few, shown to a signer, gets a refusal",
    async () => {
      const invite = (certificate: ReturnType<World["certificate"]>, changes: object = {}) =>
        say(world, "alice", "bob", {
          kind: "invite",
          request: crypto.getRandomValues(new Uint8Array(32)),
          certificate,
          signers: [1, 2, 3].map(partyId),
          digest: sha256(world.approval().input),
          superseded: EMPTY,
          ...changes,
        });
      const heard = world.node("alice").events;
      const reject = world.approval({ kind: "reject" }),
        lacking = world.approval(),
        digest = world.approval();
      const strangers = world.approval();
      const cases = [
        [
          reject,
          () => invite(world.certificate(reject)),
          /check 3 \(value\) at bob: the decision is to reject/,
        ],
        [lacking, () => invite(world.certificate(lacking, [0, 1, 2])), /check 2 .*at bob: it has 3 votes/],
        [
          digest,
          () => invite(world.certificate(digest), { digest: sha256(EMPTY) }),
          /check 5 .*at bob: the session is to sign/,
        ],
        [
          strangers,
          () => invite(world.certificate(strangers), { signers: [1, 3, 4].map(partyId) }),
          /check 7 .*at bob: alice asks, and alice, carol, dave/,
        ],
        [
          strangers,
          () => invite(world.certificate(strangers), { signers: [1, 2].map(partyId) }),
          /check 7 .*too few/,
        ],
      ] as const;
      for (const [approval, ask, why] of cases) {
        // Who asks has to work on it, or it does not listen.
        world.node("alice").votes.certificates.set(
          approval.txId,
          world.certificate({ ...approval, kind: "approve" }),
        );
        world.node("alice").approvals.pause();
        world.node("alice").approvals.decided(world.certificate({ ...approval, kind: "approve" }));
        const ofBob = () =>
          heard.findLast((event) =>
            event.kind === "refused" && event.txId === approval.txId && event.refusal.node === "bob"
          );
        const before = ofBob();
        ask();
        await until(() => ofBob() !== before);
        const last = ofBob()!;
        assert.ok(last.kind === "refused");
        assert.match(last.refusal.reason, why);
        world.node("alice").approvals.resume();
        assert.equal(world.hasSignature(approval.txId), false);
      }
      // Operators of bob are told who asks, and not without end.
      const told = world.node("bob").events.flatMap((event) =>
        event.kind === "refused" && event.refusal.node === "bob" ? [event.refusal.reason] : []
      ).filter((reason) => reason.startsWith("alice has asked for a signature"));
      assert.equal(told.length, 3, told.join("\n"));
      assert.match(told[0]!, /is refused: check 3 \(value\) at bob/);
    },
  );
});

Deno.test("Approvals keep what they said over crashes, pauses and refusals", async (t) => {
  await using world = await World.make(["ecdsa", "ed25519"]);
  await world.linked();

  await t.step("a paused node gives no share, and says so; the others sign without it", async () => {
    const approval = world.approval({ key: "seal" });
    world.node("alice").approvals.pause();
    assert.equal(typeof world.node("alice").approvals.pausedSince, "number");
    world.decide(world.certificate(approval));
    await signed(world, approval);
    assert.deepEqual(world.node("alice").party.local.store.releases(approval.keyId), []);
    const told = world.node("bob").events.find((event) => event.kind === "refused");
    assert.ok(told?.kind === "refused" && told.refusal.node === "alice");
    assert.equal(told.refusal.code, "SIGNING_PAUSED");
  });

  await t.step(
    "where too many are paused there is no signature, over a restart too, until they go on and are asked again",
    async () => {
      for (const name of ["bob", "carol"] as const) world.node(name).approvals.pause();
      const approval = world.approval({ key: "seal" });
      const certificate = world.certificate(approval);
      world.decide(certificate);
      for (const { reason, outcome } of await unsigned(world, approval.txId)) {
        assert.equal(outcome, "failed");
        assert.match(reason, /paused/);
      }
      const { reason = "" } = world.node("dave").approvals.state(approval.txId)!;
      for (const name of ["alice", "bob", "carol"]) {
        assert.ok(reason.includes(name), `${reason} names ${name}`);
      }
      await rejects(
        world.node("bob").party.sign({ name: "treasury", digest: new Uint8Array(32) }),
        "APPROVAL_REQUIRED",
        /propose/,
      );
      await world.restart("bob");
      assert.equal(typeof world.node("bob").approvals.pausedSince, "number");
      for (const name of ["alice", "bob", "carol"] as const) world.node(name).approvals.resume();
      assert.equal(world.hasSignature(approval.txId), false);
      world.decide(certificate);
      await signed(world, approval);
    },
  );

  await t.step(
    "a node with a stricter policy keeps its share to itself, and three of them prevent a signature",
    async () => {
      await world.restart("alice", { stricter: { messageBytesMax: 3 } });
      const first = world.approval();
      world.decide(world.certificate(first));
      await signed(world, first);
      assert.deepEqual(world.node("alice").party.local.store.releases(first.keyId).length, 0);
      const refusal = world.node("bob").events.findLast((event) => event.kind === "refused");
      assert.ok(refusal?.kind === "refused");
      assert.match(
        refusal.refusal.reason,
        /check 8 \(policy\) at alice: the message has 13 bytes, and at most 3/,
      );
      for (const name of ["carol", "erin"] as const) await world.restart(name, { stricter: { keys: [] } });
      const second = world.approval();
      world.decide(world.certificate(second));
      for (const { reason, outcome } of await unsigned(world, second.txId)) {
        assert.equal(outcome, "failed");
        assert.match(reason, /check 8 \(policy\)/);
      }
      const reason = world.node("dave").approvals.state(second.txId)?.reason ?? "";
      assert.match(reason, /alice refuses.*13 bytes.*carol refuses.*allowed here are none.*erin refuses/);
      for (const name of ["alice", "carol", "erin"] as const) await world.restart(name);
      world.decide(world.certificate(second));
      await signed(world, second);
    },
  );

  await t.step(
    "another payload under a name that is locked is never signed, and an alarm is raised",
    async () => {
      const first = world.approval({ key: "seal" });
      const rates = { perHour: undefined, perDay: undefined };
      for (const { approvals } of world.nodes.slice(0, 3)) {
        approvals.locks.prepare({ payload: payloadOf(world, first), clock: 0, rates });
        approvals.locks.fail(first, "a peer was away");
      }
      const other = { ...first, input: new TextEncoder().encode("pay 9 to eve") };
      world.decide(world.certificate(other));
      for (const { reason } of await unsigned(world, first.txId)) assert.match(reason, /check 10 \(lock\)/);
      assert.ok(
        world.node("alice").events.some((event) =>
          event.kind === "alarm" && event.code === "REQUEST_CONFLICT"
        ),
      );
    },
  );

  await t.step(
    "a node that stopped at any state goes on with the same payload, and has one signature in the end",
    async () => {
      const rates = { perHour: undefined, perDay: undefined };
      for (const reach of ["prepared", "released"] as const) {
        const approval = world.approval({ key: "seal" });
        const payload = payloadOf(world, approval);
        const { approvals, party, votes } = world.node("alice");
        approvals.locks.prepare({ payload, clock: 0, rates });
        if (reach === "released") {
          party.local.store.ledger.transact((transaction) =>
            approvals.locks.release(transaction, payload, 0)
          );
          assert.equal(approvals.state(approval.txId)?.outcome, "unknown");
        }
        votes.certificates.set(approval.txId, world.certificate(approval));
        await world.restart("alice");
        // The node takes it up by itself; the others have decided too.
        world.decide(world.certificate(approval), ["bob", "carol", "dave", "erin"]);
        const signature = await signed(world, approval);
        assert.ok(verify(null, approval.input, keyOf(world, "seal"), signature));
        await world.restart("alice");
        assert.deepEqual(world.node("alice").approvals.signature(approval.txId)?.signature, signature);
        world.decide(world.certificate(approval));
        assert.deepEqual(await signed(world, approval), signature);
      }
    },
  );

  await t.step(
    "what was released is unknown for good when its time is over, and a signature that is found is adopted",
    async () => {
      const approval = world.approval({ key: "seal" });
      const payload = payloadOf(world, approval);
      const { approvals, party } = world.node("alice");
      approvals.locks.prepare({ payload, clock: 0, rates: { perHour: undefined, perDay: undefined } });
      party.local.store.ledger.transact((transaction) => approvals.locks.release(transaction, payload, 0));
      world.ahead = 700_000;
      world.decide(world.certificate(approval), ["alice"]);
      const state = await approvals.settled(approval.txId, OUTCOME_MS);
      assert.deepEqual([state?.outcome, state?.state], ["unknown", "released"]);
      assert.match(state?.reason ?? "", /the time of the approval is over/);
      world.ahead = 0;
      // The same input under another name gives a signature that fits this one too: Ed25519 signs the input itself.
      const twin = world.approval({ key: "seal" });
      world.decide(world.certificate(twin));
      await signed(world, twin);
      const { compact } = approvals.signature(twin.txId)!;
      const wrong = compact.slice();
      wrong[0]! ^= 1;
      assert.throws(() => approvals.adopt(approval.txId, wrong), { code: "SIGNATURE_INVALID" });
      assert.throws(() => approvals.adopt("tx_unknown", compact), { code: "APPROVAL_INVALID" });
      say(world, "bob", "alice", {
        kind: "told",
        keyId: approval.keyId,
        txId: approval.txId,
        state: "signed",
        signature: wrong,
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(
        approvals.signature(approval.txId),
        undefined,
        "a signature that does not verify is not kept",
      );
      approvals.adopt(approval.txId, compact);
      assert.equal(approvals.state(approval.txId)?.outcome, "signed");
    },
  );

  await t.step("a node that was away gets the signature of the others, and begins no session", async () => {
    await world.stop("alice");
    const approval = world.approval({ key: "seal" });
    world.decide(world.certificate(approval), ["bob", "carol", "dave", "erin"]);
    const signature = await signed(world, approval, ["bob", "carol", "dave", "erin"]);
    const node = await world.start("alice");
    await world.linked();
    const before = node.party.local.store.releases(approval.keyId).length;
    world.decide(world.certificate(approval), ["alice"]);
    assert.deepEqual(await signed(world, approval, ["alice"]), signature);
    assert.equal(node.party.local.store.releases(approval.keyId).length, before);
  });

  await t.step(
    "where the initiator does not begin, the next one does after the limit of a session",
    async () => {
      await world.restart("bob", { stricter: { sessionLimitMs: 1_500 } });
      const approval = world.approval({ key: "seal" });
      // alice can be reached, and has not decided.
      world.decide(world.certificate(approval), ["bob", "carol", "dave", "erin"]);
      await signed(world, approval, ["bob", "carol", "dave", "erin"]);
      await world.restart("bob");
    },
  );

  await t.step(
    "what takes the place of another that can be signed no more is signed, and the other never",
    async () => {
      const now = BigInt(Date.now());
      const former = world.approval({ key: "seal", notBefore: now - 100_000n, notAfter: now - 70_000n });
      for (const { votes } of world.nodes) votes.certificates.set(former.txId, world.certificate(former));
      const next = world.approval({ key: "seal", supersedes: former.txId });
      world.decide(world.certificate(next));
      await signed(world, next);
      const locks = world.nodes.map(({ approvals }) => approvals.locks.get(former)?.state);
      assert.equal(locks.filter((state) => state === "superseded").length, 3);
      const early = world.approval({ key: "seal", supersedes: next.txId });
      world.decide(world.certificate(early));
      for (const { reason } of await unsigned(world, early.txId)) {
        assert.match(
          reason,
          /check 9 \(supersedes\)/,
        );
      }
    },
  );

  await t.step("approvalKey() tells signatures of what was approved from others", () => {
    const key = approvalKey(keyInfo(world.nodes[0]!.party.local, "seal"));
    const approval = world.approval({ key: "seal" });
    assert.equal(key.verifies(approval, new Uint8Array(64)), false);
    assert.ok(equal(key.keyId, approval.keyId));
  });
});

Deno.test("a key for decisions signs what each signer has decided itself, and nothing else", async () => {
  await using world = await World.make(["ed25519", "decision"]);
  await world.linked();
  const integer = (value: bigint) => encodeValue({ schema: "integer", integer: value });
  const record = keyInfo(world.node("alice").party.local, "notary").record as FrostKeyRecord;
  const publicKey = record.suite.publicKeyBytes(record.publicKey);
  const decided = (txId: string, value: bigint, names: readonly Name[] = NAMES) => {
    const certificate = world.decision(txId, integer(value));
    for (const name of names) world.node(name).votes.certificates.set(txId, certificate);
    return certificate;
  };
  const make = async (name: Name, txId: string, key = "notary") =>
    (await world.node(name).approvals.certify(txId, key)).signature;

  const certificate = decided("tx_1", 42n);
  const compact = await make("alice", "tx_1");
  assert.ok(verify(null, decisionStatement(certificate), keyOf(world, "notary"), compact));
  assert.ok(verifyCompact(publicKey, certificate, compact));
  for (
    const other of [world.decision("tx_1", integer(43n)), world.decision("tx_2", integer(42n)), {
      ...certificate,
      epoch: 9,
    }]
  ) {
    assert.equal(verifyCompact(publicKey, other, compact), false);
  }
  assert.deepEqual(await make("alice", "tx_1"), compact, "the same bytes again");
  // The votes of an approval under the same name are not mixed up with it.
  assert.equal(world.node("alice").approvals.signature("tx_1"), undefined);

  await rejects(make("alice", "tx_2"), "TX_UNDECIDED", /tx_2 is not decided at alice/);
  decided("tx_2", 7n, ["alice", "carol", "dave", "erin"]);
  await rejects(make("alice", "tx_2"), "APPROVAL_SIGNERS", /bob: tx_2 is not decided at bob/);
  decided("tx_2", 8n, ["bob"]);
  await rejects(make("alice", "tx_2"), "APPROVAL_SIGNERS", /bob: tx_2 is decided otherwise at bob/);
  // What was certified once stands, whatever is decided later.
  decided("tx_1", 43n, ["bob", "carol", "dave"]);
  await rejects(make("bob", "tx_1"), "REQUEST_CONFLICT", /tx_1 is locked here for the payload/);

  await rejects(make("alice", "tx_1", "seal"), "KEY_PURPOSE", /seal is a key for approved-signing/);
  await rejects(make("alice", "tx_1", "none"), "KEY_UNKNOWN", /no key none/);
  const { party, approvals } = world.node("alice");
  await rejects(
    party.signMessage({ name: "notary", message: new Uint8Array(3) }),
    "KEY_PURPOSE",
    /signs decisions/,
  );
  const approval = world.approval({ key: "notary" });
  world.decide(world.certificate(approval), ["alice"]);
  assert.match(
    (await approvals.settled(approval.txId, OUTCOME_MS))?.reason ?? "",
    /check 4 .*a key for decision/,
  );
  decided("tx_3", 9n);
  approvals.pause();
  await rejects(make("alice", "tx_3"), "SIGNING_PAUSED", /paused/);
  approvals.resume();
  const third = await make("alice", "tx_3");

  // Whoever comes later is among the signers, and is told what these have already: nobody waits for a session that there is not.
  assert.deepEqual(await make("erin", "tx_3"), third);
  decided("tx_4", 10n);
  assert.ok(verifyCompact(publicKey, decided("tx_4", 10n), await make("erin", "tx_4")));

  // Who asks without end gets few sessions, and what it says that the signature is, is not believed.
  const { keyId } = record;
  const ballot = ballotOf(decided("tx_5", 11n));
  const { log } = party.local.audit;
  const before = log.size;
  for (let i = 0; i < 40; i++) {
    const request = crypto.getRandomValues(new Uint8Array(32));
    const asked = { keyId, txId: "tx_5", request, ballot, signers: [1, 4, 5].map(partyId) };
    say(world, "erin", "alice", { kind: "certify", ...asked });
    for (const signature of [EMPTY, new Uint8Array(3), new Uint8Array(64), third]) {
      say(world, "erin", "alice", { kind: "told", keyId, txId: "tx_5", state: "signed", signature });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(log.size - before < 90, `${log.size - before} records of 40 requests`);
  assert.equal(approvals.locks.get({ keyId, txId: "tx_5" })?.signature, undefined);
});
