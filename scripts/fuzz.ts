/**
 * `deno task fuzz`: damaged encodings of everything that is read from peers, disks and operators.
 *
 * Prints how often each reader was fed and how often it accepted, and for a violation the input and the command that repeats
 * it.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { fuzz, judge, type Violation } from "../tests/fuzz/fuzz.ts";
import { makeTargets, type Target } from "../tests/fuzz/targets.ts";

const USAGE = `deno task fuzz [--seconds N] [--each] [--seed S] [TARGET...]
deno task fuzz --replay TARGET:HEX

  TARGET          readers whose names contain this (all)
  --seconds N     how long (30)
  --each          that long for each reader, one after the other
  --seed S        the same seed gives the same inputs; default: a new one, which is printed
  --replay T:HEX  feeds one input, as a violation printed it`;

async function main(args: string[]): Promise<number> {
  const options = read(args);
  if (options === undefined) {
    console.error(USAGE);
    return 64;
  }
  const all = await makeTargets(options.seed);
  const { wanted } = options;
  const targets = all.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  if (targets.length === 0) {
    console.error(`TARGET is one of ${all.map(({ name }) => name).join("; ")}`);
    return 64;
  }
  if (options.replay !== undefined) return replay(targets, options.replay);
  console.log(`seed ${options.seed}`);
  for (const group of options.each ? targets.map((target) => [target]) : [targets]) {
    const violation = feed(group, options);
    if (violation !== undefined) return report(violation, options.seed);
  }
  return 0;
}

function feed(targets: readonly Target[], options: Options): Violation | undefined {
  const endsAt = performance.now() + options.seconds * 1000;
  const { tallies, violation } = fuzz(targets, options.seed, () => performance.now() < endsAt);
  for (const [name, { cases, accepted }] of tallies) {
    console.log(`${name.padEnd(NAME_WIDTH)} ${String(cases).padStart(9)} inputs, ${accepted} accepted`);
  }
  return violation;
}

function report(violation: Violation, seed: string): number {
  const { target, input, what } = violation;
  console.error(
    `VIOLATION, seed ${seed}: ${target}: ${what}\ndeno task fuzz --replay '${target}:${input.toHex()}'`,
  );
  return 1;
}

function replay(targets: readonly Target[], text: string): number {
  const [name, hexadecimal] = text.split(":");
  const target = targets.find((candidate) => candidate.name === name);
  if (target === undefined || hexadecimal === undefined || !/^([0-9a-f]{2})*$/.test(hexadecimal)) {
    console.error(`TARGET is one of ${targets.map(({ name }) => name).join("; ")}`);
    return 64;
  }
  const verdict = judge(target, Uint8Array.fromHex(hexadecimal));
  console.log(typeof verdict === "string" ? verdict : `VIOLATION: ${verdict.what}`);
  return typeof verdict === "string" ? 0 : 1;
}

interface Options {
  readonly seconds: number;
  readonly each: boolean;
  readonly seed: string;
  readonly replay: string | undefined;
  /** Parts of names. */
  readonly wanted: readonly string[];
}

function read(args: string[]): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        seconds: { type: "string" },
        each: { type: "boolean", default: false },
        seed: { type: "string" },
        replay: { type: "string" },
      },
    });
    const seconds = Number(values.seconds ?? "30");
    if (!(seconds > 0 && seconds <= 86_400)) return undefined;
    const seed = values.seed ?? crypto.getRandomValues(new Uint8Array(4)).toHex();
    return { seconds, each: values.each, seed, replay: values.replay, wanted: positionals };
  } catch {
    return undefined;
  }
}

const NAME_WIDTH = 48;

if (import.meta.main) Deno.exit(await main(Deno.args));
