/** A process whose metrics are sent, and which waits until it is ended. */

import { Metrics } from "../../src/telemetry/metrics.ts";
import { exportMetrics } from "../../src/telemetry/otel.ts";

const metrics = new Metrics();
exportMetrics(metrics, () => metrics.replace("key_epoch", [[{ key: "treasury" }, 7]]));
metrics.add("peer_link_ups_total", { peer: "bob" }, 3);
metrics.observe("round_wait_seconds", { peer: "bob" }, 0.02);
setInterval(() => {}, 60_000);
