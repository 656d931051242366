/**
 * What a mesh knows of one party, and how that is shown.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import type { Rng } from "../base/rng.ts";
import { Backoff } from "./backoff.ts";
import { Tally, TrafficCounter } from "./counters.ts";
import type { LinkCode } from "./faults.ts";
import type { TransportLimits } from "./limits.ts";
import type { Link } from "./link.ts";
import type { LinkCertificates } from "./link_guard.ts";
import type { PeerMetrics, PeerStatus } from "./mesh_types.ts";
import type { CheckedLeaf } from "./peer_identity.ts";
import { PeerLimiter } from "./rate.ts";
import type { LinkRole } from "./sealed_channel.ts";
import type { AcceptedConnection } from "./tls_listener.ts";

/** What a mesh knows of a party while links to it come and go. */
export interface Peer {
  /** Its index. */
  readonly id: PartyId;
  /** Its name. */
  readonly name: string;
  /** The one that is up. */
  link: Link | undefined;
  /** How long the next dial waits. */
  readonly backoff: Backoff;
  /** Of the next dial. */
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Why there is no link, or why the last one ended. */
  lastFault?: { readonly code: string; readonly text: string };
  /** What it may send. */
  readonly limiter: PeerLimiter;
  /** What was sent to it. */
  readonly sent: TrafficCounter;
  /** What it sent. */
  readonly received: TrafficCounter;
  /** How often a link came up. */
  ups: number;
  /** How often one ended, by reason. */
  readonly downs: Tally;
  /** Connections that never became a link, by reason. */
  readonly failures: Tally;
  /** In a row. */
  failedDials: number;
}

/** A connection that is, or may become, a link. */
export interface Candidate {
  /** Who dialled. */
  readonly role: LinkRole;
  /** After TLS. */
  readonly socket: AcceptedConnection["socket"];
  /** What both sides have shown. */
  readonly certificates: LinkCertificates;
  /** Of the peer. */
  readonly address: string;
  /** `performance.now()` of the TCP connection. */
  readonly connectedAt: number;
  /** The peer is no stranger any more. */
  authenticated(): void;
}

/** A party that nothing is known of yet. */
export function newPeer(
  id: PartyId,
  name: string,
  { limits, rng }: { readonly limits: TransportLimits; readonly rng: Rng },
): Peer {
  return {
    id,
    name,
    link: undefined,
    backoff: new Backoff(limits, rng),
    timer: undefined,
    limiter: new PeerLimiter(limits.rates, performance.now()),
    sent: new TrafficCounter(),
    received: new TrafficCounter(),
    ups: 0,
    downs: new Tally(),
    failures: new Tally(),
    failedDials: 0,
  };
}

/** Whether two links lead to one process. */
export function isSameProcess(a: Link, b: Link): boolean {
  return a.bootId !== undefined && b.bootId !== undefined && equal(a.bootId, b.bootId);
}

/** How a party stands. */
export function statusOf(
  { id, name, link, lastFault, failedDials }: Peer,
  { self, dialAttemptsMax, rosterHash, certificate }: {
    readonly self: PartyId;
    readonly dialAttemptsMax: number;
    /** Ours. */
    readonly rosterHash: Bytes;
    /** What the peer has shown on the link that is up. */
    readonly certificate: CheckedLeaf | undefined;
  },
): PeerStatus {
  const role: LinkRole = id > self ? "dialler" : "listener";
  const known = {
    ...(lastFault === undefined ? {} : { lastFault }),
    ...(failedDials >= dialAttemptsMax ? { gaveUp: true } : {}),
  };
  if (link === undefined) return { peer: id, name, role, state: "down", ...known };
  const { bootId, suite, version, peerRosterHash } = link;
  const differs = peerRosterHash !== undefined && !equal(peerRosterHash, rosterHash);
  return {
    peer: id,
    name,
    role,
    state: "up",
    ...known,
    ...link.figures,
    upForMs: link.upForMs,
    ...(bootId === undefined ? {} : { bootId }),
    ...(suite === undefined ? {} : { suite }),
    ...(version === undefined ? {} : { version }),
    ...(certificate === undefined
      ? {}
      : { certificate: { pin: certificate.pin, notAfter: certificate.notAfter } }),
    ...(differs ? { otherRosterHash: peerRosterHash } : {}),
  };
}

/** What was counted about a party. */
export function metricsOf(peer: Peer): PeerMetrics {
  const rttMs = peer.link?.figures.rttAverageMs;
  return {
    peer: peer.id,
    name: peer.name,
    state: peer.link === undefined ? "down" : "up",
    sent: peer.sent.byType,
    received: peer.received.byType,
    ups: peer.ups,
    downs: peer.downs.all,
    failures: peer.failures.all,
    rate: peer.limiter.statistics,
    ...(rttMs === undefined ? {} : { rttMs }),
  };
}

/** Reasons for which an authenticated peer itself must have sent what is wrong: it may send less from then on. */
export const PEERS_FAULT: ReadonlySet<string> = new Set(
  [
    "FRAME_INVALID",
    "FRAME_UNEXPECTED",
    "FRAME_ADDRESS",
    "SEQUENCE",
    "SEAL_NONCE",
    "SEAL_EPOCH",
    "SEAL_MAC",
    "SEAL_AEAD",
  ] satisfies LinkCode[],
);
