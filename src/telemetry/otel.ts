/**
 * The same metrics for OpenTelemetry, through the runtime's own support: with `OTEL_DENO=true` Deno sends them where
 * `OTEL_EXPORTER_OTLP_ENDPOINT` says. Without it nothing here does anything, and nothing has to be installed.
 *
 * @module
 */

import { VERSION } from "../base/version.ts";
import { METRIC_PREFIX, type MetricMeaning, type MetricName, METRICS } from "./catalogue.ts";
import type { Labels, Metrics, NameOf } from "./metrics.ts";

/** As much of OpenTelemetry's Meter as is used. */
export interface Meter {
  /** A sum that grows. */
  createCounter(name: string, options: InstrumentOptions): { add(value: number, attributes: Labels): void };
  /** What is now. */
  createGauge(name: string, options: InstrumentOptions): Recorder;
  /** Counts values by size. */
  createHistogram(name: string, options: InstrumentOptions): Recorder;
}

/** What an instrument is of. */
export interface InstrumentOptions {
  /** One line for people. */
  readonly description: string;
  /** As UCUM has it. */
  readonly unit: string;
  /** Of a histogram: its bounds. */
  readonly advice?: { readonly explicitBucketBoundaries: number[] };
}

/** Takes values. */
export interface Recorder {
  /** One more. */
  record(value: number, attributes: Labels): void;
}

/** How metrics are handed over. */
export interface ExportOptions {
  /** Brings what is counted elsewhere up to date. */
  readonly collect: () => void;
  /** Default: the runtime's. */
  readonly meter?: Meter;
  /** How often. Default 10 s. */
  readonly intervalMs?: number;
}

/**
 * Hands metrics over, again and again until it is disposed of, where the runtime does something with them.
 *
 * They are pushed: instruments that the runtime reads by itself keep a process from ending (Deno 2.9.6 waits in `Deno.exit` for
 * callbacks that cannot run any more).
 */
export function exportMetrics(metrics: Metrics, options: ExportOptions): Disposable {
  const { collect, meter = ownMeter(), intervalMs = INTERVAL_MS } = options;
  if (meter === undefined) return { [Symbol.dispose]() {} };
  const histograms = new Map<MetricName, Recorder>();
  const pushed: (() => void)[] = [];
  for (const [name, meaning] of Object.entries(METRICS) as [MetricName, MetricMeaning][]) {
    const full = METRIC_PREFIX + name, said = optionsOf(name, meaning);
    const rows = () => metrics.rows(name as NameOf<"counter" | "gauge">);
    if (meaning.type === "histogram") histograms.set(name, meter.createHistogram(full, said));
    else if (meaning.type === "gauge") {
      const gauge = meter.createGauge(full, said);
      pushed.push(() => rows().forEach(([labels, value]) => gauge.record(value, labels)));
    } else pushed.push(growth(rows, meter.createCounter(full, said)));
  }
  const push = () => {
    collect();
    for (const one of pushed) one();
  };
  const timer = setInterval(push, intervalMs);
  metrics.onObserve((name, labels, value) => histograms.get(name)?.record(value, labels));
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      metrics.onObserve(() => {});
    },
  };
}

const INTERVAL_MS = 10_000;

/** Adds what a counter has grown by. */
function growth(
  rows: () => readonly (readonly [labels: Labels, value: number])[],
  counter: ReturnType<Meter["createCounter"]>,
): () => void {
  const before = new Map<string, number>();
  return () => {
    for (const [labels, value] of rows()) {
      const key = JSON.stringify(labels);
      counter.add(Math.max(0, value - (before.get(key) ?? 0)), labels);
      before.set(key, value);
    }
  };
}

/** Undefined where OpenTelemetry is off: the runtime refuses to make a meter then. */
function ownMeter(): Meter | undefined {
  try {
    return Deno.telemetry.meterProvider.getMeter("quorate", VERSION);
  } catch {
    return undefined;
  }
}

function optionsOf(name: string, { help, buckets }: MetricMeaning): InstrumentOptions {
  const base = name.replace(/_total$/, "");
  const unit = base.endsWith("_seconds") ? "s" : base.endsWith("_bytes") ? "By" : "1";
  const advice = buckets === undefined ? {} : { advice: { explicitBucketBoundaries: [...buckets] } };
  return { description: help, unit, ...advice };
}
