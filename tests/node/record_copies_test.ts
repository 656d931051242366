import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { TransportError } from "../../src/base/errors.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { segmentPath } from "../../src/audit/segments.ts";
import { RecordCopies, type RecordCopiesOptions } from "../../src/node/record_copies.ts";
import { Ledger } from "../../src/storage/ledger.ts";
import { Outbox } from "../../src/storage/outbox.ts";
import { OUTBOX } from "../../src/storage/tables.ts";

const HOUR = 3_600_000;

/** A party's file and its audit log, of which each line is its own number. */
class Place implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly log = { directory: `${this.directory}/audit`, size: 0 };
  readonly reasons: string[] = [];
  now = 1_800_000_000_000;
  scores: { name: string; score: number }[] = [];
  readonly ledger: Ledger;
  outbox: Outbox;

  constructor() {
    Deno.chmodSync(this.directory, 0o700);
    Deno.mkdirSync(this.log.directory);
    this.ledger = Ledger.open({
      directory: this.directory,
      owner: { cluster: "demo", party: "alice", index: 1 },
      sealing: { kind: "key", key: new Secret(new Uint8Array(32)) },
      rng: systemRng,
    });
    this.outbox = new Outbox(this.ledger, { cluster: "demo", stream: "alice" });
  }

  /** Writes so many records, into a file that begins with `first`. */
  write(count: number, first = 0): void {
    const lines = Array.from({ length: count }, () => `${this.log.size++}\n`).join("");
    Deno.writeTextFileSync(segmentPath(this.log.directory, first), lines, { append: true });
  }

  copies(change: Partial<RecordCopiesOptions> = {}): RecordCopies {
    return new RecordCopies({
      log: this.log,
      ledger: this.ledger,
      outbox: this.outbox,
      outboxLimit: 100_000,
      records: { find: () => Promise.resolve([]) },
      scores: () => this.scores,
      now: () => this.now,
      on: (reason) => this.reasons.push(reason),
      ...change,
    });
  }

  of(kind: string): string[] {
    return this.ledger.find(OUTBOX, { kind }).map(({ key, body }) => `${key} ${fromUtf8(body)}`);
  }

  [Symbol.dispose](): void {
    this.ledger[Symbol.dispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `${from + i} ${from + i}`);
}

Deno.test("RecordCopies.copy() copies each record of the log once, over files and restarts", async () => {
  using place = new Place();
  const copies = place.copies();
  await copies.copy();
  assert.deepEqual(place.of("audit"), []);
  place.write(300);
  await copies.copy();
  place.write(5);
  place.write(7, 305);
  await copies.copy();
  await copies.copy();
  assert.deepEqual(place.of("audit"), numbers(0, 312));
  place.write(2, 305);
  await place.copies().copy();
  assert.deepEqual(place.of("audit"), numbers(0, 314));
});

Deno.test("RecordCopies.copy() goes on behind what the store has, where no copy is kept here any more", async () => {
  using place = new Place();
  place.write(10);
  place.write(10, 10);
  const asked: string[] = [];
  const find = (kind: string, key: string) => {
    asked.push(key);
    const row = {
      stream: Number(key) < 13 ? "alice" : "bob",
      seq: 1n,
      id: utf8("id"),
      kind,
      key,
      body: utf8(key),
    };
    return Promise.resolve([row]);
  };
  await place.copies({ records: { find } }).copy();
  assert.deepEqual(place.of("audit"), numbers(13, 20));
  assert.ok(asked.length <= 5, `${asked}`);
});

Deno.test("RecordCopies.copy() waits while the store is down, and while half of the outbox is full", async () => {
  using place = new Place();
  place.write(300);
  let isDown = true;
  const find = () =>
    isDown
      ? Promise.reject(new TransportError("STORE_UNAVAILABLE", "down", { parties: [] }))
      : Promise.resolve([]);
  const copies = place.copies({ records: { find }, outboxLimit: 512 });
  await copies.copy();
  assert.deepEqual([place.reasons, place.of("audit")], [["down"], []]);
  isDown = false;
  await copies.copy();
  assert.deepEqual(place.of("audit"), numbers(0, 256));
  place.scores = [{ name: "bob", score: 0 }];
  await copies.copy();
  assert.deepEqual(place.of("reputation"), []);
  place.outbox.delivered(256n);
  await copies.copy();
  assert.equal(place.of("audit").length, 300);
  assert.equal(place.of("reputation").length, 1);
});

Deno.test("RecordCopies.copy() writes a score that falls at once, and one that rises once an hour", async () => {
  using place = new Place();
  const copies = place.copies();
  const score = async (value: number, hours: number) => {
    place.now += hours * HOUR;
    place.scores = [{ name: "bob", score: value }];
    await copies.copy();
    return place.of("reputation").length;
  };
  assert.equal(await score(100, 0), 1);
  assert.equal(await score(100, 9), 1);
  assert.equal(await score(90, 0.1), 2);
  assert.equal(await score(90.5, 0.5), 2);
  assert.equal(await score(91, 0.5), 3);
  assert.equal(await score(0, 0), 4);
  assert.match(place.of("reputation")[3]!, /^bob \{"subject":"bob","score":0,"time":"2027-/);
});
