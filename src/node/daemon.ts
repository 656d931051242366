/**
 * The node: a party that stays. It keeps links to its peers, does what operators ask, and shows how it is.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { frostSign } from "../protocols/frost/sign.ts";
import { sign } from "../protocols/ecdsa/sign.ts";
import { EventLoopLag } from "../telemetry/event_loop.ts";
import type { Log } from "../telemetry/log.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { exportMetrics } from "../telemetry/otel.ts";
import { TelemetryServer, type Unreadiness } from "../telemetry/server.ts";
import { SessionMonitor } from "../telemetry/sessions.ts";
import type { MeshEvent } from "../transport/mesh.ts";
import { CertificateWatch } from "./certificate_watch.ts";
import { certificateEvents, loadCertificates } from "./certificates.ts";
import { type Config, formatAddress } from "./config.ts";
import { Changes } from "./changes.ts";
import { COMMANDS } from "./daemon_commands.ts";
import { logLink, logSession, refusalsOf } from "./daemon_log.ts";
import { NodeCollector } from "./daemon_metrics.ts";
import { ReadinessLog } from "./daemon_readiness.ts";
import { NodeReport } from "./daemon_report.ts";
import { NodeRequests } from "./daemon_requests.ts";
import type { KeyTurns } from "./key_turns.ts";
import type { LocalOptions } from "./local_party.ts";
import {
  type OperatorCall,
  type OperatorRoute,
  type OperatorRoutes,
  OperatorServer,
} from "./operator_server.ts";
import { openParty, type Party } from "./party.ts";

/** A part of a node that is not here: voting, a dashboard. */
export interface NodeModule extends AsyncDisposable {
  /** What operators can ask of it, with methods and paths. */
  readonly routes?: OperatorRoutes;
  /** What it has against being ready. */
  unready?(): readonly Unreadiness[];
  /** Brings its metrics up to date. */
  collect?(metrics: Metrics): void;
}

/** What a part of a node is made from. */
export interface ModuleContext {
  /** The party, with its links. */
  readonly party: Party;
  /** What is counted. */
  readonly metrics: Metrics;
  /** Where lines go. */
  readonly log: Log;
  /** Requests about one key take turns. */
  readonly turns: KeyTurns;
  /** Where it is said that something has changed. */
  readonly changes: Changes;
}

/** How a node is started. */
export interface DaemonOptions extends Pick<LocalOptions, "timeoutMs" | "onWait" | "rng"> {
  /** Where lines go. */
  readonly log: Log;
  /** Reads the configuration again. */
  readonly readConfig: () => Config;
  /** Makes the parts that are not here, once links are there; they are disposed before these. */
  readonly modules?: (node: ModuleContext) => Promise<readonly NodeModule[]>;
}

/** A node that runs. */
export class Daemon {
  readonly #party: Party;
  readonly #log: Log;
  readonly #requests: NodeRequests;
  readonly #watch: CertificateWatch;
  readonly #listeners: { readonly operator: OperatorServer; readonly telemetry: TelemetryServer };
  readonly #parts: AsyncDisposableStack;
  #stopped: Promise<void> | undefined;

  private constructor(parts: AsyncDisposableStack, fields: DaemonFields) {
    this.#party = fields.party;
    this.#log = fields.log;
    this.#requests = fields.requests;
    this.#watch = fields.watch;
    this.#listeners = fields;
    this.#parts = parts;
  }

  /**
   * Takes the party's lock, opens its store, makes its links, and listens.
   *
   * @throws UsageError PARTY_BUSY, ADDRESS_IN_USE, SELF_TEST_FAILED, or as {@linkcode openParty}
   */
  static async start(config: Config, name: string, options: DaemonOptions): Promise<Daemon> {
    await using parts = new AsyncDisposableStack();
    const { log, modules, readConfig, ...local } = options;
    const metrics = new Metrics();
    const lag = parts.use(new EventLoopLag());
    const monitors = new Set<OperatorCall["emit"]>();
    const changes = new Changes();
    const sessions = new SessionMonitor({
      metrics,
      nameOf: (party) => config.roster.nameOf(party),
      signing: new Set([sign.name, frostSign.name]),
    });
    // Links change before there is anybody to tell.
    let linkChanged: (event: MeshEvent) => void = () => {};
    const party = await openParty(config, name, {
      ...local,
      command: "node run",
      mode: "daemon",
      log: (event) => {
        logLink(log, event);
        linkChanged(event);
      },
      onSession: (event, session, purpose) => {
        logSession(log, config.roster, event, purpose);
        sessions.note(session, event, purpose);
        changes.say("sessions");
      },
    });
    parts.defer(() => party.close());
    const requests = new NodeRequests({ party, commands: COMMANDS, metrics, log });
    linkChanged = (event) => {
      requests.linkChanged(event);
      changes.say("links");
      for (const emit of [...monitors]) emit({ event: "link", link: event });
    };
    const material = loadCertificates(config, party.local.party);
    await party.connect();
    const made = (await modules?.({ party, metrics, log, turns: requests.turns, changes }) ?? [])
      .map((
        module,
      ) => parts.use(module));
    const report: NodeReport = new NodeReport({
      local: party.local,
      links: () => {
        const mesh = party.network?.mesh;
        return mesh === undefined ? undefined : { peers: mesh.status(), counts: mesh.metrics() };
      },
      sessions,
      wanted: () => party.network?.host.wanted ?? [],
      material: () => watch.current,
      isStopping: () => requests.isStopping,
      more: () => made.flatMap((module) => module.unready?.() ?? []),
    });
    const { node } = party.local.party;
    const operator = parts.use(
      await OperatorServer.start({
        listen: node.operatorListen,
        cluster: config.cluster,
        material,
        routes: new Map<string, OperatorRoute>([
          ...requests.routes,
          ...reportRoutes(report, sessions, monitors),
          ...made.flatMap((module) => [...module.routes ?? []]),
        ]),
        refused: refusalsOf({ audit: party.local.audit, metrics, log }),
      }),
    );
    const watch = parts.use(
      new CertificateWatch({
        config,
        party: name,
        current: material,
        readConfig,
        changed: async (read, former) => {
          await party.reloadCertificates(read);
          operator.reload(read);
          for (const event of certificateEvents(former, read)) party.local.audit.note(event);
        },
        refused: (sentence) => log.write("error", sentence, { code: "RELOAD_REFUSED" }),
      }),
    );
    parts.use(new ReadinessLog({ log, unready: () => report.unready() }));
    const collector = new NodeCollector({
      local: party.local,
      report,
      counts: () => party.network?.mesh.metrics(),
      lag,
    });
    const collect = () => {
      collector.collect(metrics);
      for (const module of made) module.collect?.(metrics);
    };
    parts.use(exportMetrics(metrics, { collect }));
    const telemetry = parts.use(TelemetryServer.start({
      listen: node.telemetryListen,
      metrics: () => {
        collect();
        return metrics.text();
      },
      unready: () => report.unready(),
    }));
    const address = formatAddress({ ...node.operatorListen, port: operator.port });
    party.local.announce(address);
    log.write("info", `the node runs: operators at ${address}`, { code: "NODE_STARTED", address });
    return new Daemon(parts.move(), { party, log, requests, watch, operator, telemetry });
  }

  /** Port of the operator API. */
  get operatorPort(): number {
    return this.#listeners.operator.port;
  }

  /** Port of metrics and health. */
  get telemetryPort(): number {
    return this.#listeners.telemetry.port;
  }

  /** Reads certificates again now. @returns whether others are in use now. */
  async reload(): Promise<boolean> {
    return await this.#watch.check();
  }

  /**
   * Takes no new requests, lets those that run end, and closes everything; after `drainMs` it cancels what still runs and tells the
   * peers. A second call cancels at once.
   */
  stop(drainMs: number = DRAIN_MS): Promise<void> {
    if (this.#stopped !== undefined) this.#requests.cancel();
    return this.#stopped ??= this.#stop(drainMs);
  }

  async #stop(drainMs: number): Promise<void> {
    this.#log.write("info", "the node is stopping: it takes no new requests", { code: "NODE_STOPPING" });
    // A command that comes now waits for the lock.
    this.#party.local.announce(undefined);
    await this.#requests.stop(drainMs);
    await this.#parts.disposeAsync();
    this.#log.write("info", "the node has stopped", { code: "NODE_STOPPED" });
  }
}

interface DaemonFields {
  readonly party: Party;
  readonly log: Log;
  readonly requests: NodeRequests;
  readonly watch: CertificateWatch;
  readonly operator: OperatorServer;
  readonly telemetry: TelemetryServer;
}

/** As long as an init system waits for less than it takes to kill. */
const DRAIN_MS = 30_000;
const MONITOR_MS = 2_000;

function reportRoutes(
  report: NodeReport,
  sessions: SessionMonitor,
  monitors: Set<OperatorCall["emit"]>,
): OperatorRoutes {
  return new Map<string, OperatorRoute>([
    ["GET /v1/status", { serve: () => report.status() }],
    ["GET /v1/info", { serve: () => report.info() }],
    ["GET /v1/peers", { serve: () => ({ peers: report.peers() }) }],
    ["GET /v1/sessions", {
      serve: () => ({ active: sessions.active, recent: sessions.recent, wanted: report.wanted() }),
    }],
    ["GET /v1/monitor", { streams: true, serve: (call) => monitor(report, sessions, monitors, call) }],
  ]);
}

/** Says how the node is again and again, and what happens to links, until nobody listens or it stops. */
async function monitor(
  report: NodeReport,
  sessions: SessionMonitor,
  monitors: Set<OperatorCall["emit"]>,
  { emit, signal }: OperatorCall,
): Promise<never> {
  const say = () => {
    const { ready, reasons, quorum, reachable, unreachable, keys, wanted } = report.status();
    const time = new Date().toISOString();
    emit({
      event: "data",
      data: { time, ready, reasons, quorum, reachable, unreachable, keys, wanted, sessions: sessions.active },
    });
  };
  const timer = setInterval(say, MONITOR_MS);
  monitors.add(emit);
  say();
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  monitors.delete(emit);
  clearInterval(timer);
  throw new UsageError("NODE_UNREACHABLE", "the node has stopped: start it with node run");
}
