import { deepEqual, equal } from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import { decode, encode } from "../../src/base/codec.ts";
import { TransportError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { decisionKey, HandOff, type HandOffEvent } from "../../src/node/hand_off.ts";
import type { Coordination } from "../../src/storage/coordination.ts";
import { Ledger } from "../../src/storage/ledger.ts";
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
