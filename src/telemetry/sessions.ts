/**
 * What a node's sessions are doing: for operators who ask, and counted for monitoring.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import type { PartyId } from "../base/brands.ts";
import type { SessionEvent } from "../session/context.ts";
import type { Metrics } from "./metrics.ts";

/** What a session was started for. */
export interface SessionPurpose {
  /** What was asked for. */
  readonly command: string;
  /** Name of the key, where it is about one. */
  readonly key?: string | undefined;
}

/** How one session stands. */
export interface SessionStatus extends SessionPurpose {
  /** Which one of this process, from 1. */
  readonly number: number;
  /** The first 8 hexadecimal digits of its id, as in logs; undefined before the parties agreed on it. */
  readonly session: string | undefined;
  /** The whole id. */
  readonly id: string | undefined;
  /** Name of the protocol. */
  readonly protocol: string;
  /** `opening`, `mending`, `round`, then `done` or `failed`. */
  readonly state: SessionEvent["kind"];
  /** 0 while it opens. */
  readonly round: number;
  /** How many the protocol has. */
  readonly rounds: number;
  /** For people. */
  readonly roundName: string;
  /** Names. */
  readonly participants: readonly string[];
  /** Names. */
  readonly waitingFor: readonly string[];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds since 1970. */
  readonly lastActivityAt: number;
  /** When it ends unless something comes: milliseconds since 1970. */
  readonly expiresAt: number;
  /** Of one that failed. */
  readonly error?: { readonly code: string; readonly message: string } | undefined;
}

/** What a monitor works with. */
export interface SessionMonitorOptions {
  /** Where it is counted. */
  readonly metrics: Metrics;
  /** Name of a party. */
  readonly nameOf: (party: PartyId) => string;
  /** Names of protocols that sign. */
  readonly signing: ReadonlySet<string>;
  /** Milliseconds since 1970. Default: the system's. */
  readonly now?: () => number;
}

/** Follows sessions by their events. */
export class SessionMonitor {
  readonly #options: Required<SessionMonitorOptions>;
  readonly #active = new Map<number, Followed>();
  readonly #recent: SessionStatus[] = [];

  /** Knows of none yet. */
  constructor(options: SessionMonitorOptions) {
    this.#options = { now: Date.now, ...options };
  }

  /** Sessions that open or run, oldest first. */
  get active(): readonly SessionStatus[] {
    return [...this.#active.values()].map(({ status }) => status);
  }

  /** The last ones that ended, newest first. */
  get recent(): readonly SessionStatus[] {
    return this.#recent;
  }

  /** A session moved on. @param session which one of this process, from 1. */
  note(session: number, event: SessionEvent, purpose: SessionPurpose): void {
    const { metrics } = this.#options;
    if (event.kind === "dropped") return;
    const now = this.#options.now();
    const followed = this.#active.get(session) ??
      { status: this.#statusOf(session, event, purpose, now), roundSince: now };
    const former = followed.status;
    followed.status = this.#statusOf(session, event, purpose, former.startedAt);
    this.#active.set(session, followed);
    this.#countWaits(former, followed, now);
    if (event.kind === "done" || event.kind === "failed") this.#ended(followed, event, now);
    const protocols = new Map<string, number>([[event.protocol, 0]]);
    for (const { status } of this.#active.values()) {
      protocols.set(status.protocol, (protocols.get(status.protocol) ?? 0) + 1);
    }
    metrics.replace("session_active", [...protocols].map(([protocol, count]) => [{ protocol }, count]));
  }

  #statusOf(
    number: number,
    event: SessionEvent,
    { command, key }: SessionPurpose,
    startedAt: number,
  ): SessionStatus {
    const { nameOf, now } = this.#options;
    const id = event.sid === undefined ? undefined : hex(event.sid);
    return {
      number,
      session: id?.slice(0, 8),
      id,
      protocol: event.protocol,
      state: event.kind,
      round: event.round,
      rounds: event.rounds,
      roundName: event.roundName,
      participants: event.participants.map(nameOf),
      waitingFor: event.waitingFor.map(nameOf),
      command,
      key,
      startedAt,
      lastActivityAt: now(),
      expiresAt: now() + event.deadlineMs,
      ...(event.error === undefined
        ? {}
        : { error: { code: event.error.code, message: event.error.message } }),
    };
  }

  /** Who was waited for and is not any more has answered, or the session went on without it. */
  #countWaits(former: SessionStatus, followed: Followed, now: number): void {
    const { metrics } = this.#options;
    const { protocol, round, waitingFor, state } = followed.status;
    const seconds = (now - followed.roundSince) / 1000;
    const isOver = round !== former.round || state === "done" || state === "failed";
    for (const peer of former.waitingFor) {
      if (isOver || !waitingFor.includes(peer)) metrics.observe("round_wait_seconds", { peer }, seconds);
    }
    if (!isOver) return;
    metrics.observe("round_duration_seconds", { protocol, round: String(former.round) }, seconds);
    followed.roundSince = now;
  }

  #ended({ status }: Followed, { error, evidence = [] }: SessionEvent, now: number): void {
    const { metrics, signing, nameOf } = this.#options;
    const { protocol, number } = status;
    const outcome = error === undefined ? "ok" : error.code === "OUTCOME_UNKNOWN" ? "unknown" : "failed";
    metrics.add("session_total", { protocol, outcome, reason: error?.code ?? "" });
    metrics.observe("session_duration_seconds", { protocol }, (now - status.startedAt) / 1000);
    if (error === undefined && signing.has(protocol)) metrics.add("signatures_total", { protocol });
    for (const { culprit, kind } of evidence) {
      metrics.add("byzantine_evidence_total", { peer: nameOf(culprit), kind });
    }
    this.#active.delete(number);
    this.#recent.unshift(status);
    if (this.#recent.length > RECENT_MAX) this.#recent.pop();
  }
}

interface Followed {
  status: SessionStatus;
  roundSince: number;
}

const RECENT_MAX = 32;
