import assert from "node:assert/strict";
import { noteApproval } from "../../src/node/approval_events.ts";
import type { ApprovalEvent } from "../../src/node/approvals.ts";
import type { AuditEvent } from "../../src/audit/events.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";

function noted(event: ApprovalEvent) {
  const metrics = new Metrics();
  const lines: string[] = [];
  const records: AuditEvent[] = [];
  noteApproval(event, {
    log: { write: (level, text, { code } = {}) => void lines.push(`${level} ${code} ${text}`) },
    metrics,
    audit: { note: (record) => void records.push(record) },
  });
  return { lines, records, counted: metrics.text() };
}

Deno.test("noteApproval() has an alarm counted by its code, recorded and written, so that an operator is called", () => {
  const event = {
    kind: "alarm",
    txId: "pay-1",
    code: "REQUEST_CONFLICT",
    reason: "locked for another payload",
  } as const;
  const { lines, records, counted } = noted(event);
  assert.match(counted, /^quorate_approval_alarms_total\{reason="REQUEST_CONFLICT"\} 1$/m);
  assert.deepEqual(lines, ["error REQUEST_CONFLICT pay-1: locked for another payload"]);
  const what = "REQUEST_CONFLICT in pay-1: locked for another payload";
  assert.deepEqual(records, [{ type: "security_event", outcome: "failed", details: { what } }]);
});

Deno.test("noteApproval() counts signatures, refusals and what failed, and names who does not sign", () => {
  const refusal = { node: "bob", code: "APPROVAL_POLICY", reason: "too much" };
  const cases: readonly (readonly [ApprovalEvent, string, string])[] = [
    [
      { kind: "signed", txId: "a", key: "k", own: false },
      'outcome="signed",reason=""',
      "a is signed with k, by others",
    ],
    [
      { kind: "refused", txId: "a", refusal },
      'outcome="refused",reason="APPROVAL_POLICY"',
      "bob does not sign a: too much",
    ],
    [
      { kind: "failed", txId: "a", outcome: "unknown", reason: "why" },
      'outcome="unknown",reason=""',
      "a is not signed: why",
    ],
  ];
  for (const [event, labels, text] of cases) {
    const { lines, records, counted } = noted(event);
    assert.ok(counted.includes(`quorate_approval_total{${labels}} 1`), counted);
    assert.ok(lines[0]?.endsWith(text), lines[0]);
    assert.deepEqual(records, []);
  }
});
