import assert from "node:assert/strict";
import { partyId, sessionId } from "../../src/base/brands.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { PartyAudit } from "../../src/node/audit.ts";
import { logLink, logSession, refusalsOf } from "../../src/node/daemon_log.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import type { Roster } from "../../src/session/roster.ts";
import { Log, type LogLevel } from "../../src/telemetry/log.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { LinkFault } from "../../src/transport/faults.ts";
import type { MeshEvent } from "../../src/transport/mesh.ts";

const ROSTER = { nameOf: (party: number) => ["", "alice", "bob"][party] } as unknown as Roster;
const EVENT: SessionEvent = {
  kind: "round",
  protocol: "sign",
  sid: sessionId(new Uint8Array(32).fill(0xab)),
  round: 1,
  rounds: 3,
  roundName: "commit",
  participants: [partyId(1), partyId(2)],
  waitingFor: [partyId(2)],
  deadlineMs: 1000,
};

function logged(level: LogLevel = "debug") {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => {
    const { ts: _ts, party: _party, cluster: _cluster, ...rest } = JSON.parse(line);
    lines.push(rest);
  };
  return { lines, log: new Log({ party: "alice", cluster: "demo", format: "json", level, write }) };
}

Deno.test("logSession() says what a session does, with its id, whom it waits for and what it is for", () => {
  const { lines, log } = logged();
  const purpose = { command: "key sign", key: "treasury" };
  logSession(log, ROSTER, EVENT, purpose);
  const fields = { protocol: "sign", round: 1, waiting: ["bob"], ...purpose };
  assert.deepEqual([...lines], [{
    level: "debug",
    msg: "sign runs: 1/3 commit",
    code: "SESSION_ROUND",
    session: "abababab",
    ...fields,
  }]);
  const error = new TransportError("TIMEOUT", "bob did not answer", { parties: [partyId(2)] });
  logSession(log, ROSTER, { ...EVENT, kind: "failed", error }, purpose);
  assert.deepEqual([lines[1]?.["level"], lines[1]?.["code"], lines[1]?.["msg"]], [
    "warn",
    "TIMEOUT",
    "sign failed: bob did not answer",
  ]);
  const { sid: _sid, ...early } = EVENT;
  logSession(log, ROSTER, { ...early, kind: "dropped", peer: partyId(2), why: "late" }, purpose);
  assert.deepEqual([lines[2]?.["session"], lines[2]?.["peer"], lines[2]?.["msg"]], [
    undefined,
    "bob",
    "sign left a message out: late",
  ]);
});

Deno.test("logSession() leaves the rounds out of a log that is not to have them, and says every end", () => {
  const { lines, log } = logged("info");
  for (const kind of ["opening", "mending", "round", "dropped", "done", "failed"] as const) {
    logSession(log, ROSTER, { ...EVENT, kind }, { command: "x" });
  }
  assert.deepEqual(lines.map(({ code, msg }) => [code, msg]), [
    ["SESSION_DONE", "sign is done"],
    ["SESSION_FAILED", "sign failed: 1/3 commit"],
  ]);
});

Deno.test("logLink() warns of what is not as it should be", () => {
  const { lines, log } = logged();
  for (const code of ["LINK_UP", "SHUTDOWN", "RELOADED", "PIN_MISMATCH", "HEARTBEAT"]) {
    logLink(log, { code, peer: "bob", direction: "out", address: "x:1", text: "it happened" });
  }
  assert.deepEqual(lines.map(({ level }) => level), ["info", "info", "info", "warn", "warn"]);
  assert.deepEqual([lines[0]?.["peer"], lines[0]?.["dir"], lines[0]?.["address"]], ["bob", "out", "x:1"]);
});

Deno.test("refusalsOf() records and counts every refusal, and floods no log", () => {
  const { lines, log } = logged();
  const recorded: MeshEvent[] = [];
  const audit = { link: (event: MeshEvent) => void recorded.push(event) } as unknown as PartyAudit;
  const metrics = new Metrics();
  const refused = refusalsOf({ audit, metrics, log });
  for (let i = 0; i < 100; i++) refused(new LinkFault("CERT_NAME"), "10.0.0.9:1");
  refused(new LinkFault("CERT_MISSING"), "10.0.0.9:1");
  assert.equal(recorded.length, 101);
  assert.equal(recorded[0]?.direction, "in");
  assert.match(metrics.text(), /^quorate_operators_refused_total\{reason="CERT_NAME"\} 100$/m);
  assert.deepEqual(lines.map(({ code, address }) => [code, address]), [
    ["CERT_NAME", "10.0.0.9:1"],
    ["CERT_MISSING", "10.0.0.9:1"],
  ]);
});
