/**
 * Every metric of a node: what it means, and by what it is split. Names are without the prefix `quorate_`. Splits are bounded:
 * a peer is a name of the roster, a reason one of a table of codes.
 *
 * @module
 */

/** What a metric is. */
export interface MetricMeaning {
  /** A `counter` only grows; a `gauge` is what is now; a `histogram` counts values by size. */
  readonly type: "counter" | "gauge" | "histogram";
  /** One line for people. */
  readonly help: string;
  /** By what it is split. */
  readonly labels: readonly string[];
  /** Of a histogram: upper bounds, ascending. */
  readonly buckets?: readonly number[];
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** All of them. A name is never reused for something else. */
export const METRICS = {
  // The process.
  build_info: { type: "gauge", help: "1, with the version that runs", labels: ["version", "party"] },
  start_time_seconds: { type: "gauge", help: "when the process began, in seconds since 1970", labels: [] },
  ready: { type: "gauge", help: "1 where /readyz says 200", labels: [] },
  unready_reason: { type: "gauge", help: "1 for each reason why the node is not ready", labels: ["reason"] },
  event_loop_lag_seconds: {
    type: "gauge",
    help: "the longest that the event loop was late within the last 15 seconds",
    labels: [],
  },
  process_resident_memory_bytes: { type: "gauge", help: "memory of the process", labels: [] },
  process_heap_bytes: { type: "gauge", help: "memory in use by the JavaScript heap", labels: [] },
  // Links.
  peer_connected: {
    type: "gauge",
    help: "1 where a direction of the link to a peer works: in is what the peer sends",
    labels: ["peer", "direction"],
  },
  peer_link_flaps_total: {
    type: "counter",
    help: "links that were up and ended, by the side that dialled and by reason",
    labels: ["peer", "direction", "reason"],
  },
  peer_link_ups_total: { type: "counter", help: "links that came up", labels: ["peer"] },
  peer_rtt_seconds: { type: "gauge", help: "average of the last round trips", labels: ["peer"] },
  peer_clock_offset_seconds: {
    type: "gauge",
    help: "the peer's clock less ours, when the link was made",
    labels: ["peer"],
  },
  peer_version_supported: {
    type: "gauge",
    help: "1 where the peer speaks a version of the link protocol that this node does",
    labels: ["peer"],
  },
  peer_roster_equal: {
    type: "gauge",
    help: "1 where the peer has the same list of parties and identity keys",
    labels: ["peer"],
  },
  peer_waiting_bytes: { type: "gauge", help: "bytes that wait to be sent to a peer", labels: ["peer"] },
  tls_handshakes_total: {
    type: "counter",
    help: "connections that were made or refused, by reason",
    labels: ["result", "reason"],
  },
  link_events_total: {
    type: "counter",
    help: "what happened to links and to connections of strangers, by reason class",
    labels: ["code"],
  },
  strangers: { type: "gauge", help: "connections that have not authenticated yet", labels: [] },
  tls_cert_expiry_timestamp_seconds: {
    type: "gauge",
    help: "when a certificate or revocation list ends, in seconds since 1970",
    labels: ["subject"],
  },
  frames_total: {
    type: "counter",
    help: "messages to (out) and from (in) a peer",
    labels: ["peer", "direction", "type"],
  },
  frame_bytes_total: {
    type: "counter",
    help: "their payloads together",
    labels: ["peer", "direction", "type"],
  },
  frames_rejected_total: {
    type: "counter",
    help: "messages of a peer that were not accepted",
    labels: ["peer", "reason"],
  },
  rate_limited_total: {
    type: "counter",
    help: "how often a peer was made to wait, by type of message",
    labels: ["peer", "type"],
  },
  // Sessions.
  session_active: {
    type: "gauge",
    help: "sessions that open or run, for each protocol seen",
    labels: ["protocol"],
  },
  session_total: {
    type: "counter",
    help: "sessions that ended, by outcome (ok, failed, unknown) and error code",
    labels: ["protocol", "outcome", "reason"],
  },
  session_duration_seconds: {
    type: "histogram",
    help: "from the start of a session to its result",
    labels: ["protocol"],
    buckets: SECONDS,
  },
  round_duration_seconds: {
    type: "histogram",
    help: "time in one round; round 0 is the opening",
    labels: ["protocol", "round"],
    buckets: SECONDS,
  },
  round_wait_seconds: {
    type: "histogram",
    help: "how long a session waited for a peer, in one round",
    labels: ["peer"],
    buckets: SECONDS,
  },
  signatures_total: { type: "counter", help: "signatures that this node took part in", labels: ["protocol"] },
  commands_total: {
    type: "counter",
    help: "requests of operators, by command and error code (ok where there was none)",
    labels: ["command", "result"],
  },
  operators_refused_total: {
    type: "counter",
    help: "connections and requests of whoever is no operator, by reason class",
    labels: ["reason"],
  },
  byzantine_evidence_total: {
    type: "counter",
    help: "proofs that a peer cheated",
    labels: ["peer", "kind"],
  },
  offences_stored: {
    type: "gauge",
    help: "offences of a member of which this node holds a proof, by kind",
    labels: ["peer", "kind"],
  },
  // Keys.
  key_epoch: { type: "gauge", help: "epoch of an active key", labels: ["key"] },
  key_refresh_timestamp_seconds: {
    type: "gauge",
    help: "when the epoch of a key was stored here, in seconds since 1970",
    labels: ["key"],
  },
  key_pending: { type: "gauge", help: "shares that wait for their certificate", labels: [] },
  threshold: { type: "gauge", help: "fewest parties that can sign with a key", labels: ["key"] },
  quorum_margin: {
    type: "gauge",
    help: "how many reachable members of a key may fail before it cannot sign; negative where it cannot now",
    labels: ["key"],
  },
  last_backup_epoch: { type: "gauge", help: "newest epoch of a key that is backed up", labels: ["key"] },
  last_backup_timestamp_seconds: {
    type: "gauge",
    help: "when that was, in seconds since 1970",
    labels: ["key"],
  },
  roster_size: { type: "gauge", help: "parties of the cluster", labels: [] },
  share_store_errors_total: {
    type: "counter",
    help: "failures to read or write the store of shares",
    labels: ["code"],
  },
  // The audit log.
  audit_entries_total: { type: "counter", help: "records of the audit log", labels: [] },
  audit_waiting: { type: "gauge", help: "events that wait to be written to the audit log", labels: [] },
  audit_writable: { type: "gauge", help: "1 where the last write to the audit log succeeded", labels: [] },
  audit_checkpoint_age_seconds: {
    type: "gauge",
    help: "how long the newest record without a signed checkpoint has waited; 0 where there is none",
    labels: [],
  },
  audit_witness_lag: {
    type: "gauge",
    help: "records that not enough peers have cosigned yet: as many as [audit] witnesses says, or one",
    labels: [],
  },
  audit_cosigned_records: {
    type: "gauge",
    help: "records of this party's log that a peer has cosigned since this process started",
    labels: ["peer"],
  },
  audit_witness_requests_total: {
    type: "counter",
    help: "requests of a peer to cosign its log, by what was answered: cosigned, limited, or why not",
    labels: ["peer", "result"],
  },
  audit_witness_alarms_total: {
    type: "counter",
    help: "times that the log of a peer had done something else than grow: rollback, fork, inconsistent",
    labels: ["peer", "reason"],
  },
  // Votes.
  votes_total: {
    type: "counter",
    help: "votes by what became of them: cast here, stored, mismatch, invalid, over_quota",
    labels: ["result"],
  },
  decisions_total: { type: "counter", help: "transactions that were decided at this node", labels: [] },
  vote_decision_seconds: {
    type: "histogram",
    help: "from when this node first voted in a transaction to its decision here",
    labels: [],
    buckets: SECONDS,
  },
  tx_open: { type: "gauge", help: "transactions that are not decided", labels: [] },
  voting_quorum: { type: "gauge", help: "equal votes that decide", labels: [] },
  voting_margin: {
    type: "gauge",
    help: "how many reachable members may fail before nothing can be decided; negative where nothing can now",
    labels: [],
  },
  voting_stopped: {
    type: "gauge",
    help: "1 where this node has stopped voting, by alarm (SAFETY_VIOLATION, SELF_EQUIVOCATION)",
    labels: ["alarm"],
  },
  reputation_score: {
    type: "gauge",
    help: "100 less the points of a member's offences, as this node sees it",
    labels: ["peer"],
  },
  // Stores of others.
  outbox_waiting: {
    type: "gauge",
    help: "records that the store of records does not have yet",
    labels: [],
  },
  outbox_limit: { type: "gauge", help: "records that may wait before no vote is cast", labels: [] },
  hand_off_waiting: {
    type: "gauge",
    help: "decisions that the store of coordination does not have yet",
    labels: [],
  },
  store_reachable: {
    type: "gauge",
    help: "1 where the last attempt to reach a store (coordination, records) succeeded",
    labels: ["store"],
  },
  // Signing on approval.
  approval_total: {
    type: "counter",
    help: "approved payloads by what became of them here (signed, failed, refused, unknown) and error code",
    labels: ["outcome", "reason"],
  },
  approval_alarms_total: {
    type: "counter",
    help: "approved payloads that an operator has to look at, by error code",
    labels: ["reason"],
  },
  paused: { type: "gauge", help: "1 where an operator has paused signing or voting", labels: ["what"] },
} as const satisfies Readonly<Record<string, MetricMeaning>>;

/** One of {@linkcode METRICS}. */
export type MetricName = keyof typeof METRICS;

/** The labels of a metric. */
export type LabelsOf<N extends MetricName> = Readonly<Record<typeof METRICS[N]["labels"][number], string>>;

/** In front of every name. */
export const METRIC_PREFIX = "quorate_";
