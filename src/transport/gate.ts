/**
 * Backpressure for TLS sockets. The runtime's TLS socket reads from its TCP socket without end, even while it is paused; this
 * stream between the two stops the TCP socket, so that a peer that sends faster than we read waits (PLATFORM.md).
 *
 * @module
 */

import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/** The stream that TLS sees instead of the TCP socket. */
export class Gate extends Duplex {
  readonly #raw: Socket;

  /** Takes the TCP socket over. */
  constructor(raw: Socket) {
    super({ allowHalfOpen: false });
    this.#raw = raw;
    raw.on("data", (chunk: Uint8Array) => {
      if (!this.push(chunk)) raw.pause();
    });
    raw.on("end", () => this.push(null));
    raw.on("error", (error) => this.destroy(error));
    raw.on("close", () => this.destroy());
  }

  /** Called by the stream when its buffer has room. */
  override _read(): void {
    this.#raw.resume();
  }

  /** Called by the stream with what TLS sends. */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#raw.destroyed) done(new Error("the TCP connection is closed"));
    else this.#raw.write(chunk, done);
  }

  /** Called by the stream when TLS has ended. */
  override _final(done: () => void): void {
    this.#raw.end(done);
  }

  /** Called by the stream when either side is destroyed. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#raw.destroy();
    done(error);
  }
}
