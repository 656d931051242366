import assert from "node:assert/strict";
import { type Bytes, hex } from "../../src/base/bytes.ts";
import { sha256 } from "../../src/base/crypto.ts";
import { QuorateError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { type LockedPayload, pausesIn, type PrepareRequest, SignLocks } from "../../src/node/sign_locks.ts";
import { Ledger, type Transaction } from "../../src/storage/ledger.ts";
import { Outbox } from "../../src/storage/outbox.ts";

const HOUR = 3600 * 1000;
const NOW = 500 * HOUR;

function id(text: string): Bytes {
  return sha256(new TextEncoder().encode(text));
}

function payload(changes: Partial<LockedPayload> = {}): LockedPayload {
  return {
    keyId: id("key"),
    txId: "tx",
    core: id("core"),
    ballot: id("ballot"),
    approvalHash: id("approval"),
    notAfter: NOW + HOUR,
    ...changes,
  };
}

function request(changes: Partial<LockedPayload> = {}, more: Partial<PrepareRequest> = {}): PrepareRequest {
  return { payload: payload(changes), clock: NOW, rates: { perHour: undefined, perDay: undefined }, ...more };
}

/** A party's file that can be closed and opened again. */
class Place implements Disposable {
  readonly #directory = Deno.makeTempDirSync();
  readonly #key = systemRng.bytes(32);
  ledger: Ledger;
  outbox: Outbox;
  now: number = NOW;

  constructor() {
    Deno.chmodSync(this.#directory, 0o700);
    this.ledger = this.#open();
    this.outbox = this.#outbox();
  }

  locks(ledger: Pick<Ledger, "find" | "transact"> = this.ledger): SignLocks {
    return new SignLocks({ ledger, outbox: this.outbox, now: () => this.now });
  }

  restart(): SignLocks {
    this.ledger[Symbol.dispose]();
    this.ledger = this.#open();
    this.outbox = this.#outbox();
    return this.locks();
  }

  release(locks: SignLocks, changes: Partial<LockedPayload> = {}, clock = NOW): void {
    this.ledger.transact((transaction) => locks.release(transaction, payload(changes), clock));
  }

  [Symbol.dispose](): void {
    this.ledger[Symbol.dispose]();
    Deno.removeSync(this.#directory, { recursive: true });
  }

  #open(): Ledger {
    return Ledger.open({
      directory: this.#directory,
      owner: { cluster: "c", party: "alice", index: 1 },
      sealing: { kind: "key", key: new Secret(this.#key.slice()) },
      rng: systemRng,
    });
  }

  #outbox(): Outbox {
    return new Outbox(this.ledger, { cluster: "c", stream: "alice" });
  }
}

function refuses(work: () => unknown, code: string, message: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof QuorateError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("SignLocks goes from prepared over released to signed, and each step is there after a restart", () => {
  using place = new Place();
  let locks = place.locks();
  assert.equal(locks.get(payload()), undefined);
  assert.equal(locks.prepare(request()).state, "prepared");
  locks = place.restart();
  assert.deepEqual(locks.get(payload()), {
    ...payload(),
    state: "prepared",
    signature: undefined,
    reason: "",
    time: NOW,
  });
  place.release(locks);
  locks = place.restart();
  assert.equal(locks.get(payload())?.state, "released");
  assert.deepEqual(locks.sign(payload(), id("signature")), id("signature"));
  locks = place.restart();
  assert.deepEqual(locks.get(payload())?.signature, id("signature"));
  assert.deepEqual(locks.all().map(({ txId, state }) => [txId, state]), [["tx", "signed"]]);
  assert.deepEqual(locks.all({ txId: "other" }), []);
  const records = place.outbox.after(0n, 10).map(({ kind, key, body }) => [
    kind,
    key,
    JSON.parse(new TextDecoder().decode(body)).what,
  ]);
  assert.deepEqual(records, ["prepared", "released", "signed"].map((what) => ["signing", "tx", what]));
});

Deno.test("SignLocks.prepare() refuses another payload under the name, whatever became of the first", () => {
  for (const reach of ["prepared", "failed", "released", "signed"] as const) {
    using place = new Place();
    const locks = place.locks();
    locks.prepare(request());
    if (reach === "failed") locks.fail(payload(), "why");
    if (reach === "released" || reach === "signed") place.release(locks);
    if (reach === "signed") locks.sign(payload(), id("signature"));
    assert.equal(locks.get(payload())?.state, reach);
    refuses(
      () => locks.prepare(request({ core: id("other") })),
      "REQUEST_CONFLICT",
      /check 10 .*tx is locked/,
    );
    // Another name, and the same name under another key, are free.
    assert.equal(locks.prepare(request({ txId: "other" })).state, "prepared");
    assert.equal(locks.prepare(request({ keyId: id("second"), core: id("other") })).state, "prepared");
  }
});

Deno.test("SignLocks.prepare() of the same payload goes on where it was, and gives the signature that is known", () => {
  using place = new Place();
  const locks = place.locks();
  locks.prepare(request());
  locks.fail(payload(), "a peer was away\u0007");
  assert.deepEqual([locks.get(payload())?.state, locks.get(payload())?.reason], [
    "failed",
    "a peer was away?",
  ]);
  assert.deepEqual(locks.prepare(request()).state, "prepared");
  assert.equal(locks.get(payload())?.reason, "");
  place.release(locks);
  assert.equal(locks.prepare(request()).state, "released");
  locks.sign(payload(), id("signature"));
  const known = locks.prepare(request());
  assert.deepEqual([known.state, known.signature], ["signed", id("signature")]);
});

Deno.test("SignLocks.fail() takes nothing back of what was released or signed, and makes no lock", () => {
  using place = new Place();
  const locks = place.locks();
  locks.fail(payload(), "why");
  assert.equal(locks.get(payload()), undefined);
  locks.prepare(request());
  place.release(locks);
  locks.fail(payload(), "late");
  assert.deepEqual([locks.get(payload())?.state, locks.get(payload())?.reason], ["released", "late"]);
  place.release(locks);
  assert.equal(locks.get(payload())?.state, "released");
  locks.sign(payload(), id("signature"));
  locks.fail(payload(), "later");
  assert.equal(locks.get(payload())?.state, "signed");
});

Deno.test("SignLocks.release() needs the lock of this very payload, prepared", () => {
  using place = new Place();
  const locks = place.locks();
  refuses(() => place.release(locks), "REQUEST_CONFLICT", /tx is not locked here/);
  locks.prepare(request());
  refuses(
    () => place.release(locks, { core: id("other") }),
    "REQUEST_CONFLICT",
    /is locked here for the payload/,
  );
  assert.equal(locks.get(payload())?.state, "prepared");
  locks.fail(payload(), "why");
  refuses(() => place.release(locks), "REQUEST_CONFLICT", /tx is failed here/);
});

Deno.test("SignLocks.pause() holds over a restart, and stops prepare() and release()", () => {
  using place = new Place();
  let locks = place.locks();
  assert.equal(locks.pausedSince, undefined);
  locks.prepare(request());
  locks.pause();
  place.now += 5;
  locks.pause();
  locks = place.restart();
  assert.equal(locks.pausedSince, NOW);
  refuses(() => locks.prepare(request({ txId: "other" })), "SIGNING_PAUSED", /check 1 \(paused\)/);
  refuses(() => place.release(locks), "SIGNING_PAUSED", /check 1 \(paused\)/);
  assert.equal(locks.get(payload())?.state, "prepared");
  locks.resume();
  locks.resume();
  assert.equal(locks.pausedSince, undefined);
  place.release(locks);
  assert.equal(locks.get(payload())?.state, "released");
});

Deno.test("SignLocks.pauseVoting() holds over a restart until resume(), and stops no signature", () => {
  using place = new Place();
  let locks = place.locks();
  locks.requireVoting();
  locks.pauseVoting();
  place.now += 5;
  locks.pauseVoting();
  locks = place.restart();
  assert.deepEqual([locks.votingPausedSince, locks.pausedSince], [NOW, undefined]);
  assert.deepEqual(pausesIn(place.ledger), [{ what: "voting", since: NOW }]);
  refuses(() => locks.requireVoting(), "VOTING_PAUSED", /quorate resume/);
  locks.prepare(request());
  locks.resume();
  assert.equal(locks.votingPausedSince, undefined);
  locks.requireVoting();
});

Deno.test("SignLocks.prepare() buries what it supersedes, unless a signature of that exists or may exist", () => {
  for (const reach of ["none", "failed", "prepared", "released", "signed"] as const) {
    using place = new Place();
    const locks = place.locks();
    if (reach !== "none") locks.prepare(request());
    if (reach === "failed") locks.fail(payload(), "why");
    if (reach === "released" || reach === "signed") place.release(locks);
    if (reach === "signed") locks.sign(payload(), id("signature"));
    const next = () => locks.prepare(request({ txId: "next", core: id("next") }, { supersedes: "tx" }));
    if (reach === "none" || reach === "failed") {
      assert.equal(next().state, "prepared");
      assert.equal(locks.get(payload())?.state, "superseded");
      assert.equal(next().state, "prepared");
      refuses(() => locks.prepare(request()), "APPROVAL_SUPERSEDED", /taken the place of tx/);
      refuses(() => place.release(locks), "REQUEST_CONFLICT", /tx is superseded/);
      locks.fail(payload(), "why");
      assert.equal(locks.get(payload())?.state, "superseded");
      // A signature that somebody completed from shares of before is known, and changes nothing of that.
      locks.sign(payload(), id("late"));
      assert.deepEqual([locks.get(payload())?.state, locks.get(payload())?.signature], [
        "superseded",
        id("late"),
      ]);
      locks.prepare(request({ txId: "third", core: id("third") }, { supersedes: "tx" }));
      assert.deepEqual(locks.get(payload())?.signature, id("late"), "it is buried once");
    } else {
      refuses(next, "APPROVAL_SUPERSEDED", new RegExp(`check 9 .*tx is ${reach} here`));
      assert.equal(locks.get(payload({ txId: "next" })), undefined);
      assert.equal(locks.get(payload())?.state, reach);
    }
  }
});

Deno.test("SignLocks.prepare() supersedes nothing that another key has signed, and any decision about it", () => {
  using place = new Place();
  const locks = place.locks();
  locks.prepare(request());
  const next = () => locks.prepare(request({ txId: "next", keyId: id("another key") }, { supersedes: "tx" }));
  refuses(next, "APPROVAL_SUPERSEDED", /check 9 .*tx is prepared here/);
  locks.fail(payload(), "why");
  locks.prepare(request({ keyId: id("decision key"), approvalHash: new Uint8Array() }));
  assert.equal(next().state, "prepared");
});

Deno.test("SignLocks.sign() keeps the first signature, takes one without a lock, and none for another payload", () => {
  using place = new Place();
  const locks = place.locks();
  const far = { notAfter: Number.MAX_SAFE_INTEGER * 4 };
  assert.deepEqual(locks.sign(payload(far), id("first")), id("first"));
  assert.deepEqual(locks.sign(payload(), id("second")), id("first"));
  assert.equal(locks.get(payload())?.notAfter, Number.MAX_SAFE_INTEGER);
  refuses(() => locks.sign(payload({ core: id("other") }), id("third")), "REQUEST_CONFLICT", /tx is locked/);
});

Deno.test("SignLocks.prepare() counts what a key begins to sign, not that it is tried again", () => {
  using place = new Place();
  const locks = place.locks();
  const rates = { perHour: 2, perDay: 3 };
  const begin = (txId: string) => locks.prepare(request({ txId }, { rates }));
  begin("a");
  begin("a");
  begin("b");
  refuses(
    () => begin("c"),
    "APPROVAL_POLICY",
    /check 8 \(policy\): the key signs at most 2 times in an hour here/,
  );
  assert.equal(locks.get(payload({ txId: "c" })), undefined);
  // Another key has a count of its own.
  locks.prepare(request({ txId: "c", keyId: id("second") }, { rates }));
  place.now += 2 * HOUR;
  begin("c");
  place.now += 2 * HOUR;
  refuses(() => begin("d"), "APPROVAL_POLICY", /at most 3 times in a day here, and has begun 3/);
  place.now += 25 * HOUR;
  begin("d");
});

Deno.test("SignLocks keeps the latest time that anybody was seen to have", () => {
  using place = new Place();
  let locks = place.locks();
  assert.equal(locks.highWater, 0);
  locks.prepare(request());
  assert.equal(locks.highWater, NOW);
  locks.prepare(request({ txId: "other" }, { clock: NOW - 1 }));
  place.release(locks, {}, NOW + 7);
  locks = place.restart();
  assert.equal(locks.highWater, NOW + 7);
});

Deno.test("SignLocks.recover() fails what was prepared when the process ended, and nothing else", () => {
  using place = new Place();
  let locks = place.locks();
  for (const txId of ["open", "released", "signed"]) locks.prepare(request({ txId }));
  place.release(locks, { txId: "released" });
  locks.sign(payload({ txId: "signed" }), id("signature"));
  locks = place.restart();
  locks.recover();
  assert.deepEqual(locks.all().map(({ txId, state }) => [txId, state]), [
    ["open", "failed"],
    ["released", "released"],
    ["signed", "signed"],
  ]);
  assert.match(locks.get(payload({ txId: "open" }))?.reason ?? "", /stopped before a share left/);
});

Deno.test("SignLocks writes lock, count, clock, tombstone and record together, or nothing of them", () => {
  using place = new Place();
  const names: string[] = [];
  // Each write of the transaction fails once.
  for (let failing = 0;; failing++) {
    let writes = 0;
    const failingLedger: Pick<Ledger, "find" | "transact"> = {
      find: (table, where, page) => place.ledger.find(table, where, page),
      transact: (work) =>
        place.ledger.transact((transaction) => {
          const wrapped: Transaction = {
            find: (table, where, page) => transaction.find(table, where, page),
            remove: (table, row) => transaction.remove(table, row),
            put: (table, row) => {
              if (writes++ === failing) {
                names.push(table.name);
                throw new Error("the disk is full");
              }
              transaction.put(table, row);
            },
          };
          return work(wrapped);
        }),
    };
    const locks = place.locks(failingLedger);
    const next = request({ txId: "next" }, { rates: { perHour: 9, perDay: 9 }, supersedes: "tx" });
    try {
      locks.prepare(next);
      break;
    } catch (error) {
      assert.match(String(error), /disk is full/);
      const kept = place.locks();
      assert.deepEqual([kept.all(), kept.highWater, place.outbox.last], [[], 0, 0n]);
    }
  }
  assert.deepEqual(names, ["sign_rates", "sign_locks", "outbox", "signing", "sign_locks", "outbox"]);
  const locks = place.locks();
  assert.deepEqual(locks.all().map(({ txId, state }) => [txId, state]), [
    ["next", "prepared"],
    ["tx", "superseded"],
  ]);
  assert.equal(hex(locks.get(payload({ txId: "next" }))!.core), hex(id("core")));
});
