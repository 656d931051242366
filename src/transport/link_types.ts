/**
 * What a link is made of, whom it tells, and what it shows of itself.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import type { PartyId } from "../base/brands.ts";
import type { Ed25519Signer, Ed25519Verifier } from "../base/crypto.ts";
import type { Rng } from "../base/rng.ts";
import type { SessionFrame } from "../session/links.ts";
import type { TrafficCounter } from "./counters.ts";
import type { Directions } from "./heartbeat.ts";
import type { HelloContext } from "./hello.ts";
import type { TransportLimits } from "./limits.ts";
import type { Link } from "./link.ts";
import type { PeerLimiter } from "./rate.ts";
import type { LinkRole } from "./sealed_channel.ts";

/** What the owner of a link decides and hears. */
export interface LinkOwner {
  /** The peer's process is known and authenticated: the owner calls {@linkcode Link.confirm}, now or later, or closes. */
  authenticated(link: Link): void;
  /** Frames may be sent and will be delivered. */
  up(link: Link): void;
  /** A frame for the user. The owner calls {@linkcode Link.delivered} when it was handed over. */
  frame(link: Link, frame: SessionFrame): void;
  /** The peer sends more than it may, and is made to wait. Called often. */
  limited(link: Link): void;
  /** Frames in one direction are sealed under other keys from now on. The peer decides how often that is for what it sends. */
  rotated(link: Link, direction: "in" | "out", epoch: number): void;
  /** Called exactly once. */
  closed(link: Link, code: string, text: string): void;
}

/** What a link is made of. */
export interface LinkOptions {
  /** After its TLS handshake and our checks of the certificate. */
  readonly socket: TLSSocket;
  /** Which end this side is. */
  readonly role: LinkRole;
  /** Own index. */
  readonly self: PartyId;
  /** The party at the other end. */
  readonly peer: PartyId;
  /** Verifies the peer's HELLO_ACK. */
  readonly peerIdentity: Ed25519Verifier;
  /** Signs our HELLO_ACK. */
  readonly identity: Ed25519Signer;
  /** What our HELLO says besides the parties. */
  readonly hello: Omit<HelloContext, "role" | "self" | "peer">;
  /** Draws nonces, keys and ping tokens. */
  readonly rng: Rng;
  /** Deadlines, backlogs and rotation. */
  readonly limits: TransportLimits;
  /** `performance.now()` of the TCP connection. */
  readonly connectedAt: number;
  /** What the peer may send; it outlives the link, as the counters do. */
  readonly limiter: PeerLimiter;
  /** Counts what is sent. */
  readonly sent: TrafficCounter;
  /** Counts what is received. */
  readonly received: TrafficCounter;
  /** Decides and hears. */
  readonly owner: LinkOwner;
}

/** Figures of a link for people. */
export interface LinkFigures {
  /** Frames of every type, HELLO included. */
  readonly framesSent: number;
  /** Frames of every type, HELLO included. */
  readonly framesReceived: number;
  /** Bytes inside TLS. */
  readonly bytesSent: number;
  /** Bytes inside TLS. */
  readonly bytesReceived: number;
  /** Key epoch of what we send. */
  readonly sendEpoch: number;
  /** Key epoch of what we receive. */
  readonly receiveEpoch: number;
  /** Time of the last PING to its PONG. */
  readonly rttMs: number | undefined;
  /** The same, averaged over about the last eight. */
  readonly rttAverageMs: number | undefined;
  /** Which directions work. */
  readonly directions: Directions;
  /** True while the peer says that it does not read, or much waits for it. */
  readonly isSlow: boolean;
  /** Bytes that wait to be sent. */
  readonly waitingBytes: number;
  /** The peer's clock less ours at HELLO, half a round trip included. */
  readonly clockOffsetMs: number | undefined;
}
