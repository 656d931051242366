import assert from "node:assert/strict";
import { FIGURES } from "./figures.ts";
import { rows } from "./mod.ts";

Deno.test("every figure to compare with belongs to a row, and no two rows have one name", () => {
  const names = rows.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.deepEqual(Object.keys(FIGURES).filter((name) => !names.includes(name)), []);
});

Deno.test("sealing, opening, bulk and small messages stand beside the first design's figure and our own", () => {
  for (const { name } of rows.filter(({ name }) => /^(frame|channel|link)\//.test(name))) {
    if (name === "frame/deserialise-256") continue;
    assert.ok(FIGURES[name]?.seed !== undefined && FIGURES[name].target !== undefined, name);
  }
});
