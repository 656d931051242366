/**
 * Runs commands of this program as processes of their own, each with the permissions of its own party and no other.
 *
 * @module
 */

import { type Config, partyConfig } from "../src/node/config.ts";
import { permissionFlags } from "../src/node/permissions.ts";

/** How a process ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** A process that runs. */
export interface PartyProcess {
  readonly pid: number;
  readonly finished: Promise<Finished>;
  /** Ends it at once, as a crash would. */
  kill(): void;
}

/** What one process may touch beside its party's own files, and who listens to it. */
export interface ProcessOptions {
  readonly read?: readonly string[];
  readonly write?: readonly string[];
  /** Called for each line on standard error: progress and logs. */
  readonly onProgress?: (line: string) => void;
}

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const PROJECT = new URL("../deno.json", import.meta.url).pathname;
const RUNNING = new Set<Deno.ChildProcess>();

/** Starts `quorate ARGS --config FILE --party PARTY` with that party's permissions. */
export function startParty(
  config: Config,
  party: string,
  args: readonly string[],
  options: ProcessOptions = {},
): PartyProcess {
  partyConfig(config, party);
  const flags = permissionFlags(config, party, { read: options.read ?? [], write: options.write ?? [] });
  return start([...flags, MAIN, ...args, "--config", config.path, "--party", party], options.onProgress);
}

/** Runs a command of somebody who is no party: it may read the named paths, write those that are for that, and nothing else. */
export async function runStranger(
  args: readonly string[],
  { read = [], write = [] }: { readonly read?: readonly string[]; readonly write?: readonly string[] },
): Promise<Finished> {
  const flags = [`--allow-read=${[...read, ...write].join(",")}`];
  if (write.length > 0) flags.push(`--allow-write=${write.join(",")}`);
  return await start([...flags, MAIN, ...args]).finished;
}

/** Asks every process that runs to end; who waits for one learns of it as always. */
export function endProcesses(): void {
  for (const child of RUNNING) {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
  }
}

/** Starts the same command at several parties at once and waits for all of them. */
export async function runParties(
  config: Config,
  parties: readonly string[],
  args: (party: string) => readonly string[],
  options: (party: string) => ProcessOptions = () => ({}),
): Promise<Map<string, Finished>> {
  const started = parties.map((party) =>
    [party, startParty(config, party, args(party), options(party))] as const
  );
  const finished = new Map<string, Finished>();
  for (const [party, process] of started) finished.set(party, await process.finished);
  return finished;
}

function start(args: readonly string[], onProgress?: (line: string) => void): PartyProcess {
  const startedAt = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "--config", PROJECT, "--no-prompt", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  RUNNING.add(child);
  const ended = child.status.finally(() => RUNNING.delete(child));
  const finished = (async () => {
    const [stdout, stderr, status] = await Promise.all([
      collect(child.stdout),
      collect(child.stderr, onProgress),
      ended,
    ]);
    return { code: status.code, stdout, stderr, elapsedMs: performance.now() - startedAt };
  })();
  return { pid: child.pid, finished, kill: () => child.kill("SIGKILL") };
}

async function collect(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void): Promise<string> {
  const decoder = new TextDecoder();
  let all = "";
  let rest = "";
  for await (const chunk of stream) {
    const text = decoder.decode(chunk, { stream: true });
    all += text;
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) onLine?.(line);
  }
  if (rest !== "") onLine?.(rest);
  return all;
}
