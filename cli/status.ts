/**
 * `quorate status`: how the node of this party stands.
 *
 * @module
 */

import type { Command } from "commander";
import { TransportError } from "../src/base/errors.ts";
import type { KeyStanding, StatusReport } from "../src/node/daemon_report.ts";
import type { TxReport } from "../src/node/voting_report.ts";
import { operatorClientOf } from "./access.ts";
import { type GlobalOptions, optionsOf } from "./options.ts";
import { print, table } from "./output.ts";
import { textOfWanted } from "./sessions.ts";
import { requireDecision, showTransaction, waitMsOf } from "./vote.ts";

/** Adds the command. */
export function addStatus(root: Command): void {
  root.command("status")
    .description(
      "how the node of this party stands, or a transaction there; exit code 2 where there is no quorum or no decision",
    )
    .option("--tx-id <name>", "how this transaction stands")
    .option("--wait <seconds>", "wait for its decision")
    .action(async (_options: unknown, command: Command) => {
      const options = optionsOf<{ readonly txId?: string; readonly wait?: string }>(command);
      if (options.txId !== undefined) return await showStatus(options, options.txId);
      const status = await operatorClientOf(options).ask({
        method: "GET",
        path: "/v1/status",
      }) as StatusReport;
      print(options.json, status, textOf(status));
      requireQuorum(status);
    });
}

async function showStatus(
  options: GlobalOptions & { readonly wait?: string },
  txId: string,
): Promise<void> {
  const report = await operatorClientOf(options).follow({
    method: "POST",
    path: "/v1/voting/status",
    input: { txId, waitMs: waitMsOf(options) },
  }, () => {}) as TxReport;
  showTransaction(options, report);
  requireDecision(report);
}

/** Ends with exit code 2 where there is no quorum. @throws TransportError DEGRADED */
export function requireQuorum({ quorum, reasons }: Pick<StatusReport, "quorum" | "reasons">): void {
  if (quorum) return;
  const why = reasons.filter(({ reason }) => reason === "quorum").map(({ text }) => text);
  throw new TransportError("DEGRADED", `there is no quorum: ${why.join("; ")}`);
}

/** One row per key. */
export function tableOfKeys(keys: readonly KeyStanding[]): string {
  if (keys.length === 0) return "";
  const rows = keys.map((
    { key, curve, scheme, epoch, policy, reachable, members, margin, banned, backup },
  ) => [
    key,
    scheme === undefined || scheme === curve ? curve : `${curve} ${scheme}`,
    String(epoch),
    `${reachable.length}/${members.length}`,
    margin < 0 ? `${-margin} missing` : `${margin} may fail`,
    backup === undefined ? "none" : backup.epoch === epoch ? "yes" : `epoch ${backup.epoch}`,
    banned.length === 0 ? policy : `${policy}, banned: ${banned.join(", ")}`,
  ]);
  return table(rows, ["KEY", "CURVE", "EPOCH", "REACHABLE", "QUORUM", "BACKUP", "POLICY"]);
}

function textOf(status: StatusReport): string {
  const { party, cluster, version, pid, startedAt, ready, reasons, reachable, unreachable, parties } = status;
  const head = table([
    ["node", `${party} of ${cluster}, version ${version}, process ${pid}, since ${startedAt}`],
    ["ready", ready ? "yes" : "no"],
    ...reasons.map(({ reason, text }) => [`  ${reason}`, text]),
    [
      "parties",
      `${reachable.length} of ${parties} can be reached` +
      (unreachable.length === 0 ? "" : `, not ${unreachable.join(", ")}`),
    ],
    ["sessions", String(status.sessions)],
    ...status.paused.map(({ what, since }) => ["paused", `${what} since ${since}, by an operator`]),
  ]);
  const keys = tableOfKeys(status.keys);
  return [head + textOfWanted(status.wanted), keys].filter((part) => part !== "").join("\n");
}
