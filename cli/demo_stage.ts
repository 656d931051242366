/**
 * What the demos stand on: a cluster of real processes in a temporary directory, and steps that say what happens.
 *
 * @module
 */

import { createServer } from "node:net";
import { join } from "node:path";
import { TransportError, UsageError } from "../src/base/errors.ts";
import { type Config, loadConfig, type PartyConfig, partyConfig } from "../src/node/config.ts";
import { initCluster } from "../src/node/init.ts";
import { type GlobalOptions, timeoutOf, wholeNumber } from "./options.ts";
import { print } from "./output.ts";
import { endProcesses, type Finished, type ProcessOptions, runParties, runStranger } from "./processes.ts";

/** What the demos take from the command line. */
export interface DemoOptions extends GlobalOptions {
  readonly message?: string;
  readonly parties?: string;
}

/** What is signed where no message is given. */
export const DEMO_MESSAGE = "Hello, MPC World!";
const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];
/** Four parties that generate a key share two slow cores: the configured time is for hosts of their own. */
const TIMEOUT_DEFAULT = "90";
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** One demo: its cluster, its files, its output. */
export class Stage {
  readonly options: DemoOptions;
  readonly names: readonly string[];
  readonly config: Config;
  readonly message: string;
  /** What is told in JSON at the end. */
  readonly results: Record<string, unknown> = {};
  readonly #work: string;
  readonly #steps: { readonly step: string; readonly seconds: number }[] = [];
  #cancelled = false;

  /** @param work where files are that belong to no data directory, so that nobody gets those of the cluster with them. */
  constructor(options: DemoOptions, work: string, names: readonly string[], config: Config) {
    this.options = options;
    this.message = options.message ?? DEMO_MESSAGE;
    this.names = names;
    this.config = config;
    this.#work = work;
    Deno.mkdirSync(this.published, { recursive: true });
  }

  /** Steps so far, with their time. */
  get steps(): readonly { readonly step: string; readonly seconds: number }[] {
    return this.#steps;
  }

  /** The directory of what everybody may read. */
  get published(): string {
    return join(this.#work, "public");
  }

  /** A file that everybody may read. */
  file(name: string): string {
    return join(this.published, name);
  }

  /** The directory of one party, or of the custodian, for what it hands out. */
  own(who: string): string {
    const directory = join(this.#work, "own", who);
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  /** Carries a file to where everybody may read it. @returns its new place. */
  publish(who: string, name: string): string {
    Deno.copyFileSync(join(this.own(who), name), this.file(name));
    return this.file(name);
  }

  /** A line for people; with `--json` nothing. */
  say(line: string): void {
    if (this.options.json !== true) console.log(line);
  }

  async step(title: string, run: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    this.say(`\nStep ${this.#steps.length + 1}: ${title}`);
    await run();
    const seconds = (performance.now() - startedAt) / 1000;
    this.say(`(${seconds.toFixed(1)} s)`);
    this.#steps.push({ step: title, seconds: Number(seconds.toFixed(3)) });
  }

  /** The same command at several parties at once: all of them have to succeed. */
  async run(
    parties: readonly string[],
    args: (party: string) => readonly string[],
    options?: (party: string) => ProcessOptions,
  ): Promise<Map<string, Finished>> {
    const timeout = ["--timeout", this.options.timeout ?? TIMEOUT_DEFAULT];
    const results = await this.#unlessCancelled(() =>
      runParties(this.config, parties, (party) => [...args(party), ...timeout], options)
    );
    for (const [party, { code, stderr }] of results) {
      if (code === 0) continue;
      if (this.options.json !== true) console.error(stderr);
      throw new TransportError(
        "PEER_ABORTED",
        `${party}'s process ended with code ${code}: ${lastLineOf(stderr)}`,
        { party },
      );
    }
    return results;
  }

  /** One party's command, whatever its exit code. */
  async attempt(party: string, args: readonly string[], options?: ProcessOptions): Promise<Finished> {
    const results = await this.#unlessCancelled(() =>
      runParties(this.config, [party], () => args, () => options ?? {})
    );
    return results.get(party) as Finished;
  }

  /** A command of somebody who is no party, whatever its exit code. */
  async stranger(args: readonly string[], paths: Parameters<typeof runStranger>[1]): Promise<Finished> {
    return await this.#unlessCancelled(() => runStranger(args, paths));
  }

  /** Ends what runs; the demo ends with it, and removes its files. */
  cancel(): void {
    this.#cancelled = true;
    endProcesses();
  }

  /** A party's part of the configuration. */
  party(name: string): PartyConfig {
    return partyConfig(this.config, name);
  }

  each(results: ReadonlyMap<string, Finished>, line: (stdout: string) => string): void {
    for (const [party, { stdout }] of results) this.say(`[${party}] ${line(stdout)}`);
  }

  equalEverywhere(results: ReadonlyMap<string, Finished>): void {
    if (new Set([...results.values()].map((result) => result.stdout)).size === 1) return;
    throw new TransportError("PEER_ABORTED", "the parties printed different results");
  }

  async #unlessCancelled<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#cancelled ? undefined : await run();
    if (result !== undefined && !this.#cancelled) return result;
    throw new TransportError("CANCELLED", "the demo was cancelled here, and its files are removed");
  }
}

/** Runs a demo on a new cluster, and removes everything after it. */
export async function withCluster(
  options: DemoOptions,
  countDefault: number,
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  timeoutOf(options);
  const count = options.parties === undefined ? countDefault : wholeNumber(options.parties, "--parties");
  if (count < 2 || count > NAMES.length) {
    throw new UsageError("USAGE", `--parties is 2 to ${NAMES.length}: found ${count}`);
  }
  const names = NAMES.slice(0, count);
  const directory = Deno.makeTempDirSync({ prefix: "quorate-demo-" });
  const startedAt = performance.now();
  try {
    const ports = await freePorts(count);
    const { configPath } = await initCluster({
      names,
      directory: join(directory, "cluster"),
      cluster: "demo",
      hosts: new Map(names.map((name, i) => [name, { host: "127.0.0.1", port: ports[i] as number }])),
    });
    const stage = new Stage(options, join(directory, "work"), names, loadConfig(configPath));
    stage.say(
      `${count} parties on mutual TLS (TLS 1.3), one process each: ${
        names.map((name, i) => `${name} 127.0.0.1:${ports[i]}`).join(", ")
      }`,
    );
    await untilSignal(stage, run);
    const seconds = (performance.now() - startedAt) / 1000;
    stage.say(`\nDemo completed successfully in ${seconds.toFixed(1)} s.`);
    if (options.json === true) {
      print(true, { ...stage.results, parties: names, steps: stage.steps, seconds }, "");
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** What a process said at its end: the sentence of an error, without the progress before it. */
export function lastLineOf(stderr: string): string {
  return stderr.trim().split("\n").at(-1) as string;
}

async function untilSignal(stage: Stage, run: (stage: Stage) => Promise<void>): Promise<void> {
  const cancel = () => stage.cancel();
  for (const signal of SIGNALS) Deno.addSignalListener(signal, cancel);
  try {
    await run(stage);
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, cancel);
  }
}

/** Ports that nothing listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer();
    await new Promise<void>((resolve, reject) =>
      server.once("error", reject).listen(0, "127.0.0.1", () => resolve())
    );
    return server;
  }));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
