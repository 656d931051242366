/**
 * `deno task sim-voting --seeds N [--first SEED]`: voting nodes under losses, partitions, crashes, clocks that differ, equivocators and
 * changes of members. Prints what came of them, and each seed that broke a promise.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Answer, COUNTED, type Counted, weatherOf } from "../tests/voting/sim_runs.ts";

interface Row {
  runs: number;
  readonly counts: Record<Counted, number>;
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: "string", default: "1000" },
      first: { type: "string", default: "0" },
      workers: { type: "string", default: String(navigator.hardwareConcurrency) },
    },
  });
  const [seeds, first, workers] = [Number(values.seeds), Number(values.first), Number(values.workers)];
  const startedAt = performance.now();
  const rows = new Map<string, Row>();
  let violations = 0;
  await runAll({ seeds, first, workers }, ({ seed, counts, violation }) => {
    const { n, quorum, equivocators, changes } = weatherOf(seed);
    const name = `${quorum}/${n}, ${equivocators} equivocators${changes ? ", members change" : ""}`;
    const row = rows.get(name) ?? { runs: 0, counts: emptyCounts() };
    rows.set(name, row);
    row.runs++;
    for (const kind of COUNTED) row.counts[kind] += counts[kind];
    if (violation === undefined) return;
    violations++;
    console.log(`VIOLATION deno task sim-voting --first ${seed} --seeds 1 (${name}): ${violation}`);
  });
  console.log(`${"".padEnd(38)}    runs${COUNTED.map((kind) => kind.padStart(10)).join("")}`);
  for (const [name, { runs, counts }] of [...rows].toSorted(([a], [b]) => a < b ? -1 : 1)) {
    const numbers = COUNTED.map((kind) => String(counts[kind]).padStart(10));
    console.log(`${name.padEnd(38)}${String(runs).padStart(8)}${numbers.join("")}`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${seeds} runs, ${violations} violations, ${seconds} s`);
  return violations === 0 ? 0 : 1;
}

/** Each worker gets its next seed when it has answered. */
async function runAll(
  { seeds, first, workers }: { readonly seeds: number; readonly first: number; readonly workers: number },
  take: (answer: Answer) => void,
): Promise<void> {
  let next = first;
  await Promise.all(Array.from({ length: Math.min(workers, seeds) }, async () => {
    const worker = new Worker(new URL("../tests/voting/sim_worker.ts", import.meta.url), { type: "module" });
    while (next < first + seeds) {
      const answer = Promise.withResolvers<Answer>();
      worker.onmessage = (event: MessageEvent<Answer>) => answer.resolve(event.data);
      worker.onerror = (event) => answer.reject(new Error(event.message));
      worker.postMessage(next++);
      take(await answer.promise);
    }
    worker.terminate();
  }));
}

function emptyCounts(): Record<Counted, number> {
  return Object.fromEntries(COUNTED.map((kind) => [kind, 0])) as Record<Counted, number>;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
