/**
 * What travels between parties keeps its form: what another party's version sends is opened, and what is sent is what it was.
 */

import assert from "node:assert/strict";
import { readWire, WIRE } from "./wire.ts";

const STORED = readWire();

for (const [name, { make, open }] of WIRE) {
  Deno.test(`wire format: ${name} opens as it was stored, and is made as it was`, () => {
    const stored = STORED.get(name);
    assert.ok(stored !== undefined, "not stored: deno run -A tests/formats/make.ts wire");
    open(stored);
    assert.equal(make().toHex(), stored.toHex(), "another form on the wire is another version of it");
  });
}

Deno.test("every example of the wire format that is stored is opened", () => {
  assert.deepEqual([...STORED.keys()].sort(), [...WIRE.keys()].sort());
});
