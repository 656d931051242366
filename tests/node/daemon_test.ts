import assert from "node:assert/strict";
import type { Config } from "../../src/node/config.ts";
import { loadConfig, partyConfig } from "../../src/node/config.ts";
import { Daemon, type DaemonOptions, type NodeModule } from "../../src/node/daemon.ts";
import { OperatorClient } from "../../src/node/operator_client.ts";
import { readHolder } from "../../src/storage/lock.ts";
import { Log } from "../../src/telemetry/log.ts";
import { Cluster, rejects } from "./fixture.ts";

/** Alice's node in this process, on free ports. */
class Place implements Disposable {
  readonly cluster: Cluster;
  readonly config: Config;
  readonly codes: unknown[] = [];

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.config = Place.#onFreePorts(cluster.config);
  }

  static async make(): Promise<Place> {
    return new Place(await Cluster.make(["alice", "bob"]));
  }

  /** Other ports than those of the configuration, which somebody may have. */
  static #onFreePorts(config: Config, ports: { operator?: number; telemetry?: number } = {}): Config {
    const at = (port = 0) => ({ host: "127.0.0.1", port });
    const node = { operatorListen: at(ports.operator), telemetryListen: at(ports.telemetry) };
    const parties = config.parties.map((party) => ({ ...party, node: { ...party.node, ...node } }));
    return { ...config, parties };
  }

  async start(
    options: Partial<DaemonOptions> = {},
    ports: { operator?: number; telemetry?: number } = {},
  ): Promise<Daemon> {
    const log = new Log({
      party: "alice",
      cluster: "demo",
      format: "json",
      level: "info",
      write: (line) => void this.codes.push(JSON.parse(line).code),
    });
    return await Daemon.start(Place.#onFreePorts(this.config, ports), "alice", {
      log,
      readConfig: () => Place.#onFreePorts(loadConfig(this.cluster.configPath), ports),
      timeoutMs: 2_000,
      ...options,
    });
  }

  client({ operatorPort: port }: Daemon): OperatorClient {
    return new OperatorClient(this.config, partyConfig(this.config, "alice"), { host: "127.0.0.1", port });
  }

  get holder() {
    return readHolder(`${partyConfig(this.config, "alice").dataDirectory}/lock`);
  }

  [Symbol.dispose](): void {
    this.cluster[Symbol.dispose]();
  }
}

Deno.test("Daemon.start() says where it can be asked, and stop() that it cannot any more", async () => {
  using place = await Place.make();
  const daemon = await place.start();
  assert.deepEqual([place.holder?.command, place.holder?.operator], [
    "node run",
    `127.0.0.1:${daemon.operatorPort}`,
  ]);
  const health = await fetch(`http://127.0.0.1:${daemon.telemetryPort}/readyz`);
  assert.equal(health.status, 503, "bob is not there");
  await health.body?.cancel();
  await rejects(place.start({ timeoutMs: 0 }), "PARTY_BUSY", /node run/);
  assert.equal(await daemon.reload(), false, "nothing has changed");
  await Promise.all([daemon.stop(), daemon.stop()]);
  assert.equal(place.holder, undefined);
  assert.deepEqual(place.codes.filter((code) => String(code).startsWith("NODE_ST")), [
    "NODE_STARTED",
    "NODE_STOPPING",
    "NODE_STOPPED",
  ]);
  await (await place.start()).stop();
});

Deno.test("Daemon.start() leaves nothing behind where one of its ports is taken", async () => {
  using place = await Place.make();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  await rejects(place.start({}, { operator: port }), "ADDRESS_IN_USE", /\[node\] operator_listen/);
  await rejects(place.start({}, { telemetry: port }), "ADDRESS_IN_USE", /\[telemetry\] listen/);
  const broken = new Error("a part cannot begin");
  await assert.rejects(place.start({ modules: () => Promise.reject(broken) }), broken);
  await (await place.start()).stop();
});

Deno.test("a part of a node has routes, metrics and reasons of its own, and ends before what it works with", async () => {
  using place = await Place.make();
  let ended: readonly unknown[] = [];
  const part: NodeModule = {
    routes: new Map([["GET /v1/part", { serve: () => "of the part" }]]),
    unready: () => [{ reason: "part", text: "it waits for something" }],
    collect: (metrics) => metrics.replace("tx_open", [[{}, 7]]),
    [Symbol.asyncDispose]: async () => {
      ended = [place.holder?.pid, ...place.codes];
      await Promise.resolve();
    },
  };
  const daemon = await place.start({
    modules: ({ party }) => {
      assert.notEqual(party.network, undefined, "links are there");
      return Promise.resolve([part]);
    },
  });
  assert.equal(await place.client(daemon).ask({ method: "GET", path: "/v1/part" }), "of the part");
  const { reasons } = await place.client(daemon).ask({ method: "GET", path: "/v1/status" }) as {
    readonly reasons: readonly { readonly reason: string }[];
  };
  assert.deepEqual(reasons.map(({ reason }) => reason), ["quorum", "part"]);
  const metrics = await (await fetch(`http://127.0.0.1:${daemon.telemetryPort}/metrics`)).text();
  assert.match(metrics, /^quorate_tx_open 7$/m);
  await daemon.stop();
  assert.deepEqual([ended[0], ended.includes("NODE_STOPPING"), ended.includes("NODE_STOPPED")], [
    Deno.pid,
    true,
    false,
  ]);
});

Deno.test("who watches a node hears that it has stopped, and how it stood before", async () => {
  using place = await Place.make();
  const daemon = await place.start();
  const first = Promise.withResolvers<unknown>();
  const watching = place.client(daemon).follow({ method: "GET", path: "/v1/monitor" }, (event) => {
    if (event.event === "data") first.resolve(event.data);
  });
  watching.catch(() => {});
  const { quorum, unreachable } = await first.promise as { quorum: boolean; unreachable: string[] };
  assert.deepEqual([quorum, unreachable], [false, ["bob"]]);
  await daemon.stop();
  await rejects(watching, "NODE_UNREACHABLE", /the node has stopped/);
});
