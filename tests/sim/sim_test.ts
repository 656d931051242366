/**
 * A short version of `deno task sim`: random plans, and every adversary in every place where that is cheap.
 */

import assert from "node:assert/strict";
import { everyPlan, execute, type Filter, formatPlan, type Plan, randomPlan } from "./runner.ts";
import { LIE_NAMES } from "./lies.ts";
import { type ProtocolName, PROTOCOLS, sizesOf } from "./scenarios.ts";

function check(plans: Iterable<Plan>): void {
  for (const plan of plans) {
    const { violations } = execute(plan);
    assert.deepEqual(violations, [], `deno task sim --replay ${formatPlan(plan)}`);
  }
}

/** How many seeds of each protocol, and where every adversary is tried in every place; the rest is in `deno task sim`. */
const SEEDS: Readonly<Record<ProtocolName, number>> = {
  "agree-random": 20,
  "agree-nonce": 10,
  dkg: 15,
  pair: 3,
  "ecdsa-sign": 20,
  refresh: 10,
  reshare: 10,
  repair: 6,
  "frost-dkg": 6,
  "frost-sign": 6,
  "frost-refresh": 6,
  "frost-repair": 6,
};
/** One size is enough to see that nothing in them depends on the clock or on chance. */
const SLOW: ReadonlySet<ProtocolName> = new Set(PROTOCOLS.slice(PROTOCOLS.indexOf("pair")));
const EVERY: readonly Filter[] = [
  { protocol: "agree-random", parties: 2 },
  { protocol: "agree-random", parties: 3 },
  { protocol: "agree-nonce", parties: 3 },
  { protocol: "dkg", parties: 2 },
  { protocol: "dkg", parties: 3 },
  { protocol: "ecdsa-sign", parties: 2 },
  { protocol: "ecdsa-sign", parties: 3 },
];

for (const protocol of PROTOCOLS) {
  Deno.test(`sim: ${protocol} under random lies`, () => {
    check(Array.from({ length: SEEDS[protocol] }, (_, seed) => randomPlan(seed, { protocol })));
  });

  Deno.test(`sim: ${protocol} leaves the same trace when it runs again from one seed`, () => {
    for (const parties of SLOW.has(protocol) ? [sizesOf(protocol)[0]] as [number] : sizesOf(protocol)) {
      const plan = { ...randomPlan(1, { protocol, parties, adversary: "none" }) };
      const [first, again] = [execute(plan), execute(plan)];
      assert.equal(first.aborted, 0);
      assert.equal(first.trace, again.trace);
      assert.notEqual(execute({ ...plan, seed: "another" }).trace, first.trace);
    }
  });
}

for (const filter of EVERY) {
  Deno.test(`sim: every lie in every place of ${filter.protocol} with ${filter.parties} parties`, () => {
    check(everyPlan(filter, 7));
  });
}

for (const protocol of PROTOCOLS.slice(PROTOCOLS.indexOf("refresh"))) {
  Deno.test(`sim: every lie that only ${protocol} knows`, () => {
    const known = new Set<string>(LIE_NAMES);
    const plans = [...everyPlan({ protocol, parties: 3 }, 50)].filter(({ adversary }) =>
      known.has(adversary)
    );
    check(plans);
    // Each of them by somebody else, too: who deals and who only receives are told different things.
    for (const corrupt of [2, 3]) check(plans.map((plan) => ({ ...plan, corrupt, target: 1 })));
  });
}

Deno.test("sim: who fails a check in signing is banned by those who saw it, with either kind of key", () => {
  const bansOf = (filter: Filter) =>
    [...everyPlan({ parties: 3, ...filter })].map((plan) => ({ plan, ...execute(plan) }))
      .filter(({ named }) => named);
  for (
    const filter of [
      { protocol: "ecdsa-sign", adversary: "flip" },
      { protocol: "frost-sign", adversary: "flip" },
    ] as const
  ) {
    const named = bansOf(filter);
    assert.ok(named.length > 0, filter.protocol);
    for (const { plan, bans } of named) {
      // A failed check of oblivious transfer bans the pair, in this epoch.
      if (plan.place.round > 1 || filter.protocol === "frost-sign") assert.ok(bans > 0, formatPlan(plan));
    }
  }
});
