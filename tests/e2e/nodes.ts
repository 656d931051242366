/**
 * Nodes for tests: real processes of `quorate node run`, and questions to them.
 */

import assert from "node:assert/strict";
import { partyConfig } from "../../src/node/config.ts";
import type { NodeCommand } from "../../src/node/command.ts";
import type { StatusReport } from "../../src/node/daemon_report.ts";
import { OperatorClient } from "../../src/node/operator_client.ts";
import type { SessionStatus } from "../../src/telemetry/sessions.ts";
import type { Cluster, Finished } from "./cluster.ts";

/** One line of a node's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** What a node does at present, and did lately. */
export interface Sessions {
  readonly active: readonly SessionStatus[];
  readonly recent: readonly SessionStatus[];
}

/** A node that runs in a process of its own. */
export class Node {
  readonly party: string;
  readonly pid: number;
  readonly lines: LogLine[] = [];
  readonly finished: Promise<Finished>;
  readonly #cluster: Cluster;
  readonly #waiting = new Set<() => void>();
  #isOver = false;

  constructor(cluster: Cluster, party: string, args: readonly string[] = []) {
    this.#cluster = cluster;
    this.party = party;
    const { pid, finished } = cluster.start(party, ["node", "run", ...args], {
      onProgress: (line) => {
        if (line.startsWith("{")) this.lines.push(JSON.parse(line));
        this.#wake();
      },
    });
    this.pid = pid;
    this.finished = finished.finally(() => {
      this.#isOver = true;
      this.#wake();
    });
  }

  /** Waits for a line with a code, and what else is asked of it; from a line on. */
  async until(code: string, fits: (line: LogLine) => boolean = () => true, from = 0): Promise<LogLine> {
    for (;;) {
      const found = this.lines.slice(from).find((line) => line["code"] === code && fits(line));
      if (found !== undefined) return found;
      assert.ok(
        !this.#isOver,
        `${this.party} ended without ${code}: ${JSON.stringify(this.lines.slice(-5))}`,
      );
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  /** Ends it as an init system does, and expects that it ends well. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    const { code, stderr } = await this.finished;
    assert.equal(code, 0, stderr);
  }

  /** Ends it as a crash does. */
  async crash(): Promise<void> {
    this.signal("SIGKILL");
    await this.finished;
  }

  /** Asks something of it. */
  async ask<T>(path: string): Promise<T> {
    return await this.#client().ask({ method: "GET", path }) as T;
  }

  /** Has it do what a command says. */
  async call<I, O>({ name }: NodeCommand<I, O>, input: I, options: { timeoutMs?: number } = {}): Promise<O> {
    const question = {
      method: "POST",
      path: `/v1/commands/${name}`,
      input: { command: `test ${name}`, ...options, input },
    } as const;
    return await this.#client().follow(question, () => {}) as O;
  }

  /** What it says of itself. */
  async status(): Promise<StatusReport> {
    return await this.ask("/v1/status");
  }

  /** Waits until its sessions are as they should be. */
  async sessions(fits: (sessions: Sessions) => boolean): Promise<Sessions> {
    return await poll(() => this.ask<Sessions>("/v1/sessions"), fits);
  }

  /** One of its pages for monitoring. */
  async page(
    path: "livez" | "readyz" | "metrics",
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { telemetryListen: { host, port } } = partyConfig(this.#cluster.config, this.party).node;
    const response = await fetch(`http://${host}:${port}/${path}`);
    return { status: response.status, text: await response.text() };
  }

  #client(): OperatorClient {
    return new OperatorClient(this.#cluster.config, partyConfig(this.#cluster.config, this.party));
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Nodes of a cluster; those that still run are killed when it is disposed. */
export class Nodes implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #nodes = new Map<string, Node>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The node of a party that was started last. */
  of(party: string): Node {
    return this.#nodes.get(party) as Node;
  }

  /** Starts nodes of parties that have none. */
  start(parties: readonly string[], args: readonly string[] = []): Node[] {
    return parties.map((party) => {
      const node = new Node(this.#cluster, party, args);
      this.#nodes.set(party, node);
      return node;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#nodes.values()].map(async (node) => {
      try {
        node.signal("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      await node.finished;
    }));
  }
}

/** Asks again and again, until the answer is as it should be. */
export async function poll<T>(ask: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
  const until = performance.now() + POLL_MS;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    assert.ok(performance.now() < until, `it never came to that: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Long enough for a busy machine. */
const POLL_MS = 90_000;
