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
  /** A counter that is read when metrics are sent. */
  createObservableCounter(name: string, options: InstrumentOptions): object;
  /** A gauge that is read then. */
  createObservableGauge(name: string, options: InstrumentOptions): object;
  /** Takes values one by one. */
  createHistogram(name: string, options: InstrumentOptions): Histogram;
  /** Calls back before metrics are sent. */
  addBatchObservableCallback(callback: BatchCallback, instruments: readonly object[]): void;
  /** Calls back no more. */
  removeBatchObservableCallback(callback: BatchCallback, instruments: readonly object[]): void;
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
export interface Histogram {
  /** One more. */
  record(value: number, attributes: Labels): void;
}

/** Is told everything that is known. */
export type BatchCallback = (
  result: { observe(instrument: object, value: number, attributes: Labels): void },
) => void;

/**
 * Hands metrics over until it is disposed of.
 *
 * @param collect brings what is counted elsewhere up to date.
 */
export function exportMetrics(metrics: Metrics, collect: () => void, meter = ownMeter()): Disposable {
  if (meter === undefined) return { [Symbol.dispose]() {} };
  const instruments = new Map<NameOf<"counter" | "gauge">, object>();
  const histograms = new Map<MetricName, Histogram>();
  for (const [name, meaning] of Object.entries(METRICS) as [MetricName, MetricMeaning][]) {
    const full = METRIC_PREFIX + name, options = optionsOf(name, meaning);
    if (meaning.type === "histogram") histograms.set(name, meter.createHistogram(full, options));
    else {
      const instrument = meaning.type === "counter"
        ? meter.createObservableCounter(full, options)
        : meter.createObservableGauge(full, options);
      instruments.set(name as NameOf<"counter" | "gauge">, instrument);
    }
  }
  const tell: BatchCallback = (result) => {
    collect();
    for (const [name, instrument] of instruments) {
      for (const [labels, value] of metrics.rows(name)) result.observe(instrument, value, labels);
    }
  };
  meter.addBatchObservableCallback(tell, [...instruments.values()]);
  metrics.onObserve((name, labels, value) => histograms.get(name)?.record(value, labels));
  return {
    [Symbol.dispose]() {
      metrics.onObserve(() => {});
      meter.removeBatchObservableCallback(tell, [...instruments.values()]);
    },
  };
}

/** Undefined where the runtime sends nothing: it throws then. */
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
