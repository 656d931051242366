import assert from "node:assert/strict";
import { Progress } from "../../cli/progress.ts";
import { partyId, sessionId } from "../../src/base/brands.ts";
import { TransportError } from "../../src/base/errors.ts";
import type { SessionEvent } from "../../src/session/context.ts";
import { Cluster } from "../node/fixture.ts";

const EVENT: SessionEvent = {
  kind: "round",
  protocol: "dkg",
  sid: sessionId(new Uint8Array(32).fill(0x7f)),
  round: 2,
  rounds: 3,
  roundName: "open",
  participants: [partyId(1), partyId(2)],
  waitingFor: [partyId(2)],
  deadlineMs: 11_400,
};

Deno.test("Progress writes one JSON line per transition where there is no terminal", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const lines: string[] = [];
  const progress = new Progress(cluster.config, "alice", {
    terminal: false,
    write: (text) => lines.push(text),
  });
  progress.session(EVENT);
  const error = new TransportError("TIMEOUT", "bob did not answer");
  progress.session({ ...EVENT, kind: "failed", error });
  progress.warn("a pair is not set up yet");
  progress.waitForProcess({ pid: 7, bootId: "00", command: "key sign" });
  progress.end();
  const records = lines.map((line) => {
    assert.ok(line.endsWith("\n"));
    const { ts, ...record } = JSON.parse(line);
    assert.ok(!Number.isNaN(Date.parse(ts)));
    return record;
  });
  const common = {
    party: "alice",
    protocol: "dkg",
    session: "7f7f7f7f",
    round: 2,
    rounds: 3,
    name: "open",
    waiting: ["bob"],
    deadlineMs: 11400,
  };
  assert.deepEqual(records, [
    { ...common, level: "info", event: "round" },
    { ...common, level: "error", event: "failed", code: "TIMEOUT", text: "bob did not answer" },
    { party: "alice", level: "warn", code: "WARNING", text: "a pair is not set up yet" },
    {
      party: "alice",
      level: "info",
      code: "PARTY_BUSY",
      text: 'waiting for "key sign" (process 7) of alice',
    },
  ]);
});

Deno.test("Progress says a repeated link event once", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const lines: string[] = [];
  const progress = new Progress(cluster.config, "alice", {
    terminal: false,
    write: (text) => lines.push(text),
  });
  const refused = { code: "DIAL_FAILED", peer: "bob", direction: "out", text: "no connection" } as const;
  for (let i = 0; i < 5; i++) progress.link(refused);
  progress.link({ ...refused, code: "LINK_UP", text: "up" });
  progress.link(refused);
  assert.equal(lines.length, 3);
});

Deno.test("Progress tells links that fail from links that come and go", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  const lines: string[] = [];
  const progress = new Progress(cluster.config, "alice", {
    terminal: false,
    write: (text) => lines.push(text),
  });
  progress.link({ code: "LINK_UP", peer: "bob", direction: "out", text: "up" });
  progress.link({ code: "PIN_MISMATCH", direction: "in", address: "127.0.0.1:1", text: "none of the pins" });
  assert.deepEqual(lines.map((line) => JSON.parse(line).level), ["info", "warn"]);
});

Deno.test("Progress keeps one live line on a terminal, and is off it when a session ends", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  let shown = "";
  const progress = new Progress(cluster.config, "alice", {
    terminal: true,
    columns: 0,
    write: (text) => shown += text,
  });
  progress.session(EVENT);
  assert.equal(shown, "\r\x1b[Kdkg 7f7f7f7f r2/3 ●●○ waiting: bob deadline 12 s");
  progress.session({ ...EVENT, kind: "dropped" });
  shown = "";
  progress.session({ ...EVENT, kind: "done", round: 3, waitingFor: [] });
  progress.end();
  progress.link({ code: "LINK_UP", text: "up" });
  assert.equal(shown, "\r\x1b[K", "a result is printed on an empty line");
});

Deno.test("Progress shows what is wrong with a link at once, and never more than one line", async () => {
  using cluster = await Cluster.make(["alice", "bob"]);
  let shown = "";
  const progress = new Progress(cluster.config, "alice", {
    terminal: true,
    columns: 60,
    write: (text) => shown = text,
  });
  progress.session(EVENT);
  progress.link({ code: "CLOSED", peer: "bob", direction: "out", text: "closed" });
  assert.equal(shown, "\r\x1b[Kdkg 7f7f7f7f r2/3 ●●○ waiting: bob (closed) deadline 12 s");
  progress.link({ code: "DIAL_FAILED", peer: "bob", direction: "out", text: "no connection: refused" });
  assert.equal(shown, "\r\x1b[Kdkg 7f7f7f7f r2/3 ●●○ waiting: bob (no conne… deadline 12 s");
  progress.end();
});
