/**
 * `deno task sim-voting --seeds N [--first SEED]`: voting nodes under losses, partitions, crashes and equivocators. Prints what came of
 * them, and each seed that broke a promise.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { WEATHERS, World } from "../tests/voting/world.ts";

function main(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: { seeds: { type: "string", default: "1000" }, first: { type: "string", default: "0" } },
  });
  const [seeds, first] = [Number(values.seeds), Number(values.first)];
  const startedAt = performance.now();
  let violations = 0, decisions = 0, offences = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const weather = WEATHERS[seed % WEATHERS.length] as typeof WEATHERS[number];
    const name = `${weather.n}/${weather.quorum}/${weather.equivocators}/${seed}`;
    const world = new World(name, weather);
    try {
      world.run();
    } catch (error) {
      violations++;
      console.log(
        `VIOLATION --first ${seed} --seeds 1 (${name}): ${error instanceof Error ? error.message : error}`,
      );
    }
    decisions += world.effects.filter(({ kind }) => kind === "decided").length;
    offences += world.effects.filter(({ kind }) => kind === "offence").length;
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(
    `${seeds} runs, ${decisions} decisions, ${offences} offences recorded, ${violations} violations, ${seconds} s`,
  );
  return violations === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(main(Deno.args));
