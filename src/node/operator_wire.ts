/**
 * What travels between a node and its operators: JSON, and one JSON object per line where something goes on. Byte strings are
 * `{"base64": "..."}`, whole numbers beyond 2^53 are texts.
 *
 * @module
 */

import { z } from "zod";
import { partyId, sessionId } from "../base/brands.ts";
import { type Bytes, fromHex, hex } from "../base/bytes.ts";
import { type Code, CODES, QuorateError, TransportError, UsageError } from "../base/errors.ts";
import type { SessionEvent } from "../session/context.ts";
import type { MeshEvent } from "../transport/mesh.ts";

/** Something that happens while a request is served. The last one is `result` or `error`. */
export type OperatorEvent =
  | { readonly event: "session"; readonly session: SessionEvent }
  | { readonly event: "link"; readonly link: MeshEvent }
  | { readonly event: "warn"; readonly text: string }
  | { readonly event: "data"; readonly data: unknown }
  | { readonly event: "result"; readonly value: unknown }
  | { readonly event: "error"; readonly error: QuorateError };

/** JSON of a value in which byte strings and big integers may stand. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item instanceof Uint8Array) return { base64: item.toBase64() };
    return typeof item === "bigint" ? String(item) : item;
  }) ?? "null";
}

/** The value of {@linkcode encodeJson}. @throws UsageError USAGE */
export function decodeJson(text: string): unknown {
  try {
    return JSON.parse(text, (_key, item: unknown) => {
      const is = BASE64.safeParse(item);
      return is.success ? Uint8Array.fromBase64(is.data.base64) : item;
    });
  } catch (cause) {
    throw new UsageError("USAGE", "the message is not the JSON that nodes and operators exchange", { cause });
  }
}

/** An event as a line. */
export function encodeEvent(event: OperatorEvent): string {
  switch (event.event) {
    case "session":
      return encodeJson({ event: "session", session: sessionToJson(event.session) }) + "\n";
    case "error":
      return encodeJson({ event: "error", error: errorToJson(event.error) }) + "\n";
    default:
      return encodeJson(event) + "\n";
  }
}

/** The event of a line. @throws UsageError USAGE */
export function decodeEvent(line: string): OperatorEvent {
  const parsed = EVENT.safeParse(decodeJson(line));
  if (!parsed.success) {
    throw new UsageError("USAGE", "the node says something that this version does not know");
  }
  const { data } = parsed;
  if (data.event === "session") return { event: "session", session: sessionFromJson(data.session) };
  if (data.event === "error") return { event: "error", error: errorFromJson(data.error) };
  return data as OperatorEvent;
}

/** An error as JSON. What is not one of ours is a bug: only its class and place are said. */
export function errorToJson(error: unknown): ErrorJson {
  if (!(error instanceof QuorateError)) {
    return { code: "INVARIANT", message: `a bug in this program: an unexpected ${whereabouts(error)}` };
  }
  const { code, message, party } = error;
  return {
    code,
    message,
    ...(party === undefined ? {} : { party }),
    ...(error instanceof TransportError ? { parties: [...error.parties] } : {}),
  };
}

/** The error of {@linkcode errorToJson}. */
export function errorFromJson({ code, message, party, parties }: ErrorJson): QuorateError {
  const known: Code = Object.hasOwn(CODES, code) ? code as Code : "INVARIANT";
  const details = party === undefined ? {} : { party };
  if (parties === undefined) return new UsageError(known, message, details);
  return new TransportError(known, message, { ...details, parties });
}

/** The error of an answer that is none of what was asked for. */
export function errorFromText(text: string): QuorateError {
  const parsed = REFUSED.safeParse(decodeJson(text));
  if (parsed.success) return errorFromJson(parsed.data.error);
  return new UsageError("USAGE", "the node says something that this version does not know");
}

/** Class and place only: what an error that is not ours says might be anything. */
export function whereabouts(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /[\w.-]+:\d+:\d+/.exec(error.stack?.split("\n").slice(1).join("\n") ?? "");
  return `${error.constructor.name}${place === null ? "" : ` at ${place[0]}`}`;
}

const BASE64 = z.strictObject({ base64: z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/) });

const ERROR = z.object({
  code: z.string(),
  message: z.string(),
  party: z.string().optional(),
  parties: z.array(z.int()).optional(),
});

const REFUSED = z.object({ error: ERROR });

/** An error as JSON. */
export type ErrorJson = z.infer<typeof ERROR>;

const SESSION = z.object({
  kind: z.enum(["opening", "mending", "round", "done", "failed", "dropped"]),
  protocol: z.string(),
  sid: z.string().optional(),
  round: z.int(),
  rounds: z.int(),
  roundName: z.string(),
  participants: z.array(z.int()),
  waitingFor: z.array(z.int()),
  deadlineMs: z.number(),
  error: ERROR.optional(),
  peer: z.int().optional(),
  why: z.string().optional(),
});

const EVENT = z.discriminatedUnion("event", [
  z.object({ event: z.literal("session"), session: SESSION }),
  z.object({
    event: z.literal("link"),
    link: z.object({
      code: z.string(),
      peer: z.string().optional(),
      direction: z.enum(["in", "out"]).optional(),
      address: z.string().optional(),
      text: z.string(),
    }),
  }),
  z.object({ event: z.literal("warn"), text: z.string() }),
  z.object({ event: z.literal("data"), data: z.unknown() }),
  z.object({ event: z.literal("result"), value: z.unknown() }),
  z.object({ event: z.literal("error"), error: ERROR }),
]);

function sessionToJson({ evidence: _evidence, sid, error, ...event }: SessionEvent): z.infer<typeof SESSION> {
  return {
    ...event,
    participants: [...event.participants],
    waitingFor: [...event.waitingFor],
    ...(sid === undefined ? {} : { sid: hex(sid) }),
    ...(error === undefined ? {} : { error: errorToJson(error) }),
  };
}

function sessionFromJson({ sid, error, peer, why, ...event }: z.infer<typeof SESSION>): SessionEvent {
  const bytes: Bytes | undefined = sid === undefined ? undefined : fromHex(sid);
  return {
    ...event,
    participants: event.participants.map(partyId),
    waitingFor: event.waitingFor.map(partyId),
    ...(bytes?.length === 32 ? { sid: sessionId(bytes) } : {}),
    ...(error === undefined ? {} : { error: errorFromJson(error) }),
    ...(peer === undefined ? {} : { peer: partyId(peer) }),
    ...(why === undefined ? {} : { why }),
  };
}
