/**
 * A cluster of real processes for tests: every party runs with the permissions of its own files and addresses only.
 */

import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { type Config, loadConfig } from "../../src/node/config.ts";
import { initCluster } from "../../src/node/init.ts";
import {
  type Finished,
  type PartyProcess,
  type ProcessOptions,
  runParties,
  startParty,
} from "../../cli/processes.ts";

export type { Finished };

/** A new cluster in a temporary directory, removed when disposed. */
export class Cluster implements Disposable {
  readonly directory: string;
  readonly work: string;
  readonly names: readonly string[];
  /** As it was when it was read last. */
  config: Config;
  /** Everything that any process of this cluster printed. */
  readonly outputs: string[] = [];

  private constructor(directory: string, names: readonly string[], config: Config) {
    this.directory = directory;
    this.work = join(directory, "work");
    this.names = names;
    this.config = config;
    Deno.mkdirSync(this.work);
  }

  static async make(names: readonly string[]): Promise<Cluster> {
    const directory = Deno.makeTempDirSync({ prefix: "quorate-test-" });
    const ports = await freePorts(names.length, NODE_PORTS);
    const { configPath } = await initCluster({
      names,
      directory: join(directory, "cluster"),
      cluster: "test",
      hosts: new Map(names.map((name, i) => [name, { host: "127.0.0.1", port: ports[i] as number }])),
    });
    return new Cluster(directory, names, loadConfig(configPath));
  }

  /** Writes the configuration anew, and reads it. */
  edit(change: (text: string) => string): void {
    const { path } = this.config;
    Deno.writeTextFileSync(path, change(Deno.readTextFileSync(path)));
    this.config = loadConfig(path);
  }

  /** A file that parties may be given. */
  file(name: string, content?: string): string {
    const path = join(this.work, name);
    if (content !== undefined) Deno.writeTextFileSync(path, content);
    return path;
  }

  /** Starts one party's command. */
  start(party: string, args: readonly string[], options: ProcessOptions = {}): PartyProcess {
    const process = startParty(this.config, party, args, {
      read: [this.work],
      write: [this.work],
      ...options,
    });
    return {
      ...process,
      finished: process.finished.then((result) => {
        this.outputs.push(result.stdout, result.stderr);
        return result;
      }),
    };
  }

  /** Runs one party's command and expects an exit code. */
  async one(party: string, args: readonly string[], code = 0): Promise<Finished> {
    const result = await this.start(party, args).finished;
    assert.equal(result.code, code, `${party} ${args.join(" ")}\n${result.stderr}`);
    return result;
  }

  /** Runs the same command at several parties and expects success everywhere. */
  async all(
    parties: readonly string[],
    args: (party: string) => readonly string[],
  ): Promise<Map<string, Finished>> {
    const results = await runParties(
      this.config,
      parties,
      args,
      () => ({ read: [this.work], write: [this.work] }),
    );
    for (const [party, result] of results) {
      this.outputs.push(result.stdout, result.stderr);
      assert.equal(result.code, 0, `${party} ${args(party).join(" ")}\n${result.stderr}`);
    }
    return results;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }
}

/** The one result that all printed. */
export function sameOutput(results: ReadonlyMap<string, Finished>): string {
  const outputs = new Set([...results.values()].map((result) => result.stdout));
  assert.equal(outputs.size, 1, [...outputs].join("\n"));
  return [...outputs][0] as string;
}

/** Waits for a line of progress that has this event, protocol and round. */
export function isRound(line: string, protocol: string, round: number): boolean {
  try {
    const entry = JSON.parse(line) as Record<string, unknown>;
    return entry["event"] === "round" && entry["protocol"] === protocol && entry["round"] === round;
  } catch {
    return false;
  }
}

/** A shuffled copy: start orders vary from run to run, and are printed when a test fails. */
export function shuffled<T>(items: readonly T[]): T[] {
  return items.map((item) => [crypto.getRandomValues(new Uint32Array(1))[0] as number, item] as const)
    .sort(([a], [b]) => a - b).map(([, item]) => item);
}

/** Different ones: each stays taken until all are known. @param beside offsets of ports that have to be free as well. */
export async function freePorts(count: number, beside: readonly number[] = []): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  try {
    while (ports.length < count) {
      const first = await listen(0);
      if (first === undefined) continue;
      servers.push(first);
      const { port } = first.address() as { port: number };
      const others = await Promise.all(beside.map((offset) => listen(port + offset)));
      servers.push(...others.filter((server) => server !== undefined));
      if (!others.includes(undefined)) ports.push(port);
    }
    return ports;
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

async function listen(port: number): Promise<Server | undefined> {
  const server = createServer();
  return await new Promise((resolve) =>
    server.once("error", () => resolve(undefined)).listen(port, "127.0.0.1", () => resolve(server))
  );
}

/** Where the node of a party listens for operators and for monitoring, above the port for its peers. */
export const NODE_PORTS = [100, 200];
