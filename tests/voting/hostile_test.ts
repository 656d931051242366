import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { u32 } from "../../src/base/bytes.ts";
import { decode } from "../../src/base/codec.ts";
import { hash } from "../../src/primitives/hash.ts";
import { Tag } from "../../src/primitives/tags.ts";
import { gossipCodec } from "../../src/voting/gossip.ts";
import { decodeItem, type Item } from "../../src/voting/items.ts";
import { doubleVote } from "../../src/voting/offence.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf, signVote } from "../../src/voting/vote.ts";
import { Alice, kinds } from "./alice.ts";
import { flipped } from "./support.ts";

/** A vote of a member for as many bytes as a value may have. */
function large(alice: Alice, voter: number, fill: number): Item & { readonly kind: "vote" } {
  const { membership, signers } = alice.council;
  const value = encodeValue({ schema: "bytes", bytes: new Uint8Array(65_534).fill(fill) });
  const question = questionOf(membership, "tx_001", value);
  const sign = (message: Uint8Array<ArrayBuffer>) => signers[voter - 1]!.sign(message);
  return { kind: "vote", vote: signVote(question, partyId(voter), sign) };
}

Deno.test("VotingNode compares with a peer however many offences a member has made", () => {
  const alice = new Alice();
  const proof = doubleVote(alice.council.vote(5, 1n), alice.council.vote(5, 2n))!;
  for (let n = 0; n < 1100; n++) {
    const id = hash(Tag.voteOffence, u32(n));
    const offence = {
      id,
      kind: "double-vote",
      subject: partyId(5),
      txId: `tx ${n}`,
      proof,
      time: 0,
    } as const;
    alice.store.records.push({ kind: "offence", offence });
  }
  const node = alice.restart();
  const digests = node.digestFor(partyId(2));
  const again = alice.node.receive(
    partyId(2),
    alice.envelope(
      2,
      digests.flatMap((effect) =>
        effect.kind === "send" ? decode(gossipCodec, effect.bytes).items.map(decodeItem) : []
      ),
    ),
    0,
  );
  assert.deepEqual(again, [], "whoever has the same gets nothing");
});

Deno.test("VotingNode keeps and passes on the proof of a double vote for the largest values", () => {
  const alice = new Alice();
  alice.hears(2, large(alice, 5, 1));
  alice.hears(3, large(alice, 5, 2));
  assert.deepEqual(alice.node.offences.map(({ kind, subject }) => [kind, subject]), [["double-vote", 5]]);
  const empty: Item = { kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } };
  const answer = alice.hears(4, empty);
  const bob = new Alice();
  for (const effect of answer) {
    assert.ok(effect.kind === "send");
    bob.hears(3, ...decode(gossipCodec, effect.bytes).items.map(decodeItem));
  }
  assert.equal(bob.node.offences.length, 1);
});

Deno.test("VotingNode takes a forged vote in an envelope of any size, and goes on", () => {
  const alice = new Alice();
  const forged = alice.council.vote(4);
  const fillers = [1, 2, 3].map((fill) => large(alice, 5, fill));
  const item: Item = { kind: "vote", vote: { ...forged, signature: flipped(forged.signature) } };
  alice.hears(2, ...fillers, item);
  assert.ok(alice.node.counts.invalid === 1);
  assert.ok(alice.node.offences.some(({ kind, subject }) => kind === "invalid-signature" && subject === 2));
  const closed = kinds(alice.hears(2, ...fillers, ...fillers, item));
  assert.deepEqual(closed, ["close"], "nobody could pass such an envelope on as evidence");
});

Deno.test("VotingNode answers a member that asks without end with so much in a second, and others as ever", () => {
  const alice = new Alice();
  const value = { schema: "bytes", bytes: new Uint8Array(60_000) } as const;
  for (let n = 0; n < 20; n++) alice.node.cast(`tx ${n}`, value, 0);
  const empty: Item = { kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } };
  const bytesFor = (peer: number, now: number) =>
    alice.hearsAt(now, peer, ...Array.from({ length: 100 }, () => empty))
      .reduce((sum, effect) => sum + (effect.kind === "send" ? effect.bytes.length : 0), 0);
  const first = bytesFor(2, 0);
  assert.ok(first > 15 << 20 && first < 17 << 20, `${first}`);
  assert.equal(bytesFor(2, 999), 0);
  assert.equal(bytesFor(3, 999), first);
  assert.equal(bytesFor(2, 1000), first);
});

Deno.test("VotingNode hears less of a member that sends proofs that prove nothing, and checks no proof twice", () => {
  const alice = new Alice();
  const [first, second] = [alice.council.vote(5, 1n), alice.council.vote(5, 2n)];
  const proof = doubleVote(first, second)!;
  assert.ok(proof.kind === "double-vote");
  const [a, b] = proof.votes;
  const wrong: Item = {
    kind: "offence",
    proof: { kind: "double-vote", votes: [a, { ...b, signature: flipped(b.signature) }] },
  };
  alice.hears(2, wrong, wrong, wrong, alice.vote(2));
  assert.deepEqual([alice.node.counts.invalid, alice.node.counts.limited], [3, 1]);
  alice.hears(3, { kind: "offence", proof }, wrong, wrong, wrong, alice.vote(3));
  assert.deepEqual([alice.node.offences.length, alice.node.counts.invalid], [1, 3]);
  assert.deepEqual(alice.node.status("tx_001")?.tally[0]?.voters, ["carol"]);
});
