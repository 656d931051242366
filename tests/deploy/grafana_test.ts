import assert from "node:assert/strict";
import { programOf, run, textOf, unknownLabels, unknownMetrics, yamlOf } from "./support.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

const DASHBOARD = JSON.parse(textOf("grafana/quorate.json")) as Dashboard;
const EXPRESSIONS = [
  ...DASHBOARD.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...DASHBOARD.annotations.list.map(({ expr }) => expr),
];

Deno.test("quorate.json has panels that do not overlap, each with an id and a title of its own", () => {
  const { panels } = DASHBOARD;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.ok(panels.every(({ title }) => title !== ""));
  const taken = new Set<string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert.ok(x + w <= 24, title);
    for (let at = 0; at < w * h; at++) {
      const cell = `${x + at % w},${y + Math.floor(at / w)}`;
      assert.ok(!taken.has(cell), `${title} covers another panel`);
      taken.add(cell);
    }
  }
});

Deno.test("quorate.json uses metrics and labels that there are", () => {
  const asked = [...EXPRESSIONS, ...DASHBOARD.templating.list.map(({ definition }) => definition)];
  for (const expression of asked) {
    assert.deepEqual(unknownMetrics(expression), [], expression);
    assert.deepEqual(unknownLabels(expression), [], expression);
  }
});

Deno.test("quorate.json: promtool reads every expression", async () => {
  const promtool = programOf("promtool");
  if (promtool === undefined) return;
  // A duration in place of the variable for which Grafana puts one; the others are in texts.
  const rules = EXPRESSIONS.map((expression, i) => ({
    record: `expression_${i}`,
    expr: expression.replaceAll("$__rate_interval", "1m"),
  }));
  const path = await Deno.makeTempFile({ suffix: ".yml" });
  try {
    await Deno.writeTextFile(path, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const { success, said } = await run(promtool, "check", "rules", path);
    assert.ok(success, said);
    assert.ok(said.includes(`${EXPRESSIONS.length} rules`), said);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("quorate.json is provisioned, with the source that it asks", () => {
  const { datasources: [source] } = yamlOf<{ datasources: { uid: string; url: string; type: string }[] }>(
    "grafana/provisioning/datasources/prometheus.yaml",
  );
  assert.deepEqual([source?.type, source?.url], ["prometheus", "http://prometheus:9090"]);
  for (const { title, datasource } of DASHBOARD.panels) {
    if (datasource !== undefined) assert.equal(datasource.uid, source?.uid, title);
  }
  const { providers: [provider] } = yamlOf<{ providers: { type: string; options: { path: string } }[] }>(
    "grafana/provisioning/dashboards/quorate.yaml",
  );
  assert.equal(provider?.type, "file");
  const { services } = yamlOf<{ services: Record<string, { volumes: string[] }> }>("compose.yaml");
  assert.ok(
    services.grafana?.volumes.includes(`./grafana/quorate.json:${provider?.options.path}/quorate.json:ro`),
  );
});
