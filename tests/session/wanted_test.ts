import assert from "node:assert/strict";
import { agreeRandom } from "../../src/protocols/agree_random.ts";
import type { PartyId } from "../../src/base/brands.ts";
import { SessionLimits } from "../../src/session/limits.ts";
import { World } from "../sim/world.ts";

Deno.test("wanted says what peers have opened and nobody started here, as long as they wait", () => {
  const world = new World({ seed: "wanted", parties: 3, timeoutMs: 100_000 });
  const [alice, bob, carol] = world.parties as [PartyId, PartyId, PartyId];
  const input = { bits: 256, participants: world.parties };
  const wanted = (party: PartyId) =>
    world.host(party).wanted.map(({ peer, protocol, command }) => [peer, protocol, command]);
  world.host(alice).start(agreeRandom, input, { command: "agree\nrandom" });
  world.run(world.now + 1_000);
  world.host(carol).start(agreeRandom, input, { command: "the same" });
  world.run(world.now + 2_000);
  assert.deepEqual(wanted(bob), [
    [alice, "agree-random", "agree?random"],
    [carol, "agree-random", "the same"],
  ]);
  const [oldest, newest] = world.host(bob).wanted;
  assert.ok((oldest?.waitingMs ?? 0) > (newest?.waitingMs ?? 0));
  // Who started it waits, and is not waited for.
  assert.deepEqual(wanted(alice), []);

  world.start(bob, agreeRandom, input);
  world.run(world.now + 5_000);
  assert.deepEqual(wanted(bob), []);
});

Deno.test("wanted forgets what was opened too long ago, and leaves out what serves another session", () => {
  const world = new World({ seed: "forgotten", parties: 2, timeoutMs: 1_000_000 });
  const [alice, bob] = world.parties as [PartyId, PartyId];
  const input = { bits: 256, participants: world.parties };
  world.start(alice, { ...agreeRandom, auxiliary: true }, { ...input, bits: 128 });
  world.run(world.now + 1_000);
  assert.deepEqual(world.host(bob).wanted, []);
  world.start(alice, agreeRandom, input);
  world.run(world.now + 1_000);
  assert.equal(world.host(bob).wanted.length, 1);
  // Something else happens, for the clock to go on.
  world.start(bob, agreeRandom, { ...input, bits: 512 }, { delayMs: SessionLimits.openKeptMs });
  world.run(world.now + SessionLimits.openKeptMs + 1_000);
  assert.deepEqual(world.host(bob).wanted, []);
});
