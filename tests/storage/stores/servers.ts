/**
 * Real servers for tests: three members of etcd and one PostgreSQL, on free loopback ports, in a temporary directory, with mutual
 * TLS. Where a server is not installed the tests say so and are skipped; with CI=true that is a failure.
 */

import { join } from "node:path";
import { createAuthority, issueLeaf } from "../../../src/pki/authority.ts";
import { freePorts } from "../../e2e/cluster.ts";

/** Files of one side of TLS. */
export interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A running cluster of etcd. */
export interface EtcdServers extends AsyncDisposable {
  readonly endpoints: readonly string[];
  /** Of a client that the servers know. */
  readonly client: Credentials;
  /** Of a client whose authority the servers do not know. */
  readonly stranger: Credentials;
  /** Of the client of this name. */
  credentials(name: string): Promise<Credentials>;
  /** kill -9 of a member, or all. */
  kill(members?: readonly number[]): Promise<void>;
  /** Starts members again on their data. */
  restart(members?: readonly number[]): Promise<void>;
}

/** The path of a program, or undefined where it is not installed. Throws where CI=true. */
export function installed(name: string, places: readonly string[] = []): string | undefined {
  const directories = [...(Deno.env.get("PATH") ?? "").split(":"), ...places];
  const found = directories.map((directory) => join(directory, name)).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
  if (found === undefined && Deno.env.get("CI") === "true") throw new Error(`${name} is not installed`);
  if (found === undefined) console.log(`${name} is not installed: its tests are skipped`);
  return found;
}

/** Where Debian puts the programs of PostgreSQL. */
export function postgresDirectories(): string[] {
  try {
    const root = "/usr/lib/postgresql";
    return [...Deno.readDirSync(root)].map(({ name }) => `${root}/${name}/bin`);
  } catch {
    return [];
  }
}

/** Starts three members of etcd that trust one authority. */
export async function startEtcd(program: string): Promise<EtcdServers> {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-etcd-" });
  const pki = await Authority.make(directory);
  const server = await pki.credentials("server");
  const ports = await freePorts(6);
  const members = [0, 1, 2];
  const clientUrl = (i: number) => `https://127.0.0.1:${ports[i]}`;
  const peerUrl = (i: number) => `https://127.0.0.1:${ports[3 + i]}`;
  const flags = (i: number) =>
    [
      ["name", `m${i}`],
      ["data-dir", join(directory, `m${i}`)],
      ["listen-client-urls", clientUrl(i)],
      ["advertise-client-urls", clientUrl(i)],
      ["listen-peer-urls", peerUrl(i)],
      ["initial-advertise-peer-urls", peerUrl(i)],
      ["initial-cluster", members.map((m) => `m${m}=${peerUrl(m)}`).join(",")],
      ["heartbeat-interval", "50"],
      ["election-timeout", "500"],
      ["log-level", "error"],
      ...["", "peer-"].flatMap((kind) => [
        [`${kind}client-cert-auth`, "true"],
        [`${kind}trusted-ca-file`, server.ca],
        [`${kind}cert-file`, server.cert],
        [`${kind}key-file`, server.key],
      ]),
    ].map(([name, value]) => `--${name}=${value}`);
  const processes = new Map<number, Deno.ChildProcess>();
  const start = (i: number) => {
    const options = { args: flags(i), stdout: "null", stderr: "null", clearEnv: true } as const;
    processes.set(i, new Deno.Command(program, options).spawn());
  };
  const kill = async (which: readonly number[] = members) => {
    for (const i of which) processes.get(i)?.kill("SIGKILL");
    await Promise.all(which.map((i) => processes.get(i)?.status));
    for (const i of which) processes.delete(i);
  };
  members.forEach(start);
  return {
    endpoints: members.map(clientUrl),
    client: await pki.credentials("client"),
    stranger: { ...await (await Authority.make(directory, "other")).credentials("client"), ca: server.ca },
    credentials: (name) => pki.credentials(name),
    kill,
    restart: (which = members) => Promise.resolve(which.forEach(start)),
    async [Symbol.asyncDispose]() {
      await kill([...processes.keys()]);
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

/** A running PostgreSQL. */
export interface PostgresServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly client: Credentials;
  /** Runs SQL as the superuser, in the database `quorate` unless another one is named. */
  sql(text: string, database?: string): Promise<string>;
  /** kill -9 of the server. */
  kill(): Promise<void>;
  /** Starts it again on its data. */
  restart(): Promise<void>;
}

/** Starts PostgreSQL with TLS, client certificates and durable commits, and makes the database `quorate`. */
export async function startPostgres(program: string): Promise<PostgresServer> {
  for (let tries = 0;; tries++) {
    try {
      return await startPostgresOnce(program);
    } catch (error) {
      // Somebody else may have taken the port since it was free.
      if (!(error instanceof EndedError) || tries > 3) throw error;
    }
  }
}

class EndedError extends Error {}

const STARTS_MAX = 25;

async function startPostgresOnce(program: string): Promise<PostgresServer> {
  const directory = Deno.makeTempDirSync({ prefix: "quorate-postgres-" });
  const bin = Deno.realPathSync(program).replace(/\/[^/]*$/, "");
  const [port] = await freePorts(1) as [number];
  const pki = await Authority.make(directory);
  const server = await pki.credentials("server");
  const client = await pki.credentials("quorate");
  const data = join(directory, "data");
  const account = await unprivileged(directory);
  await run(
    `${bin}/initdb`,
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
    account,
  );
  Deno.writeTextFileSync(
    join(data, "pg_hba.conf"),
    "local all postgres trust\nhostssl quorate quorate 127.0.0.1/32 cert\n",
  );
  const settings = {
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: directory,
    ssl: "on",
    ssl_ca_file: server.ca,
    ssl_cert_file: server.cert,
    ssl_key_file: server.key,
    log_min_messages: "panic",
    max_connections: "40",
    shared_buffers: "16MB",
  };
  const flags = [
    "-D",
    data,
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  let process: Deno.ChildProcess | undefined;
  const sql = (text: string, database = "quorate") =>
    run(
      "psql",
      ["-h", directory, "-p", String(port), "-U", "postgres", "-d", database, "-Atqc", text],
      account,
    );
  const restart = async () => {
    // After kill -9 its children hold the shared memory for a moment, and a new server ends at once.
    for (let tries = 0; tries < STARTS_MAX; tries++) {
      const options = { args: flags, stdout: "null", stderr: "null", ...account } as const;
      const started = process = new Deno.Command(`${bin}/postgres`, options).spawn();
      let hasEnded = false;
      void started.status.then(() => hasEnded = true);
      const answer = await until(async () => hasEnded ? "ended" : await sql("select 1", "postgres"));
      if (answer === "1") return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    process = undefined;
    throw new EndedError("PostgreSQL ends as soon as it is started");
  };
  const kill = async () => {
    process?.kill("SIGKILL");
    await process?.status;
    process = undefined;
  };
  await restart();
  await sql("create role quorate login", "postgres");
  await sql("create database quorate owner quorate", "postgres");
  return {
    host: "127.0.0.1",
    port,
    client,
    sql,
    kill,
    restart,
    async [Symbol.asyncDispose]() {
      process?.kill("SIGINT");
      await process?.status;
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

/** Calls again until it succeeds, for at most half a minute. */
export async function until<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0;; tries++) {
    try {
      return await call();
    } catch (error) {
      if (tries > 150) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

class Authority {
  readonly #directory: string;
  readonly #authority: { certPem: string; keyPem: string };

  private constructor(directory: string, authority: { certPem: string; keyPem: string }) {
    this.#directory = directory;
    this.#authority = authority;
  }

  static async make(directory: string, name = "stores"): Promise<Authority> {
    const authority = await createAuthority({ cluster: name });
    const own = join(directory, `pki-${name}`);
    Deno.mkdirSync(own);
    Deno.writeTextFileSync(join(own, "ca.pem"), authority.certPem);
    return new Authority(own, authority);
  }

  async credentials(party: string): Promise<Credentials> {
    const leaf = await issueLeaf({ authority: this.#authority, cluster: "stores", party, host: "127.0.0.1" });
    const [ca, cert, key] = ["ca.pem", `${party}.pem`, `${party}.key`].map((file) =>
      join(this.#directory, file)
    );
    Deno.writeTextFileSync(cert as string, leaf.certPem);
    Deno.writeTextFileSync(key as string, leaf.keyPem, { mode: 0o600 });
    return { ca: ca as string, cert: cert as string, key: key as string };
  }
}

/** PostgreSQL does not run as root: it gets the account that its package made, and the directory. */
async function unprivileged(directory: string): Promise<Account> {
  // The working directory may be one that only root can enter.
  if (Deno.uid() !== 0) return { cwd: directory };
  const line = Deno.readTextFileSync("/etc/passwd").split("\n").find((entry) =>
    entry.startsWith("postgres:")
  );
  const [uid, gid] = (line ?? "nobody:x:65534:65534").split(":").slice(2, 4).map(Number) as [number, number];
  await run("chown", ["-R", `${uid}:${gid}`, directory], {});
  return { uid, gid, cwd: directory };
}

/** As whom, and where, a program runs. */
interface Account {
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
}

async function run(
  program: string,
  args: readonly string[],
  account: Account,
): Promise<string> {
  const command = new Deno.Command(program, {
    args: [...args],
    stdout: "piped",
    stderr: "piped",
    ...account,
  });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}
