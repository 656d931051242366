/**
 * What a benchmark row is. `deno task bench` runs all rows of `tests/bench/mod.ts`.
 *
 * @module
 */

/** A row that is timed: its median is shown in milliseconds and in V. */
export interface TimedRow {
  readonly kind: "time";
  /** Fixed in DESIGN 9 for some rows; never reused for something else. */
  readonly name: string;
  /** How many runs are timed, after a few that are not. */
  readonly samples: number;
  /** How often one call does the thing: the time is divided by it. Default 1. */
  readonly per?: number;
  /** Sets up what is not timed; what it returns is called once per sample. */
  prepare(): (() => unknown) | Promise<() => unknown>;
}

/** A row that counts: the median of its measurements per second. */
export interface RateRow {
  readonly kind: "rate";
  readonly name: string;
  /** What is counted per second, for people. Default: /s. */
  readonly unit?: string;
  readonly samples: number;
  /** Sets up what is not timed; what it returns measures once and gives a number per second. */
  prepare(): (() => number | Promise<number>) | Promise<() => number | Promise<number>>;
}

/** A benchmark. */
export type BenchRow = TimedRow | RateRow;
