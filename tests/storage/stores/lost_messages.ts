/**
 * What stores do when a network loses or delays what goes between client and server (VOTING 10.3: 7, 8, 9, 14).
 */

import assert from "node:assert/strict";
import { utf8 } from "../../../src/base/bytes.ts";
import type { Coordination, Entry } from "../../../src/storage/coordination.ts";
import type { Records } from "../../../src/storage/records.ts";
import type { FaultProxy } from "../../faults/proxy.ts";
import { known } from "./coordination_contract.ts";
import { rowsOf } from "./records_contract.ts";
import { until } from "./servers.ts";

/** How long a client behind the proxy waits. */
export const PATIENCE_MS = 700;
const LATE_MS = PATIENCE_MS + 500;

/** A store, seen directly and through a proxy. */
export interface Watched<S> {
  readonly direct: S;
  /** Its calls give up after {@linkcode PATIENCE_MS}. */
  readonly remote: S;
  readonly proxy: FaultProxy;
}

/** Rows 7 to 9 of coordination. */
export async function loseCoordination(t: Deno.TestContext, watched: Watched<Coordination>): Promise<void> {
  const { direct, remote, proxy } = watched;
  const read = async (key: string) => textOf(await direct.get(key));
  await t.step("7: where the answer is lost the outcome is unknown, and asking again shows it", async () => {
    await until(() => remote.get("a"));
    await lost(watched, "in", async () => await remote.create("a", utf8("own")), "unknown");
    assert.equal(await read("a"), "own");
    const again = known(await remote.create("a", utf8("own")));
    assert.deepEqual([again.created, textOf(again.entry)], [false, "own"]);
    await lost(
      watched,
      "in",
      async () => await remote.swap("a", again.entry.version, utf8("next")),
      "unknown",
    );
    assert.equal(await read("a"), "next");
    const swapped = known(await remote.swap("a", again.entry.version, utf8("next")));
    assert.deepEqual([swapped.swapped, textOf(swapped.entry)], [false, "next"]);
  });
  await t.step("8: where the request is lost nothing is written, and asking again writes once", async () => {
    await lost(watched, "out", async () => await remote.create("b", utf8("1")));
    assert.equal(await read("b"), undefined);
    const { created, entry } = known(await remote.create("b", utf8("1")));
    assert.ok(created);
    await lost(watched, "out", async () => await remote.swap("b", entry.version, utf8("2")));
    assert.equal(await read("b"), "1");
    assert.ok(known(await remote.swap("b", entry.version, utf8("2"))).swapped);
  });
  await t.step(
    "9: a request that comes after its deadline may still count, but never over newer ones",
    async () => {
      const { entry } = known(await direct.create("c", utf8("0")));
      proxy.set("out", { kind: "delay", ms: LATE_MS, outlives: true });
      const late = remote.swap("c", entry.version, utf8("late"));
      const free = remote.create("d", utf8("late"));
      for (const outcome of await Promise.all([late, free])) assert.equal(outcome.ok, false);
      assert.ok(known(await direct.swap("c", entry.version, utf8("newer"))).swapped);
      await new Promise((resolve) => setTimeout(resolve, LATE_MS));
      assert.equal(await read("c"), "newer");
      await restored(watched, () => remote.get("c"));
      const again = known(await remote.create("d", utf8("late")));
      assert.equal(textOf(again.entry), "late");
    },
  );
}

/** Row 14: a watch whose connection breaks has gaps, and who lists after each of them misses no final value. */
export async function flapWatch({ direct, remote, proxy }: Watched<Coordination>): Promise<void> {
  const stop = new AbortController();
  const seen = new Map<string, string | undefined>();
  let gaps = 0;
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const listed = await remote.list("flap/").catch(() => undefined);
      if (listed === undefined) continue;
      for (const entry of listed.entries) seen.set(entry.key, textOf(entry));
      if (seen.get("flap/end") === "end") return;
      try {
        for await (const event of remote.watch("flap/", listed.at, stop.signal)) {
          if ("gap" in event) {
            gaps++;
            break;
          }
          seen.set(event.key, "deleted" in event ? undefined : textOf(event));
          if (event.key === "flap/end") return;
        }
      } catch (error) {
        assert.equal((error as { code?: string }).code, "STORE_UNAVAILABLE");
      }
    }
  })();
  for (let i = 0; i < 5; i++) {
    const key = `flap/${i}`;
    const { entry } = known(await direct.create(key, utf8("first")));
    proxy.cut();
    known(await direct.swap(key, entry.version, i === 4 ? null : utf8("last")));
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  known(await direct.create("flap/end", utf8("end")));
  const late = setTimeout(() => stop.abort(), 30_000);
  await watching;
  clearTimeout(late);
  stop.abort();
  assert.ok(gaps > 0, "a connection that breaks is a gap");
  const last = [0, 1, 2, 3, 4].map((i) => seen.get(`flap/${i}`));
  // Who was not there when a key was deleted does not see it in the next list.
  assert.deepEqual(last.slice(0, 4), ["last", "last", "last", "last"]);
  assert.equal(seen.get("flap/end"), "end");
}

/** Rows 7 to 9 of records. */
export async function loseRecords(t: Deno.TestContext, watched: Watched<Records>): Promise<void> {
  const { direct, remote, proxy } = watched;
  const read = (stream: string) => direct.read(stream, 0n, 100);
  await t.step(
    "7: where the answer is lost the outcome is unknown, and appending again changes nothing",
    async () => {
      // The first of its kind on a connection asks the server for types before it is executed.
      known(await remote.append("warm", rowsOf("warm", 1, 1)));
      await lost(watched, "in", () => remote.append("a", rowsOf("a", 1, 3)), "unknown");
      await until(async () => assert.equal((await direct.head("a"))?.seq, 3n));
      assert.deepEqual(known(await remote.append("a", rowsOf("a", 1, 3))), { head: 3n });
      assert.deepEqual(await read("a"), rowsOf("a", 1, 3));
    },
  );
  await t.step(
    "8: where the request is lost nothing is written, and appending again writes once",
    async () => {
      await lost(watched, "out", () => remote.append("b", rowsOf("b", 1, 3)));
      assert.equal(await direct.head("b"), undefined);
      assert.deepEqual(known(await remote.append("b", rowsOf("b", 1, 3))), { head: 3n });
      assert.deepEqual(await read("b"), rowsOf("b", 1, 3));
    },
  );
  await t.step(
    "9: rows that come after their deadline are there once, and change nothing newer",
    async () => {
      known(await direct.append("c", rowsOf("c", 1, 1)));
      proxy.set("out", { kind: "delay", ms: LATE_MS, outlives: true });
      const late = await remote.append("c", rowsOf("c", 2, 3));
      assert.equal(late.ok, false);
      known(await direct.append("c", rowsOf("c", 2, 5)));
      await new Promise((resolve) => setTimeout(resolve, LATE_MS));
      assert.deepEqual(await read("c"), rowsOf("c", 1, 5));
      await restored(watched, () => remote.head("c"));
      assert.deepEqual(known(await remote.append("c", rowsOf("c", 4, 6))), { head: 6n });
      assert.deepEqual(await read("c"), rowsOf("c", 1, 6));
    },
  );
}

/** A call while one direction swallows everything: it must not look as if it had succeeded. */
async function lost<S>(
  { proxy, remote }: Watched<S>,
  direction: "in" | "out",
  call: () => Promise<{ readonly ok: boolean }>,
  expected?: "unknown",
): Promise<void> {
  proxy.set(direction, { kind: "drop" });
  const outcome = await call().catch((error: { readonly code?: string }) => {
    assert.equal(error.code, "STORE_UNAVAILABLE");
    return undefined;
  });
  if (expected === "unknown") assert.deepEqual(outcome, { ok: false, reason: "unknown" });
  else assert.notEqual(outcome?.ok, true);
  const probe = remote as unknown as Partial<Coordination & Records>;
  await restored({ proxy }, async () => probe.get ? await probe.get("x") : await probe.head?.("x"));
}

/** The network is well again: what was open is in no state to go on. */
async function restored(
  { proxy }: { readonly proxy: FaultProxy },
  probe: () => Promise<unknown>,
): Promise<void> {
  proxy.both({ kind: "pass" });
  proxy.cut();
  await until(probe);
}

function textOf(entry: Pick<Entry, "value"> | undefined): string | undefined {
  return entry && new TextDecoder().decode(entry.value);
}
