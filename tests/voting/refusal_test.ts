import assert from "node:assert/strict";
import { refusalOf } from "../../src/voting/refusal.ts";
import { LOCKS_MAX } from "../../src/voting/shared.ts";
import type { VoteLock } from "../../src/voting/store.ts";
import { council } from "./support.ts";

/** As many locks as are said, none of which is of the transaction that is asked about. */
function locksOf(size: number): Map<string, VoteLock> {
  const locks = new Map<string, VoteLock>();
  Object.defineProperty(locks, "size", { value: size });
  return locks;
}

Deno.test("refusalOf() lets the last lock be made, and refuses one more with LOCKS_FULL", () => {
  const refused = (size: number) =>
    refusalOf(council(5, 4).vote(1), 5, {
      shared: { alarm: undefined, locks: locksOf(size) },
      decided: undefined,
      closed: undefined,
      limit: 10,
    });
  assert.equal(refused(LOCKS_MAX - 1), undefined);
  assert.equal(refused(LOCKS_MAX)?.code, "LOCKS_FULL");
});
