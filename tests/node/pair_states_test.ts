import assert from "node:assert/strict";
import { keyId, partyId, sessionId } from "../../src/base/brands.ts";
import { seededRng } from "../../src/base/rng.ts";
import { PairStates } from "../../src/node/pair_states.ts";
import { PairState } from "../../src/protocols/ecdsa/pair_state.ts";
import { dealTrees } from "../protocols/ecdsa/support.ts";
import { BOB, fakeKey, id, Place, withKey } from "../storage/fixture.ts";

const KEY = fakeKey({ name: "treasury" });
const PAIR = { keyId: keyId(KEY.keyId), epoch: 0, peer: BOB };

function stateOf(seed: string): PairState {
  const rng = seededRng(seed);
  return new PairState({
    ...PAIR,
    self: partyId(1),
    psidLow: rng.bytes(32),
    psidHigh: rng.bytes(32),
    zeroSeed: rng.bytes(32),
    ...dealTrees(rng).receiver,
    ...dealTrees(rng).sender,
  });
}

function put(states: PairStates, state: PairState): void {
  using encoded = state.encode();
  states.write({ kind: "pair", ...PAIR, state: encoded });
}

Deno.test("a burn erases the state that sessions hold, and the pair has none from then on", () => {
  using place = new Place();
  using store = place.open();
  withKey(store);
  using states = new PairStates(store);
  put(states, stateOf("first"));
  const held = states.get(PAIR);
  assert(held !== undefined && states.get(PAIR) === held && !states.isBurned(PAIR));

  const burn = { sid: sessionId(id("sid")), messageHash: id("message"), reason: "test" };
  states.write({ kind: "burn", ...PAIR, ...burn });
  assert.throws(() => held.expose(), { code: "INVARIANT" });
  assert.equal(states.get(PAIR), undefined);
  assert(states.isBurned(PAIR));
});

Deno.test("a state that was replaced stays whole for the sessions that hold it, until all end", () => {
  using place = new Place();
  using store = place.open();
  withKey(store);
  const states = new PairStates(store);
  put(states, stateOf("first"));
  const former = states.get(PAIR);
  put(states, stateOf("second"));
  const current = states.get(PAIR);
  assert(former !== undefined && current !== undefined);
  assert.deepEqual(former.tag, stateOf("first").tag);
  assert.deepEqual(current.tag, stateOf("second").tag);

  states[Symbol.dispose]();
  for (const state of [former, current]) assert.throws(() => state.expose(), { code: "INVARIANT" });
});
