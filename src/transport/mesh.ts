/**
 * The mesh: one authenticated, sealed link to each of the other parties (WIRE.md 2). The party with the lower index dials.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import type { Bytes } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import type { Links, SessionFrame } from "../session/links.ts";
import { type Credentials, makeCredentials } from "./credentials.ts";
import { EventQueue, type EventReceiver } from "./event_queue.ts";
import { LINK_CODES, LinkFault } from "./faults.ts";
import { DEFAULT_LIMITS, type TransportLimits } from "./limits.ts";
import { skewText } from "./hello.ts";
import { Link } from "./link.ts";
import { LinkGuard } from "./link_guard.ts";
import { limitedEvent, MeshLog, rotatedEvent } from "./mesh_log.ts";
import {
  type Candidate,
  isSameProcess,
  metricsOf,
  newPeer,
  type Peer,
  PEERS_FAULT,
  statusOf,
} from "./mesh_peer.ts";
import type { MeshEvent, MeshMaterial, MeshMetrics, MeshOptions, PeerStatus } from "./mesh_types.ts";
import type { CheckedLeaf } from "./peer_identity.ts";
import { selfTest } from "./self_test.ts";
import { dialParty } from "./tls_dialler.ts";
import { type AcceptedConnection, parseAddress, TlsListener, type TlsMaterial } from "./tls_listener.ts";

export type * from "./mesh_types.ts";

/** Links over mutual TLS. */
export class Mesh implements Links {
  /** The party whose mesh this is. */
  readonly self: PartyId;
  readonly #options: MeshOptions;
  readonly #limits: TransportLimits;
  readonly #bootId: Bytes;
  /** The own certificate by what was shown: a handshake may end after a reload. */
  readonly #shown = new WeakMap<TlsMaterial, CheckedLeaf>();
  readonly #guard = new LinkGuard();
  readonly #listener: TlsListener;
  readonly #peers: ReadonlyMap<PartyId, Peer>;
  readonly #events: EventQueue;
  readonly #candidates = new Map<Link, Candidate>();
  readonly #ended = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  readonly #log: MeshLog;
  #credentials: Credentials;
  #failedConnections = 0;
  #startedAt = 0;
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
    this.#log = new MeshLog(options.log);
    this.#bootId = options.bootId ?? options.rng.bytes(16);
    this.#credentials = makeCredentials(options, options);
    this.#shown.set(this.#credentials.material, this.#credentials.own);
    this.#listener = new TlsListener({
      ...this.#credentials,
      limits: this.#limits,
      accepted: (connection) => this.#accept(connection),
      refused: (address, fault) => {
        this.#failedConnections++;
        const event: MeshEvent = { code: fault.code, text: fault.message, direction: "in", address };
        if (fault.code === "THROTTLED") this.#log.seldom("connections", event);
        else this.#log.write(event);
      },
    });
    const peers = options.peers ?? roster.parties.map((party) => party.index);
    this.#peers = new Map(
      peers.filter((peer) => peer !== self).map((id): [PartyId, Peer] => {
        return [id, newPeer(id, roster.get(id).name, { limits: this.#limits, rng: options.rng })];
      }),
    );
    this.#events = new EventQueue((error) => this.receiverFailed(error));
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
    this.#startedAt = performance.now();
    const { host, port } = parseAddress(this.#options.listen);
    this.#port = await this.#listener.listen(host, port);
    try {
      await selfTest({
        listener: this.#listener,
        host,
        port: this.#port,
        material: this.#credentials.material,
        limits: this.#limits,
        rng: this.#options.rng,
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#log.write({
      code: "LISTENING",
      text: `listening on ${host}:${this.#port}`,
      address: `${host}:${this.#port}`,
    });
    for (const peer of this.#peers.values()) if (peer.id > this.self) this.#dialLater(peer);
  }

  /**
   * Takes other certificates, authorities, revocation lists and pins for connections to come. Links stay, but for those whose
   * peer's certificate is revoked now, not pinned any more, or of an authority that is gone.
   *
   * @throws UsageError IDENTITY_INVALID with nothing changed, where they do not belong together.
   */
  reload(material: MeshMaterial): void {
    this.#credentials = makeCredentials(this.#options, material, this.#credentials);
    this.#shown.set(this.#credentials.material, this.#credentials.own);
    this.#listener.reload(this.#credentials);
    this.#log.write({ code: "RELOADED", text: LINK_CODES.RELOADED });
    this.#guard.judge(this.#credentials.policy);
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

  /** Where too much waits for a peer already: resolves when some of it has left, or its link ended. Else undefined. */
  room(peer: PartyId): Promise<void> | undefined {
    return this.#peers.get(peer)?.link?.room();
  }

  /** Waits until what was sent has left this process, or its links ended. False where that takes longer. */
  async drained(deadlineMs: number): Promise<boolean> {
    let isLate = false;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      isLate = true;
      late.resolve();
    }, deadlineMs);
    for (const peer of this.#peers.values()) {
      for (let leaving = peer.link?.leaving(); leaving && !isLate; leaving = peer.link?.leaving()) {
        await Promise.race([leaving, late.promise]);
      }
    }
    clearTimeout(timer);
    return !isLate;
  }

  /** Dials a party anew, at once; for one that was given up. Does nothing where it is linked, dialled, or dials us. */
  connect(peer: PartyId): void {
    const found = this.#peers.get(peer);
    if (found === undefined || found.failedDials < this.#limits.dialAttemptsMax) return;
    found.failedDials = 0;
    this.#dialLater(found);
  }

  bootId(peer: PartyId): Bytes | undefined {
    return this.#peers.get(peer)?.link?.bootId;
  }

  closeLink(peer: PartyId, code: string, why: string): void {
    const found = this.#peers.get(peer);
    found?.limiter.recordError(performance.now());
    found?.link?.closeGently(code, why);
  }

  listen(receiver: EventReceiver): void {
    this.#events.listen(receiver);
  }

  /** Logs what a receiver threw. */
  receiverFailed(error: unknown): void {
    this.#log.write({
      code: "RECEIVER_FAILED",
      text: `the receiver of link events failed: ${error instanceof Error ? error.message : "unknown"}`,
    });
  }

  /** One line per peer, ascending. */
  status(): readonly PeerStatus[] {
    return [...this.#peers.values()].sort((a, b) => a.id - b.id).map((peer) =>
      statusOf(peer, {
        self: this.self,
        dialAttemptsMax: this.#limits.dialAttemptsMax,
        rosterHash: this.#options.roster.hash,
        certificate: peer.link && this.#candidates.get(peer.link)?.certificates.peer,
      })
    );
  }

  /** Everything that was counted, for monitoring. */
  metrics(): MeshMetrics {
    const peers = [...this.#peers.values()].sort((a, b) => a.id - b.id);
    return {
      uptimeMs: this.#startedAt === 0 ? 0 : performance.now() - this.#startedAt,
      activeConnections: peers.filter((peer) => peer.link !== undefined).length,
      failedConnections: this.#failedConnections,
      strangers: this.#listener.strangers,
      events: this.#log.tally,
      peers: peers.map((peer) => metricsOf(peer)),
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
    const own = this.#shown.get(connection.shown);
    invariant(own !== undefined, "what the listener shows is known here");
    this.#adopt(peer, {
      role: "listener",
      socket: connection.socket,
      certificates: { own, peer: connection.leaf },
      address: connection.address,
      connectedAt: connection.connectedAt,
      authenticated: connection.authenticated,
    });
  }

  #dialLater(peer: Peer): void {
    if (this.#state !== "running") return;
    if (peer.failedDials >= this.#limits.dialAttemptsMax) {
      return this.#log.write({
        code: "GAVE_UP",
        peer: peer.name,
        direction: "out",
        text: `${peer.name} is not dialled any more: ${peer.failedDials} attempts in a row have failed`,
      });
    }
    peer.timer = setTimeout(() => {
      peer.failedDials++;
      this.#dialNow(peer).catch((error) => {
        // Not only faults of the peer: an address that cannot be read, or a permission that is missing.
        const fault = error instanceof LinkFault
          ? error
          : new LinkFault("DIAL_FAILED", `no connection: ${error?.message}`);
        this.#neverUp(peer, fault.code);
        this.#peerFailed(peer, "out", fault);
        this.#dialLater(peer);
      });
    }, peer.backoff.next());
  }

  async #dialNow(peer: Peer): Promise<void> {
    const address = this.#options.addressOf(peer.id);
    if (address === undefined) throw new LinkFault("DIAL_FAILED", `no address of ${peer.name} is known`);
    const { host, port } = parseAddress(address);
    const { material, own } = this.#credentials;
    const policy = () => this.#credentials.policy;
    const { roster } = this.#options;
    const options = { host, port, material, limits: this.#limits, signal: this.#abort.signal };
    const expected = { party: peer.id, nameOf: (party: PartyId) => roster.nameOf(party) };
    const { socket, connectedAt, leaf } = await dialParty(options, policy, expected);
    this.#adopt(peer, {
      role: "dialler",
      socket,
      certificates: { own, peer: leaf },
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
        ownLeafSha256: candidate.certificates.own.fingerprint,
        peerLeafSha256: candidate.certificates.peer.fingerprint,
        bootId: this.#bootId,
        ...(suites === undefined ? {} : { suites }),
      },
      rng,
      limits: this.#limits,
      connectedAt: candidate.connectedAt,
      limiter: peer.limiter,
      sent: peer.sent,
      received: peer.received,
      owner: {
        authenticated: (link) => this.#authenticated(peer, link),
        up: (link) => this.#up(peer, link),
        limited: () => this.#log.seldom(peer.name, limitedEvent(peer.name)),
        rotated: (_, direction, epoch) =>
          this.#log.seldom(`${peer.name} ${direction}`, rotatedEvent(peer.name, direction, epoch)),
        frame: (link, frame) =>
          this.#events.push({ kind: "frame", peer: peer.id, frame }, () => link.delivered(frame)),
        closed: (link, code, text) => this.#closed(peer, link, code, text),
      },
    });
    this.#candidates.set(link, candidate);
    this.#guard.add(link, candidate.certificates);
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
    peer.ups++;
    peer.failedDials = 0;
    delete peer.lastFault;
    const { address, role } = this.#candidates.get(link) as Candidate;
    const direction = role === "dialler" ? "out" : "in";
    this.#log.write({
      code: "LINK_UP",
      peer: peer.name,
      direction,
      address,
      text: `the link to ${peer.name} is up`,
    });
    const { clockOffsetMs = 0 } = link.figures;
    if (Math.abs(clockOffsetMs) > this.#limits.clockSkewWarnMs) {
      const text = `${skewText(clockOffsetMs)} or the network slow: set both by a time server`;
      this.#log.write({ code: "CLOCK_SKEW", peer: peer.name, direction, text });
    }
    this.#events.push({ kind: "up", peer: peer.id, bootId: link.bootId as Bytes });
  }

  #closed(peer: Peer, link: Link, code: string, text: string): void {
    const { role, address } = this.#candidates.get(link) as Candidate;
    this.#candidates.delete(link);
    this.#guard.remove(link);
    if (PEERS_FAULT.has(code)) peer.limiter.recordError(performance.now());
    this.#peerFailed(peer, role === "dialler" ? "out" : "in", { code, message: text }, address);
    if (peer.link === link) {
      peer.link = undefined;
      peer.downs.add(code);
      this.#events.push({ kind: "down", peer: peer.id, reason: `${code}: ${text}` });
    } else this.#neverUp(peer, code);
    if (role !== "dialler") return;
    peer.backoff.linkEnded(link.upForMs);
    this.#dialLater(peer);
  }

  #neverUp(peer: Peer, code: string): void {
    if (code === "SHUTDOWN") return;
    peer.failures.add(code);
    this.#failedConnections++;
  }

  #peerFailed(
    peer: Peer,
    direction: "in" | "out",
    fault: { readonly code: string; readonly message: string },
    address?: string,
  ): void {
    peer.lastFault = { code: fault.code, text: fault.message };
    this.#log.write({
      code: fault.code,
      peer: peer.name,
      direction,
      text: fault.message,
      ...(address === undefined ? {} : { address }),
    });
  }
}
