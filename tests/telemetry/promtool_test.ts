import assert from "node:assert/strict";
import {
  type LabelsOf,
  type MetricMeaning,
  type MetricName,
  METRICS,
} from "../../src/telemetry/catalogue.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { programOf } from "../deploy/support.ts";

Deno.test("Metrics.text() with every metric of the catalogue is what promtool expects", async () => {
  const promtool = programOf("promtool");
  if (promtool === undefined) return;
  const metrics = new Metrics();
  for (const [name, { type, labels }] of Object.entries<MetricMeaning>(METRICS)) {
    const values = Object.fromEntries(labels.map((label) => [label, 'a "b" \\ c'])) as LabelsOf<MetricName>;
    if (type === "histogram") metrics.observe(name as "round_wait_seconds", values as { peer: string }, 0.3);
    else metrics.replace(name as "peer_rtt_seconds", [[values as { peer: string }, 1.5]]);
  }
  const process = new Deno.Command(promtool, {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(metrics.text()));
  await writer.close();
  const { success, stdout, stderr } = await process.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(said, "");
  assert.ok(success);
});
