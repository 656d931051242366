import assert from "node:assert/strict";
import { PARTIES } from "../../deploy/prepare.ts";
import { programOf, run, unknownLabels, unknownMetrics, yamlOf } from "./support.ts";

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

interface AlertTests {
  readonly tests: readonly {
    readonly name: string;
    readonly alert_rule_test: readonly {
      readonly alertname: string;
      readonly exp_alerts: readonly { readonly exp_annotations: { readonly summary: string } }[];
    }[];
  }[];
}

const ALERTS = yamlOf<{ groups: readonly { rules: readonly Alert[] }[] }>("prometheus/alerts.yml").groups
  .flatMap(({ rules }) => rules);
const TESTS = ["prometheus/alerts_test.yml", "prometheus/alerts_slow_test.yml"];

Deno.test("alerts.yml uses metrics and labels that there are, and names party, peer and what to do", () => {
  assert.equal(new Set(ALERTS.map(({ alert }) => alert)).size, ALERTS.length);
  for (const { alert, expr, labels, annotations: { summary } } of ALERTS) {
    assert.deepEqual(unknownMetrics(expr), [], alert);
    assert.deepEqual(unknownLabels(expr), [], alert);
    assert.ok(["page", "warning", "info"].includes(labels.severity), alert);
    assert.ok(summary.includes("{{ $labels.party }}"), `${alert} names no party`);
    assert.ok(/[:;,] .{12}/.test(summary), `${alert} does not say what to do`);
    if (/quorate_peer_|round_wait|byzantine|offences|frames_rejected/.test(expr)) {
      assert.ok(summary.includes("{{ $labels.peer }}"), `${alert} names no peer`);
    }
  }
});

Deno.test("alerts.yml: each alert has a test in which it fires, and one in which it does not", () => {
  const cases = TESTS.flatMap((name) => yamlOf<AlertTests>(name).tests)
    .flatMap(({ alert_rule_test }) => alert_rule_test);
  for (const { alert } of ALERTS) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    assert.ok(own.some(({ exp_alerts }) => exp_alerts.length > 0), `${alert} never fires in a test`);
    assert.ok(own.some(({ exp_alerts }) => exp_alerts.length === 0), `${alert} fires in every test`);
  }
  assert.deepEqual(cases.filter(({ alertname }) => !ALERTS.some(({ alert }) => alert === alertname)), []);
});

Deno.test("promtool accepts prometheus.yml and alerts.yml, and every alert fires when its tests say so", async (t) => {
  const promtool = programOf("promtool");
  if (promtool === undefined) return;
  const checks = [
    ["check", "config", "prometheus/prometheus.yml"],
    ["check", "rules", "prometheus/alerts.yml"],
    ...TESTS.map((name) => ["test", "rules", name]),
  ];
  for (const args of checks) {
    await t.step(args.join(" "), async () => {
      const { success, said } = await run(promtool, ...args);
      assert.ok(success, said);
    });
  }
});

Deno.test("prometheus.yml asks every party of compose.yaml, at the port of its configuration, and gives it its name", () => {
  const { scrape_configs: [job], rule_files } = yamlOf<{
    rule_files: string[];
    scrape_configs: {
      job_name: string;
      static_configs: { targets: string[]; labels: Record<string, string> }[];
    }[];
  }>("prometheus/prometheus.yml");
  assert.equal(job?.job_name, "quorate");
  assert.deepEqual(rule_files, ["alerts.yml"]);
  assert.deepEqual(
    job?.static_configs,
    PARTIES.map((party) => ({ targets: [`${party}:9200`], labels: { cluster: "quorate", party } })),
  );
});
