import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, utf8 } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import { signGossip } from "../../src/voting/gossip.ts";
import {
  doubleVote,
  offenceCodec,
  type OffenceProof,
  verifyOffence,
  VOTE_ITEM,
  voteItem,
} from "../../src/voting/offence.ts";
import { type LoggedOffence, reputationOf } from "../../src/voting/reputation.ts";
import type { Vote } from "../../src/voting/vote.ts";
import { type Council, council, flipped } from "./support.ts";

const HOUR = 3_600_000;

/** What bob sends carol. */
function sent({ membership, signers }: Council, items: readonly Bytes[], from = 2) {
  return signGossip(
    membership,
    { from: partyId(from), to: partyId(3), items },
    (message) => (signers[from - 1] as never as { sign(message: Bytes): Bytes }).sign(message),
  );
}

function proofOf(here: Council, item: Bytes): OffenceProof {
  return { kind: "invalid-signature", envelope: sent(here, [voteItem(here.vote(1)), item]), item: 1 };
}

Deno.test("two valid votes of one voter on different ballots of one transaction are a double vote, in either order", () => {
  const here = council(5, 4);
  const { membership, vote } = here;
  const [a, b] = [vote(1, 42n), vote(1, 43n)];
  const one = doubleVote(a, b) as OffenceProof;
  const other = doubleVote(b, a) as OffenceProof;
  assert.deepEqual(one, other);
  const offence = verifyOffence(membership, one);
  assert.deepEqual([offence?.kind, offence?.subject, offence?.txId], ["double-vote", 1, "tx_001"]);
  assert.deepEqual(
    verifyOffence(membership, doubleVote(vote(1, 1n), vote(1, 2n)) as OffenceProof)?.id,
    offence?.id,
  );
  assert.notDeepEqual(
    verifyOffence(membership, doubleVote(vote(2, 1n), vote(2, 2n)) as OffenceProof)?.id,
    offence?.id,
  );
  assert.equal(doubleVote(a, a), undefined);
  assert.equal(doubleVote(a, vote(2, 43n)), undefined);
  assert.equal(doubleVote(a, vote(1, 43n, "tx_002")), undefined);
  assert.equal(doubleVote(a, { ...b, epoch: 2 }), undefined);
  assert.equal(doubleVote(a, { ...b, cluster: "x" }), undefined);
  assert.equal(doubleVote(a, { ...b, membershipHash: flipped(b.membershipHash) }), undefined);
});

Deno.test("V1: no double vote is proven by votes that are forged, of another membership, or in another order", () => {
  const { membership, vote } = council(5, 4);
  const proof = doubleVote(vote(1, 42n), vote(1, 43n));
  assert.ok(proof?.kind === "double-vote");
  const [a, b] = proof.votes;
  const forged: [Vote, Vote][] = [
    [b, a],
    [a, a],
    [{ ...a, signature: flipped(a.signature) }, b],
    [a, { ...b, signature: flipped(b.signature) }],
    [a, { ...vote(2, 43n), voter: partyId(1) }],
  ];
  for (const votes of forged) {
    assert.equal(verifyOffence(membership, { kind: "double-vote", votes }), undefined);
  }
  assert.equal(verifyOffence(council(5, 4, { epoch: 2 }).membership, proof), undefined);
});

Deno.test("V3: a vote whose signature is wrong is the offence of whoever sends it, never of the voter that it names", () => {
  const here = council(5, 4);
  const { membership, vote } = here;
  const forged = { ...vote(4), signature: flipped(vote(4).signature) };
  const offence = verifyOffence(membership, proofOf(here, voteItem(forged)));
  assert.deepEqual([offence?.kind, offence?.subject, offence?.txId], ["invalid-signature", 2, ""]);
  const garbage = Uint8Array.of(VOTE_ITEM, 1, 2, 3);
  assert.equal(verifyOffence(membership, proofOf(here, garbage))?.subject, 2);
});

Deno.test("V4: whoever passes on a vote of another membership, or no vote, has done nothing wrong", () => {
  const here = council(5, 4);
  const { membership, vote } = here;
  const good = vote(4);
  const elsewhere = [
    good,
    { ...good, cluster: "other", signature: flipped(good.signature) },
    { ...good, epoch: 9, signature: flipped(good.signature) },
    { ...good, membershipHash: flipped(good.membershipHash), signature: flipped(good.signature) },
    { ...good, voter: partyId(9), signature: flipped(good.signature) },
  ];
  for (const one of elsewhere) {
    assert.equal(verifyOffence(membership, proofOf(here, voteItem(one))), undefined);
  }
  assert.equal(verifyOffence(membership, proofOf(here, Uint8Array.of(VOTE_ITEM + 1, 9))), undefined);
  assert.equal(verifyOffence(membership, proofOf(here, new Uint8Array())), undefined);
});

Deno.test("an envelope that its sender did not sign proves nothing", () => {
  const here = council(5, 4);
  const { membership, vote } = here;
  const forged = voteItem({ ...vote(4), signature: flipped(vote(4).signature) });
  const proof = proofOf(here, forged);
  assert.ok(proof.kind === "invalid-signature");
  const { envelope } = proof;
  const changes = [
    { from: partyId(1) },
    { to: partyId(4) },
    { epoch: 2 },
    { cluster: "x" },
    { membershipHash: flipped(envelope.membershipHash) },
    { items: [envelope.items[0] as Bytes, flipped(forged, 5)] },
    { signature: flipped(envelope.signature) },
    { from: partyId(9) },
  ];
  for (const change of changes) {
    assert.equal(verifyOffence(membership, { ...proof, envelope: { ...envelope, ...change } }), undefined);
  }
  assert.equal(verifyOffence(membership, { ...proof, item: 0 }), undefined, "the vote that is good");
  assert.equal(verifyOffence(membership, { ...proof, item: 2 }), undefined, "no such item");
  const other = { ...proof, envelope: sent(here, [voteItem(vote(1)), forged], 1) };
  assert.notDeepEqual(verifyOffence(membership, other)?.id, verifyOffence(membership, proof)?.id);
});

Deno.test("an envelope of another membership proves nothing in this one, though the same keys have signed it", () => {
  const here = council(5, 4);
  const vote = here.vote(1);
  const forged = voteItem({ ...vote, signature: flipped(vote.signature) });
  assert.notEqual(verifyOffence(here.membership, proofOf(here, forged)), undefined);
  for (const change of [{ cluster: "x" }, { epoch: 2 }, { hash: flipped(here.membership.hash) }]) {
    const there = { ...here, membership: { ...here.membership, ...change } };
    const proof = { kind: "invalid-signature", envelope: sent(there, [forged]), item: 0 } as const;
    assert.equal(verifyOffence(here.membership, proof), undefined);
  }
});

Deno.test("proofs have one encoding", () => {
  const here = council(5, 4);
  const { membership, vote } = here;
  const forged = voteItem({ ...vote(4), signature: flipped(vote(4).signature) });
  for (const proof of [doubleVote(vote(1, 1n), vote(1, 2n)) as OffenceProof, proofOf(here, forged)]) {
    const encoded = encode(offenceCodec, proof);
    assert.deepEqual(decode(offenceCodec, encoded), proof);
    assert.ok(verifyOffence(membership, decode(offenceCodec, encoded)) !== undefined);
    assert.throws(() => decode(offenceCodec, Uint8Array.from([9, ...encoded.subarray(1)])), DecodeError);
  }
});

Deno.test("V8: reputation is a function of the set of offences: order, copies and other members change nothing", () => {
  const bob = partyId(2);
  const log = (count: number): LoggedOffence[] =>
    Array.from({ length: count }, (_, i) => ({
      id: utf8(`offence ${i}`),
      kind: "invalid-signature",
      subject: bob,
      time: i * HOUR,
    }));
  assert.equal(reputationOf([], bob, 0), 100);
  assert.equal(reputationOf(log(1), bob, 0), 90);
  assert.equal(reputationOf(log(1), bob, 4 * HOUR), 94);
  assert.equal(reputationOf(log(1), bob, 100 * HOUR), 100);
  assert.equal(reputationOf(log(1), bob, -5 * HOUR), 90, "a clock that was set back forgives nothing");
  const three = log(3);
  const expected = reputationOf(three, bob, 2 * HOUR);
  assert.equal(expected, 100 - 8 - 9 - 10);
  assert.equal(reputationOf(three.toReversed(), bob, 2 * HOUR), expected);
  assert.equal(
    reputationOf([...three, ...three.map((one) => ({ ...one, time: one.time + HOUR }))], bob, 2 * HOUR),
    expected,
  );
  assert.equal(reputationOf(three, partyId(3), 2 * HOUR), 100);
  assert.equal(reputationOf(log(20).map((one) => ({ ...one, time: 0 })), bob, 0), 0);
  assert.equal(
    reputationOf([{ ...(three[0] as LoggedOffence), kind: "double-vote" }], bob, 10_000 * HOUR),
    0,
  );
});
