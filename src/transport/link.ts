/**
 * One connection between two parties, from the end of its TLS handshake: HELLO, sealing, sequence, liveness (WIRE.md 2).
 *
 * ```
 * hello --HELLO verified--> ack --HELLO_ACK verified--> sealed --first sealed PING opened, and confirmed--> up
 * ```
 * Nothing is delivered, counted or replaced before `up`. Any fault closes the connection at once.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import type { PartyId } from "../base/brands.ts";
import { type Bytes, copy, EMPTY } from "../base/bytes.ts";
import { invariant } from "../base/errors.ts";
import { FrameType, type SessionFrame } from "../session/links.ts";
import { decodeBatch } from "./batch.ts";
import { readBinding } from "./channel_binding.ts";
import { type LinkCode, LinkFault } from "./faults.ts";
import { encodePlainFrame, NO_SESSION, payloadOf, type RawFrame, sessionOf } from "./frame.ts";
import { Heartbeat } from "./heartbeat.ts";
import { type AgreedHello, type ChannelBinding, HelloExchange, skewText } from "./hello.ts";
import { Intake } from "./intake.ts";
import { isUserType, payloadCap } from "./limits.ts";
import { isAllowed, type LinkStage } from "./link_stage.ts";
import type { LinkFigures, LinkOptions } from "./link_types.ts";
import { Outbox } from "./outbox.ts";
import { type LinkRole, SealedChannel, sealedSize, type Suite } from "./sealed_channel.ts";
import { Timers } from "./timers.ts";

export type { LinkFigures, LinkOptions, LinkOwner } from "./link_types.ts";

/** A connection to one party. */
export class Link {
  /** The party at the other end. */
  readonly peer: PartyId;
  /** Which end this side is. */
  readonly role: LinkRole;
  readonly #options: LinkOptions;
  readonly #socket: TLSSocket;
  readonly #exchange: HelloExchange;
  readonly #intake: Intake;
  readonly #outbox: Outbox;
  readonly #heartbeat: Heartbeat;
  readonly #timers = new Timers();
  #stage: LinkStage = "hello";
  #agreed: AgreedHello | undefined;
  #binding: ChannelBinding | undefined;
  #channel: SealedChannel | undefined;
  #confirmed = false;
  #peerIsSealed = false;
  #upAt = 0;
  #sendSequence = 0;
  #receiveSequence = 0;
  /** Key epochs that the owner knows of. */
  readonly #epochs = { in: 0, out: 0 };
  #stuckTicks = 0;
  #clockOffsetMs: number | undefined;

  /** Prepares a link; {@linkcode Link.start} begins it. */
  constructor(options: LinkOptions) {
    this.#options = options;
    this.peer = options.peer;
    this.role = options.role;
    this.#socket = options.socket;
    const { socket, limits, limiter, rng } = options;
    const guard = (action: () => void) => this.#guard(action);
    const after = (delayMs: number, callback: () => void) =>
      this.#timers.after(delayMs, () => this.#guard(callback));
    this.#intake = new Intake({
      socket,
      limits,
      limiter,
      guard,
      after,
      allowed: (type, sealed) => isAllowed(this.#stage, { type, sealed, peerIsSealed: this.#peerIsSealed }),
      limited: () => options.owner.limited(this),
      receive: (frame) => this.#receive(frame),
    });
    this.#outbox = new Outbox({
      socket,
      limits,
      guard,
      sealInto: (out, frame) => this.#sealInto(out, frame),
      overflow: () => this.close("BACKLOG"),
    });
    this.#heartbeat = new Heartbeat({
      limits,
      rng,
      after,
      isPaused: () => this.#intake.isPaused,
      ping: (payload) => this.#guard(() => this.#writeSealed(FrameType.PING, payload)),
      dead: (code) => this.close(code),
      tick: () => this.#checkSlow(),
    });
    this.#exchange = new HelloExchange(
      { ...options.hello, role: options.role, self: options.self, peer: options.peer },
      options.rng,
      Date.now(),
    );
  }

  /** True while frames can be sent. */
  get isUp(): boolean {
    return this.#stage === "up";
  }

  /** True once it ended. */
  get isClosed(): boolean {
    return this.#stage === "closed";
  }

  /** The peer's process, known from `authenticated` on. */
  get bootId(): Bytes | undefined {
    return this.#agreed?.hello.bootId;
  }

  /** What the peer calls the roster; a difference is shown, not refused (WIRE.md 6). */
  get peerRosterHash(): Bytes | undefined {
    return this.#agreed?.hello.rosterHash;
  }

  /** The suite both use. */
  get suite(): Suite | undefined {
    return this.#agreed?.suite;
  }

  /** How long it is up, or was when it closed. */
  get upForMs(): number {
    return this.#upAt === 0 ? 0 : performance.now() - this.#upAt;
  }

  /** The protocol version that both speak. */
  get version(): number | undefined {
    return this.#agreed?.version;
  }

  /** Figures for people. */
  get figures(): LinkFigures {
    return {
      framesSent: this.#sendSequence,
      framesReceived: this.#receiveSequence,
      bytesSent: this.#outbox.bytesSent,
      bytesReceived: this.#intake.bytesReceived,
      sendEpoch: this.#channel?.sendEpoch ?? 0,
      receiveEpoch: this.#channel?.receiveEpoch ?? 0,
      rttMs: this.#heartbeat.rttMs,
      rttAverageMs: this.#heartbeat.rttAverageMs,
      directions: this.#heartbeat.directions,
      isSlow: this.#heartbeat.isPeerBehind || this.#outbox.isFull || this.#stuckTicks > 0,
      waitingBytes: this.#outbox.waitingBytes,
      clockOffsetMs: this.#clockOffsetMs,
    };
  }

  /** Sends HELLO and begins to read. */
  start(): void {
    const socket = this.#socket;
    const { limits, connectedAt } = this.#options;
    socket.on("data", (chunk: Uint8Array) => this.#guard(() => this.#intake.push(chunk)));
    socket.on("error", (error: Error & { readonly code?: string }) => {
      // A peer that is killed or closes while data is on its way resets the connection: that is no other event than its end.
      if (error.code === "ECONNRESET") this.#peerClosed();
      else this.close("SOCKET", `the connection broke: ${error.message}`);
    });
    socket.on("end", () => this.#peerClosed());
    socket.on("close", () => this.#peerClosed());
    this.#timers.after(limits.helloDeadlineMs, () => {
      if (this.#stage === "hello" || this.#stage === "ack") this.close("DEADLINE_HELLO");
    });
    this.#timers.after(limits.upDeadlineMs - (performance.now() - connectedAt), () => {
      if (this.#stage !== "up") this.close("DEADLINE_UP");
    });
    if (socket.destroyed) return this.#peerClosed();
    this.#guard(() => {
      this.#binding = readBinding(socket, this.role);
      this.#writePlain(FrameType.HELLO, this.#exchange.own);
    });
  }

  /** The owner agrees that this connection becomes the link: the peer learns it from our first sealed frame. */
  confirm(): void {
    if (this.#stage !== "sealed" || this.#confirmed) return;
    this.#confirmed = true;
    this.#guard(() => {
      this.#writeSealed(FrameType.PING, EMPTY);
      this.#tryUp();
    });
  }

  /** Queues a frame; frames of one moment leave in one write. False where the link is not up. */
  send(frame: SessionFrame): boolean {
    if (this.#stage !== "up") return false;
    invariant(isUserType(frame.type), `a frame of type ${frame.type} is the transport's own`);
    invariant(
      frame.payload.length <= (payloadCap(frame.type, this.#options.limits) ?? 0),
      `a frame of type ${frame.type} is above its cap`,
    );
    this.#options.sent.add(frame.type, frame.payload.length);
    return this.#outbox.push(frame);
  }

  /** Where too much waits already: resolves when some of it has left. Else undefined. */
  room(): Promise<void> | undefined {
    return this.#stage === "up" && this.#outbox.isFull ? this.#outbox.progress() : undefined;
  }

  /** Where something waits: resolves when some of it has left. Else undefined. */
  leaving(): Promise<void> | undefined {
    return this.#stage === "up" && this.#outbox.waitingBytes > 0 ? this.#outbox.progress() : undefined;
  }

  /** The owner has handed a frame over: reading goes on where it was paused. */
  delivered(frame: SessionFrame): void {
    this.#intake.delivered(frame.payload.length);
  }

  /** Asks the peer for a sign of life. `done` is told once: true where it answered in time. */
  probe(deadlineMs: number, done: (alive: boolean) => void): void {
    if (this.#stage === "up") this.#heartbeat.probe(deadlineMs, done);
    else done(false);
  }

  /** Ends the connection at once. */
  close(code: LinkCode, text?: string): void {
    const fault = new LinkFault(code, text);
    this.#end(fault.code, fault.message, () => this.#socket.destroy());
  }

  /** Ends the connection after what was queued has left. */
  closeGently(code: string, text: string): void {
    if (this.#stage === "up") this.#guard(() => this.#outbox.flushAll());
    this.#end(code, text, () => {
      const timer = setTimeout(() => this.#socket.destroy(), this.#options.limits.lingerMs);
      this.#socket.on("close", () => clearTimeout(timer));
      this.#socket.end();
    });
  }

  #peerClosed(): void {
    if (this.#stage === "up") this.close("CLOSED");
    else this.close("CLOSED", "the peer closed the connection before the link was up: its log says why");
  }

  #end(code: string, text: string, finish: () => void): void {
    if (this.#stage === "closed") return;
    this.#stage = "closed";
    this.#timers.stop();
    this.#intake.end();
    this.#outbox.end();
    this.#channel?.[Symbol.dispose]();
    this.#exchange[Symbol.dispose]();
    finish();
    this.#options.owner.closed(this, code, text);
  }

  #receive(frame: RawFrame): void {
    const { self } = this.#options;
    if (frame.from !== this.peer) {
      throw new LinkFault(
        "FRAME_ADDRESS",
        `a frame from party ${frame.from} on the link of party ${this.peer}`,
      );
    }
    if (frame.to !== self && frame.to !== TO_ALL) {
      throw new LinkFault("FRAME_ADDRESS", `a frame for party ${frame.to} reached party ${self}`);
    }
    if (frame.sequence !== this.#receiveSequence) {
      throw new LinkFault("SEQUENCE", `sequence ${frame.sequence} where ${this.#receiveSequence} is next`);
    }
    this.#receiveSequence++;
    if (frame.type === FrameType.HELLO) return this.#receiveHello(copy(payloadOf(frame)));
    if (frame.type === FrameType.HELLO_ACK) return this.#receiveAck(payloadOf(frame));
    const channel = this.#channel;
    invariant(channel !== undefined, "a sealed frame is only allowed once there is a channel");
    const opened = { type: frame.type, session: copy(sessionOf(frame)), payload: channel.open(frame) };
    this.#tellRotation("in", channel.receiveEpoch);
    this.#heartbeat.heard();
    if (this.#stage === "sealed") {
      this.#peerIsSealed = true;
      return this.#tryUp();
    }
    if (opened.type !== FrameType.BATCH) return this.#handle(opened);
    const cap = (type: number) => payloadCap(type, this.#options.limits);
    for (const inner of decodeBatch(opened.payload, isUserType, cap)) this.#handle(inner);
  }

  #receiveHello(bytes: Bytes): void {
    this.#agreed = this.#exchange.receive(bytes);
    this.#clockOffsetMs = Number(this.#agreed.hello.clock) - Date.now();
    if (Math.abs(this.#clockOffsetMs) > this.#options.limits.clockSkewMaxMs) {
      throw new LinkFault("HELLO_CLOCK", `${skewText(this.#clockOffsetMs)}: set both, or allow more`);
    }
    this.#stage = "ack";
    this.#writePlain(FrameType.HELLO_ACK, this.#exchange.acknowledge(this.#bound(), this.#options.identity));
  }

  #receiveAck(signature: Uint8Array): void {
    const { limits, peerIdentity, owner } = this.#options;
    this.#exchange.verify(signature, this.#bound(), peerIdentity);
    this.#channel = new SealedChannel({
      suite: (this.#agreed as AgreedHello).suite,
      role: this.role,
      prk: this.#exchange.deriveKey(this.#bound()),
      rotation: limits.rotation,
      now: () => performance.now(),
    });
    this.#exchange[Symbol.dispose]();
    this.#stage = "sealed";
    owner.authenticated(this);
  }

  #tryUp(): void {
    if (this.#stage !== "sealed" || !this.#confirmed || !this.#peerIsSealed) return;
    this.#stage = "up";
    this.#upAt = performance.now();
    const { limits, owner } = this.#options;
    this.#heartbeat.start();
    this.#timers.after(
      limits.linkAgeMs,
      () => this.closeGently("AGE", "the link reached its greatest age and is made anew"),
    );
    owner.up(this);
  }

  #handle(frame: SessionFrame): void {
    const { type, payload } = frame;
    const { limiter, received, owner } = this.#options;
    limiter.charge(performance.now(), { type, bytes: payload.length });
    received.add(type, payload.length);
    if (type === FrameType.PING) {
      if (this.#heartbeat.receivePing(payload)) this.#writeSealed(FrameType.PONG, payload);
    } else if (type === FrameType.PONG) this.#heartbeat.receivePong(payload);
    else {
      this.#intake.handedOver(payload.length);
      owner.frame(this, frame);
    }
  }

  /** A peer that takes nothing of what waits for it is dropped in the end, so that what waits is bounded in time too. */
  #checkSlow(): void {
    const { pingIntervalMs, slowDeadlineMs } = this.#options.limits;
    this.#stuckTicks = this.#outbox.checkStuck() ? this.#stuckTicks + 1 : 0;
    if (this.#stuckTicks * pingIntervalMs >= slowDeadlineMs) {
      this.close("BACKLOG", "the peer has taken nothing of what waits for it for too long");
    }
  }

  #writePlain(type: FrameType, payload: Bytes): void {
    this.#options.sent.add(type, payload.length);
    this.#outbox.write(encodePlainFrame(this.#fields(type, NO_SESSION), payload));
  }

  #writeSealed(type: FrameType, payload: Bytes): void {
    if (this.#stage === "closed") return;
    this.#options.sent.add(type, payload.length);
    const out = new Uint8Array(sealedSize(payload.length));
    this.#sealInto(out, { type, session: NO_SESSION, payload });
    this.#outbox.write(out);
  }

  #sealInto(out: Bytes, frame: SessionFrame): void {
    invariant(this.#channel !== undefined, "nothing is sealed before HELLO_ACK");
    this.#channel.sealInto(out, this.#fields(frame.type, frame.session), frame.payload);
    this.#tellRotation("out", this.#channel.sendEpoch);
  }

  #tellRotation(direction: "in" | "out", epoch: number): void {
    if (epoch === this.#epochs[direction]) return;
    this.#epochs[direction] = epoch;
    this.#options.owner.rotated(this, direction, epoch);
  }

  #fields(type: number, session: Bytes) {
    return {
      type,
      from: this.#options.self,
      to: this.peer,
      sequence: this.#sendSequence++,
      timestamp: Date.now(),
      session,
    };
  }

  #bound(): ChannelBinding {
    invariant(this.#binding !== undefined, "a link is bound to its TLS connection when it starts");
    return this.#binding;
  }

  /** Nothing a peer sends may reach the event loop as an exception: that would end the process. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof LinkFault) this.close(error.code, error.message);
      else {this.close(
          "INTERNAL",
          `a bug in this program: ${error instanceof Error ? error.message : "unknown"}`,
        );}
    }
  }
}

const TO_ALL = 0xffffffff;
