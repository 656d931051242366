import assert from "node:assert/strict";
import { seededRng, systemRng } from "../../src/base/rng.ts";

Deno.test("systemRng gives any number of bytes, and others each time", () => {
  for (const length of [0, 1, 32, 65536, 65537, 200_000]) {
    assert.equal(systemRng.bytes(length).length, length);
  }
  assert.notDeepEqual(systemRng.bytes(32), systemRng.bytes(32));
  const tail = systemRng.bytes(200_000).subarray(199_000);
  assert.ok(new Set(tail).size > 200);
});

Deno.test("seededRng() gives one stream per seed, however it is cut", () => {
  const whole = seededRng("a").bytes(100);
  const rng = seededRng("a");
  const cut = [1, 31, 32, 36].flatMap((length) => [...rng.bytes(length)]);
  assert.deepEqual(Uint8Array.from(cut), whole);
  assert.notDeepEqual(seededRng("b").bytes(100), whole);
});
