import assert from "node:assert/strict";
import { partyId, sessionId } from "../../src/base/brands.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { SessionMonitor } from "../../src/telemetry/sessions.ts";

const NAMES = ["", "alice", "bob", "carol"];
const [ALICE, BOB, CAROL] = [partyId(1), partyId(2), partyId(3)];
const PURPOSE = { command: "key sign --key treasury", key: "treasury" };

const OPENING: SessionEvent = {
  kind: "opening",
  protocol: "sign",
  round: 0,
  rounds: 2,
  roundName: "agreeing on what is done",
  participants: [ALICE, BOB, CAROL],
  waitingFor: [BOB, CAROL],
  deadlineMs: 30_000,
};
const ROUND: SessionEvent = {
  ...OPENING,
  kind: "round",
  sid: sessionId(new Uint8Array(32).fill(0xab)),
  round: 1,
  roundName: "commit",
};
const DONE: SessionEvent = { ...ROUND, kind: "done", round: 2, waitingFor: [], deadlineMs: 0 };

function monitored() {
  const clock = { now: 1_000_000 };
  const metrics = new Metrics();
  const monitor = new SessionMonitor({
    metrics,
    nameOf: (party) => NAMES[party] as string,
    signing: new Set(["sign"]),
    now: () => clock.now,
  });
  return { monitor, metrics, clock };
}

Deno.test("SessionMonitor shows what a session is doing, since when, and when it ends unless something comes", () => {
  const { monitor, clock } = monitored();
  monitor.note(7, OPENING, PURPOSE);
  const opening = {
    ...PURPOSE,
    number: 7,
    session: undefined,
    id: undefined,
    protocol: "sign",
    state: "opening",
    round: 0,
    rounds: 2,
    roundName: "agreeing on what is done",
    participants: ["alice", "bob", "carol"],
    waitingFor: ["bob", "carol"],
    startedAt: 1_000_000,
    lastActivityAt: 1_000_000,
    expiresAt: 1_030_000,
  };
  assert.deepEqual(monitor.active, [opening]);
  clock.now += 5_000;
  monitor.note(7, { ...ROUND, waitingFor: [CAROL] }, PURPOSE);
  assert.deepEqual(monitor.active, [{
    ...opening,
    session: "abababab",
    id: "ab".repeat(32),
    state: "round",
    round: 1,
    roundName: "commit",
    waitingFor: ["carol"],
    lastActivityAt: 1_005_000,
    expiresAt: 1_035_000,
  }]);
  assert.deepEqual(monitor.recent, []);
});

Deno.test("SessionMonitor keeps no session that is over among those that run, and few that are over at all", () => {
  const { monitor, metrics } = monitored();
  const error = new TransportError("TIMEOUT", "carol did not answer", { parties: [CAROL] });
  for (let number = 1; number <= 50; number++) {
    monitor.note(number, OPENING, PURPOSE);
    monitor.note(number, { ...OPENING, kind: "failed", error, waitingFor: [] }, PURPOSE);
  }
  assert.deepEqual(monitor.active, []);
  assert.deepEqual(monitor.recent.map(({ number }) => number), Array.from({ length: 32 }, (_, i) => 50 - i));
  assert.deepEqual(monitor.recent[0]?.error, { code: "TIMEOUT", message: "carol did not answer" });
  assert.match(metrics.text(), /^quorate_session_active\{protocol="sign"\} 0$/m);
});

Deno.test("SessionMonitor takes a frame that was dropped for no sign of life", () => {
  const { monitor, clock } = monitored();
  monitor.note(1, ROUND, PURPOSE);
  const before = monitor.active;
  clock.now += 1_000;
  monitor.note(1, { ...ROUND, kind: "dropped", peer: BOB, why: "late" }, PURPOSE);
  monitor.note(2, { ...ROUND, kind: "dropped", peer: BOB, why: "late" }, PURPOSE);
  assert.deepEqual(monitor.active, before);
});

Deno.test("SessionMonitor counts sessions, rounds, waits and signatures", () => {
  const { monitor, metrics, clock } = monitored();
  monitor.note(1, OPENING, PURPOSE);
  monitor.note(2, { ...OPENING, protocol: "dkg" }, PURPOSE);
  const text = () => metrics.text();
  assert.match(text(), /^quorate_session_active\{protocol="sign"\} 1$/m);
  assert.match(text(), /^quorate_session_active\{protocol="dkg"\} 1$/m);
  clock.now += 1_000;
  monitor.note(1, ROUND, PURPOSE);
  clock.now += 200;
  monitor.note(1, { ...ROUND, waitingFor: [CAROL] }, PURPOSE);
  clock.now += 1_800;
  monitor.note(1, DONE, PURPOSE);
  assert.match(text(), /^quorate_session_total\{protocol="sign",outcome="ok",reason=""\} 1$/m);
  assert.match(text(), /^quorate_signatures_total\{protocol="sign"\} 1$/m);
  assert.match(text(), /^quorate_session_duration_seconds_sum\{protocol="sign"\} 3$/m);
  assert.match(text(), /^quorate_round_duration_seconds_sum\{protocol="sign",round="0"\} 1$/m);
  assert.match(text(), /^quorate_round_duration_seconds_sum\{protocol="sign",round="1"\} 2$/m);
  // Bob was waited for while the session opened, and for the first 200 ms of the round; carol until its end.
  assert.match(text(), /^quorate_round_wait_seconds_sum\{peer="bob"\} 1\.2$/m);
  assert.match(text(), /^quorate_round_wait_seconds_sum\{peer="carol"\} 3$/m);

  const unknown = new TransportError("OUTCOME_UNKNOWN", "a signature may exist", { parties: [] });
  monitor.note(3, ROUND, PURPOSE);
  monitor.note(3, { ...ROUND, kind: "failed", error: unknown, waitingFor: [] }, PURPOSE);
  const evidence = [{ culprit: BOB, kind: "EQUIVOCATION" }] as unknown as NonNullable<
    SessionEvent["evidence"]
  >;
  const failed = new TransportError("TIMEOUT", "late", { parties: [] });
  monitor.note(2, { ...OPENING, protocol: "dkg", kind: "failed", error: failed, evidence }, PURPOSE);
  assert.match(text(), /outcome="unknown",reason="OUTCOME_UNKNOWN"\} 1$/m);
  assert.match(text(), /^quorate_session_total\{protocol="dkg",outcome="failed",reason="TIMEOUT"\} 1$/m);
  assert.match(text(), /^quorate_byzantine_evidence_total\{peer="bob",kind="EQUIVOCATION"\} 1$/m);
  assert.doesNotMatch(text(), /signatures_total\{protocol="dkg"\}/);
});
