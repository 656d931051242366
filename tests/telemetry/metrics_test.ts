import assert from "node:assert/strict";
import { Metrics } from "../../src/telemetry/metrics.ts";

Deno.test("add() counts by labels, and text() is what Prometheus reads", () => {
  const metrics = new Metrics();
  metrics.add("peer_link_ups_total", { peer: "bob" });
  metrics.add("peer_link_ups_total", { peer: "bob" }, 2);
  metrics.add("peer_link_ups_total", { peer: "carol" });
  assert.equal(
    metrics.text(),
    "# HELP quorate_peer_link_ups_total links that came up\n# TYPE quorate_peer_link_ups_total counter\n" +
      'quorate_peer_link_ups_total{peer="bob"} 3\nquorate_peer_link_ups_total{peer="carol"} 1\n',
  );
});

Deno.test("add() refuses to make a counter smaller", () => {
  assert.throws(() => new Metrics().add("peer_link_ups_total", { peer: "bob" }, -1), { code: "INVARIANT" });
});

Deno.test("text() escapes what is in labels", () => {
  const metrics = new Metrics();
  metrics.add("peer_link_ups_total", { peer: 'b"o\\b\n' });
  assert.ok(metrics.text().includes('{peer="b\\"o\\\\b\\n"} 1\n'));
});

Deno.test("observe() counts each value in all buckets above it", () => {
  const metrics = new Metrics();
  for (const value of [0.02, 0.02, 3, 100]) metrics.observe("round_wait_seconds", { peer: "bob" }, value);
  const lines = metrics.text().split("\n");
  for (
    const line of [
      'quorate_round_wait_seconds_bucket{peer="bob",le="0.01"} 0',
      'quorate_round_wait_seconds_bucket{peer="bob",le="0.025"} 2',
      'quorate_round_wait_seconds_bucket{peer="bob",le="2.5"} 2',
      'quorate_round_wait_seconds_bucket{peer="bob",le="5"} 3',
      'quorate_round_wait_seconds_bucket{peer="bob",le="60"} 3',
      'quorate_round_wait_seconds_bucket{peer="bob",le="+Inf"} 4',
      'quorate_round_wait_seconds_sum{peer="bob"} 103.04',
      'quorate_round_wait_seconds_count{peer="bob"} 4',
    ]
  ) assert.ok(lines.includes(line), `${line}\n${lines.join("\n")}`);
});

Deno.test("replace() forgets labels that are gone", () => {
  const metrics = new Metrics();
  metrics.replace("key_epoch", [[{ key: "a" }, 1], [{ key: "b" }, 2]]);
  metrics.replace("key_epoch", [[{ key: "b" }, 3]]);
  assert.ok(metrics.text().endsWith('gauge\nquorate_key_epoch{key="b"} 3\n'));
  metrics.replace("key_epoch", []);
  assert.equal(metrics.text(), "");
});

Deno.test("a metric keeps no more than a bounded number of labels, and goes on counting those it has", () => {
  const metrics = new Metrics();
  for (let i = 0; i < 5_000; i++) metrics.add("peer_link_ups_total", { peer: `p${i}` });
  metrics.add("peer_link_ups_total", { peer: "p0" });
  const lines = metrics.text().split("\n").filter((line) => line.startsWith("quorate_"));
  assert.equal(lines.length, 4096);
  assert.ok(lines.includes('quorate_peer_link_ups_total{peer="p0"} 2'));
});
