/**
 * Hosts for tests: directories, each with the material of one party and that party's file, and nothing else.
 */

import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import { bundle } from "../../scripts/bundle.ts";
import { compile, type CompileOptions, PROGRAM } from "../../scripts/compile.ts";
import { type Config, loadConfig } from "../../src/node/config.ts";
import { Cluster } from "./cluster.ts";

/** How a process ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What of a party's list was used so far. */
export interface Used {
  /** Entries that nothing used. */
  readonly unused: readonly string[];
  /** What was used and is not listed. */
  readonly unlisted: readonly string[];
}

interface Host {
  readonly directory: string;
  readonly flags: readonly string[];
}

/** One line of what Deno writes to the file that DENO_AUDIT_PERMISSIONS names. */
interface AuditLine {
  readonly permission: string;
  readonly value: string | null;
}

/** Hosts of one cluster, removed when disposed. */
export class Hosts implements Disposable {
  /** As on any host, but for its place. */
  readonly config: Config;
  readonly #cluster: Cluster;
  readonly #hosts: ReadonlyMap<string, Host>;
  readonly #path: string;

  private constructor(cluster: Cluster, hosts: ReadonlyMap<string, Host>, path: string) {
    this.#cluster = cluster;
    this.#hosts = hosts;
    this.#path = path;
    this.config = loadConfig(this.path(cluster.names[0] as string, "quorate.toml"));
  }

  /**
   * Makes a cluster, and takes each party's part of it to its host.
   *
   * @param more sections of the configuration.
   */
  static async make(
    names: readonly string[],
    format: CompileOptions["format"],
    more = "",
  ): Promise<Hosts> {
    const cluster = await Cluster.make(names);
    const from = join(cluster.directory, "cluster");
    Deno.writeTextFileSync(join(from, "quorate.toml"), more, { append: true });
    const path = join(cluster.directory, "path");
    Deno.mkdirSync(path);
    Deno.symlinkSync(Deno.execPath(), join(path, "deno"));
    const hosts = new Map<string, Host>();
    const program = await bundle(PROGRAM);
    for (const party of names) {
      const directory = join(cluster.directory, "hosts", party);
      for (
        const part of ["quorate.toml", "certs/ca.pem", `certs/${party}`, "certs/operator", `data/${party}`]
      ) {
        copy(join(from, part), join(directory, part));
      }
      Deno.mkdirSync(join(directory, "work"));
      const { flags } = await compile({
        config: join(directory, "quorate.toml"),
        party,
        out: join(directory, "quorate"),
        workDir: join(directory, "work"),
        format,
        program,
      });
      hosts.set(party, { directory, flags });
    }
    Deno.removeSync(from, { recursive: true });
    return new Hosts(cluster, hosts, path);
  }

  /** A file of a party's host. */
  path(party: string, file: string): string {
    return join(this.#host(party).directory, file);
  }

  /** Runs the file of a party, with nothing but Deno on PATH. */
  async run(party: string, ...args: string[]): Promise<Ended> {
    return await ended(this.#start(party, args));
  }

  /** Runs the same command at several parties. */
  async all(parties: readonly string[], ...args: string[]): Promise<Ended[]> {
    const results = await Promise.all(parties.map((party) => this.run(party, ...args)));
    for (const [i, { code, stderr }] of results.entries()) {
      assert.equal(code, 0, `${parties[i]}: ${args.join(" ")}\n${stderr}`);
    }
    return results;
  }

  /** Starts the nodes of parties. @returns what stops them, once they run. */
  async nodes(parties: readonly string[]): Promise<{ stop(): Promise<void> }> {
    const children = parties.map((party) => this.#start(party, ["node", "run"]));
    const logs = children.map(({ stderr }) => new Lines(stderr));
    await Promise.all(logs.map((log) => log.until("NODE_STARTED")));
    return {
      async stop() {
        for (const child of children) child.kill("SIGTERM");
        for (const child of children) await child.stdout.cancel();
        await Promise.all(logs.map((log) => log.rest()));
        for (const { success } of await Promise.all(children.map(({ status }) => status))) assert.ok(success);
      },
    };
  }

  /** What a party's processes have used of its list until now. */
  used(party: string): Used {
    const { directory, flags } = this.#host(party);
    const entries = flags.flatMap((flag) => {
      const [, kind, list] = /^--allow-(\w+)=(.*)$/.exec(flag) ?? [];
      return list === undefined ? [] : list.split(",").map((value) => ({ kind, value }));
    });
    const used = new Set<unknown>();
    const unlisted = new Set<string>();
    for (const { permission, value } of this.#audited(party)) {
      // Asking for the whole environment is answered with the variables that are listed.
      const place = value === null
        ? undefined
        : ["read", "write"].includes(permission)
        ? resolve(directory, value)
        : value;
      const entry = entries.find((entry) =>
        entry.kind === permission &&
        (place === undefined || place === entry.value || place.startsWith(`${entry.value}/`))
      );
      if (entry === undefined) unlisted.add(`${permission} ${value}`);
      else used.add(entry);
    }
    const unused = entries.filter((entry) => !used.has(entry)).map(({ kind, value }) => `${kind} ${value}`);
    return { unused, unlisted: [...unlisted] };
  }

  /** Removes everything. */
  [Symbol.dispose](): void {
    this.#cluster[Symbol.dispose]();
  }

  #host(party: string): Host {
    return this.#hosts.get(party) as Host;
  }

  #start(party: string, args: readonly string[]): Deno.ChildProcess {
    const { directory } = this.#host(party);
    return new Deno.Command(join(directory, "quorate"), {
      args: args.includes("--party") ? [...args] : [...args, "--party", party],
      cwd: directory,
      clearEnv: true,
      env: {
        PATH: this.#path,
        NODE_TLS_REJECT_UNAUTHORIZED: "0",
        DENO_AUDIT_PERMISSIONS: `${directory}.${crypto.randomUUID()}.audit`,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  *#audited(party: string): Iterable<AuditLine> {
    const hosts = join(this.#cluster.directory, "hosts");
    for (const { name } of Deno.readDirSync(hosts)) {
      if (!name.startsWith(`${party}.`)) continue;
      const lines = Deno.readTextFileSync(join(hosts, name)).trim().split("\n");
      yield* lines.filter((line) => line !== "").map((line) => JSON.parse(line) as AuditLine);
    }
  }
}

/** Somebody to whom nobody is allowed to connect. */
export class Stranger implements Disposable {
  /** How many came. */
  connections = 0;
  /** When somebody did. */
  readonly visited: Promise<void>;
  readonly #server: Server;

  private constructor(server: Server) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.visited = promise;
    this.#server = server;
    server.on("connection", (socket) => {
      this.connections++;
      resolve();
      socket.destroy();
    });
  }

  static async listen(): Promise<Stranger> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return new Stranger(server);
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}

/** The lines of a stream: up to one that is waited for, and then the rest. */
class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #seen = "";

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  async until(text: string): Promise<void> {
    while (!this.#seen.includes(text)) {
      const { value, done } = await this.#reader.read();
      assert.ok(!done, this.#seen);
      this.#seen += value;
    }
  }

  async rest(): Promise<void> {
    while (!(await this.#reader.read()).done);
  }
}

async function ended(child: Deno.ChildProcess): Promise<Ended> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** With the modes of what is copied: secrets that others could read are refused. */
function copy(from: string, to: string): void {
  const { isDirectory, mode } = Deno.statSync(from);
  Deno.mkdirSync(join(to, ".."), { recursive: true });
  if (!isDirectory) return Deno.copyFileSync(from, to);
  Deno.mkdirSync(to, { mode: (mode ?? 0o700) & 0o777 });
  for (const { name } of Deno.readDirSync(from)) copy(join(from, name), join(to, name));
}
