import assert from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import type { Bytes } from "../../src/base/bytes.ts";
import { decode, DecodeError, encode } from "../../src/base/codec.ts";
import {
  isReceiptValid,
  isSuspicionValid,
  type Receipt,
  receiptCodec,
  signReceipt,
  signSuspicion,
  type Suspicion,
  suspicionCodec,
} from "../../src/voting/availability.ts";
import { gossipCodec } from "../../src/voting/gossip.ts";
import { decodeItem, DIGEST_PAGE, digestPage, encodeItem, type Item } from "../../src/voting/items.ts";
import type { Effect } from "../../src/voting/node.ts";
import { ITEM_BYTES_MAX } from "../../src/voting/gossip.ts";
import { Alice, FORTY_TWO, kinds, refused, stored } from "./alice.ts";
import { type Council, council, flipped } from "./support.ts";

const SILENCE = 60_000;

function signer(here: Council, member: number) {
  return (message: Bytes) => here.signers[member - 1]!.sign(message);
}

function receipt(here: Council, member: number, state: Receipt["state"] = "seen", txId = "tx_001"): Receipt {
  return signReceipt(here.membership, { txId, state, member: partyId(member) }, signer(here, member));
}

function suspicion(here: Council, observer: number, subject: number, txId = "tx_001"): Suspicion {
  const content = { txId, subject: partyId(subject), observer: partyId(observer) };
  return signSuspicion(here.membership, content, signer(here, observer));
}

/** Alice, who looks at the clock. */
class Watching extends Alice {
  receipt(member: number, state: Receipt["state"] = "seen"): Item {
    return { kind: "receipt", receipt: receipt(this.council, member, state) };
  }

  suspicion(observer: number, subject: number): Item {
    return { kind: "suspicion", suspicion: suspicion(this.council, observer, subject) };
  }

  /** Decided by all but erin, who has seen it. */
  decided(): void {
    this.node.cast("tx_001", FORTY_TWO, 0);
    this.hears(2, this.vote(2), this.vote(3), this.vote(4));
    this.hears(5, this.receipt(5));
  }

  /** Ticks twice a minute. */
  waits(from: number, to: number, linksUp = 4): Effect[] {
    const effects: Effect[] = [];
    for (let monotonicMs = from; monotonicMs <= to; monotonicMs += SILENCE / 2) {
      effects.push(...this.node.tick({ now: 0, monotonicMs, linksUp }));
    }
    return effects;
  }

  suspects(): number[][] {
    return this.store.records.flatMap((record) =>
      record.kind === "suspicion" ? [[record.suspicion.observer, record.suspicion.subject]] : []
    );
  }
}

Deno.test("a receipt is its member's word on one transaction under one membership", () => {
  const here = council(5, 4);
  const { membership } = here;
  const good = receipt(here, 2);
  assert.ok(isReceiptValid(membership, good));
  for (const state of ["seen", "abstained"] as const) {
    const one = receipt(here, 2, state);
    assert.deepEqual(decode(receiptCodec, encode(receiptCodec, one)), one);
  }
  for (
    const wrong of [
      { ...good, txId: "tx_002" },
      { ...good, state: "abstained" as const },
      { ...good, member: partyId(3) },
      { ...good, member: partyId(9) },
      { ...good, signature: flipped(good.signature) },
    ]
  ) {
    assert.equal(isReceiptValid(membership, wrong), false);
  }
  for (const change of [{ epoch: 2 }, { cluster: "other" }, { quorum: 5, faults: 0 }]) {
    assert.equal(isReceiptValid(council(5, 4, change).membership, good), false);
  }
  const encoded = encode(receiptCodec, good);
  const state = encoded.length - 64 - 2 - 1;
  assert.throws(() => decode(receiptCodec, encoded.with(state, 2) as Bytes), DecodeError);
});

Deno.test("a suspicion is its observer's word on another member", () => {
  const here = council(5, 4);
  const { membership } = here;
  const good = suspicion(here, 2, 5);
  assert.ok(isSuspicionValid(membership, good));
  assert.deepEqual(decode(suspicionCodec, encode(suspicionCodec, good)), good);
  for (
    const wrong of [
      { ...good, txId: "tx_002" },
      { ...good, subject: partyId(4) },
      { ...good, observer: partyId(3) },
      { ...good, observer: partyId(9) },
      { ...good, signature: flipped(good.signature) },
      suspicion(here, 2, 2),
      suspicion(here, 2, 9),
    ]
  ) {
    assert.equal(isSuspicionValid(membership, wrong), false);
  }
  for (const change of [{ epoch: 2 }, { cluster: "other" }, { quorum: 5, faults: 0 }]) {
    assert.equal(isSuspicionValid(council(5, 4, change).membership, good), false);
  }
});

Deno.test("VotingNode.tick() says once that it has seen a transaction, and once that it will not vote", () => {
  const alice = new Watching();
  alice.hears(2, alice.vote(2));
  const first = alice.waits(0, 0);
  assert.deepEqual(kinds(first), [2, 3, 4, 5].map((to) => `send receipt to ${to}`));
  assert.deepEqual(alice.waits(1, 1), []);
  alice.restart();
  assert.deepEqual(alice.waits(2, 2), [], "nor after a restart");
  alice.hears(2, alice.vote(3), alice.vote(4), alice.vote(5));
  assert.equal(kinds(alice.waits(3, 3)).length, 4);
  assert.deepEqual(alice.waits(4, 4), []);
  const said = alice.store.records.flatMap((record) =>
    record.kind === "receipt" ? [record.receipt.state] : []
  );
  assert.deepEqual(said, ["seen", "abstained"]);
  refused(() => alice.node.cast("tx_001", { schema: "integer", integer: 43n }, 0), "ALREADY_DECIDED");
});

Deno.test("VotingNode.tick() says nothing of what this node votes for, and abstains where its time is over", () => {
  const voter = new Watching();
  voter.node.cast("tx_001", FORTY_TWO, 0);
  assert.deepEqual(voter.waits(0, 0), []);
  const late = new Watching(5, 4, { ttlMs: 1000 });
  late.hears(2, late.vote(2));
  late.node.tick({ now: 1000, monotonicMs: 0, linksUp: 4 });
  late.node.tick({ now: 1001, monotonicMs: 1, linksUp: 4 });
  const said = late.store.records.flatMap((record) =>
    record.kind === "receipt" ? [record.receipt.state] : []
  );
  assert.deepEqual(said, ["seen", "abstained"]);
});

Deno.test("VotingNode suspects a member that has seen a decided transaction and says nothing, after its time", () => {
  const alice = new Watching();
  alice.decided();
  assert.deepEqual(alice.waits(0, SILENCE - 1), []);
  const effects = kinds(alice.node.tick({ now: 0, monotonicMs: SILENCE, linksUp: 3 }));
  assert.deepEqual(effects, [2, 3, 4, 5].map((to) => `send suspicion to ${to}`));
  assert.deepEqual(alice.waits(SILENCE + 1, 3 * SILENCE), [], "once");
  assert.deepEqual(alice.suspects(), [[1, 5]]);
  assert.equal(alice.node.status("tx_001")?.presence.erin, "seen", "one suspicion is none");
});

Deno.test("VotingNode suspects nobody who has voted, abstained, or never said that it has seen anything", () => {
  for (
    const answer of [(alice: Watching) => alice.vote(5), (alice: Watching) => alice.receipt(5, "abstained")]
  ) {
    const alice = new Watching();
    alice.decided();
    alice.hears(5, answer(alice));
    alice.waits(0, 3 * SILENCE);
    assert.deepEqual(alice.suspects(), []);
  }
  const alice = new Watching();
  alice.node.cast("tx_001", FORTY_TWO, 0);
  alice.hears(2, alice.vote(2), alice.vote(3), alice.vote(4));
  alice.waits(0, 3 * SILENCE);
  assert.deepEqual(alice.suspects(), []);
  assert.equal(alice.node.status("tx_001")?.presence.erin, "unreachable");
});

Deno.test("VotingNode suspects nobody in what is not decided here, and counts from the decision", () => {
  const alice = new Watching();
  alice.hears(2, alice.vote(2), alice.vote(3), alice.receipt(5));
  alice.waits(0, 3 * SILENCE);
  assert.deepEqual(alice.suspects(), []);
  alice.hears(2, alice.vote(4));
  alice.node.cast("tx_001", FORTY_TWO, 0);
  alice.waits(3.5 * SILENCE, 4 * SILENCE);
  assert.deepEqual(alice.suspects(), []);
  alice.waits(4.5 * SILENCE, 4.5 * SILENCE);
  assert.deepEqual(alice.suspects(), [[1, 5]]);
});

Deno.test("VotingNode counts from the receipt", () => {
  const alice = new Watching();
  alice.node.cast("tx_001", FORTY_TWO, 0);
  alice.hears(2, alice.vote(2), alice.vote(3), alice.vote(4));
  alice.waits(0, 2 * SILENCE);
  alice.hears(5, alice.receipt(5));
  alice.waits(2.5 * SILENCE, 3 * SILENCE);
  assert.deepEqual(alice.suspects(), []);
  alice.waits(3.5 * SILENCE, 3.5 * SILENCE);
  assert.deepEqual(alice.suspects(), [[1, 5]]);
});

Deno.test("VotingNode counts for each member from its own receipt", () => {
  const alice = new Watching(7, 5);
  alice.node.cast("tx_001", FORTY_TWO, 0);
  alice.hears(2, alice.vote(2), alice.vote(3), alice.vote(4), alice.vote(5), alice.receipt(6));
  alice.waits(0, SILENCE / 2);
  alice.hears(7, alice.receipt(7));
  alice.waits(SILENCE, SILENCE);
  assert.deepEqual(alice.suspects(), [[1, 6]]);
});

Deno.test("VotingNode suspects nobody while it has fewer links than a quorum needs, or did not look at them", () => {
  const alice = new Watching();
  alice.decided();
  alice.waits(0, 2 * SILENCE, 2);
  assert.deepEqual(alice.suspects(), []);
  alice.waits(3 * SILENCE, 3.5 * SILENCE);
  alice.waits(3.6 * SILENCE, 3.6 * SILENCE, 2);
  alice.waits(3.7 * SILENCE, 4.2 * SILENCE);
  assert.deepEqual(alice.suspects(), [], "each time anew");
  alice.node.tick({ now: 0, monotonicMs: 9 * SILENCE, linksUp: 4 });
  assert.deepEqual(alice.suspects(), [], "a process that was stopped has seen nothing");
  alice.restart();
  alice.waits(0, SILENCE / 2);
  assert.deepEqual(alice.suspects(), [], "nor has one that has just begun");
  alice.waits(SILENCE, SILENCE);
  assert.deepEqual(alice.suspects(), [[1, 5]]);
});

Deno.test("VotingNode takes a member for silent where more suspect it than may lie, and for late when it answers", () => {
  const alice = new Watching();
  alice.decided();
  alice.hears(2, alice.suspicion(2, 5), alice.suspicion(3, 5), alice.suspicion(3, 5));
  assert.equal(alice.node.status("tx_001")?.presence.erin, "seen", "two of five may lie");
  const effects = alice.hears(4, alice.suspicion(4, 5));
  assert.deepEqual(effects, [{ kind: "silence", txId: "tx_001", subject: 5, isLate: false }]);
  assert.equal(alice.restart().status("tx_001")?.presence.erin, "silent");
  assert.deepEqual(kinds(alice.hears(2, alice.suspicion(2, 5))), []);
  assert.deepEqual(kinds(alice.hears(2, alice.suspicion(1, 5))).filter((kind) => kind === "silence"), []);
  assert.deepEqual(alice.hears(2, alice.suspicion(2, 4)), [], "one more of somebody else");
  const late = alice.hears(5, alice.receipt(5, "abstained"));
  assert.deepEqual(late, [{ kind: "silence", txId: "tx_001", subject: 5, isLate: true }]);
  assert.equal(alice.restart().status("tx_001")?.presence.erin, "late");
  assert.deepEqual(alice.node.offences, [], "silence is no offence");
  const voter = new Watching();
  voter.decided();
  voter.hears(2, voter.suspicion(2, 5), voter.suspicion(3, 5), voter.suspicion(4, 5));
  const voted = voter.hears(5, voter.vote(5));
  assert.ok(voted.some((effect) => effect.kind === "silence" && effect.isLate));
});

Deno.test("VotingNode opens no transaction for a receipt or a suspicion, and passes on none but its own", () => {
  const alice = new Watching();
  assert.deepEqual(alice.hears(2, alice.receipt(2), alice.suspicion(2, 5)), []);
  assert.equal(alice.node.status("tx_001"), undefined);
  alice.hears(2, alice.vote(2));
  assert.deepEqual(alice.hears(3, alice.receipt(3), alice.suspicion(3, 5)), []);
  assert.deepEqual(stored(alice), ["vote", "opened", "receipt", "suspicion"]);
  assert.deepEqual(alice.hears(3, alice.receipt(3), alice.suspicion(3, 5)), []);
  assert.equal(stored(alice).length, 4, "nor stores one twice");
});

Deno.test("VotingNode answers a digest with the receipts and suspicions that the other lacks", () => {
  const alice = new Watching();
  alice.decided();
  alice.hears(2, alice.receipt(5, "abstained"), alice.suspicion(2, 5), alice.suspicion(3, 5));
  const digestOf = (one: Alice) =>
    one.node.digestFor(partyId(2)).flatMap((effect) =>
      effect.kind === "send" ? decode(gossipCodec, effect.bytes).items.map(decodeItem) : []
    );
  assert.deepEqual(kinds(alice.hears(2, ...digestOf(alice))), []);
  const bob = new Watching();
  bob.decided();
  bob.hears(2, bob.suspicion(3, 5));
  const sent = alice.hears(2, ...digestOf(bob));
  assert.deepEqual(kinds(sent), ["send receipt,suspicion to 2"]);
  const [effect] = sent;
  assert.ok(effect?.kind === "send");
  const [one, other] = decode(gossipCodec, effect.bytes).items.map(decodeItem);
  assert.deepEqual([one, other], [alice.receipt(5, "abstained"), alice.suspicion(2, 5)]);
});

Deno.test("VotingNode.availability() counts what each member did in what is decided", () => {
  const alice = new Watching();
  alice.decided();
  alice.hears(2, alice.vote(2, 1n, "undecided"));
  const rows = alice.node.availability();
  assert.deepEqual(rows.map(({ member, share }) => [member, share]), [[1, 1], [2, 1], [3, 1], [4, 1], [
    5,
    0,
  ]]);
  assert.deepEqual([rows[0]?.counts.voted, rows[4]?.counts.seen], [1, 1]);
  const away = new Watching();
  away.node.cast("tx_001", FORTY_TWO, 0);
  away.hears(2, away.vote(2), away.vote(3), away.vote(4));
  assert.deepEqual([away.node.availability()[4]?.share, away.node.availability()[4]?.counts.unreachable], [
    undefined,
    1,
  ]);
});

Deno.test("the largest page of a digest fits an item", () => {
  for (const members of [4, 5, 7, 20, 64]) {
    const voters = Array.from({ length: members }, (_, i) => partyId(i + 1));
    const prefix = new Uint8Array(8);
    const transaction = {
      txId: "x".repeat(128),
      votes: voters.map((voter) => ({ voter, ballots: [prefix, prefix] })),
      decided: prefix,
      proposals: [prefix, prefix],
      seen: 1n,
      abstained: 1n,
      suspicions: voters.map((subject) => ({ subject, observers: 1n })),
    };
    const transactions = Array.from({ length: digestPage(members) }, () => transaction);
    const offences = Array.from({ length: 1024 }, () => prefix);
    const digest = { after: "x".repeat(128), upTo: "x".repeat(128), transactions, offences };
    const { length } = encodeItem({ kind: "digest", digest });
    assert.ok(length <= ITEM_BYTES_MAX, `${members} members: ${length} bytes`);
  }
  assert.equal(digestPage(5), DIGEST_PAGE);
});
