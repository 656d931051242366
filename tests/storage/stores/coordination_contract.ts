/**
 * What every store of the contract Coordination does (VOTING 10.3), against whatever it is given.
 */

import assert from "node:assert/strict";
import { utf8 } from "../../../src/base/bytes.ts";
import type { Coordination, Entry, Outcome, WatchEvent } from "../../../src/storage/coordination.ts";
import { linesOf } from "../../faults/peer_process.ts";

/** A place that several clients reach. */
export interface Place extends AsyncDisposable {
  /** Another client of it. */
  client(): Coordination;
  /** How a process of its own opens it: for racer.ts. */
  readonly racer: readonly string[];
}

/** Registers the tests. */
export function coordinationContract(name: string, ignore: boolean, open: () => Promise<Place>): void {
  Deno.test({
    name: `${name}: the contract of coordination`,
    ignore,
    async fn(t) {
      await using place = await open();
      for (const [title, check] of CHECKS) {
        await t.step(title, async () => {
          await using store = place.client();
          await check(store, place);
        });
      }
    },
  });
}

/** The value of a write that is known. */
export function known<T>(outcome: Outcome<T>): T {
  assert.ok(outcome.ok, "the outcome is unknown");
  return outcome.value;
}

type Check = (store: Coordination, place: Place) => Promise<void>;

const CHECKS: readonly (readonly [string, Check])[] = [
  ["1: among 50 creations of one key by 5 processes one wins, and 49 see its bytes", async (store, place) => {
    const runs = await Promise.all([1, 2, 3, 4, 5].map((i) => race(place, "race", `process ${i}`)));
    const outcomes = runs.flat();
    assert.equal(outcomes.length, 50);
    assert.equal(outcomes.filter(({ created }) => created).length, 1);
    const stored = await store.get("race");
    for (const { value } of outcomes) assert.equal(value, new TextDecoder().decode(stored?.value));
  }],
  ["2: a key that was deleted is created with another version", async (store) => {
    const first = known(await store.create("again", utf8("a"))).entry;
    assert.deepEqual(known(await store.swap("again", first.version, null)), { swapped: true });
    assert.equal(await store.get("again"), undefined);
    const second = known(await store.create("again", utf8("a")));
    assert.ok(second.created && second.entry.version !== first.version);
    assert.equal(second.entry.createdAt, second.entry.version);
  }],
  ["3: a swap of a stale version fails and shows what is there", async (store) => {
    const first = known(await store.create("stale", utf8("a"))).entry;
    const second = known(await store.swap("stale", first.version, utf8("b")));
    assert.ok(second.swapped);
    assert.equal(second.entry?.createdAt, first.createdAt);
    const stale = known(await store.swap("stale", first.version, utf8("c")));
    assert.equal(stale.swapped, false);
    assert.deepEqual(stale.entry?.value, utf8("b"));
    assert.deepEqual(known(await store.swap("stale", first.version, null)).swapped, false);
    assert.deepEqual((await store.get("stale"))?.value, utf8("b"));
    assert.deepEqual(known(await store.swap("nothing/there", first.version, utf8("c"))), { swapped: false });
  }],
  ["3: 100 increments by swap from 10 clients end at 100", async (store, place) => {
    known(await store.create("count", utf8("0")));
    await Promise.all(Array.from({ length: 10 }, async () => {
      await using client = place.client();
      for (let i = 0; i < 10; i++) await increment(client, "count");
    }));
    assert.deepEqual((await store.get("count"))?.value, utf8("100"));
  }],
  ["4: what one client has written another one reads", async (store, place) => {
    await using other = place.client();
    let { entry } = known(await store.create("seen", utf8("0")));
    for (let i = 1; i <= 20; i++) {
      entry = known(await store.swap("seen", entry.version, utf8(`${i}`))).entry as Entry;
      assert.deepEqual(await other.get("seen"), entry);
    }
  }],
  ["5: pages of a list hold each key that was there all the time once", async (store, place) => {
    const fixed = Array.from({ length: 60 }, (_, i) => `list/${String(i * 2).padStart(4, "0")}`);
    for (const key of fixed) known(await store.create(key, utf8(key)));
    await using other = place.client();
    const others = (async () => {
      for (let i = 0; i < 40; i++) {
        known(await other.create(`list/${String(i * 3 + 1).padStart(4, "0")}x`, utf8("")));
      }
    })();
    const seen: string[] = [];
    let after: string | undefined;
    for (;;) {
      const { entries } = await store.list("list/", after, 7);
      if (entries.length === 0) break;
      seen.push(...entries.map(({ key }) => key));
      after = entries.at(-1)?.key;
    }
    await others;
    assert.equal(new Set(seen).size, seen.length);
    assert.deepEqual(seen, seen.toSorted());
    for (const key of fixed) assert.ok(seen.includes(key), key);
  }],
  ["14: a watch sees each final value, and deletions", async (store, place) => {
    await using other = place.client();
    const { at } = await store.list("watched/");
    const cancel = new AbortController();
    const last = new Map<string, string>();
    const watching = (async () => {
      for await (const event of store.watch("watched/", at, cancel.signal)) {
        note(last, event);
        if (last.get("watched/end") === "end") return;
      }
    })();
    known(await other.create("unwatched", utf8("x")));
    for (const key of ["watched/a", "watched/b"]) {
      let { entry } = known(await other.create(key, utf8("0")));
      for (let i = 1; i <= 5; i++) {
        entry = known(await other.swap(key, entry.version, utf8(`${i}`))).entry as Entry;
      }
      if (key === "watched/b") known(await other.swap(key, entry.version, null));
    }
    known(await other.create("watched/end", utf8("end")));
    await watching;
    cancel.abort();
    assert.deepEqual([...last].sort(), [["watched/a", "5"], ["watched/b", "(deleted)"], [
      "watched/end",
      "end",
    ]]);
  }],
  ["14: a watch that is cancelled ends", async (store) => {
    const cancel = new AbortController();
    const { at } = await store.list("quiet/");
    setTimeout(() => cancel.abort(), 100);
    for await (const _event of store.watch("quiet/", at, cancel.signal)) assert.fail("nothing happened");
  }],
  ["15: a key ends with its lease, and lives while it is kept alive", async (store, place) => {
    const lease = await store.lease(2000);
    assert.ok(known(await store.create("leased", utf8("a"), lease.id)).created);
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 800));
      assert.equal(await lease.keepAlive(), true);
    }
    assert.notEqual(await store.get("leased"), undefined);
    await using other = place.client();
    for (let tries = 0; await other.get("leased") !== undefined; tries++) {
      assert.ok(tries < 100, "the key outlives its lease");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.equal(await lease.keepAlive(), false);
    await assert.rejects(async () => await store.create("late", utf8("a"), lease.id), {
      code: "STORE_UNAVAILABLE",
    });
    const given = await store.lease(60_000);
    known(await store.create("given-up", utf8("a"), given.id));
    await given[Symbol.asyncDispose]();
    assert.equal(await other.get("given-up"), undefined);
  }],
  ["15: a process that stands still loses its lease and its key, and learns of it", async (store, place) => {
    const leaser = new URL("./leaser.ts", import.meta.url).pathname;
    const args = ["run", "--quiet", "--frozen", "-A", leaser, "stopped", "1000", ...place.racer];
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    const lines = linesOf(child.stdout);
    assert.equal((await lines.next()).value, "held");
    assert.equal((await lines.next()).value, "true");
    child.kill("SIGSTOP");
    try {
      for (let tries = 0; await store.get("stopped") !== undefined; tries++) {
        assert.ok(tries < 50, "the key outlives its lease");
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    } finally {
      child.kill("SIGCONT");
    }
    let last: string | undefined;
    for await (const line of lines) last = line;
    assert.equal(last, "false");
    assert.ok((await child.status).success);
    assert.equal(await store.get("stopped"), undefined);
  }],
  ["18: values of all sizes and bytes, and prefixes that are exact", async (store) => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const large = new Uint8Array(256 * 1024).fill(7);
    const values: [string, Uint8Array<ArrayBuffer>][] = [["p/a", new Uint8Array()], ["p/a/", all], [
      "p/a0",
      large,
    ]];
    for (const [key, value] of values) known(await store.create(key, value));
    for (const [key, value] of values) assert.deepEqual((await store.get(key))?.value, value);
    const keys = async (prefix: string) => (await store.list(prefix)).entries.map(({ key }) => key);
    assert.deepEqual(await keys("p/a"), ["p/a", "p/a/", "p/a0"]);
    assert.deepEqual(await keys("p/a/"), ["p/a/"]);
    assert.deepEqual(await keys("p/b"), []);
    assert.ok((await keys("")).includes("p/a"));
    assert.deepEqual((await store.list("p/", "p/a", 1)).entries.map(({ key }) => key), ["p/a/"]);
    await assert.rejects(async () => await store.create("k", new Uint8Array(256 * 1024 + 1)), {
      code: "USAGE",
    });
    for (const key of ["", "a\n", "ä", "a".repeat(257)]) {
      await assert.rejects(async () => await store.create(key, all), { code: "USAGE" });
      await assert.rejects(async () => await store.swap(key, 1n, all), { code: "USAGE" });
      await assert.rejects(async () => await store.get(key), { code: "USAGE" });
    }
  }],
];

function note(last: Map<string, string>, event: WatchEvent): void {
  assert.ok(!("gap" in event), "there was no gap");
  last.set(event.key, "deleted" in event ? "(deleted)" : new TextDecoder().decode(event.value));
}

async function increment(client: Coordination, key: string): Promise<void> {
  for (;;) {
    const entry = await client.get(key) as Entry;
    const next = utf8(`${Number(new TextDecoder().decode(entry.value)) + 1}`);
    if (known(await client.swap(key, entry.version, next)).swapped) return;
  }
}

async function race(
  place: Place,
  key: string,
  value: string,
): Promise<{ created: boolean; value: string }[]> {
  const racer = new URL("./racer.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "-A", racer, key, value, ...place.racer],
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}
