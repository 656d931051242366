/**
 * What of a party's links and sessions goes into its audit log, and as what.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import type { AuditEvent, AuditOutcome } from "../audit/events.ts";
import type { QuorateError } from "../base/errors.ts";
import type { SessionEvent } from "../session/context.ts";
import type { MeshEvent } from "../transport/mesh.ts";

/** Types of events about links. */
export type LinkEventType =
  | "connection_failed"
  | "connection_closed"
  | "authentication_failed"
  | "rate_limited"
  | "replay_refused"
  | "encryption_failed"
  | "message_invalid"
  | "link_fault";

/** What happened to a link; undefined for what is no business of an audit. `repeated`: see {@linkcode Coalescer}. */
export function linkEvent(event: MeshEvent, repeated: number): AuditEvent | undefined {
  const { code, peer, direction, address, text, epoch } = event;
  const remote = peer === undefined ? {} : { remote: peer };
  const where = {
    ...(direction === undefined ? {} : { direction }),
    ...(address === undefined ? {} : { address }),
  };
  if (QUIET.has(code)) return undefined;
  if (code === "LINK_UP") {
    const details = { ...where, ...(repeated === 0 ? {} : { repeated }) };
    return { type: "connection_established", outcome: "ok", ...remote, details };
  }
  if (code === "KEY_ROTATED") {
    const details = {
      direction: direction ?? "out",
      epoch: epoch ?? 0,
      ...(repeated === 0 ? {} : { repeated }),
    };
    return { type: "link_key_rotated", outcome: "ok", ...remote, details };
  }
  const details = { code, reason: text, ...where, ...(repeated === 0 ? {} : { repeated }) };
  const type = linkEventType(code);
  return { type, outcome: type === "connection_closed" ? "ok" : "refused", ...remote, details };
}

/** As what a reason class of the transport is recorded. */
export function linkEventType(code: string): LinkEventType {
  return LINK_EVENT_TYPES.find(([pattern]) => pattern.test(code))?.[1] ?? "link_fault";
}

/** What happened in a session: nothing for most rounds. @param nameOf the name of a party. */
export function sessionEvents(event: SessionEvent, nameOf: (index: number) => string): AuditEvent[] {
  const { kind, protocol, sid, error, evidence = [], peer, why } = event;
  const session = sid === undefined ? {} : { session: hex(sid) };
  if (kind === "round" && event.round === 1) {
    const participants = event.participants.map(nameOf);
    return [{ type: "session_opened", outcome: "ok", ...session, details: { protocol, participants } }];
  }
  if (kind === "done") return [{ type: "session_ended", outcome: "ok", ...session, details: { protocol } }];
  if (kind === "dropped") {
    const remote = peer === undefined ? {} : { remote: nameOf(peer) };
    const details = { code: "INVALID_MESSAGE", reason: why ?? "a message was not accepted" };
    return [{ type: "message_invalid", outcome: "refused", ...remote, ...session, details }];
  }
  if (kind !== "failed") return [];
  return [
    ...evidence.map((item): AuditEvent => ({
      type: "evidence_recorded",
      outcome: "failed",
      remote: nameOf(item.culprit),
      ...session,
      details: { kind: item.kind, what: `${item.envelopes.length} signed messages of ${item.protocol}` },
    })),
    {
      type: "session_ended",
      outcome: outcomeOf(error),
      ...session,
      details: {
        protocol,
        round: event.round,
        ...(error === undefined ? {} : { code: error.code, reason: error.message }),
      },
    },
  ];
}

/** Progress of the party itself, and links that another one took over from. */
const QUIET: ReadonlySet<string> = new Set(["LISTENING", "RELOADED", "REPLACED", "SHUTDOWN"]);

/** The first pattern that fits says it. */
const LINK_EVENT_TYPES: readonly (readonly [RegExp, LinkEventType])[] = [
  [/^(?:SEQUENCE|SEAL_NONCE)$/, "replay_refused"],
  [/^SEAL_/, "encryption_failed"],
  [/^(?:FRAME_|MESSAGE_INVALID|INVALID_MESSAGE)/, "message_invalid"],
  [/^(?:RATE_|FLOOD|EVICTED|THROTTLED)/, "rate_limited"],
  [
    /^(?:CERT_|CRL_|HELLO_|PIN_MISMATCH|PEER_IDENTITY|PEER_UNKNOWN|SELF_CONNECT|DUPLICATE_PARTY|DIAL_RULE)/,
    "authentication_failed",
  ],
  [/^(?:TLS_FAILED|DEADLINE_|DIAL_FAILED|GAVE_UP)/, "connection_failed"],
  [/^(?:CLOSED|SOCKET|SILENT|ONE_WAY|BACKLOG|AGE)$/, "connection_closed"],
];

function outcomeOf(error: QuorateError | undefined): AuditOutcome {
  if (error?.code === "OUTCOME_UNKNOWN") return "unknown";
  return error?.code === "PEER_REFUSED" || error?.code === "CANCELLED" ? "refused" : "failed";
}
