import type { Effect } from "../../src/voting/node.ts";
import { type Weather, WEATHERS, World } from "./world.ts";

/** What came of a seed. */
export interface Answer {
  readonly seed: number;
  readonly counts: Readonly<Record<Counted, number>>;
  readonly violation: string | undefined;
}

/** What is counted. */
export type Counted = typeof COUNTED[number];

export const COUNTED = [
  "vote",
  "proposal",
  "decided",
  "offence",
  "dissent",
  "silence",
  "epoch",
] as const satisfies readonly Effect["kind"][];

/** One seed in so many has real signatures; the others, signatures that stand for them. */
const REAL_EVERY = 16;

export function weatherOf(seed: number): Weather {
  return WEATHERS[seed % WEATHERS.length] as Weather;
}

export function runSeed(seed: number): Answer {
  const weather = weatherOf(seed);
  const isQuick = Math.floor(seed / WEATHERS.length) % REAL_EVERY !== 0;
  const world = new World(`${weather.n}/${weather.quorum}/${seed}`, weather, { isQuick });
  let violation: string | undefined;
  try {
    world.run();
  } catch (error) {
    violation = error instanceof Error ? error.stack ?? error.message : String(error);
  }
  const counts = Object.fromEntries(COUNTED.map((kind) => [kind, world.count(kind)])) as Answer["counts"];
  return { seed, counts, violation };
}
