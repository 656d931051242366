import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { type Bytes, hex } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import type { Approval } from "../../src/voting/approval.ts";
import { certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { gossipCodec, signGossip } from "../../src/voting/gossip.ts";
import { encodeItem, type Item } from "../../src/voting/items.ts";
import {
  JoinLists,
  type LockedPage,
  lockedPageCodec,
  lockedPrefix,
  PAGE_PREFIXES,
  PAGES_AT_ONCE,
  pagesOf,
  storedPageCodec,
} from "../../src/voting/locked.ts";
import type { Membership } from "../../src/voting/membership.ts";
import { RETENTION_MS, VotingNode } from "../../src/voting/node.ts";
import { followRosters, nextMembership, type NextRoster, rosterValue } from "../../src/voting/roster.ts";
import { encodeValue, type Value } from "../../src/voting/value.ts";
import { questionOf, signVote, type Vote } from "../../src/voting/vote.ts";
import { FORTY_THREE, FORTY_TWO, refused } from "./alice.ts";
import { Network } from "./network.ts";

/** Erin goes, frank comes. */
const NEXT = [1, 2, 3, 4, 6];

const APPROVAL: Approval = {
  kind: "approve",
  cluster: "demo",
  txId: "tx_001",
  keyId: new Uint8Array(32),
  publicKey: new Uint8Array(33),
  policyHash: new Uint8Array(32),
  scheme: "ed25519",
  path: [],
  mode: "message",
  input: new Uint8Array(1),
  context: [],
  supersedes: "",
  notBefore: 0n,
  notAfter: 1000n,
  lowS: false,
};

/** The members decide who is next. */
function changed(network: Network, members: readonly number[] = NEXT, voters = [1, 2, 3, 4]): void {
  for (const voter of voters) {
    network.does(voter, (node) => node.changeRoster(network.roster(members), 0));
  }
}

/** A vote of a member, counted among the seven, whatever it has voted before. */
function voted(network: Network, membership: Membership, member: number, txId: string, value: Bytes): Vote {
  const signer = network.council.signers[member - 1]!;
  const place = membership.voters.find(({ key }) => hex(key.publicKey) === hex(signer.publicKey))!.index;
  return signVote(questionOf(membership, txId, value), place, (message) => signer.sign(message));
}

function decided(
  network: Network,
  txId: string,
  value: Value,
  membership = network.first,
  voters = [1, 2, 3, 4],
): QuorumCertificate {
  const votes = voters.map((member) => voted(network, membership, member, txId, encodeValue(value)));
  return certificateOf(membership, votes)!;
}

/** What a peer sends in an epoch. */
function envelope(
  network: Network,
  membership: Membership,
  from: number,
  to: number,
  ...items: Item[]
): Bytes {
  const { signers } = network.council;
  const place = (member: number) =>
    membership.voters.find(({ key }) => hex(key.publicKey) === hex(signers[member - 1]!.publicKey))!.index;
  const content = { from: place(from), to: place(to), items: items.map(encodeItem) };
  return encode(gossipCodec, signGossip(membership, content, (message) => signers[from - 1]!.sign(message)));
}

Deno.test("nextMembership() follows a valid decision on the next roster, and no other", () => {
  const network = new Network();
  const { first } = network;
  const value = rosterValue(first, network.roster(NEXT));
  const good = decided(network, "roster/2", value);
  const next = nextMembership(first, good);
  assert.deepEqual(next.voters.map(({ name }) => name), ["alice", "bob", "carol", "dave", "frank"]);
  assert.deepEqual([next.cluster, next.epoch, next.quorum], ["demo", 2, 4]);
  const other = rosterValue(next, network.roster([1, 2, 3, 4, 7]));
  const bytes = (value as Value & { bytes: Bytes }).bytes;
  for (
    const wrong of [
      { ...good, votes: good.votes.slice(1) },
      decided(network, "roster/3", value),
      decided(network, "tx_001", value),
      decided(network, "roster/2", FORTY_TWO),
      decided(network, "roster/2", other),
      decided(network, "roster/2", rosterValue({ ...first, cluster: "other" }, network.roster(NEXT))),
      decided(network, "roster/2", { schema: "roster", bytes: bytes.with(0, 2) as Bytes }),
      decided(network, "roster/2", { schema: "roster", bytes: bytes.subarray(1) }),
    ]
  ) {
    assert.throws(() => nextMembership(first, wrong), { code: "EVIDENCE_INVALID" });
  }
});

Deno.test("followRosters() reaches the current membership from the first one", () => {
  const network = new Network();
  const second = decided(network, "roster/2", rosterValue(network.first, network.roster(NEXT)));
  const middle = nextMembership(network.first, second);
  const third = decided(network, "roster/3", rosterValue(middle, network.roster([1, 2, 3, 6, 7])), middle);
  const memberships = followRosters(network.first, [second, third]);
  assert.deepEqual(memberships.map(({ epoch }) => epoch), [1, 2, 3]);
  assert.throws(() => followRosters(network.first, [third]), { code: "EVIDENCE_INVALID" });
});

Deno.test("rosterValue() keeps a quorum of members, with their keys", () => {
  const network = new Network();
  const wrong: NextRoster[] = [
    network.roster([1, 2, 3, 6, 7]),
    { ...network.roster([1, 2, 3, 4, 5]), quorum: 2 },
    { ...network.roster([1, 2, 3, 4, 5]), faults: 3 },
  ];
  for (const next of wrong) assert.throws(() => rosterValue(network.first, next), { code: "CONFIG_INVALID" });
  // The same names with other keys are others.
  const { voters } = network.roster([1, 2, 3, 6, 7]);
  const named = voters.map((voter, i) => ({ ...voter, name: network.first.voters[i]!.name }));
  assert.throws(() => rosterValue(network.first, { voters: named, quorum: 4, faults: 0 }), {
    message: /at least 4 members stay in one change: found 3/,
  });
  assert.throws(() => rosterValue(network.first, { ...network.roster([1, 2, 3, 4, 4]) }), {
    code: "IDENTITY_INVALID",
  });
  rosterValue(network.first, network.roster([1, 2, 3, 4], 3));
  rosterValue(network.first, network.roster([1, 2, 3, 4, 5, 6, 7], 5));
});

Deno.test("VotingNode goes on in the next epoch when the members have decided it, also after a restart", () => {
  const network = new Network();
  network.does(1, (node) => node.cast("tx_001", FORTY_TWO, 0));
  changed(network);
  for (const member of [1, 2, 3, 4, 5]) assert.equal(network.node(member).membership.epoch, 2);
  const told = network.effects[0]!.filter(({ kind }) => kind === "epoch");
  assert.deepEqual(told.map((effect) => effect.kind === "epoch" && effect.membership.epoch), [2]);
  assert.equal(network.restart(1).membership.epoch, 2);
  const { chain } = network.node(1);
  assert.equal(followRosters(network.first, chain).at(-1)?.epoch, 2);
  for (const member of [1, 2, 3, 4]) network.does(member, (node) => node.cast("tx_002", FORTY_TWO, 0));
  for (const member of [1, 2, 3, 4]) {
    assert.deepEqual(network.node(member).status("tx_002")?.state, "decided");
    assert.deepEqual(network.node(member).status("tx_002")?.epoch, 2);
  }
  assert.equal(network.node(5).status("tx_002"), undefined, "who is no member hears nothing of it");
  refused(() => network.node(5).cast("tx_003", FORTY_TWO, 0), "NOT_A_MEMBER");
  refused(() => network.node(5).changeRoster(network.roster(NEXT), 0), "NOT_A_MEMBER");
});

Deno.test("VotingNode.changeRoster() takes only what can follow, and cast() no reserved names and no rosters", () => {
  const network = new Network();
  const node = network.node(1);
  assert.throws(() => node.changeRoster(network.roster([1, 2, 3, 6, 7]), 0), { code: "CONFIG_INVALID" });
  const value = rosterValue(network.first, network.roster(NEXT));
  refused(() => node.cast("roster/2", value, 0), "USAGE");
  refused(() => node.cast("tx_001", value, 0), "USAGE");
  assert.deepEqual(network.stores[0]!.records, []);
});

Deno.test("VotingNode casts nothing in a closed epoch, nor on what it has locked or knows decided there", () => {
  const network = new Network();
  network.cut.add(4).add(5);
  network.does(1, (node) => node.cast("locked", FORTY_TWO, 0));
  network.cut.clear();
  for (const member of [2, 3, 4, 5]) network.does(member, (node) => node.cast("decided", FORTY_TWO, 0));
  network.does(2, (node) => node.cast("seen", FORTY_TWO, 0));
  changed(network);
  const alice = network.restart(1);
  for (const value of [FORTY_TWO, FORTY_THREE]) {
    refused(() => alice.cast("locked", value, 0), "TX_CLOSED");
    refused(() => alice.cast("decided", value, 0), "TX_CLOSED");
  }
  assert.throws(() => alice.cast("locked", FORTY_TWO, 0), { message: /voted for 42 in locked/ });
  assert.throws(() => alice.cast("decided", FORTY_TWO, 0), { message: /decided for 42 in epoch 1/ });
  alice.cast("seen", FORTY_THREE, 0);
  assert.equal(alice.status("decided")?.state, "decided");
  assert.equal(alice.status("locked")?.state, "expired", "its epoch is over");
});

Deno.test("VotingNode that was locked in an epoch that was closed meanwhile does not vote any more", () => {
  const network = new Network();
  network.stores[0]!.dies = { commits: 0, after: true };
  assert.throws(() => network.node(1).cast("locked", FORTY_TWO, 0));
  network.stores[0]!.dies = undefined;
  const certificate = decided(network, "roster/2", rosterValue(network.first, network.roster(NEXT)));
  network.stores[0]!.commit([{ kind: "decision", certificate }]);
  const alice = network.restart(1);
  assert.equal(alice.membership.epoch, 2);
  assert.equal(alice.status("locked"), undefined);
  refused(() => alice.cast("locked", FORTY_TWO, 0), "TX_CLOSED");
});

Deno.test("VotingNode abstains in a closed epoch from what it voted on in another one, or had locked and not voted on", () => {
  const network = new Network();
  network.does(2, (node) => node.cast("later", FORTY_TWO, 0));
  network.does(2, (node) => node.cast("locked", FORTY_TWO, 0));
  network.stores[0]!.dies = { commits: 0, after: true };
  assert.throws(() => network.node(1).cast("locked", FORTY_TWO, 0));
  network.stores[0]!.dies = undefined;
  changed(network, NEXT, [2, 3, 4, 5]);
  // The process that ended is gone: what begins again finds its epoch closed.
  const value = rosterValue(network.first, network.roster(NEXT));
  const certificate = decided(network, "roster/2", value, network.first, [2, 3, 4, 5]);
  network.stores[0]!.commit([{ kind: "decision", certificate }]);
  network.restart(1);
  network.does(1, (node) => node.cast("later", FORTY_TWO, 0));
  network.does(1, (node) => node.tick({ now: 0, monotonicMs: 0, linksUp: 4 }));
  const said = network.stores[0]!.records.flatMap((record) =>
    record.kind === "receipt" && record.epoch === 1 ? [`${record.receipt.txId} ${record.receipt.state}`] : []
  );
  assert.deepEqual(said.filter((one) => !one.startsWith("roster")).sort(), [
    "later abstained",
    "locked abstained",
  ]);
});

Deno.test("VotingNode votes for no proposal by itself once its epoch is closed, in whatever order things come", () => {
  const asked: string[] = [];
  const network = new Network({ approves: ({ txId }) => asked.push(txId) > 0 });
  const value = rosterValue(network.first, network.roster(NEXT));
  const certificate = decided(network, "roster/2", value, network.first, [2, 3, 4, 5]);
  network.cut.add(1).add(2).add(3).add(4).add(5);
  network.does(2, (node) => node.propose(APPROVAL, 0));
  const proposal = network.stores[1]!.records.flatMap((record) =>
    record.kind === "proposal" ? [record.proposal] : []
  )[0]!;
  asked.length = 0;
  network.node(1).receive(
    partyId(2),
    envelope(network, network.first, 2, 1, { kind: "certificate", certificate }, {
      kind: "proposal",
      proposal,
    }),
    0,
  );
  assert.deepEqual(asked, []);
  assert.equal(network.node(1).status("tx_001")?.proposals.length, 1, "but it is stored, and passed on");
  assert.equal(network.node(1).alarm, undefined);
});

Deno.test("VotingNode that learns of two decisions on the next members goes on with the first, and votes no more", () => {
  const network = new Network();
  const certificates = [NEXT, [1, 2, 3, 4, 7]].map((members) => {
    const value = rosterValue(network.first, network.roster(members));
    return decided(network, "roster/2", value, network.first, [2, 3, 4, 5]);
  });
  const items = certificates.map((certificate): Item => ({ kind: "certificate", certificate }));
  const effects = network.node(1).receive(partyId(2), envelope(network, network.first, 2, 1, ...items), 0);
  assert.ok(effects.some((effect) => effect.kind === "alarm" && effect.alarm === "SAFETY_VIOLATION"));
  for (const node of [network.node(1), network.restart(1)]) {
    assert.deepEqual(node.membership.voters.map(({ name }) => name).at(-1), "frank");
    refused(() => node.cast("tx_001", FORTY_TWO, 0), "VOTING_STOPPED");
  }
});

Deno.test("VotingNode proposes nothing under a name that is closed", () => {
  const network = new Network();
  network.does(1, (node) => node.cast("tx_001", FORTY_TWO, 0));
  changed(network);
  refused(() => network.node(1).propose(APPROVAL, 0), "TX_CLOSED");
  network.node(2).propose(APPROVAL, 0);
});

Deno.test("VotingNode counts votes of a closed epoch, and proves offences in it", () => {
  const network = new Network();
  network.cut.add(4);
  for (const member of [1, 2, 3]) network.does(member, (node) => node.cast("tx_001", FORTY_TWO, 0));
  network.cut.clear();
  changed(network, NEXT, [1, 2, 3, 5]);
  const alice = network.node(1);
  assert.equal(alice.status("tx_001")?.state, "expired");
  network.does(5, (node) => node.tick({ now: 0, monotonicMs: 0, linksUp: 4 }));
  assert.equal(alice.status("tx_001")?.presence.erin, "abstained", "who has not voted does not any more");
  const [fourth, other] = [FORTY_TWO, FORTY_THREE].map((value) =>
    voted(network, network.first, 4, "tx_001", encodeValue(value))
  ) as [Vote, Vote];
  const send = (...items: Item[]) =>
    alice.receive(partyId(2), envelope(network, network.first, 2, 1, ...items), 0);
  const effects = send({ kind: "vote", vote: fourth }, { kind: "vote", vote: other });
  assert.ok(effects.some(({ kind }) => kind === "decided"));
  assert.equal(alice.status("tx_001")?.state, "decided");
  assert.deepEqual(alice.offences.map(({ kind, subject }) => [kind, subject]), [["double-vote", 4]]);
  assert.deepEqual(network.restart(1).offences.length, 1);
  refused(() => network.node(1).cast("tx_001", FORTY_TWO, 0), "TX_CLOSED");
});

Deno.test("VotingNode that was away learns of the change from any member, and is heard until then", () => {
  const network = new Network();
  network.cut.add(4);
  changed(network, NEXT, [1, 2, 3, 5]);
  assert.equal(network.node(4).membership.epoch, 1);
  network.cut.delete(4);
  const early = network.node(4).receive(
    partyId(1),
    envelope(network, network.node(1).membership, 1, 4),
    0,
  );
  assert.deepEqual(early, [], "what it does not understand yet is no offence, and ends no link");
  assert.equal(network.node(4).counts.mismatch, 1);
  network.does(4, (node) => node.digestFor(partyId(1)));
  assert.equal(network.node(4).membership.epoch, 2);
});

Deno.test("VotingNode compares a closed epoch for as long as is configured, and answers for its end at any time", () => {
  const network = new Network();
  network.cut.add(4);
  changed(network, NEXT, [1, 2, 3, 5]);
  network.cut.delete(4);
  const epochs = (now: number) => {
    network.node(1).tick({ now, monotonicMs: 0, linksUp: 4 });
    return network.node(1).digestFor(partyId(2)).map((effect) =>
      effect.kind === "send" ? decode(gossipCodec, effect.bytes).epoch : 0
    );
  };
  assert.deepEqual(epochs(RETENTION_MS), [2, 1]);
  assert.deepEqual(epochs(RETENTION_MS + 1), [2]);
  network.does(4, (node) => node.digestFor(partyId(1)));
  assert.equal(network.node(4).membership.epoch, 2);
});

Deno.test("VotingNode that is new votes when it knows what enough of the others had locked, also after a restart", () => {
  const network = new Network();
  network.cut.add(4).add(5);
  network.does(1, (node) => node.cast("locked", FORTY_TWO, 0));
  network.cut.clear();
  network.cut.add(4);
  changed(network, NEXT, [1, 2, 3, 5]);
  const [end] = network.node(1).chain;
  network.does(6, (node) => node.learn(end!, 0));
  assert.equal(network.node(6).membership.epoch, 2);
  refused(() => network.node(6).cast("fresh", FORTY_TWO, 0), "LISTS_MISSING");
  network.compare();
  refused(() => network.node(6).cast("fresh", FORTY_TWO, 0), "LISTS_MISSING");
  network.cut.delete(4);
  network.compare();
  for (const frank of [network.node(6), network.restart(6)]) {
    refused(() => frank.cast("locked", FORTY_THREE, 0), "TX_CLOSED");
  }
  network.does(6, (node) => node.cast("fresh", FORTY_TWO, 0));
  assert.deepEqual(network.node(1).status("fresh")?.tally[0]?.voters, ["frank"]);
});

Deno.test("VotingNode takes each page once, from members that stay, and lists what was locked before the epoch alone", () => {
  const network = new Network();
  changed(network);
  network.does(1, (node) => node.cast("in the new epoch", FORTY_TWO, 0));
  network.does(6, (node) => node.learn(network.node(1).chain[0]!, 0));
  const next = network.node(1).membership;
  const page = (member: number, prefixes: Bytes = new Uint8Array()) => {
    const item: Item = { kind: "locked", page: { epoch: 2, page: 0, pages: 1, prefixes } };
    network.node(6).receive(partyId(member), envelope(network, next, member, 6, item), 0);
  };
  const pages = () => network.stores[5]!.records.filter(({ kind }) => kind === "locked").length;
  page(1);
  page(1, new Uint8Array(8));
  assert.equal(pages(), 1);
  network.compare();
  assert.equal(pages(), 4);
  network.does(6, (node) => node.cast("in the new epoch", FORTY_TWO, 0));
});

Deno.test("VotingNode passes on what it was told when it was new, and asks again where it was away for an epoch", () => {
  const network = new Network();
  network.does(1, (node) => node.cast("locked", FORTY_TWO, 0));
  changed(network);
  network.does(6, (node) => node.learn(network.node(1).chain[0]!, 0));
  network.compare();
  // Alice goes, who is the only one that locked it; erin comes back.
  for (const voter of [1, 2, 3, 4]) {
    network.does(voter, (node) => node.changeRoster(network.roster([2, 3, 4, 6, 5]), 0));
  }
  assert.equal(network.node(6).membership.epoch, 3);
  network.does(5, (node) => node.learn(network.node(2).chain[1]!, 0));
  assert.equal(network.node(5).membership.epoch, 3);
  refused(() => network.node(5).cast("fresh", FORTY_TWO, 0), "LISTS_MISSING");
  network.compare();
  refused(() => network.node(5).cast("locked", FORTY_THREE, 0), "TX_CLOSED");
  network.does(5, (node) => node.cast("fresh", FORTY_TWO, 0));
});

Deno.test("VotingNode answers no question for lists before its own are complete, or of another epoch", () => {
  const network = new Network();
  changed(network);
  const next = network.node(1).membership;
  const frank = network.node(6);
  frank.learn(network.node(1).chain[0]!, 0);
  const ask = (member: number, from: number, epoch: number) =>
    network.node(member).receive(
      partyId(from),
      envelope(network, next, from, member, { kind: "locked-request", request: { epoch, page: 0 } }),
      0,
    );
  assert.equal(ask(1, 6, 2).length, 1);
  assert.deepEqual(ask(1, 6, 3), []);
  assert.deepEqual(ask(6, 1, 2), []);
});

Deno.test("VotingNode asks on until it has all pages", () => {
  const network = new Network();
  const names = Array.from({ length: PAGE_PREFIXES * PAGES_AT_ONCE + 1 }, (_, i) => `tx ${i}`);
  const ballot = new Uint8Array(32);
  for (const store of network.stores.slice(0, 4)) {
    store.commit(
      names.map((txId) => ({
        kind: "lock",
        lock: { txId, epoch: 1, ballot, value: encodeValue(FORTY_TWO) },
      })),
    );
  }
  for (const member of [1, 2, 3, 4]) network.restart(member);
  const certificate = decided(network, "roster/2", rosterValue(network.first, network.roster(NEXT)));
  for (const member of [1, 2, 3, 4, 6]) network.does(member, (node) => node.learn(certificate, 0));
  network.compare(1);
  network.does(6, (node) => node.cast("fresh", FORTY_TWO, 0));
  for (const txId of [names[0]!, names.at(-1)!]) {
    refused(() => network.node(6).cast(txId, FORTY_THREE, 0), "TX_CLOSED");
  }
});

Deno.test("JoinLists takes the pages of members that stay, each once, and needs all pages of a quorum of them", () => {
  const lists = new JoinLists({ epoch: 2, from: [partyId(1), partyId(2)], needed: 2 });
  const prefixes = new Uint8Array(8);
  const page = { epoch: 2, page: 0, pages: 2, prefixes };
  const one = { ...page, member: partyId(1) };
  assert.ok(lists.lacks(one));
  assert.equal(lists.lacks({ ...one, epoch: 3 }), false);
  assert.equal(lists.lacks({ ...one, member: partyId(3) }), false);
  assert.equal(lists.lacks({ ...one, page: 2 }), false);
  lists.add(one);
  assert.equal(lists.lacks(one), false);
  assert.equal(lists.lacks({ ...one, page: 1, pages: 3 }), false, "a list does not grow");
  assert.deepEqual(lists.request(partyId(1)), { epoch: 2, page: 1 });
  assert.equal(lists.request(partyId(3)), undefined);
  lists.add({ ...one, page: 1 });
  assert.equal(lists.request(partyId(1)), undefined);
  assert.equal(lists.isComplete, false);
  lists.add({ ...page, member: partyId(2) });
  assert.equal(lists.isComplete, false);
  lists.add({ ...page, member: partyId(2), page: 1 });
  assert.equal(lists.isComplete, true);
  const three = new JoinLists({ epoch: 2, from: [1, 2, 3].map(partyId), needed: 1 });
  three.add({ ...one, pages: 1 });
  assert.equal(three.request(partyId(2)), undefined, "who has enough asks nobody");
});

Deno.test("pages of lists have one encoding, and hold every name once", () => {
  const names = ["b", "a", "c", "a"].map(lockedPrefix);
  const pages = pagesOf(2, names);
  assert.equal(pages.length, 1);
  assert.equal(pages[0]!.prefixes.length, 24);
  assert.equal(pagesOf(2, []).length, 1);
  const [page] = pages as [LockedPage];
  assert.deepEqual(decode(lockedPageCodec, encode(lockedPageCodec, page)), page);
  const stored = { ...page, member: partyId(3) };
  assert.deepEqual(decode(storedPageCodec, encode(storedPageCodec, stored)), stored);
  for (const wrong of [{ ...page, prefixes: page.prefixes.subarray(1) }, { ...page, pages: 1025 }]) {
    assert.throws(() => decode(lockedPageCodec, encode(lockedPageCodec, wrong)), DecodeError);
  }
});

Deno.test("VotingNode with records of an epoch to which nothing leads does not begin", () => {
  const network = new Network();
  network.stores[0]!.commit([{ kind: "opened", epoch: 2, txId: "tx", time: 0 }]);
  assert.throws(() => network.restart(1), { code: "STORE_CORRUPT" });
});

Deno.test("VotingNode whose first members were replaced by hand takes nothing of what others voted, and votes on nothing twice", () => {
  const network = new Network();
  for (const member of [1, 2, 3, 4]) network.does(member, (node) => node.cast("tx_001", FORTY_TWO, 0));
  const other = new Network({
    membership: nextMembership(
      network.first,
      decided(network, "roster/2", rosterValue(network.first, network.roster(NEXT))),
    ),
  });
  assert.equal(other.node(1).membership.epoch, 2);
  network.stores[0]!.records.forEach((record) => {
    if (record.kind === "vote") other.stores[0]!.commit([{ ...record, vote: { ...record.vote, epoch: 2 } }]);
    if (record.kind === "decision") {
      other.stores[0]!.commit([{ ...record, certificate: { ...record.certificate, epoch: 2 } }]);
    }
    if (record.kind === "lock") other.stores[0]!.commit([{ ...record, lock: { ...record.lock, epoch: 2 } }]);
  });
  const membership = other.node(1).membership;
  const node = new VotingNode({
    membership,
    self: partyId(1),
    sign: (message) => other.council.signers[0]!.sign(message),
    store: other.stores[0]!,
  });
  assert.deepEqual(node.resume(0), []);
  assert.deepEqual([node.status("tx_001"), node.alarm], [undefined, undefined]);
  refused(() => node.cast("tx_001", FORTY_TWO, 0), "TX_CLOSED");
});

Deno.test("VotingNode stops where a transaction is decided otherwise in a later epoch, and keeps what was decided first", () => {
  for (const [value, alarm] of [[FORTY_THREE, "SAFETY_VIOLATION"], [FORTY_TWO, undefined]] as const) {
    const network = new Network(), alice = network.node(1);
    alice.learn(decided(network, "tx_001", FORTY_TWO, network.first, [2, 3, 4, 5]), 0);
    changed(network);
    const effects = alice.learn(decided(network, "tx_001", value, alice.membership, [2, 3, 4, 6]), 0);
    assert.equal(effects.some(({ kind }) => kind === "alarm"), alarm !== undefined);
    for (const node of [alice, network.restart(1)]) {
      assert.equal(node.alarm, alarm);
      assert.deepEqual(node.certificate("tx_001")?.value, encodeValue(FORTY_TWO));
    }
  }
});

Deno.test("VotingNode makes no vote of a lock after a restart where it is decided, or voting is paused", () => {
  for (const what of ["open", "decided", "paused"]) {
    const network = new Network();
    network.stores[0]!.dies = { commits: 0, after: true };
    assert.throws(() => network.node(1).cast("locked", FORTY_TWO, 0));
    network.stores[0]!.dies = undefined;
    if (what === "decided") {
      const certificate = decided(network, "locked", FORTY_THREE, network.first, [2, 3, 4, 5]);
      network.stores[0]!.commit([{ kind: "decision", certificate }]);
    }
    const tally = network.restart(1, { isPaused: () => what === "paused" }).status("locked")?.tally ?? [];
    assert.equal(tally.some(({ voters }) => voters.includes("alice")), what === "open", what);
  }
});
