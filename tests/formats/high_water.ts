/** One file of a high-water mark in each form that the program writes. Earlier forms, one mark and small slots, are in `stores/`. */

import { join } from "node:path";
import { type Bytes, copy } from "../../src/base/bytes.ts";
import { seededRng } from "../../src/base/rng.ts";
import { Secret } from "../../src/base/secret.ts";
import { type HighWater, HighWaterFile } from "../../src/storage/high_water.ts";
import { newSealingParameters, Sealer } from "../../src/storage/sealing.ts";
import { filled } from "./example.ts";

/** Where they are stored. */
export const HIGH_WATER_PATH: string = new URL("high_water.json.gz", import.meta.url).pathname;

/** What the current program writes, by name. */
export const HIGH_WATER: ReadonlyMap<string, readonly HighWater[]> = new Map([
  ["slots of 64 KiB", [markOf(1, filled(1)), markOf(2, filled(2))]],
  ["one mark, too large for a slot", [markOf(3, new Uint8Array(70_000).fill(3))]],
]);

/** The file after these marks. */
export function highWaterFile(marks: readonly HighWater[]): Bytes {
  const directory = Deno.makeTempDirSync();
  try {
    using sealer = highWaterSealer();
    const path = join(directory, "high-water");
    const file = new HighWaterFile(path, sealer);
    for (const mark of marks) file.write(mark);
    return copy(Deno.readFileSync(path));
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** By which the examples are authenticated. */
export function highWaterSealer(): Sealer {
  const rng = seededRng("high water");
  const source = { kind: "key", key: new Secret(filled(25)) } as const;
  return new Sealer(
    source,
    newSealingParameters("key", rng),
    { cluster: "demo", party: "alice", index: 1 },
    rng,
  );
}

function markOf(generation: number, change: Bytes): HighWater {
  return { generation, before: filled(4), after: filled(5), change };
}
