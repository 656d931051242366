/**
 * The mesh: one authenticated, sealed link to each of the other parties (WIRE.md 2). The party with the lower index dials.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { PartyId } from "../base/brands.ts";
import { type Bytes, equal } from "../base/bytes.ts";
import type { Ed25519Signer } from "../base/crypto.ts";
import { sha256 } from "../base/crypto.ts";
import { invariant, UsageError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { LinkEvent, Links, SessionFrame } from "../session/links.ts";
import type { Roster } from "../session/roster.ts";
import { Backoff } from "./backoff.ts";
import { EventQueue } from "./event_queue.ts";
import { LINK_CODES, LinkFault } from "./faults.ts";
import { DEFAULT_LIMITS, type TransportLimits } from "./limits.ts";
import { Link, type LinkFigures } from "./link.ts";
import { LeafPolicy } from "./peer_identity.ts";
import type { LinkRole, Suite } from "./sealed_channel.ts";
import { selfTest } from "./self_test.ts";
import { dial } from "./tls_dialler.ts";
import { type AcceptedConnection, parseAddress, TlsListener, type TlsMaterial } from "./tls_listener.ts";

/** What a mesh needs. It reads no files: everything is here. */
export interface MeshOptions {
  /** Who is in the cluster. */
  readonly roster: Roster;
  /** The party whose mesh this is. */
  readonly self: PartyId;
  /** `host:port` to listen on; port 0 takes a free one. */
  readonly listen: string;
  /** `host:port` of a party, asked before each dial; undefined where it is not known yet. */
  readonly addressOf: (peer: PartyId) => string | undefined;
  /** Own certificate and key, and the authorities. */
  readonly tls: TlsMaterial;
  /** PEM revocation lists of the authorities. */
  readonly revocationListsPem?: string | undefined;
  /** Pinned keys of every party's certificate, self included. */
  readonly pins: ReadonlyMap<PartyId, readonly string[]>;
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
  /** What differs from {@linkcode DEFAULT_LIMITS}. */
  readonly limits?: Partial<TransportLimits>;
  /** Hears what happens. */
  readonly log?: (event: MeshEvent) => void;
}

/** What happened, for logs and metrics. Never carries a secret. */
export interface MeshEvent {
  /** One of the keys of {@linkcode LINK_CODES}, or the code with which the user of the mesh closed a link. */
  readonly code: string;
  /** Name of the party concerned, where it is known. */
  readonly peer?: string;
  /** `in` for connections that the peer dialled. */
  readonly direction?: "in" | "out";
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
  /** Age of the link. */
  readonly upForMs?: number;
  /** The peer's roster hash where it differs from ours. */
  readonly otherRosterHash?: Bytes;
  /** Why there is no link, or why the last one ended. */
  readonly lastFault?: { readonly code: string; readonly text: string };
}

/** Links over mutual TLS. */
export class Mesh implements Links {
  /** The party whose mesh this is. */
  readonly self: PartyId;
  readonly #options: MeshOptions;
  readonly #limits: TransportLimits;
  readonly #bootId: Bytes;
  readonly #policy: LeafPolicy;
  readonly #ownFingerprint: Bytes;
  readonly #listener: TlsListener;
  readonly #peers: ReadonlyMap<PartyId, Peer>;
  readonly #events: EventQueue;
  readonly #candidates = new Map<Link, Candidate>();
  readonly #ended = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #port: number | undefined;
  #state: "new" | "running" | "closed" = "new";

  /**
   * Checks own certificate, key, pin and identity.
   *
   * @throws UsageError IDENTITY_INVALID if the own certificate, key, pin or identity do not belong together.
   */
  constructor(options: MeshOptions) {
    const { roster, self } = options;
    this.self = self;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#bootId = options.bootId ?? options.rng.bytes(16);
    this.#policy = new LeafPolicy({
      cluster: roster.cluster,
      authorities: options.tls.authoritiesPem,
      revocationLists: options.revocationListsPem,
      parties: roster.parties.map(({ index, name }) => ({
        index,
        name,
        pins: options.pins.get(index) ?? [],
      })),
    });
    this.#ownFingerprint = checkOwnIdentity(options, this.#policy);
    this.#listener = new TlsListener({
      material: options.tls,
      policy: this.#policy,
      limits: this.#limits,
      accepted: (connection) => this.#accept(connection),
      refused: (address, fault) =>
        this.#log({ code: fault.code, text: fault.message, direction: "in", address }),
    });
    const peers = options.peers ?? roster.parties.map((party) => party.index);
    this.#peers = new Map(
      peers.filter((peer) => peer !== self).map((id): [PartyId, Peer] => {
        const backoff = new Backoff(this.#limits, options.rng);
        return [id, { id, name: roster.get(id).name, link: undefined, backoff, timer: undefined }];
      }),
    );
    this.#events = new EventQueue((error) =>
      this.#log({
        code: "RECEIVER_FAILED",
        text: `the receiver of link events failed: ${error instanceof Error ? error.message : "unknown"}`,
      })
    );
  }

  /** The port that is listened on, after {@linkcode start}. */
  get port(): number | undefined {
    return this.#port;
  }

  /** The 16 bytes that name this process to its peers. */
  get ownBootId(): Bytes {
    return this.#bootId;
  }

  /**
   * Listens, tries the own lock, and begins to dial.
   *
   * @throws TransportError ADDRESS_IN_USE
   * @throws UsageError SELF_TEST_FAILED
   */
  async start(): Promise<void> {
    invariant(this.#state === "new", "a mesh is started once");
    this.#state = "running";
    const { host, port } = parseAddress(this.#options.listen);
    this.#port = await this.#listener.listen(host, port);
    try {
      await selfTest({
        listener: this.#listener,
        host,
        port: this.#port,
        material: this.#options.tls,
        limits: this.#limits,
        rng: this.#options.rng,
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#log({
      code: "LISTENING",
      text: `listening on ${host}:${this.#port}`,
      address: `${host}:${this.#port}`,
    });
    for (const peer of this.#peers.values()) if (peer.id > this.self) this.#dialLater(peer);
  }

  /** Ends all links after what was sent has left, and stops listening. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#abort.abort();
    for (const peer of this.#peers.values()) clearTimeout(peer.timer);
    for (const link of [...this.#candidates.keys()]) link.closeGently("SHUTDOWN", LINK_CODES.SHUTDOWN);
    await Promise.all(this.#ended);
    await this.#listener.close();
  }

  send(peer: PartyId, frame: SessionFrame): boolean {
    return this.#peers.get(peer)?.link?.send(frame) ?? false;
  }

  bootId(peer: PartyId): Bytes | undefined {
    return this.#peers.get(peer)?.link?.bootId;
  }

  closeLink(peer: PartyId, code: string, why: string): void {
    this.#peers.get(peer)?.link?.closeGently(code, why);
  }

  listen(receiver: (event: LinkEvent) => void): void {
    this.#events.listen(receiver);
  }

  /** One line per peer, ascending. */
  status(): readonly PeerStatus[] {
    return [...this.#peers.values()].sort((a, b) => a.id - b.id).map((peer) => this.#statusOf(peer));
  }

  #statusOf({ id, name, link, lastFault }: Peer): PeerStatus {
    const role: LinkRole = id > this.self ? "dialler" : "listener";
    const known = lastFault === undefined ? {} : { lastFault };
    if (link === undefined) return { peer: id, name, role, state: "down", ...known };
    const { bootId, suite, peerRosterHash } = link;
    const differs = peerRosterHash !== undefined && !equal(peerRosterHash, this.#options.roster.hash);
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
      ...(differs ? { otherRosterHash: peerRosterHash } : {}),
    };
  }

  /** A peer dialled us. @throws LinkFault, which refuses it. */
  #accept(connection: AcceptedConnection): void {
    const { party } = connection.leaf;
    if (this.#state !== "running") throw new LinkFault("SHUTDOWN");
    if (party === this.self) throw new LinkFault("SELF_CONNECT");
    const peer = this.#peers.get(party);
    const name = this.#options.roster.nameOf(party);
    if (peer === undefined) throw new LinkFault("PEER_UNKNOWN", `this node does not link with ${name}`);
    if (party > this.self) {
      throw new LinkFault("DIAL_RULE", `${name} dialled, but has the higher index: this node dials it`);
    }
    this.#adopt(peer, {
      role: "listener",
      socket: connection.socket,
      fingerprint: connection.leaf.fingerprint,
      address: connection.address,
      connectedAt: connection.connectedAt,
      authenticated: connection.authenticated,
    });
  }

  #dialLater(peer: Peer): void {
    if (this.#state !== "running") return;
    peer.timer = setTimeout(() => {
      this.#dialNow(peer).catch((error) => {
        // Not only faults of the peer: an address that cannot be read, or a permission that is missing.
        const isFault = error instanceof LinkFault;
        this.#peerFailed(
          peer,
          "out",
          isFault ? error : new LinkFault("DIAL_FAILED", `no connection: ${error?.message}`),
        );
        this.#dialLater(peer);
      });
    }, peer.backoff.next());
  }

  async #dialNow(peer: Peer): Promise<void> {
    const address = this.#options.addressOf(peer.id);
    if (address === undefined) throw new LinkFault("DIAL_FAILED", `no address of ${peer.name} is known`);
    const { host, port } = parseAddress(address);
    const { socket, connectedAt, leaf } = await dial({
      host,
      port,
      material: this.#options.tls,
      limits: this.#limits,
      signal: this.#abort.signal,
    }, this.#policy);
    if (leaf.party !== peer.id || this.#abort.signal.aborted) {
      socket.on("error", () => {});
      socket.destroy();
      if (this.#abort.signal.aborted) throw new LinkFault("SHUTDOWN");
      throw new LinkFault(
        "PEER_IDENTITY_MISMATCH",
        `${this.#options.roster.nameOf(leaf.party)} answered at ${address} where ${peer.name} was dialled`,
      );
    }
    this.#adopt(peer, {
      role: "dialler",
      socket,
      fingerprint: leaf.fingerprint,
      address,
      connectedAt,
      authenticated: () => {},
    });
  }

  #adopt(peer: Peer, candidate: Candidate): void {
    const { roster, identity, rng, suites } = this.#options;
    const link = new Link({
      socket: candidate.socket,
      role: candidate.role,
      self: this.self,
      peer: peer.id,
      peerIdentity: roster.get(peer.id).identity,
      identity,
      hello: {
        clusterHash: roster.clusterHash,
        rosterHash: roster.hash,
        ownLeafSha256: this.#ownFingerprint,
        peerLeafSha256: candidate.fingerprint,
        bootId: this.#bootId,
        ...(suites === undefined ? {} : { suites }),
      },
      rng,
      limits: this.#limits,
      connectedAt: candidate.connectedAt,
      owner: {
        authenticated: (link) => this.#authenticated(peer, link),
        up: (link) => this.#up(peer, link),
        frame: (link, frame) =>
          this.#events.push({ kind: "frame", peer: peer.id, frame }, () => link.delivered(frame)),
        closed: (link, code, text) => this.#closed(peer, link, code, text),
      },
    });
    this.#candidates.set(link, candidate);
    const ended = candidate.socket.closed
      ? Promise.resolve()
      : new Promise<void>((resolve) => candidate.socket.on("close", () => resolve()));
    this.#ended.add(ended);
    ended.then(() => this.#ended.delete(ended));
    link.start();
  }

  /** Another process of a party replaces the one that is linked only if that one is silent. */
  #authenticated(peer: Peer, link: Link): void {
    this.#candidates.get(link)?.authenticated();
    const old = peer.link;
    if (old === undefined || isSameProcess(old, link)) return link.confirm();
    old.probe(this.#limits.duplicateProbeMs, (alive) => {
      if (link.isClosed) return;
      if (alive) {
        return link.close("DUPLICATE_PARTY", `another process of ${peer.name} is connected and answers`);
      }
      old.close("REPLACED", `another process of ${peer.name} took over: the old one did not answer`);
      link.confirm();
    });
  }

  #up(peer: Peer, link: Link): void {
    const old = peer.link;
    if (old !== undefined && !isSameProcess(old, link)) {
      return link.close("DUPLICATE_PARTY", `another process of ${peer.name} was faster`);
    }
    // While the old one is still the link, its end is told to the user before the new one is up.
    old?.close("REPLACED");
    peer.link = link;
    delete peer.lastFault;
    const { address, role } = this.#candidates.get(link) as Candidate;
    const direction = role === "dialler" ? "out" : "in";
    this.#log({
      code: "LINK_UP",
      peer: peer.name,
      direction,
      address,
      text: `the link to ${peer.name} is up`,
    });
    this.#events.push({ kind: "up", peer: peer.id, bootId: link.bootId as Bytes });
  }

  #closed(peer: Peer, link: Link, code: string, text: string): void {
    const { role, address } = this.#candidates.get(link) as Candidate;
    this.#candidates.delete(link);
    this.#peerFailed(peer, role === "dialler" ? "out" : "in", { code, message: text }, address);
    if (peer.link === link) {
      peer.link = undefined;
      this.#events.push({ kind: "down", peer: peer.id, reason: `${code}: ${text}` });
    }
    if (role !== "dialler") return;
    peer.backoff.linkEnded(link.upForMs);
    this.#dialLater(peer);
  }

  #peerFailed(
    peer: Peer,
    direction: "in" | "out",
    fault: { readonly code: string; readonly message: string },
    address?: string,
  ): void {
    peer.lastFault = { code: fault.code, text: fault.message };
    this.#log({
      code: fault.code,
      peer: peer.name,
      direction,
      text: fault.message,
      ...(address === undefined ? {} : { address }),
    });
  }

  #log(event: MeshEvent): void {
    try {
      this.#options.log?.(event);
    } catch {
      // A log that fails must not end a link.
    }
  }
}

interface Peer {
  readonly id: PartyId;
  readonly name: string;
  link: Link | undefined;
  readonly backoff: Backoff;
  timer: ReturnType<typeof setTimeout> | undefined;
  lastFault?: { readonly code: string; readonly text: string };
}

interface Candidate {
  readonly role: LinkRole;
  readonly socket: AcceptedConnection["socket"];
  readonly fingerprint: Bytes;
  readonly address: string;
  readonly connectedAt: number;
  authenticated(): void;
}

function isSameProcess(a: Link, b: Link): boolean {
  return a.bootId !== undefined && b.bootId !== undefined && equal(a.bootId, b.bootId);
}

/** What a peer would refuse is refused here first, with a sentence for whoever can repair it. */
function checkOwnIdentity(options: MeshOptions, policy: LeafPolicy): Bytes {
  const { roster, self, tls, identity } = options;
  const { name, identity: expected } = roster.get(self);
  const fail = (text: string, cause?: unknown) =>
    new UsageError("IDENTITY_INVALID", text, { party: name, cause });
  if (!equal(identity.publicKey, expected.publicKey)) {
    throw fail(`the identity key of ${name} does not belong to the identity in the configuration`);
  }
  try {
    const certificate = new X509Certificate(tls.certPem);
    const leaf = policy.check(certificate.raw, Date.now());
    if (leaf.party !== self) throw fail(`the certificate of ${name} is that of ${roster.nameOf(leaf.party)}`);
    if (!isKeyOf(certificate, tls.keyPem)) {
      throw fail(`the TLS key of ${name} does not belong to its certificate`);
    }
    return sha256(new Uint8Array(certificate.raw));
  } catch (error) {
    if (error instanceof LinkFault) {
      throw fail(`the certificate of ${name} cannot be used: ${error.message}`, error);
    }
    if (error instanceof UsageError) throw error;
    throw fail(`the certificate of ${name} is not a PEM certificate`, error);
  }
}

function isKeyOf(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
