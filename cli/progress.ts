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
}

/** Shows what a command is doing. */
export class Progress {
  readonly #config: Config;
  readonly #party: string;
  readonly #terminal: boolean;
  readonly #write: (text: string) => void;
  #live = false;
  /** What is wrong with the link to a party, in words. */
  readonly #faults = new Map<string, string>();

  constructor(config: Config, party: string, options: ProgressOptions = {}) {
    this.#config = config;
    this.#party = party;
    this.#terminal = options.terminal ?? Deno.stderr.isTerminal();
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
    if (this.#terminal || known === text) return;
    this.#line({ level: "info", event: "link", code, peer, direction, address, text });
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

  /** Ends the live line. */
  end(): void {
    if (this.#live) this.#write("\r\x1b[K");
    this.#live = false;
  }

  #showLive(event: SessionEvent, sid: string | undefined, waiting: readonly string[]): void {
    if (event.kind === "dropped" || event.kind === "failed") return;
    const dots = "●".repeat(event.round) + "○".repeat(Math.max(0, event.rounds - event.round));
    const wait = waiting.length === 0 || event.kind === "done"
      ? ""
      : ` waiting: ${waiting.map((name) => this.#withFault(name)).join(", ")}`;
    const deadline = wait === "" ? "" : ` deadline ${Math.ceil(event.deadlineMs / 1000)} s`;
    const text = `${event.protocol} ${
      sid ?? "....."
    } r${event.round}/${event.rounds} ${dots}${wait}${deadline}`;
    this.#write(`\r\x1b[K${text}`);
    this.#live = true;
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
