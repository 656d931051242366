/**
 * What a mesh needs, tells and counts.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import type { Rng } from "../base/rng.ts";
import type { Roster } from "../session/roster.ts";
import type { TrafficByType } from "./counters.ts";
import type { TransportLimits } from "./limits.ts";
import type { LinkFigures } from "./link_types.ts";
import type { RateStatistics } from "./rate.ts";
import type { LinkRole, Suite } from "./sealed_channel.ts";
import type { TlsMaterial } from "./tls_listener.ts";

/** What can be replaced while links are up. */
export interface MeshMaterial {
  /** Own certificate and key, and the authorities. */
  readonly tls: TlsMaterial;
  /** PEM revocation lists of the authorities. */
  readonly revocationListsPem?: string | undefined;
  /** Pinned keys of every party's certificate, self included. */
  readonly pins: ReadonlyMap<PartyId, readonly string[]>;
}

/** What a mesh needs. It reads no files: everything is here. */
export interface MeshOptions extends MeshMaterial {
  /** Who is in the cluster. */
  readonly roster: Roster;
  /** The party whose mesh this is. */
  readonly self: PartyId;
  /** `host:port` to listen on; port 0 takes a free one. */
  readonly listen: string;
  /** `host:port` of a party, asked before each dial; undefined where it is not known yet. */
  readonly addressOf: (peer: PartyId) => string | undefined;
  /** Own identity key. */
  readonly identity: Ed25519Signer;
  /** Draws boot id, nonces, keys and jitter. */
  readonly rng: Rng;
  /** Parties to link with. Default: all others. */
  readonly peers?: readonly PartyId[];
  /** 16 bytes that name this process; default: drawn. */
  readonly bootId?: Bytes;
  /** Offered cipher suites; default: all. */
  readonly suites?: readonly Suite[];
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<TransportLimits>;
  /** Hears what happens. */
  readonly log?: (event: MeshEvent) => void;
}

/** What happened, for logs and metrics. Never carries a secret. */
export interface MeshEvent {
  /** One of the keys of `LINK_CODES`, or the code with which the user of the mesh closed a link. */
  readonly code: string;
  /** Name of the party concerned, where it is known. */
  readonly peer?: string;
  /** `in` for connections that the peer dialled, and for keys of what it sends. */
  readonly direction?: "in" | "out";
  /** Of new keys. */
  readonly epoch?: number;
  /** Remote `host:port`. */
  readonly address?: string;
  /** One sentence for people. */
  readonly text: string;
}

/** How the link to one party is. */
export interface PeerStatus extends Partial<LinkFigures> {
  /** Its index. */
  readonly peer: PartyId;
  /** Its name. */
  readonly name: string;
  /** Whether frames can be sent. */
  readonly state: "up" | "down";
  /** Which end of the link this side is. */
  readonly role: LinkRole;
  /** The peer's process. */
  readonly bootId?: Bytes;
  /** The cipher suite in use. */
  readonly suite?: Suite;
  /** The protocol version in use. */
  readonly version?: number;
  /** Age of the link. */
  readonly upForMs?: number;
  /** The peer's certificate. */
  readonly certificate?: PeerCertificate;
  /** The peer's roster hash where it differs from ours. */
  readonly otherRosterHash?: Bytes;
  /** Why there is no link, or why the last one ended. */
  readonly lastFault?: { readonly code: string; readonly text: string };
  /** True where the party is not dialled any more, until `Mesh.connect`. */
  readonly gaveUp?: boolean;
}

/** The certificate with which a peer's link was made. */
export interface PeerCertificate {
  /** `sha256/<base64>` of its public key. */
  readonly pin: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** What went to and came from one party since the mesh was made. */
export interface PeerMetrics {
  /** Its index. */
  readonly peer: PartyId;
  /** Its name. */
  readonly name: string;
  /** Whether the link is up, with its directions. */
  readonly state: "up" | "down";
  /** Messages that were handed to its link, by type. */
  readonly sent: TrafficByType;
  /** Messages that came, by type. */
  readonly received: TrafficByType;
  /** How often a link came up. */
  readonly ups: number;
  /** How often a link that was up ended, by reason. */
  readonly downs: Readonly<Record<string, number>>;
  /** Connections that ended before they were up, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** What the limits on the peer have done. */
  readonly rate: RateStatistics;
  /** Average of the last round trips, in milliseconds. */
  readonly rttMs?: number;
}

/** Everything that a mesh counts. */
export interface MeshMetrics {
  /** Since `Mesh.start`. */
  readonly uptimeMs: number;
  /** Links that are up. */
  readonly activeConnections: number;
  /** Connections, of parties and strangers, that ended before they were up. */
  readonly failedConnections: number;
  /** Connections that have not authenticated yet. */
  readonly strangers: number;
  /** What was logged, by code. */
  readonly events: Readonly<Record<string, number>>;
  /** One entry per party, ascending. */
  readonly peers: readonly PeerMetrics[];
}
