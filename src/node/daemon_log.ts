/**
 * What happens to links, sessions and operators of a node, as lines of its log.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import type { SessionEvent } from "../session/context.ts";
import type { Roster } from "../session/roster.ts";
import type { Log, LogLevel } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { SessionPurpose } from "../telemetry/sessions.ts";
import type { LinkFault } from "../transport/faults.ts";
import type { MeshEvent } from "../transport/mesh.ts";
import type { PartyAudit } from "./audit.ts";

/** A link changed. */
export function logLink(log: Log, { code, peer, direction, address, text }: MeshEvent): void {
  const level: LogLevel = QUIET.has(code) ? "info" : "warn";
  log.write(level, text, { code, peer, dir: direction, address });
}

/** A session went on. Its end is always worth a line, its rounds for those who look closely. */
export function logSession(
  log: Log,
  roster: Roster,
  event: SessionEvent,
  { command, key }: SessionPurpose,
): void {
  const { kind, protocol, round, rounds, roundName, error, sid, why } = event;
  const { level, code, what } = SESSION_LINES[kind];
  const detail = error?.message ?? why ?? (kind === "done" ? "" : `${round}/${rounds} ${roundName}`);
  log.write(level, `${protocol} ${what}${detail === "" ? "" : `: ${detail}`}`, {
    code: error?.code ?? code,
    session: sid === undefined ? undefined : hex(sid).slice(0, 8),
    protocol,
    round,
    peer: event.peer === undefined ? undefined : roster.nameOf(event.peer),
    waiting: event.waitingFor.map((party) => roster.nameOf(party)),
    key,
    command,
  });
}

/** Who wants to be an operator and is none: recorded and counted each time, logged once a second for each reason. */
export function refusalsOf(
  { audit, metrics, log }: { readonly audit: PartyAudit; readonly metrics: Metrics; readonly log: Log },
): (fault: LinkFault, address: string) => void {
  const loggedAt = new Map<string, number>();
  return ({ code, message }, address) => {
    const event: MeshEvent = { code, text: `an operator was refused: ${message}`, address };
    audit.link({ ...event, direction: "in" });
    metrics.add("operators_refused_total", { reason: code });
    const now = performance.now();
    if (now - (loggedAt.get(code) ?? -Infinity) < REFUSALS_MS) return;
    loggedAt.set(code, now);
    logLink(log, event);
  };
}

const REFUSALS_MS = 1_000;
/** Links that are made and ended as they should be; everything else is worth a look. */
const QUIET: ReadonlySet<string> = new Set([
  "LINK_UP",
  "KEY_ROTATED",
  "LISTENING",
  "SHUTDOWN",
  "REPLACED",
  "AGE",
  "RELOADED",
]);

const SESSION_LINES = {
  opening: { level: "debug", code: "SESSION_OPENING", what: "opens" },
  mending: { level: "debug", code: "SESSION_MENDING", what: "waits for what it needs first" },
  round: { level: "debug", code: "SESSION_ROUND", what: "runs" },
  dropped: { level: "debug", code: "SESSION_DROPPED", what: "left a message out" },
  done: { level: "info", code: "SESSION_DONE", what: "is done" },
  failed: { level: "warn", code: "SESSION_FAILED", what: "failed" },
} as const satisfies Readonly<Record<SessionEvent["kind"], unknown>>;
