/** A process whose metrics are sent, and which ends when its input does. */

import { Metrics } from "../../src/telemetry/metrics.ts";
import { exportMetrics } from "../../src/telemetry/otel.ts";

const metrics = new Metrics();
const collect = () => metrics.replace("key_epoch", [[{ key: "treasury" }, 7]]);
exportMetrics(metrics, { collect, intervalMs: 20 });
metrics.add("peer_link_ups_total", { peer: "bob" }, 3);
metrics.observe("round_wait_seconds", { peer: "bob" }, 0.02);
await Deno.stdin.readable.pipeTo(new WritableStream());
Deno.exit(0);
