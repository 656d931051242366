import assert from "node:assert/strict";
import { type Bytes, EMPTY } from "../../src/base/bytes.ts";
import { systemRng } from "../../src/base/rng.ts";
import { Heartbeat } from "../../src/transport/heartbeat.ts";
import { DEFAULT_LIMITS } from "../../src/transport/limits.ts";

/** A heartbeat whose intervals pass when the test says so; silence ends the link at the fourth. */
function beating() {
  const pings: Bytes[] = [];
  const timers: (() => void)[] = [];
  const state = { isPaused: false, dead: undefined as string | undefined, ticks: 0 };
  const heartbeat = new Heartbeat({
    limits: { ...DEFAULT_LIMITS, pingIntervalMs: 10, silenceMs: 40 },
    rng: systemRng,
    ping: (payload) => pings.push(payload),
    isPaused: () => state.isPaused,
    dead: (code) => state.dead = code,
    tick: () => state.ticks++,
    after: (_delayMs, callback) => timers.push(callback),
  });
  heartbeat.start();
  return { heartbeat, pings, state, tick: () => timers.shift()?.() };
}

Deno.test("Heartbeat asks each interval, and an answer is the round trip and a sign of both directions", () => {
  const { heartbeat, pings, state, tick } = beating();
  for (let i = 1; i <= 6; i++) {
    heartbeat.heard();
    tick();
    assert.equal(pings.length, i);
    heartbeat.receivePong(pings.at(-1) as Bytes);
  }
  assert.ok((heartbeat.rttMs ?? -1) >= 0 && (heartbeat.rttAverageMs ?? -1) >= 0);
  assert.deepEqual(heartbeat.directions, { in: "up", out: "up" });
  assert.deepEqual([state.dead, state.ticks], [undefined, 6]);
});

Deno.test("Heartbeat ends a silent link, and shows before that nothing is heard", () => {
  const { heartbeat, state, tick } = beating();
  heartbeat.heard();
  for (let i = 0; i < 3; i++) tick();
  assert.deepEqual(heartbeat.directions, { in: "down", out: "unknown" });
  tick();
  assert.equal(state.dead, undefined);
  tick();
  assert.equal(state.dead, "SILENT");
});

Deno.test("Heartbeat ends a link that is heard and answers nothing, or the wrong question", () => {
  const { heartbeat, pings, state, tick } = beating();
  const hear = () => {
    heartbeat.heard();
    heartbeat.receivePong(systemRng.bytes(8));
    tick();
  };
  for (let i = 0; i < 3; i++) hear();
  assert.equal(new Set(pings.map((ping) => ping.toHex())).size, 1, "one question at a time");
  assert.equal(pings.length, 3, "said again, so that the peer hears something");
  assert.deepEqual(heartbeat.directions, { in: "up", out: "down" });
  for (let i = 0; i < 2; i++) hear();
  assert.equal(state.dead, "ONE_WAY");
});

Deno.test("Heartbeat does not take a peer that is behind for one that is cut off, as long as it says so", () => {
  const { heartbeat, state, tick } = beating();
  assert.ok(heartbeat.receivePing(systemRng.bytes(8)), "a question is answered");
  for (let i = 0; i < 10; i++) {
    heartbeat.heard();
    assert.ok(!heartbeat.receivePing(EMPTY), "an empty one is not");
    assert.ok(heartbeat.isPeerBehind);
    tick();
  }
  assert.equal(state.dead, undefined);
  for (let i = 0; i < 7; i++) {
    heartbeat.heard();
    tick();
  }
  assert.equal(state.dead, "ONE_WAY");
});

Deno.test("Heartbeat says that it lives while nothing is read, and holds nothing against the peer meanwhile", () => {
  const { heartbeat, pings, state, tick } = beating();
  tick();
  state.isPaused = true;
  for (let i = 0; i < 10; i++) tick();
  assert.equal(state.dead, undefined);
  assert.deepEqual(pings.slice(1).map((ping) => ping.length), new Array(10).fill(0));
  assert.deepEqual(heartbeat.directions, { in: "up", out: "up" });
});

Deno.test("Heartbeat.probe() tells once whether the answer came in time", () => {
  const { heartbeat, pings, tick } = beating();
  const told: boolean[] = [];
  heartbeat.probe(5, (alive) => told.push(alive));
  heartbeat.receivePong(pings[0] as Bytes);
  tick(); // the first interval
  tick(); // the deadline of the probe
  assert.deepEqual(told, [true]);
});
