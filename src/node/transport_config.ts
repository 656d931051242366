/**
 * The limits of the links to peers: the section `[transport]` of the configuration.
 *
 * @module
 */

import { z } from "zod";
import { FrameType } from "../session/links.ts";
import { DEFAULT_LIMITS, type TransportLimits } from "../transport/limits.ts";
import { NodeMessageType } from "../transport/message_types.ts";
import type { ConnectionRates, Rate, RateLimits } from "../transport/rate.ts";
import { number, whole } from "./config_values.ts";

/** Types of messages between nodes that may have a rate of their own. */
const RATED_TYPES = {
  OPEN: FrameType.OPEN,
  READY: FrameType.READY,
  SESSION_REFUSED: FrameType.SESSION_REFUSED,
  ENVELOPE: FrameType.ENVELOPE,
  DONE: FrameType.DONE,
  ABORT: FrameType.ABORT,
  VOTE: NodeMessageType.VOTE,
  WITNESS: NodeMessageType.WITNESS,
  APPROVAL: NodeMessageType.APPROVAL,
} as const;

type RatedType = keyof typeof RATED_TYPES;

const seconds = (min: number, max: number) => number(min, max, "a number of seconds").optional();
const bytes = (min: number, max: number) => whole(min, max, "a number of bytes").optional();
const count = (min: number, max: number) => whole(min, max, "a whole number").optional();
const perSecond = (min: number, max: number) => number(min, max, "a number per second").optional();

const TYPE_RATE = z.strictObject({
  per_second: number(0.1, 1_000_000, "a number per second"),
  burst: whole(1, 1_000_000, "a whole number"),
}, { error: "a table with per_second and burst" }).optional();

const TYPE_RATES = Object.fromEntries(Object.keys(RATED_TYPES).map((name) => [name, TYPE_RATE])) as Record<
  RatedType,
  typeof TYPE_RATE
>;

/** Keys of `[transport]`. */
export const TRANSPORT_SHAPE = {
  up_deadline_seconds: seconds(1, 60),
  tcp_deadline_seconds: seconds(0.1, 60),
  tls_deadline_seconds: seconds(0.1, 60),
  hello_deadline_seconds: seconds(0.1, 60),
  duplicate_probe_seconds: seconds(0.1, 60),
  ping_interval_seconds: seconds(0.1, 3600),
  silence_seconds: seconds(0.2, 3600),
  link_age_seconds: seconds(60, 604_800),
  retry_max_seconds: seconds(0.05, 600),
  retry_reset_seconds: seconds(0, 3600),
  dial_attempts: count(1, 1_000_000),
  strangers_per_address: count(1, 4096),
  strangers_total: count(1, 65536),
  address_rate: perSecond(0.01, 100_000),
  address_burst: count(1, 100_000),
  connection_rate: perSecond(0.1, 100_000),
  connection_burst: count(1, 100_000),
  frame_rate: perSecond(10, 1_000_000),
  frame_burst: count(10, 1_000_000),
  frame_rate_floor: perSecond(1, 1_000_000),
  frame_rate_ceiling: perSecond(10, 1_000_000),
  byte_rate: bytes(1 << 16, 2 ** 32),
  byte_burst: bytes(1 << 16, 2 ** 32),
  send_buffer_bytes: bytes(1 << 16, 2 ** 32),
  send_timeout_seconds: seconds(0.1, 3600),
  send_backlog_bytes: bytes(1 << 20, 2 ** 32),
  slow_seconds: seconds(1, 3600),
  receive_backlog_frames: count(1, 1_000_000),
  receive_backlog_bytes: bytes(1 << 16, 2 ** 32),
  rotation_frames: count(1024, 2 ** 20),
  rotation_bytes: bytes(1 << 20, 2 ** 36),
  rotation_seconds: seconds(1, 86_400),
  clock_skew_warn_seconds: seconds(0, 86_400),
  clock_skew_max_seconds: seconds(0.1, 86_400),
  type_rates: z.strictObject(TYPE_RATES, { error: "a table" }).optional(),
};

/** The section's values. */
export type TransportSection = z.infer<z.ZodObject<typeof TRANSPORT_SHAPE>>;

/**
 * The limits that a section names; the others stay as they are by default.
 *
 * @param refuse is told which key contradicts which other one.
 */
export function transportOf(
  section: TransportSection,
  refuse: (sentence: string) => never,
): Partial<TransportLimits> {
  const limits: Partial<TransportLimits> = {
    ...Object.fromEntries(
      Object.entries(SCALARS).flatMap(([key, [limit, factor]]) => {
        const value = section[key as ScalarKey];
        return value === undefined ? [] : [[limit, value * factor]];
      }),
    ),
    ...ratesOf(section),
    ...connectionRatesOf(section),
    ...rotationOf(section),
  };
  requireOrder({ ...DEFAULT_LIMITS, ...limits }, section, refuse);
  return limits;
}

type ScalarKey = {
  [K in keyof TransportSection]-?: NonNullable<TransportSection[K]> extends number ? K : never;
}[keyof TransportSection];
type ScalarLimit = {
  [L in keyof TransportLimits]: TransportLimits[L] extends number ? L : never;
}[keyof TransportLimits];

/** Keys that are one limit each, and their unit in that of the limit. */
const SCALARS: Readonly<Partial<Record<ScalarKey, readonly [limit: ScalarLimit, factor: number]>>> = {
  tcp_deadline_seconds: ["tcpDeadlineMs", 1000],
  tls_deadline_seconds: ["tlsDeadlineMs", 1000],
  hello_deadline_seconds: ["helloDeadlineMs", 1000],
  up_deadline_seconds: ["upDeadlineMs", 1000],
  duplicate_probe_seconds: ["duplicateProbeMs", 1000],
  ping_interval_seconds: ["pingIntervalMs", 1000],
  silence_seconds: ["silenceMs", 1000],
  link_age_seconds: ["linkAgeMs", 1000],
  retry_max_seconds: ["retryMaxMs", 1000],
  retry_reset_seconds: ["retryResetMs", 1000],
  dial_attempts: ["dialAttemptsMax", 1],
  strangers_per_address: ["strangersPerAddress", 1],
  strangers_total: ["strangersTotal", 1],
  send_buffer_bytes: ["sendBufferBytes", 1],
  send_timeout_seconds: ["sendTimeoutMs", 1000],
  send_backlog_bytes: ["sendBacklogBytes", 1],
  slow_seconds: ["slowDeadlineMs", 1000],
  receive_backlog_frames: ["receiveBacklogFrames", 1],
  receive_backlog_bytes: ["receiveBacklogBytes", 1],
  clock_skew_warn_seconds: ["clockSkewWarnMs", 1000],
  clock_skew_max_seconds: ["clockSkewMaxMs", 1000],
};

function ratesOf(section: TransportSection): { rates?: RateLimits } {
  const { frame_rate, frame_burst, frame_rate_floor, frame_rate_ceiling, byte_rate, byte_burst, type_rates } =
    section;
  const named = [frame_rate, frame_burst, frame_rate_floor, frame_rate_ceiling, byte_rate, byte_burst];
  if (named.every((value) => value === undefined) && type_rates === undefined) return {};
  const { frames, bytes, types } = DEFAULT_LIMITS.rates;
  const own = Object.entries(type_rates ?? {}).flatMap(([name, rate]): [number, Rate][] =>
    rate === undefined
      ? []
      : [[RATED_TYPES[name as RatedType], { perSecond: rate.per_second, burst: rate.burst }]]
  );
  return {
    rates: {
      frames: {
        perSecond: frame_rate ?? frames.perSecond,
        burst: frame_burst ?? frames.burst,
        floor: frame_rate_floor ?? frames.floor,
        ceiling: frame_rate_ceiling ?? frames.ceiling,
      },
      bytes: { perSecond: byte_rate ?? bytes.perSecond, burst: byte_burst ?? bytes.burst },
      types: { ...types, ...Object.fromEntries(own) },
    },
  };
}

function connectionRatesOf(
  { address_rate, address_burst, connection_rate, connection_burst }: TransportSection,
): { connectionRates?: ConnectionRates } {
  const named = [address_rate, address_burst, connection_rate, connection_burst];
  if (named.every((value) => value === undefined)) return {};
  const { perAddress, total } = DEFAULT_LIMITS.connectionRates;
  return {
    connectionRates: {
      perAddress: {
        perSecond: address_rate ?? perAddress.perSecond,
        burst: address_burst ?? perAddress.burst,
      },
      total: { perSecond: connection_rate ?? total.perSecond, burst: connection_burst ?? total.burst },
    },
  };
}

function rotationOf(
  { rotation_frames, rotation_bytes, rotation_seconds }: TransportSection,
): Pick<Partial<TransportLimits>, "rotation"> {
  if ([rotation_frames, rotation_bytes, rotation_seconds].every((value) => value === undefined)) return {};
  const { frames, bytes, ms } = DEFAULT_LIMITS.rotation;
  return {
    rotation: {
      frames: rotation_frames ?? frames,
      bytes: rotation_bytes ?? bytes,
      ms: rotation_seconds === undefined ? ms : rotation_seconds * 1000,
    },
  };
}

/** Limits of which one makes no sense above the other. */
function requireOrder(
  limits: TransportLimits,
  section: TransportSection,
  refuse: (sentence: string) => never,
): void {
  const { frames } = limits.rates;
  const pairs: readonly (readonly [low: Bounded, high: Bounded])[] = [
    [["frame_rate_floor", frames.floor], ["frame_rate", frames.perSecond]],
    [["frame_rate", frames.perSecond], ["frame_rate_ceiling", frames.ceiling]],
    [["ping_interval_seconds", limits.pingIntervalMs / 1000], ["silence_seconds", limits.silenceMs / 1000]],
    [["send_buffer_bytes", limits.sendBufferBytes], ["send_backlog_bytes", limits.sendBacklogBytes]],
    [
      ["clock_skew_warn_seconds", limits.clockSkewWarnMs / 1000],
      ["clock_skew_max_seconds", limits.clockSkewMaxMs / 1000],
    ],
  ];
  const found = ([key, value]: Bounded) => `${value}${section[key] === undefined ? " (the default)" : ""}`;
  for (const [low, high] of pairs) {
    if (low[1] <= high[1]) continue;
    refuse(
      `transport.${low[0]} must be at most transport.${high[0]}: found ${found(low)} and ${found(high)}`,
    );
  }
}

type Bounded = readonly [key: keyof TransportSection, value: number];
