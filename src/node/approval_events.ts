/**
 * What happens to approvals, where operators look: lines of the log, counters and the audit log.
 *
 * @module
 */

import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ApprovalEvent } from "./approvals.ts";
import type { PartyAudit } from "./audit.ts";

/** Where it is noted. */
export interface ApprovalNotes {
  /** Where lines go. */
  readonly log: Pick<Log, "write">;
  /** What is counted. */
  readonly metrics: Pick<Metrics, "add">;
  /** What is recorded. */
  readonly audit: Pick<PartyAudit, "note">;
}

/** Notes an event. */
export function noteApproval(event: ApprovalEvent, { log, metrics, audit }: ApprovalNotes): void {
  const { txId } = event;
  switch (event.kind) {
    case "signed":
      metrics.add("approval_total", { outcome: "signed", reason: "" });
      return log.write("info", `${txId} is signed with ${event.key}${event.own ? "" : ", by others"}`, {
        code: "APPROVAL_SIGNED",
        key: event.key,
      });
    case "refused": {
      const { node, code, reason } = event.refusal;
      metrics.add("approval_total", { outcome: "refused", reason: code });
      return log.write("warn", `${node} does not sign ${txId}: ${reason}`, { code, peer: node });
    }
    case "failed":
      metrics.add("approval_total", { outcome: event.outcome, reason: "" });
      return log.write("warn", `${txId} is not signed: ${event.reason}`, { code: "APPROVAL_FAILED" });
    case "alarm":
      metrics.add("approval_alarms_total", { reason: event.code });
      audit.note({
        type: "security_event",
        outcome: "failed",
        details: { what: `${event.code} in ${txId}: ${event.reason}` },
      });
      return log.write("error", `${txId}: ${event.reason}`, { code: event.code });
  }
}
