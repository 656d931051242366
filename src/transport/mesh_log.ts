/**
 * What a mesh tells of its links, and how often.
 *
 * @module
 */

import { Tally } from "./counters.ts";
import type { MeshEvent } from "./mesh_types.ts";

/** Hands events to a log and counts them. */
export class MeshLog {
  readonly #log: ((event: MeshEvent) => void) | undefined;
  readonly #tally = new Tally();
  readonly #loggedAt = new Map<string, number>();

  /** Begins to count. */
  constructor(log: ((event: MeshEvent) => void) | undefined) {
    this.#log = log;
  }

  /** How often each event was, also where it was not logged. */
  get tally(): Tally["all"] {
    return this.#tally.all;
  }

  /** What comes as often as somebody else wants must not fill the log: one line a second of a kind, and a count of all. */
  seldom(kind: string, event: MeshEvent): void {
    const now = performance.now();
    if (now - (this.#loggedAt.get(kind) ?? -Infinity) < LOG_INTERVAL_MS) return this.#tally.add(event.code);
    this.#loggedAt.set(kind, now);
    this.write(event);
  }

  /** Writes and counts one event. */
  write(event: MeshEvent): void {
    this.#tally.add(event.code);
    try {
      this.#log?.(event);
    } catch {
      // A log that fails must not end a link.
    }
  }
}

/** A peer sends more than it may. */
export function limitedEvent(peer: string): MeshEvent {
  return { code: "RATE_LIMITED", peer, text: `${peer} sends more than it may: it is made to wait` };
}

/** One direction of a link has new keys. */
export function rotatedEvent(peer: string, direction: "in" | "out", epoch: number): MeshEvent {
  const what = direction === "out" ? "goes to" : "comes from";
  return {
    code: "KEY_ROTATED",
    peer,
    direction,
    epoch,
    text: `what ${what} ${peer} has new keys: epoch ${epoch}`,
  };
}

const LOG_INTERVAL_MS = 1_000;
