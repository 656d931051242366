import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, hex, utf8 } from "../../src/base/bytes.ts";
import { encode } from "../../src/base/codec.ts";
import { certificateOf } from "../../src/voting/certificate.ts";
import { dissentOf } from "../../src/voting/dissent.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { encodeItem, type Item } from "../../src/voting/items.ts";
import { reputationOf, verifiedLog } from "../../src/voting/reputation.ts";
import { questionOf, signVote } from "../../src/voting/vote.ts";
import { Alice, kinds, stored } from "./alice.ts";
import { Network } from "./network.ts";
import { council, flipped, integer } from "./support.ts";

const HOUR = 3_600_000;

/** Four vote for 42, erin for 43. */
function dissenting(alice = new Alice()): Alice {
  alice.hearsAt(7, 5, alice.vote(5, 43n));
  alice.hearsAt(7, 2, ...[2, 3, 4, 1].map((voter) => alice.vote(voter)));
  return alice;
}

/** A vote in the name of dave that dave has not signed. */
function forged(alice: Alice, n: number): Item {
  const vote = alice.council.vote(4, BigInt(n), `tx_${n}`);
  return { kind: "vote", vote: { ...vote, signature: flipped(vote.signature) } };
}

Deno.test("dissentOf() needs a valid vote and a valid decision for something else, in one transaction", () => {
  const { membership, vote } = council(5, 4);
  const certificate = certificateOf(membership, [1, 2, 3, 4].map((voter) => vote(voter)))!;
  const found = dissentOf(membership, vote(5, 43n), certificate);
  assert.deepEqual([found?.kind, found?.subject, found?.txId], ["minority", 5, "tx_001"]);
  assert.deepEqual(dissentOf(membership, vote(5, 44n), certificate)?.id, found?.id);
  assert.equal(dissentOf(membership, vote(5), certificate), undefined);
  assert.equal(dissentOf(membership, vote(5, 43n, "tx_002"), certificate), undefined);
  const bad = { ...vote(5, 43n), signature: flipped(vote(5, 43n).signature) };
  assert.equal(dissentOf(membership, bad, certificate), undefined);
  const few = { ...certificate, votes: certificate.votes.slice(1) };
  assert.equal(dissentOf(membership, vote(5, 43n), few), undefined);
});

Deno.test("VotingNode stores who voted for something else than what was decided, before or after it", () => {
  const before = dissenting();
  assert.deepEqual(before.node.dissents.map(({ subject, epoch, time }) => [subject, epoch, time]), [[
    5,
    1,
    7,
  ]]);
  assert.deepEqual(before.restart().dissents.length, 1);
  const after = new Alice();
  after.hears(2, ...[2, 3, 4].map((voter) => after.vote(voter)));
  after.hears(5, after.vote(5, 43n));
  assert.deepEqual(after.node.dissents, [], "without a decision there is none");
  assert.deepEqual(kinds(after.hears(2, after.vote(1))).filter((kind) => kind === "dissent"), ["dissent"]);
  const late = new Alice();
  const votes = [1, 2, 3, 4].map((voter) => late.council.vote(voter));
  late.hears(2, { kind: "certificate", certificate: certificateOf(late.council.membership, votes)! });
  assert.equal(kinds(late.hears(5, late.vote(5, 43n))).at(-1), "dissent");
  assert.deepEqual(late.hears(2, late.vote(5, 43n)), []);
  assert.equal(stored(late).filter((kind) => kind === "dissent").length, 1);
  assert.deepEqual(late.node.offences, [], "it is no offence");
});

Deno.test("VotingNode counts no dissent beside a double vote", () => {
  const alice = dissenting();
  alice.hears(5, alice.vote(5, 44n));
  assert.deepEqual(alice.node.dissents, []);
  const other = new Alice();
  other.hears(5, other.vote(5, 43n), other.vote(5, 44n));
  other.hears(2, ...[2, 3, 4, 1].map((voter) => other.vote(voter)));
  assert.deepEqual(stored(other).filter((kind) => kind === "dissent"), []);
  // Who has the proof of another one, and one vote only.
  const told = new Alice();
  const proof = alice.node.offences[0]!.proof;
  told.hears(
    2,
    { kind: "offence", proof },
    told.vote(5, 43n),
    ...[2, 3, 4, 1].map((voter) => told.vote(voter)),
  );
  assert.deepEqual(stored(told).filter((kind) => kind === "dissent"), []);
});

Deno.test("reputationOf() takes nothing for a dissent, unless it is told to", () => {
  const log = [{ id: utf8("x"), kind: "minority", subject: partyId(2), time: 0 }] as const;
  assert.equal(reputationOf(log, partyId(2), 0), 100);
  assert.equal(reputationOf(log, partyId(2), 0, { dissent: 3 }), 97);
  assert.equal(reputationOf(log, partyId(2), HOUR, { dissent: 3 }), 98);
});

Deno.test("VotingNode.reputation() tells how each member stands, and recompute() the same from the proofs", () => {
  const alice = dissenting();
  alice.hears(2, forged(alice, 1));
  alice.hears(3, alice.vote(3, 44n));
  const scores = alice.node.reputation(0, { dissent: 4 });
  assert.deepEqual(scores.map(({ score }) => score), [100, 90, 0, 100, 96]);
  assert.deepEqual(scores.map(({ offences }) => offences), [0, 1, 1, 0, 0]);
  assert.deepEqual(scores.map(({ dissents }) => dissents), [0, 0, 0, 0, 1]);
  assert.deepEqual(alice.node.recompute(0, { dissent: 4 }), { scores, unproven: [] });
  assert.deepEqual(alice.restart().recompute(0, { dissent: 4 }), { scores, unproven: [] });
});

Deno.test("VotingNode.recompute() finds what is stored and not proven", () => {
  const alice = dissenting();
  alice.hears(2, forged(alice, 1));
  alice.hears(3, alice.vote(3, 44n));
  const changes: [number, object][] = [];
  alice.store.records.forEach((record, i) => {
    if (record.kind === "offence") {
      const { offence } = record;
      changes.push([i, { ...record, offence: { ...offence, subject: partyId(4) } }]);
      changes.push([i, { ...record, offence: { ...offence, txId: "another" } }]);
      changes.push([i, { ...record, offence: { ...offence, id: flipped(offence.id) } }]);
      const kind = offence.kind === "double-vote" ? "invalid-signature" : "double-vote";
      changes.push([i, { ...record, offence: { ...offence, kind } }]);
      const proof = offence.proof.kind === "double-vote"
        ? { ...offence.proof, votes: offence.proof.votes.toReversed() }
        : { ...offence.proof, item: 1 };
      changes.push([i, { ...record, offence: { ...offence, proof } }]);
    }
    if (record.kind === "dissent") {
      const { dissent } = record;
      changes.push([i, { ...record, dissent: { ...dissent, id: flipped(dissent.id) } }]);
      changes.push([i, { ...record, dissent: { ...dissent, subject: partyId(4) } }]);
      changes.push([i, { ...record, dissent: { ...dissent, txId: "unknown" } }]);
    }
  });
  assert.equal(changes.length, 13);
  const good = [...alice.store.records];
  for (const [i, change] of changes) {
    alice.store.records.splice(0, good.length, ...good.with(i, change as never));
    const { scores, unproven } = alice.restart().recompute(0, { dissent: 4 });
    assert.equal(unproven.length, 1);
    assert.equal(scores.filter(({ score }) => score < 100).length, 2);
  }
});

Deno.test("verifiedLog() takes no dissent of a member that voted twice", () => {
  const { membership, vote } = council(5, 4);
  const certificate = certificateOf(membership, [1, 2, 3, 4].map((voter) => vote(voter)))!;
  const dissent = { ...dissentOf(membership, vote(5, 43n), certificate)!, epoch: 1, time: 0 };
  const log = { memberships: [membership], offences: [], dissents: [dissent] };
  const votes = [vote(5, 43n), vote(4, 42n)];
  assert.deepEqual(verifiedLog(log, () => ({ votes, certificate })).unproven, []);
  const twice = [...votes, vote(5, 44n)];
  assert.deepEqual(verifiedLog(log, () => ({ votes: twice, certificate })).unproven, [dissent.id]);
});

Deno.test("what a member did goes with its key into the next epoch, and not with its place", () => {
  const network = new Network();
  const { signers } = network.council;
  const [one, two] = [41n, 42n].map((value) =>
    signVote(
      questionOf(network.first, "tx_001", integer(value)),
      partyId(2),
      (message) => signers[1]!.sign(message),
    )
  );
  const items = [{ kind: "vote", vote: one! }, { kind: "vote", vote: two! }] as const;
  const content = { from: partyId(3), to: partyId(1), items: items.map(encodeItem) };
  const envelope = signGossip(network.first, content, (message: Bytes) => signers[2]!.sign(message));
  network.does(1, (node) => node.receive(partyId(3), encode(gossipCodec, envelope), 0));
  assert.deepEqual(network.node(1).reputation(0).map(({ score }) => score), [100, 0, 100, 100, 100]);
  // Alice goes: bob is the first of them now. He has stopped, since somebody has voted with his key.
  for (const voter of [1, 3, 4, 5]) {
    network.does(voter, (node) => node.changeRoster(network.roster([2, 3, 4, 5, 6]), 0));
  }
  const { scores, unproven } = network.node(1).recompute(0);
  assert.deepEqual(scores.map(({ score }) => score), [0, 100, 100, 100, 100]);
  assert.deepEqual([network.node(1).memberships.length, unproven.map(hex)], [2, []]);
});
