/**
 * What waits to be sent on one link: frames of one moment leave in one write, and whoever sends faster than the peer reads is told
 * to wait.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import { type Bytes, concat } from "../base/bytes.ts";
import type { SessionFrame } from "../session/links.ts";
import { joinSmall } from "./batch.ts";
import type { TransportLimits } from "./limits.ts";

/** What an outbox works with. */
export interface OutboxOptions {
  /** Written to. */
  readonly socket: TLSSocket;
  /** Bounds of what may wait. */
  readonly limits: TransportLimits;
  /** Makes the bytes of a frame; called in the order in which they leave. */
  seal(frame: SessionFrame): Bytes;
  /** Runs what could throw: an exception ends the link. */
  guard(action: () => void): void;
  /** Too much waits: the link ends. */
  overflow(): void;
}

/** The frames of one link that have not left. */
export class Outbox {
  readonly #options: OutboxOptions;
  #queue: SessionFrame[] = [];
  #queuedBytes = 0;
  #isScheduled = false;
  #isWriting = false;
  #hasEnded = false;
  #isStuck = false;
  #waiting: (() => void)[] = [];
  #bytesSent = 0;

  /** Begins empty. */
  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** All bytes that were written, inside TLS. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Bytes that were queued or written, and have not left this process. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#options.socket.writableLength;
  }

  /** True where a sender should wait for {@linkcode Outbox.progress}. */
  get isFull(): boolean {
    return this.waitingBytes >= this.#options.limits.sendBufferBytes;
  }

  /** Queues a frame. False where too much waits: the link has ended then. */
  push(frame: SessionFrame): boolean {
    this.#queue.push(frame);
    this.#queuedBytes += frame.payload.length;
    if (this.#overflows()) return false;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(() => {
        this.#isScheduled = false;
        this.#options.guard(() => this.#flush());
      });
    }
    return true;
  }

  /** Writes at once, past what is queued: handshake and signs of life. */
  write(bytes: Bytes, written?: () => void): void {
    this.#bytesSent += bytes.length;
    this.#options.socket.write(bytes, () => {
      this.#isStuck = false;
      this.#wake();
      written?.();
    });
    // Answers count too: a peer that asks without reading the answers would fill our memory otherwise.
    this.#overflows();
  }

  /** Resolves when something has left, or nothing can any more. */
  progress(): Promise<void> {
    if (this.#hasEnded) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Hands over everything that is queued, for a link that ends in good order. */
  flushAll(): void {
    if (this.#queue.length > 0) this.#writeQueue();
  }

  /** True where something waits and nothing has left since the last call. */
  checkStuck(): boolean {
    const was = this.#isStuck && this.waitingBytes > 0;
    this.#isStuck = this.waitingBytes > 0;
    return was;
  }

  /** Forgets what is queued, and lets those who wait go on. */
  end(): void {
    this.#hasEnded = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#wake();
  }

  #overflows(): boolean {
    if (this.#hasEnded || this.waitingBytes <= this.#options.limits.sendBacklogBytes) return false;
    this.#options.overflow();
    return true;
  }

  /** Nothing is sealed while a write is under way: small frames that come meanwhile share one encryption and TLS record. */
  #flush(): void {
    if (this.#hasEnded || this.#queue.length === 0 || this.#isWriting) return;
    this.#isWriting = true;
    this.#writeQueue(() => {
      this.#isWriting = false;
      this.#options.guard(() => this.#flush());
    });
  }

  #writeQueue(written?: () => void): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    const sealed = joinSmall(queue).map((frame) => this.#options.seal(frame));
    this.write(sealed.length === 1 ? sealed[0] as Bytes : concat(...sealed), written);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
