/**
 * Progress on stderr: one live line on a terminal, one JSON line per transition otherwise.
 *
 * @module
 */

import { hex } from "../src/base/bytes.ts";
import type { Config } from "../src/node/config.ts";
import type { SessionEvent } from "../src/session/context.ts";
import type { LockHolder } from "../src/storage/lock.ts";
import type { MeshEvent } from "../src/transport/mesh.ts";
import { writeError } from "./output.ts";

/** Where progress goes. */
export interface ProgressOptions {
  /** Whether stderr is a terminal. */
  readonly terminal?: boolean;
  /** Writes text as it is. */
  readonly write?: (text: string) => void;
  /** Width of the terminal; default: asked of it. */
  readonly columns?: number;
}

/** What the live line shows. */
interface Live {
  /** Protocol, session and round. */
  readonly head: string;
  /** Names. */
  readonly waiting: readonly string[];
  /** When the wait ends, in milliseconds of `performance.now()`. */
  readonly endsAt: number;
}

const TICK_MS = 1000;
const COLUMNS_DEFAULT = 80;
/** Links that are made and ended as they should be; everything else is worth a look. */
const QUIET = new Set(["LINK_UP", "LISTENING", "SHUTDOWN", "REPLACED", "AGE"]);

/** Shows what a command is doing. */
export class Progress {
  readonly #config: Config;
  readonly #party: string;
  readonly #terminal: boolean;
  readonly #write: (text: string) => void;
  readonly #columns: number | undefined;
  #live: Live | undefined;
  #ticker: ReturnType<typeof setInterval> | undefined;
  /** What is wrong with the link to a party, in words. */
  readonly #faults = new Map<string, string>();

  constructor(config: Config, party: string, options: ProgressOptions = {}) {
    this.#config = config;
    this.#party = party;
    this.#terminal = options.terminal ?? Deno.stderr.isTerminal();
    this.#columns = options.columns;
    this.#write = options.write ?? ((text) => writeError(text.replace(/\n$/, "")));
    if (options.write === undefined && this.#terminal) {
      this.#write = (text) => void Deno.stderr.writeSync(new TextEncoder().encode(text));
    }
  }

  /** Another process of this party runs. */
  waitForProcess(holder: LockHolder | undefined): void {
    const who = holder === undefined ? "another process" : `"${holder.command}" (process ${holder.pid})`;
    this.#note("info", "PARTY_BUSY", `waiting for ${who} of ${this.#party}`);
  }

  /** Something that failed and need not have worked. */
  warn(sentence: string): void {
    this.#note("warn", "WARNING", sentence);
  }

  /** A link changed. The same thing again and again is said once. */
  link({ code, peer, direction, address, text }: MeshEvent): void {
    const known = peer === undefined ? undefined : this.#faults.get(peer);
    if (peer !== undefined && code === "LINK_UP") this.#faults.delete(peer);
    else if (peer !== undefined) this.#faults.set(peer, text);
    if (known === text) return;
    if (this.#terminal) return this.#draw();
    const level = QUIET.has(code) ? "info" : "warn";
    this.#line({ level, event: "link", code, peer, direction, address, text });
  }

  /** A session moved on. */
  session(event: SessionEvent): void {
    const waiting = event.waitingFor.map((party) => this.#config.roster.nameOf(party));
    const sid = event.sid === undefined ? undefined : hex(event.sid).slice(0, 8);
    if (this.#terminal) return this.#showLive(event, sid, waiting);
    this.#line({
      level: event.kind === "failed" ? "error" : "info",
      event: event.kind,
      protocol: event.protocol,
      session: sid,
      round: event.round,
      rounds: event.rounds,
      name: event.roundName,
      waiting,
      deadlineMs: Math.max(0, Math.round(event.deadlineMs)),
      code: event.error?.code,
      peer: event.peer === undefined ? undefined : this.#config.roster.nameOf(event.peer),
      text: event.why ?? event.error?.message,
    });
  }

  /** Ends the live line, so that something else can be written. */
  end(): void {
    if (this.#live !== undefined) this.#write("\r\x1b[K");
    this.#live = undefined;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  #showLive(event: SessionEvent, sid: string | undefined, waiting: readonly string[]): void {
    if (event.kind === "dropped") return;
    if (event.kind === "done" || event.kind === "failed") return this.end();
    const dots = "●".repeat(event.round) + "○".repeat(Math.max(0, event.rounds - event.round));
    this.#live = {
      head: `${event.protocol} ${sid ?? "....."} r${event.round}/${event.rounds} ${dots}`,
      waiting,
      endsAt: performance.now() + event.deadlineMs,
    };
    this.#ticker ??= setInterval(() => this.#draw(), TICK_MS);
    this.#draw();
  }

  /** One line, whatever is to be said: a line that wraps could not be taken back. */
  #draw(): void {
    if (this.#live === undefined) return;
    const { head, waiting, endsAt } = this.#live;
    const names = waiting.map((name) => this.#withFault(name)).join(", ");
    const seconds = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
    const tail = names === "" ? "" : ` deadline ${seconds} s`;
    const text = names === "" ? head : `${head} waiting: ${names}`;
    // A terminal of an unknown size says 0.
    const columns = (this.#columns ?? columnsOfTerminal()) || COLUMNS_DEFAULT;
    this.#write(`\r\x1b[K${cut(text, columns - tail.length - 1)}${tail}`);
  }

  #withFault(name: string): string {
    const fault = this.#faults.get(name);
    return fault === undefined ? name : `${name} (${fault})`;
  }

  #note(level: string, code: string, text: string): void {
    if (!this.#terminal) return this.#line({ level, code, text });
    this.end();
    this.#write(`${text}\n`);
  }

  #line(fields: Record<string, unknown>): void {
    this.#write(JSON.stringify({ ts: new Date().toISOString(), party: this.#party, ...fields }) + "\n");
  }
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : text.slice(0, Math.max(0, length - 1)) + "…";
}

function columnsOfTerminal(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return COLUMNS_DEFAULT;
  }
}
