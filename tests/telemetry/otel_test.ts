import assert from "node:assert/strict";
import { METRIC_PREFIX, METRICS } from "../../src/telemetry/catalogue.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import {
  type BatchCallback,
  exportMetrics,
  type InstrumentOptions,
  type Meter,
} from "../../src/telemetry/otel.ts";

/** Remembers what it was told. */
class FakeMeter implements Meter {
  readonly made = new Map<string, InstrumentOptions & { readonly type: string }>();
  readonly recorded: [name: string, value: number, labels: object][] = [];
  callback: BatchCallback | undefined;

  createObservableCounter(name: string, options: InstrumentOptions): object {
    return this.#make("counter", name, options);
  }

  createObservableGauge(name: string, options: InstrumentOptions): object {
    return this.#make("gauge", name, options);
  }

  createHistogram(name: string, options: InstrumentOptions) {
    this.#make("histogram", name, options);
    return { record: (value: number, labels: object) => void this.recorded.push([name, value, labels]) };
  }

  addBatchObservableCallback(callback: BatchCallback): void {
    this.callback = callback;
  }

  removeBatchObservableCallback(callback: BatchCallback): void {
    if (this.callback === callback) this.callback = undefined;
  }

  /** What is sent now. */
  sent(): unknown[] {
    const out: unknown[] = [];
    this.callback?.({
      observe: (instrument, value, labels) =>
        void out.push([(instrument as { name: string }).name, value, labels]),
    });
    return out;
  }

  #make(type: string, name: string, options: InstrumentOptions): object {
    this.made.set(name, { ...options, type });
    return { name };
  }
}

Deno.test("exportMetrics() hands over each metric of the catalogue, as what it is, until it is disposed of", () => {
  const metrics = new Metrics(), meter = new FakeMeter();
  let epoch = 0;
  const exported = exportMetrics(
    metrics,
    () => metrics.replace("key_epoch", [[{ key: "treasury" }, ++epoch]]),
    meter,
  );
  assert.deepEqual(
    [...meter.made].map(([name, { type, description }]) => [name, type, description]),
    Object.entries(METRICS).map(([name, { type, help }]) => [METRIC_PREFIX + name, type, help]),
  );
  const unit = (name: string) => meter.made.get(METRIC_PREFIX + name)?.unit;
  assert.deepEqual(["peer_rtt_seconds", "frame_bytes_total", "frames_total"].map(unit), ["s", "By", "1"]);
  metrics.add("peer_link_ups_total", { peer: "bob" }, 2);
  assert.deepEqual(meter.sent(), [
    ["quorate_peer_link_ups_total", 2, { peer: "bob" }],
    ["quorate_key_epoch", 1, { key: "treasury" }],
  ]);
  metrics.observe("round_wait_seconds", { peer: "bob" }, 0.5);
  exported[Symbol.dispose]();
  metrics.observe("round_wait_seconds", { peer: "bob" }, 0.6);
  assert.deepEqual(meter.recorded, [["quorate_round_wait_seconds", 0.5, { peer: "bob" }]]);
  assert.deepEqual(meter.sent(), []);
});

Deno.test("exportMetrics() sends by OTLP where OTEL_DENO says so, without a permission", async () => {
  const found = Promise.withResolvers<void>();
  const seen = new Map<string, unknown>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    if (new URL(request.url).pathname === "/v1/metrics") {
      for (const [name, data] of pointsIn(await request.json())) seen.set(name, data);
    }
    if (seen.size === 3) found.resolve();
    return Response.json({});
  });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--frozen",
      "--no-prompt",
      new URL("./otel_sender.ts", import.meta.url).pathname,
    ],
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      OTEL_METRIC_EXPORT_INTERVAL: "100",
    },
  }).spawn();
  try {
    const gone = child.status.then(({ code }) => Promise.reject(new Error(`the sender ended with ${code}`)));
    await Promise.race([found.promise, gone]);
    gone.catch(() => {});
  } finally {
    child.kill();
    await child.status;
  }
  assert.deepEqual(Object.fromEntries(seen), {
    quorate_peer_link_ups_total: ["bob", 3],
    quorate_key_epoch: ["treasury", 7],
    quorate_round_wait_seconds: ["bob", 1],
  });
});

/** Of each metric of ours its first label, and its value or how many values it has. */
function* pointsIn(body: unknown): Generator<[name: string, data: unknown]> {
  const { resourceMetrics } = body as { resourceMetrics: { scopeMetrics: ScopeMetrics[] }[] };
  for (const { scope, metrics } of resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)) {
    if (scope.name !== "quorate") continue;
    for (const { name, sum, gauge, histogram } of metrics) {
      const [point] = (sum ?? gauge ?? histogram)?.dataPoints ?? [];
      const value = point?.asDouble ?? point?.asInt ?? point?.count;
      yield [name, [point?.attributes[0]?.value.stringValue, Number(value)]];
    }
  }
}

interface DataPoints {
  readonly dataPoints: readonly {
    readonly attributes: readonly { readonly value: { readonly stringValue: string } }[];
    readonly asDouble?: number;
    readonly asInt?: string;
    readonly count?: string;
  }[];
}

interface ScopeMetrics {
  readonly scope: { readonly name: string };
  readonly metrics: readonly {
    readonly name: string;
    readonly sum?: DataPoints;
    readonly gauge?: DataPoints;
    readonly histogram?: DataPoints;
  }[];
}

Deno.test("exportMetrics() does nothing where the runtime has no OpenTelemetry", () => {
  const metrics = new Metrics();
  using _export = exportMetrics(metrics, () => assert.fail("nobody asks"));
  metrics.observe("vote_decision_seconds", {}, 1);
});
