import assert from "node:assert/strict";
import { Log, type LogFormat, type LogLevel } from "../../src/telemetry/log.ts";

function lineOf(format: LogFormat, write: (log: Log) => void, level: LogLevel = "info"): string {
  const lines: string[] = [];
  const log = new Log({
    party: "alice",
    cluster: "demo",
    format,
    level,
    write: (line) => lines.push(line),
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  });
  write(log);
  return lines.join("\n");
}

const fields = {
  code: "LINK_UP",
  peer: "bob",
  dir: "out",
  dur_ms: 1.5,
  waiting: ["bob", "carol"],
  reason: undefined,
} as const;
const said = (log: Log) => log.write("warn", "the link is up", fields);

Deno.test("write() in plain says it for people", () => {
  assert.equal(
    lineOf("plain", said),
    "2026-01-02T03:04:05.006Z WARN  alice LINK_UP the link is up peer=bob dir=out dur_ms=1.5 waiting=bob,carol",
  );
});

Deno.test("write() in plain puts what a peer said into one line", () => {
  const line = lineOf("plain", (log) => log.write("info", "a\nb\u2028c", { reason: "x\ny z" }));
  assert.ok(!/[\n\u2028]/.test(line), line);
  assert.ok(line.endsWith('a b c reason="x\\ny z"'), line);
});

Deno.test("write() in json has the fields by their names", () => {
  assert.deepEqual(JSON.parse(lineOf("json", said)), {
    ts: "2026-01-02T03:04:05.006Z",
    level: "warn",
    msg: "the link is up",
    party: "alice",
    cluster: "demo",
    code: "LINK_UP",
    peer: "bob",
    dir: "out",
    dur_ms: 1.5,
    waiting: ["bob", "carol"],
  });
});

Deno.test("write() in ecs uses the names of Elastic's schema", () => {
  const line = JSON.parse(lineOf("ecs", said));
  assert.equal(line["@timestamp"], "2026-01-02T03:04:05.006Z");
  assert.equal(line["log.level"], "warn");
  assert.equal(line["event.code"], "LINK_UP");
  assert.equal(line["event.duration"], 1_500_000);
  assert.deepEqual(line.quorate, {
    party: "alice",
    cluster: "demo",
    peer: "bob",
    dir: "out",
    waiting: ["bob", "carol"],
  });
});

Deno.test("write() in gelf has a numeric level, a time in seconds, and fields that are texts or numbers", () => {
  assert.deepEqual(JSON.parse(lineOf("gelf", said)), {
    version: "1.1",
    host: "alice",
    short_message: "the link is up",
    timestamp: 1767323045.006,
    level: 4,
    _cluster: "demo",
    _code: "LINK_UP",
    _peer: "bob",
    _dir: "out",
    _dur_ms: 1.5,
    _waiting: "bob,carol",
  });
});

Deno.test("write() leaves out what is below the level", () => {
  assert.equal(lineOf("json", said, "error"), "");
  assert.notEqual(lineOf("json", said, "warn"), "");
});

Deno.test("write() throws nothing where the line cannot be written", () => {
  const log = new Log({
    party: "alice",
    cluster: "demo",
    format: "json",
    level: "info",
    write: () => {
      throw new Error("no space left");
    },
  });
  log.write("info", "nobody hears this");
});
