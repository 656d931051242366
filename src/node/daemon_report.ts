/**
 * What a node that runs says of itself: to operators, to monitoring, and where it is asked whether it is ready.
 *
 * @module
 */

import { hex } from "../base/bytes.ts";
import { VERSION } from "../base/version.ts";
import { daysUntil } from "../pki/inspect.ts";
import type { AccessTree } from "../primitives/access.ts";
import { formatPolicy } from "../primitives/access.ts";
import type { WantedSession } from "../session/host.ts";
import { reasonOf } from "../storage/files.ts";
import type { Unreadiness } from "../telemetry/server.ts";
import type { SessionMonitor } from "../telemetry/sessions.ts";
import type { MeshMetrics, PeerStatus } from "../transport/mesh.ts";
import { type CertificateMaterial, expiriesOf, type Expiry } from "./certificates.ts";
import { formatAddress } from "./config.ts";
import { DOCTOR_LIMITS } from "./doctor.ts";
import { kindOfEntry } from "./frost_keys.ts";
import { bannedNames, isSuperseded } from "./key_commands.ts";
import type { LocalParty } from "./local_party.ts";
import { keyInfo } from "./party.ts";
import { fewestSigners, quorumMargin } from "./quorum.ts";
import { pausesIn } from "./sign_locks.ts";

/** How a key stands. */
export interface KeyStanding {
  /** Its name. */
  readonly key: string;
  /** Hexadecimal. */
  readonly keyId: string;
  /** Its epoch. */
  readonly epoch: number;
  /** When this epoch was stored here: milliseconds since 1970. */
  readonly storedAt: number;
  /** Its curve, and its scheme where the curve has several. */
  readonly curve: string;
  readonly scheme?: string;
  /** Who may sign. */
  readonly policy: string;
  /** Fewest parties that can sign. */
  readonly threshold: number;
  /** Names. */
  readonly members: readonly string[];
  /** Names of those that can be reached, this party included. */
  readonly reachable: readonly string[];
  /** How many of them may fail; negative where it cannot sign now. */
  readonly margin: number;
  /** Names of those with which nothing is signed until an operator says so. */
  readonly banned: readonly string[];
  /** Its newest backup: epoch, and milliseconds since 1970. */
  readonly backup?: { readonly epoch: number; readonly at: number };
}

/** A peer waits for this node to be asked for the same. */
export interface WantedReport {
  /** Its name. */
  readonly peer: string;
  /** Name of the protocol. */
  readonly protocol: string;
  /** What its operator asked for, in the peer's words. */
  readonly command: string;
  /** For how long. */
  readonly waitingSeconds: number;
}

/** How a peer stands. */
export interface PeerReport {
  /** Its index. */
  readonly index: number;
  /** Its name. */
  readonly name: string;
  /** What is dialled, or waited for. */
  readonly address: string;
  /** Whether there is a link. */
  readonly state: "up" | "down";
  /** Who dials. */
  readonly role: "dialler" | "listener";
  /** What the peer sends arrives. */
  readonly in: "up" | "down";
  /** What is sent to it arrives; unknown where nothing says so. */
  readonly out: "up" | "down" | "unknown";
  /** Average of the last round trips. */
  readonly rttMs: number | null;
  /** The peer's clock less ours. */
  readonly clockOffsetMs: number | null;
  /** How often a link that was up has ended. */
  readonly flaps: number;
  /** The same by reason. */
  readonly flapReasons: Readonly<Record<string, number>>;
  /** Version of the link protocol. */
  readonly version: number | null;
  /** Hash of the peer's list of parties. */
  readonly rosterHash: string | null;
  /** Whether it is ours. */
  readonly rosterEqual: boolean | null;
  /** Full days that are left of the peer's certificate. */
  readonly certificateDays: number | null;
  /** Age of the link. */
  readonly upForMs: number | null;
  /** Bytes that wait to be sent. */
  readonly waitingBytes: number;
  /** Why there is no link, or why the last one ended. */
  readonly lastFault: { readonly code: string; readonly text: string } | null;
}

/** The node as it stands. */
export type StatusReport = ReturnType<NodeReport["status"]>;
/** What does not change while the node runs. */
export type InfoReport = ReturnType<NodeReport["info"]>;

/** What a node needs to report. */
export interface ReportOptions {
  /** The party's own side. */
  readonly local: LocalParty;
  /** How links are; undefined before there are any. */
  readonly links: () => { readonly peers: readonly PeerStatus[]; readonly counts: MeshMetrics } | undefined;
  /** What sessions do. */
  readonly sessions: SessionMonitor;
  /** What peers have opened and nobody asked for here. */
  readonly wanted?: () => readonly WantedSession[];
  /** The certificates in use. */
  readonly material: () => CertificateMaterial;
  /** True once the node takes no new requests. */
  readonly isStopping: () => boolean;
  /** What other parts of the node have against being ready. */
  readonly more?: () => readonly Unreadiness[];
}

/** Reports of one node. */
export class NodeReport {
  readonly #options: ReportOptions;
  readonly #startedAt = Date.now();
  /** Policies of keys by id and epoch: a share is opened once to read one. */
  readonly #records = new Map<string, { readonly policy: AccessTree; readonly members: readonly string[] }>();
  #store: { readonly at: number; readonly fault: string | undefined } = { at: -Infinity, fault: undefined };

  /** Of a node that starts now. */
  constructor(options: ReportOptions) {
    this.#options = options;
  }

  /** Milliseconds since 1970. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** Active keys, by name. */
  keys(): readonly KeyStanding[] {
    const { local } = this.#options;
    const reachable = this.reachable();
    return local.store.keys().filter(({ state }) => state === "active").map((entry) => {
      const { name, keyId, epoch, time, curve } = entry;
      const { policy, members } = this.#recordOf(name, `${hex(keyId)}/${epoch}`);
      const backup = local.store.backups(keyId).toSorted((a, b) => a.epoch - b.epoch).at(-1);
      const banned = bannedNames(local, keyId);
      const usable = new Set([...reachable].filter((member) => !banned.includes(member)));
      return {
        key: name,
        keyId: hex(keyId),
        epoch,
        storedAt: time,
        ...kindOfEntry({ curve }),
        policy: formatPolicy(policy),
        threshold: fewestSigners(policy),
        members,
        reachable: members.filter((member) => reachable.has(member)),
        margin: quorumMargin(policy, usable),
        banned,
        ...(backup === undefined ? {} : { backup: { epoch: backup.epoch, at: backup.time } }),
      };
    });
  }

  /** Shares that wait for their certificate. */
  pending(): number {
    const { store } = this.#options.local;
    return store.keys().filter((entry) => entry.state === "pending" && !isSuperseded(store, entry)).length;
  }

  /** Names of the parties with which both directions work, this one included. */
  reachable(): ReadonlySet<string> {
    const peers = this.peers().filter((peer) => peer.in === "up" && peer.out === "up");
    return new Set([this.#options.local.party.name, ...peers.map(({ name }) => name)]);
  }

  /** All peers, ascending by index. */
  peers(): readonly PeerReport[] {
    const { local, links } = this.#options;
    const { config } = local;
    const known = links();
    const now = Date.now();
    return (known?.peers ?? []).map((peer): PeerReport => {
      const { directions, rttAverageMs, clockOffsetMs, version, certificate, otherRosterHash } = peer;
      const isUp = peer.state === "up";
      const counts = known?.counts.peers.find(({ name }) => name === peer.name);
      const address = config.parties[peer.peer - 1]?.address;
      return {
        index: peer.peer,
        name: peer.name,
        address: address === undefined ? "" : formatAddress(address),
        state: peer.state,
        role: peer.role,
        in: isUp ? directions?.in ?? "up" : "down",
        out: isUp ? directions?.out ?? "up" : "down",
        rttMs: rttAverageMs ?? null,
        clockOffsetMs: clockOffsetMs ?? null,
        flaps: Object.values(counts?.downs ?? {}).reduce((sum, count) => sum + count, 0),
        flapReasons: counts?.downs ?? {},
        version: version ?? null,
        rosterHash: isUp ? hex(otherRosterHash ?? config.roster.hash) : null,
        rosterEqual: isUp ? otherRosterHash === undefined : null,
        certificateDays: certificate === undefined ? null : daysUntil(new Date(certificate.notAfter), now),
        upForMs: peer.upForMs ?? null,
        waitingBytes: peer.waitingBytes ?? 0,
        lastFault: peer.lastFault ?? null,
      };
    });
  }

  /** The node as it stands now. */
  status() {
    const { local, sessions } = this.#options;
    const reasons = this.unready();
    const reachable = this.reachable();
    return {
      cluster: local.config.cluster,
      party: local.party.name,
      version: VERSION,
      pid: Deno.pid,
      startedAt: new Date(this.#startedAt).toISOString(),
      ready: reasons.length === 0,
      reasons,
      quorum: !reasons.some(({ reason }) => reason === "quorum"),
      parties: local.config.parties.length,
      reachable: [...reachable],
      unreachable: local.config.parties.map(({ name }) => name).filter((name) => !reachable.has(name)),
      keys: this.keys(),
      sessions: sessions.active.length,
      paused: pausesIn(local.store.ledger)
        .map(({ what, since }) => ({ what, since: new Date(since).toISOString() })),
      wanted: this.wanted(),
    };
  }

  /** Who waits for this node to be asked for something, oldest first. */
  wanted(): readonly WantedReport[] {
    const { local, wanted } = this.#options;
    return (wanted?.() ?? []).map(({ peer, protocol, command, waitingMs }) => ({
      peer: local.config.roster.nameOf(peer),
      protocol,
      command,
      waitingSeconds: Math.round(waitingMs / 100) / 10,
    }));
  }

  /** What does not change while the node runs, and how its log and certificates are. */
  info() {
    const { local, material } = this.#options;
    const { config, party, bootId, audit, timeoutMs } = local;
    return {
      cluster: config.cluster,
      party: party.name,
      index: party.index,
      version: VERSION,
      bootId: hex(bootId),
      rosterHash: hex(config.roster.hash),
      clusterHash: hex(config.roster.clusterHash),
      addresses: {
        peers: formatAddress(party.listen),
        operators: formatAddress(party.node.operatorListen),
        telemetry: formatAddress(party.node.telemetryListen),
      },
      timeoutSeconds: timeoutMs / 1000,
      parties: config.parties.map(({ index, name, address }) => ({
        index,
        name,
        address: formatAddress(address),
      })),
      stores: { coordination: party.stores.coordination.kind, records: party.stores.records.kind },
      audit: { directory: party.audit.directory, ...audit.log.status() },
      expiries: expiriesOf(material()).map(({ subject, at }) => ({ subject, at: at.toISOString() })),
    };
  }

  /** Everything that keeps the node from being ready. */
  unready(): readonly Unreadiness[] {
    const { isStopping, more } = this.#options;
    return [
      ...(isStopping()
        ? [{ reason: "stopping", text: "the node is stopping and takes no new requests" }]
        : []),
      ...this.#quorumFaults(),
      ...this.#storeFaults(),
      ...this.#certificateFaults(),
      ...this.#peerFaults(),
      ...(more?.() ?? []),
    ];
  }

  /** Certificates and lists that end by themselves. */
  expiries(): readonly Expiry[] {
    return expiriesOf(this.#options.material());
  }

  #quorumFaults(): Unreadiness[] {
    const { local } = this.#options;
    const faults = this.keys().filter(({ margin }) => margin < 0).map(
      ({ key, policy, members, reachable }) => {
        const absent = members.filter((member) => !reachable.includes(member));
        return {
          reason: "quorum",
          text: `the key ${key} (${policy}) cannot sign: ${absent.join(", ")} cannot be reached`,
        };
      },
    );
    const reachable = this.reachable().size;
    const parties = local.config.parties.length;
    if (2 * reachable > parties) return faults;
    return [...faults, { reason: "quorum", text: `only ${reachable} of ${parties} parties can be reached` }];
  }

  #storeFaults(): Unreadiness[] {
    const { local } = this.#options;
    const fault = this.#probeStore();
    const { failure } = local.audit.log.status();
    return [
      ...(fault === undefined ? [] : [{ reason: "store", text: fault }]),
      ...(failure === undefined ? [] : [{ reason: "audit", text: failure }]),
    ];
  }

  #certificateFaults(): Unreadiness[] {
    const now = Date.now();
    return this.expiries().filter(({ at }) => at.getTime() <= now).map(({ subject, at }) => ({
      reason: "certificate",
      text: `${subject} ended on ${at.toISOString()}: renew it`,
    }));
  }

  #peerFaults(): Unreadiness[] {
    const peers = this.peers();
    return [
      ...peers.filter(({ clockOffsetMs }) => Math.abs(clockOffsetMs ?? 0) > DOCTOR_LIMITS.clockFailMs)
        .map(({ name, clockOffsetMs }) => ({
          reason: "clock",
          text: `the clock of ${name} differs by ${
            Math.round((clockOffsetMs ?? 0) / 1000)
          } s: one of both is wrong`,
        })),
      ...peers.filter(({ rosterEqual }) => rosterEqual === false).map(({ name }) => ({
        reason: "roster",
        text: `${name} has another list of parties or identity keys: compare the configuration files`,
      })),
    ];
  }

  /** A full disk is noticed before a share has to be written. */
  #probeStore(): string | undefined {
    const now = performance.now();
    if (now - this.#store.at < PROBE_INTERVAL_MS) return this.#store.fault;
    const { dataDirectory } = this.#options.local.party;
    const path = `${dataDirectory}/.probe`;
    let fault: string | undefined;
    try {
      Deno.writeFileSync(path, new Uint8Array(PROBE_BYTES), { mode: 0o600 });
      Deno.removeSync(path);
    } catch (error) {
      fault = `${dataDirectory} cannot be written: ${reasonOf(error)}`;
    }
    this.#store = { at: now, fault };
    return fault;
  }

  #recordOf(
    name: string,
    place: string,
  ): { readonly policy: AccessTree; readonly members: readonly string[] } {
    const known = this.#records.get(place);
    if (known !== undefined) return known;
    const { policy, members } = keyInfo(this.#options.local, name).record;
    const record = { policy, members: members.map((member) => member.name) };
    this.#records.set(place, record);
    return record;
  }
}

const PROBE_INTERVAL_MS = 10_000;
const PROBE_BYTES = 4096;
