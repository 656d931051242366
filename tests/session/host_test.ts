import assert from "node:assert/strict";
import type { PartyId } from "../../src/base/brands.ts";
import type { QuorateError } from "../../src/base/errors.ts";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import type { Definition } from "../../src/protocols/protocol.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { FrameType } from "../../src/session/links.ts";
import { type Passing, type Slot, World } from "../sim/world.ts";

function startAll(world: World, bits = 256, skip: readonly PartyId[] = []): Map<PartyId, Slot<unknown>> {
  const slots = new Map<PartyId, Slot<unknown>>();
  for (const party of world.parties) {
    if (skip.includes(party)) continue;
    slots.set(
      party,
      world.start(party, agreeRandom as Definition<unknown, unknown>, { bits, participants: world.parties }),
    );
  }
  return slots;
}

function values(slots: Map<PartyId, Slot<unknown>>): string[] {
  return [...slots.values()].map((slot) => {
    assert.ok(
      slot.outcome?.ok,
      `failed: ${slot.outcome?.ok === false ? slot.outcome.error.message : "nothing"}`,
    );
    return (slot.outcome.value as Uint8Array).toHex();
  });
}

function failure(slot: Slot<unknown> | undefined): QuorateError {
  assert.ok(slot?.outcome?.ok === false, "should have failed");
  return slot.outcome.error;
}

for (const parties of [2, 3, 5, 7]) {
  Deno.test(`SessionHost: ${parties} parties agree on randomness and all settle`, () => {
    const world = new World({ seed: `agree-${parties}`, parties });
    const slots = startAll(world);
    world.run();
    assert.equal(new Set(values(slots)).size, 1);
    for (const slot of slots.values()) assert.equal(slot.settled?.all, true);
  });
}

Deno.test("SessionHost: two runs from one seed leave the same trace", () => {
  const traces = ["a", "a", "b"].map((seed) => {
    const world = new World({ seed, parties: 3 });
    startAll(world);
    world.run();
    return world.trace;
  });
  assert.equal(traces[0], traces[1]);
  assert.notEqual(traces[0], traces[2]);
});

Deno.test("SessionHost: a party that starts late is waited for, one that never starts is named", () => {
  const world = new World({ seed: "late", parties: 3 });
  const [a, b, c] = world.parties as [PartyId, PartyId, PartyId];
  const input = { bits: 256, participants: world.parties };
  const slots = new Map<PartyId, Slot<unknown>>([
    [a, world.start(a, agreeRandom, input)],
    [b, world.start(b, agreeRandom, input, { delayMs: 5_000 })],
    [c, world.start(c, agreeRandom, input, { delayMs: 29_000 })],
  ]);
  world.run();
  assert.equal(new Set(values(slots)).size, 1);

  const other = new World({ seed: "never", parties: 3 });
  const rest = startAll(other, 256, [c]);
  other.run();
  for (const slot of rest.values()) {
    const error = failure(slot);
    assert.equal(error.code, "TIMEOUT");
    assert.match(error.message, /^carol did not answer before the first round/);
  }
});

Deno.test("SessionHost: an OPEN of a session that is over opens no other one, until very many were used", () => {
  const opens: Passing[] = [];
  const world = new World({
    seed: "used",
    parties: 2,
    intercept(passing) {
      if (passing.frame.type === FrameType.OPEN && passing.from === 1) opens.push(passing);
      return [{ frame: passing.frame }];
    },
  });
  const [, bob] = world.parties as [PartyId, PartyId];
  const input = { bits: 256, participants: world.parties };
  // What bob does when alice's OPEN comes once more: nothing, or wait for the rest of that session.
  const seen: number[] = [];
  const looking: typeof agreeRandom = {
    ...agreeRandom,
    unsettled(_input, _self, offers) {
      seen.push(offers.size);
      return { mine: [], others: [] };
    },
  };
  const again = () => {
    const dropped = world.host(bob).dropped;
    world.inject(opens[0] as Passing);
    world.run(world.now + 1_000);
    seen.length = 0;
    world.start(bob, looking, input);
    world.run(world.now + 100_000);
    return { dropped: world.host(bob).dropped - dropped, seen: Math.max(...seen) };
  };
  startAll(world);
  world.run();
  assert.deepEqual(again(), { dropped: 1, seen: 1 });

  for (let i = 0; i < SessionLimits.usedNoncesMax; i++) {
    startAll(world);
    world.run(world.now + 100_000);
  }
  assert.deepEqual(again(), { dropped: 0, seen: 2 });
});
