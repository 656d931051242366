/**
 * Messages between parties: the API for programs that want authenticated, sealed and bounded messaging, with or without the
 * protocols of this package on the same links.
 *
 * @module
 */

import type { PartyId } from "../base/brands.ts";
import { DecodeError } from "../base/codec.ts";
import { TransportError, UsageError } from "../base/errors.ts";
import type { LinkEvent, Links } from "../session/links.ts";
import { LINK_CODES } from "./faults.ts";
import { Inbox, type ReceiveOptions } from "./inbox.ts";
import { DEFAULT_LIMITS, type TransportLimits, USER_TYPE_MIN } from "./limits.ts";
import { Mesh, type MeshMaterial, type MeshMetrics, type MeshOptions, type PeerStatus } from "./mesh.ts";
import { checkType, frameOf, type Message, type MessageKind, type ReceivedMessage } from "./message.ts";

/** Takes a message. Where it returns a promise the message counts as taken when that has settled. */
export type MessageHandler = (message: ReceivedMessage) => void | Promise<void>;

/** Takes the value of a message of a kind. */
export type KindHandler<T> = (value: T, message: ReceivedMessage) => void | Promise<void>;

/** A link came up or went down. */
export type LinkChange = Exclude<LinkEvent, { readonly kind: "frame" }>;

/** How a transport ends. */
export interface StopOptions {
  /** How long what was sent, and handlers that run, may take. Default: 5 s. */
  readonly drainMs?: number;
}

/**
 * Sends and receives messages over a {@linkcode Mesh}, which it makes, starts and closes.
 *
 * A sender waits where a peer does not keep up, and a peer waits where this side does not: messages on a link that is up are never
 * dropped. A link that goes down is made anew; what had not arrived by then is lost, and both sides hear `down`.
 *
 * @example Two parties in one process
 * ```ts
 * import { ed25519Signer } from "../base/crypto.ts";
 * import { partyId } from "../base/brands.ts";
 * import { systemRng } from "../base/rng.ts";
 * import { createAuthority, issueLeaf } from "../pki/authority.ts";
 * import { pinOf } from "../pki/pin.ts";
 * import { makeRoster } from "../session/roster.ts";
 * import { MessageType } from "./message_types.ts";
 * import { Transport } from "./transport.ts";
 *
 * const names = ["alice", "bob"];
 * const authority = await createAuthority({ cluster: "demo" });
 * const leaves = await Promise.all(
 *   names.map((party) => issueLeaf({ authority, cluster: "demo", party, host: "127.0.0.1" })),
 * );
 * const identities = names.map(() => ed25519Signer(systemRng.bytes(32)));
 * const roster = makeRoster("demo", names.map((name, i) => ({ name, identity: identities[i]!.publicKey })));
 * const pins = new Map(leaves.map((leaf, i) => [partyId(i + 1), [pinOf(leaf.certPem)]]));
 *
 * const ports = new Map<number, number | undefined>();
 * const [alice, bob] = names.map((_, i) =>
 *   new Transport({
 *     roster,
 *     self: partyId(i + 1),
 *     listen: "127.0.0.1:0",
 *     addressOf: (peer) => ports.has(peer) ? `127.0.0.1:${ports.get(peer)}` : undefined,
 *     tls: { ...leaves[i]!, authoritiesPem: authority.certPem },
 *     pins,
 *     identity: identities[i]!,
 *     rng: systemRng,
 *   })
 * ) as [Transport, Transport];
 * bob.on(MessageType.SIGN_ROUND_1, (message) =>
 *   bob.send(message.from, { type: MessageType.ACK, payload: message.payload }));
 * await Promise.all([alice.start(), bob.start()]);
 * ports.set(2, bob.port);
 * await alice.connected([partyId(2)]);
 *
 * await alice.send(partyId(2), { type: MessageType.SIGN_ROUND_1, payload: new TextEncoder().encode("hello") });
 * const answer = await alice.receive({ type: MessageType.ACK, timeoutMs: 5_000 });
 * await Promise.all([alice.stop(), bob.stop()]);
 * if (new TextDecoder().decode(answer.payload) !== "hello") throw new Error("not echoed");
 * ```
 */
export class Transport {
  /** The party whose transport this is. */
  readonly self: PartyId;
  /**
   * The same links for a `SessionHost`: its frames and the messages of this API do not meet. The host must be made before
   * {@linkcode Transport.start}.
   */
  readonly links: Links;
  readonly #mesh: Mesh;
  readonly #limits: TransportLimits;
  readonly #peers: readonly PartyId[];
  readonly #nameOf: (party: PartyId) => string;
  readonly #lanes = new Map<PartyId, Lane>();
  readonly #handlers = new Map<number, MessageHandler>();
  readonly #inbox = new Inbox();
  readonly #running = new Set<Promise<void>>();
  readonly #linkListeners = new Set<(change: LinkChange) => void>();
  #sessions: (event: LinkEvent) => void | Promise<void> = () => {};
  #isStopping = false;

  /**
   * Checks the own certificate, key, pin and identity.
   *
   * @throws UsageError IDENTITY_INVALID if they do not belong together.
   */
  constructor(options: MeshOptions) {
    const mesh = new Mesh(options);
    this.self = mesh.self;
    this.#mesh = mesh;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#nameOf = (party) => options.roster.nameOf(party);
    this.#peers = mesh.status().map(({ peer }) => peer);
    for (const peer of this.#peers) this.#lanes.set(peer, { waiting: 0, tail: Promise.resolve() });
    this.links = {
      self: mesh.self,
      send: (peer, frame) => mesh.send(peer, frame),
      bootId: (peer) => mesh.bootId(peer),
      closeLink: (peer, code, why) => mesh.closeLink(peer, code, why),
      listen: (receiver) => this.#sessions = receiver,
    };
  }

  /** The port that is listened on, after {@linkcode Transport.start}. */
  get port(): number | undefined {
    return this.#mesh.port;
  }

  /**
   * Listens, tries the own lock, and begins to dial; links come up one by one.
   *
   * @throws TransportError ADDRESS_IN_USE
   * @throws UsageError SELF_TEST_FAILED
   */
  async start(): Promise<void> {
    this.#mesh.listen((event) => this.#hear(event));
    await this.#mesh.start();
  }

  /** Sends what was given to {@linkcode Transport.send}, lets handlers finish, and ends all links. A second call waits for nothing. */
  async stop(options: StopOptions = {}): Promise<void> {
    const { drainMs = 5_000 } = options;
    this.#isStopping = true;
    const work = [...[...this.#lanes.values()].map((lane) => lane.tail), ...this.#running];
    const startedAt = performance.now();
    await within(Promise.allSettled(work), drainMs);
    await this.#mesh.drained(Math.max(0, drainMs - (performance.now() - startedAt)));
    await this.#mesh.close();
    this.#inbox.end();
  }

  /** Resolves when links to all these parties, by default to all, are up. @throws TransportError TIMEOUT, TRANSPORT_STOPPED */
  async connected(peers: readonly PartyId[] = this.#peers, timeoutMs: number = 30_000): Promise<void> {
    const missing = () => peers.filter((peer) => this.#mesh.bootId(peer) === undefined);
    const done = Promise.withResolvers<void>();
    const stopListening = this.onLink(() => missing().length === 0 && done.resolve());
    if (missing().length === 0) done.resolve();
    const isUp = await within(done.promise, timeoutMs);
    stopListening();
    if (!isUp) throw this.#missing("TIMEOUT", missing(), `is not connected after ${timeoutMs} ms`);
  }

  /**
   * Sends to one party. Resolves when the message is on its way, which is at once where the peer keeps up. Messages to one party
   * leave in the order of the calls.
   *
   * @throws UsageError USAGE, NOT_A_MEMBER, MESSAGE_TOO_LARGE
   * @throws TransportError NOT_CONNECTED, SEND_BUFFER_FULL, TIMEOUT, TRANSPORT_STOPPED
   */
  async send(peer: PartyId, message: Message): Promise<void> {
    const frame = frameOf(message, this.#limits);
    const lane = this.#lanes.get(peer);
    if (lane === undefined) {
      throw new UsageError("NOT_A_MEMBER", `party ${peer} is none that this node links with`);
    }
    if (this.#isStopping) throw stopped();
    if (lane.waiting === 0 && this.#mesh.room(peer) === undefined) return this.#sendNow(peer, frame);
    if (lane.waiting >= this.#limits.sendersMax) {
      throw this.#missing(
        "SEND_BUFFER_FULL",
        [peer],
        `has ${lane.waiting} calls of send() waiting already: await each`,
      );
    }
    lane.waiting++;
    const turn = lane.tail.then(() => this.#sendInTurn(peer, frame));
    lane.tail = turn.catch(() => {}).finally(() => lane.waiting--);
    await turn;
  }

  /**
   * Sends to all parties, and waits for those that do not keep up. Those that are linked get it also where others are not.
   *
   * @throws UsageError USAGE, MESSAGE_TOO_LARGE
   * @throws TransportError with all parties that did not get it.
   */
  async broadcast(message: Message): Promise<void> {
    const outcomes = await Promise.allSettled(this.#peers.map((peer) => this.send(peer, message)));
    const failed = outcomes.flatMap((outcome, i) =>
      outcome.status === "rejected" ? [{ peer: this.#peers[i] as PartyId, error: outcome.reason }] : []
    );
    const [first] = failed;
    if (first === undefined) return;
    if (!(first.error instanceof TransportError)) throw first.error;
    throw this.#missing(
      first.error.code,
      failed.map(({ peer }) => peer),
      "did not get a broadcast",
      first.error,
    );
  }

  /**
   * The next message for whose type there is no handler. Messages of one party come in order.
   *
   * @throws TransportError TIMEOUT, TRANSPORT_STOPPED
   */
  receive(options: ReceiveOptions = {}): Promise<ReceivedMessage> {
    return this.#inbox.take(options);
  }

  /**
   * Handles all messages of a type from now on; those that wait already are handled before this returns. What a handler throws is
   * logged and concerns nobody else.
   *
   * @returns a function that ends it.
   * @throws UsageError USAGE where the type has a handler.
   */
  on(type: number, handler: MessageHandler): () => void;
  /** Handles all messages of a kind; one that does not decode closes its link. */
  on<T>(kind: MessageKind<T>, handler: KindHandler<T>): () => void;
  on<T>(what: number | MessageKind<T>, handler: MessageHandler | KindHandler<T>): () => void {
    const type = typeof what === "number" ? what : what.type;
    checkType(type);
    if (this.#handlers.has(type)) {
      throw new UsageError("USAGE", `messages of type ${type} have a handler already: end that one first`);
    }
    const handle: MessageHandler = typeof what === "number"
      ? handler as MessageHandler
      : (message) => this.#handleKind(what, handler as KindHandler<T>, message);
    this.#handlers.set(type, handle);
    for (const message of this.#inbox.takeAll(type)) this.#handleWaiting(handle, message);
    return () => {
      if (this.#handlers.get(type) === handle) this.#handlers.delete(type);
    };
  }

  /** Hears of links that come up and go down. @returns a function that ends it. */
  onLink(listener: (change: LinkChange) => void): () => void {
    this.#linkListeners.add(listener);
    return () => this.#linkListeners.delete(listener);
  }

  /** Dials a party anew that was given up. */
  connect(peer: PartyId): void {
    this.#mesh.connect(peer);
  }

  /**
   * Takes other certificates, authorities, revocation lists and pins for connections to come; links stay where they hold.
   *
   * @throws UsageError IDENTITY_INVALID with nothing changed, where they do not belong together.
   */
  reload(material: MeshMaterial): void {
    this.#mesh.reload(material);
  }

  /** One line per party, ascending. */
  status(): readonly PeerStatus[] {
    return this.#mesh.status();
  }

  /** Everything that was counted. */
  metrics(): MeshMetrics {
    return this.#mesh.metrics();
  }

  #sendNow(peer: PartyId, frame: Required<Message>): void {
    if (this.#mesh.send(peer, frame)) return;
    throw this.#missing("NOT_CONNECTED", [peer], "is not connected: wait for its link, or see status()");
  }

  async #sendInTurn(peer: PartyId, frame: Required<Message>): Promise<void> {
    const until = performance.now() + this.#limits.sendTimeoutMs;
    for (let room = this.#mesh.room(peer); room !== undefined; room = this.#mesh.room(peer)) {
      if (!await within(room, until - performance.now())) {
        throw this.#missing("TIMEOUT", [peer], "does not read what is sent: it may be overloaded");
      }
    }
    this.#sendNow(peer, frame);
  }

  #hear(event: LinkEvent): void | Promise<void> {
    if (event.kind === "frame" && event.frame.type >= USER_TYPE_MIN) {
      const message = { from: event.peer, ...event.frame };
      const handler = this.#handlers.get(message.type);
      return handler === undefined ? this.#inbox.put(message) : this.#handle(handler, message);
    }
    const settled = this.#sessions(event);
    if (event.kind !== "frame") { for (const listener of [...this.#linkListeners]) listener(event); }
    return settled;
  }

  #handle(handler: MessageHandler, message: ReceivedMessage): void | Promise<void> {
    const settled = handler(message);
    if (!(settled instanceof Promise)) return;
    this.#running.add(settled);
    const forget = () => void this.#running.delete(settled);
    settled.then(forget, forget);
    return settled;
  }

  /** Beside the queue of events, which would catch what a handler throws. */
  #handleWaiting(handler: MessageHandler, message: ReceivedMessage): void {
    const failed = (error: unknown) => this.#mesh.receiverFailed(error);
    try {
      const settled = this.#handle(handler, message);
      if (settled instanceof Promise) settled.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #handleKind<T>(
    kind: MessageKind<T>,
    handler: KindHandler<T>,
    message: ReceivedMessage,
  ): void | Promise<void> {
    let value: T;
    try {
      value = kind.decode(message);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#mesh.closeLink(
        message.from,
        "MESSAGE_INVALID",
        `${LINK_CODES.MESSAGE_INVALID}: ${error.message}`,
      );
      return;
    }
    return handler(value, message);
  }

  #missing(
    code: TransportError["code"],
    parties: readonly PartyId[],
    what: string,
    cause?: unknown,
  ): TransportError {
    const names = parties.map((party) => this.#nameOf(party)).join(", ");
    return new TransportError(code, `${names} ${what}`, { party: names, parties, cause });
  }
}

/** Calls of `send` to one party that wait for room, in order. */
interface Lane {
  waiting: number;
  tail: Promise<void>;
}

/** True where it settled in time. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), Math.max(0, ms));
  try {
    return await Promise.race([promise.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function stopped(): TransportError {
  return new TransportError("TRANSPORT_STOPPED", "the transport was stopped: make a new one to go on");
}
