/**
 * `deno task sim`: every protocol under every adversary in a simulated network.
 *
 * Runs random plans, one per seed, and then every adversary in every place of every protocol once. Prints what came of them,
 * and for each violation the command that repeats it.
 *
 * @module
 */

import { parseArgs } from "node:util";
import {
  ADVERSARY_NAMES,
  everyPlan,
  execute,
  type Filter,
  formatPlan,
  parsePlan,
  type Plan,
  randomPlan,
  type Verdict,
} from "../tests/sim/runner.ts";
import { type ProtocolName, PROTOCOLS, SIZES } from "../tests/sim/scenarios.ts";
import type { Answer } from "../tests/sim/worker.ts";

const USAGE =
  `deno task sim [--seeds N] [--first SEED] [--protocol P] [--parties N] [--adversary A] [--no-every]
deno task sim --replay PLAN

  --seeds N       random plans, one per seed (100)
  --first SEED    the first seed (1)
  --protocol P    ${PROTOCOLS.join(", ")}
  --parties N     ${SIZES.join(", ")}
  --adversary A   ${ADVERSARY_NAMES.join(", ")}
  --no-every      leaves out the enumeration of every adversary in every place
  --replay PLAN   repeats one run, as a violation printed it`;

interface Row {
  runs: number;
  finished: number;
  aborted: number;
  named: number;
}

async function main(args: string[]): Promise<number> {
  const options = read(args);
  if (typeof options === "string") {
    console.error(`${options}\n\n${USAGE}`);
    return 64;
  }
  if (options.replay !== undefined) return replay(options.replay);
  const plans: Plan[] = [];
  for (let seed = options.first; seed < options.first + options.seeds; seed++) {
    plans.push(randomPlan(seed, options.filter));
  }
  if (options.every) plans.push(...everyPlan(options.filter, CRASH_STEPS_EVERY));
  const startedAt = performance.now();
  const rows = new Map<string, Row>();
  const violations: Answer[] = [];
  await runAll(plans, ({ plan, verdict }) => {
    count(rows, parsePlan(plan), verdict);
    if (verdict.violations.length > 0) violations.push({ plan, verdict });
  });
  print(rows);
  for (const { plan, verdict } of violations) {
    for (const violation of verdict.violations) console.error(`VIOLATION ${violation}`);
    console.error(`  deno task sim --replay ${plan}`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${plans.length} runs (${options.seeds} seeds), ${violations.length} violations, ${seconds} s`);
  return violations.length > 0 ? 1 : 0;
}

function read(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seeds: { type: "string", default: "100" },
        first: { type: "string", default: "1" },
        protocol: { type: "string" },
        parties: { type: "string" },
        adversary: { type: "string" },
        "no-every": { type: "boolean", default: false },
        replay: { type: "string" },
      },
    });
    const { protocol, parties, adversary } = values;
    const seeds = Number(values.seeds), first = Number(values.first);
    if (!Number.isSafeInteger(seeds) || seeds < 0) return `--seeds is a number: found ${values.seeds}`;
    if (!Number.isSafeInteger(first)) return `--first is a number: found ${values.first}`;
    if (protocol !== undefined && !PROTOCOLS.includes(protocol as ProtocolName)) {
      return `no protocol ${protocol}`;
    }
    if (parties !== undefined && !SIZES.some((size) => `${size}` === parties)) return `no size ${parties}`;
    if (adversary !== undefined && !ADVERSARY_NAMES.includes(adversary)) return `no adversary ${adversary}`;
    const filter: Filter = {
      ...(protocol === undefined ? {} : { protocol: protocol as ProtocolName }),
      ...(parties === undefined ? {} : { parties: Number(parties) }),
      ...(adversary === undefined ? {} : { adversary }),
    };
    return { seeds, first, filter, every: !values["no-every"], replay: values.replay };
  } catch (error) {
    return (error as Error).message;
  }
}

function replay(plan: string): number {
  const verdict = execute(parsePlan(plan));
  console.log(JSON.stringify(verdict, undefined, 2));
  return verdict.violations.length > 0 ? 1 : 0;
}

/** One worker per core; each gets its next plan when it has answered. */
async function runAll(plans: readonly Plan[], take: (answer: Answer) => void): Promise<void> {
  const waiting = plans.values();
  const cores = Math.max(1, navigator.hardwareConcurrency);
  await Promise.all(Array.from({ length: Math.min(cores, plans.length) }, async () => {
    const worker = new Worker(new URL("../tests/sim/worker.ts", import.meta.url), { type: "module" });
    for (const plan of waiting) {
      const answer = Promise.withResolvers<Answer>();
      worker.onmessage = (event: MessageEvent<Answer>) => answer.resolve(event.data);
      worker.onerror = (event) => answer.reject(new Error(event.message));
      worker.postMessage(formatPlan(plan));
      take(await answer.promise);
    }
    worker.terminate();
  }));
}

function count(rows: Map<string, Row>, { protocol, parties, adversary }: Plan, verdict: Verdict): void {
  const key = `${protocol.padEnd(13)} ${parties}  ${adversary.padEnd(15)}`;
  const row = rows.get(key) ?? { runs: 0, finished: 0, aborted: 0, named: 0 };
  row.runs++;
  row.finished += verdict.finished;
  row.aborted += verdict.aborted;
  row.named += verdict.named ? 1 : 0;
  rows.set(key, row);
}

/** Runs are runs; finished and aborted count the honest sessions in them; named the runs in which the liar was. */
function print(rows: ReadonlyMap<string, Row>): void {
  console.log("protocol      n  adversary         runs  finished  aborted  named");
  for (const [key, row] of [...rows].toSorted(([a], [b]) => a < b ? -1 : 1)) {
    const numbers = [
      `${row.runs}`.padStart(6),
      `${row.finished}`.padStart(10),
      `${row.aborted}`.padStart(9),
      `${row.named}`.padStart(7),
    ];
    console.log(`${key}${numbers.join("")}`);
  }
}

/** Crashes of the enumeration are at every so many steps; random seeds fill the gaps. */
const CRASH_STEPS_EVERY = 5;

if (import.meta.main) Deno.exitCode = await main(Deno.args);
