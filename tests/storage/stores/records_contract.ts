/**
 * What every store of the contract Records does (VOTING 10.3), against whatever it is given.
 */

import assert from "node:assert/strict";
import { utf8 } from "../../../src/base/bytes.ts";
import { type Records, type Row, rowId } from "../../../src/storage/records.ts";
import { known } from "./coordination_contract.ts";

/** A place that several clients reach. */
export interface RecordsPlace extends AsyncDisposable {
  /** Another client of it. */
  client(): Promise<Records>;
}

/** A row of a stream. */
export function rowOf(stream: string, seq: bigint | number, text = `${seq}`, kind = "vote", key = "tx"): Row {
  const row = { stream, seq: BigInt(seq), kind, key, body: utf8(JSON.stringify({ text })) };
  return { ...row, id: rowId("cluster", row) };
}

/** Rows from `first` to `last`. */
export function rowsOf(stream: string, first: number, last: number): Row[] {
  return Array.from({ length: last - first + 1 }, (_, i) => rowOf(stream, first + i));
}

/** Registers the tests. */
export function recordsContract(name: string, ignore: boolean, open: () => Promise<RecordsPlace>): void {
  Deno.test({
    name: `${name}: the contract of records`,
    ignore,
    async fn(t) {
      await using place = await open();
      for (const [title, check] of CHECKS) {
        await t.step(title, async () => {
          await using store = await place.client();
          await check(store, place);
        });
      }
    },
  });
}

type Check = (store: Records, place: RecordsPlace) => Promise<void>;

const CHECKS: readonly (readonly [string, Check])[] = [
  ["10: an empty stream has no head, and rows are read as they were written", async (store) => {
    assert.equal(await store.head("new"), undefined);
    assert.deepEqual(await store.read("new", 0n, 10), []);
    const rows = rowsOf("new", 1, 5);
    assert.deepEqual(known(await store.append("new", rows)), { head: 5n });
    assert.deepEqual(await store.head("new"), { seq: 5n, id: rows[4]?.id });
    assert.deepEqual(await store.read("new", 0n, 100), rows);
    assert.deepEqual(await store.read("new", 2n, 2), rows.slice(2, 4));
    assert.deepEqual(known(await store.append("new", [])), { head: 5n });
  }],
  ["10: a gap is refused", async (store) => {
    known(await store.append("gap", rowsOf("gap", 1, 2)));
    await assert.rejects(() => store.append("gap", rowsOf("gap", 4, 5)), { code: "RECORD_GAP" });
    await assert.rejects(() => Promise.try(() => store.append("gap", [rowOf("gap", 3), rowOf("gap", 5)])), {
      code: "RECORD_GAP",
    });
    await assert.rejects(() => Promise.try(() => store.append("gap", [rowOf("gap", 0)])), {
      code: "RECORD_GAP",
    });
    await assert.rejects(() => Promise.try(() => store.append("gap", [rowOf("other", 3)])), {
      code: "RECORD_CONFLICT",
    });
    assert.equal((await store.head("gap"))?.seq, 2n);
  }],
  ["10: the same rows again change nothing, and a batch may overlap", async (store) => {
    known(await store.append("same", rowsOf("same", 1, 3)));
    assert.deepEqual(known(await store.append("same", rowsOf("same", 2, 3))), { head: 3n });
    assert.deepEqual(known(await store.append("same", rowsOf("same", 2, 6))), { head: 6n });
    assert.deepEqual(await store.read("same", 0n, 100), rowsOf("same", 1, 6));
  }],
  [
    "10: other content in a place that is taken is a conflict, and nothing of the batch is written",
    async (store) => {
      known(await store.append("conflict", rowsOf("conflict", 1, 3)));
      const batch = [rowOf("conflict", 3, "other"), rowOf("conflict", 4)];
      await assert.rejects(() => store.append("conflict", batch), { code: "RECORD_CONFLICT" });
      assert.deepEqual(await store.read("conflict", 0n, 100), rowsOf("conflict", 1, 3));
      assert.equal((await store.head("conflict"))?.seq, 3n);
    },
  ],
  ["11: two senders of one stream leave neither gap nor duplicate", async (store, place) => {
    await using other = await place.client();
    const send = async (client: Records, size: number) => {
      for (let next = 1; next <= 60; next += size) {
        known(await client.append("two", rowsOf("two", next, Math.min(60, next + size - 1))));
      }
    };
    // Each sends all rows, in batches of its own size: whoever is behind repeats what is there.
    await Promise.all([send(store, 7), send(other, 3)]);
    assert.deepEqual(await store.read("two", 0n, 100), rowsOf("two", 1, 60));
  }],
  ["rows are found by kind and key, over all streams", async (store) => {
    const rows = ["a", "b"].map((stream) => rowOf(stream, 1, "x", "decision", "tx 7"));
    for (const row of rows) known(await store.append(row.stream, [row]));
    known(await store.append("c", [rowOf("c", 1, "x", "vote", "tx 7")]));
    assert.deepEqual(await store.find("decision", "tx 7"), rows);
    assert.deepEqual(await store.find("decision", "tx 8"), []);
  }],
];
