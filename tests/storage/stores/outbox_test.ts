import assert from "node:assert/strict";
import { utf8 } from "../../../src/base/bytes.ts";
import { TransportError, UsageError } from "../../../src/base/errors.ts";
import { systemRng } from "../../../src/base/rng.ts";
import { Secret } from "../../../src/base/secret.ts";
import { Ledger } from "../../../src/storage/ledger.ts";
import { Outbox, type OutboxEvent, type OutboxOptions, sendOutbox } from "../../../src/storage/outbox.ts";
import type { Records } from "../../../src/storage/records.ts";
import { SqliteStore } from "../../../src/storage/sqlite_stores.ts";

const HOUR = 3600 * 1000;

/** A node's disk and a store of records. */
class Bench implements Disposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "quorate-outbox-" });
  readonly records = SqliteStore.open({ path: `${this.directory}/records.sqlite` });
  ledger = this.#open();
  now = 1_800_000_000_000;

  constructor() {
    Deno.chmodSync(this.directory, 0o700);
  }

  #open(): Ledger {
    return Ledger.open({
      directory: this.directory,
      owner: { cluster: "c", party: "alice", index: 1 },
      sealing: { kind: "key", key: new Secret(new Uint8Array(32).fill(1)) },
      rng: systemRng,
    });
  }

  outbox(options: Partial<OutboxOptions> = {}): Outbox {
    return new Outbox(this.ledger, { cluster: "c", stream: "alice", now: () => this.now, ...options });
  }

  push(outbox: Outbox, ...texts: string[]): void {
    this.ledger.transact((transaction) => {
      for (const text of texts) {
        outbox.push(transaction, { kind: "vote", key: text, body: utf8(`"${text}"`) });
      }
    });
  }

  /** Sends until nothing waits. */
  async send(outbox: Outbox, records: Records = this.records): Promise<OutboxEvent[]> {
    const events: OutboxEvent[] = [];
    const end = new AbortController();
    await sendOutbox(outbox, records, {
      signal: end.signal,
      retryMs: { first: 1, max: 2 },
      on(event) {
        events.push(event);
        if (outbox.waiting === 0) end.abort();
      },
    });
    return events;
  }

  async stored(): Promise<string[]> {
    const rows = await this.records.read("alice", 0n, 1000);
    rows.forEach((row, i) => assert.equal(row.seq, BigInt(i + 1)));
    return rows.map(({ key }) => key);
  }

  reopen(): void {
    this.ledger[Symbol.dispose]();
    this.ledger = this.#open();
  }

  [Symbol.dispose](): void {
    this.ledger[Symbol.dispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

/** A store whose answers are spoiled one after the other. */
function spoiled(records: Records, spoil: readonly ("down" | "lost before" | "lost after")[]): Records {
  const left = [...spoil];
  return {
    ...bound(records),
    async append(stream, rows) {
      const fault = left.shift();
      if (fault === "down") throw new TransportError("STORE_UNAVAILABLE", "down");
      if (fault !== "lost before") await records.append(stream, rows);
      if (fault !== undefined) return { ok: false, reason: "unknown" };
      return records.append(stream, rows);
    },
  };
}

function bound(records: Records): Records {
  return {
    append: records.append.bind(records),
    head: records.head.bind(records),
    read: records.read.bind(records),
    find: records.find.bind(records),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

Deno.test("Outbox numbers records without gaps, in the transaction that causes them", () => {
  using bench = new Bench();
  const outbox = bench.outbox();
  bench.push(outbox, "a", "b");
  assert.throws(() =>
    bench.ledger.transact((transaction) => {
      outbox.push(transaction, { kind: "vote", key: "lost", body: utf8("1") });
      throw new Error("the cause did not happen");
    }), /did not happen/);
  bench.push(outbox, "c");
  assert.deepEqual(outbox.after(0n, 10).map(({ seq, key }) => [seq, key]), [[1n, "a"], [2n, "b"], [3n, "c"]]);
  assert.equal(outbox.waiting, 3);
});

Deno.test("sendOutbox() delivers each record once, whatever happens to the answers", async () => {
  using bench = new Bench();
  const outbox = bench.outbox();
  bench.push(outbox, "a", "b");
  const events = await bench.send(
    outbox,
    spoiled(bench.records, ["down", "lost before", "down", "lost after", "lost after"]),
  );
  assert.deepEqual(await bench.stored(), ["a", "b"]);
  assert.ok(events.some((event) => event.kind === "waiting" && event.reason === "down"));
  bench.push(outbox, "c");
  await bench.send(outbox);
  assert.deepEqual(await bench.stored(), ["a", "b", "c"]);
});

Deno.test("D1: sendOutbox() waits while the own disk is full, and goes on without a restart", async () => {
  using bench = new Bench();
  bench.push(bench.outbox(), "a", "b");
  let full = 3;
  const ledger: Pick<Ledger, "find" | "transact"> = {
    find: (...args) => bench.ledger.find(...args),
    transact(...args) {
      if (full-- > 0) throw new UsageError("STORE_UNWRITABLE", "the disk is full");
      return bench.ledger.transact(...args);
    },
  };
  const outbox = new Outbox(ledger, { cluster: "c", stream: "alice", now: () => bench.now });
  const events = await bench.send(outbox);
  assert.deepEqual(await bench.stored(), ["a", "b"]);
  assert.deepEqual(events.filter(({ kind }) => kind === "waiting").length, 3);
  assert.equal(outbox.waiting, 0);
});

Deno.test("sendOutbox() does not take a record for delivered that the store may not have", async () => {
  using bench = new Bench();
  const outbox = bench.outbox();
  bench.push(outbox, "a");
  const waiting: number[] = [];
  const records = spoiled(bench.records, ["lost before"]);
  const spied: Records = {
    ...records,
    head: (stream) => (waiting.push(outbox.waiting), records.head(stream)),
  };
  await bench.send(outbox, spied);
  assert.deepEqual(waiting, [1, 1, 1]);
});

Deno.test("sendOutbox() goes on after a restart, and sends again what a store that fell back has lost", async () => {
  using bench = new Bench();
  let outbox = bench.outbox();
  bench.push(outbox, "a", "b");
  await bench.send(outbox);
  bench.reopen();
  outbox = bench.outbox();
  assert.equal(outbox.waiting, 0);
  await using older = SqliteStore.open({ path: `${bench.directory}/older.sqlite` });
  await older.append("alice", outbox.after(0n, 1));
  bench.push(outbox, "c");
  await bench.send(outbox, older);
  assert.deepEqual((await older.read("alice", 0n, 10)).map(({ key }) => key), ["a", "b", "c"]);
});

Deno.test("sendOutbox() stops where the store has what was never written here", async () => {
  using bench = new Bench();
  const outbox = bench.outbox();
  bench.push(outbox, "a");
  await bench.send(outbox);
  using twin = new Bench();
  const other = twin.outbox();
  twin.push(other, "another");
  await assert.rejects(() => twin.send(other, bench.records), { code: "RECORD_CONFLICT" });
  bench.push(outbox, "b");
  await bench.send(outbox);
  using old = new Bench();
  const restored = old.outbox();
  old.push(restored, "a");
  await assert.rejects(() => old.send(restored, bench.records), { code: "RECORD_CONFLICT" });
});

Deno.test("Outbox forgets what the store has had for long, and keeps the numbers", async () => {
  using bench = new Bench();
  const outbox = bench.outbox({ keepMs: 48 * HOUR });
  for (let day = 0; day < 5; day++) {
    bench.push(outbox, `${day}`);
    await bench.send(outbox);
    bench.now += 24 * HOUR;
  }
  assert.equal(outbox.at(1n), undefined);
  assert.deepEqual(outbox.after(3n, 10).map(({ key }) => key), ["3", "4"]);
  assert.throws(() => outbox.after(0n, 10), { code: "RECORD_GAP" });
  bench.reopen();
  const again = bench.outbox();
  bench.push(again, "next");
  assert.equal(again.last, 6n);
  assert.deepEqual((await bench.send(again)).at(-1), { kind: "delivered", seq: 6n });
});

Deno.test("Outbox keeps records that the store had for less than its time, though deliveries never pause", async () => {
  using bench = new Bench();
  const outbox = bench.outbox({ keepMs: 2 * HOUR });
  for (let i = 0; i < 40; i++) {
    bench.push(outbox, `${i}`);
    outbox.delivered(BigInt(i + 1));
    bench.now += HOUR / 6;
  }
  const kept = outbox.after(30n, 100).length;
  assert.equal(kept, 10);
  assert.equal(outbox.at(1n), undefined, "old ones are forgotten while new ones come");
  await Promise.resolve();
});

Deno.test("Outbox that is full says so before anything is promised", async () => {
  using bench = new Bench();
  const outbox = bench.outbox({ limit: 2 });
  outbox.requireRoom();
  bench.push(outbox, "a", "b");
  assert.throws(() => outbox.requireRoom(), { code: "OUTBOX_FULL" });
  await bench.send(outbox);
  outbox.requireRoom();
});
