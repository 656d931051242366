/**
 * What this party signs of what was approved: the section `[policy]` of the configuration (VOTING 8.2). Each party has its own; a
 * party that is stricter than the others keeps its share to itself.
 *
 * @module
 */

import { z } from "zod";
import { UsageError } from "../base/errors.ts";
import { parsePath } from "../protocols/ecdsa/derive.ts";
import type { Roster } from "../session/roster.ts";
import { choice, number, text, whole } from "./config_values.ts";

/** Minutes of a day, in UTC. */
export interface DayWindow {
  /** The first minute. */
  readonly from: number;
  /** The first minute that is out again; before `from` where the window goes over midnight. */
  readonly to: number;
}

/** What a party signs. */
export interface PolicyConfig {
  /** Names of keys that may sign; undefined: all that are bound to approval. */
  readonly keys: readonly string[] | undefined;
  /** Whether a digest is signed, of which nobody knows what it is of. */
  readonly allowDigest: boolean;
  /** Longest message, in bytes; undefined: as long as an approval may be. */
  readonly messageBytesMax: number | undefined;
  /** Children that may sign: those below one of these paths; undefined: all. */
  readonly paths: readonly (readonly number[])[] | undefined;
  /** How often one key may begin to sign. */
  readonly rates: { readonly perHour: number | undefined; readonly perDay: number | undefined };
  /** When it may; undefined: always. */
  readonly window: DayWindow | undefined;
  /** On which days, as `mon`; undefined: on all. */
  readonly days: readonly string[] | undefined;
  /** Who has to have voted for it, and how many of them; undefined: whoever makes the quorum. */
  readonly approvers: { readonly names: readonly string[]; readonly atLeast: number } | undefined;
  /** Whether two different members must have voted for it, of whom the proposer is at most one. */
  readonly twoPersons: boolean;
  /** What a dissenting vote takes from a reputation. */
  readonly dissentWeight: number;
  /** Names of proposers whose proposals this node approves by itself, where all the rest of this section allows them. */
  readonly autoApprove: readonly string[];
  /** Longest time from the first to the last moment of an approval. */
  readonly maxLifetimeMs: number;
  /** How far this party's clock may be from those of the others. */
  readonly maxOffsetMs: number;
  /** How long a session may take: an approval that ends before is not begun, and the next initiator waits so long. */
  readonly sessionLimitMs: number;
}

const WINDOW_EXPECTED = "a time of day in UTC as 08:00-18:30";
const NAMES_EXPECTED = "a list of names";
const PATH_EXPECTED = "a path as m/0/5";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** Keys of `[policy]`. */
export const POLICY_SHAPE = {
  keys: z.array(text(NAMES_EXPECTED), { error: NAMES_EXPECTED }).max(1024).optional(),
  allow_digest: z.boolean({ error: "true or false" }).optional(),
  max_message_bytes: whole(0, 48 * 1024, "a number of bytes").optional(),
  paths: z.array(text(PATH_EXPECTED, /^m(?:\/\d{1,10})*$/), { error: "a list of paths as m/0/5" }).max(64)
    .optional(),
  per_hour: whole(0, 1_000_000, "a number of signatures").optional(),
  per_day: whole(0, 10_000_000, "a number of signatures").optional(),
  window: text(WINDOW_EXPECTED, /^(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d$/).optional(),
  days: z.array(choice(DAYS), { error: `a list of ${DAYS.join(", ")}` }).min(1).max(7).optional(),
  approvers: z.array(text(NAMES_EXPECTED), { error: NAMES_EXPECTED }).min(1).max(64).optional(),
  approvers_required: whole(1, 64, "a number of members").optional(),
  two_persons: z.boolean({ error: "true or false" }).optional(),
  dissent_weight: number(0, 100, "a number").optional(),
  auto_approve: z.boolean({ error: "true or false" }).optional(),
  proposers: z.array(text(NAMES_EXPECTED), { error: NAMES_EXPECTED }).max(64).optional(),
  max_lifetime_seconds: number(1, 366 * 86_400, "a number of seconds").optional(),
  max_offset_seconds: number(0.1, 3600, "a number of seconds").optional(),
  session_limit_seconds: number(1, 3600, "a number of seconds").optional(),
};

/** The section's values. */
export type PolicySection = z.infer<z.ZodObject<typeof POLICY_SHAPE>>;

/** What a section means. @throws UsageError CONFIG_INVALID with a sentence that begins with the key. */
export function policyOf(section: PolicySection, roster: Roster): PolicyConfig {
  const { approvers, approvers_required: atLeast, proposers } = section;
  for (const [key, names] of [["approvers", approvers], ["proposers", proposers]] as const) {
    const stranger = names?.find((name) => roster.parties.every((party) => party.name !== name));
    if (stranger !== undefined) {
      throw invalid(`policy.${key} names ${stranger}, which is none of the parties`);
    }
  }
  if (atLeast !== undefined && (approvers === undefined || new Set(approvers).size < atLeast)) {
    throw invalid(
      `policy.approvers_required is ${atLeast}, and policy.approvers names ${new Set(approvers).size}`,
    );
  }
  if (section.auto_approve === true && proposers === undefined) {
    throw invalid("policy.auto_approve needs policy.proposers: a list of those whose proposals are approved");
  }
  return {
    keys: section.keys,
    allowDigest: section.allow_digest ?? false,
    messageBytesMax: section.max_message_bytes,
    paths: section.paths?.map(pathOf),
    rates: { perHour: section.per_hour, perDay: section.per_day },
    window: section.window === undefined ? undefined : windowOf(section.window),
    days: section.days,
    approvers: approvers === undefined ? undefined : { names: approvers, atLeast: atLeast ?? 1 },
    twoPersons: section.two_persons ?? false,
    dissentWeight: section.dissent_weight ?? 0,
    autoApprove: section.auto_approve === true ? proposers ?? [] : [],
    maxLifetimeMs: (section.max_lifetime_seconds ?? 86_400) * 1000,
    maxOffsetMs: (section.max_offset_seconds ?? 30) * 1000,
    sessionLimitMs: (section.session_limit_seconds ?? 60) * 1000,
  };
}

/** Whether a moment is in the days and hours of a policy. @param time milliseconds since 1970. */
export function isInWindow({ window, days }: Pick<PolicyConfig, "window" | "days">, time: number): boolean {
  const date = new Date(time);
  const day = DAYS[(date.getUTCDay() + 6) % 7] as string;
  if (days !== undefined && !days.includes(day)) return false;
  if (window === undefined) return true;
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  const { from, to } = window;
  return from <= to ? from <= minute && minute < to : from <= minute || minute < to;
}

/** A window for people. */
export function formatWindow({ window, days }: Pick<PolicyConfig, "window" | "days">): string {
  const time = (minute: number) =>
    `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
  const hours = window === undefined ? "all day" : `${time(window.from)}-${time(window.to)} UTC`;
  return days === undefined ? hours : `${days.join(", ")}, ${hours}`;
}

function windowOf(text: string): DayWindow {
  const [from, to] = text.split("-").map((time) => {
    const [hours, minutes] = time.split(":").map(Number) as [number, number];
    return hours * 60 + minutes;
  }) as [number, number];
  return { from, to };
}

function pathOf(text: string): readonly number[] {
  try {
    return parsePath(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw invalid(`policy.paths: ${error.message}`);
  }
}

function invalid(sentence: string): UsageError {
  return new UsageError("CONFIG_INVALID", sentence);
}
