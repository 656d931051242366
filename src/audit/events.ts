/**
 * What is recorded: every event that matters to somebody who asks later who did what with a key.
 *
 * @module
 */

import { DecodeError } from "../base/codec.ts";
import { fromUtf8 } from "../base/bytes.ts";
import { canonicalJson, type Json, type JsonObject, parseCanonicalJson } from "./canonical.ts";

/** Something that ended or refused a connection. `repeated`: how many like it were not recorded since the one before. */
const LINK_FAULT = {
  code: "text",
  reason: "text",
  direction: "text?",
  address: "text?",
  repeated: "count?",
} as const;

/**
 * Every type of event, and its details: `text`, `count` (a whole number, not negative), `flag` and `texts` (a list);
 * those with a question mark may be missing. A type is never reused for something else.
 */
export const AUDIT_EVENTS = {
  // Links.
  connection_established: { direction: "text?", address: "text?", suite: "text?", repeated: "count?" },
  connection_failed: LINK_FAULT,
  connection_closed: LINK_FAULT,
  authentication_failed: LINK_FAULT,
  rate_limited: LINK_FAULT,
  replay_refused: LINK_FAULT,
  encryption_failed: LINK_FAULT,
  message_invalid: LINK_FAULT,
  link_fault: LINK_FAULT,
  link_key_rotated: { direction: "text", epoch: "count", repeated: "count?" },
  message_sent: { message: "text", bytes: "count" },
  message_received: { message: "text", bytes: "count" },
  // Sessions.
  session_started: { protocol: "text", command: "text?" },
  session_opened: { protocol: "text", participants: "texts" },
  session_ended: { protocol: "text", code: "text?", reason: "text?", round: "count?" },
  // Keys.
  random_agreed: { bits: "count" },
  sign_requested: { key: "text", keyId: "text", epoch: "count", digest: "text", path: "text?" },
  signature_made: {
    key: "text",
    keyId: "text",
    epoch: "count",
    digest: "text",
    path: "text?",
    signers: "texts",
  },
  key_generated: { key: "text", keyId: "text", epoch: "count", how: "text?", member: "flag?" },
  key_refreshed: { key: "text", keyId: "text", epoch: "count", how: "text?", member: "flag?" },
  key_reshared: { key: "text", keyId: "text", epoch: "count", how: "text?", member: "flag?" },
  key_repaired: { key: "text", keyId: "text", epoch: "count", how: "text?", member: "flag?" },
  key_synchronised: { key: "text", keyId: "text", epoch: "count", how: "text?", member: "flag?" },
  key_imported: { key: "text", keyId: "text", epoch: "count", how: "text?", member: "flag?" },
  key_exported: { key: "text", keyId: "text", epoch: "count" },
  signer_banned: { key: "text", keyId: "text", epoch: "count", code: "text", reason: "text" },
  signer_unbanned: { key: "text", keyId: "text", epoch: "count" },
  key_discarded: { key: "text", keyId: "text", epoch: "count" },
  key_backed_up: { key: "text", keyId: "text", epoch: "count", custodian: "text" },
  key_recovered: { key: "text", keyId: "text", epoch: "count" },
  // Votes.
  vote_cast: { transaction: "text", value: "text" },
  decision_made: { transaction: "text", value: "text?" },
  evidence_recorded: { kind: "text", what: "text" },
  // Operation.
  paused: { reason: "text?" },
  resumed: { reason: "text?" },
  certificate_renewed: { subject: "text", notAfter: "text?" },
  certificate_revoked: { subject: "text", serial: "text?" },
  security_event: { what: "text" },
  // The log itself.
  audit_torn_tail: { code: "text", bytes: "count" },
  audit_events_lost: { count: "count" },
  audit_checkpoint_refused: { reason: "text", size: "count", offered: "count", contradicted: "flag?" },
  audit_witness_alarm: {
    reason: "text",
    size: "count",
    offered: "count",
    conclusive: "flag",
    repeated: "count?",
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, DetailKind>>>>;

/** Kinds of details. */
export type DetailKind = keyof DetailValues | `${keyof DetailValues}?`;

/** Values of the kinds of details. */
export interface DetailValues {
  /** At most 1024 characters are kept. */
  readonly text: string;
  /** Whole and not negative. */
  readonly count: number;
  /** Yes or no. */
  readonly flag: boolean;
  /** At most 128 are kept. */
  readonly texts: readonly string[];
}

/** One of the types of events. */
export type AuditEventType = keyof typeof AUDIT_EVENTS;

/** The details of an event of one type. */
export type AuditDetails<T extends AuditEventType> =
  & {
    readonly [
      K in keyof typeof AUDIT_EVENTS[T] as typeof AUDIT_EVENTS[T][K] extends `${string}?` ? never : K
    ]: typeof AUDIT_EVENTS[T][K] extends keyof DetailValues ? DetailValues[typeof AUDIT_EVENTS[T][K]] : never;
  }
  & {
    readonly [
      K in keyof typeof AUDIT_EVENTS[T] as typeof AUDIT_EVENTS[T][K] extends `${string}?` ? K : never
    ]?: typeof AUDIT_EVENTS[T][K] extends `${infer V extends keyof DetailValues}?` ? DetailValues[V] : never;
  };

/** How it ended. `unknown`: a signature may exist. */
export type AuditOutcome = "ok" | "failed" | "refused" | "started" | "unknown";

/** What happened. Never carries a secret. */
export type AuditEvent = {
  readonly [T in AuditEventType]: {
    /** What kind of event. */
    readonly type: T;
    /** How it ended. */
    readonly outcome: AuditOutcome;
    /** The other party, by name where it is known. */
    readonly remote?: string;
    /** Id of the session, in hexadecimal digits. */
    readonly session?: string;
    /** More, by type. */
    readonly details: AuditDetails<T>;
  };
}[AuditEventType];

/** An event in its place in a party's log. */
export type AuditRecord = AuditEvent & {
  /** Version of this form. */
  readonly v: 1;
  /** Its place, from 0. */
  readonly index: number;
  /** By the party's clock, as `2026-01-31T12:00:00.000Z`. */
  readonly time: string;
  /** Whose log it is. */
  readonly party: string;
};

/** A line of the log is never longer. */
export const RECORD_BYTES_MAX = 256 * 1024;

/** The one line of a record, without its line end. Texts that are too long are cut. */
export function encodeRecord(
  event: AuditEvent,
  place: { readonly index: number; readonly time: number; readonly party: string },
): string {
  const { type, outcome, remote, session, details } = event;
  return canonicalJson({
    v: 1,
    index: place.index,
    time: new Date(place.time).toISOString(),
    party: place.party,
    type,
    outcome,
    ...(remote === undefined ? {} : { remote: clip(remote) }),
    ...(session === undefined ? {} : { session: clip(session) }),
    details: clipped(details),
  });
}

/** Reads a line of the log. @throws DecodeError for everything that would not be written again the same way. */
export function decodeRecord(line: Uint8Array): AuditRecord {
  if (line.length > RECORD_BYTES_MAX) throw new DecodeError("a record is too long");
  const text = fromUtf8Exact(line);
  const record = parseCanonicalJson(text);
  if (!isObject(record)) throw new DecodeError("a record is an object");
  const { v, index, time, party, type, outcome, remote, session, details, ...others } = record;
  const [stranger] = Object.keys(others);
  if (stranger !== undefined) throw new DecodeError(`a record has no field ${clip(stranger)}`);
  if (v !== 1) throw new DecodeError("the version of a record is 1");
  if (!isCount(index)) throw new DecodeError("the index of a record is a whole number");
  if (!isTime(time)) throw new DecodeError("the time of a record is not a time");
  if (typeof party !== "string") throw new DecodeError("a record names its party");
  if (!OUTCOMES.some((known) => known === outcome)) {
    throw new DecodeError("the outcome of a record is unknown");
  }
  for (const text of [remote, session]) {
    if (text !== undefined && typeof text !== "string") throw new DecodeError("remote and session are texts");
  }
  if (typeof type !== "string" || !Object.hasOwn(AUDIT_EVENTS, type)) {
    throw new DecodeError("the type of a record is unknown");
  }
  requireDetails(type as AuditEventType, details);
  return record as unknown as AuditRecord;
}

const OUTCOMES: readonly AuditOutcome[] = ["ok", "failed", "refused", "started", "unknown"];
const TEXT_MAX = 1024;
const TEXTS_MAX = 128;

function requireDetails(type: AuditEventType, details: Json | undefined): void {
  if (!isObject(details)) throw new DecodeError("the details of a record are an object");
  const kinds: Readonly<Record<string, DetailKind>> = AUDIT_EVENTS[type];
  const stranger = Object.keys(details).find((name) => !Object.hasOwn(kinds, name));
  if (stranger !== undefined) throw new DecodeError(`${type} has no detail ${clip(stranger)}`);
  for (const [name, kind] of Object.entries(kinds)) {
    const value = details[name];
    if (value === undefined && kind.endsWith("?")) continue;
    if (!isOfKind(value, kind)) throw new DecodeError(`${name} of ${type} is missing or of another kind`);
  }
}

function isOfKind(value: Json | undefined, kind: DetailKind): boolean {
  switch (kind.replace("?", "") as keyof DetailValues) {
    case "text":
      return typeof value === "string";
    case "count":
      return isCount(value);
    case "flag":
      return typeof value === "boolean";
    case "texts":
      return Array.isArray(value) && value.every((item) => typeof item === "string");
  }
}

function isCount(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isTime(value: Json | undefined): value is string {
  if (typeof value !== "string") return false;
  const time = Date.parse(value);
  return !Number.isNaN(time) && new Date(time).toISOString() === value;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function clipped(details: object): JsonObject {
  const entries = Object.entries(details as Readonly<Record<string, Json>>);
  return Object.fromEntries(entries.map(([name, value]) => {
    if (typeof value === "string") return [name, clip(value)];
    if (!Array.isArray(value)) return [name, value];
    return [name, value.slice(0, TEXTS_MAX).map((item) => clip(String(item)))];
  }));
}

/** Texts of peers may have halves of pairs, and a cut makes one. */
function clip(text: string): string {
  return text.slice(0, TEXT_MAX).toWellFormed().normalize("NFC");
}

function fromUtf8Exact(line: Uint8Array): string {
  const text = fromUtf8(line);
  if (text === undefined) throw new DecodeError("a record is text");
  return text;
}
