import { deepEqual, equal, throws } from "node:assert/strict";
import { partyId } from "../../src/base/brands.ts";
import { hex } from "../../src/base/bytes.ts";
import { ed25519Signer } from "../../src/base/crypto.ts";
import { systemRng } from "../../src/base/rng.ts";
import { UsageError } from "../../src/base/errors.ts";
import { Secret } from "../../src/base/secret.ts";
import { encodeVoteRecord } from "../../src/node/vote_records.ts";
import { LedgerVoteStore } from "../../src/node/vote_store.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { VOTING } from "../../src/storage/tables.ts";
import { makeMembership } from "../../src/voting/membership.ts";
import type { Effect } from "../../src/voting/node.ts";
import { VotingNode } from "../../src/voting/node.ts";
import type { VoteRecord } from "../../src/voting/store.ts";
import { encodeValue } from "../../src/voting/value.ts";
import { questionOf } from "../../src/voting/vote.ts";

const SIGNERS = Array.from({ length: 4 }, () => ed25519Signer(systemRng.bytes(32)));
const MEMBERSHIP = makeMembership({
  cluster: "c",
  epoch: 0,
  quorum: 3,
  voters: SIGNERS.map(({ publicKey }, i) => ({ name: `n${i + 1}`, key: publicKey })),
});

class Place implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly key = systemRng.bytes(32);

  constructor() {
    Deno.chmodSync(this.directory, 0o700);
  }

  open(limit = 1000): { ledger: Ledger; outbox: Outbox; store: LedgerVoteStore; node: VotingNode } {
    const ledger = Ledger.open({
      directory: this.directory,
      owner: { cluster: "c", party: "n1", index: 1 },
      sealing: { kind: "key", key: new Secret(this.key.slice()) },
      rng: systemRng,
    });
    const outbox = new Outbox(ledger, { cluster: "c", stream: "n1", limit });
    const store = new LedgerVoteStore({ ledger, outbox, membershipAt: () => MEMBERSHIP, now: () => 0 });
    const node = new VotingNode({
      membership: MEMBERSHIP,
      self: partyId(1),
      sign: (message) => (SIGNERS[0] as typeof SIGNERS[number]).sign(message),
      store,
    });
    return { ledger, outbox, store, node };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }
}

function peer(i: number): VotingNode {
  return new VotingNode({
    membership: MEMBERSHIP,
    self: partyId(i),
    sign: (message) => (SIGNERS[i - 1] as typeof SIGNERS[number]).sign(message),
    store: { load: () => [], commit: () => {} },
  });
}

/** What is sent to node 1. */
function toFirst(effects: readonly Effect[]): Uint8Array[] {
  return effects.flatMap((effect) => effect.kind === "send" && effect.to === 1 ? [effect.bytes] : []);
}

const value = (integer: bigint) => ({ schema: "integer", integer }) as const;

Deno.test("LedgerVoteStore finds locks, votes, decisions and offences again", () => {
  using place = new Place();
  let status: unknown;
  let offences: string[] = [];
  {
    const { ledger, store, node } = place.open();
    using _ledger = ledger;
    node.cast("tx", value(42n), 0);
    for (const i of [2, 3]) {
      for (const bytes of toFirst(peer(i).cast("tx", value(42n), 0))) node.receive(partyId(i), bytes, 0);
    }
    // Node 4 votes twice.
    for (const integer of [42n, 43n]) {
      for (const bytes of toFirst(peer(4).cast("tx", value(integer), 0))) node.receive(partyId(4), bytes, 7);
    }
    store.flush();
    status = node.status("tx");
    offences = node.offences.map(({ id, time }) => `${hex(id)} ${time}`);
    equal(offences.length, 1);
  }
  const { ledger, node } = place.open();
  using _ledger = ledger;
  deepEqual(node.status("tx"), status);
  equal(node.status("tx")?.state, "decided");
  deepEqual(node.offences.map(({ id, time }) => `${hex(id)} ${time}`), offences);
});

Deno.test("LedgerVoteStore has a lock on disk before the vote is signed, and votes for it again after a crash", () => {
  using place = new Place();
  {
    const { ledger, node } = place.open();
    using _ledger = ledger;
    // No flush: the process ends here.
    node.cast("tx", value(1n), 0);
  }
  const { ledger, node } = place.open();
  using _ledger = ledger;
  throws(() => node.cast("tx", value(2n), 0), { code: "ALREADY_VOTED" });
  equal(node.resume(0).some(({ kind }) => kind === "send"), true);
});

Deno.test("LedgerVoteStore.commit() never replaces a lock", () => {
  using place = new Place();
  const { ledger, store } = place.open();
  using _ledger = ledger;
  const lock = { txId: "tx", epoch: 0, ballot: new Uint8Array(32), value: new Uint8Array(10) };
  store.commit([{ kind: "lock", lock }]);
  store.commit([{ kind: "lock", lock }]);
  throws(() => store.commit([{ kind: "lock", lock: { ...lock, ballot: new Uint8Array(32).fill(1) } }]), {
    code: "ALREADY_VOTED",
  });
  throws(() => store.commit([{ kind: "lock", lock: { ...lock, epoch: 1 } }]), { code: "ALREADY_VOTED" });
});

Deno.test("LedgerVoteStore writes each record once to the outbox, in the same transaction", () => {
  using place = new Place();
  const { ledger, store, node, outbox } = place.open();
  using _ledger = ledger;
  node.cast("tx", value(1n), 0);
  equal(outbox.last, 0n);
  store.flush();
  deepEqual(outbox.after(0n, 10).map(({ kind, key }) => [kind, key]), [["vote", "tx"]]);
  const body = JSON.parse(new TextDecoder().decode(outbox.at(1n)?.body));
  deepEqual([body.txId, body.voter, body.value], ["tx", "n1", "1"]);
});

Deno.test("LedgerVoteStore refuses a lock, and votes for nothing, where the outbox is full; decisions go on", () => {
  using place = new Place();
  const { ledger, store, node, outbox } = place.open(1);
  using _ledger = ledger;
  node.cast("tx", value(1n), 0);
  store.flush();
  throws(() => node.cast("tx2", value(1n), 0), { code: "OUTBOX_FULL" });
  equal(node.status("tx2"), undefined);
  for (const i of [2, 3]) {
    for (const bytes of toFirst(peer(i).cast("tx", value(1n), 0))) node.receive(partyId(i), bytes, 0);
  }
  store.flush();
  equal(node.status("tx")?.state, "decided");
  deepEqual(outbox.after(0n, 10).map(({ kind }) => kind), ["vote", "decision"]);
});

Deno.test("LedgerVoteStore writes nothing where the file cannot be written", () => {
  using place = new Place();
  const { ledger, store, node } = place.open();
  using _ledger = ledger;
  const failing = new LedgerVoteStore({
    ledger: {
      find: (...args) => ledger.find(...args),
      transact: () => {
        throw new Error("disk full");
      },
    },
    outbox: new Outbox(ledger, { cluster: "c", stream: "n1" }),
    membershipAt: () => MEMBERSHIP,
    now: () => 0,
  });
  const lock = { txId: "tx", epoch: 0, ballot: new Uint8Array(32), value: new Uint8Array(10) };
  throws(() => failing.commit([{ kind: "lock", lock }]), { message: "disk full" });
  equal([...store.load()].length, 0);
  equal(node.status("tx"), undefined);
});

/** Votes of node 2 that wait to be written, as many as a peer may bring at once. */
function manyVotes(count: number, size = 8): VoteRecord[] {
  const signature = new Uint8Array(64);
  return Array.from({ length: count }, (_, i) => {
    const question = questionOf(
      MEMBERSHIP,
      `tx ${i}`,
      encodeValue({ schema: "bytes", bytes: new Uint8Array(size) }),
    );
    return { kind: "vote", vote: { ...question, voter: partyId(2), signature }, payer: partyId(2) };
  });
}

Deno.test("LedgerVoteStore writes in several transactions what is too much for one, and votes after it", () => {
  for (const [count, size] of [[600, 8], [100, 60_000]] as const) {
    using place = new Place();
    const { ledger, store, outbox } = place.open(5000);
    using _ledger = ledger;
    const lock = { txId: "tx", epoch: 0, ballot: new Uint8Array(32), value: new Uint8Array(10) };
    store.commit(manyVotes(count, size));
    store.commit([{ kind: "lock", lock }]);
    equal(store.isWaiting, false);
    const kinds = [...store.load()].map(({ kind }) => kind);
    equal(kinds.filter((kind) => kind === "vote").length, count);
    deepEqual(kinds[0], "lock");
    equal(outbox.last, BigInt(count));
  }
});

Deno.test("LedgerVoteStore goes on after the last transaction that was written where a later one fails", () => {
  using place = new Place();
  const { ledger, outbox } = place.open(5000);
  using _ledger = ledger;
  let left = 1;
  const store = new LedgerVoteStore({
    ledger: {
      find: (...args) => ledger.find(...args),
      transact: (work) => {
        if (left-- === 0) throw new UsageError("STORE_UNWRITABLE", "the disk is full");
        return ledger.transact(work);
      },
    },
    outbox,
    membershipAt: () => MEMBERSHIP,
    now: () => 0,
  });
  const votes = manyVotes(600);
  store.commit(votes);
  throws(() => store.flush(), { code: "STORE_UNWRITABLE" });
  equal(store.isWaiting, false);
  const there = [...store.load()].length;
  equal(there > 0 && there < 600, true);
  store.commit(votes.slice(there));
  store.flush();
  deepEqual([...store.load()], votes);
  deepEqual(ledger.find(VOTING, {}).map(({ seq }) => seq), votes.map((_, i) => i + 1));
});

Deno.test("LedgerVoteStore keeps the time of a transaction with what opened it", () => {
  using place = new Place();
  const { ledger, outbox } = place.open(5000);
  using _ledger = ledger;
  const written: number[] = [];
  const store = new LedgerVoteStore({
    ledger: {
      find: (...args) => ledger.find(...args),
      transact: (work) => {
        const result = ledger.transact(work);
        written.push(ledger.find(VOTING, {}).length);
        return result;
      },
    },
    outbox,
    membershipAt: () => MEMBERSHIP,
    now: () => 0,
  });
  const [one, ...votes] = manyVotes(502) as [VoteRecord, ...VoteRecord[]];
  store.commit(votes.slice(0, 499));
  store.commit([one, { kind: "opened", epoch: 0, txId: "tx 0", time: 7 }]);
  store.commit(votes.slice(499));
  store.flush();
  deepEqual(written, [501, 503]);
});

Deno.test("LedgerVoteStore.load() says which row cannot be read, and what to do", () => {
  const [vote] = manyVotes(1) as [Exclude<VoteRecord, { kind: "lock" }>];
  const body = encodeVoteRecord(vote);
  const wrong = [
    { kind: "vote", body: body.slice(1) },
    { kind: "vote", body: new Uint8Array([...body, 0]) },
    { kind: "veto", body },
    { kind: "toString", body },
  ];
  for (const row of wrong) {
    using place = new Place();
    const { ledger, store } = place.open();
    using _ledger = ledger;
    ledger.transact((transaction) => transaction.put(VOTING, { seq: 7, ...row }));
    throws(() => [...store.load()], {
      code: "STORE_CORRUPT",
      message: /^row 7 of the votes .*put back the newest/,
    });
  }
});
