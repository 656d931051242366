/**
 * What operators ask a node to do: commands run as if the operator's process did them, one beside the other, and those about one key
 * in turns.
 *
 * @module
 */

import { z } from "zod";
import { hex } from "../base/bytes.ts";
import { QuorateError, UsageError } from "../base/errors.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { MeshEvent } from "../transport/mesh.ts";
import { type AnyCommand, runCommand } from "./command.ts";
import { KeyTurns } from "./key_turns.ts";
import type { OperatorCall, OperatorRoutes } from "./operator_server.ts";
import type { Party } from "./party.ts";

/** What is needed to serve requests. */
export interface RequestsOptions {
  /** The party that runs. */
  readonly party: Party;
  /** What can be asked for. */
  readonly commands: readonly AnyCommand[];
  /** Where it is counted. */
  readonly metrics: Metrics;
  /** Where it is written. */
  readonly log: Log;
}

/** Serves requests until it is stopped. */
export class NodeRequests {
  readonly #options: RequestsOptions;
  readonly #turns: KeyTurns;
  /** From the first check to the answer. */
  readonly #served = new Set<Promise<unknown>>();
  readonly #links = new Set<(event: MeshEvent) => void>();
  readonly #cancelled = new AbortController();
  #isStopping = false;
  #count = 0;

  /** Serves nothing yet. */
  constructor(options: RequestsOptions) {
    const { store } = options.party.local;
    this.#options = options;
    this.#turns = new KeyTurns((key) =>
      store.named(key).map(({ keyId, epoch, state }) => `${hex(keyId)}/${epoch}/${state}`).join()
    );
  }

  /** Where requests about one key take turns. */
  get turns(): KeyTurns {
    return this.#turns;
  }

  /** Paths of the operator API: one per command. */
  get routes(): OperatorRoutes {
    return new Map(
      this.#options.commands.map((command) => [
        `POST /v1/commands/${command.name}`,
        { streams: true, serve: (call) => this.#follow(this.#serve(command, call)) },
      ]),
    );
  }

  /** True once no new requests are taken. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Passes what happened to a link on to those who wait for peers. */
  linkChanged(event: MeshEvent): void {
    for (const listener of [...this.#links]) listener(event);
  }

  /** Takes no new requests, and waits for those that run; after a while it cancels them, and tells the peers. */
  async stop(drainMs: number): Promise<void> {
    this.#isStopping = true;
    const timer = setTimeout(() => this.cancel(), drainMs);
    await Promise.allSettled(this.#served);
    clearTimeout(timer);
  }

  /** Ends what runs or waits, here and at the peers. */
  cancel(): void {
    this.#isStopping = true;
    this.#cancelled.abort();
  }

  #follow(serving: Promise<unknown>): Promise<unknown> {
    this.#served.add(serving);
    const forget = () => void this.#served.delete(serving);
    serving.then(forget, forget);
    return serving;
  }

  async #serve(command: AnyCommand, call: OperatorCall): Promise<unknown> {
    const { text, timeoutMs, input } = requestOf(command, call.input);
    if (this.#isStopping) {
      throw new UsageError("PARTY_BUSY", "the node is stopping: run the command again when it has ended");
    }
    const { party, log, metrics } = this.#options;
    const req = String(++this.#count);
    const fields = { req, operator: call.operator, command: text };
    const details = { what: `operator ${call.operator} asks for ${text}` };
    party.local.audit.note({ type: "security_event", outcome: "started", details });
    log.write("info", "a request begins", { code: "REQUEST_STARTED", ...fields });
    const startedAt = performance.now();
    const ended = (result: string) => {
      metrics.add("commands_total", { command: command.name, result });
      return { ...fields, dur_ms: Math.round(performance.now() - startedAt) };
    };
    try {
      // Who asked has gone, or the node ends: both end what is done for them.
      const signal = AbortSignal.any([call.signal, this.#cancelled.signal]);
      const value = await this.#run(command, { text, timeoutMs, input }, { ...call, signal });
      log.write("info", "a request is done", { code: "REQUEST_DONE", ...ended("ok") });
      return value;
    } catch (error) {
      const code = error instanceof QuorateError ? error.code : "INVARIANT";
      const reason = error instanceof QuorateError ? error.message : "a bug in this program";
      if (/^(?:STORE_|SHARE_)/.test(code)) metrics.add("share_store_errors_total", { code });
      log.write("warn", "a request failed", { ...ended(code), code, reason });
      throw error;
    }
  }

  /** Once more from the start where another request changed the key meanwhile: what was proposed is of no use then. */
  async #run(command: AnyCommand, request: Asked, call: OperatorCall): Promise<unknown> {
    const { party: { local } } = this.#options;
    const key = command.keyOf?.(request.input, local);
    for (let attempt = 1;; attempt++) {
      using turn = key === undefined ? undefined : this.#turns.take(key);
      try {
        if (command.run.on === "store") {
          await turn?.alone(request.timeoutMs ?? local.timeoutMs, call.signal);
        }
        return await this.#attempt(command, { ...request, turn }, call);
      } catch (error) {
        const isStale = error instanceof QuorateError && error.code === "KEY_CHANGED";
        if (!isStale || attempt >= ATTEMPTS_MAX || call.signal.aborted) throw error;
      }
    }
  }

  async #attempt(
    command: AnyCommand,
    { text, timeoutMs, input, turn }: Asked & { readonly turn: Turn },
    { emit, signal }: OperatorCall,
  ): Promise<unknown> {
    const { party: whole } = this.#options;
    requireAsked(signal);
    const party = whole.forRequest({
      command: text,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(turn === undefined ? {} : { turn }),
      progress: (event) => emit({ event: "session", session: event }),
      warn: (sentence) => emit({ event: "warn", text: sentence }),
    });
    const onLink = (link: MeshEvent) => emit({ event: "link", link });
    const cancel = () => party.cancel();
    for (const { name, state, lastFault } of whole.network?.mesh.status() ?? []) {
      if (state === "down" && lastFault !== undefined) onLink({ ...lastFault, peer: name });
    }
    this.#links.add(onLink);
    signal.addEventListener("abort", cancel);
    try {
      return await runCommand(command, party, input);
    } finally {
      this.#links.delete(onLink);
      signal.removeEventListener("abort", cancel);
    }
  }
}

interface Asked {
  readonly text: string;
  readonly timeoutMs: number | undefined;
  readonly input: unknown;
}

type Turn = ReturnType<KeyTurns["take"]> | undefined;

/** As often as a key may change while a request waits for its turn. */
const ATTEMPTS_MAX = 8;

/** @throws UsageError CANCELLED */
function requireAsked({ aborted }: AbortSignal): void {
  if (aborted) throw new UsageError("CANCELLED", "the request was cancelled here before it began");
}

const REQUEST = z.strictObject({
  /** What was typed: for peers, logs and the audit log. */
  command: z.string().max(256),
  timeoutMs: z.number().min(1_000).max(3_600_000).optional(),
  input: z.unknown(),
});

function requestOf({ name, input }: AnyCommand, body: unknown): Asked {
  const request = REQUEST.safeParse(body);
  const parsed = request.success ? input.safeParse(request.data.input) : undefined;
  if (request.success && parsed?.success === true) {
    return { text: request.data.command, timeoutMs: request.data.timeoutMs, input: parsed.data };
  }
  const issue = (request.error ?? parsed?.error)?.issues[0];
  throw new UsageError(
    "USAGE",
    `the request ${name} has no valid ${issue?.path.join(".") || "form"}: ${issue?.message ?? "unknown"}`,
  );
}
