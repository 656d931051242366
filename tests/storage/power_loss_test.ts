import assert from "node:assert/strict";
import type { Bytes } from "../../src/base/bytes.ts";
import { VOTE_LOCKS } from "../../src/storage/tables.ts";
import { id, Place } from "./fixture.ts";

const LOCKS = 5;
const [DATABASE, LOG, HIGH_WATER] = ["quorate.sqlite", "quorate.sqlite-wal", "high-water"] as const;

function lockOf(i: number) {
  return { txId: `tx ${i}`, epoch: 0, ballot: id(`ballot ${i}`), value: id(`value ${i}`) };
}

/** The party's files after each lock that was acknowledged, while its process still runs. */
function history(): readonly ReadonlyMap<string, Bytes>[] {
  using place = new Place();
  using store = place.open();
  const after = [place.snapshot()];
  for (let i = 0; i < LOCKS; i++) {
    store.ledger.transact((transaction) => transaction.put(VOTE_LOCKS, lockOf(i)));
    after.push(place.snapshot());
  }
  return after;
}

/** The locks in a store that is found like this after the power came back. */
function locksIn(
  files: { readonly database: Bytes; readonly log: Bytes; readonly highWater: Bytes },
): string[] {
  using place = new Place();
  const write = (name: string, content: Bytes) =>
    Deno.writeFileSync(`${place.directory()}/${name}`, content, { mode: 0o600 });
  write(DATABASE, files.database);
  write(LOG, files.log);
  write(HIGH_WATER, files.highWater);
  using store = place.open();
  return store.ledger.find(VOTE_LOCKS, {}).map(({ txId }) => txId).toSorted();
}

Deno.test("LocalStore keeps every lock that was acknowledged where a power loss drops what was not synced", () => {
  const states = history();
  const last = states.at(-1) as ReadonlyMap<string, Bytes>;
  const log = last.get(LOG) as Bytes;
  for (const [k, state] of states.entries()) {
    const next = states[k + 1];
    const sizes = [state.get(LOG)?.length ?? 0, next?.get(LOG)?.length ?? log.length];
    const [synced, written] = sizes as [number, number];
    const database = state.get(DATABASE) as Bytes;
    const acknowledged = Array.from({ length: k }, (_, i) => `tx ${i}`);
    // The power fails before anything of the next lock is written ...
    const before = { database, log: log.slice(0, synced), highWater: state.get(HIGH_WATER) as Bytes };
    assert.deepEqual(locksIn(before), acknowledged);
    if (next === undefined) continue;
    // ... or after its high-water mark, with a part of its pages: it is carried out, and those before are there.
    const highWater = next.get(HIGH_WATER) as Bytes;
    for (const part of [0, 0.2, 0.6, 0.99]) {
      const found = locksIn({
        database,
        log: log.slice(0, synced + Math.floor((written - synced) * part)),
        highWater,
      });
      assert.deepEqual(found, [...acknowledged, `tx ${k}`], `${k} ${part}`);
    }
    // A log that lost what was synced is noticed: the store does not open without a lock whose vote was sent.
    if (k > 0) {
      const lossy = { ...before, log: log.slice(0, synced - 8) };
      assert.deepEqual(tried(() => locksIn(lossy), acknowledged), true);
    }
  }
});

/** Whether the locks are there, or the store refuses to open. */
function tried(open: () => string[], expected: readonly string[]): boolean {
  try {
    return expected.every((lock) => open().includes(lock));
  } catch (error) {
    return (error as { code?: string }).code === "SHARE_ROLLBACK";
  }
}
