/**
 * Fills in the metrics of a node when they are asked for.
 *
 * @module
 */

import { VERSION } from "../base/version.ts";
import type { EventLoopLag } from "../telemetry/event_loop.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { MeshMetrics, PeerMetrics } from "../transport/mesh.ts";
import { typeName } from "../transport/message_types.ts";
import type { LocalParty } from "./local_party.ts";
import type { NodeReport, PeerReport } from "./daemon_report.ts";

/** Where figures come from. */
export interface CollectOptions {
  /** The party's own side. */
  readonly local: LocalParty;
  /** How the node stands. */
  readonly report: NodeReport;
  /** What links counted; undefined before there are any. */
  readonly counts: () => MeshMetrics | undefined;
  /** Of this process. */
  readonly lag: EventLoopLag;
}

/** Collects for one node. */
export class NodeCollector {
  readonly #options: CollectOptions;
  /** Since when there are records without a signed checkpoint: milliseconds. */
  #unsignedSince: number | undefined;

  /** Collects when it is told to. */
  constructor(options: CollectOptions) {
    this.#options = options;
  }

  /** Brings all figures up to date. */
  collect(metrics: Metrics): void {
    this.#process(metrics);
    this.#keys(metrics);
    this.#audit(metrics);
    const peers = this.#options.report.peers();
    collectPeers(metrics, peers);
    const counts = this.#options.counts();
    if (counts !== undefined) collectLinks(metrics, counts, peers);
  }

  #process(metrics: Metrics): void {
    const { local, report, lag } = this.#options;
    const unready = report.unready();
    const { rss, heapUsed } = Deno.memoryUsage();
    metrics.replace("build_info", [[{ version: VERSION, party: local.party.name }, 1]]);
    metrics.replace("start_time_seconds", [[{}, report.startedAt / 1000]]);
    metrics.replace("ready", [[{}, unready.length === 0 ? 1 : 0]]);
    metrics.replace(
      "unready_reason",
      [...new Set(unready.map(({ reason }) => reason))].map((reason) => [{ reason }, 1]),
    );
    metrics.replace("event_loop_lag_seconds", [[{}, lag.seconds]]);
    metrics.replace("process_resident_memory_bytes", [[{}, rss]]);
    metrics.replace("process_heap_bytes", [[{}, heapUsed]]);
    metrics.replace("roster_size", [[{}, local.config.parties.length]]);
    metrics.replace(
      "tls_cert_expiry_timestamp_seconds",
      report.expiries().map(({ subject, at }) => [{ subject }, at.getTime() / 1000]),
    );
  }

  #keys(metrics: Metrics): void {
    const { report } = this.#options;
    const keys = report.keys();
    metrics.replace("key_epoch", keys.map(({ key, epoch }) => [{ key }, epoch]));
    metrics.replace(
      "key_refresh_timestamp_seconds",
      keys.map(({ key, storedAt }) => [{ key }, storedAt / 1000]),
    );
    metrics.replace("threshold", keys.map(({ key, threshold }) => [{ key }, threshold]));
    metrics.replace("quorum_margin", keys.map(({ key, margin }) => [{ key }, margin]));
    metrics.replace("last_backup_epoch", keys.map(({ key, backup }) => [{ key }, backup?.epoch ?? -1]));
    metrics.replace(
      "last_backup_timestamp_seconds",
      keys.map(({ key, backup }) => [{ key }, (backup?.at ?? 0) / 1000]),
    );
    metrics.replace("key_pending", [[{}, report.pending()]]);
  }

  #audit(metrics: Metrics): void {
    const { size, waiting, signed, cosigned, failure } = this.#options.local.audit.log.status();
    const now = performance.now();
    this.#unsignedSince = size > signed ? this.#unsignedSince ?? now : undefined;
    metrics.replace("audit_entries_total", [[{}, size]]);
    metrics.replace("audit_waiting", [[{}, waiting]]);
    metrics.replace("audit_writable", [[{}, failure === undefined ? 1 : 0]]);
    metrics.replace("audit_checkpoint_age_seconds", [[{}, (now - (this.#unsignedSince ?? now)) / 1000]]);
    metrics.replace("audit_witness_lag", [[{}, size - cosigned]]);
  }
}

function collectPeers(metrics: Metrics, peers: readonly PeerReport[]): void {
  const known = <T>(value: (peer: PeerReport) => number | null, factor = 1) =>
    peers.flatMap((peer) => {
      const figure = value(peer);
      return figure === null ? [] : [[{ peer: peer.name }, figure * factor] as const];
    });
  metrics.replace(
    "peer_connected",
    peers.flatMap((peer) =>
      (["in", "out"] as const).map((direction) =>
        [{ peer: peer.name, direction }, peer[direction] === "up" ? 1 : 0] as const
      )
    ),
  );
  metrics.replace("peer_rtt_seconds", known(({ rttMs }) => rttMs, 1 / 1000));
  metrics.replace("peer_clock_offset_seconds", known(({ clockOffsetMs }) => clockOffsetMs, 1 / 1000));
  metrics.replace(
    "peer_roster_equal",
    known(({ rosterEqual }) => rosterEqual === null ? null : Number(rosterEqual)),
  );
  metrics.replace("peer_waiting_bytes", known(({ waitingBytes }) => waitingBytes));
  metrics.replace(
    "peer_version_supported",
    known(({ version, lastFault }) => version !== null ? 1 : lastFault?.code === "HELLO_VERSION" ? 0 : null),
  );
}

function collectLinks(
  metrics: Metrics,
  { peers, events, strangers }: MeshMetrics,
  reports: readonly PeerReport[],
): void {
  const dialledBy = (name: string) =>
    reports.find((report) => report.name === name)?.role === "dialler" ? "out" : "in";
  const each = <T>(rows: (peer: PeerMetrics) => readonly T[]) => peers.flatMap(rows);
  metrics.replace("peer_link_ups_total", each(({ name, ups }) => [[{ peer: name }, ups]]));
  metrics.replace(
    "peer_link_flaps_total",
    each(({ name, downs }) =>
      Object.entries(downs).map((
        [reason, count],
      ) => [{ peer: name, direction: dialledBy(name), reason }, count])
    ),
  );
  metrics.replace(
    "frames_rejected_total",
    each(({ name, downs }) =>
      Object.entries(downs).filter(([reason]) => REJECTED.test(reason))
        .map(([reason, count]) => [{ peer: name, reason }, count])
    ),
  );
  metrics.replace(
    "rate_limited_total",
    each(({ name, rate }) =>
      Object.entries(rate.limitedByType).map(([type, count]) => [
        { peer: name, type: type === "0" ? "all" : typeName(Number(type)) },
        count,
      ])
    ),
  );
  const traffic = (figure: "messages" | "bytes") =>
    each(({ name, sent, received }) =>
      ([["out", sent], ["in", received]] as const).flatMap(([direction, types]) =>
        Object.entries(types).map(([type, counted]) =>
          [{ peer: name, direction, type }, counted[figure]] as const
        )
      )
    );
  metrics.replace("frames_total", traffic("messages"));
  metrics.replace("frame_bytes_total", traffic("bytes"));
  metrics.replace("strangers", [[{}, strangers]]);
  metrics.replace("link_events_total", Object.entries(events).map(([code, count]) => [{ code }, count]));
  metrics.replace(
    "tls_handshakes_total",
    Object.entries(events).filter(([code]) => code === "LINK_UP" || HANDSHAKE.test(code)).map((
      [code, count],
    ) => [
      { result: code === "LINK_UP" ? "ok" : "refused", reason: code === "LINK_UP" ? "" : code },
      count,
    ]),
  );
}

/** Reason classes of the transport: what a peer sent was wrong. */
const REJECTED = /^(?:FRAME_|SEAL_|SEQUENCE$|MESSAGE_INVALID$|INVALID_MESSAGE$)/;
/** Reason classes of the transport: a connection did not get as far as being up. */
const HANDSHAKE =
  /^(?:TLS_FAILED|CERT_|CRL_|PIN_|PEER_IDENTITY|SELF_CONNECT|DIAL_RULE|DUPLICATE|HELLO_|DEADLINE_)/;
