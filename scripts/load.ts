/**
 * `deno task load [--transactions 1000] [--concurrency 16] [--store sqlite|servers] [--kill node,etcd,postgres]`: five nodes as
 * processes of their own vote on many transactions; prints decisions per second and the time from the fourth vote to the decision
 * at all nodes, and checks that nothing was lost or is there twice.
 *
 * @module
 */

import { parseArgs } from "node:util";
import {
  type EtcdServers,
  installed,
  postgresDirectories,
  type PostgresServer,
  startEtcd,
  startPostgres,
} from "../tests/storage/stores/servers.ts";
import { NodeStage } from "../cli/node_stage.ts";

const NODES = ["n1", "n2", "n3", "n4", "n5"];
const WAIT_MS = 60_000;

interface Options {
  readonly transactions: number;
  readonly concurrency: number;
  readonly servers: boolean;
  readonly kill: ReadonlySet<string>;
}

interface Servers {
  readonly etcd: EtcdServers;
  readonly postgres: PostgresServer;
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      transactions: { type: "string", default: "1000" },
      concurrency: { type: "string", default: "16" },
      store: { type: "string", default: "sqlite" },
      kill: { type: "string", default: "" },
    },
  });
  const options: Options = {
    transactions: Number(values.transactions),
    concurrency: Number(values.concurrency),
    servers: values.store === "servers",
    kill: new Set(values.kill.split(",").filter((what) => what !== "")),
  };
  await using parts = new AsyncDisposableStack();
  let servers: Servers | undefined;
  if (options.servers) {
    const programs = [
      installed("etcd", ["/usr/bin"]),
      installed("postgres", postgresDirectories()),
    ];
    const [etcdPath, postgresPath] = programs;
    if (etcdPath === undefined || postgresPath === undefined) return 1;
    servers = {
      etcd: parts.use(await startEtcd(etcdPath)),
      postgres: parts.use(await startPostgres(postgresPath)),
    };
  }
  const cluster = parts.use(await NodeStage.start(NODES, { more: storageOf(servers) }));
  const latencies = await run(cluster, servers, options);
  const faults = await check(cluster, servers, options);
  for (const fault of faults) console.log(`FAULT ${fault}`);
  report(options, latencies);
  return faults.length === 0 ? 0 : 1;
}

function storageOf(servers: Servers | undefined): string {
  if (servers === undefined) return "";
  const { etcd, postgres } = servers;
  return [
    "[storage]",
    `coordination = "etcd"`,
    `etcd_endpoints = ${JSON.stringify(etcd.endpoints)}`,
    `etcd_ca_path = "${etcd.client.ca}"`,
    `etcd_cert_path = "${etcd.client.cert}"`,
    `etcd_key_path = "${etcd.client.key}"`,
    `records = "postgres"`,
    `postgres_address = "${postgres.host}:${postgres.port}"`,
    `postgres_database = "quorate"`,
    `postgres_user = "quorate"`,
    `postgres_ca_path = "${postgres.client.ca}"`,
    `postgres_cert_path = "${postgres.client.cert}"`,
    `postgres_key_path = "${postgres.client.key}"`,
    "",
  ].join("\n");
}

/** @returns milliseconds from the fourth vote to the decision at all nodes, and the whole time in seconds. */
async function run(
  cluster: NodeStage,
  servers: Servers | undefined,
  options: Options,
): Promise<{ readonly latencies: number[]; readonly seconds: number }> {
  const latencies: number[] = [];
  let next = 0;
  const disturbances = disturb(cluster, servers, options, () => next);
  const startedAt = performance.now();
  const worker = async () => {
    while (next < options.transactions) {
      const i = next++;
      const latency = await transaction(cluster, `tx ${i}`, String(i));
      if (latency !== undefined) latencies.push(latency);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  const seconds = (performance.now() - startedAt) / 1000;
  await disturbances;
  return { latencies, seconds };
}

/** One transaction; a node that is down votes when it is up again. */
async function transaction(cluster: NodeStage, txId: string, value: string): Promise<number | undefined> {
  const order = NODES.toSorted(() => Math.random() - 0.5);
  const [a, b, c, fourth, last] = order as [string, string, string, string, string];
  let isClean = true;
  const vote = async (name: string, waitMs: number): Promise<void> => {
    for (let tries = 0;; tries++) {
      try {
        await cluster.vote(name, txId, value, waitMs);
        return;
      } catch (error) {
        isClean = false;
        if (tries > 600) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };
  await Promise.all([a, b, c].map((name) => vote(name, 0)));
  const others = [a, b, c, last].map((name) =>
    cluster.status(name, txId, WAIT_MS).catch(() => {
      isClean = false;
    })
  );
  const startedAt = performance.now();
  await Promise.all([vote(fourth, WAIT_MS), ...others]);
  const latency = performance.now() - startedAt;
  await vote(last, 0);
  return isClean ? latency : undefined;
}

/** Kills a node, a member of etcd and PostgreSQL on the way, each once, and starts it again after two seconds. */
async function disturb(
  cluster: NodeStage,
  servers: Servers | undefined,
  { kill, transactions }: Options,
  at: () => number,
): Promise<void> {
  const reached = async (part: number) => {
    while (at() < transactions * part) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const pause = () => new Promise((resolve) => setTimeout(resolve, 2_000));
  if (kill.has("node")) {
    await reached(0.2);
    await cluster.killNode("n3");
    console.log("killed n3");
    await pause();
    cluster.startNode("n3");
  }
  if (kill.has("etcd") && servers !== undefined) {
    await reached(0.4);
    await servers.etcd.kill([0]);
    console.log("killed a member of etcd");
    await pause();
    await servers.etcd.restart([0]);
  }
  if (kill.has("postgres") && servers !== undefined) {
    await reached(0.6);
    await servers.postgres.kill();
    console.log("killed PostgreSQL");
    await pause();
    await servers.postgres.restart();
  }
}

/** Everything is decided everywhere, alike; every record is in its store once. */
async function check(
  cluster: NodeStage,
  servers: Servers | undefined,
  { transactions }: Options,
): Promise<string[]> {
  const faults: string[] = [];
  await cluster.ready();
  for (const name of NODES) {
    for (let i = 0; i < transactions; i++) {
      const { state, value, missing } = await cluster.status(name, `tx ${i}`, 10_000);
      if (state !== "decided" || value !== String(i)) faults.push(`tx ${i} is ${state} ${value} at ${name}`);
      if (missing.length > 0 && i === transactions - 1) {
        console.log(`${name} lacks votes of ${missing.join(", ")}`);
      }
    }
    const { offences } = await cluster.client(name).ask({ method: "GET", path: "/v1/voting/evidence" }) as {
      readonly offences: readonly unknown[];
    };
    if (offences.length > 0) faults.push(`${offences.length} offences are recorded at ${name}`);
  }
  if (servers !== undefined) faults.push(...await checkServers(servers, transactions));
  return faults;
}

async function checkServers({ postgres }: Servers, transactions: number): Promise<string[]> {
  const expected = NODES.length * transactions;
  const count = async () => Number(await postgres.sql("select count(*) from decisions"));
  const deadline = performance.now() + WAIT_MS;
  while (await count() < expected && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const faults: string[] = [];
  const decisions = await count();
  const distinct = Number(await postgres.sql("select count(distinct (node, tx_id)) from decisions"));
  if (decisions !== expected || distinct !== expected) {
    faults.push(`${decisions} decisions in PostgreSQL, ${distinct} distinct: expected ${expected}`);
  }
  const gaps = await postgres.sql(
    "select count(*) from (select stream, max(seq) m, count(*) c from records group by stream) s where m <> c",
  );
  if (gaps !== "0") faults.push(`${gaps} streams with gaps in PostgreSQL`);
  const votes = await postgres.sql(
    "select count(*) - count(distinct (node, tx_id, voter, ballot)) from votes",
  );
  if (votes !== "0") faults.push(`${votes} votes are in PostgreSQL twice`);
  return faults;
}

function report(
  { transactions, servers, concurrency }: Options,
  { latencies, seconds }: Awaited<ReturnType<typeof run>>,
): void {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(1);
  console.log(
    `${transactions} transactions, ${NODES.length} nodes, ${concurrency} at once, ${
      servers ? "etcd and PostgreSQL" : "SQLite"
    }: ${(transactions / seconds).toFixed(1)} decisions/s; fourth vote to decision at all nodes: p50 ${
      at(0.5)
    } ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms`,
  );
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    const shown = error instanceof SuppressedError ? [error.suppressed, error.error] : [error];
    for (const one of shown) console.error(one);
    Deno.exit(1);
  }
}
