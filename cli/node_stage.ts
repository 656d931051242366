/**
 * Nodes as processes of their own in a temporary directory, and an operator who asks all of them: for demos, drills and load.
 *
 * @module
 */

import { createServer } from "node:net";
import { join } from "node:path";
import { systemRng } from "../src/base/rng.ts";
import { writeError } from "./output.ts";
import { type PartyProcess, startParty } from "./processes.ts";
import { type Config, loadConfig } from "../src/node/config.ts";
import { initCluster } from "../src/node/init.ts";
import { OperatorClient } from "../src/node/operator_client.ts";
import type { TxReport } from "../src/node/voting_report.ts";

/** What differs from what `init` makes. */
export interface StageOptions {
  /** Sections of the configuration, as TOML. */
  readonly more?: string;
  /** Changes the configuration. */
  readonly change?: (config: string) => string;
  /** Parties whose nodes are not run. */
  readonly without?: readonly string[];
  /** Told each line of a node's log; without it nodes log errors alone. */
  readonly onLine?: (name: string, line: string) => void;
}

/** A cluster whose nodes run. */
export class NodeStage implements AsyncDisposable {
  /** The configuration of all. */
  readonly config: Config;
  /** All parties. */
  readonly names: readonly string[];
  /** Everything of them is in it. */
  readonly directory: string;
  readonly #processes = new Map<string, PartyProcess>();
  readonly #clients = new Map<string, OperatorClient>();
  readonly #onLine: StageOptions["onLine"];

  private constructor(directory: string, config: Config, onLine: StageOptions["onLine"]) {
    this.#onLine = onLine;
    this.directory = directory;
    this.config = config;
    this.names = config.parties.map(({ name }) => name);
  }

  /**
   * Starts a node per name and waits until all are linked.
   */
  static async start(
    names: readonly string[],
    { more = "", without = [], change = (config) => config, onLine }: StageOptions = {},
  ): Promise<NodeStage> {
    const directory = Deno.makeTempDirSync({ prefix: "quorate-voting-" });
    const { configPath } = await initCluster({
      names,
      directory: join(directory, "cluster"),
      cluster: "load",
      basePort: await freeBlock(names.length),
    });
    Deno.writeTextFileSync(configPath, `${change(Deno.readTextFileSync(configPath))}\n${more}`);
    const cluster = new NodeStage(directory, loadConfig(configPath), onLine);
    try {
      const run = names.filter((name) => !without.includes(name));
      for (const name of run) cluster.startNode(name);
      await cluster.ready(run);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts one node, on the data that it has. */
  startNode(name: string): void {
    const onLine = this.#onLine;
    const args = [
      "node",
      "run",
      "--log-format",
      "json",
      "--log-level",
      onLine === undefined ? "error" : "info",
    ];
    const onProgress = (line: string) => onLine?.(name, line);
    const process = startParty(this.config, name, args, { onProgress });
    this.#processes.set(name, process);
    void process.finished.then(({ code, stderr }) => {
      // Nobody else would say why.
      if (this.#processes.get(name) === process) {
        writeError(`the node of ${name} ended with ${code}:\n${stderr.slice(-2000)}`);
      }
      this.#processes.delete(name);
    });
  }

  /** Ends a node as a crash would. */
  async killNode(name: string): Promise<void> {
    const process = this.#processes.get(name);
    this.#processes.delete(name);
    process?.kill();
    await process?.finished;
    this.#clients.get(name)?.[Symbol.dispose]();
    this.#clients.delete(name);
  }

  /** Stops a node, which goes on with `SIGCONT`. */
  signalNode(name: string, signal: "SIGSTOP" | "SIGCONT"): void {
    const process = this.#processes.get(name);
    if (process !== undefined) Deno.kill(process.pid, signal);
  }

  /** Asks a node over connections that are kept. */
  client(name: string): OperatorClient {
    const party = this.config.parties.find((one) => one.name === name);
    if (party === undefined) throw new Error(`there is no ${name}`);
    const client = this.#clients.get(name) ?? new OperatorClient(this.config, party, undefined, 64);
    this.#clients.set(name, client);
    return client;
  }

  /** Votes at a node, and waits for the decision there. */
  async vote(name: string, txId: string, integer: string, waitMs = 0): Promise<TxReport> {
    const input = { txId, value: { integer }, waitMs };
    return await this.client(name).follow(
      { method: "POST", path: "/v1/voting/cast", input },
      () => {},
    ) as TxReport;
  }

  /** How a transaction stands at a node, after a while at most. */
  async status(name: string, txId: string, waitMs = 0): Promise<TxReport> {
    const input = { txId, waitMs };
    return await this.client(name).follow(
      { method: "POST", path: "/v1/voting/status", input },
      () => {},
    ) as TxReport;
  }

  /** Waits until these nodes can reach everybody who is to run. */
  async ready(names: readonly string[] = this.names): Promise<void> {
    for (const name of names) {
      for (let tries = 0;; tries++) {
        try {
          const status = await this.client(name).ask({ method: "GET", path: "/v1/status" }) as {
            readonly reachable: readonly string[];
          };
          if (names.every((other) => status.reachable.includes(other))) break;
        } catch (error) {
          if (tries > 300) throw error;
        }
        if (tries > 300) throw new Error(`${name} is not ready`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** Ends all nodes at once and removes their files, where there is no time to wait. */
  kill(): void {
    for (const [name, process] of [...this.#processes]) {
      this.#processes.delete(name);
      process.kill();
    }
    Deno.removeSync(this.directory, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.names.map((name) => this.killNode(name)));
    Deno.removeSync(this.directory, { recursive: true });
  }
}

/** A port from which on so many are free for peers, and as many for operators and for metrics. */
export async function freeBlock(count: number): Promise<number> {
  for (;;) {
    const [high, low] = systemRng.bytes(2) as unknown as [number, number];
    const base = 20_000 + 10 * ((256 * high + low) % 1_000);
    const ports = [0, 100, 200].flatMap((offset) =>
      Array.from({ length: count }, (_, i) => base + offset + i)
    );
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
  });
  if (listening) await new Promise((resolve) => server.close(resolve));
  return listening;
}
