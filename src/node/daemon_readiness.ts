/**
 * Says in the log when a node becomes ready, and what keeps it from being so.
 *
 * @module
 */

import type { Log } from "../telemetry/log.ts";
import type { Unreadiness } from "../telemetry/server.ts";

/** What {@linkcode ReadinessLog} needs. */
export interface ReadinessLogOptions {
  /** Where it is said. */
  readonly log: Log;
  /** Everything that keeps the node from being ready; empty where it is. */
  readonly unready: () => readonly Unreadiness[];
  /** How often it is asked. Default 500. */
  readonly intervalMs?: number;
}

/** Looks again and again, until it is disposed. */
export class ReadinessLog implements Disposable {
  readonly #options: ReadinessLogOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  /** What was said last. */
  #said: string | undefined;

  /** Begins to look: links that are being made have until then. */
  constructor(options: ReadinessLogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.check(), options.intervalMs ?? INTERVAL_MS);
  }

  /** Says it now, where it is something else than the last time. */
  check(): void {
    const { log, unready } = this.#options;
    const sentences = unready().map(({ text }) => text).join("; ");
    if (sentences === this.#said) return;
    this.#said = sentences;
    if (sentences === "") log.write("info", "the node is ready", { code: "NODE_READY" });
    else log.write("warn", `the node is not ready: ${sentences}`, { code: "NODE_NOT_READY" });
  }

  /** Stops. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

const INTERVAL_MS = 500;
