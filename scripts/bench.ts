/**
 * `deno task bench [--json] [FILTER...]`: medians in milliseconds and in V, the time of one `secp256k1.verify` of
 * noble-curves. V is measured after each sample and over as long a time, so that a busy machine slows both alike.
 *
 * @module
 */

import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { FIGURES } from "../tests/bench/figures.ts";
import { rows } from "../tests/bench/mod.ts";
import type { RateRow, TimedRow } from "../tests/bench/row.ts";

const WARM_UPS = 10;
const VERIFIES_MIN = 5;
const VERIFY_MS_MAX = 200;
const NAME_WIDTH = 40;

const { values: options, positionals: filters } = parseArgs({
  args: Deno.args,
  options: { json: { type: "boolean", default: false } },
  allowPositionals: true,
});

const verifyOnce = prepareVerify();
if (!options.json) {
  const [cpu] = cpus();
  console.log(`machine  ${cpu?.model.trim() ?? "unknown"}, ${availableParallelism()} cores`);
  console.log(`deno     ${Deno.version.deno}, V8 ${Deno.version.v8}, ${Deno.build.os} ${Deno.build.arch}`);
  console.log(`command  deno task bench${filters.map((filter) => " " + filter).join("")}`);
  console.log("V        the time of one secp256k1.verify of noble-curves, measured between the samples\n");
}
for (const row of rows) {
  if (filters.length > 0 && !filters.some((filter) => row.name.includes(filter))) continue;
  if (row.kind === "time") await runTimed(row);
  else await runRate(row);
}
// What a row has left open must not keep the process.
Deno.exit(0);

async function runTimed(row: TimedRow): Promise<void> {
  const once = await row.prepare();
  for (let i = 0; i < Math.min(WARM_UPS, row.samples); i++) await once();
  const times: number[] = [], verifyTimes: number[] = [];
  for (let i = 0; i < row.samples; i++) {
    const start = performance.now();
    await once();
    const elapsed = performance.now() - start;
    times.push(elapsed);
    verifyTimes.push(timeOfVerify(elapsed));
  }
  const milliseconds = median(times) / (row.per ?? 1), V = median(verifyTimes);
  if (options.json) {
    console.log(
      JSON.stringify({
        name: row.name,
        median_ms: round(milliseconds),
        in_v: round(milliseconds / V),
        ...FIGURES[row.name],
      }),
    );
    return;
  }
  const inV = `${(milliseconds / V).toFixed(milliseconds < V ? 4 : 1)} V`;
  console.log(
    `${row.name.padEnd(NAME_WIDTH)} ${milliseconds.toFixed(milliseconds < 0.1 ? 5 : 3).padStart(10)} ms ${
      inV.padStart(11)
    }   V = ${V.toFixed(3)} ms${beside(row)}`,
  );
}

async function runRate(row: RateRow): Promise<void> {
  const measure = await row.prepare();
  await measure();
  const rates: number[] = [];
  for (let i = 0; i < row.samples; i++) rates.push(await measure());
  const perSecond = Math.round(median(rates));
  console.log(
    options.json
      ? JSON.stringify({
        name: row.name,
        per_second: perSecond,
        ...(row.unit === undefined ? {} : { unit: row.unit }),
        ...FIGURES[row.name],
      })
      : `${row.name.padEnd(NAME_WIDTH)} ${perSecond.toLocaleString("en").padStart(10)} ${row.unit ?? "/s"}${
        beside(row)
      }`,
  );
}

/** What others, or we, said of the same thing. */
function beside({ name }: TimedRow | RateRow): string {
  const { seed, target } = FIGURES[name] ?? {};
  const figures = [
    ...(seed === undefined ? [] : [`seed ${seed}`]),
    ...(target === undefined ? [] : [`wanted ${target}`]),
  ];
  return figures.length === 0 ? "" : `   (${figures.join("; ")})`;
}

/** The time of one verification, over about as long as the sample took: what interrupts one interrupts the other. */
function timeOfVerify(duration: number): number {
  const start = performance.now();
  for (let count = 1;; count++) {
    verifyOnce();
    const elapsed = performance.now() - start;
    if (count >= VERIFIES_MIN && elapsed >= Math.min(duration, VERIFY_MS_MAX)) return elapsed / count;
  }
}

function prepareVerify(): () => void {
  const secret = new Uint8Array(32).fill(7), digest = new Uint8Array(32).fill(9);
  const key = secp256k1.getPublicKey(secret);
  const signature = secp256k1.sign(digest, secret, { prehash: false });
  const verify = () => {
    secp256k1.verify(signature, digest, key, { prehash: false });
  };
  for (let i = 0; i < 50; i++) verify();
  return verify;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
