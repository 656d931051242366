/**
 * What waits to be sent on one link: frames of one moment leave in one write, and whoever sends faster than the peer reads is told
 * to wait.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import type { Bytes } from "../base/bytes.ts";
import type { SessionFrame } from "../session/links.ts";
import { joinSmall } from "./batch.ts";
import type { TransportLimits } from "./limits.ts";
import { sealedSize } from "./sealed_channel.ts";

/** What an outbox works with. */
export interface OutboxOptions {
  /** Written to. */
  readonly socket: TLSSocket;
  /** Bounds of what may wait. */
  readonly limits: TransportLimits;
  /** Makes the bytes of a frame, as many as {@linkcode sealedSize} says; called in the order in which they leave. */
  sealInto(out: Bytes, frame: SessionFrame): void;
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
  #inFlightBytes = 0;
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
    while (this.#queue.length > 0) this.write(this.#sealNext());
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

  /**
   * While a write is under way small frames wait, so that those of one moment share one encryption and TLS record; much goes on,
   * so that one side seals while the other opens.
   */
  #flush(): void {
    while (!this.#hasEnded && this.#queue.length > 0 && this.#mayWrite()) {
      const bytes = this.#sealNext();
      this.#inFlightBytes += bytes.length;
      this.write(bytes, () => {
        this.#inFlightBytes -= bytes.length;
        this.#options.guard(() => this.#flush());
      });
    }
  }

  #mayWrite(): boolean {
    return this.#inFlightBytes === 0 ||
      (this.#queuedBytes >= PIECE_BYTES && this.#inFlightBytes < IN_FLIGHT_BYTES_MAX);
  }

  /** The next frames, up to a piece, as one buffer. */
  #sealNext(): Bytes {
    let count = 0;
    for (let bytes = 0; count < this.#queue.length && bytes < PIECE_BYTES; count++) {
      bytes += (this.#queue[count] as SessionFrame).payload.length;
    }
    const piece = count === this.#queue.length ? this.#queue : this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    for (const frame of piece) this.#queuedBytes -= frame.payload.length;
    const frames = joinSmall(piece);
    const out = new Uint8Array(frames.reduce((sum, { payload }) => sum + sealedSize(payload.length), 0));
    let at = 0;
    for (const frame of frames) {
      const end = at + sealedSize(frame.payload.length);
      this.#options.sealInto(out.subarray(at, end), frame);
      at = end;
    }
    return out;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** What is sealed and written at once. */
const PIECE_BYTES = 64 << 10;
/** What is written before the runtime has taken it. */
const IN_FLIGHT_BYTES_MAX = 1 << 20;
