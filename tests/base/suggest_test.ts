import assert from "node:assert/strict";
import { closest, didYouMean } from "../../src/base/suggest.ts";

Deno.test("closest() finds names with letters left out, added, replaced or swapped, and nothing far away", () => {
  const names = ["alice", "bob", "carol", "dave"];
  for (const [word, expected] of [["alcie", "alice"], ["carl", "carol"], ["daev", "dave"], ["Bobb", "bob"]]) {
    assert.deepEqual(closest(word as string, names), [expected]);
  }
  for (const word of ["eve-of-destruction", "x", "", "zed"]) assert.deepEqual(closest(word, names), []);
  assert.deepEqual(closest("bo", ["bob", "bot", "treasury"]), ["bob", "bot"]);
  assert.deepEqual(closest("anything", []), []);
});

Deno.test("didYouMean() is a question with all that are equally close, or nothing", () => {
  assert.equal(didYouMean("bo", ["bob", "bot"]), " (did you mean bob or bot?)");
  assert.equal(didYouMean("zzz", ["bob"]), "");
});
