import assert from "node:assert/strict";
import { METRIC_PREFIX, METRICS } from "../../src/telemetry/catalogue.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { exportMetrics, type InstrumentOptions, type Meter } from "../../src/telemetry/otel.ts";

const SENDER = new URL("./otel_sender.ts", import.meta.url).pathname;

type Told = [name: string, value: number, labels: object];

/** Remembers what it was told. */
class FakeMeter implements Meter {
  readonly made = new Map<string, InstrumentOptions & { readonly type: string }>();
  told: Told[] = [];

  createCounter(name: string, options: InstrumentOptions) {
    this.made.set(name, { ...options, type: "counter" });
    return { add: (value: number, labels: object) => void this.told.push([name, value, labels]) };
  }

  createGauge(name: string, options: InstrumentOptions) {
    return this.#recorder("gauge", name, options);
  }

  createHistogram(name: string, options: InstrumentOptions) {
    return this.#recorder("histogram", name, options);
  }

  /** What is told next, once it is so much. */
  async next(count: number): Promise<Told[]> {
    this.told = [];
    while (this.told.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    return this.told.slice(0, count);
  }

  #recorder(type: string, name: string, options: InstrumentOptions) {
    this.made.set(name, { ...options, type });
    return { record: (value: number, labels: object) => void this.told.push([name, value, labels]) };
  }
}

Deno.test("exportMetrics() hands over each metric of the catalogue, as what it is, until it is disposed of", async () => {
  const metrics = new Metrics(), meter = new FakeMeter();
  let collected = 0;
  const collect = () => {
    collected++;
    metrics.replace("key_epoch", [[{ key: "treasury" }, 7]]);
  };
  const exported = exportMetrics(metrics, { collect, meter, intervalMs: 1 });
  assert.deepEqual(
    [...meter.made].map(([name, { type, description }]) => [name, type, description]),
    Object.entries(METRICS).map(([name, { type, help }]) => [METRIC_PREFIX + name, type, help]),
  );
  const unit = (name: string) => meter.made.get(METRIC_PREFIX + name)?.unit;
  assert.deepEqual(["peer_rtt_seconds", "frame_bytes_total", "frames_total"].map(unit), ["s", "By", "1"]);
  metrics.add("peer_link_ups_total", { peer: "bob" }, 2);
  const ups = "quorate_peer_link_ups_total", epoch: Told = ["quorate_key_epoch", 7, { key: "treasury" }];
  assert.deepEqual(await meter.next(2), [[ups, 2, { peer: "bob" }], epoch]);
  // A counter is told what it has grown by.
  assert.deepEqual(await meter.next(2), [[ups, 0, { peer: "bob" }], epoch]);
  metrics.add("peer_link_ups_total", { peer: "bob" }, 3);
  assert.deepEqual(await meter.next(2), [[ups, 3, { peer: "bob" }], epoch]);
  meter.told = [];
  metrics.observe("round_wait_seconds", { peer: "bob" }, 0.5);
  assert.deepEqual(meter.told, [["quorate_round_wait_seconds", 0.5, { peer: "bob" }]]);
  exported[Symbol.dispose]();
  metrics.observe("round_wait_seconds", { peer: "bob" }, 0.6);
  const before = collected;
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([meter.told.length, collected], [1, before]);
});

Deno.test("exportMetrics() does nothing where the runtime has no OpenTelemetry", async () => {
  const metrics = new Metrics();
  using _export = exportMetrics(metrics, { collect: () => assert.fail("nobody asks"), intervalMs: 1 });
  metrics.observe("vote_decision_seconds", {}, 1);
  await new Promise((resolve) => setTimeout(resolve, 10));
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
    args: ["run", "--quiet", "--frozen", "--no-prompt", SENDER],
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      OTEL_METRIC_EXPORT_INTERVAL: "100",
    },
    stdin: "piped",
  }).spawn();
  const gone = child.status.then(({ code }) => code);
  assert.equal(await Promise.race([found.promise, gone]), undefined, "the sender has ended");
  // It ends when it is told to, although somebody listens.
  await child.stdin.close();
  assert.equal(await gone, 0);
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
