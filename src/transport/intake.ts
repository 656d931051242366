/**
 * The reading side of one link: cuts what comes into frames, and stops reading while the receiver is behind or the peer has used
 * its tokens up. Nothing is dropped: the peer's TCP waits.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import { FrameParser, type RawFrame } from "./frame.ts";
import { type Gate, gateOf } from "./gate.ts";
import { payloadCap, type TransportLimits } from "./limits.ts";
import type { PeerLimiter } from "./rate.ts";

/** What an intake works with. */
export interface IntakeOptions {
  /** Paused and resumed. */
  readonly socket: TLSSocket;
  /** Sizes and backlogs. */
  readonly limits: TransportLimits;
  /** The peer's tokens. */
  readonly limiter: PeerLimiter;
  /** Which frames may come now. */
  allowed(type: number, sealed: boolean): boolean;
  /** The peer has to wait because it has used its tokens up. */
  limited(): void;
  /** Takes one frame. */
  receive(frame: RawFrame): void;
  /** Runs what could throw: an exception ends the link. */
  guard(action: () => void): void;
  /** Calls back once, unless the link ends before. */
  after(delayMs: number, callback: () => void): void;
}

/** Frames that come in on one link. */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #parser: FrameParser;
  readonly #gate: Gate | undefined;
  #hasEnded = false;
  #isPaused = false;
  #waitsForTokens = false;
  #isBehind = false;
  #waitingFrames = 0;
  #waitingBytes = 0;
  #bytesReceived = 0;

  /** Begins to wait for the first frame. */
  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#gate = gateOf(options.socket);
    this.#parser = new FrameParser(options.allowed, (type) => payloadCap(type, options.limits));
  }

  /** All bytes that came, inside TLS. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** True while nothing is read because the receiver of frames is behind, or the peer has used its tokens up. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Takes the next chunk. */
  push(chunk: Uint8Array): void {
    if (this.#hasEnded) return;
    this.#bytesReceived += chunk.length;
    this.#parser.push(chunk);
    this.#take();
  }

  /** A frame was handed to the receiver, who has not taken it yet. */
  handedOver(bytes: number): void {
    this.#waitingFrames++;
    this.#waitingBytes += bytes;
    const { receiveBacklogFrames, receiveBacklogBytes } = this.#options.limits;
    this.#isBehind ||= this.#waitingFrames >= receiveBacklogFrames ||
      this.#waitingBytes >= receiveBacklogBytes;
  }

  /** The receiver has taken a frame. */
  delivered(bytes: number): void {
    this.#waitingFrames--;
    this.#waitingBytes -= bytes;
    const { receiveBacklogFrames, receiveBacklogBytes } = this.#options.limits;
    const hasRoom = this.#waitingFrames <= receiveBacklogFrames / 2 &&
      this.#waitingBytes <= receiveBacklogBytes / 2;
    if (!this.#isBehind || !hasRoom) return;
    this.#isBehind = false;
    this.#options.guard(() => this.#take());
  }

  /** Reads no more. */
  end(): void {
    this.#hasEnded = true;
    this.#resume();
  }

  #take(): void {
    while (!this.#hasEnded && !this.#waitsForTokens) {
      if (this.#isBehind) return this.#pause();
      const waitMs = this.#options.limiter.waitMs(performance.now());
      if (waitMs > 0) return this.#holdFor(waitMs);
      const frame = this.#parser.next();
      if (frame === undefined) return this.#resume();
      this.#options.receive(frame);
    }
  }

  #holdFor(waitMs: number): void {
    this.#waitsForTokens = true;
    this.#options.limited();
    this.#pause();
    this.#options.after(waitMs, () => {
      this.#waitsForTokens = false;
      this.#options.guard(() => this.#take());
    });
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#gate?.shut();
    this.#options.socket.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#gate?.reopen();
    this.#options.socket.resume();
  }
}
