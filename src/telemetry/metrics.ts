/**
 * The metrics of one node, and their text form, which Prometheus reads (exposition format 0.0.4).
 *
 * @module
 */

import { invariant } from "../base/errors.ts";
import { type LabelsOf, METRIC_PREFIX, type MetricMeaning, type MetricName, METRICS } from "./catalogue.ts";

/** The media type of {@linkcode Metrics.text}. */
export const METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** A value with its labels. */
export type Row<N extends MetricName> = readonly [labels: LabelsOf<N>, value: number];

/** Names of metrics of one type. */
export type NameOf<T extends MetricMeaning["type"]> = {
  [N in MetricName]: typeof METRICS[N]["type"] extends T ? N : never;
}[MetricName];

/**
 * Counts and remembers.
 *
 * @example
 * ```ts
 * import { Metrics } from "./metrics.ts";
 *
 * const metrics = new Metrics();
 * metrics.add("peer_link_ups_total", { peer: "bob" });
 * if (!metrics.text().includes('quorate_peer_link_ups_total{peer="bob"} 1\n')) throw new Error("not counted");
 * ```
 */
export class Metrics {
  readonly #samples = new Map<MetricName, Map<string, Sample>>();
  #observed: ObservedListener = () => {};

  /** A counter grows. */
  add<N extends NameOf<"counter">>(name: N, labels: LabelsOf<N>, by: number = 1): void {
    invariant(by >= 0, `a counter only grows: ${name}`);
    const sample = this.#sample(name, labels);
    if (sample !== undefined) sample.value += by;
  }

  /** A value counts in a histogram. */
  observe<N extends NameOf<"histogram">>(name: N, labels: LabelsOf<N>, value: number): void {
    const sample = this.#sample(name, labels);
    if (sample === undefined) return;
    sample.value += value;
    sample.count++;
    const place = METRICS[name].buckets.findIndex((bound) => value <= bound);
    if (place >= 0) sample.buckets[place] = (sample.buckets[place] ?? 0) + 1;
    this.#observed(name, sample.pairs, value);
  }

  /** Tells one listener of every value that counts in a histogram, from now on. */
  onObserve(listener: ObservedListener): void {
    this.#observed = listener;
  }

  /** What is known of a counter or gauge. */
  rows(name: NameOf<"gauge" | "counter">): readonly (readonly [labels: Labels, value: number])[] {
    return [...this.#samples.get(name)?.values() ?? []].map(({ pairs, value }) => [pairs, value]);
  }

  /** What is known of a metric is replaced: a gauge, or a counter that is counted elsewhere. Labels that are missing are gone. */
  replace<N extends NameOf<"gauge" | "counter">>(name: N, rows: readonly Row<N>[]): void {
    this.#samples.delete(name);
    for (const [labels, value] of rows) {
      const sample = this.#sample(name, labels);
      if (sample !== undefined) sample.value = value;
    }
  }

  /** What is known, as Prometheus reads it. */
  text(): string {
    return Object.entries(METRICS).map(([name, meaning]) => {
      const samples = [...this.#samples.get(name as MetricName)?.values() ?? []];
      if (samples.length === 0) return "";
      const full = METRIC_PREFIX + name;
      const head = `# HELP ${full} ${escaped(meaning.help)}\n# TYPE ${full} ${meaning.type}\n`;
      return head + samples.map((sample) => linesOf(full, meaning, sample)).join("");
    }).join("");
  }

  /** Undefined beyond the bound: what a peer sends must not fill memory, whatever a label was thought to hold. */
  #sample(name: MetricName, labels: Readonly<Record<string, string>>): Sample | undefined {
    const family = this.#samples.get(name) ?? new Map<string, Sample>();
    this.#samples.set(name, family);
    const key = METRICS[name].labels.map((label) => `${label}="${escapedValue(labels[label] ?? "")}"`).join(
      ",",
    );
    const known = family.get(key);
    if (known !== undefined || family.size >= SAMPLES_MAX) return known;
    const pairs = Object.fromEntries(METRICS[name].labels.map((label) => [label, labels[label] ?? ""]));
    const sample: Sample = { labels: key, pairs, value: 0, count: 0, buckets: [] };
    family.set(key, sample);
    return sample;
  }
}

/** Labels with their values. */
export type Labels = Readonly<Record<string, string>>;

/** Hears of a value that counts in a histogram. */
export type ObservedListener = (name: NameOf<"histogram">, labels: Labels, value: number) => void;

interface Sample {
  /** `peer="bob",direction="in"`. */
  readonly labels: string;
  /** The same. */
  readonly pairs: Labels;
  /** Of a histogram: the sum. */
  value: number;
  count: number;
  /** How many values are in each bucket and in none below it. */
  readonly buckets: number[];
}

const SAMPLES_MAX = 4096;

function linesOf(name: string, { type, buckets = [] }: MetricMeaning, sample: Sample): string {
  const { labels, value, count } = sample;
  const line = (suffix: string, more: string, figure: number) => {
    const all = [labels, more].filter((part) => part !== "").join(",");
    return `${name}${suffix}${all === "" ? "" : `{${all}}`} ${figure}\n`;
  };
  if (type !== "histogram") return line("", "", value);
  let below = 0;
  const bounded = buckets.map((bound, i) =>
    line("_bucket", `le="${bound}"`, below += sample.buckets[i] ?? 0)
  );
  return bounded.join("") + line("_bucket", 'le="+Inf"', count) + line("_sum", "", value) +
    line("_count", "", count);
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapedValue(text: string): string {
  return escaped(text).replaceAll('"', '\\"');
}
