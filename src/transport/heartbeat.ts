/**
 * Signs of life of one link, per direction. Each interval asks the peer with a PING; silence for too long ends the link, and so do
 * questions that are not answered while the peer is heard: then what is sent does not arrive. An empty PING asks nothing: it says
 * that its sender lives, but does not read now because it is behind.
 *
 * Intervals are counted, not time, so that a process that was stopped itself does not blame its peers.
 *
 * @module
 */

import { type Bytes, EMPTY, equal } from "../base/bytes.ts";
import type { Rng } from "../base/rng.ts";
import type { TransportLimits } from "./limits.ts";

/** What a heartbeat works with. */
export interface HeartbeatOptions {
  /** How often, and how long. */
  readonly limits: TransportLimits;
  /** Draws the tokens of questions. */
  readonly rng: Rng;
  /** Sends a PING. */
  ping(payload: Bytes): void;
  /** True while nothing is read from the peer. */
  isPaused(): boolean;
  /** The link is dead. */
  dead(code: "SILENT" | "ONE_WAY"): void;
  /** Called at each interval. */
  tick(): void;
  /** Calls back once, unless the link ends before. */
  after(delayMs: number, callback: () => void): void;
}

/**
 * Whether a direction works: `in` is what the peer sends. `unknown` where nothing is heard, so that nothing can say whether what is
 * sent arrives.
 */
export interface Directions {
  /** From the peer to this node. */
  readonly in: "up" | "down";
  /** From this node to the peer. */
  readonly out: "up" | "down" | "unknown";
}

/** The liveness of one link. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #heard = false;
  #silentTicks = 0;
  #unansweredTicks = 0;
  #busyTicks = 0;
  #token: Bytes | undefined;
  #askedAt = 0;
  #waiting: (() => void)[] = [];
  #rttMs: number | undefined;
  #rttAverageMs: number | undefined;

  /** Begins when {@linkcode Heartbeat.start} is called. */
  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Time of the last PING to its PONG. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The same, averaged over about the last eight. */
  get rttAverageMs(): number | undefined {
    return this.#rttAverageMs;
  }

  /** Which directions work. */
  get directions(): Directions {
    const isSilent = this.#silentTicks >= TICKS_DOWN;
    const unanswered = this.#unansweredTicks >= TICKS_DOWN;
    return { in: isSilent ? "down" : "up", out: isSilent ? "unknown" : unanswered ? "down" : "up" };
  }

  /** True while the peer says that it does not read. */
  get isPeerBehind(): boolean {
    return this.#busyTicks > 0;
  }

  /** Counts intervals from now on. */
  start(): void {
    const { limits, after } = this.#options;
    after(limits.pingIntervalMs, () => {
      if (this.#tick()) this.start();
    });
  }

  /** Something came. */
  heard(): void {
    this.#heard = true;
  }

  /** A PING came. True where it is to be answered. */
  receivePing(payload: Bytes): boolean {
    if (payload.length > 0) return true;
    this.#busyTicks = TICKS_DOWN;
    return false;
  }

  /** A PONG came. Only the answer to the last question counts: one that was recorded or made up before it proves nothing. */
  receivePong(token: Bytes): void {
    if (this.#token === undefined || !equal(token, this.#token)) return;
    this.#token = undefined;
    this.#busyTicks = 0;
    this.#unansweredTicks = 0;
    const rttMs = performance.now() - this.#askedAt;
    this.#rttMs = rttMs;
    this.#rttAverageMs = this.#rttAverageMs === undefined
      ? rttMs
      : this.#rttAverageMs + (rttMs - this.#rttAverageMs) / AVERAGED_OVER;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }

  /** Asks the peer for a sign of life. `done` is told once: true where it answered in time. */
  probe(deadlineMs: number, done: (alive: boolean) => void): void {
    let isOpen = true;
    const finish = (alive: boolean) => {
      if (isOpen) done(alive);
      isOpen = false;
    };
    this.#waiting.push(() => finish(true));
    this.#options.after(deadlineMs, () => finish(false));
    this.#ask();
  }

  /** @returns whether the link lives. */
  #tick(): boolean {
    const { pingIntervalMs, silenceMs } = this.#options.limits;
    const isPaused = this.#options.isPaused();
    this.#silentTicks = this.#heard || isPaused ? 0 : this.#silentTicks + 1;
    this.#busyTicks = Math.max(0, this.#busyTicks - 1);
    const isAwaited = this.#token !== undefined && !isPaused && !this.isPeerBehind;
    this.#unansweredTicks = isAwaited ? this.#unansweredTicks + 1 : 0;
    this.#heard = false;
    if (this.#silentTicks * pingIntervalMs >= silenceMs) {
      this.#options.dead("SILENT");
      return false;
    }
    if (this.#unansweredTicks * pingIntervalMs >= silenceMs) {
      this.#options.dead("ONE_WAY");
      return false;
    }
    if (isPaused) this.#options.ping(EMPTY);
    // A question that is not answered is said again: the peer hears from it that this direction works.
    if (!isPaused && this.#token !== undefined) this.#options.ping(this.#token);
    if (!isPaused && this.#token === undefined) this.#ask();
    this.#options.tick();
    return true;
  }

  #ask(): void {
    this.#token = this.#options.rng.bytes(8);
    this.#askedAt = performance.now();
    this.#options.ping(this.#token);
  }
}

/** After this many intervals a direction is shown as down. */
const TICKS_DOWN = 2;
const AVERAGED_OVER = 8;
