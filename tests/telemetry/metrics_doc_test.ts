import assert from "node:assert/strict";
import { METRIC_PREFIX, type MetricMeaning, METRICS } from "../../src/telemetry/catalogue.ts";

const ROOT = new URL("../../", import.meta.url);
const CATALOGUE = new Map<string, MetricMeaning>(Object.entries(METRICS));

Deno.test("docs/metrics.md has every metric of the catalogue with type, labels, unit and meaning, and no other", async () => {
  const doc = await Deno.readTextFile(new URL("docs/metrics.md", ROOT));
  const seen = new Set<string>();
  for (const line of doc.split("\n").filter((line) => line.startsWith(`| \`${METRIC_PREFIX}`))) {
    const cells = line.split("|").map((cell) => cell.trim());
    const [, full, type, labels, unit, meaning, advice] = cells;
    const name = (full as string).slice(1 + METRIC_PREFIX.length, -1);
    const known = CATALOGUE.get(name);
    assert.ok(known !== undefined, `${name} is in no catalogue`);
    assert.ok(!seen.has(name), `${name} stands there twice`);
    seen.add(name);
    const written = [...(labels as string).matchAll(/`([a-z_]+)`/g)].map(([, label]) => label);
    assert.deepEqual([type, written, meaning], [known.type, known.labels, known.help], name);
    assert.equal(unitOf(name) ?? unit, unit, name);
    assert.ok((advice as string).length > 0, name);
  }
  assert.deepEqual([...CATALOGUE.keys()].filter((name) => !seen.has(name)), []);
});

Deno.test("METRICS: names follow Prometheus: counters end in total, and units are the last word before it", () => {
  for (const [name, { type, labels, buckets }] of CATALOGUE) {
    assert.match(name, /^[a-z][a-z_]*$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.ok(!/_(?:ms|milliseconds|minutes|days|kb|mb)(?:_|$)/.test(name), `${name} is not in base units`);
    assert.equal(buckets !== undefined, type === "histogram", name);
    for (const label of labels) assert.match(label, /^[a-z]+$/, name);
  }
});

Deno.test("METRICS: each is filled in by the program", async () => {
  const sources = await sourcesBelow(new URL("src/", ROOT));
  assert.deepEqual([...CATALOGUE.keys()].filter((name) => !sources.includes(`"${name}"`)), []);
});

async function sourcesBelow(folder: URL): Promise<string> {
  const texts: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) texts.push(await sourcesBelow(new URL(`${name}/`, folder)));
    else if (name.endsWith(".ts")) texts.push(await Deno.readTextFile(new URL(name, folder)));
  }
  return texts.join("\n");
}

/** The unit that a name says it has; undefined for what is counted. */
function unitOf(name: string): string | undefined {
  const base = name.replace(/_total$/, "");
  if (/(?:^|_)timestamp_seconds$|^start_time_seconds$/.test(base)) return "seconds since 1970";
  if (base.endsWith("_seconds")) return "seconds";
  return base.endsWith("_bytes") ? "bytes" : undefined;
}
