import { deepEqual, equal } from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { TransportError, UsageError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { decisionKey, HandOff, type HandOffEvent } from "../../src/node/hand_off.ts";
import type { Coordination } from "../../src/storage/coordination.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { HAND_OFFS } from "../../src/storage/tables.ts";
import { SqliteStore } from "../../src/storage/sqlite_stores.ts";
import { certificateCodec, certificateOf, type QuorumCertificate } from "../../src/voting/certificate.ts";
import { council } from "../voting/support.ts";

const { membership, vote } = council(5, 4);
const KEY = decisionKey("demo", "tx_001");

function certificate(value = 42n, voters = [1, 2, 3, 4]): QuorumCertificate {
  return certificateOf(membership, voters.map((voter) => vote(voter, value))) as QuorumCertificate;
}

class Place implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly store: SqliteStore = SqliteStore.open({ path: `${this.directory}/shared.sqlite` });
  readonly ledger: Ledger;
  readonly events: HandOffEvent[] = [];

  constructor() {
    Deno.chmodSync(this.directory, 0o700);
    this.ledger = Ledger.open({
      directory: this.directory,
      owner: { cluster: "demo", party: "alice", index: 1 },
      sealing: { kind: "key", key: new Secret(new Uint8Array(32)) },
      rng: systemRng,
    });
  }

  /** Runs until nothing waits, or `until` has happened. */
  async run(add: readonly QuorumCertificate[], change: Partial<Coordination> = {}): Promise<HandOff> {
    const coordination = { ...bound(this.store), ...change } as Coordination;
    const stop = new AbortController();
    const handOff = new HandOff({
      coordination,
      ledger: this.ledger,
      membershipAt: () => membership,
      retryMs: { first: 1, max: 1 },
      on: (event) => {
        this.events.push(event);
        if (["done", "conflict", "gave-up"].includes(event.kind)) stop.abort();
      },
    });
    for (const one of add) handOff.add(one);
    if (handOff.waiting > 0) await handOff.run(stop.signal);
    return handOff;
  }

  get kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  [Symbol.dispose](): void {
    this.ledger[Symbol.dispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

function bound(store: SqliteStore): Partial<Coordination> {
  return {
    get: (key) => store.get(key),
    create: (key, value, lease) => store.create(key, value, lease),
    swap: (key, expected, value) => store.swap(key, expected, value),
  };
}

Deno.test("HandOff puts a certificate where executors look, once, and remembers it", async () => {
  using place = new Place();
  await place.run([certificate()]);
  deepEqual(decode(certificateCodec, (await place.store.get(KEY))?.value as Uint8Array), certificate());
  equal((await place.run([certificate()])).waiting, 0);
  deepEqual(place.kinds, ["done"]);
});

Deno.test("D1: HandOff waits while the own disk is full, and goes on without a restart", async () => {
  using place = new Place();
  let full = 3;
  const stop = new AbortController();
  const kinds: string[] = [];
  const handOff = new HandOff({
    coordination: bound(place.store) as Coordination,
    ledger: {
      find: (...args) => place.ledger.find(...args),
      transact(...args) {
        if (full-- > 0) throw new UsageError("STORE_UNWRITABLE", "the disk is full");
        const result = place.ledger.transact(...args);
        stop.abort();
        return result;
      },
    },
    membershipAt: () => membership,
    retryMs: { first: 1, max: 1 },
    on: ({ kind }) => kinds.push(kind),
  });
  handOff.add(certificate());
  await handOff.run(stop.signal);
  deepEqual(kinds, ["done", "waiting", "waiting", "waiting"]);
  equal((await place.run([certificate()])).waiting, 0);
});

Deno.test("HandOff is content with another certificate for the same ballot", async () => {
  using place = new Place();
  await place.store.create(KEY, encode(certificateCodec, certificate(42n, [2, 3, 4, 5])));
  await place.run([certificate()]);
  deepEqual(place.kinds, ["done"]);
  deepEqual(
    decode(certificateCodec, (await place.store.get(KEY))?.value as Uint8Array).votes.map(({ voter }) =>
      voter
    ),
    [2, 3, 4, 5],
  );
});

Deno.test("HandOff reports a valid certificate for another value, and leaves it", async () => {
  using place = new Place();
  await place.store.create(KEY, encode(certificateCodec, certificate(43n)));
  await place.run([certificate()]);
  deepEqual(place.kinds, ["conflict"]);
  deepEqual(decode(certificateCodec, (await place.store.get(KEY))?.value as Uint8Array), certificate(43n));
});

Deno.test("HandOff replaces what is no certificate of the transaction", async () => {
  const other = certificateOf(membership, [1, 2, 3, 4].map((voter) => vote(voter, 42n, "tx_002")));
  const forged = { ...certificate(43n), votes: certificate(42n).votes };
  for (
    const garbage of [
      utf8("garbage"),
      encode(certificateCodec, other as QuorumCertificate),
      encode(certificateCodec, forged),
    ]
  ) {
    using place = new Place();
    await place.store.create(KEY, garbage);
    await place.run([certificate()]);
    deepEqual(place.kinds, ["invalid", "done"]);
    deepEqual(decode(certificateCodec, (await place.store.get(KEY))?.value as Uint8Array), certificate());
  }
});

Deno.test("HandOff gives up where somebody writes something else again and again", async () => {
  using place = new Place();
  await place.store.create(KEY, utf8("garbage"));
  await place.run([certificate()], {
    swap: async (key, expected) => await place.store.swap(key, expected, utf8("more garbage")),
  });
  deepEqual(place.kinds, ["invalid", "invalid", "invalid", "gave-up"]);
});

Deno.test("HandOff waits while the store is down, and reads after an answer that was lost", async () => {
  using place = new Place();
  let calls = 0;
  await place.run([certificate()], {
    create: async (key, value) => {
      calls++;
      if (calls === 1) throw new TransportError("STORE_UNAVAILABLE", "etcd is down", { parties: [] });
      await place.store.create(key, value);
      return { ok: false, reason: "unknown" };
    },
  });
  deepEqual(place.kinds, ["waiting", "done"]);
  equal(calls, 2);
});

/** A hand-off of several decisions that runs until all of them are where they belong, or `until` is. */
async function handOffOf(
  place: Place,
  names: readonly string[],
  change: Partial<Coordination> & { readonly transact?: Ledger["transact"] },
  until: (events: readonly HandOffEvent[], handOff: HandOff) => boolean,
): Promise<HandOff> {
  const { transact = (work) => place.ledger.transact(work), ...coordination } = change;
  const stop = new AbortController();
  const handOff = new HandOff({
    coordination: { ...bound(place.store), ...coordination } as Coordination,
    ledger: { find: (...args) => place.ledger.find(...args), transact },
    membershipAt: () => membership,
    retryMs: { first: 1, max: 1 },
    on: (event) => {
      place.events.push(event);
      if (until(place.events, handOff)) stop.abort();
    },
  });
  for (const name of names) handOff.add(decisionOn(name));
  await handOff.run(stop.signal);
  return handOff;
}

function decisionOn(txId: string, value = 42n): QuorumCertificate {
  return certificateOf(
    membership,
    [1, 2, 3, 4].map((voter) => vote(voter, value, txId)),
  ) as QuorumCertificate;
}

function count(events: readonly HandOffEvent[], kind: HandOffEvent["kind"]): number {
  return events.filter((event) => event.kind === kind).length;
}

Deno.test("HandOff goes on with the next decision where one is contested, or given up", async () => {
  using place = new Place();
  const swap =
    (async (key, expected) => await place.store.swap(key, expected, utf8("garbage"))) as Coordination["swap"];
  await place.store.create(decisionKey("demo", "a"), encode(certificateCodec, decisionOn("a", 43n)));
  await place.store.create(decisionKey("demo", "b"), utf8("garbage"));
  const handOff = await handOffOf(
    place,
    ["a", "b", "c", "d"],
    { swap },
    (events) => count(events, "done") === 2,
  );
  deepEqual([count(place.events, "conflict"), count(place.events, "gave-up")], [1, 1]);
  equal(handOff.waiting, 0);
});

Deno.test("HandOff hands the others off while the store refuses one, and all when it is back", async () => {
  using place = new Place();
  let refused = 0;
  const create = (async (key, value) => {
    if (key === decisionKey("demo", "a") && refused++ < 5) {
      throw new TransportError("STORE_UNAVAILABLE", "not this one", { parties: [] });
    }
    return await place.store.create(key, value);
  }) as Coordination["create"];
  await handOffOf(place, ["a", "b", "c"], { create }, (events) => count(events, "done") === 3);
  deepEqual(place.events.flatMap((event) => event.kind === "done" ? [event.txId] : []), ["b", "c", "a"]);
});

Deno.test("HandOff keeps several decisions while the store is down, over a restart too", async () => {
  using place = new Place();
  const names = ["a", "b", "c"];
  const create = (() => {
    throw new TransportError("STORE_UNAVAILABLE", "etcd is down", { parties: [] });
  }) as Coordination["create"];
  const first = await handOffOf(place, names, { create }, (events) => count(events, "waiting") === 5);
  equal(first.waiting, 3);
  const second = await handOffOf(place, names, {}, (events) => count(events, "done") === 3);
  equal(second.waiting, 0);
  const third = new HandOff({
    coordination: bound(place.store) as Coordination,
    ledger: place.ledger,
    membershipAt: () => membership,
    on: () => {},
  });
  for (const name of names) third.add(decisionOn(name));
  equal(third.waiting, 0);
});

Deno.test("HandOff pauses where an answer is lost and nothing is there, and asks again", async () => {
  using place = new Place();
  let lost = 3;
  const create = (async (key, value) => {
    return lost-- > 0 ? { ok: false, reason: "unknown" } : await place.store.create(key, value);
  }) as Coordination["create"];
  await handOffOf(place, ["a"], { create }, (events) => count(events, "done") === 1);
  deepEqual(place.kinds, ["waiting", "waiting", "waiting", "done"]);
});

Deno.test("HandOff outlives a file that cannot be written, and marks what is done when it can", async () => {
  using place = new Place();
  let full = 2;
  const transact: Ledger["transact"] = (work) => {
    if (full-- > 0) throw new UsageError("STORE_UNWRITABLE", "the disk is full");
    return place.ledger.transact(work);
  };
  // The second failure ends it: what is not marked is asked for again.
  const handed = await handOffOf(place, ["a"], { transact }, (events) => count(events, "waiting") === 2);
  equal(handed.waiting, 0);
  equal(place.ledger.find(HAND_OFFS, {}).length, 1);
});

Deno.test("HandOff outlives what nobody expected of a store, and hands the others off", async () => {
  using place = new Place();
  let failed = 0;
  const create = (async (key, value) => {
    if (key === decisionKey("demo", "a") && failed++ < 2) throw new TypeError("the answer has no field");
    return await place.store.create(key, value);
  }) as Coordination["create"];
  await handOffOf(place, ["a", "b"], { create }, (events) => count(events, "done") === 2);
  deepEqual(place.events.flatMap((event) => event.kind === "done" ? [event.txId] : []), ["b", "a"]);
  const [waiting] = place.events;
  equal(waiting?.kind === "waiting" && waiting.reason, "a bug in this program");
});
