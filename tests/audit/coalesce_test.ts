import assert from "node:assert/strict";
import { Coalescer } from "../../src/audit/coalesce.ts";

Deno.test("Coalescer records the first event of a kind, then how many followed", () => {
  const seen: [string, number][] = [];
  const coalescer = new Coalescer<string>(60, (event, repeated) => seen.push([event, repeated]));
  coalescer.add("a", "a0", 0);
  coalescer.add("b", "b0", 1);
  for (let i = 1; i < 10; i++) coalescer.add("a", `a${i}`, i);
  assert.deepEqual(seen, [["a0", 0], ["b0", 0]]);
  coalescer.add("a", "late", 60);
  assert.deepEqual(seen.slice(2), [["late", 9]]);
  coalescer.add("a", "more", 61);
  coalescer.add("a", "most", 62);
  coalescer.flush();
  coalescer.flush();
  assert.deepEqual(seen.slice(3), [["most", 1]]);
});

Deno.test("Coalescer keeps a bounded number of kinds and loses no count", () => {
  let recorded = 0;
  let kinds = 0;
  const coalescer = new Coalescer<number>(60, (_, repeated) => {
    recorded += 1 + repeated;
    kinds++;
  });
  for (let i = 0; i < 3000; i++) {
    coalescer.add(`kind ${i}`, i, 0);
    coalescer.add(`kind ${i}`, i, 0);
  }
  // What was counted of the first kinds was recorded when there were too many.
  assert.equal(kinds, 3000 + 2048);
  coalescer.flush();
  assert.equal(recorded, 6000);
});

Deno.test("Coalescer records some events of a kind one by one where that is asked for", () => {
  const recorded: (readonly [string, number])[] = [];
  const events = new Coalescer<string>(100, (event, repeated) => recorded.push([event, repeated]));
  for (let i = 0; i < 5; i++) events.add("up", `${i}`, i, 3);
  assert.deepEqual(recorded, [["0", 0], ["1", 0], ["2", 0]]);
  events.add("up", "5", 200, 3);
  events.flush();
  assert.deepEqual(recorded.slice(3), [["5", 2]]);
});
