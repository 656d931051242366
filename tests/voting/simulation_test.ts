import assert from "node:assert/strict";
import { WEATHERS, World } from "./world.ts";

/** More of them: deno task sim-voting. */
const SEEDS = 3;

for (const weather of WEATHERS) {
  const { n, quorum, equivocators, changes } = weather;
  const change = changes ? ", and the members change" : "";
  Deno.test(`simulation: ${quorum} of ${n} with ${equivocators} equivocators never decide twice, blame nobody who is honest, and agree${change}`, () => {
    let decisions = 0, offences = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      // One with real signatures; stand-ins take a fraction of the time.
      const world = new World(`${n}/${quorum}/${seed}`, weather, { isQuick: seed > 0 });
      try {
        world.run();
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      decisions += world.count("decided");
      offences += world.count("offence");
    }
    assert.ok(decisions > 0, "there are decisions at all");
    assert.equal(offences > 0, equivocators > 0, "equivocators are found out");
  });
}
