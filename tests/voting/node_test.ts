import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { decodeItem, encodeItem, type Item } from "../../src/voting/items.ts";
import { INVALID_KEPT_MAX, OPEN_PER_MEMBER_MAX } from "../../src/voting/node.ts";
import { voteItem } from "../../src/voting/offence.ts";
import { encodeValue, type Value } from "../../src/voting/value.ts";
import { Alice, FORTY_THREE, FORTY_TWO, kinds, refused } from "./alice.ts";
import { council, flipped, integer } from "./support.ts";

Deno.test("VotingNode casts once: the lock is stored before the vote, and the same again sends the same vote", () => {
  const alice = new Alice();
  const effects = alice.node.cast("tx_001", FORTY_TWO, 0);
  assert.deepEqual(kinds(effects), [...[2, 3, 4, 5].map((to) => `send vote to ${to}`), "vote"]);
  assert.deepEqual(alice.store.records.map(({ kind }) => kind), ["lock", "vote", "opened"]);
  const again = alice.node.cast("tx_001", FORTY_TWO, 1);
  assert.deepEqual(again, effects.slice(0, 4));
  refused(() => alice.node.cast("tx_001", FORTY_THREE, 1), "ALREADY_VOTED");
  alice.restart();
  refused(() => alice.node.cast("tx_001", FORTY_THREE, 1), "ALREADY_VOTED");
  refused(() => alice.node.cast("", FORTY_TWO, 0), "USAGE");
  refused(() => alice.node.cast("roster/2", FORTY_TWO, 0), "USAGE");
});

Deno.test("VotingNode signs nothing where the lock cannot be stored", () => {
  const alice = new Alice();
  alice.store.dies = { commits: 0, after: false };
  assert.throws(() => alice.node.cast("tx_001", FORTY_TWO, 0));
  assert.deepEqual(alice.store.records, []);
  alice.store.dies = undefined;
  alice.restart().cast("tx_001", FORTY_THREE, 0);
});

Deno.test("VotingNode that crashed between lock and vote makes the vote of its lock, and no other", () => {
  const alice = new Alice();
  alice.store.dies = { commits: 0, after: true };
  assert.throws(() => alice.node.cast("tx_001", FORTY_TWO, 0));
  alice.store.dies = undefined;
  const node = alice.restart();
  refused(() => node.cast("tx_001", FORTY_THREE, 0), "ALREADY_VOTED");
  assert.equal(kinds(node.resume(0)).at(-1), "vote");
  assert.deepEqual(node.status("tx_001")?.tally, [{ value: integer(42n), voters: ["alice"] }]);
});

Deno.test("VotingNode decides with the vote that completes a quorum, tells everybody, and casts no more", () => {
  const alice = new Alice();
  alice.node.cast("tx_001", FORTY_TWO, 0);
  alice.hears(2, alice.vote(2), alice.vote(3));
  assert.deepEqual(alice.node.status("tx_001")?.missing, ["dave", "erin"]);
  assert.equal(alice.node.status("tx_001")?.state, "undecided");
  const effects = kinds(alice.hears(4, alice.vote(4)));
  assert.deepEqual(effects.filter((kind) => kind.includes("certificate")).length, 4);
  assert.equal(effects.at(-1), "decided");
  assert.deepEqual(alice.node.status("tx_001")?.value, integer(42n));
  assert.deepEqual(alice.node.cast("tx_001", FORTY_TWO, 0), []);
  refused(() => alice.node.cast("tx_001", FORTY_THREE, 0), "ALREADY_DECIDED");
  alice.hears(5, alice.vote(5, 43n));
  assert.deepEqual(alice.node.status("tx_001")?.state, "decided", "dissent changes nothing");
  assert.equal(alice.node.offences.length, 0, "V2: and is no offence");
});

Deno.test("VotingNode never votes because others did", () => {
  const alice = new Alice();
  for (const voter of [2, 3, 4]) alice.hears(voter, alice.vote(voter));
  assert.deepEqual(alice.store.records.filter(({ kind }) => kind === "lock"), []);
  assert.equal(alice.node.status("tx_001")?.state, "undecided");
});

Deno.test("VotingNode that crashed with enough votes decides when it comes back", () => {
  const alice = new Alice();
  for (const voter of [2, 3, 4]) alice.hears(voter, alice.vote(voter));
  alice.store.dies = { commits: 1, after: false };
  assert.throws(() => alice.hears(5, alice.vote(5)));
  alice.store.dies = undefined;
  const node = alice.restart();
  assert.equal(node.certificate("tx_001"), undefined);
  assert.equal(kinds(node.resume(0)).at(-1), "decided");
  const decision = alice.store.records.find(({ kind }) => kind === "decision");
  alice.store.records.push(decision!);
  assert.equal(alice.restart().alarm, undefined, "the same decision twice is one");
});

Deno.test("V1: VotingNode stores a voter's first two votes, each counts for its ballot, and both prove the offence", () => {
  const alice = new Alice();
  alice.hears(2, alice.vote(2, 41n));
  assert.deepEqual(kinds(alice.hears(2, alice.vote(2, 41n))), [], "the same vote again is nothing");
  const effects = kinds(alice.hears(3, alice.vote(2, 42n)));
  assert.ok(["offence", "send vote to 3", "send offence to 3"].every((effect) => effects.includes(effect)));
  assert.deepEqual(alice.node.offences.map(({ kind, subject }) => [kind, subject]), [["double-vote", 2]]);
  assert.deepEqual(kinds(alice.hears(2, alice.vote(2, 43n))), [], "a third one is not looked at");
  alice.node.cast("tx_001", FORTY_TWO, 0);
  const decided = kinds(alice.hears(3, alice.vote(3), alice.vote(4)));
  assert.equal(decided.at(-1), "decided", "a double voter's second vote counts for its ballot");
  assert.deepEqual(alice.restart().offences.length, 1);
});

Deno.test("VotingNode takes a certificate for a decision, and its votes for votes", () => {
  const alice = new Alice();
  alice.hears(2, alice.vote(2, 41n));
  const votes = [2, 3, 4, 5].map((voter) => alice.council.vote(voter));
  const certificate = certificateOf(alice.council.membership, votes);
  assert.ok(certificate !== undefined);
  const bad = { ...certificate, value: integer(43n) };
  assert.deepEqual(kinds(alice.hears(2, { kind: "certificate", certificate: bad })), []);
  const effects = kinds(alice.hears(2, { kind: "certificate", certificate }));
  assert.ok(effects.includes("decided") && effects.includes("offence"), "bob voted twice");
  assert.deepEqual(kinds(alice.hears(3, { kind: "certificate", certificate })), [], "once is enough");
  assert.equal(alice.restart().status("tx_001")?.state, "decided");
});

Deno.test("V6: VotingNode that sees two certificates stops voting, also after a restart", () => {
  const alice = new Alice(4, 3);
  const certificates = [42n, 43n].map((value) =>
    certificateOf(alice.council.membership, [2, 3, 4].map((voter) => alice.council.vote(voter, value)))!
  );
  const effects = certificates.flatMap((certificate) => alice.hears(2, { kind: "certificate", certificate }));
  assert.ok(effects.some((effect) => effect.kind === "alarm" && effect.alarm === "SAFETY_VIOLATION"));
  assert.equal(alice.node.status("tx_001")?.state, "violated");
  assert.deepEqual(
    alice.node.status("tx_001")?.value,
    integer(42n),
    "the first one stays what this node has decided",
  );
  refused(() => alice.node.cast("tx_002", FORTY_TWO, 0), "VOTING_STOPPED");
  assert.equal(alice.restart().alarm, "SAFETY_VIOLATION");
  assert.equal(alice.node.offences.length, 3, "at least 2q - n members have voted twice");
});

Deno.test("VotingNode that sees a vote of its own key that it has not made stops voting, also after a restart", () => {
  const alice = new Alice();
  alice.node.cast("tx_001", FORTY_TWO, 0);
  const effects = alice.hears(2, alice.vote(1, 43n));
  assert.ok(effects.some((effect) => effect.kind === "alarm" && effect.alarm === "SELF_EQUIVOCATION"));
  refused(() => alice.node.cast("tx_002", FORTY_TWO, 0), "VOTING_STOPPED");
  assert.equal(alice.restart().alarm, "SELF_EQUIVOCATION");
  const fresh = new Alice();
  fresh.store.dies = { commits: 0, after: true };
  assert.throws(() => fresh.node.cast("locked", FORTY_TWO, 0));
  fresh.store.dies = undefined;
  fresh.restart().receive(partyId(2), fresh.envelope(2, [fresh.vote(1, 43n)]), 0);
  assert.deepEqual(kinds(fresh.restart().resume(0)), [], "nor does it vote for what it had locked before");
  const other = new Alice();
  other.hears(2, other.vote(1, 43n));
  assert.equal(other.node.alarm, "SELF_EQUIVOCATION", "also where there is no lock at all");
});

Deno.test("VotingNode ends the link of a peer whose envelope is not its own, or for somebody else", () => {
  const alice = new Alice();
  const item = alice.vote(2);
  const good = alice.envelope(2, [item]);
  for (
    const bytes of [
      good.subarray(1),
      alice.envelope(3, [item]),
      alice.envelope(2, [item], { to: partyId(4) }),
    ]
  ) {
    assert.deepEqual(kinds(alice.node.receive(partyId(2), bytes, 0)), ["close"]);
  }
  const changed = encode(gossipCodec, { ...decode(gossipCodec, good), signature: new Uint8Array(64) });
  assert.deepEqual(kinds(alice.node.receive(partyId(2), changed, 0)), ["close"]);
  assert.equal(alice.node.status("tx_001"), undefined);
});

Deno.test("V3: VotingNode blames the sender of a forged vote, keeps a few proofs, and goes on listening to it", () => {
  const alice = new Alice();
  const forged = (n: number): Item => {
    const vote = alice.council.vote(4, BigInt(n), `tx_${n}`);
    return { kind: "vote", vote: { ...vote, signature: flipped(vote.signature) } };
  };
  for (let n = 0; n < 5; n++) alice.hearsAt(1000 * n, 2, forged(n));
  assert.equal(alice.node.offences.length, INVALID_KEPT_MAX);
  assert.ok(alice.node.offences.every(({ kind, subject }) => kind === "invalid-signature" && subject === 2));
  assert.equal(alice.node.counts.invalid, 5);
  const { membership, signers } = alice.council;
  const confession = (n: number): Item => {
    const { vote } = forged(n) as Item & { kind: "vote" };
    const content = { from: partyId(2), to: partyId(3), items: [voteItem(vote)] };
    const envelope = signGossip(membership, content, (message) => signers[1]!.sign(message));
    return { kind: "offence", proof: { kind: "invalid-signature", envelope, item: 0 } };
  };
  alice.hears(3, confession(7), confession(8));
  assert.equal(alice.node.offences.length, INVALID_KEPT_MAX, "nor are those that others pass on");
  assert.equal(kinds(alice.hearsAt(5000, 2, alice.vote(2))).at(-1), "vote", "its votes still count");
});

Deno.test("V4: VotingNode counts votes of another membership, and blames nobody for them", () => {
  const alice = new Alice();
  const vote = { ...council(5, 4, { epoch: 2 }).vote(3) };
  assert.deepEqual(kinds(alice.hears(2, { kind: "vote", vote })), []);
  assert.deepEqual([alice.node.counts.mismatch, alice.node.offences.length], [1, 0]);
  for (const change of [{ epoch: 2 }, { quorum: 5, faults: 0 }, { cluster: "other" }]) {
    const { membership, signers } = council(5, 4, change);
    const content = { from: partyId(2), to: partyId(1), items: [encodeItem(alice.vote(3))] };
    const envelope = signGossip(membership, content, (message) => signers[1]!.sign(message));
    assert.deepEqual(alice.node.receive(partyId(2), encode(gossipCodec, envelope), 0), [], "nor ends a link");
  }
  assert.deepEqual([alice.node.counts.mismatch, alice.node.status("tx_001")], [4, undefined]);
});

Deno.test("V7: VotingNode lets no member open more than its share of transactions, until some are decided", () => {
  const alice = new Alice();
  for (let n = 0; n < OPEN_PER_MEMBER_MAX + 3; n++) alice.hears(2, alice.vote(2, 42n, `flood ${n}`));
  assert.equal(alice.node.counts.overQuota, 3);
  assert.equal(alice.node.status(`flood ${OPEN_PER_MEMBER_MAX}`), undefined);
  alice.hears(3, alice.vote(3, 42n, "of carol"));
  assert.ok(alice.node.status("of carol") !== undefined, "others are not limited by it");
  alice.hears(2, alice.vote(2, 42n, "of carol"));
  assert.deepEqual(
    alice.node.status("of carol")?.tally[0]?.voters,
    ["bob", "carol"],
    "what is open takes everybody's votes",
  );
  alice.node.cast("own", FORTY_TWO, 0);
  for (const voter of [3, 4, 5]) alice.hears(voter, alice.vote(voter, 42n, "flood 0"));
  alice.hears(2, alice.vote(2, 42n, "flood after"));
  assert.ok(alice.node.status("flood after") !== undefined, "a decision gives the place back");
});

Deno.test("VotingNode answers a digest with what the other lacks, page by page", () => {
  const alice = new Alice();
  for (let n = 0; n < 300; n++) alice.node.cast(`tx ${String(n).padStart(3, "0")}`, FORTY_TWO, 0);
  const digests = alice.node.digestFor(partyId(2));
  const pages = digests.flatMap((effect) =>
    effect.kind === "send" ? decode(gossipCodec, effect.bytes).items.map(decodeItem) : []
  );
  assert.equal(pages.length, 2);
  // Bob has nothing: he says so, and gets everything; whoever has everything gets nothing.
  const empty: Item = { kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } };
  const sent = alice.hears(2, empty).flatMap((effect) =>
    effect.kind === "send" ? decode(gossipCodec, effect.bytes).items : []
  );
  assert.equal(sent.length, 300);
  assert.deepEqual(kinds(alice.hears(2, ...pages)), []);
  alice.hears(3, alice.vote(3, 43n, "tx 001"));
  assert.deepEqual(kinds(alice.hears(2, ...pages)), ["send vote to 2"]);
  const two = new Alice();
  two.hears(3, two.vote(3, 1n, "tx 001"), two.vote(3, 2n, "tx 001"));
  const other = new Alice();
  other.hears(3, other.vote(3, 3n, "tx 001"), other.vote(3, 4n, "tx 001"));
  const full = two.node.digestFor(partyId(2)).flatMap((effect) =>
    effect.kind === "send" ? decode(gossipCodec, effect.bytes).items.map(decodeItem) : []
  ).map((item): Item =>
    item.kind === "digest" ? { kind: "digest", digest: { ...item.digest, offences: [] } } : item
  );
  const answered = kinds(other.hears(2, ...full));
  assert.deepEqual(answered, ["send offence to 2"], "who has two votes of a voter takes no third");
});

Deno.test("VotingNode passes on what others have signed to all but the signer, later where it is told to", () => {
  const alice = new Alice();
  assert.deepEqual(kinds(alice.hears(2, alice.vote(3))), [
    ...[2, 4, 5].map((to) => `send vote to ${to}`),
    "vote",
  ]);
  const later = new Alice(5, 4, { relaysLater: true });
  assert.deepEqual(kinds(later.hears(2, later.vote(3))), ["vote"]);
  const own = kinds(later.node.cast("tx_001", FORTY_TWO, 0));
  assert.deepEqual(own, [...[2, 3, 4, 5].map((to) => `send vote to ${to}`), "vote"]);
  later.hears(2, later.vote(2), later.vote(4));
  assert.ok(later.node.hasRelays);
  assert.deepEqual(kinds(later.node.relay()).toSorted(), [
    "send vote,vote,certificate to 2",
    "send vote,vote,certificate to 3",
    "send vote,vote,certificate to 4",
    "send vote,vote,vote,certificate to 5",
  ]);
  assert.ok(!later.node.hasRelays);
  assert.deepEqual(later.node.relay(), []);
});

Deno.test("VotingNode verifies no envelope that says only what it knows, and each one that says more", () => {
  const alice = new Alice();
  const unsigned = (...items: Item[]) => {
    const envelope = decode(gossipCodec, alice.envelope(2, items));
    return encode(gossipCodec, { ...envelope, signature: flipped(envelope.signature) });
  };
  const taken = (...items: Item[]) => kinds(alice.node.receive(partyId(2), unsigned(...items), 0));
  const votes = [2, 3, 4, 5].map((voter) => alice.vote(voter));
  assert.deepEqual(taken(votes[0] as Item), ["close"]);
  alice.hears(3, ...votes);
  const certificate = alice.node.certificate("tx_001") as QuorumCertificate;
  assert.deepEqual(taken(...votes, { kind: "certificate", certificate }), []);
  assert.deepEqual(taken(...votes, alice.vote(2, 43n)), ["close"]);
  assert.deepEqual(taken(alice.vote(2, 42n, "tx_002")), ["close"]);
  const other = { ...certificate, value: encodeValue({ schema: "integer", integer: 43n }) };
  assert.deepEqual(taken({ kind: "certificate", certificate: other }), ["close"]);
  assert.deepEqual(
    taken({ kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } }),
    ["close"],
  );
  assert.deepEqual(
    kinds(alice.node.receive(partyId(3), unsigned(...votes), 0)),
    ["close"],
    "it is not from this peer",
  );
});

Deno.test("VotingNode sends large values in envelopes that a link takes", () => {
  const alice = new Alice();
  const large = (n: number): Value => ({ schema: "bytes", bytes: new Uint8Array(60_000).fill(n) });
  for (let n = 0; n < 9; n++) alice.node.cast(`large ${n}`, large(n), 0);
  const empty: Item = { kind: "digest", digest: { after: "", upTo: "", transactions: [], offences: [] } };
  const sizes = alice.hears(2, empty).map((effect) => effect.kind === "send" ? effect.bytes.length : 0);
  assert.equal(sizes.length, 3);
  assert.ok(sizes.every((size) => size < 257 * 1024));
});

Deno.test("VotingNode takes one item a second of a member that has sent three invalid ones, also after a restart", () => {
  const alice = new Alice();
  const forged = (n: number): Item => {
    const vote = alice.council.vote(4, BigInt(n), `tx_${n}`);
    return { kind: "vote", vote: { ...vote, signature: flipped(vote.signature) } };
  };
  alice.hears(2, forged(1));
  alice.hears(2, forged(2), alice.vote(2, 1n, "a"));
  alice.hears(2, forged(3), alice.vote(2, 1n, "b"));
  assert.ok(alice.node.status("a") !== undefined);
  assert.equal(alice.node.status("b"), undefined);
  assert.equal(alice.node.counts.limited, 1);
  alice.hearsAt(999, 2, alice.vote(2, 1n, "b"));
  assert.equal(alice.node.status("b"), undefined);
  alice.restart();
  alice.hearsAt(999, 2, alice.vote(2, 1n, "b"));
  assert.equal(alice.node.status("b"), undefined);
  alice.hearsAt(1000, 2, alice.vote(2, 1n, "b"), alice.vote(2, 1n, "c"));
  assert.ok(alice.node.status("b") !== undefined);
  assert.equal(alice.node.status("c"), undefined);
  alice.hearsAt(0, 2, alice.vote(2, 1n, "c"));
  assert.ok(alice.node.status("c") !== undefined, "a clock that was set back is no reason to wait");
  alice.hearsAt(0, 3, alice.vote(3, 1n, "d"), alice.vote(3, 1n, "e"));
  assert.ok(alice.node.status("e") !== undefined, "others are not limited by it");
});

Deno.test("VotingNode counts certificates, receipts and suspicions that nobody signed against their sender", () => {
  const alice = new Alice();
  const votes = [2, 3, 4, 5].map((voter) => alice.council.vote(voter));
  const certificate = certificateOf(alice.council.membership, votes)!;
  const signature = new Uint8Array(64);
  alice.hears(3, alice.vote(3));
  alice.hears(
    2,
    { kind: "certificate", certificate: { ...certificate, value: integer(43n) } },
    { kind: "receipt", receipt: { txId: "tx_001", state: "seen", member: partyId(4), signature } },
    {
      kind: "suspicion",
      suspicion: { txId: "tx_001", subject: partyId(4), observer: partyId(2), signature },
    },
    alice.vote(2),
  );
  assert.deepEqual([alice.node.counts.invalid, alice.node.counts.limited], [3, 1]);
  const proposer = new Alice();
  const { cluster, epoch, hash } = proposer.council.membership;
  const proposal = {
    cluster,
    epoch,
    membershipHash: hash,
    txId: "t",
    value: integer(1n),
    proposer: partyId(2),
  };
  const item: Item = { kind: "proposal", proposal: { ...proposal, signature } };
  proposer.hears(2, item, item, item, proposer.vote(2));
  assert.equal(proposer.node.counts.limited, 1);
});
