import assert from "node:assert/strict";
import { join } from "node:path";
import { HighWaterFile } from "../../src/storage/high_water.ts";
import { readArchive } from "./archive.ts";
import { filled } from "./example.ts";
import { HIGH_WATER, HIGH_WATER_PATH, highWaterFile, highWaterSealer } from "./high_water.ts";

const STORED = readArchive(HIGH_WATER_PATH);

for (const [name, bytes] of STORED) {
  Deno.test(`a high-water mark of ${name} is read, and gives way to the next one`, () => {
    const expected = HIGH_WATER.get(name)?.at(-1) ?? assert.fail("nothing is known of it");
    const directory = Deno.makeTempDirSync();
    try {
      using sealer = highWaterSealer();
      const path = join(directory, "high-water");
      Deno.writeFileSync(path, bytes, { mode: 0o600 });
      const file = new HighWaterFile(path, sealer);
      assert.deepEqual(file.read(), expected);
      const next = { ...expected, generation: expected.generation + 1, change: filled(6) };
      file.write(next);
      assert.deepEqual(new HighWaterFile(path, sealer).read(), next);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}

Deno.test("high-water marks are written in forms of which there is a stored example", () => {
  for (const [name, marks] of HIGH_WATER) {
    assert.deepEqual(new Uint8Array(STORED.get(name) ?? []), highWaterFile(marks), name);
  }
});
